//! What a connector, a coder, a framing, a store or a clock has to do. The traits' docs are the contracts.
//!
//! This module imports `data` and `commit`.

mod capability;
mod coder;
mod compression;
mod difference;
mod error;
mod exchange;
mod framing;
mod guard;
mod letter;
mod link;
mod operator;
mod sink;
mod source;
mod store;
mod transform;
mod world;

pub use capability::{Active, Commits, Ends, Places, SinkTraits, SourceTraits, Where};
pub use coder::{Code, CodeError, Coder, Decoder, Encoder, Faults, Format, Halt, Kind, Local, decoder, encoder};
pub use compression::{Compression, Compressor, Decompressor};
pub use difference::around_difference;
pub use error::{Cause, Error, Panicked, Result};
pub use exchange::{
    About, Across, Arrival, Claim, Crossing, Entry, Exchange, Exit, ExitFactory, Hop, Joined, NetKind, Order, OriginAt,
    Report, Roll, SourcePlace, Traffic,
};
pub use framing::{Framer, Framing, FramingError, Refused, Scan, Seam, Unpacked, Writer};
pub use guard::guarded;
pub(crate) use guard::{each_row, each_row_with, mistyped};
pub use letter::{FromLetter, Letter, LetterForm};
pub use link::{Hello, Lane, LinkEvent, Links, Network, PeerId};
pub use operator::{Emission, Fold, Look, Made, Make, MakeAsync, Rows, Shape};
pub(crate) use sink::Failure;
pub use sink::{CommitSoon, DynSink, DynSinkFactory, Failures, Sink, SinkContext, SinkFactory, WriteError, sink};
pub use source::{
    BoxFuture, Chunk, DynChunk, DynEvent, DynSource, DynSourceFactory, Event, Held, Settlement, Shares, Source,
    SourceFactory, source,
};
pub use store::{Checkpoint, Key, Opened, Store, StoreFactory};
pub use transform::{Emit, Transform};
pub use world::{Clock, Host, SystemClock, World};

/// The target of log lines that say that something outside is waited for: the terminal shows them where `RUST_LOG` asks for
/// nothing.
pub const WAITS: &str = "millstream::waits";
