//! A message between instances.
//!
//! ```text
//! message     text exchange, text routing key, u8 redelivered, properties, body to the end
//! properties  u16 which there are, in the order of `TEXTS`, then delivery mode, priority, timestamp; then each that is there:
//!             text, or u8, u8, u64; then the headers
//! headers     u32 count, then text name and value each, in the order of the names
//! value       u8 tag, then what belongs to it; a list is u32 count and values, a table is headers
//! text        u32 length in bytes, UTF-8
//! ```
//!
//! Numbers are little-endian. Instances compare the coders' names before a record crosses: another layout has another
//! name.

use millstream_core::contracts::{CodeError, Coder, Decoder, Encoder};
use millstream_core::data::{Bytes, Column as _};

use super::message::{Message, Messages, Properties};
use super::value::{Headers, Value};
use crate::pieces::{Rest, broken, octets, text, wire_coders};

/// How deep values may lie within each other.
const DEEPEST: usize = 40;

/// The coders of messages for network stages.
pub(super) fn coders() -> [Coder; 2] {
    wire_coders(ToWire, OfWire)
}

struct ToWire;

struct OfWire;

impl Encoder for ToWire {
    type In = Message;

    fn name(&self) -> String {
        "WIRE-ENCODER(amqp 1)".to_owned()
    }

    fn encode(&self, message: &Message, out: &mut Vec<u8>) -> Result<(), CodeError> {
        text(&message.exchange, out);
        text(&message.routing_key, out);
        out.push(message.redelivered.into());
        properties(&message.properties, out);
        out.extend_from_slice(&message.body);
        Ok(())
    }
}

impl Decoder for OfWire {
    type Out = Message;

    fn name(&self) -> String {
        "WIRE-DECODER(amqp 1)".to_owned()
    }

    fn decode(&self, bytes: Bytes, column: &mut Messages) -> Result<(), CodeError> {
        let mut rest = Rest(bytes);
        let (exchange, routing_key) = (rest.text()?, rest.text()?);
        let redelivered = rest.u8()? != 0;
        let properties = rest.properties()?;
        column.push(Message { body: rest.0, exchange, routing_key, redelivered, properties });
        Ok(())
    }
}

/// The properties that are texts, in their order on the wire.
macro_rules! texts {
    ([$($by:tt)+] $of:ident) => {
        [
            $($by)+ $of.content_type,
            $($by)+ $of.content_encoding,
            $($by)+ $of.correlation_id,
            $($by)+ $of.reply_to,
            $($by)+ $of.expiration,
            $($by)+ $of.message_id,
            $($by)+ $of.kind,
            $($by)+ $of.user_id,
            $($by)+ $of.app_id,
            $($by)+ $of.cluster_id,
        ]
    };
}

fn properties(of: &Properties, out: &mut Vec<u8>) {
    let texts = texts!([&] of).map(|text: &Option<String>| text.as_deref());
    let there = texts.iter().map(Option::is_some);
    let there = there.chain([of.delivery_mode.is_some(), of.priority.is_some(), of.timestamp.is_some()]);
    let which = there.enumerate().fold(0_u16, |which, (at, there)| which | (u16::from(there) << at));
    out.extend_from_slice(&which.to_le_bytes());
    texts.into_iter().flatten().for_each(|it| text(it, out));
    out.extend(of.delivery_mode.into_iter().chain(of.priority));
    out.extend(of.timestamp.into_iter().flat_map(u64::to_le_bytes));
    headers(&of.headers, out);
}

fn headers(headers: &Headers, out: &mut Vec<u8>) {
    out.extend_from_slice(&(headers.len() as u32).to_le_bytes());
    for (name, of) in headers {
        text(name, out);
        value(of, out);
    }
}

fn value(of: &Value, out: &mut Vec<u8>) {
    macro_rules! number {
        ($tag:literal, $number:expr) => {{
            out.push($tag);
            out.extend_from_slice(&$number.to_le_bytes());
        }};
    }
    match of {
        Value::Bool(is) => out.extend([b't', (*is).into()]),
        Value::I8(number) => number!(b'b', number),
        Value::U8(number) => number!(b'B', number),
        Value::I16(number) => number!(b's', number),
        Value::U16(number) => number!(b'u', number),
        Value::I32(number) => number!(b'I', number),
        Value::U32(number) => number!(b'i', number),
        Value::I64(number) => number!(b'l', number),
        Value::F32(number) => number!(b'f', number),
        Value::F64(number) => number!(b'd', number),
        Value::Timestamp(number) => number!(b'T', number),
        Value::Decimal { scale, value } => {
            out.extend([b'D', *scale]);
            out.extend_from_slice(&value.to_le_bytes());
        }
        Value::Text(it) => {
            out.push(b'S');
            text(it, out);
        }
        Value::Octets(bytes) => {
            out.push(b'O');
            octets(bytes, out);
        }
        Value::ByteArray(bytes) => {
            out.push(b'x');
            octets(bytes, out);
        }
        Value::List(values) => {
            number!(b'A', (values.len() as u32));
            values.iter().for_each(|of| value(of, out));
        }
        Value::Table(table) => {
            out.push(b'F');
            headers(table, out);
        }
        Value::Void => out.push(b'V'),
    }
}

