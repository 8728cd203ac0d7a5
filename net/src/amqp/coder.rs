//! A message as its body: wherever a stage looks at bytes, text or a document, it looks into the body.

use std::sync::Arc;

use millstream_core::contracts::{Code, CodeError, Coder, Faults, Kind};
use millstream_core::data::{AnyColumn, Bytes, Data, Packed};

use super::message::{Message, Messages};

/// The coder of messages: `AMQP-BODY`, from a message to its body.
pub fn coders() -> Vec<Coder> {
    vec![Coder {
        name: "AMQP-BODY".to_owned(),
        from: Message::form(),
        to: Bytes::form(),
        kind: Kind::Recast,
        cost: 1,
        heavy: false,
        waits: false,
        make: Arc::new(|| Box::new(Body)),
    }]
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
