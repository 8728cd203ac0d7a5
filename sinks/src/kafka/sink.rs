//! [`KafkaSink`]: sends what it is given, and settles it as the brokers' reports come in.

use std::borrow::Cow;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use millstream_core::commit::Ticket;
use millstream_core::contracts::{
    Cause, Checkpoint, CommitSoon, Error, Result, Sink, SinkContext, WriteError, guarded,
};
use millstream_core::data::{Bytes, Column as _, Data, EventTime, Records};
use millstream_net::kafka::{Group, Header, failed};
use rdkafka::Message as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseRecord, Producer as _};
use tokio::time::timeout;
use xxhash_rust::xxh3::xxh3_64;

use super::admin::settings;
use super::config::{Kept, Topic};
use super::delivery::{Deliveries, RowId, Suspect, Told, why};
use super::form::{Form, When};
use super::limits::Limits;
use super::name::Name;
use super::poison::{Identity, Verdict};
use super::positions::{load, provide};
use super::producer::Producer;
use super::row::{Key, Ready};
use super::transactions::{Line, Positions, Size, Transactions, message};

/// How long the brokers may take to say whether the topic is there.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much of an input its transactions are named by: a list of files may be long.
const NAMED: usize = 200;

/// How long it waits for news of deliveries before it looks again.
const LOOK: Duration = Duration::from_millis(20);

/// The sink that [`Topic`] declares.
pub struct KafkaSink<T: Form> {
    topic: Topic<T>,
    deliveries: Arc<Deliveries>,
    producer: Option<Arc<Producer>>,
    /// What the topic asks of its records, as far as that is known.
    limits: Limits,
    /// Where records are sent in transactions.
    transactions: Option<Transactions>,
    /// Where a commit is asked for.
    commit_soon: CommitSoon,
    /// Whether the source's positions name the same records when all begins anew.
    resumable: bool,
    /// As a sink of dead letters: what is kept of the sink in whose transactions they are written.
    joins: Option<Arc<Kept>>,
}

impl<T: Form> Sink for KafkaSink<T> {
    type In = T;

    async fn open(&mut self, context: &SinkContext) -> Result<Option<Vec<Checkpoint>>> {
        if let Some(kept) = context.sink.clone().and_then(|shares| shares.downcast::<Kept>().ok()) {
            return self.join(kept).await.map(|()| None);
        }
        self.deliveries.tell_failures(context.failures.clone());
        self.commit_soon = context.commit_soon.clone();
        self.resumable = context.resumable;
        let positions = self.positions(context);
        let name = positions.as_ref().map(|positions| self.name(positions, context));
        let producer = Arc::new(self.connect(name.as_deref()).await?);
        let held = match positions {
            Some(positions) => Some(self.begin(&producer, positions, &context.pipeline).await?),
            None => None,
        };
        self.producer = Some(producer);
        Ok(held)
    }

