//! The source's end of a pipeline: reads, stamps, and passes on to the source what is acknowledged.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot, watch};

use super::control::{Control, Phase};
use super::keep::KeepBytes;
use super::kept::Kept;
use super::ledger::{Ledger, Room};
use super::metrics::{Meters, add};
use super::parcel::{Close, Parcel};
use super::promises::Promises;
use super::summary::Ended;
use super::tally::Tally;
use crate::commit::{Blocking, Bounds};
use crate::contracts::{
    Cause, Checkpoint, Clock, DynChunk, DynEvent, DynSource, Error, Faults, Report, Result, Settlement,
};
use crate::data::{Batch, EventTime, Partition, PartitionId, Position, Shared, Times};
use crate::plan::StageId;

/// How what becomes of a source's records is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct How {
    /// Each record by itself.
    pub(super) pessimistic: bool,
    /// The sink, in the same part, keeps positions with its data.
    pub(super) sink_keeps: bool,
    /// Its server alone knows where a partition stands that was closed: another may have read on there since.
    pub(super) forgets: bool,
}

/// The partitions of a source, shared with whoever commits.
pub(super) struct Partitions {
    pub(super) kept: Kept,
    /// The instance that stamps carry, and their epoch where a partition was opened once.
    pub(super) opened_as: (u16, u64),
    epochs: Mutex<Epochs>,
    pub(super) how: How,
    /// By number; `None` once closed.
    ledgers: Mutex<Vec<Option<Arc<Ledger>>>>,
    /// Those that were closed with records that a sink in the same part has to take back.
    taken_back: Mutex<Vec<Arc<Ledger>>>,
    pub(super) room: Arc<Room>,
    /// What limits on this instance have counted.
    tallies: Vec<Arc<Tally>>,
}

/// Sequence numbers begin anew whenever a partition is opened, and so does the epoch that tells them apart.
struct Epochs {
    /// The newest of this life.
    newest: u64,
    opened: HashSet<Partition>,
}

