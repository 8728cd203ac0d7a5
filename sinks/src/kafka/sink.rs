//! [`KafkaSink`]: sends what it is given, and settles it as the brokers' reports come in.

use std::sync::Arc;
use std::time::Duration;

use millstream_core::commit::Ticket;
use millstream_core::contracts::{Cause, Checkpoint, Error, Result, Sink, SinkContext, WriteError};
use millstream_core::data::{Bytes, Column as _, Data, EventTime, Records};
use millstream_net::kafka::{Header, failed};
use rdkafka::Message as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseRecord, Producer as _};
use tokio::time::timeout;

use super::config::Topic;
use super::delivery::{Deliveries, RowId, Suspect, Told};
use super::form::{Form, When};
use super::producer::Producer;

/// How long the brokers may take to say whether the topic is there.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long it waits for news of deliveries before it looks again.
const LOOK: Duration = Duration::from_millis(20);

/// The sink that [`Topic`] declares.
pub struct KafkaSink<T: Form> {
    topic: Topic<T>,
    deliveries: Arc<Deliveries>,
    producer: Option<Producer>,
}

impl<T: Form> Sink for KafkaSink<T> {
    type In = T;

    async fn open(&mut self, context: &SinkContext) -> Result<Option<Vec<Checkpoint>>> {
        self.deliveries.tell_failures(context.failures.clone());
        let by_record = self.topic.topic_by.is_some();
        let producer = Producer::new(&self.topic.client_config(), self.deliveries.clone(), by_record)?;
        if !by_record {
            look(&producer, &self.topic.topic).await?;
        }
        self.producer = Some(producer);
        Ok(None)
    }

    async fn write(
        &mut self,
        records: Records<'_, <T as Data>::Column>,
        ticket: &mut Option<Ticket>,
    ) -> Result<(), WriteError> {
        self.try_suspects().await?;
        let rows = (0..records.len()).map(|row| records.record(row)).collect();
        let batch = self.deliveries.begin(ticket.take(), records.shared(), rows);
        for row in 0..records.len() {
            self.send(&records, row, Deliveries::id(batch, row)).await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        loop {
            self.try_suspects().await?;
            if self.deliveries.under_way() == 0 && !self.deliveries.has_suspects() {
                return self.whole();
            }
            self.news().await;
        }
    }

    async fn close(&mut self) -> Result<()> {
        if let Some(producer) = self.producer.take() {
            producer.end().await;
        }
        Ok(())
    }
}

impl<T: Form> KafkaSink<T> {
    pub(super) fn new(topic: Topic<T>) -> Self {
        Self { topic, deliveries: Arc::default(), producer: None }
    }

    fn producer(&self) -> Result<&Producer> {
        self.producer.as_ref().ok_or_else(|| Error::new(Cause::Bug, "the Kafka sink is used before it was opened"))
    }

    /// An error if nothing more can be sent.
    fn whole(&self) -> Result<()> {
        self.deliveries.broken().map_or(Ok(()), Err)
    }

    async fn news(&self) {
        let _ = timeout(LOOK, self.deliveries.news.notified()).await;
    }

    /// Hands one row to the client, once it has room.
    async fn send(&self, records: &Records<'_, T::Column>, row: usize, id: RowId) -> Result<()> {
        loop {
            self.whole()?;
            self.deliveries.hand_over();
            match self.offer(records, row, id)? {
                Ok(()) => return Ok(()),
                Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) => {
                    self.deliveries.take_back();
                    self.news().await;
                }
                Err(error) => {
                    self.deliveries.tell(id, Told::Failed(error), self.topic.topic_by.is_some());
                    return Ok(());
                }
            }
        }
    }

