//! A message as its body: wherever a stage looks at bytes, text or a document, it looks into the body.

use std::sync::Arc;

use millstream_core::contracts::{Code, CodeError, Coder, Faults, Kind};
use millstream_core::data::{AnyColumn, Bytes, Data, Packed};

use super::message::{Message, Messages};
use super::wire;

/// The coders of messages: `AMQP-BODY`, from a message to its body, and those of network stages.
pub fn coders() -> Vec<Coder> {
    let body = Coder {
        name: "AMQP-BODY".to_owned(),
        from: Message::form(),
        to: Bytes::form(),
        kind: Kind::Recast,
        cost: 1,
        heavy: false,
        waits: false,
        make: Arc::new(|| Box::new(Body)),
    };
    std::iter::once(body).chain(wire::coders()).collect()
}

struct Body;

impl Code for Body {
    fn code(&mut self, from: &dyn AnyColumn, to: &mut dyn AnyColumn, faults: &mut Faults) {
        let (Some(from), Some(to)) = (from.cast::<Messages>(), to.cast_mut::<Packed<Bytes>>()) else {
            let message = "this coder was given a column of another type: the graph does not fit its operators";
            return faults.extend((0..from.rows()).map(|row| (row as u32, CodeError::new(message).into())));
        };
        from.as_slice().iter().for_each(|message| to.append_bytes(&message.body));
        to.freeze();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_core::data::Column as _;

    #[test]
    fn a_message_is_looked_at_by_its_body() {
        let mut from = Messages::default();
        ["one", "", "three"].into_iter().for_each(|body| from.push(Message::new(body)));
        let (mut to, mut faults) = (Packed::<Bytes>::default(), Faults::new());
        (coders()[0].make)().code(&from, &mut to, &mut faults);
        assert!(faults.is_empty());
        assert_eq!((0..3).map(|row| to.get(row)).collect::<Vec<_>>(), [&b"one"[..], b"", b"three"]);
        (coders()[0].make)().code(&to, &mut Packed::<Bytes>::default(), &mut faults);
        assert_eq!(faults.len(), 3);
    }
}