impl Partitions {
    pub(super) fn new(
        kept: Kept,
        opened_as: (u16, u64),
        how: How,
        bounds: Bounds,
        tallies: Vec<Arc<Tally>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            kept,
            opened_as,
            epochs: Mutex::new(Epochs { newest: opened_as.1, opened: HashSet::new() }),
            how,
            ledgers: Mutex::default(),
            taken_back: Mutex::default(),
            room: Room::new(bounds),
            tallies,
        })
    }

    /// Those that are open.
    pub(super) fn all(&self) -> Vec<Arc<Ledger>> {
        self.ledgers.lock().unwrap_or_else(PoisonError::into_inner).iter().flatten().cloned().collect()
    }

    /// The partition of this number is gone: nothing of it is committed from now on.
    fn close(&self, id: PartitionId) {
        let mut ledgers = self.ledgers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ledger) = ledgers.get_mut(id as usize).and_then(Option::take) {
            ledger.close();
            if self.how.forgets {
                self.kept.held.forget(&ledger.partition);
            }
        }
    }

    fn open(&self, partition: Partition) -> Arc<Ledger> {
        let epoch = self.epoch_of(&partition);
        let mut ledgers = self.ledgers.lock().unwrap_or_else(PoisonError::into_inner);
        let id = ledgers.len() as PartitionId;
        let ledger = Ledger::new(id, (partition, epoch), self.how.pessimistic, self.room.clone());
        ledgers.push(Some(ledger.clone()));
        ledger
    }

    /// The epoch of a partition that is opened now: one that was closed and comes again in the same life has another.
    fn epoch_of(&self, partition: &Partition) -> u64 {
        let mut epochs = self.epochs.lock().unwrap_or_else(PoisonError::into_inner);
        if epochs.opened.insert(partition.clone()) {
            return self.opened_as.1;
        }
        epochs.newest += 1;
        epochs.newest
    }

    /// The epoch of the next life: none of this one has had it.
    pub(super) fn next_epoch(&self) -> u64 {
        self.epochs.lock().unwrap_or_else(PoisonError::into_inner).newest + 1
    }

    /// How many acknowledgements came too late or twice.
    pub(super) fn late(&self) -> u64 {
        self.room.late() + self.all().iter().map(|ledger| ledger.standing().late).sum::<u64>()
    }

    /// The positions up to which everything has settled: of partitions that have moved.
    pub(super) fn positions(&self) -> Result<Vec<(PartitionId, Partition, Position)>> {
        let mut positions = Vec::new();
        for ledger in self.all() {
            let point = ledger.point();
            ledger.commits(point.sequence);
            let Some((marks, count)) = point.mark else { continue };
            let wrong = |message: String| Error::new(Cause::Outside, message).in_stage(self.kept.stage.to_string());
            if let Some(position) = marks.position(count).map_err(wrong)? {
                positions.push((ledger.id, ledger.partition.clone(), position));
            }
        }
        Ok(positions)
    }

    /// Waits until all that was read has settled, up to where the run ends.
    pub(super) async fn settled(&self, control: &Control) {
        let settled = |ledger: &Arc<Ledger>| {
            let standing = ledger.standing();
            // What is past a limit is abandoned, and nobody runs it again.
            let is_past = matches!(standing.blocking, Some(Blocking::Abandoned(_)));
            standing.settled || (is_past && control.phase() == Phase::Limited)
        };
        self.room.until(|| self.all().iter().all(settled)).await;
    }

    /// Records that were read past where a limit or a drain ended the run.
    pub(super) fn left_over(&self) -> u64 {
        let standings = self.all().into_iter().map(|ledger| ledger.standing());
        standings.filter(|standing| standing.settled).map(|standing| standing.lag).sum()
    }

    /// These positions are committed. Of a partition that has gone meanwhile its server may know better.
    pub(super) fn hold(&self, positions: &[(PartitionId, Partition, Position)]) {
        let ledgers = self.ledgers.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, partition, position) in positions {
            let open = ledgers.get(*id as usize).is_some_and(Option::is_some);
            if open || !self.how.forgets {
                self.kept.held.put(partition.clone(), position.clone());
            }
        }
    }

    /// The commit of the positions that were asked for last is made.
    pub(super) fn committed(&self) {
        self.all().iter().for_each(|ledger| ledger.committed());
    }

    /// Source and sink are opened anew, from the last commit: how many records come again.
    pub(super) fn take_back(&self, tallies: &[Arc<Tally>]) -> u64 {
        let closed = std::mem::take(&mut *self.taken_back.lock().unwrap_or_else(PoisonError::into_inner));
        let ledgers: Vec<_> = self.all().into_iter().chain(closed).collect();
        for tally in tallies {
            ledgers.iter().for_each(|ledger| ledger.take_back(self.opened_as.0, tally));
        }
        ledgers.iter().map(|ledger| ledger.uncommitted()).map(|records| records.end - records.start).sum()
    }

    /// The source is opened anew, from here: what is read again doesn't count until then.
    pub(super) fn give_back(&self, held: &[Checkpoint], tally: &Tally) {
        for ledger in self.all() {
            let held = held.iter().find(|held| held.key.partition == ledger.partition);
            ledger.give_back(self.opened_as.0, held.map(|held| &held.position), tally);
        }
    }

    /// What is committed doesn't come again.
    pub(super) fn keep_counts(&self) {
        for tally in &self.tallies {
            self.all().iter().for_each(|ledger| ledger.keep_counts(self.opened_as.0, tally));
        }
    }

    /// Records that were read and may not be committed.
    pub(super) fn lag(&self) -> u64 {
        self.all().iter().map(|ledger| ledger.standing().lag).sum()
    }

    /// The open partition of this name.
    pub(super) fn find(&self, partition: &Partition) -> Option<Arc<Ledger>> {
        self.all().into_iter().find(|ledger| ledger.partition == *partition)
    }
}

