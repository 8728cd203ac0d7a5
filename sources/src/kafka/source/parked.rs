//! [`Parked`]: the membership of a source that was dropped, which the next source of the same declaration takes up.

use std::collections::VecDeque;

use millstream_core::contracts::Result;
use millstream_net::kafka::{Place, unanswered};
use tokio::time::Instant;

use super::{KafkaSource, Revoking};
use crate::kafka::begin;
use crate::kafka::form::Form;
use crate::kafka::inbox::Notice;
use crate::kafka::member::Member;
use crate::kafka::orphans::Orphans;

/// What the next source takes up, when one was dropped and not closed.
pub(super) struct Parked {
    member: Member,
    assigned: bool,
    tells: Option<Instant>,
    /// What was being read.
    reading: Vec<Place>,
    waiting: Vec<Place>,
    revoking: VecDeque<Revoking>,
    orphans: Orphans,
}

impl<T: Form> KafkaSource<T> {
    /// Takes up the membership of a source that was dropped: what it was reading is read again from where it is committed.
    pub(super) async fn take_up(&mut self, parked: Parked) -> Result<()> {
        let Parked { member, assigned, tells, reading, waiting, revoking, orphans } = parked;
        (self.orphans, self.tells) = (orphans, tells);
        // Where something fails, it is parked again with all that it has.
        (self.assigned, self.waiting, self.revoking, self.parked_with) = (assigned, waiting, revoking, reading);
        self.joined(member);
        while let Some(Revoking { number, places, .. }) = self.revoking.pop_front() {
            self.give_back_unread(number, &places)?;
        }
        self.take_up_notices()?;
        let (asked, ends) = (self.asked(&self.parked_with)?, self.topics.ends_config());
        let begun = self.member()?.ask(move |consumer| {
            let begins = begin::begin(consumer, asked, ends.as_ref())?;
            begin::go_back(consumer, begins.iter().map(|begin| (&begin.place, begin.told())))?;
            Ok(begins)
        });
        let begins = begun.await.map_err(unanswered)??;
        self.parked_with.clear();
        self.read_from(begins)?;
        self.find_beginnings()
    }

    /// What the group has said while there was no source.
    fn take_up_notices(&mut self) -> Result<()> {
        while let Some(notice) = self.member()?.inbox.take(false) {
            match notice {
                Notice::Assigned(places) => {
                    (self.assigned, self.tells) = (true, None);
                    self.is_given(places);
                }
                Notice::Revoked { number, places, .. } => {
                    self.assigned = false;
                    self.give_back_unread(number, &places)?;
                }
                Notice::Failed(error) => self.judge("the consumer group", error)?,
            }
        }
        Ok(())
    }

    /// Gives back what nobody has read on meanwhile.
    fn give_back_unread(&mut self, number: u64, places: &[Place]) -> Result<()> {
        self.parked_with.retain(|place| !places.contains(place));
        self.waits_no_more_for(places);
        places.iter().for_each(|place| self.known.give_back(place, -1));
        if !self.member()?.give_back(number)? {
            // A commit of the source before is under way. The group's thread gives them back behind it.
            self.member()?.inbox.hasten(number);
        }
        Ok(())
    }
}

/// The next source of the same declaration goes on as the same member of the group, unless this one was closed.
impl<T: Form> Drop for KafkaSource<T> {
    fn drop(&mut self) {
        let reading = self.open.drain(..).map(|reading| reading.place);
        let reading = reading.chain(self.parked_with.drain(..)).collect();
        if self.known.opened_at.is_some() {
            self.topics.known.keep(std::mem::take(&mut self.known));
        }
        if let Some(member) = self.member.take() {
            self.topics.shared.park(Box::new(Parked {
                member,
                assigned: self.assigned,
                tells: self.tells,
                reading,
                waiting: std::mem::take(&mut self.waiting),
                revoking: std::mem::take(&mut self.revoking),
                orphans: std::mem::take(&mut self.orphans),
            }));
        }
    }
}