    async fn write(
        &mut self,
        records: Records<'_, <T as Data>::Column>,
        ticket: &mut Option<Ticket>,
    ) -> Result<(), WriteError> {
        if self.transactions.is_some() {
            return match self.write_in_transaction(records).await {
                Err(WriteError::Row { row, error }) => Err(WriteError::Row { row, error: self.judge(error).await }),
                written => written,
            };
        }
        if let Some(kept) = self.joins.clone() {
            let written = self.write_with(&kept, &records).await;
            // It is the other's, and ends with that.
            self.producer = None;
            return Ok(written?);
        }
        self.try_suspects().await?;
        let batch = self.deliveries.begin(ticket.take(), records.shared(), record_of_each(&records));
        let now = now();
        for row in 0..records.len() {
            let id = Deliveries::id(batch, row);
            let ready = match self.ready(&records, row) {
                Ok(ready) => ready,
                Err(error) => {
                    self.deliveries.refuse(id, error);
                    continue;
                }
            };
            match self.limits.may_refuse(&ready.measures(), now) {
                true => self.send_by_itself(ready, id).await?,
                false => self.send(ready, id).await?,
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        match self.flush_all().await {
            Err(error) => Err(self.judge(error).await),
            flushed => flushed,
        }
    }

    async fn commit(&mut self, positions: &[Checkpoint]) -> Result<()> {
        match self.commit_all(positions).await {
            Err(error) => Err(self.judge(error).await),
            committed => committed,
        }
    }

    async fn close(&mut self) -> Result<()> {
        // Nobody else has it between two writes.
        if let Some(producer) = self.producer.take().and_then(Arc::into_inner) {
            producer.end().await;
        }
        Ok(())
    }
}

fn record_of_each<C: millstream_core::data::Column>(records: &Records<'_, C>) -> Vec<u32> {
    (0..records.len()).map(|row| records.record(row)).collect()
}

/// Sends a position into the topic of positions.
fn send_position(producer: &Producer, deliveries: &Deliveries, topic: &str, position: &Checkpoint) -> Result<()> {
    let (key, value) = message(position);
    let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(topic, Deliveries::NO_ROW.into());
    (record.key, record.payload, record.partition) = (Some(&key[..]), Some(&value[..]), Some(0));
    deliveries.hand_over();
    producer.client().send(record).map_err(|(error, _)| {
        deliveries.take_back();
        failed(format!("a position can't be sent to the topic {topic}"), error).begin_anew()
    })
}

impl<T: Form> KafkaSink<T> {
    pub(super) fn new(topic: Topic<T>) -> Self {
        Self {
            topic,
            deliveries: Arc::default(),
            producer: None,
            limits: Limits::default(),
            transactions: None,
            commit_soon: CommitSoon::default(),
            resumable: false,
            joins: None,
        }
    }

    /// Where another run may have taken over it is seen whether it has: to begin anew would be to take over from that.
    async fn judge(&self, error: Error) -> Error {
        match (&self.producer, &self.transactions) {
            (Some(producer), Some(transactions)) => transactions.line.judge(producer, error).await,
            _ => error,
        }
    }

    async fn flush_all(&mut self) -> Result<()> {
        if self.joins.is_some() {
            // The commit of the other flushes them.
            return Ok(());
        }
        loop {
            self.try_suspects().await?;
            if self.deliveries.under_way() == 0 && !self.deliveries.has_suspects() {
                return self.whole();
            }
            self.news().await;
        }
    }

    async fn commit_all(&mut self, positions: &[Checkpoint]) -> Result<()> {
        self.flush_all().await?;
        let without = || Error::new(Cause::Bug, "this sink sends without transactions");
        let transactions = self.transactions.as_ref().ok_or_else(without)?;
        let moved = transactions.moved(positions);
        if transactions.is_empty(&moved) {
            return Ok(());
        }
        let producer = self.producer.clone().ok_or_else(without)?;
        transactions.line.begin(&producer).await?;
        if let Some(topic) = transactions.topic() {
            for checkpoint in &moved {
                send_position(&producer, &self.deliveries, topic, checkpoint)?;
            }
            self.settled().await?;
        }
        let transactions = self.transactions.as_mut().ok_or_else(without)?;
        transactions.commit(&producer, &moved).await?;
        self.topic.kept.poison.forget_met();
        Ok(())
    }

    /// The client, whose topic is there, if there is one for all.
    async fn connect(&mut self, transactions: Option<&str>) -> Result<Producer> {
        let by_record = self.topic.topic_by.is_some();
        let name = match transactions {
            Some(name) => Some(Name::claim(&self.topic.cluster.server(), name).await),
            None => None,
        };
        let make = |batch_size| {
            let config = self.topic.client_config(batch_size, transactions);
            Producer::new(&config, self.deliveries.clone(), by_record, name.clone())
        };
        let batch_size = self.topic.batch_size();
        if let Some(limits) = self.topic.kept.limits.get() {
            // It was asked for before all began anew.
            self.limits = limits.clone();
            return make(self.limits.batch_size(batch_size));
        }
        let producer = make(batch_size)?;
        if by_record {
            return reach(&producer).await.map(|()| producer);
        }
        look(&producer, &self.topic.topic).await?;
        let limits = match settings(&self.topic.cluster, &self.topic.topic).await? {
            Ok(settings) => Limits::of(&settings),
            Err(error) => {
                let topic = &self.topic.topic;
                tracing::info!(%error, topic, "the topic's settings can't be seen: it goes on without");
                Limits::default()
            }
        };
        self.limits = self.topic.kept.limits.get_or_init(|| limits).clone();
        match self.limits.batch_size(batch_size) {
            same if same == batch_size => Ok(producer),
            // Nothing was sent yet.
            smaller => make(smaller),
        }
    }

    /// Where the positions go that its transactions hold, if it sends in transactions.
    fn positions(&self, context: &SinkContext) -> Option<Positions> {
        if !self.topic.exactly_once {
            return None;
        }
        match context.source.clone().and_then(|shares| shares.downcast::<Group>().ok()) {
            Some(group) => Some(Positions::Group(group)),
            None => context.keeps_positions.then(|| Positions::Topic(self.topic.positions.clone())),
        }
    }

    /// What its transactions are called. Where positions are in a topic, one run takes over from another that reads the same,
    /// which can't go on then. Members of a group are told apart by the group itself, and each has a name of its own in it:
    /// one that lasts, if the member's does, so that what it has left open doesn't hold up those that come after it.
    fn name(&self, positions: &Positions, context: &SinkContext) -> String {
        let SinkContext { pipeline, stage, input, instance, .. } = context;
        let name = format!("millstream.{pipeline}.{stage}");
        match positions {
            Positions::Topic(_) => {
                let input = input.iter().map(|input| shortened(input));
                let instance = instance.iter().map(ToString::to_string);
                input.chain(instance).fold(name, |name, part: String| format!("{name}.{part}"))
            }
            Positions::Group(group) => {
                let random = || format!("{:016x}", RandomState::new().hash_one(stage));
                let own = group.instance().unwrap_or_else(|| self.topic.kept.name.get_or_init(random));
                format!("{name}.{}.{own}", group.name())
            }
        }
    }

    /// Ends what was left behind, and says what is held.
    async fn begin(
        &mut self,
        producer: &Arc<Producer>,
        positions: Positions,
        pipeline: &str,
    ) -> Result<Vec<Checkpoint>> {
        self.deliveries.in_transactions(&self.topic.kept.poison);
        self.topic.kept.poison.comes_again();
        if let Positions::Group(group) = &positions {
            group.set_transactions(true);
        }
        if let Positions::Topic(topic) = &positions {
            provide(&self.topic.cluster, topic).await?;
        }
        let size = Size::new(self.topic.transaction_size, self.commit_soon.clone());
        let mut transactions = Transactions::new(producer, &self.deliveries, positions, size).await?;
        let held = match transactions.topic() {
            None => Vec::new(),
            // Read only now: until then a run that was killed may have had something to commit.
            Some(topic) => {
                let (cluster, topic, pipeline) = (self.topic.cluster.clone(), topic.to_owned(), pipeline.to_owned());
                producer.ask(move |_| load(&cluster, &topic, &pipeline)).await??
            }
        };
        transactions.holds(&held);
        self.topic.kept.set_line(transactions.line.clone());
        self.transactions = Some(transactions);
        Ok(held)
    }

    /// Sends a batch in the transaction at hand. What broke one before is tried alone; what failed alone is told.
    async fn write_in_transaction(&mut self, records: Records<'_, T::Column>) -> Result<(), WriteError> {
        self.whole()?;
        if let (Some(producer), Some(transactions)) = (&self.producer, &self.transactions) {
            transactions.line.begin(producer).await?;
        }
        let (shared, poison) = (records.shared(), &self.topic.kept.poison);
        let batch = self.deliveries.begin(None, shared, record_of_each(&records));
        // Where positions can't be told of one row, they can't of any.
        let by_position = self.resumable && Identity::position(shared, records.record(0)).is_some();
        let now = now();
        for row in 0..records.len() {
            let id = Deliveries::id(batch, row);
            let ready = match self.ready(&records, row) {
                Ok(ready) => ready,
                Err(error) => {
                    self.deliveries.leave_out(batch, row);
                    return Err(WriteError::Row { row, error });
                }
            };
            let content = (!by_position).then(|| Identity::content(&ready));
            if let Some(content) = &content {
                self.deliveries.known_by(batch, content.clone());
            }
            let identity = || content.or_else(|| Identity::position(shared, records.record(row)));
            match poison.meet(identity.clone()) {
                None if self.limits.may_refuse(&ready.measures(), now) => self.send_by_itself(ready, id).await?,
                None => self.send(ready, id).await?,
                Some(Verdict::Suspect) => {
                    self.send_by_itself(ready, id).await?;
                    identity().iter().for_each(|identity| poison.clear(identity));
                }
                Some(Verdict::Guilty(code)) => {
                    self.deliveries.leave_out(batch, row);
                    let error = why(KafkaError::MessageProduction(code), self.topic.topic_by.is_some());
                    return Err(WriteError::Row { row, error });
                }
            }
        }
        // A row that was refused at once is not taken over.
        self.whole()?;
        if let Some(transactions) = &self.transactions {
            transactions.line.size.grow(records.len(), records.column().weight()).await;
        }
        Ok(())
    }

    /// Letters go into the transactions of the sink that this is kept of, by its client.
    async fn join(&mut self, kept: Arc<Kept>) -> Result<()> {
        // On several instances letters are opened before the sink; a topic that is missing is found with the first letter.
        let producer = kept.line().and_then(|line| line.producer.upgrade());
        if let Some(producer) = producer.filter(|_| self.topic.topic_by.is_none()) {
            look(&producer, &self.topic.topic).await?;
        }
        self.joins = Some(kept);
        Ok(())
    }

    /// Sends letters in the transaction at hand.
    async fn write_with(&mut self, kept: &Kept, records: &Records<'_, T::Column>) -> Result<()> {
        let line = kept.line().ok_or_else(not_open)?;
        let producer = line.producer.upgrade().ok_or_else(not_open)?;
        match self.write_on(&line, &producer, records).await {
            Err(error) => Err(line.judge(&producer, error).await),
            written => written,
        }
    }

    async fn write_on(
        &mut self,
        line: &Line,
        producer: &Arc<Producer>,
        records: &Records<'_, T::Column>,
    ) -> Result<()> {
        line.begin(producer).await?;
        (self.deliveries, self.producer) = (line.deliveries.clone(), Some(producer.clone()));
        let batch = self.deliveries.begin_letters(records.shared(), record_of_each(records));
        for row in 0..records.len() {
            self.send(self.ready(records, row)?, Deliveries::id(batch, row)).await?;
        }
        self.whole()?;
        line.size.grow(records.len(), records.column().weight()).await;
        Ok(())
    }

    /// Sends a row while nothing else is under way: if it is refused, it is to blame.
    async fn send_by_itself(&self, ready: Ready<'_>, id: RowId) -> Result<()> {
        self.settled().await?;
        while self.deliveries.has_suspects() {
            self.try_suspects().await?;
        }
        self.producer()?.send_alone(true);
        self.send(ready, id).await?;
        self.settled().await?;
        self.producer()?.send_alone(false);
        Ok(())
    }

    /// Waits until nothing is under way.
    async fn settled(&self) -> Result<()> {
        while self.deliveries.under_way() > 0 {
            self.whole()?;
            self.news().await;
        }
        self.whole()
    }

    fn producer(&self) -> Result<&Producer> {
        let unopened = || Error::new(Cause::Bug, "the Kafka sink is used before it was opened");
        self.producer.as_deref().ok_or_else(unopened)
    }

    /// An error if nothing more can be sent.
    fn whole(&self) -> Result<()> {
        self.deliveries.broken().map_or(Ok(()), Err)
    }

    async fn news(&self) {
        let _ = timeout(LOOK, self.deliveries.news.notified()).await;
    }

    /// Hands one row to the client, once it has room.
    async fn send(&self, mut ready: Ready<'_>, id: RowId) -> Result<()> {
        let client = self.producer()?.client();
        let mut record = ready.record(id);
        loop {
            self.whole()?;
            self.deliveries.hand_over();
            match client.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                    self.deliveries.take_back();
                    record = again;
                    self.news().await;
                }
                Err((error, record)) => {
                    self.deliveries.tell(id, Told::Failed(error), self.said_by_record(record.topic));
                    return Ok(());
                }
            }
        }
    }

