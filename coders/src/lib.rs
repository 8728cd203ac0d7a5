//! Formats, framings and compressions for Millstream. Imports `millstream-core` and no other package of the workspace.

pub mod limits;
pub mod lines;
pub mod text;
pub mod whole;

#[cfg(feature = "gzip")]
pub mod gzip;
#[cfg(feature = "json")]
pub mod json;
#[cfg(feature = "xml")]
pub mod xml;
