//! Formats, framings and compressions for Millstream. Imports `millstream-core` and no other package of the workspace.
//!
//! A *format coder* turns records of one type into records of another; a *framing* finds records in a stream of bytes
//! and makes a stream of records; a *compression* stands between the stream and where it is kept. Sources and sinks know
//! none of them: they are passed in, through the contracts of core.
//!
//! ```text
//! limits.rs   what is taken from outside is bounded
//! text.rs     bytes as text and back                           coders
//! wire/       what typed records are between instances         coders for network stages alone
//! avro/       Avro, generic or as a serde type          coders and a framing (features avro, registry)
//! json/       JSON, of any shape or as a serde type            coders     (feature json)
//! xml/        XML, of any shape, and elements of a document    coders and a framing (feature xml)
//! gzip/       gzip                                             a compression and, on request, coders (feature gzip)
//! lines.rs    records are lines                                a framing
//! whole.rs    the whole stream is one record                   a framing
//! ```
//!
//! No module imports another, except `limits` and `text`.

pub mod limits;
pub mod lines;
pub mod text;
pub mod whole;
pub mod wire;

#[cfg(feature = "avro")]
pub mod avro;
#[cfg(feature = "gzip")]
pub mod gzip;
#[cfg(feature = "json")]
pub mod json;
#[cfg(feature = "xml")]
pub mod xml;

#[cfg(test)]
mod testing;

use std::sync::Arc;

use millstream_core::contracts::{Coder, Compression};

/// The coders that every pipeline has: those of text, those of numbers between instances, and of JSON and XML of any shape
/// where these features are on. A compression is never among them: it would lead from bytes to bytes, and is asked for by `decode_as` and `encode_as`.
pub fn defaults() -> Vec<Coder> {
    let mut coders = text::coders();
    coders.extend(wire::coders());
    #[cfg(feature = "avro")]
    coders.extend(avro::coders());
    #[cfg(feature = "json")]
    coders.extend(json::coders());
    #[cfg(feature = "xml")]
    coders.extend(xml::coders());
    coders
}

/// The compressions to try on a stream, by their magic numbers or by name.
pub fn compressions() -> Vec<Arc<dyn Compression>> {
    vec![
        #[cfg(feature = "gzip")]
        Arc::new(gzip::Gzip::default()),
    ]
}

#[cfg(test)]
mod tests {
    use millstream_core::contracts::Coder;

    #[test]
    fn no_default_coder_leads_from_a_type_to_itself_and_no_two_do_the_same() {
        let coders = crate::defaults();
        for (at, coder) in coders.iter().enumerate() {
            assert!(coder.from != coder.to, "{coder:?}");
            let alike = |other: &&Coder| other.from == coder.from && other.to == coder.to && other.kind == coder.kind;
            let same = coders[at + 1..].iter().find(alike);
            assert!(same.is_none(), "{coder:?} {same:?}");
        }
        assert!(coders.iter().any(|coder| coder.name == "TEXT-DECODER"));
    }

    #[cfg(feature = "gzip")]
    #[test]
    fn the_compression_of_a_stream_is_found_by_its_magic() {
        let start = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0];
        let found: Vec<_> =
            crate::compressions().iter().filter(|way| way.matches(&start)).map(|way| way.name()).collect();
        assert_eq!(found, ["gzip"]);
    }
}
