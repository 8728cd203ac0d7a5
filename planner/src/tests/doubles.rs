//! Sources, sinks, types and coders that do nothing, for plans that are never run.

use std::marker::PhantomData;
use std::sync::Arc;

use millstream_core::commit::Ticket;
use millstream_core::contracts::{
    Active, BoxFuture, Checkpoint, Code, Coder, Commits, Ends, Event, Faults, Format, Held, Kind, Opened, Places,
    Result, Sink, SinkContext, SinkFactory, SinkTraits, Source, SourceFactory, SourceTraits, Store, StoreFactory,
    Where, WriteError,
};
use millstream_core::data;
use millstream_core::data::{AnyColumn, Bytes, Data, Form, Partition, Records};

/// A document.
#[derive(Debug, Clone)]
pub(super) struct Node;
/// An order.
#[derive(Debug, Clone)]
pub(super) struct Order;
/// A type without coders.
#[derive(Debug, Clone)]
pub(super) struct Alien;
data!(Node, Order, Alien);

/// A source of `T`s.
pub(super) struct From<T> {
    pub(super) traits: SourceTraits,
    pub(super) wrong: Vec<String>,
    of: PhantomData<fn() -> T>,
}

/// A sink of `T`s.
pub(super) struct Into<T> {
    pub(super) traits: SinkTraits,
    pub(super) wrong: Vec<String>,
    /// Whether it can keep positions with its data.
    pub(super) keeps: bool,
    of: PhantomData<fn() -> T>,
}

fn source<T>(kind: &str, places: Places) -> From<T> {
    From {
        traits: SourceTraits {
            kind: kind.to_owned(),
            input: "somewhere".to_owned(),
            identity: None,
            ends: Ends::Bounded,
            commits: Commits::Optimistic,
            keeps_positions: false,
            server: None,
            places,
            unacknowledged: None,
            resumable: true,
            visibility: None,
            blocking: false,
        },
        wrong: Vec::new(),
        of: PhantomData,
    }
}

/// A queue of which the broker lets one instance read.
pub(super) fn queue() -> From<Bytes> {
    let mut queue = source("AMQP-QUEUE", Places::Everywhere(Active::One));
    queue.traits.ends = Ends::Unbounded;
    queue.traits.keeps_positions = true;
    queue
}

/// A topic of which each instance reads a part.
pub(super) fn topic() -> From<Bytes> {
    let mut topic = source("KAFKA", Places::Everywhere(Active::Each));
    topic.traits.ends = Ends::Unbounded;
    topic.traits.keeps_positions = true;
    topic
}

/// A file on the first instance, read by blocking calls.
pub(super) fn file() -> From<Bytes> {
    let mut file = source("FILE", Places::Exclusive(Where::First));
    file.traits.blocking = true;
    file
}

/// A list of values, on the first instance.
pub(super) fn list<T>() -> From<T> {
    source("LIST", Places::Exclusive(Where::First))
}

fn sink<T>(kind: &str, place: Where) -> Into<T> {
    Into {
        traits: SinkTraits {
            kind: kind.to_owned(),
            output: "somewhere".to_owned(),
            place,
            ordered: true,
            transactional: Err("standard output can't take back what it printed".to_owned()),
            positions_in: None,
            commits_at: None,
            durable_at_close: false,
            local_state: false,
            blocking: false,
        },
        wrong: Vec::new(),
        keeps: false,
        of: PhantomData,
    }
}

/// Standard output.
pub(super) fn stdout() -> Into<Bytes> {
    sink("STD-OUT", Where::LastJoined)
}

/// A file on the last instance, written by blocking calls, which keeps positions if there is a store.
pub(super) fn to_file() -> Into<Bytes> {
    let mut file = sink("TO-FILE", Where::Last);
    file.traits.local_state = true;
    file.traits.blocking = true;
    file.keeps = true;
    file
}

/// A database that takes records from every instance in any order, and keeps positions if there is a store.
pub(super) fn database() -> Into<Bytes> {
    let mut database = sink("DATABASE", Where::Everywhere);
    database.traits.ordered = false;
    database.keeps = true;
    database
}

/// A sink of `T`s on the first instance.
pub(super) fn collect<T>() -> Into<T> {
    sink("COLLECT", Where::First)
}

impl<T: Data> Source for From<T> {
    type Out = T;

    async fn open(&mut self, _: &Held) -> Result<Vec<Partition>> {
        Ok(Vec::new())
    }

    async fn next(&mut self) -> Result<Event<T>> {
        Ok(Event::End)
    }
}

impl<T: Data> SourceFactory for From<T> {
    type Source = Self;

    fn traits(&self) -> SourceTraits {
        self.traits.clone()
    }

    fn check(&self) -> Vec<String> {
        self.wrong.clone()
    }

    fn make(&self) -> Self {
        Self { traits: self.traits.clone(), wrong: Vec::new(), of: PhantomData }
    }
}

impl<T: Data> Sink for Into<T> {
    type In = T;

    async fn open(&mut self, _: &SinkContext) -> Result<Option<Vec<Checkpoint>>> {
        Ok(None)
    }

