//! What a generic value is between instances: its schema, and its bytes. Each has the schema with it, since whoever gets
//! it may not have seen another; it is parsed once.
//!
//! ```text
//! length of the schema (u32, little-endian), the schema's JSON, the value
//! ```

use std::sync::{Arc, Mutex, PoisonError};

use millstream_core::contracts::{CodeError, Coder, Decoder, Encoder, Kind, decoder, encoder};
use millstream_core::data::{Bytes, Recycled};

use super::cursor::Cursor;
use super::plan::Plan;
use super::{Schema, Value, read, write};
use crate::limits::Limits;

/// How many schemas a worker remembers.
const KNOWN: usize = 64;

/// The coders of generic values for network stages.
pub(super) fn coders() -> Vec<Coder> {
    let reads = decoder(FromWire::default());
    let make = Arc::new(|| (decoder(FromWire::default()).make)());
    vec![
        Coder { kind: Kind::WireEncode, cost: 2, ..encoder(ToWire) },
        Coder { kind: Kind::WireDecode, cost: 2, heavy: false, make, ..reads },
    ]
}

struct ToWire;

impl Encoder for ToWire {
    type In = Value;

    fn name(&self) -> String {
        "AVRO-TO-WIRE".to_owned()
    }

    fn encode(&self, value: &Value, out: &mut Vec<u8>) -> Result<(), CodeError> {
        let (schema, text) = (value.schema(), value.schema().text());
        let len = u32::try_from(text.len()).map_err(|_| CodeError::new("a schema of more than 4 GiB"))?;
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(text.as_bytes());
        let written = write::value(schema.graph(), schema.graph().root, value.value(), out);
        written.map_err(|flaw| CodeError::new(flaw.to_string()))
    }
}

/// Used by one worker alone.
#[derive(Default)]
struct FromWire(Mutex<Vec<(Schema, Arc<Plan>)>>);

impl FromWire {
    fn planned(&self, text: &[u8]) -> Result<(Schema, Arc<Plan>), CodeError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = known.iter().position(|(schema, _)| schema.text().as_bytes() == text) {
            known.swap(0, at);
            return Ok(known[0].clone());
        }
        let text = std::str::from_utf8(text).map_err(|_| CodeError::new(WRONG))?;
        let schema = Schema::parse(text)?;
        let plan = Plan::of(schema.graph(), schema.graph()).map_err(|why| CodeError::new(why.to_string()))?;
        known.truncate(KNOWN - 1);
        known.insert(0, (schema, Arc::new(plan)));
        Ok(known[0].clone())
    }
}

const WRONG: &str = "expected a value with its schema as another instance sends it, found other bytes; run the same \
                     program everywhere";

impl Decoder for FromWire {
    type Out = Value;

    fn name(&self) -> String {
        "AVRO-FROM-WIRE".to_owned()
    }

    fn decode(&self, bytes: Bytes, column: &mut Recycled<Value>) -> Result<(), CodeError> {
        let (len, rest) = bytes.split_first_chunk::<4>().ok_or_else(|| CodeError::new(WRONG))?;
        let len = u32::from_le_bytes(*len) as usize;
        let (text, datum) = rest.split_at_checked(len).ok_or_else(|| CodeError::new(WRONG))?;
        let (schema, plan) = self.planned(text)?;
        let mut from = Cursor::new(datum, Limits::default().depth);
        let filled = column.next().filled(&schema, datum.len(), |value| read::fill(&plan, plan.root, &mut from, value));
        filled.and_then(|()| read::ended(&from)).map_err(|flaw| {
            column.undo();
            flaw.in_record(&bytes, 4 + len)
        })
    }
}
