//! [`QueueSource`]: reads, acknowledges, reconnects.

use std::marker::PhantomData;
use std::sync::Arc;

use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use millstream_core::commit::Outcome;
use millstream_core::contracts::{Cause, Chunk, Error, Event, Held, Result, Settlement, Source, WAITS};
use millstream_core::data::{Marks, Partition, PartitionId, Position};
use millstream_net::amqp::{Link, short, wrong};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;

use super::ages::Ages;
use super::buffer::Buffer;
use super::config::Settings;
use super::record::Record;
use super::tags::{Say, Tags};
use super::tries::Tries;

/// A batch has at most so many messages.
const BATCH: usize = 512;

/// A batch is full with so many bytes.
const BYTES: usize = 256 << 10;

/// The version of positions, their first byte.
const VERSION: u8 = 1;

/// The source that [`Queue`](super::Queue) declares.
pub struct QueueSource<T> {
    settings: Arc<Settings>,
    live: Option<Live>,
    /// A connection that is being opened again: `next` may be dropped meanwhile, and it goes on.
    opening: Option<Opening>,
    /// How many partitions there have been.
    opened: PartitionId,
    /// A partition that is gone, to be told.
    gone: Option<PartitionId>,
    tries: Tries,
    /// Acknowledgements of partitions that were gone.
    late: u64,
    gives: PhantomData<fn() -> T>,
}

/// A task that ends with whoever waits for it.
struct Opening(JoinHandle<Result<Live>>);

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What the consumer has said.
type Heard = Option<lapin::Result<Delivery>>;

/// A channel that brings messages.
struct Live {
    consumer: Buffer<Consumer>,
    channel: Channel,
    link: Link,
    /// The partition, once a message has come.
    partition: Option<PartitionId>,
    /// What was heard, and is not dealt with.
    ahead: Option<Heard>,
    tags: Tags,
    ages: Ages,
    _watch: Watch,
}

/// A task that ends with what it watches.
struct Watch(AbortHandle);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T: Record> Source for QueueSource<T> {
    type Out = T;

    /// No partition is open before a message has come: where there are several instances, the broker doesn't say
    /// otherwise which of them is the active one.
    async fn open(&mut self, _: &Held) -> Result<Vec<Partition>> {
        (self.opening, self.opened, self.gone, self.tries) = (None, 0, None, Tries::default());
        self.live = Some(connect(self.settings.clone()).await?);
        Ok(Vec::new())
    }

    async fn next(&mut self) -> Result<Event<T>> {
        loop {
            if let Some(gone) = self.gone.take() {
                return Ok(Event::Closed(gone));
            }
            let Some(live) = &mut self.live else {
                self.reconnect().await?;
                continue;
            };
            let heard = match live.ahead.take() {
                Some(heard) => heard,
                None => live.consumer.next().await,
            };
            match heard {
                Some(Ok(first)) if live.partition.is_none() => return Ok(self.begin(first)),
                Some(Ok(first)) => return Ok(self.batch(first)),
                Some(Err(error)) => self.lost(Some(error)),
                None => self.lost(None),
            }
        }
    }

    async fn commit(&mut self, positions: &[(PartitionId, Position)]) -> Result<()> {
        for (partition, position) in positions {
            let Some(live) = self.current(*partition) else { continue };
            let said = live.tags.upto(tag_of(position)?);
            if live.say(said).await {
                self.tries.acknowledged();
            }
        }
        Ok(())
    }

    async fn settle(&mut self, settled: &[Settlement]) -> Result<()> {
        let mut say = Vec::new();
        for settlement in settled {
            let Some(live) = self.current(settlement.partition) else { continue };
            let done = settlement.outcome != Outcome::Abandoned;
            let records = &settlement.records;
            live.tags.each(records.start + 1..records.end + 1, done, &mut say);
        }
        if let Some(live) = &mut self.live
            && live.say(say).await
        {
            self.tries.acknowledged();
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        if self.late > 0 {
            tracing::debug!(self.late, "acknowledgements of channels that were gone were dropped");
        }
        if let Some(live) = self.live.take() {
            live.link.close().await;
        }
        Ok(())
    }
}

impl<T: Record> QueueSource<T> {
    pub(super) fn new(settings: Settings) -> Self {
        let settings = Arc::new(settings);
        let tries = Tries::default();
        Self { settings, live: None, opening: None, opened: 0, gone: None, tries, late: 0, gives: PhantomData }
    }

