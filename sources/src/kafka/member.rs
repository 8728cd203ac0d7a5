//! [`Member`]: membership in a consumer group. A thread of its own serves the client, so that the group hears from this
//! member however long the pipeline takes; messages wait in a queue of their partition until the source takes them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use millstream_core::contracts::Result;
use millstream_net::kafka::{Answer, Group, Place, Questions, failed, thread};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{ClientConfig, Message as _, TopicPartitionList};
use tokio::sync::oneshot;

use super::commit::Committed;
use super::inbox::{Context, Inbox, Notice};

/// How long the thread waits for something to serve before it looks whether it is still wanted.
const TICK: Duration = Duration::from_millis(100);

/// How long who leaves waits for what is being asked.
const ASKED: Duration = Duration::from_secs(5);

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
        let context = Context::new(inbox.clone(), revoke_wait);
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
        let taken = self.inbox.take_over(self.consumer(), places, partitions);
        taken.map_err(|error| failed("can't take over partitions", error))
    }

    /// Gives the partitions of this revocation back, if that has not been done. `false`: not yet, since offsets are being
    /// committed.
    pub(super) fn give_back(&self, number: u64) -> Result<bool> {
        let given_back = self.inbox.give_back(self.consumer(), number);
        given_back.map_err(|error| failed("can't give back partitions", error))
    }

    /// Commits offsets of those partitions that are still this member's, with this mark beside them.
    pub(super) fn commit(&self, offsets: Vec<(Place, i64)>, mark: &str) -> Answer<Committed> {
        let (inbox, mark) = (self.inbox.clone(), mark.to_owned());
        self.ask(move |consumer| {
            let committed = Committed::now(consumer, inbox.begin_commit(offsets), &mark);
            inbox.end_commit();
            committed
        })
    }

    /// Tells the group's sink how this member is known. Where topics change while partitions are being given back, the client
    /// joins anew before that is done, and others have them by then: until then it is known as it was when they were taken
    /// away, by which the brokers refuse what is not its own any more.
    pub(super) fn metadata(&self) -> impl Fn() -> Option<Arc<ConsumerGroupMetadata>> + Send + Sync + 'static {
        let (consumer, inbox) = (Arc::downgrade(self.consumer()), self.inbox.clone());
        move || {
            let consumer = consumer.upgrade()?;
            let metadata = inbox.known_as().or_else(|| consumer.group_metadata().map(Arc::new));
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
