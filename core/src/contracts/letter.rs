//! [`Letter`]: a dead letter.

use base64::Engine as _;

use super::Error;
use crate::data::EventTime;

/// A record that could not be processed, with all it takes to see why and to run it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// When the record happened, or was read.
    pub time: EventTime,
    /// The source stage it came from.
    pub source: String,
    /// Where it stands there.
    pub position: String,
    /// The stage that failed.
    pub stage: String,
    /// Why.
    pub reason: String,
    /// The original bytes.
    pub bytes: Vec<u8>,
}

#[derive(serde::Serialize)]
struct Line<'a> {
    time: String,
    source: &'a str,
    position: &'a str,
    stage: &'a str,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl Letter {
    /// The letter as one line of JSON, without its end: `time` (RFC 3339, UTC), `source`, `position`, `stage`,
    /// `reason`, and the original bytes as `text` where they are UTF-8, else as `base64`.
    pub fn to_json(&self) -> Result<String, Error> {
        let text = std::str::from_utf8(&self.bytes).ok();
        let micros = u64::try_from(self.time.micros).unwrap_or(0);
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_micros(micros);
        let line = Line {
            time: humantime::format_rfc3339_micros(time).to_string(),
            source: &self.source,
            position: &self.position,
            stage: &self.stage,
            reason: &self.reason,
            text,
            base64: text.is_none().then(|| base64::engine::general_purpose::STANDARD.encode(&self.bytes)),
        };
        serde_json::to_string(&line)
            .map_err(|error| Error::new(super::Cause::Bug, "a dead letter could not be written as JSON").because(error))
    }
}
