//! [`Consumer`]: a source that reads what a [`Broker`](crate::broker::Broker) gives it, and runs on every instance.

use std::sync::Arc;

use millstream::contracts::{
    Active, Cause, Chunk, Commits, Error, Event, Held, Places, Result, Source, SourceFactory, SourceTraits, source,
};
use millstream::data::{Bytes, Column as _, Marks, Packed, Partition, PartitionId, Position};
use millstream::testkit::number_of;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::broker::text;

/// The source of an instance: a consumer of the broker that listens at `broker`, in the folder that it runs in.
pub(crate) fn consumer(instance: usize) -> impl SourceFactory<Source = Consumer> {
    let traits = SourceTraits {
        commits: Commits::Optimistic,
        keeps_positions: true,
        places: Places::Everywhere(Active::One),
        ..SourceTraits::new("QUEUE", "broker")
    };
    source(traits, move || Consumer { instance, broker: None, turn: None, open: None, opened: 0, asked: false })
}

/// See the module.
pub(crate) struct Consumer {
    instance: usize,
    broker: Option<Connection>,
    /// The turn that it was chosen for.
    turn: Option<usize>,
    /// The partition of that turn.
    open: Option<PartitionId>,
    opened: PartitionId,
    /// The broker owes it records.
    asked: bool,
}

/// A connection to the broker.
struct Connection {
    hears: Lines<BufReader<OwnedReadHalf>>,
    says: OwnedWriteHalf,
}

impl Connection {
    async fn new(instance: usize) -> Result<Self> {
        let stream = UnixStream::connect("broker").await;
        let stream = stream.map_err(|error| Error::new(Cause::Outside, "the broker is gone").because(error))?;
        let (reads, says) = stream.into_split();
        let mut new = Self { hears: BufReader::new(reads).lines(), says };
        new.say(&format!("consume {instance}")).await;
        Ok(new)
    }

    /// That a broker is gone is heard.
    async fn say(&mut self, what: &str) {
        let _ = self.says.write_all(format!("{what}\n").as_bytes()).await;
    }

    async fn hear(&mut self) -> Option<String> {
        self.hears.next_line().await.ok().flatten()
    }
}

impl Source for Consumer {
    type Out = Bytes;

    async fn open(&mut self, _: &Held) -> Result<Vec<Partition>> {
        self.broker = Some(Connection::new(self.instance).await?);
        Ok(Vec::new())
    }

    async fn next(&mut self) -> Result<Event<Bytes>> {
        loop {
            if self.turn.is_some() && self.open.is_none() {
                self.open = Some(self.opened);
                self.opened += 1;
                return Ok(Event::Opened(Partition::new("queue")));
            }
            let Some(broker) = &mut self.broker else {
                self.broker = Some(Connection::new(self.instance).await?);
                continue;
            };
            if self.turn.is_some() && !self.asked {
                broker.say("get").await;
                self.asked = true;
            }
            let heard = broker.hear().await;
            if let Some(event) = self.takes(heard.as_deref())? {
                return Ok(event);
            }
        }
    }

    async fn commit(&mut self, positions: &[(PartitionId, Position)]) -> Result<()> {
        let Some(broker) = &mut self.broker else { return Ok(()) };
        for (_, position) in positions.iter().filter(|(id, _)| Some(*id) == self.open) {
            broker.say(&format!("ack {}", number_of(position))).await;
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        self.broker = None;
        Ok(())
    }
}

impl Consumer {
    /// What the broker says, or nothing if it is gone.
    fn takes(&mut self, heard: Option<&str>) -> Result<Option<Event<Bytes>>> {
        let Some(heard) = heard else {
            self.broker = None;
            return Ok(self.loses());
        };
        match *heard.split(' ').collect::<Vec<_>>() {
            ["active", turn, _] => {
                let former = self.loses();
                self.turn = Some(number(turn)? as usize);
                Ok(former)
            }
            ["records", first, count] => self.reads(number(first)?, number(count)?).map(Some),
            ["passed"] => Ok(self.loses()),
            ["end"] => Ok(Some(Event::End)),
            _ => Err(unknown(heard)),
        }
    }

    /// It is not chosen any more.
    fn loses(&mut self) -> Option<Event<Bytes>> {
        (self.turn, self.asked) = (None, false);
        self.open.take().map(Event::Closed)
    }

    fn reads(&mut self, first: u64, count: u64) -> Result<Event<Bytes>> {
        self.asked = false;
        let (Some(turn), Some(partition)) = (self.turn, self.open) else { return Err(unknown("records")) };
        let mut column = Packed::<Bytes>::default();
        (first..first + count).for_each(|number| column.push(Bytes::from(text(turn, number))));
        Ok(Event::Records(Chunk { partition, column, times: None, marks: Arc::new(First(first)), refused: Vec::new() }))
    }
}

fn number(text: &str) -> Result<u64> {
    text.parse().map_err(|_| unknown(text))
}

fn unknown(what: &str) -> Error {
    Error::new(Cause::Bug, format!("the broker said `{what}`, which is not expected here"))
}

/// The number of a batch's first record.
struct First(u64);

impl Marks for First {
    fn position(&self, count: u32) -> Result<Option<Position>, String> {
        let number = self.0 + u64::from(count);
        Position::new(number.to_le_bytes().to_vec(), number.to_string()).map(Some).map_err(|error| error.to_string())
    }

    fn place(&self, index: u32, _: &[u8], _: usize) -> String {
        format!("record {}", self.0 + u64::from(index))
    }
}