/// What the source is asked to do between two reads.
pub(super) enum SourceRequest {
    /// Acknowledge everything before these positions.
    Commit(Vec<(PartitionId, Position)>, oneshot::Sender<Result<()>>),
    /// Acknowledge these records.
    Settle(Vec<Settlement>, oneshot::Sender<Result<()>>),
    /// Extend the time that these stay invisible to others.
    Extend(Vec<(PartitionId, Range<u64>)>, oneshot::Sender<Result<()>>),
    /// The run is over.
    Close(oneshot::Sender<Result<()>>),
}

/// The source's end of a pipeline.
pub(super) struct SourceEnd {
    source: Box<dyn DynSource>,
    partitions: Arc<Partitions>,
    /// The partitions by number, `None` once closed.
    open: Vec<Option<Arc<Ledger>>>,
    control: Arc<Control>,
    phase: watch::Receiver<Phase>,
    clock: Arc<dyn Clock>,
    meters: Arc<Meters>,
    /// Makes bytes of typed records, where letters will need them.
    keep_bytes: KeepBytes,
    stage: StageId,
    others: Option<Others>,
    /// Partitions that were given up.
    gone: BTreeSet<Partition>,
    /// It has to be opened anew before it reads on.
    rests: bool,
}

/// The other instances, who hear of partitions that come and go.
pub(super) struct Others {
    pub(super) reports: mpsc::UnboundedSender<Report>,
    /// Whether they have to know what partitions promise.
    pub(super) compare: bool,
    /// Where partitions are claimed before they are read: those that have been. For others the source is opened anew.
    pub(super) claimed: Option<HashSet<Partition>>,
}

/// A batch from the source, with the records that it could not give.
pub(super) struct Emitted {
    pub(super) parcel: Parcel,
    pub(super) refused: Faults,
}

impl SourceEnd {
    pub(super) fn new(
        source: Box<dyn DynSource>,
        partitions: Arc<Partitions>,
        control: &Arc<Control>,
        clock: Arc<dyn Clock>,
        meters: Arc<Meters>,
        keep_bytes: KeepBytes,
        others: Option<Others>,
    ) -> Self {
        let (open, gone) = (Vec::new(), BTreeSet::new());
        let (phase, control) = (control.listen(), control.clone());
        Self {
            source,
            partitions,
            open,
            control,
            phase,
            clock,
            meters,
            keep_bytes,
            stage: 0,
            others,
            gone,
            rests: false,
        }
    }

    /// Opens the source where its partitions are held.
    pub(super) async fn open(&mut self) -> Result<()> {
        let held = self.partitions.kept.held.clone();
        let partitions = self.source.open(&held).await.map_err(|error| self.named(error))?;
        self.open = partitions.into_iter().map(|partition| Some(self.partitions.open(partition))).collect();
        if let Some(size) = self.source.size() {
            self.meters.size.store(size, std::sync::atomic::Ordering::Relaxed);
        }
        let partitions: Vec<_> = self.open.iter().flatten().map(|ledger| ledger.partition.clone()).collect();
        let has_to_ask = partitions.iter().any(|partition| self.has_to_ask(partition));
        self.report(Report::Opened { partitions });
        if has_to_ask {
            self.reopen(Vec::new());
        }
        Ok(())
    }

    /// Closes it, of which nothing is to be read.
    pub(super) async fn close(mut self) -> Result<()> {
        self.source.close().await.map_err(|error| self.named(error))
    }

    /// An exchange that is gone needs no word.
    fn report(&self, report: Report) {
        if let Some(others) = &self.others {
            let _ = others.reports.send(report);
        }
    }

    /// Other instances need not wait for what a partition won't emit.
    fn promise(&self, ledger: &Ledger, from: i64) {
        if let Some(others) = self.others.as_ref().filter(|others| others.compare) {
            let promises = Promises { hop: None, reports: others.reports.clone() };
            promises.promise((&self.partitions.kept.stage, self.partitions.opened_as.0), ledger, from);
        }
    }

