//! What the ends of network stages, and the tickets of what comes in by them, say to the node of their instance
//! ([`Local`]), and what it hands to them ([`Handed`]).

use std::ops::Range;
use std::sync::Arc;

use millstream_core::commit::{Note, Outcome, Owed, RemoteHold};
use millstream_core::contracts::Report;
use tokio::sync::oneshot;

use super::piece::Piece;
use super::settler::Settler;

/// What the runtime, its ends and its tickets say on this instance. `made` tells the parts apart that were begun one
/// after the other: what an earlier one says counts no more.
pub(crate) enum Local {
    ExitMade { hop: usize, made: u64 },
    Put { hop: usize, made: u64, piece: Piece, owed: Owed },
    ExitEnded { hop: usize, made: u64 },
    ExitGone { hop: usize, made: u64 },
    Took { hop: usize, made: u64 },
    Settled { hop: usize, made: u64, slot: u64, records: Range<u32>, outcome: Outcome },
    Held { hop: usize, made: u64, slot: u64, record: u32, id: u64 },
    PassHold { hop: usize, made: u64, slot: u64, record: u32, hold: RemoteHold },
    Released { id: u64 },
    Bury { hop: usize, made: u64, slot: u64, record: u32, note: Note, reply: oneshot::Sender<Result<(), String>> },
    Report(Report),
}

/// What the node hands to an entry.
pub(crate) enum Handed {
    /// Records under this slot.
    Piece { slot: u64, piece: Box<Piece>, settler: Arc<Settler> },
    /// Nothing more comes to this one of the parts that are begun one after the other.
    End { made: u64, drained: bool },
}
