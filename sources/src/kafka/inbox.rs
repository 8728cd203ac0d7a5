//! [`Inbox`]: what the client says, and what is this member's by that. Its [`Context`] is what the library calls.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use millstream_net::kafka::{Place, Said, listed};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, ConsumerGroupMetadata, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, Statistics, TopicPartitionList};
use tokio::sync::Notify;

/// What the client has said.
#[derive(Debug)]
pub(super) enum Notice {
    /// These partitions are ours, once they have been assigned; with none, that has been done.
    Assigned(Vec<Place>),
    /// These are to be given back; `lost`: others may have them already. Told by its number, the how-manyth it is.
    Revoked { number: u64, places: Vec<Place>, lost: bool },
    /// An error that belongs to no partition.
    Failed(KafkaError),
}

/// Partitions that were taken away and are not given back yet.
struct Revoked {
    number: u64,
    places: Vec<Place>,
    /// When they are given back, whatever the pipeline does.
    until: Instant,
    /// How this member was known to the group when they were taken away.
    known_as: Option<Arc<ConsumerGroupMetadata>>,
}

/// What is this member's.
#[derive(Debug, Default)]
struct Ours {
    places: HashSet<Place>,
    /// The client waits to be told from where partitions are read that the group has assigned.
    awaited: bool,
    /// Offsets of them are being committed: nothing is given back meanwhile.
    committing: bool,
}

/// Where the client leaves what it says.
#[derive(Default)]
pub(super) struct Inbox {
    notices: Mutex<VecDeque<Notice>>,
    /// Mostly one at most: the client waits for the first to be given back, unless topics change meanwhile.
    revoked: Mutex<Vec<Revoked>>,
    ours: Mutex<Ours>,
    /// How often something was revoked.
    revocations: AtomicU64,
    /// Something has come: a notice, or messages of a partition.
    pub(super) wake: Arc<Notify>,
    /// Nobody asks any more: what is revoked is given back at once.
    pub(super) leaving: AtomicBool,
    pub(super) said: Said,
}

impl Inbox {
    /// Gives back the partitions of this revocation, if that has not been done. `false`: it has to wait for the end of a
    /// commit.
    pub(super) fn give_back(&self, consumer: &BaseConsumer<Context>, number: u64) -> KafkaResult<bool> {
        let mut revoked = lock(&self.revoked);
        let mut ours = lock(&self.ours);
        let Some(which) = revoked.iter().position(|revoked| revoked.number == number) else { return Ok(true) };
        if ours.committing {
            return Ok(false);
        }
        let places = &revoked[which].places;
        places.iter().for_each(|place| {
            ours.places.remove(place);
        });
        unassign(consumer, places)?;
        revoked.remove(which);
        Ok(true)
    }

    /// Answers what nobody else will answer any more. The client waits for that, and would never leave the group.
    pub(super) fn answer(&self, consumer: &BaseConsumer<Context>) -> KafkaResult<()> {
        let revoked = std::mem::take(&mut *lock(&self.revoked));
        let awaited = std::mem::take(&mut lock(&self.ours).awaited);
        let unassigned = revoked.iter().try_for_each(|revoked| unassign(consumer, &revoked.places));
        let assigned = if awaited { assign(consumer, &TopicPartitionList::new()) } else { Ok(()) };
        unassigned.and(assigned)
    }

    /// What is due to be given back.
    pub(super) fn due(&self) -> Option<(u64, Vec<Place>)> {
        let revoked = lock(&self.revoked);
        let due = revoked.iter().find(|revoked| revoked.until <= Instant::now())?;
        Some((due.number, due.places.clone()))
    }

    /// Has the partitions of this revocation given back as soon as no commit is under way.
    pub(super) fn hasten(&self, number: u64) {
        if let Some(revoked) = lock(&self.revoked).iter_mut().find(|revoked| revoked.number == number) {
            revoked.until = Instant::now();
        }
    }

    /// Whether the partitions of this revocation have been given back.
    pub(super) fn has_given_back(&self, number: u64) -> bool {
        lock(&self.revoked).iter().all(|revoked| revoked.number != number)
    }

    /// How this member was known to the group when the first was taken away of what is not given back yet.
    pub(super) fn known_as(&self) -> Option<Arc<ConsumerGroupMetadata>> {
        lock(&self.revoked).first().and_then(|revoked| revoked.known_as.clone())
    }

    /// Takes partitions over that the group has assigned. `false`: some have been taken away again meanwhile, which is said
    /// next, and nothing was done.
    pub(super) fn take_over(
        &self,
        consumer: &BaseConsumer<Context>,
        places: &[Place],
        partitions: &TopicPartitionList,
    ) -> KafkaResult<bool> {
        // Until it is done nothing more is said: what is taken away behind it is given back by who finds it assigned.
        let notices = lock(&self.notices);
        let is_taken = |notice: &Notice| match notice {
            Notice::Revoked { places: gone, .. } => places.iter().any(|place| gone.contains(place)),
            Notice::Assigned(_) | Notice::Failed(_) => false,
        };
        if notices.iter().any(is_taken) {
            return Ok(false);
        }
        let mut ours = lock(&self.ours);
        ours.places.extend(places.iter().cloned());
        ours.awaited = false;
        drop(ours);
        assign(consumer, partitions).map(|()| true)
    }

