//! [`Orphans`]: partitions that a group has forgotten.
//!
//! Partitions change hands in two steps: who has one is told to give it back, and once it has, it asks for them to be shared
//! out again. A member with a static name that is killed between the two and started again is taken for the one that it was,
//! without anything being shared out; it doesn't know what it was to ask for. So what its predecessor was to give back is
//! nobody's, until something else happens in the group. Who has a static name looks for that when it has joined.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millstream_core::contracts::{Result, WAITS};
use millstream_net::kafka::{Answer, failed, listed, thread};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, ClientContext, TopicPartitionList};
use tokio::time::Instant;

use super::member::Member;
use super::rest::{Rest, look};

/// How long after an answer, or after partitions were assigned, the group is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How long the group may take to share partitions out anew.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a member with a static name knows of partitions that its predecessor may have left behind.
#[derive(Default)]
pub(super) struct Orphans {
    /// When the group is looked at next; `None`: there is no reason to.
    due: Option<Instant>,
    asked: Option<Answer<Rest>>,
    /// It has found some: if they are still there at the next look, they are not only on their way.
    found: bool,
}

impl Orphans {
    /// This member has joined: its predecessor may have left some behind.
    pub(super) fn may_be(&mut self) {
        *self = Self { due: Some(Instant::now() + LOOK), ..Self::default() };
    }

    /// Looks for them, if it is time: among partitions of these topics (with how many each has).
    pub(super) fn find(&mut self, member: &Member, group: &str, known: &HashMap<String, i32>) {
        if self.due.is_some_and(|due| due <= Instant::now()) && self.asked.is_none() {
            let (group, known) = (group.to_owned(), known.clone());
            self.asked = Some(member.ask(move |consumer| look(consumer, &group, &known)));
        }
    }

    /// When it is time to look.
    pub(super) fn again(&self) -> Option<Instant> {
        self.due.filter(|_| self.asked.is_none())
    }

    /// Waits for what was found, and says whether the group has to share its partitions out anew; for ever, if nothing was
    /// asked. May be dropped at any time.
    pub(super) async fn heard(&mut self) -> bool {
        let answer = match &mut self.asked {
            Some(asked) => asked.await,
            None => std::future::pending().await,
        };
        let found = answer.unwrap_or(Rest::Untold);
        let stays = found == Rest::Orphaned && std::mem::take(&mut self.found);
        (self.asked, self.found) = (None, found == Rest::Orphaned && !stays);
        self.due = match found {
            Rest::Rests | Rest::Untold => None,
            Rest::Moves => Some(Instant::now() + LOOK),
            // That takes its time.
            Rest::Orphaned => Some(Instant::now() + if stays { LOOK * 5 } else { LOOK }),
        };
        stays
    }
}

/// Has the group share its partitions out anew, beside everything else: by a client that joins it and leaves it again, since
/// a member can't ask for that.
pub(super) fn share_out(mut config: ClientConfig, group: &str, topics: Vec<String>) -> Result<()> {
    tracing::warn!(target: WAITS, group, "partitions are nobody's: the group is made to share them out anew");
    config.remove("group.instance.id");
    let passer: BaseConsumer<Passer> =
        config.create_with_context(Passer::default()).map_err(|error| failed("can't make a Kafka client", error))?;
    thread("kafka passer", move || {
        let topics: Vec<_> = topics.iter().map(String::as_str).collect();
        if let Err(error) = passer.subscribe(&topics) {
            tracing::warn!(%error, "the group can't be made to share its partitions out anew");
        }
        let until = Instant::now() + PATIENCE;
        while !passer.context().joined.load(Ordering::SeqCst) && Instant::now() < until {
            // What is wrong is tried again by the client.
            let _ = passer.poll(LOOK / 10);
        }
    })
}

/// Joins a group, and reads nothing.
#[derive(Default)]
struct Passer {
    joined: AtomicBool,
}

impl ClientContext for Passer {}

impl ConsumerContext for Passer {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let done = match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                self.joined.store(true, Ordering::SeqCst);
                consumer.incremental_assign(&listed([]))
            }
            _ => consumer.incremental_unassign(&listed([])),
        };
        if let Err(error) = done {
            tracing::debug!(%error, partitions = partitions.count(), "a passer's partitions could not be given back");
        }
    }
}
