//! Partitions that the group assigns: read once it is known where they begin.

use millstream_core::contracts::{Cause, Error, Event, Result};
use millstream_core::data::Position;
use millstream_net::kafka::{Place, cluster_of, decode, listed, partition_name};
use rdkafka::consumer::base_consumer::PartitionQueue;
use tokio::time::Instant;

use super::{AGAIN, KafkaSource};
use crate::kafka::begin::{self, Asked, Begin};
use crate::kafka::config::{Fallback, Start};
use crate::kafka::form::Form;
use crate::kafka::inbox::Context;
use crate::kafka::opened::Reading;

impl<T: Form> KafkaSource<T> {
    /// These were assigned, and wait to be begun with: beside others, of which the client has not been told where they
    /// begin, where topics have changed meanwhile.
    pub(super) fn is_given(&mut self, places: Vec<Place>) {
        if !std::mem::replace(&mut self.known.begun, true) {
            self.known.first.extend(places.iter().cloned());
        }
        self.waiting.extend(places);
    }

    /// These are taken away; whether some of them waited to be begun with.
    pub(super) fn waits_no_more_for(&mut self, gone: &[Place]) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|place| !gone.contains(place));
        self.waiting.len() < before
    }

    /// Finds out where partitions begin that wait for that.
    pub(super) fn find_beginnings(&mut self) -> Result<()> {
        (self.begin_again, self.beginning) = (None, None);
        if !self.waiting.is_empty() {
            let (asked, ends) = (self.asked(&self.waiting)?, self.topics.ends_config());
            self.beginning = Some(self.member()?.ask(move |consumer| begin::begin(consumer, asked, ends.as_ref())));
        }
        Ok(())
    }

    pub(super) fn asked(&self, places: &[Place]) -> Result<Vec<Asked>> {
        let asked = places.iter().map(|place| {
            let first = self.known.first.contains(place);
            let start = if first { self.topics.start } else { Start::Committed(self.later(place)) };
            let floor = self.known.floors.get(place).cloned();
            Ok(Asked { place: place.clone(), held: self.held_of(place)?, floor, start })
        });
        asked.collect()
    }

    /// What is held of a partition outside of the group. Once it was given back others may have read on; where the sink
    /// commits the group's offsets, nothing is.
    pub(super) fn held_of(&self, place: &Place) -> Result<Option<begin::Held>> {
        if self.topics.shared.has_transactions() {
            return Ok(None);
        }
        let held = self.held.position(&partition_name(&place.topic, place.partition));
        let held = held.as_ref().map(|position| self.own(position)).transpose()?;
        Ok(match self.known.floors.get(place).and_then(|floor| floor.given_back) {
            None => held.map(begin::Held::At),
            Some(before) => held.max(Some(before).filter(|offset| *offset >= 0)).map(begin::Held::AtLeast),
        })
    }

    /// The offset of a position, which has to be of this cluster.
    fn own(&self, position: &Position) -> Result<i64> {
        let ours = &*self.known.cluster;
        match cluster_of(position) {
            Some(theirs) if !ours.is_empty() && theirs != ours => {
                let message = format!(
                    "the position {} is of the Kafka cluster {theirs}, and these brokers are of {ours}: give the brokers of \
                     that one, or begin anew with another state folder and another output",
                    position.label()
                );
                Err(Error::new(Cause::State, message))
            }
            _ => decode(position),
        }
    }

    /// It is known where partitions begin, or it is asked again.
    pub(super) fn begun(&mut self, begun: Result<Vec<Begin>>) -> Result<()> {
        match begun {
            Ok(begins) => {
                let partitions = listed(begins.iter().map(|begin| (&begin.place, begin.told())));
                let places: Vec<_> = begins.iter().map(|begin| begin.place.clone()).collect();
                // Messages come into these queues once they are assigned, and into no other.
                let queues = self.queues(&begins)?;
                if !self.member()?.assign(&places, &partitions)? {
                    // Of the others it is asked anew, once it has been heard which.
                    return Ok(());
                }
                self.waiting.clear();
                self.read(begins, queues);
                Ok(())
            }
            Err(error) if error.is_retryable() => {
                tracing::warn!(error = error.chain(), "it isn't known where partitions begin: asking again");
                self.begin_again = Some(Instant::now() + AGAIN);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Where a partition begins that comes later and of which the group has committed nothing: what is *latest* was said
    /// when the run began, and one that was made since has nothing older.
    fn later(&self, place: &Place) -> Fallback {
        let is_new = self.known.counts.get(&place.topic).is_none_or(|&count| place.partition >= count);
        match self.topics.start {
            Start::Timestamp(millis) => Fallback::Timestamp(millis),
            Start::Latest | Start::Committed(Fallback::Latest) if !is_new => {
                Fallback::Timestamp(self.known.opened_at.unwrap_or_default())
            }
            Start::Committed(Fallback::Fail) if !is_new => Fallback::Fail,
            Start::Committed(Fallback::Timestamp(millis)) => Fallback::Timestamp(millis),
            _ => Fallback::Earliest,
        }
    }

    /// Where a partition is held, if the group has not committed that: what lies before it is durable, and nothing of it comes
    /// again that would bring the group there.
    fn held_ahead(&self, begin: &Begin) -> Option<i64> {
        let is_behind = begin.committed.as_ref().is_none_or(|committed| committed.offset < begin.offset);
        let held = self.held_of(&begin.place).ok().flatten();
        held.filter(|_| is_behind).map(|_| begin.offset)
    }

    /// Reads partitions that are assigned already.
    pub(super) fn read_from(&mut self, begins: Vec<Begin>) -> Result<()> {
        let queues = self.queues(&begins)?;
        self.read(begins, queues);
        Ok(())
    }

    fn queues(&self, begins: &[Begin]) -> Result<Vec<PartitionQueue<Context>>> {
        let member = self.member()?;
        let queues = begins.iter().map(|begin| {
            let Place { topic, partition } = &begin.place;
            let Some(mut queue) = member.consumer().split_partition_queue(topic, *partition) else {
                return Err(Error::new(Cause::Bug, format!("{topic}/{partition} has no queue")));
            };
            let wake = member.inbox.wake.clone();
            queue.set_nonempty_callback(move || wake.notify_one());
            Ok(queue)
        });
        queues.collect()
    }

    fn read(&mut self, begins: Vec<Begin>, queues: Vec<PartitionQueue<Context>>) {
        self.topics.shared.takes(begins.iter().map(|begin| begin.place.clone()));
        for (mut begin, queue) in begins.into_iter().zip(queues) {
            tracing::info!(topic = begin.place.topic, partition = begin.place.partition, begin = ?begin.from, "reads");
            self.known.first.remove(&begin.place);
            begin.end = self.known.floors.entry(begin.place.clone()).or_insert_with(|| begin.floor()).end;
            let ahead = self.held_ahead(&begin);
            let mut reading = Reading::new(self.next_id, begin, queue, self.known.cluster.clone());
            reading.wanted = ahead.unwrap_or(reading.wanted);
            self.next_id += 1;
            self.ready.push_back(Event::Opened(reading.name.clone()));
            self.open.push(reading);
        }
        // There may be messages already.
        if let Some(member) = &self.member {
            member.inbox.wake.notify_one();
        }
    }
}