    /// Of these offsets those of partitions that are still this member's: they are about to be committed.
    pub(super) fn begin_commit(&self, offsets: Vec<(Place, i64)>) -> Vec<(Place, i64)> {
        let mut ours = lock(&self.ours);
        ours.committing = true;
        offsets.into_iter().filter(|(place, _)| ours.places.contains(place)).collect()
    }

    /// The commit has ended.
    pub(super) fn end_commit(&self) {
        lock(&self.ours).committing = false;
    }

    /// What was said next; but no partitions, while those are being given back that were taken away before.
    pub(super) fn take(&self, giving_back: bool) -> Option<Notice> {
        let waits =
            |notice: &mut Notice| giving_back && matches!(notice, Notice::Assigned(places) if !places.is_empty());
        lock(&self.notices).pop_front_if(|notice| !waits(notice))
    }

    pub(super) fn put(&self, notice: Notice) {
        lock(&self.notices).push_back(notice);
        self.wake.notify_one();
    }
}

/// What librdkafka calls.
pub(super) struct Context {
    pub(super) inbox: Arc<Inbox>,
    /// How long what is revoked is kept at most.
    revoke_wait: Duration,
}

impl Context {
    /// That of a member's client, which keeps what is revoked for so long at most.
    pub(super) fn new(inbox: Arc<Inbox>, revoke_wait: Duration) -> Self {
        Self { inbox, revoke_wait }
    }

    /// That of another client, which asks beside this one and is no member.
    pub(super) fn of(other: &Self) -> Self {
        Self { inbox: other.inbox.clone(), revoke_wait: other.revoke_wait }
    }

    /// What the library said last.
    pub(super) fn said(&self) -> &Said {
        &self.inbox.said
    }

    pub(super) fn revoked(&self, places: Vec<Place>, lost: bool, known_as: Option<ConsumerGroupMetadata>) {
        let mut revoked = lock(&self.inbox.revoked);
        let number = self.inbox.revocations.fetch_add(1, Ordering::SeqCst);
        // Others may read what is lost: nothing is gained by keeping it.
        let until = if lost { Instant::now() } else { Instant::now() + self.revoke_wait };
        revoked.push(Revoked { number, places: places.clone(), until, known_as: known_as.map(Arc::new) });
        drop(revoked);
        self.inbox.put(Notice::Revoked { number, places, lost });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.inbox.said.log(level, facility, text);
    }

    fn stats(&self, _: Statistics) {}

    fn error(&self, error: KafkaError, reason: &str) {
        self.inbox.said.error(&error, reason);
    }
}

impl ConsumerContext for Context {
    /// Only takes note of it: the source assigns and gives back, once it has done what that takes. Where there is nothing
    /// to do, that is not waited for: the group may wait for this member.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let assigned = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let places = partitions.elements();
        let places: Vec<_> = places.iter().map(|element| Place::new(element.topic(), element.partition())).collect();
        if self.inbox.leaving.load(Ordering::SeqCst) {
            let answered = match assigned {
                true => assign(consumer, &TopicPartitionList::new()),
                false => unassign(consumer, &places),
            };
            if let Err(error) = answered {
                tracing::warn!(%error, assigned, "partitions could not be given back while leaving the group");
            }
            return;
        }
        if !assigned {
            return self.revoked(places, consumer.assignment_lost(), consumer.group_metadata());
        }
        if !places.is_empty() {
            lock(&self.inbox.ours).awaited = true;
        } else if let Err(error) = assign(consumer, partitions) {
            self.inbox.put(Notice::Failed(error));
        }
        self.inbox.put(Notice::Assigned(places));
    }
}

/// Gives partitions back, in the way of the group's protocol. It waits for the client's own thread alone, which waits for
/// nothing outside itself.
fn unassign(consumer: &BaseConsumer<Context>, places: &[Place]) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => {
            // It refuses all if one was taken away before it had been taken over.
            let assigned = consumer.assignment()?;
            let is_assigned = |at: &&Place| assigned.find_partition(&at.topic, at.partition).is_some();
            let given_back = places.iter().filter(is_assigned);
            consumer.incremental_unassign(&listed(given_back.map(|place| (place, Offset::Invalid))))
        }
        _ => consumer.unassign(),
    }
}

/// Takes partitions over, in the way of the group's protocol. It waits for the client's own thread alone, as [`unassign`]
/// does.
fn assign(consumer: &BaseConsumer<Context>, partitions: &TopicPartitionList) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_assign(partitions),
        _ => consumer.assign(partitions),
    }
}
