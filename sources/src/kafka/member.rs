//! [`Member`]: membership in a consumer group. A thread of its own serves the client, so that the group hears from this
//! member however long the pipeline takes; messages wait in a queue of their partition until the source takes them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millstream_core::contracts::Result;
use millstream_net::kafka::{Answer, Place, Questions, Said, failed, thread};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, ConsumerGroupMetadata, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, ClientContext, Message as _, Statistics, TopicPartitionList};
use tokio::sync::{Notify, oneshot};

/// How long the thread waits for something to serve before it looks whether it is still wanted.
const TICK: Duration = Duration::from_millis(100);

/// What the client has said.
#[derive(Debug)]
pub(super) enum Notice {
    /// These partitions are ours, once they have been assigned.
    Assigned(Vec<Place>),
    /// These are to be given back; `lost`: others may have them already.
    Revoked { places: Vec<Place>, lost: bool },
    /// An error that belongs to no partition.
    Failed(KafkaError),
}

/// Where the client leaves what it says.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    notices: Mutex<VecDeque<Notice>>,
    /// Something has come: a notice, or messages of a partition.
    pub(super) wake: Arc<Notify>,
    /// Nobody asks any more: what is revoked is given back at once.
    leaving: AtomicBool,
    pub(super) said: Said,
}

impl Inbox {
    pub(super) fn take(&self) -> Option<Notice> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    fn put(&self, notice: Notice) {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).push_back(notice);
        self.wake.notify_one();
    }
}

/// What librdkafka calls.
pub(super) struct Context(Arc<Inbox>);

impl Context {
    /// What the library said last.
    pub(super) fn said(&self) -> &Said {
        &self.0.said
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.0.said.log(level, facility, text);
    }

    fn stats(&self, _: Statistics) {}

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.said.error(&error, reason);
    }
}

impl ConsumerContext for Context {
    /// Only takes note of it: the source assigns and gives back, once it has done what that takes.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let assigned = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.0.leaving.load(Ordering::SeqCst) {
            if !assigned && let Err(error) = unassign(consumer, partitions) {
                tracing::warn!(%error, "partitions could not be given back while leaving the group");
            }
            return;
        }
        let places = partitions.elements().iter().map(|element| place(element.topic(), element.partition())).collect();
        self.0.put(match assigned {
            true => Notice::Assigned(places),
            false => Notice::Revoked { places, lost: consumer.assignment_lost() },
        });
    }
}

pub(super) fn place(topic: &str, partition: i32) -> Place {
    Place { topic: topic.to_owned(), partition }
}

/// Gives partitions back, in the way of the group's protocol.
pub(super) fn unassign(consumer: &BaseConsumer<Context>, partitions: &TopicPartitionList) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(partitions),
        _ => consumer.unassign(),
    }
}

/// Takes partitions over, in the way of the group's protocol.
pub(super) fn assign(consumer: &BaseConsumer<Context>, partitions: &TopicPartitionList) -> KafkaResult<()> {
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
    /// Makes the client of one that is no member yet.
    pub(super) fn new(config: &ClientConfig) -> Result<Self> {
        let inbox = Arc::new(Inbox::default());
        let made: KafkaResult<BaseConsumer<Context>> = config.create_with_context(Context(inbox.clone()));
        let consumer = Arc::new(made.map_err(|error| failed("can't make a Kafka client", error))?);
        let stop = Arc::new(AtomicBool::new(false));
        let (done, left) = oneshot::channel();
        let (served, until) = (consumer.clone(), stop.clone());
        thread("kafka group", move || {
            serve(served, &until);
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

    /// Tells the group's sink how this member is known.
    pub(super) fn metadata(&self) -> impl Fn() -> Option<ConsumerGroupMetadata> + Send + Sync + 'static {
        let consumer = Arc::downgrade(self.consumer());
        move || {
            let consumer = consumer.upgrade()?;
            let metadata = consumer.group_metadata();
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
        // The thread's is the last: it is the one to wait for the client's end.
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
fn serve(consumer: Arc<BaseConsumer<Context>>, stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        match consumer.poll(TICK) {
            Some(Err(error)) => consumer.context().0.put(Notice::Failed(error)),
            // Every partition has a queue of its own before it is assigned.
            Some(Ok(message)) => {
                tracing::error!(topic = message.topic(), offset = message.offset(), "a message outside of its queue");
                let code = rdkafka::error::RDKafkaErrorCode::Inconsistent;
                consumer.context().0.put(Notice::Failed(KafkaError::MessageConsumptionFatal(code)));
            }
            None => {}
        }
    }
    // What was revoked and not yet given back, is now.
    let rest = std::mem::take(&mut *consumer.context().0.notices.lock().unwrap_or_else(PoisonError::into_inner));
    if rest.iter().any(|notice| matches!(notice, Notice::Assigned(_) | Notice::Revoked { .. })) {
        let _ = consumer.unassign();
    }
}
