//! `KAFKA-VALUE`: how stages that take bytes look at whole messages.

use std::sync::Arc;

use millstream_core::contracts::{Code, CodeError, Coder, Faults, Kind};
use millstream_core::data::{AnyColumn, Bytes, Data, Packed};

use super::column::MessageColumn;
use super::message::Message;
use super::wire;

/// The coders of messages: `KAFKA-VALUE`, from a message to its value, and those for network stages. A tombstone has no
/// value and is a failure of its record. Nothing is copied for `KAFKA-VALUE`.
pub fn coders() -> Vec<Coder> {
    let value = Coder {
        name: "KAFKA-VALUE".into(),
        from: Message::form(),
        to: Bytes::form(),
        kind: Kind::Decode,
        cost: 1,
        heavy: false,
        waits: false,
        make: Arc::new(|| Box::new(ToValue)),
    };
    std::iter::once(value).chain(wire::coders()).collect()
}

struct ToValue;

impl Code for ToValue {
    fn code(&mut self, from: &dyn AnyColumn, to: &mut dyn AnyColumn, faults: &mut Faults) {
        let (Some(from), Some(to)) = (from.cast::<MessageColumn>(), to.cast_mut::<Packed<Bytes>>()) else {
            let wrong = || CodeError::new("a column of another type: the plan does not fit it");
            return faults.extend((0..from.rows() as u32).map(|row| (row, wrong().into())));
        };
        let values = from.values(|row| {
            let text = "the message is a tombstone, it has no value: filter such messages out before";
            faults.push((row as u32, CodeError::new(text).into()));
        });
        match to.is_empty() {
            true => *to = values,
            false => (0..values.len()).for_each(|row| to.append_bytes(values.get(row))),
        }
    }
}

#[cfg(test)]
mod tests {
    use millstream_core::data::Column as _;

    use super::*;

    #[test]
    fn a_message_becomes_its_value_and_a_tombstone_a_failure() {
        for frozen in [false, true] {
            let mut from = MessageColumn::default();
            let list =
                [Message::new("one").with_key("k").with_header("a", "b"), Message::tombstone("k"), Message::new("")];
            list.into_iter().for_each(|message| from.push(message));
            if frozen {
                from.freeze();
            }
            let (mut to, mut faults) = (Packed::<Bytes>::default(), Faults::new());
            for _ in 0..2 {
                (coders()[0].make)().code(&from, &mut to, &mut faults);
            }
            let rows: Vec<_> = (0..to.len()).map(|row| to.get(row)).collect();
            assert_eq!(rows, [&b"one"[..], b"", b"one", b""]);
            assert_eq!(faults.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [1, 1]);
        }
    }
}