    /// Connects, after the wait that is due. May be dropped at any time.
    async fn reconnect(&mut self) -> Result<()> {
        let opening = self.opening.get_or_insert_with(|| {
            let (settings, wait) = (self.settings.clone(), self.settings.broker.waits().wait(self.tries.vain()));
            Opening(tokio::spawn(async move {
                tokio::time::sleep(wait).await;
                connect(settings).await
            }))
        });
        let opened = (&mut opening.0).await;
        self.opening = None;
        let opened = opened.unwrap_or_else(|error| {
            Err(Error::new(Cause::Bug, "the task that connects to the broker has ended").because(error))
        });
        match opened {
            Ok(live) => {
                tracing::info!(queue = self.settings.queue, "the broker is back");
                self.live = Some(live);
            }
            Err(error) if error.is_retryable() => {
                self.tries.lost();
                let wait = self.settings.broker.waits().wait(self.tries.vain());
                tracing::warn!(target: WAITS, error = error.chain(), ?wait, "the broker is not back yet");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The channel is gone, and with it all tags.
    fn lost(&mut self, error: Option<lapin::Error>) {
        let why = error.map_or_else(|| "the broker has ended the consumer".to_owned(), |error| error.to_string());
        tracing::warn!(queue = self.settings.queue, why, "the channel is lost: what is in flight comes again");
        self.gone = self.live.take().and_then(|live| live.partition);
        self.tries.lost();
    }

    /// The first message of a channel opens its partition.
    fn begin(&mut self, first: Delivery) -> Event<T> {
        if let Some(live) = &mut self.live {
            (live.partition, live.ahead) = (Some(self.opened), Some(Some(Ok(first))));
            self.opened += 1;
        }
        Event::Opened(Partition::new(&self.settings.queue))
    }

    /// A batch of what has come.
    fn batch(&mut self, first: Delivery) -> Event<T> {
        let tag = first.delivery_tag;
        let mut bytes = first.data.len();
        let mut messages = vec![first];
        let mut partition = 0;
        if let Some(live) = &mut self.live {
            partition = live.partition.unwrap_or_default();
            let since = live.consumer.since();
            while messages.len() < BATCH
                && bytes < BYTES
                && let Some(heard) = live.consumer.next_if_there()
            {
                let Some(Ok(message)) = heard else {
                    live.ahead = Some(heard);
                    break;
                };
                bytes += message.data.len();
                messages.push(message);
            }
            live.ages.came(tag, tag + messages.len() as u64 - 1, since);
        }
        let times = self.settings.clocked.times(&messages);
        let marks = Arc::new(TagMarks { queue: self.settings.queue.as_str().into(), before: tag - 1 });
        let (column, refused) = T::batch(messages);
        Event::Records(Chunk { partition, column, times, marks, refused })
    }

    /// The channel of this partition, if it is not gone.
    fn current(&mut self, partition: PartitionId) -> Option<&mut Live> {
        match &mut self.live {
            Some(live) if live.partition == Some(partition) => Some(live),
            _ => {
                self.late += 1;
                None
            }
        }
    }
}

/// Opens a connection, and consumes.
async fn connect(settings: Arc<Settings>) -> Result<Live> {
    let Settings { broker, queue, .. } = &*settings;
    let link = broker.connect().await?;
    let channel = link.channel().await?;
    match &settings.declared {
        Some(declared) => declared.declare(&channel, queue).await?,
        None => look(&settings, &channel).await?,
    }
    let failed = |error| wrong(format!("queue {queue} of {broker} can't be read"), error);
    let prefetch = u16::try_from(settings.prefetch).unwrap_or(u16::MAX);
    channel.basic_qos(prefetch, BasicQosOptions::default()).await.map_err(failed)?;
    let name = short(queue, "the queue's name")?;
    let consuming = channel.basic_consume(name, "".into(), BasicConsumeOptions::default(), FieldTable::default());
    let consumer = Buffer::new(consuming.await.map_err(failed)?);
    let ages = Ages::new(settings.prefetch.into());
    let watch = Watch(tokio::spawn(ages.clone().watch(queue.clone(), settings.timeout)).abort_handle());
    Ok(Live { consumer, channel, link, partition: None, ahead: None, tags: Tags::default(), ages, _watch: watch })
}

/// Whether the queue is there.
async fn look(settings: &Settings, channel: &Channel) -> Result<()> {
    let Settings { broker, queue, .. } = settings;
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let found = channel.queue_declare(short(queue, "the queue's name")?, options, FieldTable::default()).await;
    found.map_err(|error| wrong(format!("there is no queue {queue} that can be read at {broker}"), error))?;
    Ok(())
}

impl Live {
    /// Tells the broker. That it can't be reached is noticed by whoever reads; what it was not told comes again.
    /// Whether something was acknowledged.
    async fn say(&mut self, say: impl IntoIterator<Item = Say>) -> bool {
        let mut acknowledged = false;
        for Say { tag, multiple, done } in say {
            let said = match done {
                true => self.channel.basic_ack(tag, BasicAckOptions { multiple }).await,
                false => self.channel.basic_nack(tag, BasicNackOptions { multiple, requeue: true }).await,
            };
            if let Err(error) = said {
                tracing::warn!(%error, "an acknowledgement did not reach the broker: what it was about comes again");
                return acknowledged;
            }
            acknowledged |= done;
        }
        self.ages.settled(self.tags.lowest(), self.tags.settled(), Instant::now());
        acknowledged
    }
}

/// The tags of a batch.
struct TagMarks {
    queue: Arc<str>,
    /// The tag before the first one.
    before: u64,
}

impl Marks for TagMarks {
    fn position(&self, count: u32) -> Result<Option<Position>, String> {
        let tag = self.before + u64::from(count);
        let bytes = [&[VERSION][..], &tag.to_le_bytes()].concat();
        Position::new(bytes, format!("delivery tag {tag}")).map(Some).map_err(|error| error.to_string())
    }

    fn place(&self, index: u32, _: &[u8], _: usize) -> String {
        format!("queue {}, delivery tag {}", self.queue, self.before + 1 + u64::from(index))
    }
}

/// The tag that a position stands for.
fn tag_of(position: &Position) -> Result<u64> {
    let tag = match position.bytes().split_first() {
        Some((&VERSION, tag)) => tag.try_into().ok().map(u64::from_le_bytes),
        _ => None,
    };
    tag.ok_or_else(|| Error::new(Cause::Bug, format!("{} is no position of a queue", position.label())))
}
