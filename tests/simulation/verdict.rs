//! [`check`]: whether what the plan promises holds, once all is over.

use std::collections::{BTreeMap, BTreeSet};

use millstream::plan::Guarantee;

use crate::faults::What;
use crate::outside::Outside;
use crate::scenario::Scenario;
use crate::shape::Shape;
use crate::tally::Tally;
use crate::truth::{Fate, Record, Row};

/// Whether what the plan promises holds; what doesn't is written down outside.
pub(crate) fn check(scenario: &Scenario, outside: &Outside, promise: Option<Guarantee>, tally: &mut Tally) {
    let Some(promise) = promise else { return };
    let verdict = Verdict { scenario, outside, promise, rows: outside.downstream.rows() };
    if outside.all_wrong().is_empty() {
        verdict.nothing_is_missing();
        verdict.commits_are_exact();
        verdict.folds_emit_all();
    }
    verdict.nothing_is_more_than_promised();
    verdict.order_is_kept();
    verdict.keys_come_in_order(tally);
    verdict.letters_are_right();
    verdict.all_was_understood(tally);
    verdict.count(tally);
}

struct Verdict<'a> {
    scenario: &'a Scenario,
    outside: &'a Outside,
    promise: Guarantee,
    /// How often each row is there.
    rows: BTreeMap<Row, u32>,
}