    /// What a row is in Kafka, if its record can be a message.
    fn ready<'a>(&'a self, records: &'a Records<'_, T::Column>, row: usize) -> Result<Ready<'a>> {
        let what = "the record can't be a message of Kafka";
        match guarded(|| self.made(records, row)) {
            Ok(Ready { topic: Cow::Owned(topic), .. }) if topic.contains('\0') => {
                Err(Error::new(Cause::Record, format!("{what}: its topic is {topic:?}, and no name has a NUL")))
            }
            Ok(ready) => Ok(ready),
            Err(panicked) => Err(Error::new(Cause::Record, what).because(panicked)),
        }
    }

    fn made<'a>(&'a self, records: &'a Records<'_, T::Column>, row: usize) -> Ready<'a> {
        let Topic { topic, topic_by, partition_by, key_by, headers_by, timestamp_by, .. } = &self.topic;
        let column = records.column();
        let view = T::view(column, row);
        let topic_of = topic_by.as_ref().map(|by| column.with(row, |record| by(record)));
        let key_of: Option<Option<Bytes>> = key_by.as_ref().map(|by| column.with(row, |record| by(record)));
        Ready {
            topic: topic_of.map_or(Cow::Borrowed(topic), Cow::Owned),
            key: key_of.map_or(view.key.map(Key::Of), |key| key.map(Key::Made)),
            value: view.value,
            partition: partition_by.as_ref().and_then(|by| column.with(row, |record| by(record))),
            headers: match headers_by {
                Some(by) => Some(owned(column.with(row, |record| by(record)))),
                None => view.headers,
            },
            timestamp: match (timestamp_by, view.timestamp) {
                (Some(by), _) => column.with(row, |record| by(record)),
                (None, When::At(millis)) => Some(millis),
                (None, When::Sent) => None,
                (None, When::EventTime) => event_millis(records.shared().times.at(records.record(row))),
            },
        }
    }

    /// Sends rows one at a time whose request was refused: one of them is to blame, and the others are not.
    async fn try_suspects(&self) -> Result<()> {
        self.whole()?;
        if !self.deliveries.has_suspects() {
            return Ok(());
        }
        self.settled().await?;
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
            self.settled().await?;
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
        if let Err((error, record)) = producer.client().send(record) {
            self.deliveries.tell(id, Told::Failed(error), self.said_by_record(record.topic));
        }
    }

    /// The topic of a record, if the record has said where it goes.
    fn said_by_record<'a>(&self, topic: &'a str) -> Option<&'a str> {
        self.topic.topic_by.as_ref().map(|_| topic)
    }
}

