//! [`EntryEnd`]: where batches come into a part of the graph by a network stage; and [`Feed`], which is that or a channel.

use std::sync::Arc;

use tokio::sync::{Mutex, watch};

use super::arrivals::Arrivals;
use super::channel::Incoming;
use super::control::Phase;
use super::parcel::{Close, Parcel};
use super::summary::Ended;
use crate::commit::Ticket;
use crate::contracts::{Arrival, Entry};

/// A network stage's entry: a part that begins anew goes on with it.
pub(super) type SharedEntry = Arc<Mutex<Box<dyn Entry>>>;

/// The network's end of a part that doesn't begin with the source.
pub(super) struct EntryEnd {
    entry: SharedEntry,
    /// Hears of outcomes on the way; `None`: they go to the claims straight away.
    arrivals: Option<Arc<Arrivals>>,
    phase: watch::Receiver<Phase>,
    stopped: bool,
}

impl EntryEnd {
    pub(super) fn new(entry: SharedEntry, arrivals: Option<Arc<Arrivals>>, phase: watch::Receiver<Phase>) -> Self {
        Self { entry, arrivals, phase, stopped: false }
    }

    /// The next batch, or how the stream ended. May be dropped at any time.
    async fn next(&mut self) -> Result<Parcel, Close> {
        let arrival = loop {
            // Nobody upstream hears that this part wants no more: it ends here.
            match *self.phase.borrow_and_update() {
                _ if self.stopped => return Err(Close::Failed),
                Phase::Running => {}
                Phase::Limited => return Err(Close::End(Ended::Limit)),
                Phase::Draining => return Err(Close::End(Ended::Drained)),
                Phase::Aborting => return Err(Close::Failed),
            }
            let next = async { self.entry.lock().await.next().await };
            tokio::select! {
                biased;
                _ = self.phase.changed() => {}
                arrival = next => break arrival,
            }
        };
        match arrival {
            Arrival::Batch(batch, claim) => Ok(match &self.arrivals {
                Some(arrivals) => arrivals.take_in(batch, claim),
                None => Parcel { ticket: Ticket::new(claim.origin, claim.slot, batch.part()), batch },
            }),
            Arrival::End { drained } => {
                self.arrivals.iter().for_each(|arrivals| arrivals.end());
                Err(Close::End(if drained { Ended::Drained } else { Ended::Input }))
            }
            Arrival::Gone => Err(Close::Failed),
        }
    }
}

/// Where a task's batches come from, unless that is the source.
pub(super) enum Feed {
    Channel(Incoming),
    Entry(EntryEnd),
}

impl Feed {
    /// The next batch, or how the stream ended. A sender that is gone without a word has failed. May be dropped at any
    /// time.
    pub(super) async fn next(&mut self) -> Result<Parcel, Close> {
        match self {
            Self::Channel(incoming) => incoming.next().await,
            Self::Entry(entry) => entry.next().await,
        }
    }

    /// Wants no more.
    pub(super) fn stop(&mut self) {
        match self {
            Self::Channel(incoming) => incoming.stop(),
            Self::Entry(entry) => entry.stopped = true,
        }
    }
}