impl Verdict<'_> {
    fn wrong(&self, what: String) {
        self.outside.wrong(what);
    }

    fn partitions(&self) -> std::ops::Range<usize> {
        0..self.scenario.truth.records.len()
    }

    /// How many rows have to pass the limit at least: a source record passes whole or not at all.
    fn limit(&self) -> Option<usize> {
        let truth = &self.scenario.truth;
        truth.limit.map(|limit| (limit / truth.rows * truth.rows) as usize)
    }

    /// How many of them have to be others: one that comes again counts again.
    fn limit_of_others(&self) -> Option<usize> {
        let repeated: usize = self.rows.values().map(|&times| times as usize - 1).sum();
        let rows = self.scenario.truth.rows as usize;
        self.limit().map(|limit| limit.saturating_sub(repeated).div_ceil(rows) * rows)
    }

    fn nothing_is_missing(&self) {
        for partition in self.partitions() {
            let mut expected = self.scenario.truth.rows_of_all(partition);
            expected.truncate(self.limit_of_others().unwrap_or(usize::MAX));
            let missing: Vec<_> = expected.iter().filter(|row| !self.rows.contains_key(row)).collect();
            if let Some(first) = missing.first() {
                self.wrong(format!("{} rows are missing, the first is {first}", missing.len()));
            }
        }
    }

    /// No row that must not be there, and none twice where each effect is promised once.
    fn nothing_is_more_than_promised(&self) {
        for (&row, &times) in &self.rows {
            let record = row.record;
            let known = self.partitions().contains(&record.partition)
                && record.number < self.scenario.truth.records[record.partition];
            if !known || !self.scenario.truth.rows_of(record).any(|one| one == row) {
                self.wrong(format!("{row} is there, and must not be"));
            }
            if times > 1 && self.promise == Guarantee::ExactlyOnce && !self.scenario.shape.folds() {
                self.wrong(format!("{row} is there {times} times, and exactly-once was promised"));
            }
        }
        let passed = self.rows.len();
        if let Some(limit) = self.limit()
            && passed > limit
            && self.scenario.faults.is_empty()
        {
            self.wrong(format!("{passed} rows passed a limit of {limit}"));
        }
    }

    fn folds_emit_all(&self) {
        if self.scenario.named_states {
            let wrong = self.outside.folds.wrong(&self.outside.downstream.landed());
            wrong.into_iter().for_each(|wrong| self.wrong(wrong));
        }
    }

    fn commits_are_exact(&self) {
        for partition in self.partitions() {
            // What the sink stores with its data, or a store keeps, is what the next start goes by.
            let Outside { upstream, downstream, disks, .. } = self.outside;
            let kept = downstream.stored(partition).max(disks.saved(partition));
            let committed = upstream.committed(partition).max(kept);
            let all = self.scenario.truth.records[partition];
            if self.limit().is_none() && committed != all {
                self.wrong(format!("p{partition} is committed up to {committed}, and has {all} records"));
            }
            if self.limit().is_some() {
                self.commit_is_at_the_limit(partition, committed);
            }
        }
    }

    /// All rows before the commit are there, and what lies behind it only where a crash may repeat it.
    fn commit_is_at_the_limit(&self, partition: usize, committed: u64) {
        let rows = self.scenario.truth.rows_of_all(partition);
        let upstream = &self.outside.upstream;
        let is_before = |record: Record| match upstream.is_queued() {
            true => upstream.queue(|queue| queue.is_acknowledged(record)),
            false => record.number < committed,
        };
        let before = rows.iter().filter(|row| is_before(row.record)).count();
        let passed = self.rows.len();
        let exact = self.promise == Guarantee::ExactlyOnce || self.scenario.faults.is_empty();
        if before > passed || (exact && before != passed) {
            self.wrong(format!("p{partition} is committed up to {committed}: {before} rows, and {passed} have passed"));
        }
    }

    fn order_is_kept(&self) {
        if !self.scenario.writing.ordered || self.lets_go() {
            return;
        }
        if self.scenario.taking.is_some_and(|taking| taking.shared) {
            // Each of those who take from a partition has an order of its own, which the sink sees to.
            return;
        }
        let landed = self.outside.downstream.landed();
        if self.scenario.shape.folds() {
            landed.iter().for_each(|state| self.is_ascending(state));
            return;
        }
        let mut seen = BTreeSet::new();
        let first = |row: &Row| seen.insert(*row);
        let rows: Vec<_> = landed.iter().filter_map(|row| Row::parse(row)).filter(first).collect();
        for partition in self.partitions() {
            let of = rows.iter().filter(|row| row.record.partition == partition);
            let unsorted = of.clone().zip(of.skip(1)).find(|(one, next)| one >= next);
            if let Some((one, next)) = unsorted {
                self.wrong(format!("{next} came for the first time after {one}"));
            }
        }
    }

    /// What folds by key emit at the end comes in the order in which one would emit it, where none was emitted again.
    fn keys_come_in_order(&self, tally: &mut Tally) {
        let Scenario { shape, trigger, every, writing, .. } = self.scenario;
        let at_the_end = *shape == Shape::Keyed && trigger.is_none() && every.is_none();
        if !at_the_end || self.partitions().len() > 1 || !writing.ordered {
            return;
        }
        let landed = self.outside.downstream.landed();
        let first = |state: &String| state.split_whitespace().find_map(Row::parse);
        let firsts: Vec<Row> = landed.iter().filter_map(first).collect();
        let keys: BTreeSet<u64> = firsts.iter().map(|row| row.record.number % 10).collect();
        if keys.len() < firsts.len() || keys.len() < 2 {
            return;
        }
        tally.in_turn = 1;
        if !firsts.is_sorted() {
            self.wrong(format!("keys came in this order: {firsts:?}"));
        }
    }

    /// A fold takes in each record of a partition in order, and none twice, unless it was read again: what a fold goes on
    /// from once it has emitted is not forgotten when a source is.
    fn is_ascending(&self, state: &str) {
        let mut last = BTreeMap::new();
        for row in state.split_whitespace().filter_map(Row::parse) {
            let before = last.insert(row.record.partition, row);
            let emits = self.scenario.trigger.is_some() || self.scenario.every.is_some();
            let was_emitted = emits && self.was_read_again_from(row.record);
            if let Some(before) = before.filter(|before| *before >= row && !was_emitted) {
                self.wrong(format!("a fold has taken in {row} after {before}: {state}"));
                return;
            }
        }
    }

    /// Whether a source has opened at this record, but for some that never come, or to other folds.
    fn was_read_again_from(&self, record: Record) -> bool {
        if self.outside.upstream.is_queued() {
            return self.outside.upstream.queue(|queue| queue.times(record) > 1);
        }
        let (truth, keyed) = (&self.scenario.truth, self.scenario.shape == Shape::Keyed);
        let is_here = |number: u64| !keyed || number % 10 == record.number % 10;
        let comes = |number| is_here(number) && truth.fate(Record { number, ..record }) == Fate::Passes;
        let opened = self.outside.upstream.reopened(record.partition);
        opened.into_iter().any(|from| from <= record.number && !(from..record.number).any(comes))
    }

    /// Whether a sink let go of records, which then come later than those behind them.
    fn lets_go(&self) -> bool {
        let lets_go = |what: &What| matches!(what, What::Mood(mood) if mood.lets_go.is_some());
        self.scenario.faults.iter().any(|fault| lets_go(&fault.what))
    }

    fn letters_are_right(&self) {
        let letters = self.outside.downstream.letters();
        for record in letters.keys() {
            if self.scenario.truth.fate(*record) != Fate::Buried {
                self.wrong(format!("there is a letter of {record}, which is no poison"));
            }
        }
        for record in self.partitions().flat_map(|partition| self.scenario.truth.all(partition)) {
            if self.scenario.truth.fate(record) == Fate::Buried && !letters.contains_key(&record) {
                self.wrong(format!("there is no letter of {record}, which is poison"));
            }
        }
    }

    fn all_was_understood(&self, tally: &Tally) {
        if tally.given_up > 0 {
            self.wrong(format!("{} links were given up: a peer had sent what can't be read", tally.given_up));
        }
    }

    fn count(&self, tally: &mut Tally) {
        tally.records = self.scenario.truth.records.iter().sum();
        tally.rows = self.rows.len() as u64;
        tally.letters = self.outside.downstream.letters().values().map(|&times| u64::from(times)).sum();
        tally.again = self.outside.upstream.read().1;
        tally.repeated = self.rows.values().filter(|&&times| times > 1).count() as u64;
        let timing = self.scenario.writing.timing;
        tally.by_time = u64::from(timing.is_some());
        tally.calm = u64::from(timing.is_some_and(|timing| timing.calm));
        tally.exactly_once = u64::from(self.promise == Guarantee::ExactlyOnce);
        tally.moved_once = tally.moves * tally.exactly_once;
        if self.outside.upstream.is_queued() {
            tally.acknowledged = self.partitions().map(|partition| self.outside.upstream.committed(partition)).sum();
            tally.requeued = tally.again;
            (tally.given_back, tally.extended) = self.outside.upstream.queue(|queue| queue.returned());
        }
        if self.scenario.every.is_some() && self.scenario.trigger.is_none() {
            // Without the time each state is emitted once at most.
            let emitted = self.outside.downstream.count() as u64;
            tally.timed = emitted.saturating_sub(self.outside.folds.count() as u64);
        }
    }
}
