//! A message between instances.
//!
//! ```text
//! message  u8 which there are: 1 key, 2 value, 4 timestamp, 8 origin
//!          then, of these, octets key, i64 timestamp, and of the origin: text topic, i32 partition, i64 offset
//!          u32 count of headers, each: text name, u8 whether it has a value, and then octets value
//!          the value to the end
//! ```
//!
//! Texts and octets have their length before them, u32; numbers are little-endian. Instances compare the coders' names before
//! a record crosses: another layout has another name.

use millstream_core::contracts::{CodeError, Coder, Decoder, Encoder};
use millstream_core::data::{Bytes, Column as _};

use super::column::MessageColumn;
use super::message::{Header, Message, Origin};
use crate::pieces::{Rest, broken, octets, text, wire_coders};

const KEY: u8 = 1;
const VALUE: u8 = 2;
const TIMESTAMP: u8 = 4;
const ORIGIN: u8 = 8;

/// The coders of messages for network stages.
pub(super) fn coders() -> [Coder; 2] {
    wire_coders(ToWire, OfWire)
}

struct ToWire;

struct OfWire;

impl Encoder for ToWire {
    type In = Message;

    fn name(&self) -> String {
        "WIRE-ENCODER(kafka 1)".to_owned()
    }

    fn encode(&self, message: &Message, out: &mut Vec<u8>) -> Result<(), CodeError> {
        let Message { key, value, headers, timestamp, origin } = message;
        let there = [(key.is_some(), KEY), (value.is_some(), VALUE), (timestamp.is_some(), TIMESTAMP)];
        let there = there.into_iter().chain([(origin.is_some(), ORIGIN)]);
        out.push(there.filter(|(there, _)| *there).fold(0, |which, (_, bit)| which | bit));
        key.iter().for_each(|key| octets(key, out));
        timestamp.iter().for_each(|millis| out.extend(millis.to_le_bytes()));
        if let Some(Origin { topic, partition, offset }) = origin {
            text(topic, out);
            out.extend(partition.to_le_bytes());
            out.extend(offset.to_le_bytes());
        }
        out.extend((headers.len() as u32).to_le_bytes());
        for Header { name, value } in headers {
            text(name, out);
            out.push(value.is_some().into());
            value.iter().for_each(|value| octets(value, out));
        }
        out.extend_from_slice(value.as_deref().unwrap_or_default());
        Ok(())
    }
}

impl Decoder for OfWire {
    type Out = Message;

    fn name(&self) -> String {
        "WIRE-DECODER(kafka 1)".to_owned()
    }

    fn decode(&self, bytes: Bytes, column: &mut MessageColumn) -> Result<(), CodeError> {
        let mut rest = Rest(bytes);
        let which = rest.u8()?;
        let has = |bit| which & bit != 0;
        let key = if has(KEY) { Some(rest.octets()?) } else { None };
        let timestamp = if has(TIMESTAMP) { Some(i64::from_le_bytes(rest.array()?)) } else { None };
        let origin = if has(ORIGIN) { Some(origin(&mut rest)?) } else { None };
        let headers = headers(&mut rest)?;
        let value = if has(VALUE) { Some(rest.0) } else { None };
        column.push(Message { key, value, headers, timestamp, origin });
        Ok(())
    }
}

fn origin(rest: &mut Rest) -> Result<Origin, CodeError> {
    let topic = rest.octets()?;
    let topic = std::str::from_utf8(&topic).map_err(|_| broken())?.into();
    Ok(Origin { topic, partition: i32::from_le_bytes(rest.array()?), offset: i64::from_le_bytes(rest.array()?) })
}

fn headers(rest: &mut Rest) -> Result<Vec<Header>, CodeError> {
    let header = |rest: &mut Rest| {
        let name = rest.text()?;
        let value = if rest.u8()? != 0 { Some(rest.octets()?) } else { None };
        Ok(Header { name, value })
    };
    (0..rest.count()?).map(|_| header(rest)).collect()
}

#[cfg(test)]
mod tests {
    use millstream_core::contracts::Faults;
    use millstream_core::data::Packed;
    use proptest::prelude::*;

    use super::super::column::tests::messages;
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn what_is_sent_arrives(all in messages()) {
            let (mut from, mut bytes, mut to) = (MessageColumn::default(), Packed::<Bytes>::default(), MessageColumn::default());
            let mut faults = Faults::new();
            all.iter().for_each(|message| from.push(message.clone()));
            let [encode, decode] = coders();
            (encode.make)().code(&from, &mut bytes, &mut faults);
            (decode.make)().code(&bytes, &mut to, &mut faults);
            prop_assert!(faults.is_empty());
            let found: Vec<_> = (0..to.len()).map(|row| to.with(row, Message::clone)).collect();
            prop_assert_eq!(found, all);
        }

        #[test]
        fn whatever_comes_nothing_panics(
            all in messages(), cut in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>()
        ) {
            for message in all {
                let mut bytes = Vec::new();
                ToWire.encode(&message, &mut bytes).expect("it is encoded");
                let end = cut.index(bytes.len() + 1);
                let place = at.index(bytes.len());
                bytes[place] = byte;
                for some in [&bytes[..], &bytes[..end]] {
                    let _ = OfWire.decode(Bytes::copy_from_slice(some), &mut MessageColumn::default());
                }
            }
        }
    }
}
