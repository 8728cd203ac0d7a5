//! [`XmlEncoder`]: a node is the bytes that it keeps.

use millstream_core::contracts::{CodeError, Encoder};

use super::Node;

/// `XML-ENCODER`: writes exactly the bytes that a [`Node`] keeps. It never fails.
#[derive(Debug, Clone, Copy, Default)]
pub struct XmlEncoder;

impl Encoder for XmlEncoder {
    type In = Node;

    fn name(&self) -> String {
        "XML-ENCODER".into()
    }

    fn encode(&self, value: &Node, out: &mut Vec<u8>) -> Result<(), CodeError> {
        out.extend_from_slice(value.bytes());
        Ok(())
    }
}
