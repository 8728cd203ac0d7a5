//! The client that sends, and the thread that hears what became of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millstream_core::contracts::Result;
use millstream_net::kafka::{Questions, Said, failed, thread, unanswered};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, Producer as _, ProducerContext, PurgeConfig};
use rdkafka::{ClientConfig, ClientContext, Message as _, Statistics};
use tokio::sync::oneshot;

use super::delivery::{Deliveries, RowId, Told, is_fence, is_given_up, is_of_request};
use super::name::Name;

/// How long the thread waits for reports before it looks whether it is still wanted.
const TICK: Duration = Duration::from_millis(100);

/// What librdkafka calls.
pub(super) struct Context {
    deliveries: Arc<Deliveries>,
    /// Records say which topic they go to.
    by_record: bool,
    /// Rows are sent one at a time just now: who is refused is to blame.
    alone: AtomicBool,
    said: Said,
    /// Gone once the client is.
    _name: Option<Arc<Name>>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.said.log(level, facility, text);
    }

    fn stats(&self, _: Statistics) {}

    fn error(&self, error: KafkaError, reason: &str) {
        self.said.error(&error, reason);
        // One that has been fenced is told by that name, and as fatal.
        if error.rdkafka_error_code().is_some_and(|code| code == RDKafkaErrorCode::Fatal || is_fence(code)) {
            self.deliveries.break_down(error, reason);
        }
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, report: &DeliveryResult<'_>, id: usize) {
        let (Ok(message) | Err((_, message))) = report;
        let topic = self.by_record.then(|| message.topic());
        let told = match report {
            Ok(_) => Told::Delivered,
            Err((error, message)) => match error.rdkafka_error_code() {
                Some(code) if is_of_request(code) && !self.alone.load(Ordering::SeqCst) => {
                    Told::Refused(code, message.detach())
                }
                Some(code) if is_given_up(code) => {
                    Told::GivenUp { error: error.clone(), alone: self.alone.load(Ordering::SeqCst) }
                }
                _ => Told::Failed(error.clone()),
            },
        };
        self.deliveries.tell(RowId::from(id), told, topic);
    }
}

/// librdkafka's client.
pub(super) type Client = BaseProducer<Context>;

/// The client that sends. Dropped, it forgets what has not been sent, in the background.
pub(super) struct Producer {
    /// `None` once it ends.
    client: Option<Arc<Client>>,
    questions: Questions,
    stop: Arc<AtomicBool>,
    ended: Option<oneshot::Receiver<()>>,
}

impl Producer {
    pub(super) fn new(
        config: &ClientConfig,
        deliveries: Arc<Deliveries>,
        by_record: bool,
        name: Option<Arc<Name>>,
    ) -> Result<Self> {
        let (alone, said) = (AtomicBool::new(false), Said::default());
        let context = Context { deliveries, by_record, alone, said, _name: name };
        let client: Client =
            config.create_with_context(context).map_err(|error| failed("can't make a Kafka client", error))?;
        let (client, stop) = (Arc::new(client), Arc::new(AtomicBool::new(false)));
        let (done, ended) = oneshot::channel();
        let (polled, until) = (client.clone(), stop.clone());
        thread("kafka reports", move || {
            while !until.load(Ordering::SeqCst) {
                polled.poll(TICK);
            }
            drop(polled);
            let _ = done.send(());
        })?;
        Ok(Self { client: Some(client), questions: Questions::new()?, stop, ended: Some(ended) })
    }

    /// As [`Self::ask`], while it isn't known whether the brokers let us in: no answer is waited for once all refuse us. An
    /// error says `what` could not be done.
    pub(super) async fn ask_first<T: Send + 'static>(
        &self,
        what: &str,
        question: impl FnOnce(&Client) -> T + Send + 'static,
    ) -> Result<T> {
        let client = self.client().clone();
        self.said().hear(what, self.questions.ask(move || question(&client))).await
    }

    /// Asks the brokers something, behind what was asked before.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Client) -> T + Send + 'static,
    ) -> Result<T> {
        let client = self.client().clone();
        self.questions.ask(move || question(&client)).await.map_err(unanswered)
    }

    pub(super) fn client(&self) -> &Arc<Client> {
        self.client.as_ref().expect("it is taken only by what ends this producer")
    }

    /// Whether what is refused from now on was alone in its request.
    pub(super) fn send_alone(&self, alone: bool) {
        self.client().context().alone.store(alone, Ordering::SeqCst);
    }

    /// What the library said last.
    pub(super) fn said(&self) -> &Said {
        &self.client().context().said
    }

    /// Ends it; what has not been sent is forgotten.
    pub(super) async fn end(mut self) {
        self.go();
        if let Some(ended) = self.ended.take() {
            // An error: the thread is gone, and with it the client.
            let _ = ended.await;
        }
    }

    fn go(&mut self) {
        if let Some(client) = &self.client {
            // What comes again must not be overtaken by what was not sent yet.
            client.purge(PurgeConfig::default().queue().inflight());
        }
        // The thread's is the last: it is the one to wait for the client's end.
        self.client = None;
        self.stop.store(true, Ordering::SeqCst);
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.go();
    }
}
