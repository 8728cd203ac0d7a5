//! XML: [`Node`], a document that was read into flat tables and keeps the bytes it came from; the coders between it and
//! bytes; and [`Elements`], which cuts records out of one large document.
//!
//! ```
//! use millstream_coders::xml;
//!
//! let order = xml::Node::parse("<order id='7'><status>paid</status><customer><name>Ann</name></customer></order>")?;
//! assert_eq!(order.text_of("status"), Some("paid"));
//! assert_eq!(order.text_of("customer/name"), Some("Ann"));
//! assert_eq!(order.text_of("@id"), Some("7"));
//! # Ok::<(), millstream_core::contracts::CodeError>(())
//! ```
//!
//! # What is taken for XML
//!
//! XML 1.0 in UTF-8, with or without a byte order mark; another declared encoding is refused by its name. Names are
//! matched as they are written, prefix included: namespaces are not resolved. A DTD is skipped, so that a reference to an
//! entity that it declares is an error, and so are defaults for attributes missed; nothing is ever opened because a
//! document names it.
//!
//! Checked in every record: tags that don't pair, more or less than one root element, text outside it, attributes
//! (syntax, names that come twice, a bare `<`), references (the five of XML and characters that XML allows), `]]>` in
//! text, `--` in comments, characters below U+0020, UTF-8, and [`Limits`].
//!
//! Not checked: which characters beyond ASCII a name may have, U+FFFE and U+FFFF, what stands inside a DTD, anything
//! about namespaces, and that a name has only one colon.

mod change;
mod chars;
mod decode;
mod elements;
mod encode;
mod node;
mod path;
#[cfg(test)]
mod samples;

pub use decode::XmlDecoder;
pub use elements::Elements;
pub use encode::XmlEncoder;
pub use node::{Children, Element, Node};
pub use path::{Path, PathError, Texts};

use millstream_core::contracts::{self, Coder, Format};

use crate::limits::Limits;

/// The coders of this module, with the default [`Limits`]: `XML-DECODER` and `XML-ENCODER`.
pub fn coders() -> Vec<Coder> {
    let xml = format();
    [xml.decoder(), xml.encoder()].into_iter().flatten().collect()
}

/// XML as a format, with the default [`Limits`].
pub fn format() -> Xml {
    Xml { limits: Limits::default() }
}

/// XML as a format. Made by [`format()`].
#[derive(Debug, Clone, Copy)]
pub struct Xml {
    limits: Limits,
}

impl Xml {
    /// With other limits than the default ones.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

impl Format for Xml {
    type Value = Node;

    fn decoder(&self) -> Option<Coder> {
        Some(contracts::decoder(XmlDecoder::new(self.limits)))
    }

    fn encoder(&self) -> Option<Coder> {
        Some(contracts::encoder(XmlEncoder))
    }
}
