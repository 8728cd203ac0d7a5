//! [`Tally`]: what happened, in numbers.

use std::fmt;

use millstream::contracts;
use millstream_core::testkit::Traffic;

/// What happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) records: u64,
    pub(crate) rows: u64,
    pub(crate) letters: u64,
    /// Instances that were killed while they ran, and those while something was left to do.
    pub(crate) kills: u64,
    pub(crate) mid_run: u64,
    pub(crate) drains: u64,
    pub(crate) cuts: u64,
    pub(crate) moves: u64,
    /// Moves in runs that promised each effect once.
    pub(crate) moved_once: u64,
    pub(crate) moods: u64,
    /// Sinks that hung.
    pub(crate) hung: u64,
    /// Tries at which a stage refused a record that it took later.
    pub(crate) tried_again: u64,
    /// Second starts of an instance that was there.
    pub(crate) refused: u64,
    /// Instances that ended with an error and were started again.
    pub(crate) failed: u64,
    /// Records that a source read again.
    pub(crate) again: u64,
    /// Rows that are there more than once.
    pub(crate) repeated: u64,
    pub(crate) frames: u64,
    pub(crate) lost: u64,
    pub(crate) overtaken: u64,
    pub(crate) downs: u64,
    /// Links that were given up because of what came over them.
    pub(crate) given_up: u64,
    /// Records that were acknowledged each by itself; those that were taken again, and that sources gave back; how often
    /// they were kept out of others' sight for longer.
    pub(crate) acknowledged: u64,
    pub(crate) requeued: u64,
    pub(crate) given_back: u64,
    pub(crate) extended: u64,
    /// States that folds emitted because it was time.
    pub(crate) timed: u64,
    /// Runs that promised each effect once.
    pub(crate) exactly_once: u64,
    /// Records that were dealt anew, handed back, discarded before a merge, and passed again behind it.
    pub(crate) redealt: u64,
    pub(crate) handed_back: u64,
    pub(crate) discarded: u64,
    pub(crate) replayed: u64,
    /// Times that a merge froze an origin.
    pub(crate) frozen: u64,
    /// Runs whose records were merged by event time, those of them in which the order was checked, and records that passed late.
    pub(crate) by_time: u64,
    pub(crate) calm: u64,
    pub(crate) passed_late: u64,
    /// Runs in which the order was checked of what folds by key emitted at the end.
    pub(crate) in_turn: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, others) in self.all_mut().into_iter().zip(other.clone().all_mut()) {
            *mine += *others;
        }
    }

    pub(crate) fn saw(&mut self, traffic: Traffic) {
        (self.frames, self.lost) = (traffic.frames, traffic.lost);
        (self.overtaken, self.downs, self.given_up) = (traffic.overtaken, traffic.downs, traffic.given_up);
    }

    pub(crate) fn met(&mut self, met: contracts::Traffic) {
        let contracts::Traffic { redealt, handed_back, discarded, replayed, frozen, passed_late, .. } = met;
        (self.redealt, self.handed_back) = (redealt, handed_back);
        (self.discarded, self.replayed, self.frozen) = (discarded, replayed, frozen);
        self.passed_late = passed_late;
    }

    fn all_mut(&mut self) -> [&mut u64; 36] {
        [
            &mut self.records,
            &mut self.rows,
            &mut self.letters,
            &mut self.kills,
            &mut self.mid_run,
            &mut self.drains,
            &mut self.cuts,
            &mut self.moves,
            &mut self.moved_once,
            &mut self.moods,
            &mut self.hung,
            &mut self.tried_again,
            &mut self.refused,
            &mut self.failed,
            &mut self.again,
            &mut self.repeated,
            &mut self.frames,
            &mut self.lost,
            &mut self.overtaken,
            &mut self.downs,
            &mut self.given_up,
            &mut self.acknowledged,
            &mut self.requeued,
            &mut self.given_back,
            &mut self.extended,
            &mut self.timed,
            &mut self.exactly_once,
            &mut self.redealt,
            &mut self.handed_back,
            &mut self.discarded,
            &mut self.replayed,
            &mut self.frozen,
            &mut self.by_time,
            &mut self.calm,
            &mut self.passed_late,
            &mut self.in_turn,
        ]
    }

    /// A set of seeds in which nothing happened proves nothing.
    pub(crate) fn proves_something(&self) {
        let had = [
            ("records", self.records),
            ("rows", self.rows),
            ("kills in mid-run", self.mid_run),
            ("drains", self.drains),
            ("sinks that were slow or failed", self.moods),
            ("sinks that hung", self.hung),
            ("records that were tried again", self.tried_again),
            ("records that were read again", self.again),
            ("records that were acknowledged each by itself", self.acknowledged),
            ("records that were taken again", self.requeued),
            ("records that were given back", self.given_back),
            ("records that were kept out of others' sight", self.extended),
            ("states that folds emitted because it was time", self.timed),
            ("runs that promised each effect once", self.exactly_once),
        ];
        let over_a_network = [
            ("cuts", self.cuts),
            ("frames", self.frames),
            ("frames that were lost", self.lost),
            ("frames that were overtaken", self.overtaken),
            ("peers that were lost", self.downs),
            ("letters", self.letters),
            ("moves of the broker's choice", self.moves),
            ("moves in runs that promised each effect once", self.moved_once),
            ("second starts that were refused", self.refused),
            ("records that were dealt anew", self.redealt),
            ("records that were handed back", self.handed_back),
            ("records that were discarded", self.discarded),
            ("records that passed a merge again", self.replayed),
            ("origins that were frozen", self.frozen),
            ("calm runs by event time", self.calm),
            ("records that passed late", self.passed_late),
            ("runs of folds by key whose order was checked", self.in_turn),
        ];
        let over_a_network = over_a_network.into_iter().filter(|_| crate::scenario::MOST_INSTANCES > 1);
        for (what, count) in had.into_iter().chain(over_a_network) {
            assert!(count > 0, "no {what}: this test proves nothing");
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, rows, letters, kills, mid_run, drains, cuts, moves, moved_once, moods, .. } = self;
        let Self { refused, failed, again, repeated, frames, lost, overtaken, downs, exactly_once, .. } = self;
        let Self { hung, tried_again, redealt, handed_back, discarded, replayed, frozen, .. } = self;
        let Self { acknowledged, requeued, given_back, extended, timed, by_time, calm, passed_late, in_turn, .. } =
            self;
        write!(
            f,
            "{records} records became {rows} rows and {letters} letters; {kills} kills ({mid_run} in mid-run), {drains} \
             drains, {cuts} cuts, {moves} moves of the broker's choice ({moved_once} in exactly-once runs), {moods} times a slow or failing sink, {hung} that \
             hung, {refused} second starts refused, {failed} runs that failed; {tried_again} tries in vain, {again} records read again, {repeated} rows repeated; \
             {frames} frames, {lost} of them lost and {overtaken} overtaken, {downs} peers lost; {redealt} records dealt \
             anew, {handed_back} handed back, {discarded} discarded, {replayed} passed again, {frozen} times an origin \
             frozen; {by_time} runs merged by event time, {calm} of them calm, {passed_late} records late, {in_turn} of folds by key in order; {acknowledged} records acknowledged each by itself, {requeued} of them taken again, {given_back} given back, \
             {extended} times kept out of sight for longer; {timed} states emitted because it was time; {exactly_once} runs \
             were exactly-once"
        )
    }
}
