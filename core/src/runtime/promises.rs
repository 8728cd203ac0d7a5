//! [`Promises`]: what an origin says of what it hasn't emitted yet, for merges on other instances.

use tokio::sync::mpsc;

use super::ledger::Ledger;
use crate::contracts::{OriginAt, Report};

/// Where an origin of this part says what it promises.
#[derive(Clone)]
pub(super) struct Promises {
    /// The network stage before the part; `None`: it has the source.
    pub(super) hop: Option<usize>,
    pub(super) reports: mpsc::UnboundedSender<Report>,
}

impl Promises {
    /// Whatever the origin emits from now on is no earlier than this: by event time, or by turns where it gives those.
    pub(super) fn promise(&self, (stage, instance): (&std::sync::Arc<str>, u16), ledger: &Ledger, from: i64) {
        let at = OriginAt {
            instance,
            stage: stage.clone(),
            partition: ledger.partition.clone(),
            epoch: ledger.epoch,
            sequence: ledger.next(),
        };
        // An exchange that is gone needs no word.
        let _ = self.reports.send(Report::Promised { hop: self.hop, at, from });
    }
}