    fn offer(
        &self,
        records: &Records<'_, T::Column>,
        row: usize,
        id: RowId,
    ) -> Result<std::result::Result<(), KafkaError>> {
        let Topic { topic, topic_by, partition_by, key_by, headers_by, timestamp_by, .. } = &self.topic;
        let column = records.column();
        let view = T::view(column, row);
        let topic_of = topic_by.as_ref().map(|by| column.with(row, |record| by(record)));
        let key_of: Option<Option<Bytes>> = key_by.as_ref().map(|by| column.with(row, |record| by(record)));
        let key = key_of.as_ref().map_or(view.key, Option::as_deref);
        let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(topic_of.as_ref().unwrap_or(topic), id.into());
        record.key = key;
        record.payload = view.value;
        record.partition = partition_by.as_ref().and_then(|by| column.with(row, |record| by(record)));
        record.headers = match headers_by {
            Some(by) => Some(owned(column.with(row, |record| by(record)))),
            None => view.headers,
        };
        record.timestamp = match (timestamp_by, view.timestamp) {
            (Some(by), _) => column.with(row, |record| by(record)),
            (None, When::At(millis)) => Some(millis),
            (None, When::Sent) => None,
            (None, When::EventTime) => event_millis(records.shared().times.at(records.record(row))),
        };
        Ok(self.producer()?.client().send(record).map_err(|(error, _)| error))
    }

    /// Sends rows one at a time whose request was refused: one of them is to blame, and the others are not.
    async fn try_suspects(&self) -> Result<()> {
        self.whole()?;
        if !self.deliveries.has_suspects() {
            return Ok(());
        }
        while self.deliveries.under_way() > 0 {
            self.whole()?;
            self.news().await;
        }
        let suspects = self.deliveries.take_suspects();
        tracing::warn!(
            records = suspects.len(),
            error = suspects.first().map(|suspect| suspect.code.to_string()),
            "a request was refused: its records are sent again one by one"
        );
        let producer = self.producer()?;
        producer.send_alone(true);
        for suspect in suspects {
            self.send_suspect(producer, suspect);
            while self.deliveries.under_way() > 0 {
                self.whole()?;
                self.news().await;
            }
        }
        producer.send_alone(false);
        Ok(())
    }

    fn send_suspect(&self, producer: &Producer, suspect: Suspect) {
        let Suspect { id, mut message, .. } = suspect;
        let headers = message.detach_headers();
        let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(message.topic(), id.into());
        record.key = message.key();
        record.payload = message.payload();
        record.partition = Some(message.partition());
        record.headers = headers;
        record.timestamp = message.timestamp().to_millis();
        self.deliveries.hand_over();
        if let Err((error, _)) = producer.client().send(record) {
            self.deliveries.tell(id, Told::Failed(error), self.topic.topic_by.is_some());
        }
    }
}

/// Sees that the topic is there.
async fn look(producer: &Producer, topic: &str) -> Result<()> {
    let (client, name) = (producer.client().clone(), topic.to_owned());
    let found = tokio::task::spawn_blocking(move || {
        let metadata = client.client().fetch_metadata(Some(&name), PATIENCE)?;
        let error = metadata.topics().iter().find_map(|topic| topic.error());
        Ok(error.map(RDKafkaErrorCode::from))
    });
    let found = found.await.map_err(|error| Error::new(Cause::Bug, "a question was not answered").because(error))?;
    match found {
        Ok(None) => Ok(()),
        Ok(Some(code)) => Err(failed(format!("can't write to the topic {topic}"), KafkaError::MetadataFetch(code))),
        Err(error) => Err(failed(format!("can't ask for the topic {topic}{}", producer.said()), error)),
    }
}

fn owned(headers: Vec<Header>) -> OwnedHeaders {
    headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), |owned, header| {
        owned.insert(rdkafka::message::Header { key: &header.name, value: header.value.as_deref() })
    })
}

/// Kafka's milliseconds, for a time that the source has said.
fn event_millis(time: EventTime) -> Option<i64> {
    (!time.ingested).then(|| time.micros.div_euclid(1_000))
}
