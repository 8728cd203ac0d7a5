//! The suite against connectors that are right, and against connectors of which each does one thing wrong: it has to find
//! that, by the check that is there for it.

use std::sync::{Arc, Mutex};

use super::*;
use crate::commit::Ticket;
use crate::contracts::{
    Cause, Checkpoint, Chunk, Commits, Ends, Error, Event, Held, Refused, Result, Sink, SinkContext, SinkFactory,
    SinkTraits, Source, SourceFactory, SourceTraits, WriteError,
};
use crate::data::{Marks, Partition, Position, Records, Typed};

/// What a source does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Nothing,
    SwapsRecords,
    TakesBeforeItWaits,
    ResumesTooFar,
    ResumesTooEarly,
    GivesTheBatchesPosition,
    TakesAnyPosition,
    TakesOtherVersions,
    CallsItAMistakeOfTheUser,
    ChecksNothing,
    OpensNothing,
    RefusesSilently,
    ReadsOnAfterAFault,
}

const COUNT: u64 = 60;

#[derive(Clone)]
struct Numbers {
    wrong: Wrong,
    /// The numbers that can't be given.
    bad: &'static [u64],
    count: u64,
    missing: bool,
    endless: bool,
    /// Whether the server has restarted.
    restarted: Arc<Mutex<bool>>,
}

fn numbers(wrong: Wrong) -> Numbers {
    Numbers { wrong, bad: &[], count: COUNT, missing: false, endless: false, restarted: Arc::default() }
}

impl SourceFactory for Numbers {
    type Source = Reading;

    fn traits(&self) -> SourceTraits {
        let ends = if self.endless { Ends::Unbounded } else { Ends::Bounded };
        SourceTraits { ends, commits: Commits::Optimistic, ..SourceTraits::new("NUMBERS", "numbers") }
    }

    fn check(&self) -> Vec<String> {
        let wrong = self.count > 1_000 && self.wrong != Wrong::ChecksNothing;
        if wrong { vec!["more than 1,000 numbers: ask for fewer".into()] } else { Vec::new() }
    }

    fn make(&self) -> Reading {
        Reading { of: self.clone(), next: 0 }
    }
}

struct Reading {
    of: Numbers,
    next: u64,
}

impl Reading {
    fn number_in(&self, position: &Position) -> Result<u64> {
        let cause = if self.of.wrong == Wrong::CallsItAMistakeOfTheUser { Cause::User } else { Cause::State };
        let strange = || Error::new(cause, format!("{} is no position of numbers", position.label()));
        let bytes = position.bytes();
        let version = bytes.first() == Some(&1) || self.of.wrong == Wrong::TakesOtherVersions;
        let number = bytes.get(1..).and_then(|body| body.try_into().ok()).map(u64::from_le_bytes);
        let number = number.filter(|number| version && *number <= self.of.count).ok_or_else(strange);
        match self.of.wrong {
            Wrong::TakesAnyPosition => Ok(number.unwrap_or_default()),
            Wrong::ResumesTooFar => number.map(|number| number + 1),
            Wrong::ResumesTooEarly => number.map(|number| number.saturating_sub(1)),
            _ => number,
        }
    }
}

impl Source for Reading {
    type Out = u64;

    async fn open(&mut self, held: &Held) -> Result<Vec<Partition>> {
        if self.of.missing && self.of.wrong != Wrong::OpensNothing {
            return Err(Error::new(Cause::User, "there are no numbers here"));
        }
        let partition = Partition::new("numbers");
        if let Some(position) = held.position(&partition) {
            self.next = self.number_in(&position)?;
        }
        Ok(vec![partition])
    }

