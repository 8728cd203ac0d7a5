//! What only an administrator's client can ask: a topic's settings, and to make one.

use std::collections::HashMap;
use std::time::Duration;

use millstream_core::contracts::Result;
use millstream_net::kafka::{Cluster, thread, unanswered};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// How long the brokers may be silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// A topic's settings, those of its brokers included.
pub(super) type Settings = HashMap<String, String>;

type Admin = AdminClient<DefaultClientContext>;

/// A topic's settings. An error: this user may not see them, say.
pub(super) async fn settings(cluster: &Cluster, topic: &str) -> Result<KafkaResult<Settings>> {
    let topic = topic.to_owned();
    ask(cluster, move |admin, handle| {
        let described = handle.block_on(admin.describe_configs(&[ResourceSpecifier::Topic(&topic)], &options()))?;
        let nothing = || KafkaError::AdminOpCreation(format!("nothing was said of the topic {topic}"));
        let of = described.into_iter().next().ok_or_else(nothing)?.map_err(KafkaError::AdminOp)?;
        Ok(of.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect())
    })
    .await
}

/// Makes a topic, compacted and with one partition; `false`: it is there, whether this user may make it or not.
pub(super) async fn make_compacted(cluster: &Cluster, topic: &str) -> Result<KafkaResult<bool>> {
    let topic = topic.to_owned();
    ask(cluster, move |admin, handle| {
        let new = NewTopic::new(&topic, 1, TopicReplication::Fixed(-1)).set("cleanup.policy", "compact");
        let made = handle.block_on(admin.create_topics([&new], &options()))?;
        match made.into_iter().next() {
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(false),
            Some(Err(_)) if is_there(admin, &topic)? => Ok(false),
            Some(Err((_, code))) => Err(KafkaError::AdminOp(code)),
            Some(Ok(_)) | None => Ok(true),
        }
    })
    .await
}

fn is_there(admin: &Admin, topic: &str) -> KafkaResult<bool> {
    let metadata = admin.inner().fetch_metadata(Some(topic), PATIENCE)?;
    Ok(metadata.topics().iter().any(|found| found.name() == topic && found.error().is_none()))
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE))
}

/// Asks on a thread of its own: to make such a client, and to end it, takes a while.
async fn ask<T: Send + 'static>(
    cluster: &Cluster,
    question: impl FnOnce(&Admin, &Handle) -> KafkaResult<T> + Send + 'static,
) -> Result<KafkaResult<T>> {
    let config = cluster.client_config(&[("client.id", "millstream")], &[]);
    let (answer, answered) = oneshot::channel();
    let handle = Handle::current();
    thread("kafka admin", move || {
        let admin: KafkaResult<Admin> = config.create();
        // Whoever asked may have gone. The client's end is not waited for.
        let _ =
            answer.send(admin.as_ref().map_err(Clone::clone).and_then(|admin| question(admin, &handle)).map_err(coded));
    })?;
    answered.await.map_err(unanswered)
}

/// With its code where other errors have theirs.
fn coded(error: KafkaError) -> KafkaError {
    match error {
        KafkaError::AdminOp(code) => KafkaError::Global(code),
        other => other,
    }
}
