//! Commits of the group's offsets: one at a time, and what was not stored again.

use millstream_core::contracts::Result;
use millstream_net::kafka::Answer;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::time::Instant;

use super::{AGAIN, KafkaSource};
use crate::kafka::commit::Committed;
use crate::kafka::form::Form;

impl<T: Form> KafkaSource<T> {
    /// Hears what became of the commit that is under way, if that is known by now.
    pub(super) fn hear_of_commit(&mut self) -> Result<()> {
        match self.committing.as_mut().map(Answer::try_recv) {
            Some(Ok(committed)) => {
                self.committing = None;
                self.committed(committed)
            }
            Some(Err(TryRecvError::Closed)) => {
                self.committing = None;
                Ok(())
            }
            Some(Err(TryRecvError::Empty)) | None => Ok(()),
        }
    }

    /// Asks the group to store what the engine wants to be committed, one commit at a time.
    pub(super) fn ask_for_commits(&mut self) -> Result<()> {
        self.hear_of_commit()?;
        let moved = self.open.iter().filter(|reading| reading.wanted > reading.stored);
        let offsets: Vec<_> = moved.map(|reading| (reading.place.clone(), reading.wanted)).collect();
        if !offsets.is_empty() && self.committing.is_none() && self.commit_again.is_none() {
            self.committing = Some(self.member()?.commit(offsets, self.topics.shared.mark()));
        }
        Ok(())
    }

    /// Takes note of what became of a commit. What was not stored is tried again for as long as the partition is ours; that
    /// it isn't is told by the group.
    pub(super) fn committed(&mut self, committed: Committed) -> Result<()> {
        for (place, offset) in committed.stored {
            if let Some(reading) = self.open.iter_mut().find(|reading| reading.place == place) {
                reading.stored = reading.stored.max(offset);
            }
        }
        if let Err(error) = committed.result {
            self.judge("the consumer group", error)?;
            self.commit_again = Some(Instant::now() + AGAIN);
        }
        Ok(())
    }

    /// Waits until the group has stored all that the engine wants to be committed.
    pub(super) async fn all_committed(&mut self) -> Result<()> {
        loop {
            self.take_notices()?;
            self.give_back_what_has_settled()?;
            self.ask_for_commits()?;
            if self.open.iter().all(|reading| reading.stored >= reading.wanted) {
                return Ok(());
            }
            self.wait().await?;
        }
    }
}
