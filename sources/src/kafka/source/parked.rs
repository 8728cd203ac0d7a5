//! [`Parked`]: the membership of a source that was dropped, which the next source of the same declaration takes up.

use std::collections::VecDeque;

use millstream_core::contracts::Result;
use millstream_net::kafka::{Place, unanswered};

use super::{KafkaSource, Revoking};
use crate::kafka::begin;
use crate::kafka::form::Form;
use crate::kafka::member::{Member, Notice};

/// What the next source takes up, when one was dropped and not closed.
pub(super) struct Parked {
    member: Member,
    assigned: bool,
    /// What was being read.
    reading: Vec<Place>,
    waiting: Option<(Vec<Place>, bool)>,
    revoking: VecDeque<Revoking>,
}

impl<T: Form> KafkaSource<T> {
    /// Takes up the membership of a source that was dropped: what it was reading is read again from where it is committed.
    pub(super) async fn take_up(&mut self, parked: Parked) -> Result<()> {
        let Parked { member, assigned, reading, waiting, revoking } = parked;
        (self.assigned, self.waiting) = (assigned, waiting);
        self.joined(member);
        let mut kept = reading;
        for Revoking { number, places, .. } in revoking {
            self.give_back_unread(&mut kept, number, &places)?;
        }
        self.take_up_notices(&mut kept)?;
        let asked = self.asked(&kept, false)?;
        let ends = self.topics.ends_config();
        let begun = self.member()?.ask(move |consumer| {
            let begins = begin::begin(consumer, asked, ends.as_ref())?;
            begin::go_back(consumer, begins.iter().map(|begin| (&begin.place, begin.told())))?;
            Ok(begins)
        });
        // Where that fails, it is parked again with all that it had.
        self.parked_with = kept;
        let begins = begun.await.map_err(unanswered)??;
        self.parked_with.clear();
        self.read_from(begins)?;
        self.find_beginnings()
    }

    /// What the group has said while there was no source.
    fn take_up_notices(&mut self, kept: &mut Vec<Place>) -> Result<()> {
        while let Some(notice) = self.member()?.inbox.take(false) {
            match notice {
                Notice::Assigned(places) => {
                    self.assigned = true;
                    let first = !std::mem::replace(&mut self.known.begun, true);
                    if !places.is_empty() {
                        self.is_given(places, first)?;
                    }
                }
                Notice::Revoked { number, places, .. } => {
                    self.assigned = false;
                    self.give_back_unread(kept, number, &places)?;
                }
                Notice::Failed(error) => self.judge("the consumer group", error)?,
            }
        }
        Ok(())
    }

    /// Gives back what nobody has read on meanwhile.
    fn give_back_unread(&mut self, kept: &mut Vec<Place>, number: u64, places: &[Place]) -> Result<()> {
        kept.retain(|place| !places.contains(place));
        self.waits_no_more_for(places);
        places.iter().for_each(|place| self.known.give_back(place, -1));
        if !self.member()?.give_back(number)? {
            // A commit of the source before is under way. The group's thread gives them back behind it.
            self.member()?.hasten(number);
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
                reading,
                waiting: self.waiting.take(),
                revoking: std::mem::take(&mut self.revoking),
            }));
        }
    }
}
