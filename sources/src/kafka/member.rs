//! [`Member`]: membership in a consumer group. A thread of its own serves the client, so that the group hears from this
//! member however long the pipeline takes; messages wait in a queue of their partition until the source takes them.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use millstream_core::contracts::Result;
use millstream_net::kafka::{Answer, Group, Place, Questions, Said, failed, thread};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, ConsumerGroupMetadata, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, ClientContext, Message as _, Offset, Statistics, TopicPartitionList};
use tokio::sync::{Notify, oneshot};

use super::begin::list;
use super::commit::Committed;

/// How long the thread waits for something to serve before it looks whether it is still wanted.
const TICK: Duration = Duration::from_millis(100);

/// How long who leaves waits for what is being asked.
const ASKED: Duration = Duration::from_secs(5);

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
    leaving: AtomicBool,
    pub(super) said: Said,
}

impl Inbox {
    /// Gives back the partitions of this revocation, if that has not been done. `false`: it has to wait for the end of a
    /// commit.
    fn give_back(&self, consumer: &BaseConsumer<Context>, number: u64) -> KafkaResult<bool> {
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
    fn answer(&self, consumer: &BaseConsumer<Context>) -> KafkaResult<()> {
        let revoked = std::mem::take(&mut *lock(&self.revoked));
        let awaited = std::mem::take(&mut lock(&self.ours).awaited);
        let unassigned = revoked.iter().try_for_each(|revoked| unassign(consumer, &revoked.places));
        let assigned = if awaited { assign(consumer, &TopicPartitionList::new()) } else { Ok(()) };
        unassigned.and(assigned)
    }

    /// What is due to be given back.
    fn due(&self) -> Option<(u64, Vec<Place>)> {
        let revoked = lock(&self.revoked);
        let due = revoked.iter().find(|revoked| revoked.until <= Instant::now())?;
        Some((due.number, due.places.clone()))
    }

    /// Commits offsets of those partitions that are still this member's.
    fn commit(&self, consumer: &BaseConsumer<Context>, offsets: Vec<(Place, i64)>, mark: &str) -> Committed {
        let offsets = {
            let mut ours = lock(&self.ours);
            ours.committing = true;
            offsets.into_iter().filter(|(place, _)| ours.places.contains(place)).collect()
        };
        let committed = Committed::now(consumer, offsets, mark);
        lock(&self.ours).committing = false;
        committed
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
    inbox: Arc<Inbox>,
    /// How long what is revoked is kept at most.
    revoke_wait: Duration,
}

impl Context {
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
        let places: Vec<_> = places.iter().map(|element| place(element.topic(), element.partition())).collect();
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

pub(super) fn place(topic: &str, partition: i32) -> Place {
    Place { topic: topic.to_owned(), partition }
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
            consumer.incremental_unassign(&list(given_back.map(|place| (place, Offset::Invalid))))
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

/// Membership in a consumer group. Dropped, it leaves in the background.
pub(super) struct Member {
    /// `None` once it leaves.
    consumer: Option<Arc<BaseConsumer<Context>>>,
    pub(super) inbox: Arc<Inbox>,
    questions: Questions,
    stop: Arc<AtomicBool>,
    left: Option<oneshot::Receiver<()>>,
}

impl Member {
    /// Makes the client of one that is no member yet. What is revoked it keeps for so long at most, and while `group` commits
    /// something of it; where the declaration has gone, and `group` with it, nobody does.
    pub(super) fn new(config: &ClientConfig, revoke_wait: Duration, group: Weak<Group>) -> Result<Self> {
        let inbox = Arc::new(Inbox::default());
        let context = Context { inbox: inbox.clone(), revoke_wait };
        let made: KafkaResult<BaseConsumer<Context>> = config.create_with_context(context);
        let consumer = Arc::new(made.map_err(|error| failed("can't make a Kafka client", error))?);
        let stop = Arc::new(AtomicBool::new(false));
        let (done, left) = oneshot::channel();
        let (served, until) = (consumer.clone(), stop.clone());
        thread("kafka group", move || {
            serve(served, &until, &group);
            let _ = done.send(());
        })?;
        let questions = Questions::new()?;
        Ok(Self { consumer: Some(consumer), inbox, questions, stop, left: Some(left) })
    }

    /// Asks to become a member that reads these topics (or patterns). Nothing is waited for.
    pub(super) fn join(&self, topics: &[&str]) -> Result<()> {
        self.consumer().subscribe(topics).map_err(|error| failed("can't ask for topics", error))
    }

    /// Asks the brokers something, behind what was asked before.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Arc<BaseConsumer<Context>>) -> T + Send + 'static,
    ) -> Answer<T> {
        let consumer = self.consumer().clone();
        self.questions.ask(move || question(&consumer))
    }

    /// Takes partitions over that the group has assigned, from these offsets on. `false`: some have been taken away again
    /// meanwhile, which is said next, and nothing was done.
    pub(super) fn assign(&self, places: &[Place], partitions: &TopicPartitionList) -> Result<bool> {
        // Until it is done nothing more is said: what is taken away behind it is given back by who finds it assigned.
        let notices = lock(&self.inbox.notices);
        let is_taken = |notice: &Notice| match notice {
            Notice::Revoked { places: gone, .. } => places.iter().any(|place| gone.contains(place)),
            Notice::Assigned(_) | Notice::Failed(_) => false,
        };
        if notices.iter().any(is_taken) {
            return Ok(false);
        }
        let mut ours = lock(&self.inbox.ours);
        ours.places.extend(places.iter().cloned());
        ours.awaited = false;
        drop(ours);
        assign(self.consumer(), partitions).map_err(|error| failed("can't take over partitions", error))?;
        Ok(true)
    }

    /// Whether the partitions of this revocation have been given back.
    pub(super) fn has_given_back(&self, number: u64) -> bool {
        lock(&self.inbox.revoked).iter().all(|revoked| revoked.number != number)
    }

    /// Gives the partitions of this revocation back, if that has not been done. `false`: not yet, since offsets are being
    /// committed.
    pub(super) fn give_back(&self, number: u64) -> Result<bool> {
        let given_back = self.inbox.give_back(self.consumer(), number);
        given_back.map_err(|error| failed("can't give back partitions", error))
    }

    /// Has the partitions of this revocation given back as soon as no commit is under way.
    pub(super) fn hasten(&self, number: u64) {
        if let Some(revoked) = lock(&self.inbox.revoked).iter_mut().find(|revoked| revoked.number == number) {
            revoked.until = Instant::now();
        }
    }

    /// Commits offsets of those partitions that are still this member's, with this mark beside them.
    pub(super) fn commit(&self, offsets: Vec<(Place, i64)>, mark: &str) -> Answer<Committed> {
        let (inbox, mark) = (self.inbox.clone(), mark.to_owned());
        self.ask(move |consumer| inbox.commit(consumer, offsets, &mark))
    }

    /// Tells the group's sink how this member is known. Where topics change while partitions are being given back, the client
    /// joins anew before that is done, and others have them by then: until then it is known as it was when they were taken
    /// away, by which the brokers refuse what is not its own any more.
    pub(super) fn metadata(&self) -> impl Fn() -> Option<Arc<ConsumerGroupMetadata>> + Send + Sync + 'static {
        let (consumer, inbox) = (Arc::downgrade(self.consumer()), self.inbox.clone());
        move || {
            let consumer = consumer.upgrade()?;
            let before = lock(&inbox.revoked).first().and_then(|revoked| revoked.known_as.clone());
            let metadata = before.or_else(|| consumer.group_metadata().map(Arc::new));
            // Once its partitions are lost it may be known otherwise, or not at all: what was told before that is true.
            if consumer.assignment_lost() { None } else { metadata }
        }
    }

    pub(super) fn consumer(&self) -> &Arc<BaseConsumer<Context>> {
        self.consumer.as_ref().expect("it is taken only by what ends this member")
    }

    /// Leaves the group. All queues of partitions have to be gone.
    pub(super) async fn leave(mut self) {
        self.go();
        if let Some(left) = self.left.take() {
            // An error: the thread is gone, and with it the client.
            let _ = left.await;
        }
    }

    fn go(&mut self) {
        self.inbox.leaving.store(true, Ordering::SeqCst);
        // The thread's is the last, but for what is being asked: it is the one to wait for the client's end.
        self.consumer = None;
        self.stop.store(true, Ordering::SeqCst);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.go();
    }
}

/// Serves the client until it is not wanted any more, and then leaves the group.
fn serve(consumer: Arc<BaseConsumer<Context>>, stop: &AtomicBool, group: &Weak<Group>) {
    let inbox = &consumer.context().inbox;
    while !stop.load(Ordering::SeqCst) {
        match consumer.poll(TICK) {
            Some(Err(error)) => inbox.put(Notice::Failed(error)),
            // Every partition has a queue of its own before it is assigned.
            Some(Ok(message)) => {
                tracing::error!(topic = message.topic(), offset = message.offset(), "a message outside of its queue");
                let code = rdkafka::error::RDKafkaErrorCode::Inconsistent;
                inbox.put(Notice::Failed(KafkaError::MessageConsumptionFatal(code)));
            }
            None => {}
        }
        give_up(&consumer, group);
    }
    // What is being asked has the client, too: whoever is the last to have it leaves the group.
    let until = Instant::now() + ASKED;
    while Arc::strong_count(&consumer) > 1 && Instant::now() < until {
        let _ = consumer.poll(TICK);
    }
    if let Err(error) = inbox.answer(&consumer) {
        tracing::warn!(%error, "partitions could not be given back before leaving the group");
    }
}

/// Gives back what was revoked once its time is up: the source may be held up by what is behind it, and hears of it later.
fn give_up(consumer: &BaseConsumer<Context>, group: &Weak<Group>) {
    let inbox = &consumer.context().inbox;
    let Some((number, places)) = inbox.due() else { return };
    // Not while a transaction is being committed that may hold some of it.
    if group.upgrade().is_some_and(|group| !group.lets_go(&places)) {
        return;
    }
    match inbox.give_back(consumer, number) {
        Ok(true) => inbox.wake.notify_one(),
        Ok(false) => {}
        Err(error) => inbox.put(Notice::Failed(error)),
    }
}