    async fn next(&mut self) -> Result<Event<u64>> {
        let wrong = self.of.wrong;
        if self.next >= self.of.count {
            if self.of.endless {
                std::future::pending::<()>().await;
            }
            return Ok(Event::End);
        }
        if wrong != Wrong::TakesBeforeItWaits {
            tokio::task::yield_now().await;
        }
        if wrong == Wrong::ReadsOnAfterAFault && std::mem::take(&mut *self.of.restarted.lock().unwrap()) {
            self.next = self.of.count.min(self.next + 7);
        }
        let first = self.next;
        self.next = self.of.count.min(first + 7);
        if wrong == Wrong::TakesBeforeItWaits {
            tokio::task::yield_now().await;
        }
        let mut given: Vec<u64> = (first..self.next).collect();
        if wrong == Wrong::SwapsRecords && first == 14 {
            given.swap(2, 3);
        }
        let bad = given.iter().enumerate().filter(|(_, number)| self.of.bad.contains(number));
        let refused = bad.map(|(row, _)| (row as u32, Refused("a bad number".into())));
        let refused = if wrong == Wrong::RefusesSilently { Vec::new() } else { refused.collect() };
        let marks = Arc::new(At { first, wrong });
        Ok(Event::Records(Chunk { partition: 0, column: Typed::from(given), times: None, marks, refused }))
    }
}

struct At {
    first: u64,
    wrong: Wrong,
}

impl Marks for At {
    fn position(&self, count: u32) -> Result<Option<Position>, String> {
        let count = if self.wrong == Wrong::GivesTheBatchesPosition { 0 } else { u64::from(count) };
        let bytes = [&[1][..], &(self.first + count).to_le_bytes()].concat();
        Position::new(bytes, "a number").map(Some).map_err(|error| error.to_string())
    }

    fn place(&self, index: u32, _: &[u8], _: usize) -> String {
        format!("number {}", self.first + u64::from(index))
    }
}

fn source_suite(wrong: Wrong) -> SourceUnderTest<Numbers> {
    let restarted: Arc<Mutex<bool>> = Arc::default();
    let restarts = restarted.clone();
    let good = (0..COUNT).filter(|number| ![10, 11, 40].contains(number)).collect();
    SourceUnderTest::new(
        format!("{wrong:?}"),
        move || Numbers { restarted: restarted.clone(), ..numbers(wrong) },
        (0..COUNT).collect(),
    )
    .empty(move || Numbers { count: 0, ..numbers(wrong) })
    .poisoned(move || Numbers { bad: &[10, 11, 40], ..numbers(wrong) }, good, 3)
    .missing(move || Numbers { missing: true, ..numbers(wrong) })
    .misdeclared("too many", move || Numbers { count: 1_001, ..numbers(wrong) })
    .fault(move || *restarts.lock().unwrap() = true)
}

#[test]
fn a_source_that_is_right_conforms_in_every_check() {
    let report = source_suite(Wrong::Nothing).run();
    report.assert_holds();
    let skipped = report.checks.iter().find(|check| matches!(check.verdict, Verdict::NotApplicable(_)));
    assert_eq!(skipped, None);
    assert_eq!(report.checks.len(), SourceUnderTest::<Numbers>::names().len());
}

#[test]
fn a_source_that_never_ends_conforms_too() {
    let declare = || Numbers { endless: true, ..numbers(Wrong::Nothing) };
    let empty = move || Numbers { count: 0, ..declare() };
    SourceUnderTest::new("endless", declare, (0..COUNT).collect()).empty(empty).run().assert_holds();
}

/// The check of this name finds it, and says why.
fn source_is_found(wrong: Wrong, check: &str, says: &str) {
    let report = source_suite(wrong).check(check);
    match report.verdict(check) {
        Some(Verdict::Broken(how)) if how.contains(says) => {}
        other => panic!("{wrong:?} should break {check} and say {says:?}: {other:?}"),
    }
}

