//! [`Limits`]: what a topic asks of its records, as far as the brokers tell. A record that they may refuse is sent by
//! itself, so that no other is refused with it: those would have to be sent again, behind others of their partition.

use super::admin::Settings;

/// What a batch of one record adds to its key, its value and its headers, at the most: the head of the batch (61 bytes),
/// and lengths and times of the record.
const AROUND: usize = 128;

/// What each header adds, at the most.
const AROUND_HEADER: usize = 10;

/// How far the brokers' clock and ours may be apart, in milliseconds.
const CLOCKS: i64 = 60_000;

/// What a topic asks of its records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Limits {
    /// The most bytes of a batch of records, compressed.
    largest: Option<usize>,
    /// Each has to have a key.
    keyed: bool,
    /// How far timestamps may lie behind the brokers' time, and ahead of it, in milliseconds.
    behind: Option<i64>,
    ahead: Option<i64>,
}

/// What is told of a record.
pub(super) struct Measures {
    pub(super) bytes: usize,
    pub(super) headers: usize,
    pub(super) has_key: bool,
    /// In milliseconds since the Unix epoch.
    pub(super) timestamp: Option<i64>,
}

impl Limits {
    /// Those of a topic with these settings; what isn't among them is no limit.
    pub(super) fn of(settings: &Settings) -> Self {
        let number = |name: &str| settings.get(name).and_then(|value| value.parse::<i64>().ok());
        let stamped = settings.get("message.timestamp.type").is_some_and(|kind| kind == "LogAppendTime");
        let old = number("message.timestamp.difference.max.ms");
        let apart = |name| if stamped { None } else { number(name).into_iter().chain(old).min() };
        Self {
            largest: number("max.message.bytes").and_then(|bytes| usize::try_from(bytes).ok()),
            keyed: settings.get("cleanup.policy").is_some_and(|policy| policy.contains("compact")),
            behind: apart("message.timestamp.before.max.ms"),
            ahead: apart("message.timestamp.after.max.ms"),
        }
    }

    /// The most bytes of a batch, where so many were asked for.
    pub(super) fn batch_size(&self, wanted: usize) -> usize {
        self.largest.map_or(wanted, |largest| wanted.min(largest.max(1)))
    }

    /// Whether the brokers may refuse such a record, `now` being our time in milliseconds since the Unix epoch.
    pub(super) fn may_refuse(&self, record: &Measures, now: i64) -> bool {
        let whole = record.bytes + AROUND + record.headers * AROUND_HEADER;
        let far = |time: i64, limit: Option<i64>| limit.is_some_and(|limit| time > limit.saturating_sub(CLOCKS));
        let apart = record.timestamp.map_or(0, |time| now.saturating_sub(time));
        self.largest.is_some_and(|largest| whole > largest)
            || (self.keyed && !record.has_key)
            || far(apart, self.behind)
            || far(apart.saturating_neg(), self.ahead)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn limits(settings: &[(&str, &str)]) -> Limits {
        let settings: HashMap<_, _> = settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Limits::of(&settings)
    }

    const SMALL: Measures = Measures { bytes: 100, headers: 0, has_key: false, timestamp: None };

    #[test]
    fn a_topic_of_which_nothing_is_known_may_refuse_nothing() {
        let far = Measures { bytes: usize::MAX / 2, timestamp: Some(i64::MIN), ..SMALL };
        assert!(!limits(&[]).may_refuse(&far, 0));
        assert!(!limits(&[("max.message.bytes", "-"), ("cleanup.policy", "delete")]).may_refuse(&far, 0));
    }

    #[test]
    fn what_may_be_too_large_or_has_no_key_is_found() {
        let small = limits(&[("max.message.bytes", "1000")]);
        let of = |bytes, headers| small.may_refuse(&Measures { bytes, headers, ..SMALL }, 0);
        assert_eq!([of(100, 0), of(872, 0), of(873, 0), of(800, 8)], [false, false, true, true]);
        let compacted = limits(&[("cleanup.policy", "compact,delete")]);
        assert!(compacted.may_refuse(&SMALL, 0) && !compacted.may_refuse(&Measures { has_key: true, ..SMALL }, 0));
    }

    #[test]
    fn timestamps_that_may_be_too_far_off_are_found() {
        let near = [("message.timestamp.before.max.ms", "3600000"), ("message.timestamp.after.max.ms", "600000")];
        let now = 10_000_000;
        let of = |limits: &Limits, time| limits.may_refuse(&Measures { timestamp: Some(time), ..SMALL }, now);
        let found = [0, now - 3_540_001, now - 3_540_000, now, now + 540_000, now + 540_001, i64::MAX];
        assert_eq!(found.map(|time| of(&limits(&near), time)), [true, true, false, false, false, true, true]);
        assert!(!limits(&near).may_refuse(&SMALL, now), "it gets the time of its sending");
        let stamped = [near[0], near[1], ("message.timestamp.type", "LogAppendTime")];
        assert!(!of(&limits(&stamped), 0));
        assert!(of(&limits(&[("message.timestamp.difference.max.ms", "1000000")]), 0));
        let ever = [("message.timestamp.before.max.ms", "9223372036854775807")];
        assert!(!of(&limits(&ever), 0));
    }
}
