//! [`Letter`]: a dead letter.

use base64::Engine as _;

mod form;

use super::Error;
use crate::data::{EventTime, Original};

pub use form::{FromLetter, LetterForm};

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
    /// The record as its source gave it, where there is more of it than bytes: a message with its key and headers.
    pub original: Original,
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
    /// The letter as one line of JSON, without its end: `time` (RFC 3339, UTC, to the microsecond; years before 0 or
    /// after 9999 with a sign and six digits, as in ISO 8601), `source`, `position`, `stage`, `reason`, and the original
    /// bytes as `text` where they are UTF-8, else as `base64`.
    pub fn to_json(&self) -> Result<String, Error> {
        let text = std::str::from_utf8(&self.bytes).ok();
        let line = Line {
            time: utc(self.time.micros),
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

/// Microseconds since the Unix epoch as a date and a time of day. Event times come from outside and may be anything,
/// also what RFC 3339 has no year for.
fn utc(micros: i64) -> String {
    const DAY: i64 = 86_400_000_000;
    let (year, month, day) = date(micros.div_euclid(DAY));
    let of_day = micros.rem_euclid(DAY);
    let (seconds, micros) = (of_day / 1_000_000, of_day % 1_000_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let year = match year {
        0..=9999 => format!("{year:04}"),
        _ => format!("{year:+07}"),
    };
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

/// The year, month and day of the Gregorian calendar, so many days after 1970-01-01: Howard Hinnant's `civil_from_days`
/// (howardhinnant.github.io/date_algorithms.html), whose years begin in March so that the leap day is the last.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests;
