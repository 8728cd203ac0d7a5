//! Partitions that the group takes away: given back once what was read of them has settled.

use millstream_core::contracts::{Event, Result};
use millstream_net::kafka::Place;

use super::KafkaSource;
use crate::kafka::form::Form;
use crate::kafka::opened::Reading;

/// Partitions that are being taken away.
pub(super) struct Revoking {
    pub(super) number: u64,
    pub(super) places: Vec<Place>,
    /// Others may have them already.
    pub(super) lost: bool,
}

impl<T: Form> KafkaSource<T> {
    pub(super) fn is_revoked(&self, reading: &Reading) -> bool {
        self.revoking.iter().any(|revoking| revoking.places.contains(&reading.place))
    }

    /// Closes partitions that are being taken away, once everything that was emitted of them is committed, or their time
    /// was up; and gives all of them back when none is left. What is taken away while others wait for that has its turn
    /// behind them: they have been given back by then, but not closed here.
    pub(super) fn give_back_what_has_settled(&mut self) -> Result<()> {
        while let Some(revoking) = self.revoking.pop_front() {
            let done = self.give_back_settled(&revoking);
            if !matches!(done, Ok(true)) {
                self.revoking.push_front(revoking);
                return done.map(drop);
            }
            // What was said behind it has waited for that.
            self.member()?.inbox.wake.notify_one();
        }
        Ok(())
    }

    /// `false`: not all of it yet.
    fn give_back_settled(&mut self, revoking: &Revoking) -> Result<bool> {
        self.hear_of_commit()?;
        let Revoking { number, places, lost } = revoking;
        let given_up = self.member()?.inbox.has_given_back(*number);
        let goes = |reading: &&Reading| places.contains(&reading.place) && (given_up || reading.is_settled());
        let going: Vec<_> = self.open.iter().filter(goes).map(|it| it.place.clone()).collect();
        if !self.topics.shared.lets_go(&going) {
            // A transaction is being committed that may hold some of it: it is told when that has ended.
            return Ok(false);
        }
        let (gone, kept) = std::mem::take(&mut self.open).into_iter().partition(|it| going.contains(&it.place));
        self.open = kept;
        for reading in Vec::from_iter(gone) {
            self.close_reading(reading, *lost);
        }
        let left = self.open.iter().any(|reading| places.contains(&reading.place));
        // While something is being committed it is not given back; the answer to that wakes.
        Ok(!left && self.member()?.give_back(*number)?)
    }

    pub(super) fn close_reading(&mut self, reading: Reading, lost: bool) {
        if !reading.is_settled() {
            let stored = reading.stored;
            tracing::warn!(partition = %reading.name, stored, lost, "given up before all that was read had arrived");
        }
        if reading.wanted > reading.stored {
            self.known.late(&reading.name);
        }
        self.ready.push_back(Event::Closed(reading.id));
        self.known.give_back(&reading.place, reading.stored);
    }
}
