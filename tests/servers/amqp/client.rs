//! [`Client`]: a client of the broker that is not ours, by which tests fill queues and see what is in them.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use millstream::amqp::DeclaredQueue;
use tokio::runtime::Runtime;

/// How many messages wait for their confirms.
const WINDOW: usize = 2_000;

/// A name that nothing else at the broker has.
pub(super) fn unique(what: &str) -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    format!("{what}-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed))
}

/// See the module. It may be used from within a runtime.
pub(super) struct Client {
    runtime: Runtime,
    connection: Connection,
    channel: Channel,
}

impl Client {
    pub(super) fn new(url: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime can be had");
        let (connection, channel) = apart(&runtime, async {
            let connection =
                Connection::connect(url, ConnectionProperties::default()).await.expect("the broker is there");
            let channel = connection.create_channel().await.expect("it opens channels");
            channel.confirm_select(ConfirmSelectOptions::default()).await.expect("it confirms");
            (connection, channel)
        });
        Self { runtime, connection, channel }
    }

    /// Makes a durable queue that is gone some time after its last use.
    pub(super) fn queue(&self, name: &str, arguments: &[(&str, AMQPValue)]) {
        let mut table = FieldTable::default();
        arguments.iter().for_each(|(name, value)| _ = table.insert((*name).into(), value.clone()));
        if !arguments.iter().any(|(name, _)| *name == "x-expires") {
            table.insert("x-expires".into(), AMQPValue::LongInt(600_000));
        }
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let made = apart(&self.runtime, self.channel.queue_declare(name.into(), options, table));
        made.expect("a queue can be made");
    }

    /// Puts these into a queue, and waits until they are there.
    pub(super) fn fill(&self, queue: &str, bodies: impl IntoIterator<Item = Vec<u8>> + Send) {
        self.publish(queue, bodies.into_iter().map(|body| (BasicProperties::default(), body)).collect());
    }

    /// Makes a queue with its exchanges and bindings.
    pub(super) fn declare(&self, declared: &DeclaredQueue, queue: &str) {
        apart(&self.runtime, declared.declare(&self.channel, queue)).expect("a queue can be made");
    }

    /// Puts messages into a queue, and waits until they are there.
    pub(super) fn publish(&self, queue: &str, messages: Vec<(BasicProperties, Vec<u8>)>) {
        apart(&self.runtime, async {
            for window in messages.chunks(WINDOW) {
                let sent = window.iter().map(|(properties, body)| {
                    let options = BasicPublishOptions::default();
                    self.channel.basic_publish("".into(), queue.into(), options, body, properties.clone())
                });
                for confirm in futures_util::future::join_all(sent).await {
                    confirm.expect("it is sent").await.expect("it is confirmed");
                }
            }
        });
    }

    /// What is in a queue, and stays there.
    pub(super) fn look(&self, queue: &str) -> Vec<Vec<u8>> {
        apart(&self.runtime, async {
            let channel = self.connection.create_channel().await.expect("it opens channels");
            let found = get_all(&channel, queue).await;
            channel.close(200, "seen".into()).await.expect("it closes channels");
            found.into_iter().map(|delivery| delivery.data).collect()
        })
    }

    /// Takes a queue away with all that is in it.
    pub(super) fn delete(&self, queue: &str) {
        let gone = apart(&self.runtime, self.channel.queue_delete(queue.into(), QueueDeleteOptions::default()));
        gone.expect("the queue is there");
    }

    /// How many messages are in a queue and with nobody.
    pub(super) fn count(&self, queue: &str) -> u32 {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let found = apart(&self.runtime, self.channel.queue_declare(queue.into(), options, FieldTable::default()));
        found.expect("the queue is there").message_count()
    }
}

async fn get_all(channel: &Channel, queue: &str) -> Vec<lapin::message::Delivery> {
    let mut found = Vec::new();
    while let Some(message) =
        channel.basic_get(queue.into(), BasicGetOptions { no_ack: false }).await.expect("the queue is there")
    {
        found.push(message.delivery);
    }
    found
}

/// Runs it on a thread of its own: the caller's may be a runtime's.
fn apart<T: Send>(runtime: &Runtime, work: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| scope.spawn(|| runtime.block_on(work)).join().expect("the broker does as it is told"))
}
