//! [`Parcel`]: a batch with its ticket, as it travels between tasks.

use crate::commit::Ticket;
use crate::data::Batch;

/// A batch and the claim that rides on it.
pub(super) struct Parcel {
    pub(super) batch: Batch,
    pub(super) ticket: Ticket,
}

impl Parcel {
    /// Cuts it before `record` of its span and returns the rest.
    pub(super) fn split_at(&mut self, record: u32) -> Self {
        Self { batch: self.batch.split_at(record), ticket: self.ticket.split_at(record) }
    }
}

/// What travels over a channel.
pub(super) enum Message {
    /// A batch. `turn_ends`: the next one comes from the next worker.
    Parcel { parcel: Parcel, turn_ends: bool },
    /// Nothing more comes, and that is as it should be.
    End(super::Ended),
    /// Nothing more comes because something failed: what was not passed on has not happened.
    Failed,
}

/// How a stream of batches ended.
#[derive(Debug)]
pub(super) enum Close {
    /// As it should.
    End(super::Ended),
    /// Something failed upstream, and has been told.
    Failed,
    /// This failed, right here.
    Error(crate::contracts::Error),
}
