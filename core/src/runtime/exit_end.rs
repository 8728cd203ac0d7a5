//! [`ExitEnd`]: where batches leave a part of the graph by a network stage.

use super::parcel::Parcel;
use super::summary::Ended;
use crate::contracts::Exit;

/// The network's end of a part that doesn't end in the sink.
pub(super) struct ExitEnd(Option<Box<dyn Exit>>);

impl ExitEnd {
    pub(super) fn new(exit: Box<dyn Exit>) -> Self {
        Self(Some(exit))
    }

    /// Waits for room for one batch. May be dropped at any time.
    pub(super) async fn ready(&mut self) {
        if let Some(exit) = &mut self.0 {
            exit.ready().await;
        }
    }

    /// Sends a batch after [`ready`](Self::ready).
    pub(super) fn send(&mut self, parcel: Parcel) {
        if let Some(exit) = &mut self.0 {
            exit.send(parcel.batch, parcel.ticket);
        }
    }

    /// The stream has ended; `None`: something failed or it was given up, and then nothing is said.
    pub(super) fn close(&mut self, ended: Option<Ended>) {
        if let (Some(mut exit), Some(_)) = (self.0.take(), ended) {
            exit.end();
        }
    }
}