    async fn write(&mut self, _: Records<'_, T::Column>, _: &mut Option<Ticket>) -> Result<(), WriteError> {
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl<T: Data> SinkFactory for Into<T> {
    type Sink = Self;

    fn traits(&self, keeps_positions: bool) -> SinkTraits {
        let mut traits = self.traits.clone();
        if self.keeps {
            let without = || Err("a file is written anew by each run".to_owned());
            traits.transactional = if keeps_positions { Ok(()) } else { without() };
        }
        traits
    }

    fn check(&self) -> Vec<String> {
        self.wrong.clone()
    }

    fn make(&self) -> Self {
        Self { traits: self.traits.clone(), wrong: Vec::new(), keeps: self.keeps, of: PhantomData }
    }
}

/// A store that is never opened.
pub(super) struct Folder;

impl StoreFactory for Folder {
    fn name(&self) -> String {
        "a folder".to_owned()
    }

    fn open(&self, _: &Opened) -> BoxFuture<'_, Result<Box<dyn Store>>> {
        Box::pin(async {
            Err(millstream_core::contracts::Error::new(millstream_core::contracts::Cause::Bug, "a double"))
        })
    }
}

struct Nothing;

impl Code for Nothing {
    fn code(&mut self, _: &dyn AnyColumn, _: &mut dyn AnyColumn, _: &mut Faults) {}
}

/// A coder from `A` to `B` that does nothing.
pub(super) fn coder<A: Data, B: Data>(name: &str, kind: Kind, cost: u32) -> Coder {
    coder_of(name, A::form(), B::form(), kind, cost)
}

pub(super) fn coder_of(name: &str, from: Form, to: Form, kind: Kind, cost: u32) -> Coder {
    let heavy = kind == Kind::Decode;
    Coder { name: name.to_owned(), from, to, kind, cost, heavy, waits: false, make: Arc::new(|| Box::new(Nothing)) }
}

/// The coders that every pipeline of these tests may use.
pub(super) fn coders() -> Vec<Coder> {
    vec![
        coder::<Bytes, String>("TEXT-DECODER", Kind::Recast, 1),
        coder::<String, Bytes>("TEXT-ENCODER", Kind::Recast, 1),
        coder::<Bytes, Node>("XML-DECODER", Kind::Decode, 10),
        coder::<Node, Bytes>("XML-ENCODER", Kind::Encode, 10),
        coder::<Bytes, Order>("JSON-DECODER", Kind::Decode, 10),
        coder::<Order, Bytes>("JSON-ENCODER", Kind::Encode, 10),
        coder::<u64, String>("NUMBER-ENCODER", Kind::Encode, 10),
        coder::<String, u64>("NUMBER-DECODER", Kind::Decode, 10),
        coder::<u64, Bytes>("WIRE-ENCODER", Kind::WireEncode, 2),
        coder::<Bytes, u64>("WIRE-DECODER", Kind::WireDecode, 2),
        coder::<bool, Bytes>("WIRE-ENCODER", Kind::WireEncode, 2),
        coder::<Bytes, bool>("WIRE-DECODER", Kind::WireDecode, 2),
    ]
}

/// A type of one's own, for network stages alone.
pub(super) struct Wire<T>(pub(super) &'static str, pub(super) PhantomData<fn() -> T>);

pub(super) fn wire<T>() -> Wire<T> {
    Wire("", PhantomData)
}

impl<T: Data> Format for Wire<T> {
    type Value = T;

    fn decoder(&self) -> Option<Coder> {
        Some(coder::<Bytes, T>(&format!("WIRE-DECODER{}", self.0), Kind::WireDecode, 2))
    }

    fn encoder(&self) -> Option<Coder> {
        Some(coder::<T, Bytes>(&format!("WIRE-ENCODER{}", self.0), Kind::WireEncode, 2))
    }
}

/// Bytes within bytes.
pub(super) struct Gzip;

/// One coder, from bytes to a node or back.
pub(super) struct Coded(pub(super) Coder);

impl Format for Coded {
    type Value = Node;

    fn decoder(&self) -> Option<Coder> {
        Some(self.0.clone()).filter(|coder| coder.kind == Kind::Decode)
    }

    fn encoder(&self) -> Option<Coder> {
        Some(self.0.clone()).filter(|coder| coder.kind == Kind::Encode)
    }
}

impl Format for Gzip {
    type Value = Bytes;

    fn decoder(&self) -> Option<Coder> {
        Some(coder::<Bytes, Bytes>("GZIP-DECODER", Kind::Decode, 10))
    }

    fn encoder(&self) -> Option<Coder> {
        Some(coder::<Bytes, Bytes>("GZIP-ENCODER", Kind::Encode, 10))
    }
}

/// Documents, as a format that the user names.
pub(super) struct Xml;

impl Format for Xml {
    type Value = Node;

    fn decoder(&self) -> Option<Coder> {
        Some(coder::<Bytes, Node>("MY-XML-DECODER", Kind::Decode, 10))
    }

    fn encoder(&self) -> Option<Coder> {
        Some(coder::<Node, Bytes>("MY-XML-ENCODER", Kind::Encode, 10))
    }
}
