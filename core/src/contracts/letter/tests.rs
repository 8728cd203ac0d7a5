use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;

/// The last microsecond that RFC 3339 has a year for.
const LAST: i64 = 253_402_300_799_999_999;

fn letter(bytes: &[u8]) -> Letter {
    Letter {
        time: EventTime { micros: 1_700_000_000_000_001, ingested: false },
        source: "orders".into(),
        position: "orders.xml line 12, byte 4711".into(),
        stage: "filter at \"main.rs\":7".into(),
        reason: "expected a number\nfound `x`".into(),
        bytes: bytes.into(),
        original: Original::default(),
    }
}

fn parsed(letter: &Letter) -> serde_json::Map<String, serde_json::Value> {
    let line = letter.to_json().unwrap();
    assert!(!line.contains('\n'), "a letter is one line: {line}");
    serde_json::from_str(&line).unwrap()
}

#[test]
fn a_letter_of_text_is_shown_as_it_is() {
    assert_eq!(
        letter("<order>\t\"é\"\0</order>".as_bytes()).to_json().unwrap(),
        r#"{"time":"2023-11-14T22:13:20.000001Z","source":"orders","position":"orders.xml line 12, byte 4711","#
            .to_owned()
            + r#""stage":"filter at \"main.rs\":7","reason":"expected a number\nfound `x`","#
            + r#""text":"<order>\t\"é\"\u0000</order>"}"#
    );
}

#[test]
fn a_letter_of_other_bytes_is_shown_in_base64() {
    let json = letter(&[0xff, 0, 0xfe]).to_json().unwrap();
    assert!(json.ends_with(r#","base64":"/wD+"}"#), "{json}");
    assert!(!json.contains("\"text\""));
}

#[test]
fn a_letter_without_bytes_is_an_empty_text() {
    assert_eq!(parsed(&letter(b""))["text"], "");
}

#[test]
fn times_that_rfc_3339_has_no_year_for_have_a_sign() {
    for (micros, time) in [
        (0, "1970-01-01T00:00:00.000000Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (-11_644_473_600_000_000, "1601-01-01T00:00:00.000000Z"),
        (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
        (LAST, "9999-12-31T23:59:59.999999Z"),
        (LAST + 1, "+010000-01-01T00:00:00.000000Z"),
        (-62_167_219_200_000_000, "0000-01-01T00:00:00.000000Z"),
        (-62_167_219_200_000_001, "-000001-12-31T23:59:59.999999Z"),
        (i64::MAX, "+294247-01-10T04:00:54.775807Z"),
        (i64::MIN, "-290308-12-21T19:59:05.224192Z"),
    ] {
        let letter = Letter { time: EventTime { micros, ingested: true }, ..letter(b"") };
        assert_eq!(parsed(&letter)["time"], time);
    }
}

/// Counted up day by day.
#[test]
fn every_day_follows_the_one_before() {
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut expected = date(-200_000);
    for days in -200_000..200_000 {
        assert_eq!(date(days), expected);
        let (year, month, day) = expected;
        let last = match month {
            2 if leap(year) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        expected = match (day == last, month) {
            (true, 12) => (year + 1, 1, 1),
            (true, _) => (year, month + 1, 1),
            _ => (year, month, day + 1),
        };
    }
}

proptest! {
    #[test]
    fn nothing_of_a_letter_is_lost(
        bytes in prop_oneof![prop::collection::vec(any::<u8>(), 0..40), any::<String>().prop_map(String::into_bytes)],
        [source, position, stage, reason] in any::<[String; 4]>(),
        micros: i64,
    ) {
        let time = EventTime { micros, ingested: false };
        let letter = Letter { time, source, position, stage, reason, bytes, original: Original::default() };
        let parsed = parsed(&letter);
        let found = match (parsed.get("text"), parsed.get("base64")) {
            (Some(text), None) => text.as_str().unwrap().as_bytes().to_vec(),
            (None, Some(base64)) => {
                prop_assert!(std::str::from_utf8(&letter.bytes).is_err());
                base64::engine::general_purpose::STANDARD.decode(base64.as_str().unwrap()).unwrap()
            }
            both => return Err(TestCaseError::fail(format!("{both:?}"))),
        };
        prop_assert_eq!(&found, &letter.bytes);
        let Letter { source, position, stage, reason, .. } = letter;
        for (name, value) in [("source", source), ("position", position), ("stage", stage), ("reason", reason)] {
            prop_assert_eq!(parsed[name].as_str(), Some(&*value));
        }
    }

    #[test]
    fn times_are_as_others_write_them(micros in 0..=LAST) {
        let other = humantime::format_rfc3339_micros(UNIX_EPOCH + Duration::from_micros(micros as u64));
        prop_assert_eq!(utc(micros), other.to_string());
    }
}