    /// The next thing to happen. May be dropped at any time.
    pub(super) async fn event(&mut self) -> Result<Option<DynEvent>, Close> {
        let event = self.next_event().await;
        if matches!(event, Err(Close::End(_))) {
            self.open.iter().flatten().for_each(|ledger| self.promise(ledger, i64::MAX));
        }
        event
    }

    async fn next_event(&mut self) -> Result<Option<DynEvent>, Close> {
        match *self.phase.borrow() {
            Phase::Running => {}
            Phase::Limited => return Err(Close::End(Ended::Limit)),
            Phase::Draining | Phase::Aborting => return Err(Close::End(Ended::Drained)),
        }
        let blocked = self.rests || self.open.iter().flatten().any(|ledger| !ledger.has_room());
        tokio::select! {
            biased;
            _ = self.phase.changed() => Ok(None),
            () = self.partitions.room.changed(), if blocked => Ok(None),
            event = self.source.next(), if !blocked => match event {
                Ok(DynEvent::End) => Err(Close::End(Ended::Input)),
                Ok(event) => Ok(Some(event)),
                Err(error) => Err(Close::Error(error.in_stage(self.partitions.kept.stage.to_string()))),
            },
        }
    }

    /// Stamps what was read.
    pub(super) fn accept(&mut self, event: DynEvent) -> Result<Option<Emitted>> {
        match event {
            DynEvent::Records(chunk) => self.emit(chunk),
            DynEvent::Opened(partition) if self.has_to_ask(&partition) => {
                self.reopen(vec![partition]);
                Ok(None)
            }
            DynEvent::Opened(partition) => {
                let ledger = self.partitions.open(partition.clone());
                self.open.push(Some(ledger));
                self.report(Report::Claimed { partition });
                Ok(None)
            }
            DynEvent::Closed(partition) => {
                let closed = self.open.get_mut(partition as usize).and_then(Option::take);
                // Before it is gone: a commit that finds it gone must not be made.
                if let Some(closed) = &closed {
                    self.check_taken_back(closed);
                }
                self.partitions.close(partition);
                if let Some(closed) = closed {
                    self.gone.insert(closed.partition.clone());
                    self.report(Report::Unclaimed { partition: closed.partition.clone() });
                }
                Ok(None)
            }
            DynEvent::Promise(partition, time) => {
                if let Some(Some(ledger)) = self.open.get(partition as usize) {
                    ledger.promise(time);
                    self.promise(ledger, time);
                }
                Ok(None)
            }
            DynEvent::End => Ok(None),
        }
    }

    /// Whether the others have to say where this partition, which has come, is read from.
    fn has_to_ask(&self, partition: &Partition) -> bool {
        let Some(others) = &self.others else { return false };
        let is_claimed = others.claimed.as_ref().is_none_or(|claimed| claimed.contains(partition));
        !is_claimed || self.gone.contains(partition)
    }

    /// Reads nothing more until it is opened anew, and has these partitions, too.
    fn reopen(&mut self, gained: Vec<Partition>) {
        self.rests = true;
        self.report(Report::Reopen { gained });
    }

    /// A sink that keeps positions with its data can't keep records of a partition whose position it can't commit any
    /// more.
    fn check_taken_back(&self, closed: &Arc<Ledger>) {
        let Partitions { how, taken_back, .. } = &*self.partitions;
        if how.sink_keeps && !closed.uncommitted().is_empty() {
            taken_back.lock().unwrap_or_else(PoisonError::into_inner).push(closed.clone());
            let message = format!("partition {} is gone, with records of it that are not committed", closed.partition);
            self.control.begin_anew(&self.named(Error::new(Cause::Outside, message)));
        }
    }

