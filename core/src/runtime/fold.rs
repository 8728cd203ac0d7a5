//! A fold at work: it takes batches in, and is a new origin for what it emits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::entry_end::Feed;
use super::keep::KeepBytes;
use super::ledger::{Ledger, Room};
use super::metrics::{Meters, add};
use super::nowhere::Nowhere;
use super::origin::OriginKey;
use super::parcel::{Close, Parcel};
use super::resolve::Resolver;
use super::summary::Ended;
use super::turns::Turns;
use crate::commit::{Bounds, Hold, Ticket};
use crate::contracts::{Clock, Emission, Error, Faults, Fold, Result};
use crate::data::{AnyColumn, Batch, EventTime, Partition, Shared, Times};
use crate::plan::{Policy, StageId};

/// How many rows of what a fold emits make a batch.
const ROWS: usize = 1_024;

/// A fold at work.
pub(super) struct FoldEnd {
    from: Feed,
    fold: Box<dyn Fold>,
    stage: StageId,
    name: Arc<str>,
    policy: Policy,
    each: Option<u64>,
    every: Option<Duration>,
    /// Rows taken in since the last emission by count.
    since: u64,
    due: Option<Duration>,
    ledger: Arc<Ledger>,
    instance: u16,
    /// The state begins afresh with each.
    epoch: u64,
    /// The lowest record of each origin taken in since the last emission.
    holds: Vec<Lowest>,
    keep_bytes: KeepBytes,
    /// The latest event time of what was taken in.
    time: EventTime,
    resolver: Resolver,
    clock: Arc<dyn Clock>,
    meters: Arc<Meters>,
    turns: Option<Turns>,
}

/// The hold on the lowest record of an origin that was taken in since the last emission: records may come in any order.
struct Lowest {
    origin: OriginKey,
    sequence: u64,
    hold: Hold,
}

/// What can happen to a fold.
pub(super) enum FoldEvent {
    /// A batch came.
    Came(Parcel),
    /// It is time to emit.
    Due,
}

impl FoldEnd {
    #[expect(clippy::too_many_arguments, reason = "called once, where a run is put together")]
    pub(super) fn new(
        from: Feed,
        fold: Box<dyn Fold>,
        stage: StageId,
        name: &str,
        policy: Policy,
        each: Option<u64>,
        every: Option<Duration>,
        keep_bytes: KeepBytes,
        (instance, epoch): (u16, u64),
        resolver: Resolver,
        clock: Arc<dyn Clock>,
        turns: Option<Turns>,
    ) -> Self {
        // What a fold emits is bounded by the channel behind it.
        let room = Room::new(Bounds { records: u64::MAX, bytes: u64::MAX });
        let ledger = Ledger::new(0, (Partition::new("fold"), epoch), false, room);
        let meters = resolver.meters.clone();
        let due = every.map(|every| clock.elapsed() + every);
        let time = EventTime { micros: i64::MIN, ingested: true };
        let name: Arc<str> = name.into();
        if let Some(turns) = &turns {
            turns.begin((&name, instance), &ledger);
        }
        Self {
            from,
            fold,
            stage,
            name,
            policy,
            each,
            every,
            since: 0,
            due,
            ledger,
            instance,
            epoch,
            holds: Vec::new(),
            keep_bytes,
            time,
            resolver,
            clock,
            meters,
            turns,
        }
    }

