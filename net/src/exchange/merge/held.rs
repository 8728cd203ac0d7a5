//! [`Held`]: for which origins a merge that orders those of different ones still waits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The open origins that have nothing to pass, by the number of their stream. Each holds back what is later than its
/// watermark, from when something first waits for it, for as long as the time-out at most. Given up, it holds back
/// nothing until it has had something again or promises anew.
#[derive(Debug)]
pub(super) struct Held {
    /// `None`: for ever.
    idle: Option<Duration>,
    /// Only what nobody can pass now; the others are not waited for.
    silent: BTreeMap<u64, Silence>,
    watermarks: BTreeMap<u64, i64>,
    /// Those that hold back, by watermark; one without a watermark holds back everything.
    lowest: BTreeSet<(Option<i64>, u64)>,
    /// Those of them that nothing has waited for, likewise.
    unasked: BTreeSet<(Option<i64>, u64)>,
    /// The others, by when they are given up.
    deadlines: BTreeSet<(Duration, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    /// Nothing has waited for it.
    Unasked,
    /// It is waited for until then.
    Until(Duration),
    /// Nothing waits for it any more.
    GivenUp,
}

impl Held {
    pub(super) fn new(idle: Option<Duration>) -> Self {
        Self {
            idle,
            silent: BTreeMap::new(),
            watermarks: BTreeMap::new(),
            lowest: BTreeSet::new(),
            unasked: BTreeSet::new(),
            deadlines: BTreeSet::new(),
        }
    }

    /// The origin has nothing that can pass.
    pub(super) fn silent(&mut self, id: u64) {
        if self.silent.contains_key(&id) {
            return;
        }
        let key = (self.watermark(id), id);
        self.silent.insert(id, Silence::Unasked);
        self.lowest.insert(key);
        self.unasked.insert(key);
    }

    /// The origin has something that can pass, or is not open any more. Returns whether it had been given up.
    pub(super) fn speaks(&mut self, id: u64) -> bool {
        let key = (self.watermark(id), id);
        self.lowest.remove(&key);
        self.unasked.remove(&key);
        match self.silent.remove(&id) {
            Some(Silence::Until(deadline)) => {
                self.deadlines.remove(&(deadline, id));
                false
            }
            Some(Silence::GivenUp) => true,
            Some(Silence::Unasked) | None => false,
        }
    }

    /// The origin promises that nothing earlier than `time` comes of it: a sign of life, too. Returns whether it had
    /// been given up.
    pub(super) fn promise(&mut self, id: u64, time: i64) -> bool {
        let silent = self.silent.contains_key(&id);
        let given_up = self.speaks(id);
        let watermark = self.watermarks.entry(id).or_insert(time);
        *watermark = time.max(*watermark);
        if silent {
            self.silent(id);
        }
        given_up
    }

    pub(super) fn watermark(&self, id: u64) -> Option<i64> {
        self.watermarks.get(&id).copied()
    }

    /// The origin is over.
    pub(super) fn forget(&mut self, id: u64) {
        self.speaks(id);
        self.watermarks.remove(&id);
    }

    /// Whether what has this event time has to wait.
    pub(super) fn holds_back(&mut self, time: i64, now: Duration) -> bool {
        self.ask(time, now);
        self.give_up(now);
        self.lowest.first().is_some_and(|&(watermark, _)| watermark < Some(time))
    }

    /// The lowest place that something which holds back may yet come from; `None`: nothing holds back.
    pub(super) fn lowest(&self) -> Option<i64> {
        self.lowest.first().map(|&(watermark, _)| watermark.unwrap_or(i64::MIN))
    }

    /// When something is next given up.
    pub(super) fn wake(&self) -> Option<Duration> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }

    /// Without a time-out those that are waited for stay as they are.
    fn ask(&mut self, time: i64, now: Duration) {
        while let Some(&(watermark, id)) = self.unasked.first()
            && watermark < Some(time)
        {
            self.unasked.pop_first();
            let Some(idle) = self.idle else { continue };
            let deadline = now.saturating_add(idle);
            self.silent.insert(id, Silence::Until(deadline));
            self.deadlines.insert((deadline, id));
        }
    }

    fn give_up(&mut self, now: Duration) {
        while let Some(&(deadline, id)) = self.deadlines.first()
            && deadline <= now
        {
            self.deadlines.pop_first();
            self.lowest.remove(&(self.watermark(id), id));
            self.silent.insert(id, Silence::GivenUp);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(5);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn all_who_are_silent_are_waited_for_at_once() {
        let mut held = Held::new(Some(IDLE));
        held.silent(1);
        held.silent(2);
        assert!(held.holds_back(10, at(100)));
        assert_eq!(held.wake(), Some(at(105)));
        assert!(held.holds_back(10, at(104)));
        assert!(!held.holds_back(10, at(105)), "both are given up, not one after the other");
    }

    #[test]
    fn the_wait_begins_when_something_waits() {
        let mut held = Held::new(Some(IDLE));
        held.silent(1);
        assert_eq!(held.wake(), None);
        assert!(held.holds_back(10, at(1_000)));
        assert_eq!(held.wake(), Some(at(1_005)));
    }

    #[test]
    fn a_watermark_lets_pass_what_is_not_later() {
        let mut held = Held::new(Some(IDLE));
        held.silent(1);
        held.promise(1, 10);
        assert!(!held.holds_back(10, at(0)));
        assert!(held.holds_back(11, at(0)));
        held.promise(1, 5);
        assert!(!held.holds_back(10, at(0)), "a lower promise takes nothing back");
    }

    #[test]
    fn who_was_given_up_is_waited_for_again_once_it_has_had_something() {
        let mut held = Held::new(Some(IDLE));
        held.silent(1);
        assert!(held.holds_back(10, at(0)));
        assert!(!held.holds_back(10, at(5)));
        held.silent(1);
        assert!(!held.holds_back(11, at(6)), "still silent");
        assert!(held.speaks(1));
        held.silent(1);
        assert!(held.holds_back(12, at(7)));
        held.forget(1);
        assert!(!held.holds_back(12, at(7)));
        assert_eq!(held.wake(), None);
    }
}