    fn emit(&mut self, chunk: DynChunk) -> Result<Option<Emitted>> {
        let DynChunk { partition, column, raw, times, marks, refused } = chunk;
        let Some(Some(ledger)) = self.open.get(partition as usize) else {
            let message = format!("the source emitted records of partition {partition}, which isn't open");
            return Err(self.named(Error::new(Cause::Bug, message)));
        };
        let len = column.rows() as u32;
        if let Some(Times::Each(each)) = &times
            && each.len() != len as usize
        {
            let message = format!("the source gave {} event times for {len} records", each.len());
            return Err(self.named(Error::new(Cause::Bug, message)));
        }
        let times = times.unwrap_or_else(|| Times::Uniform(EventTime { micros: self.clock.now(), ingested: true }));
        // A block counts whole: it stays until the last of its records has settled.
        let bytes = raw.as_ref().map_or_else(|| column.bytes(), |raw| raw.block().len());
        let (ticket, first) = ledger.emit(len, bytes as u64, times.low(), marks.clone(), Vec::new());
        add(&self.meters.bytes_in, bytes);
        add(&self.meters.stages[self.stage].rows_in, len as usize);
        add(&self.meters.stages[self.stage].rows_out, len as usize);
        let partition = ledger.partition.clone();
        let (raw, marks) = match raw {
            Some(raw) => (Some(raw), marks),
            None => self.keep_bytes.keep(&*column, marks),
        };
        let (instance, epoch) = (self.partitions.opened_as.0, ledger.epoch);
        let shared = Shared {
            stage: self.partitions.kept.stage.clone(),
            partition,
            instance,
            epoch,
            first,
            len,
            times,
            marks,
            raw,
            late: false,
            turns: None,
            dealt: None,
        };
        let parcel = Parcel { batch: Batch::new(Arc::new(shared), column), ticket };
        let refused = refused.into_iter().map(|(record, refused)| (record, refused.into())).collect();
        Ok(Some(Emitted { parcel, refused }))
    }

    /// Does what it is asked to. An asker that is gone needs no answer.
    pub(super) async fn serve(&mut self, request: SourceRequest) {
        match request {
            SourceRequest::Commit(positions, answer) => {
                let done = self.source.commit(&positions).await;
                let _ = answer.send(done.map_err(|error| self.named(error)));
            }
            SourceRequest::Settle(settled, answer) => {
                let done = self.source.settle(&settled).await;
                let _ = answer.send(done.map_err(|error| self.named(error)));
            }
            SourceRequest::Extend(in_flight, answer) => {
                let done = self.extend(in_flight).await;
                let _ = answer.send(done.map_err(|error| self.named(error)));
            }
            SourceRequest::Close(answer) => {
                let done = self.source.close().await;
                let _ = answer.send(done.map_err(|error| self.named(error)));
            }
        }
    }

    async fn extend(&mut self, in_flight: Vec<(PartitionId, Range<u64>)>) -> Result<()> {
        for (partition, records) in in_flight {
            self.source.extend(partition, records).await?;
        }
        Ok(())
    }

    fn named(&self, error: Error) -> Error {
        error.in_stage(self.partitions.kept.stage.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit::Bounds;

    fn life(epoch: u64) -> Arc<Partitions> {
        let kept = Kept::new("pipeline", "SOURCE", Vec::new());
        let how = How { pessimistic: false, sink_keeps: false, forgets: true };
        Partitions::new(kept, (0, epoch), how, Bounds { records: 10, bytes: 1_000 }, Vec::new())
    }

    #[test]
    fn a_partition_that_comes_again_has_another_epoch_in_all_lives() {
        let (mut epoch, mut stamps) = (0, HashSet::new());
        for _ in 0..3 {
            let partitions = life(epoch);
            for name in ["a", "b", "a", "a", "b"] {
                let ledger = partitions.open(Partition::new(name));
                assert!(stamps.insert((name, ledger.epoch)), "{name} was opened as {} before", ledger.epoch);
                partitions.close(ledger.id);
            }
            epoch = partitions.next_epoch();
        }
    }
}
