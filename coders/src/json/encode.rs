//! `JSON-ENCODER`: [`Value`] to bytes, exactly those it holds.

use millstream_core::contracts::{CodeError, Encoder};

use super::Value;

pub(super) struct FromValue;

impl Encoder for FromValue {
    type In = Value;

    fn name(&self) -> String {
        "JSON-ENCODER".to_owned()
    }

    fn encode(&self, value: &Value, out: &mut Vec<u8>) -> Result<(), CodeError> {
        out.extend_from_slice(value.bytes());
        Ok(())
    }
}