    /// The next thing to happen. May be dropped at any time.
    pub(super) async fn event(&mut self) -> Result<FoldEvent, Close> {
        let wait = self.due.map(|due| due.saturating_sub(self.clock.elapsed()));
        let timer = async {
            match wait {
                Some(wait) => self.clock.sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = timer => Ok(FoldEvent::Due),
            came = self.from.next() => came.map(FoldEvent::Came),
        }
    }

    /// Takes a batch in, or emits; what is emitted is added to `out`.
    pub(super) async fn accept(&mut self, event: FoldEvent, out: &mut VecDeque<Parcel>) -> Result<()> {
        match event {
            FoldEvent::Came(parcel) => self.take_in(parcel, out).await,
            FoldEvent::Due => {
                self.due = self.every.map(|every| self.clock.elapsed() + every);
                self.emit(false, out);
                Ok(())
            }
        }
    }

    /// The stream has ended: what has not been emitted is. A fold without a trigger emits at the end of its input, and a
    /// drain is not that: what it took in is read again by the next run, for a hold keeps the commit before it.
    pub(super) fn finish(&mut self, ended: Ended, out: &mut VecDeque<Parcel>) {
        if ended == Ended::Drained && self.each.is_none() && self.every.is_none() {
            return;
        }
        self.emit(true, out);
        if let Some(turns) = &self.turns {
            turns.end((&self.name, self.instance), &self.ledger);
        }
    }

    /// What it emits is in flight here.
    pub(super) fn ledger(&self) -> Arc<Ledger> {
        self.ledger.clone()
    }

    pub(super) fn stop(&mut self) {
        self.from.stop();
    }

    async fn take_in(&mut self, mut parcel: Parcel, out: &mut VecDeque<Parcel>) -> Result<()> {
        loop {
            let rows = parcel.batch.len() as u64;
            let fits = self.each.map_or(u64::MAX, |each| each.saturating_sub(self.since));
            add(&self.meters.stages[self.stage].rows_in, rows.min(fits) as usize);
            if rows < fits {
                self.since += rows;
                return self.absorb(parcel).await;
            }
            let rest = self.absorb_rows(parcel, fits as usize).await?;
            self.since = 0;
            self.emit(false, out);
            match rest {
                Some(rest) => parcel = rest,
                None => return Ok(()),
            }
        }
    }

    /// Takes in the first `rows` rows. A record of which only some rows were among them stays unsettled with the rest.
    async fn absorb_rows(&mut self, mut parcel: Parcel, rows: usize) -> Result<Option<Parcel>> {
        if rows == parcel.batch.len() {
            self.absorb(parcel).await?;
            return Ok(None);
        }
        let next = parcel.batch.record(rows);
        let mut rest = parcel.split_at(next);
        let inner = rows.saturating_sub(parcel.batch.len());
        self.absorb(parcel).await?;
        if inner > 0 {
            let (shared, part, index, mut column) = rest.batch.into_parts();
            let tail = column.cut(inner);
            let index = index.map(|mut index| index.split_off(inner));
            // The record's ticket goes on with its last rows; the hold keeps the commit behind it until they arrive.
            self.hold(&rest.ticket, &shared, part.start);
            self.fold_in(column, &shared, part.start, &mut rest.ticket).await?;
            rest.batch = Batch::with_rows(shared, part, index, tail);
        }
        Ok(Some(rest))
    }

    /// Keeps the commit behind `record`, unless it is kept behind a lower one of its origin already.
    fn hold(&mut self, ticket: &Ticket, shared: &Shared, record: u32) {
        let sequence = shared.first + u64::from(record);
        let Some(lowest) = self.holds.iter_mut().find(|lowest| lowest.origin.is(shared)) else {
            let (origin, hold) = (OriginKey::of(shared), ticket.hold(record));
            return self.holds.push(Lowest { origin, sequence, hold });
        };
        if sequence < lowest.sequence {
            lowest.sequence = sequence;
            // The lower hold stands before the higher one goes.
            std::mem::replace(&mut lowest.hold, ticket.hold(record)).release();
        }
    }

    async fn absorb(&mut self, parcel: Parcel) -> Result<()> {
        let Parcel { batch, mut ticket } = parcel;
        let (shared, part, index, mut column) = batch.into_parts();
        self.see(&shared, part.clone());
        let first = (column.rows() > 0).then(|| index.as_ref().map_or(part.start, |index| index[0]));
        let mut faults = Faults::new();
        let rows = column.rows();
        let turns = self.turns.as_mut().map(|turns| turns.of(&shared, &part, index.as_deref(), rows));
        self.fold.absorb(&mut *column, turns.as_deref(), &mut faults);
        if let Some(first) = first {
            // Also where records failed: other rows of theirs may be in the state by now. Nothing has to be held back for
            // records without rows, and nothing may be: of a split by key they are other instances' to answer for.
            self.hold(&ticket, &shared, first);
        }
        if !faults.is_empty() {
            let record = |row: u32| index.as_ref().map_or(part.start + row, |index| index[row as usize]);
            let records: Vec<u32> = faults.iter().map(|&(row, _)| record(row)).collect();
            self.resolve(&shared, &records, faults, &mut ticket).await?;
            records.into_iter().for_each(|record| ticket.dispose(record));
        }
        ticket.absorbed(false);
        Ok(())
    }

    async fn fold_in(
        &mut self,
        mut column: Box<dyn AnyColumn>,
        shared: &Arc<Shared>,
        record: u32,
        ticket: &mut Ticket,
    ) -> Result<()> {
        self.see(shared, record..record + 1);
        let mut faults = Faults::new();
        self.fold.absorb(&mut *column, None, &mut faults);
        let records = vec![record; faults.len()];
        self.resolve(shared, &records, faults, ticket).await
    }

    fn see(&mut self, shared: &Shared, part: std::ops::Range<u32>) {
        let latest = match &shared.times {
            Times::Uniform(time) => Some(*time),
            Times::Each(_) => part.map(|record| shared.times.at(record)).max_by_key(|time| time.micros),
        };
        if let Some(latest) = latest.filter(|latest| latest.micros > self.time.micros) {
            self.time = latest;
        }
    }

    /// Records that could not be taken in meet the policy; there is no second try, for the state may have changed.
    async fn resolve(
        &mut self,
        shared: &Arc<Shared>,
        records: &[u32],
        faults: Faults,
        ticket: &mut Ticket,
    ) -> Result<()> {
        let errors: Vec<(u32, Error)> = records
            .iter()
            .zip(faults)
            .map(|(&record, (_, error))| {
                let error = super::fault::fault(error).at(shared.place(record)).in_stage(self.name.to_string());
                (record, error)
            })
            .collect();
        let counters = &self.meters.stages[self.stage];
        match self.policy {
            Policy::Fail => errors.into_iter().next().map_or(Ok(()), |(_, error)| Err(error)),
            Policy::Skip => {
                add(&counters.skipped, errors.len());
                Ok(())
            }
            Policy::DeadLetter(letters) => {
                let given_up = self.resolver.bury(letters, ticket, shared, &errors).await?;
                add(&counters.dead_lettered, errors.len() - given_up.len());
                given_up.into_iter().for_each(|record| ticket.abandon(record));
                Ok(())
            }
        }
    }

    fn emit(&mut self, last: bool, out: &mut VecDeque<Parcel>) {
        let Emission { mut column, turns } = self.fold.emit(last);
        let mut turns = turns.unwrap_or_default();
        add(&self.meters.stages[self.stage].rows_out, column.rows());
        let holds: Vec<Hold> = std::mem::take(&mut self.holds).into_iter().map(|lowest| lowest.hold).collect();
        if column.rows() == 0 {
            // Nothing came of what was taken in: nothing has to arrive.
            holds.into_iter().for_each(Hold::release);
            return;
        }
        let mut holds = Some(holds);
        while column.rows() > 0 {
            let rest = (column.rows() > ROWS).then(|| column.cut(ROWS));
            let due = if rest.is_none() { holds.take().unwrap_or_default() } else { Vec::new() };
            let rest_of_turns = turns.split_off(turns.len().min(column.rows()));
            out.push_back(self.parcel(column, turns, due));
            turns = rest_of_turns;
            match rest {
                Some(rest) => column = rest,
                None => return,
            }
        }
    }

    fn parcel(&mut self, column: Box<dyn AnyColumn>, turns: Vec<i64>, holds: Vec<Hold>) -> Parcel {
        let len = column.rows() as u32;
        let time = match self.time.micros {
            i64::MIN => EventTime { micros: self.clock.now(), ingested: true },
            _ => self.time,
        };
        let (marks, raw) = (Arc::new(Nowhere), self.keep_bytes.bytes(&*column));
        let (ticket, first) = self.ledger.emit(len, column.bytes() as u64, time.micros, marks.clone(), holds);
        let partition = self.ledger.partition.clone();
        let times = Times::Uniform(time);
        let shared = Shared {
            stage: self.name.clone(),
            partition,
            instance: self.instance,
            epoch: self.epoch,
            first,
            len,
            times,
            marks,
            raw,
            late: false,
            turns: (!turns.is_empty()).then(|| turns.into()),
            dealt: None,
        };
        Parcel { batch: Batch::new(Arc::new(shared), column), ticket }
    }
}