#[test]
fn what_a_source_does_wrong_is_found() {
    source_is_found(Wrong::SwapsRecords, "delivers_everything_in_order", "they differ from record 16 on");
    source_is_found(Wrong::TakesBeforeItWaits, "next_may_be_dropped_at_any_time", "expected 60 records");
    for wrong in [Wrong::ResumesTooFar, Wrong::ResumesTooEarly] {
        source_is_found(wrong, "every_position_resumes_behind_its_record", "from the position behind");
        source_is_found(wrong, "nothing_is_lost_wherever_it_crashes", "that crashed");
        source_is_found(wrong, "a_drain_is_exact", "a drained run and the next");
        source_is_found(wrong, "no_commit_passes_a_gap", "the next run");
    }
    source_is_found(Wrong::GivesTheBatchesPosition, "every_position_resumes_behind_its_record", "behind 1 records");
    source_is_found(Wrong::GivesTheBatchesPosition, "nothing_is_lost_wherever_it_crashes", "that crashed");
    source_is_found(Wrong::TakesAnyPosition, "a_strange_position_is_an_error", "is taken for one");
    source_is_found(Wrong::TakesOtherVersions, "a_strange_position_is_an_error", "of another version");
    source_is_found(Wrong::CallsItAMistakeOfTheUser, "a_strange_position_is_an_error", "not an error of the state");
    source_is_found(Wrong::ChecksNothing, "declaring_opens_nothing", "too many");
    source_is_found(Wrong::OpensNothing, "declaring_opens_nothing", "without an error");
    source_is_found(Wrong::RefusesSilently, "poison_records_follow_the_policy", "bad records skipped");
    source_is_found(Wrong::ReadsOnAfterAFault, "it_reconnects_after_a_fault", "was lost in the fault");
}

#[test]
fn a_check_in_which_no_fault_lands_is_broken() {
    // One record is in flight whatever the bound is: that it holds can't be seen.
    let one = SourceUnderTest::new("one record", || Numbers { count: 1, ..numbers(Wrong::Nothing) }, vec![0]);
    let report = one.check("backpressure_bounds_what_is_read");
    assert!(report.to_string().contains("none of its faults landed"), "{report}");
    let nothing = SourceUnderTest::new("nothing", || Numbers { count: 0, ..numbers(Wrong::Nothing) }, Vec::new());
    assert_eq!(nothing.run().broken().count(), SourceUnderTest::<Numbers>::names().len());
}

/// What a sink does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leak {
    Nothing,
    Swaps,
    FlushesNothing,
    LosesTheLast,
    ShowsWhatIsNotCommitted,
    WritesAtOnce,
    ForgetsPositions,
    KeepsPositionsItShouldNot,
    TouchesItsPlace,
    SwallowsPoison,
    BlamesTheWorld,
    LosesAtItsEnd,
}

/// What outlives a process.
#[derive(Default)]
struct Disk {
    records: Vec<u64>,
    positions: Vec<Checkpoint>,
    touched: bool,
}

#[derive(Clone)]
struct Shelf {
    leak: Leak,
    transactional: bool,
    disk: Arc<Mutex<Disk>>,
}

const POISON: u64 = u64::MAX;

impl SinkFactory for Shelf {
    type Sink = OpenShelf;

    fn traits(&self, keeps_positions: bool) -> SinkTraits {
        let traits = SinkTraits::new("SHELF", "a shelf", "what stands on a shelf stays there");
        if self.transactional && keeps_positions { SinkTraits { transactional: Ok(()), ..traits } } else { traits }
    }

    fn make(&self) -> OpenShelf {
        self.disk.lock().unwrap().touched |= self.leak == Leak::TouchesItsPlace;
        OpenShelf { of: self.clone(), pending: Vec::new() }
    }
}

struct OpenShelf {
    of: Shelf,
    pending: Vec<u64>,
}

impl Sink for OpenShelf {
    type In = u64;

    async fn open(&mut self, _: &SinkContext) -> Result<Option<Vec<Checkpoint>>> {
        let says = match self.of.leak {
            Leak::ForgetsPositions => false,
            Leak::KeepsPositionsItShouldNot => true,
            _ => self.of.transactional,
        };
        Ok(says.then(|| self.of.disk.lock().unwrap().positions.clone()))
    }

