//! An asynchronous stage at work: some futures run at once, and what they make goes on in order.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;

use super::entry_end::Feed;
use super::metrics::{Meters, add};
use super::parcel::{Close, Parcel};
use super::passing::Passing;
use crate::commit::Ticket;
use crate::contracts::{BoxFuture, Faults, Made, MakeAsync};
use crate::data::{AnyColumn, Batch, Shared};
use crate::plan::StageId;

/// How many batches may be under way at once: those that wait behind a slow one have to be bounded, empty ones too.
const FLIGHTS: usize = 1_024;

/// An asynchronous stage at work.
pub(super) struct AsyncEnd {
    from: Feed,
    make: Box<dyn MakeAsync>,
    stage: StageId,
    name: String,
    at_once: usize,
    running: FuturesOrdered<BoxFuture<'static, Made>>,
    waiting: VecDeque<BoxFuture<'static, Made>>,
    flights: VecDeque<Flight>,
    /// Made, and not yet taken note of.
    made: VecDeque<Made>,
    ended: Option<Close>,
    meters: Arc<Meters>,
}

/// A batch whose futures are under way.
struct Flight {
    shared: Arc<Shared>,
    part: std::ops::Range<u32>,
    ticket: Ticket,
    /// The record of each row that came in.
    records: Vec<u32>,
    /// How many rows are done.
    done: usize,
    column: Box<dyn AnyColumn>,
    index: Vec<u32>,
    faults: Faults,
}

/// What can happen to an asynchronous stage.
pub(super) enum AsyncEvent {
    /// A batch came.
    Came(Parcel),
    /// The next row is made.
    Made(Made),
    /// No more batches will come.
    Ended(Close),
}

impl AsyncEnd {
    pub(super) fn new(
        from: Feed,
        make: Box<dyn MakeAsync>,
        stage: StageId,
        name: &str,
        at_once: usize,
        meters: Arc<Meters>,
    ) -> Self {
        Self {
            from,
            make,
            stage,
            name: name.to_owned(),
            at_once: at_once.max(1),
            running: FuturesOrdered::new(),
            waiting: VecDeque::new(),
            flights: VecDeque::new(),
            made: VecDeque::new(),
            ended: None,
            meters,
        }
    }

    /// The next thing to happen. May be dropped at any time.
    pub(super) async fn event(&mut self) -> Result<AsyncEvent, Close> {
        if let Some(made) = self.made.pop_front() {
            return Ok(AsyncEvent::Made(made));
        }
        let hungry = self.ended.is_none() && self.waiting.len() < self.at_once && self.flights.len() < FLIGHTS;
        if self.running.is_empty()
            && self.flights.is_empty()
            && let Some(close) = self.ended.take()
        {
            return Err(close);
        }
        tokio::select! {
            biased;
            Some(made) = self.running.next(), if !self.running.is_empty() => Ok(AsyncEvent::Made(made)),
            came = self.from.next(), if hungry => Ok(match came {
                Ok(parcel) => AsyncEvent::Came(parcel),
                Err(close) => AsyncEvent::Ended(close),
            }),
            else => Err(Close::Failed),
        }
    }

    /// Lets what is under way go on; never ready. May be dropped at any time.
    pub(super) async fn progress<T>(&mut self) -> T {
        while let Some(made) = self.running.next().await {
            self.made.push_back(made);
        }
        std::future::pending().await
    }

    /// Takes note of what happened; batches that are done are added to `out`.
    pub(super) fn accept(&mut self, event: AsyncEvent, out: &mut VecDeque<Passing>) {
        match event {
            AsyncEvent::Came(parcel) => self.begin(parcel),
            AsyncEvent::Made(made) => self.made(made),
            // What came before a failure upstream goes through: the commit is exact to the record.
            AsyncEvent::Ended(close) => self.ended = Some(close),
        }
        while self.running.len() + self.made.len() < self.at_once
            && let Some(next) = self.waiting.pop_front()
        {
            self.running.push_back(next);
        }
        self.land(out);
    }

    pub(super) fn stop(&mut self) {
        self.from.stop();
    }

    fn begin(&mut self, parcel: Parcel) {
        let Parcel { batch, ticket } = parcel;
        add(&self.meters.stages[self.stage].rows_in, batch.len());
        let records = (0..batch.len()).map(|row| batch.record(row)).collect();
        let (shared, part, _, column) = batch.into_parts();
        self.waiting.extend(self.make.begin(column));
        let (column, index, faults) = (self.make.empty(), Vec::new(), Faults::new());
        self.flights.push_back(Flight { shared, part, ticket, records, done: 0, column, index, faults });
    }

    fn made(&mut self, made: Made) {
        let Some(flight) = self.flights.iter_mut().find(|flight| flight.done < flight.records.len()) else { return };
        let record = flight.records[flight.done];
        flight.done += 1;
        match made {
            Ok(made) => {
                self.make.gather(made, &mut *flight.column);
                flight.index.push(record);
            }
            Err(error) => flight.faults.push((record, error)),
        }
    }

    fn land(&mut self, out: &mut VecDeque<Passing>) {
        while self.flights.front().is_some_and(|flight| flight.done == flight.records.len()) {
            let Some(Flight { shared, part, ticket, column, index, faults, .. }) = self.flights.pop_front() else {
                return;
            };
            add(&self.meters.stages[self.stage].rows_out, index.len());
            let batch = Batch::with_rows(shared, part, Some(index), column);
            out.push_back(Passing::failed_records(Parcel { batch, ticket }, faults, &self.name));
        }
    }
}
