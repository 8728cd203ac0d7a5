//! Which of the published messages came back.
//!
//! A broker returns a message whole, and doesn't say which one it was; and with which of the confirms lapin hands it over
//! says nothing either. So it is whichever looks like it and isn't taken by another that came back: of several that look
//! the same it doesn't matter which. A broker may change properties on the way; then exchange, key and body decide, unless
//! they leave a choice.

use std::collections::{HashMap, VecDeque};

use lapin::BasicProperties;
use lapin::message::BasicReturnMessage;

use super::record::Outgoing;

/// What came back.
pub(super) struct Returned {
    exchange: String,
    key: String,
    properties: BasicProperties,
    body: Vec<u8>,
    /// Why, in the broker's words, and where it was to go.
    pub(super) why: String,
}

impl From<BasicReturnMessage> for Returned {
    fn from(message: BasicReturnMessage) -> Self {
        let delivery = message.delivery;
        let why = format!(
            "{} {}, exchange `{}`, routing key `{}`",
            message.reply_code, message.reply_text, delivery.exchange, delivery.routing_key
        );
        Self {
            exchange: delivery.exchange.to_string(),
            key: delivery.routing_key.to_string(),
            properties: delivery.properties,
            body: delivery.data,
            why,
        }
    }
}

/// The index of each returned message among the published ones, no two the same; `None`: it can't be told. What is not in
/// `acknowledged` the broker has refused already, and counts last: else one that looks the same, and did come back, would
/// pass for delivered.
pub(super) fn matched(published: &[Outgoing<'_>], acknowledged: &[bool], returned: &[Returned]) -> Vec<Option<usize>> {
    if returned.is_empty() {
        return Vec::new();
    }
    let mut alike: HashMap<_, VecDeque<usize>> = HashMap::new();
    for turn in [true, false] {
        let these =
            published.iter().enumerate().filter(|(at, _)| acknowledged.get(*at).copied().unwrap_or(false) == turn);
        for (at, one) in these {
            alike.entry((one.exchange.as_str(), one.key.as_str(), one.body)).or_default().push_back(at);
        }
    }
    let mut found = vec![None; returned.len()];
    // Those of which nothing was changed come first: what is left is for the others.
    for exact in [true, false] {
        for (found, returned) in found.iter_mut().zip(returned).filter(|(found, _)| found.is_none()) {
            let key = (returned.exchange.as_str(), returned.key.as_str(), returned.body.as_slice());
            let Some(left) = alike.get_mut(&key) else { continue };
            let which = match exact {
                true => left.iter().position(|at| published[*at].properties == returned.properties),
                false => same(published, left).then_some(0),
            };
            *found = which.and_then(|which| left.remove(which));
        }
    }
    found
}

/// Whether these have the same properties.
fn same(published: &[Outgoing<'_>], these: &VecDeque<usize>) -> bool {
    let mut properties = these.iter().map(|at| &published[*at].properties);
    properties.next().is_none_or(|first| properties.all(|other| other == first))
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
        fn each_is_found_or_one_that_looks_the_same(
            rows in prop::collection::vec((0_u8..3, 0_u8..2, any::<bool>(), any::<u32>()), 0..30)
        ) {
            let bytes: Vec<_> = rows.iter().map(|(body, ..)| [*body]).collect();
            let published: Vec<_> =
                rows.iter().zip(&bytes).map(|((_, priority, ..), body)| outgoing(body, *priority)).collect();
            // They come in any order.
            let mut came: Vec<_> = rows.iter().filter(|(_, _, comes, _)| *comes).collect();
            came.sort_by_key(|(.., order)| *order);
            let returned: Vec<_> = came.iter().map(|(body, priority, ..)| back(&[*body], *priority)).collect();
            let found = matched(&published, &vec![true; rows.len()], &returned);
            prop_assert_eq!(found.len(), returned.len());
            let mut once = std::collections::BTreeSet::new();
            for (found, returned) in found.iter().zip(&returned) {
                let at = found.expect("it was published");
                prop_assert!(once.insert(at), "row {} came back twice", at);
                prop_assert!(returned.body == published[at].body && returned.properties == published[at].properties);
            }
        }
    }

    #[test]
    fn of_those_that_look_the_same_the_lowest_that_was_acknowledged_came_back() {
        let published = [outgoing(b"a", 1), outgoing(b"a", 1), outgoing(b"a", 1)];
        assert_eq!(matched(&published, &[true; 3], &[back(b"a", 1)]), [Some(0)]);
        let two = [back(b"a", 1), back(b"a", 1)];
        assert_eq!(matched(&published, &[false, true, true], &two), [Some(1), Some(2)]);
    }

    #[test]
    fn changed_properties_and_strangers_are_told_apart() {
        let published = [outgoing(b"a", 1), outgoing(b"b", 1)];
        let matched = |returned: &[Returned]| matched(&published, &[true; 2], returned);
        assert_eq!(matched(&[back(b"b", 2)]), [Some(1)]);
        assert_eq!(matched(&[back(b"c", 1), back(b"a", 1)]), [None, Some(0)]);
        assert_eq!(matched(&[back(b"a", 1), back(b"a", 1)]), [Some(0), None]);
    }

    #[test]
    fn changed_properties_that_leave_a_choice_tell_nothing() {
        let published = [outgoing(b"a", 1), outgoing(b"a", 2)];
        let matched = |returned: &[Returned]| matched(&published, &[true; 2], returned);
        assert_eq!(matched(&[back(b"a", 3)]), [None]);
        assert_eq!(matched(&[back(b"a", 3), back(b"a", 1)]), [Some(1), Some(0)]);
    }
}