impl Rest {
    fn properties(&mut self) -> Result<Properties, CodeError> {
        let which = u16::from_le_bytes(self.array()?);
        let mut of = Properties::default();
        for (at, to) in texts!([&mut] of).into_iter().enumerate() {
            *to = if which & (1 << at) != 0 { Some(self.text()?) } else { None };
        }
        of.delivery_mode = if which & (1 << 10) != 0 { Some(self.u8()?) } else { None };
        of.priority = if which & (1 << 11) != 0 { Some(self.u8()?) } else { None };
        of.timestamp = if which & (1 << 12) != 0 { Some(u64::from_le_bytes(self.array()?)) } else { None };
        of.headers = self.headers(0)?;
        Ok(of)
    }

    fn headers(&mut self, depth: usize) -> Result<Headers, CodeError> {
        let mut headers = Headers::new();
        for _ in 0..self.count()? {
            let name = self.text()?;
            headers.insert(name, self.value(depth)?);
        }
        Ok(headers)
    }

    fn value(&mut self, depth: usize) -> Result<Value, CodeError> {
        if depth > DEEPEST {
            return Err(broken());
        }
        Ok(match self.u8()? {
            b't' => Value::Bool(self.u8()? != 0),
            b'b' => Value::I8(i8::from_le_bytes(self.array()?)),
            b'B' => Value::U8(self.u8()?),
            b's' => Value::I16(i16::from_le_bytes(self.array()?)),
            b'u' => Value::U16(u16::from_le_bytes(self.array()?)),
            b'I' => Value::I32(i32::from_le_bytes(self.array()?)),
            b'i' => Value::U32(u32::from_le_bytes(self.array()?)),
            b'l' => Value::I64(i64::from_le_bytes(self.array()?)),
            b'f' => Value::F32(f32::from_le_bytes(self.array()?)),
            b'd' => Value::F64(f64::from_le_bytes(self.array()?)),
            b'T' => Value::Timestamp(u64::from_le_bytes(self.array()?)),
            b'D' => Value::Decimal { scale: self.u8()?, value: u32::from_le_bytes(self.array()?) },
            b'S' => Value::Text(self.text()?),
            b'O' => Value::Octets(self.octets()?),
            b'x' => Value::ByteArray(self.octets()?),
            b'A' => Value::List((0..self.count()?).map(|_| self.value(depth + 1)).collect::<Result<_, _>>()?),
            b'F' => Value::Table(self.headers(depth + 1)?),
            b'V' => Value::Void,
            _ => return Err(broken()),
        })
    }
}

#[cfg(test)]
mod tests {
    use millstream_core::contracts::Faults;
    use millstream_core::data::Packed;
    use proptest::prelude::*;

    use super::super::{message, value};
    use super::*;

    fn messages() -> impl Strategy<Value = Message> {
        let headers = prop::collection::btree_map("[a-z]{0,5}", value::tests::values(), 0..4);
        let body = prop::collection::vec(any::<u8>(), 0..20);
        let parts = (message::tests::properties(), headers, body, "\\PC{0,5}", any::<bool>());
        parts.prop_map(|(properties, headers, body, name, redelivered)| Message {
            body: body.into(),
            exchange: name.clone(),
            routing_key: name,
            redelivered,
            properties: Properties { headers, ..properties },
        })
    }

    fn back(bytes: &Packed<Bytes>) -> (Messages, Faults) {
        let (mut to, mut faults) = (Messages::default(), Faults::new());
        (coders()[1].make)().code(bytes, &mut to, &mut faults);
        (to, faults)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn what_is_sent_arrives(all in prop::collection::vec(messages(), 0..4)) {
            let (mut from, mut bytes, mut faults) = (Messages::default(), Packed::<Bytes>::default(), Faults::new());
            all.iter().for_each(|message| from.push(message.clone()));
            (coders()[0].make)().code(&from, &mut bytes, &mut faults);
            let (to, more) = back(&bytes);
            prop_assert!(faults.is_empty() && more.is_empty());
            prop_assert_eq!(to.as_slice(), &all[..]);
        }

        #[test]
        fn whatever_comes_nothing_panics(
            message in messages(), cut in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>()
        ) {
            let mut bytes = Vec::new();
            ToWire.encode(&message, &mut bytes).expect("it is encoded");
            let end = cut.index(bytes.len() + 1);
            let place = at.index(bytes.len());
            bytes[place] = byte;
            for some in [&bytes[..], &bytes[..end]] {
                let _ = OfWire.decode(Bytes::copy_from_slice(some), &mut Messages::default());
            }
        }
    }

    #[test]
    fn what_lies_too_deep_is_refused() {
        let mut bytes = vec![0; 11];
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(0_u32.to_le_bytes());
        (0..100_000).for_each(|_| bytes.extend([b'A', 1, 0, 0, 0]));
        let refused = OfWire.decode(bytes.into(), &mut Messages::default()).expect_err("it is too deep");
        assert!(refused.message().contains("run the same program everywhere"));
    }
}
