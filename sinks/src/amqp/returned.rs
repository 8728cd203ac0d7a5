//! Which of the published messages came back.
//!
//! A broker returns a message in the order in which it was published, whole, and doesn't say which one it was. So the
//! first one that looks like it, behind the one that came back before, is it: of several that look the same it doesn't
//! matter which. A broker may change properties on the way; then exchange, key and body decide.

use lapin::BasicProperties;
use lapin::message::BasicReturnMessage;

use super::record::Outgoing;

/// What came back.
pub(super) struct Returned {
    exchange: String,
    key: String,
    properties: BasicProperties,
    body: Vec<u8>,
    /// Why, in the broker's words.
    pub(super) why: String,
}

impl From<BasicReturnMessage> for Returned {
    fn from(message: BasicReturnMessage) -> Self {
        let why = format!("{} {}", message.reply_code, message.reply_text);
        let delivery = message.delivery;
        Self {
            exchange: delivery.exchange.to_string(),
            key: delivery.routing_key.to_string(),
            properties: delivery.properties,
            body: delivery.data,
            why,
        }
    }
}

impl Returned {
    fn is_like(&self, published: &Outgoing<'_>) -> bool {
        self.body == published.body
            && self.key == published.key.as_str()
            && self.exchange == published.exchange.as_str()
    }
}

/// The index of each returned message among the published ones; `None`: none looks like it.
pub(super) fn matched(published: &[Outgoing<'_>], returned: &[Returned]) -> Vec<Option<usize>> {
    let mut from = 0;
    let find = |returned: &Returned| {
        let rest = || published.iter().enumerate().skip(from);
        let exact = rest().find(|(_, one)| returned.is_like(one) && returned.properties == one.properties);
        let found = exact.or_else(|| rest().find(|(_, one)| returned.is_like(one))).map(|(at, _)| at);
        from = found.map_or(from, |at| at + 1);
        found
    };
    returned.iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outgoing(body: &[u8], priority: u8) -> Outgoing<'_> {
        let properties = BasicProperties::default().with_priority(priority);
        Outgoing { exchange: "e".into(), key: "k".into(), properties, body }
    }

    fn back(body: &[u8], priority: u8) -> Returned {
        let properties = BasicProperties::default().with_priority(priority);
        Returned { exchange: "e".into(), key: "k".into(), properties, body: body.to_vec(), why: String::new() }
    }

    proptest! {
        #[test]
        fn each_is_found_or_one_that_looks_the_same(bodies in prop::collection::vec((0_u8..3, 0_u8..2, any::<bool>()), 0..30)) {
            let bytes: Vec<_> = bodies.iter().map(|(body, ..)| [*body]).collect();
            let published: Vec<_> = bodies.iter().zip(&bytes).map(|((_, priority, _), body)| outgoing(body, *priority)).collect();
            let returned: Vec<_> = bodies.iter().filter(|(.., comes)| *comes).collect();
            let returned: Vec<_> = returned.iter().map(|(body, priority, _)| back(&[*body], *priority)).collect();
            let found = matched(&published, &returned);
            let mut last = None;
            for (found, returned) in found.iter().zip(&returned) {
                let at = found.expect("it was published");
                prop_assert!(last < Some(at));
                prop_assert!(returned.is_like(&published[at]) && returned.properties == published[at].properties);
                last = Some(at);
            }
        }
    }

    #[test]
    fn changed_properties_and_strangers_are_told_apart() {
        let published = [outgoing(b"a", 1), outgoing(b"b", 1)];
        assert_eq!(matched(&published, &[back(b"b", 2)]), [Some(1)]);
        assert_eq!(matched(&published, &[back(b"c", 1), back(b"a", 1)]), [None, Some(0)]);
    }
}