/// The sink that letters are written with is not open: all is about to begin anew.
fn not_open() -> Error {
    Error::new(Cause::Outside, "the sink in whose transactions dead letters are written is not open").begin_anew()
}

/// Sees that there is a cluster, which lets us in.
async fn reach(producer: &Producer) -> Result<()> {
    let what = "can't ask which cluster it is";
    let until = Instant::now() + PATIENCE;
    let asked = producer.ask_first(what, move |client| match client.client().fetch_cluster_id(PATIENCE) {
        Some(_) => Ok(()),
        // Nobody has answered; or it is a server that has no name for it.
        None => client.client().fetch_metadata(None, until.saturating_duration_since(Instant::now())).map(drop),
    });
    asked.await?.map_err(|error| producer.said().failed(what, error))
}

/// Sees that the topic is there.
async fn look(producer: &Producer, topic: &str) -> Result<()> {
    let (name, what) = (topic.to_owned(), format!("can't ask for the topic {topic}"));
    let found = producer.ask_first(&what, move |client| {
        let metadata = client.client().fetch_metadata(Some(&name), PATIENCE)?;
        let error = metadata.topics().iter().find_map(|topic| topic.error());
        Ok(error.map(RDKafkaErrorCode::from))
    });
    match found.await? {
        Ok(None) => Ok(()),
        Ok(Some(code)) => Err(failed(format!("can't write to the topic {topic}"), KafkaError::MetadataFetch(code))),
        Err(error) => Err(producer.said().failed(&what, error)),
    }
}

fn owned(headers: Vec<Header>) -> OwnedHeaders {
    headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), |owned, header| {
        owned.insert(rdkafka::message::Header { key: &header.name, value: header.value.as_deref() })
    })
}

/// Our time, in milliseconds since the Unix epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Kafka's milliseconds, for a time that the source has said.
fn event_millis(time: EventTime) -> Option<i64> {
    (!time.ingested).then(|| time.micros.div_euclid(1_000))
}

/// As much of an input as names transactions; one that is longer is told from others that begin alike by a hash of it all.
fn shortened(input: &str) -> String {
    match input.char_indices().nth(NAMED) {
        None => input.to_owned(),
        Some((end, _)) => format!("{}.{:016x}", &input[..end], xxh3_64(input.as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_inputs_that_begin_alike_name_their_transactions_otherwise() {
        assert_eq!(shortened("/data/a.txt"), "/data/a.txt");
        let long = |end: &str| shortened(&format!("{}{end}", "ä".repeat(NAMED)));
        assert_eq!(long(""), "ä".repeat(NAMED));
        assert_ne!(long("a"), long("b"));
        assert_eq!(long("a").chars().count(), NAMED + 17);
    }
}