    async fn write(&mut self, records: Records<'_, Typed<u64>>, _: &mut Option<Ticket>) -> Result<(), WriteError> {
        let mut given = records.column().as_slice().to_vec();
        if let Some(row) = given.iter().position(|number| *number == POISON) {
            let cause = if self.of.leak == Leak::BlamesTheWorld { Cause::Outside } else { Cause::Record };
            if self.of.leak != Leak::SwallowsPoison {
                self.pending.extend(&given[..row]);
                return Err(WriteError::Row { row, error: Error::new(cause, "poison").retryable(false) });
            }
            given.remove(row);
        }
        match self.of.leak {
            Leak::Swaps if given.len() > 2 => given.swap(0, 1),
            Leak::WritesAtOnce => {
                self.of.disk.lock().unwrap().records.append(&mut given);
            }
            _ => {}
        }
        self.pending.append(&mut given);
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        let early = self.of.leak == Leak::ShowsWhatIsNotCommitted;
        if (!self.of.transactional || early) && self.of.leak != Leak::FlushesNothing {
            let keep = usize::from(self.of.leak == Leak::LosesTheLast);
            let upto = self.pending.len().saturating_sub(keep);
            self.of.disk.lock().unwrap().records.extend(self.pending.drain(..upto));
        }
        Ok(())
    }

    async fn commit(&mut self, positions: &[Checkpoint]) -> Result<()> {
        let mut disk = self.of.disk.lock().unwrap();
        disk.records.append(&mut self.pending);
        disk.positions = positions.to_vec();
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        let mut disk = self.of.disk.lock().unwrap();
        if self.of.leak == Leak::FlushesNothing {
            disk.records.append(&mut self.pending);
        }
        if self.of.leak == Leak::LosesAtItsEnd {
            disk.records.pop();
        }
        Ok(())
    }
}

fn sink_suite(leak: Leak, transactional: bool) -> SinkUnderTest<Shelf> {
    let specimen = move || {
        let disk: Arc<Mutex<Disk>> = Arc::default();
        let (read, look) = (disk.clone(), disk.clone());
        Specimen::new(move || Shelf { leak, transactional, disk: disk.clone() })
            .reads(move || read.lock().unwrap().records.clone())
            .untouched(move || !look.lock().unwrap().touched)
    };
    SinkUnderTest::new(format!("{leak:?}"), specimen, |number| number).poison(|| POISON).fault(|| ())
}

#[test]
fn sinks_that_are_right_conform_in_every_check() {
    for transactional in [false, true] {
        let report = sink_suite(Leak::Nothing, transactional).run();
        report.assert_holds();
        let skipped = report.checks.iter().find(|check| matches!(check.verdict, Verdict::NotApplicable(_)));
        assert_eq!(skipped, None);
    }
    sink_suite(Leak::Nothing, false).without_store().run().assert_holds();
}

fn sink_is_found(leak: Leak, transactional: bool, check: &str, says: &str) {
    let report = sink_suite(leak, transactional).check(check);
    match report.verdict(check) {
        Some(Verdict::Broken(how)) if how.contains(says) => {}
        other => panic!("{leak:?} should break {check} and say {says:?}: {other:?}"),
    }
}

#[test]
fn what_a_sink_does_wrong_is_found() {
    sink_is_found(Leak::Swaps, false, "delivers_everything_in_order", "they differ");
    let committed = "nothing_is_committed_that_it_does_not_hold";
    sink_is_found(Leak::FlushesNothing, false, committed, "it holds 0");
    sink_is_found(Leak::LosesTheLast, false, committed, "records are committed");
    let crashes = "nothing_is_lost_wherever_it_crashes";
    sink_is_found(Leak::FlushesNothing, false, crashes, "that crashed");
    sink_is_found(Leak::LosesTheLast, false, crashes, "that crashed");
    sink_is_found(Leak::ShowsWhatIsNotCommitted, true, crashes, "that crashed");
    sink_is_found(Leak::WritesAtOnce, true, crashes, "that crashed");
    sink_is_found(Leak::ForgetsPositions, true, "it_keeps_positions_as_it_says", "says nothing of what it holds");
    sink_is_found(Leak::KeepsPositionsItShouldNot, false, "it_keeps_positions_as_it_says", "is not transactional");
    sink_is_found(Leak::TouchesItsPlace, false, "declaring_opens_nothing", "left something behind");
    let poison = "poison_records_follow_the_policy";
    sink_is_found(Leak::SwallowsPoison, false, poison, "takes the record");
    sink_is_found(Leak::BlamesTheWorld, false, poison, "should fail as a record");
    sink_is_found(Leak::LosesAtItsEnd, false, "a_drain_is_exact", "after a drain");
}
