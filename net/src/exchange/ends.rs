//! The ends of the network stages that the runtime holds: exits and entries.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use millstream_core::commit::Ticket;
use millstream_core::contracts::{Arrival, BoxFuture, Claim, Entry, Exit, ExitFactory};
use millstream_core::data::Batch;
use tokio::sync::{Notify, mpsc};

use super::local::{Handed, Local};
use super::origin::Load as _;
use super::piece::Piece;

/// Whether an exit takes more: bytes on their way to the node are bounded, and so is what the node keeps.
pub(crate) struct Room {
    most: u64,
    on_the_way: AtomicU64,
    full: AtomicBool,
    changed: Notify,
}

impl Room {
    pub(crate) fn new(most: u64) -> Arc<Self> {
        Arc::new(Self { most, on_the_way: AtomicU64::new(0), full: AtomicBool::new(false), changed: Notify::new() })
    }

    /// The node has taken this many bytes.
    pub(crate) fn took(&self, bytes: u64) {
        self.on_the_way.fetch_sub(bytes, SeqCst);
        self.changed.notify_waiters();
    }

    /// The node has room, or has none.
    pub(crate) fn set_full(&self, full: bool) {
        if self.full.swap(full, SeqCst) && !full {
            self.changed.notify_waiters();
        }
    }

    async fn wait(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Listening before looking: a change in between is not missed.
            changed.as_mut().enable();
            if !self.full.load(SeqCst) && self.on_the_way.load(SeqCst) < self.most {
                return;
            }
            changed.await;
        }
    }
}

/// Makes the exits of one network stage.
pub(crate) struct Exits {
    pub(crate) hop: usize,
    pub(crate) positions: bool,
    pub(crate) made: u64,
    pub(crate) node: mpsc::UnboundedSender<Local>,
    pub(crate) room: Arc<Room>,
}

impl ExitFactory for Exits {
    fn make(&mut self) -> Box<dyn Exit> {
        self.made += 1;
        let (hop, made) = (self.hop, self.made);
        // A node that is gone has ended the run, and the exit's part hears of it.
        let _ = self.node.send(Local::ExitMade { hop, made });
        Box::new(Out {
            hop,
            made,
            positions: self.positions,
            node: self.node.clone(),
            room: self.room.clone(),
            ended: false,
        })
    }
}

/// Where records leave a part.
struct Out {
    hop: usize,
    made: u64,
    positions: bool,
    node: mpsc::UnboundedSender<Local>,
    room: Arc<Room>,
    ended: bool,
}

impl Exit for Out {
    fn ready(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(self.room.wait())
    }

    fn send(&mut self, batch: Batch, ticket: Ticket) {
        let (hop, made) = (self.hop, self.made);
        let local = match Piece::of(batch, self.positions) {
            Ok(piece) => {
                let bytes = piece.bytes();
                self.room.on_the_way.fetch_add(bytes, SeqCst);
                Local::Put { hop, made, piece, owed: ticket.owed() }
            }
            Err(why) => Local::Report(millstream_core::contracts::Report::Failed { why }),
        };
        let _ = self.node.send(local);
    }

    fn end(&mut self) {
        self.ended = true;
        let (hop, made) = (self.hop, self.made);
        let _ = self.node.send(Local::ExitEnded { hop, made });
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        if !self.ended {
            let (hop, made) = (self.hop, self.made);
            let _ = self.node.send(Local::ExitGone { hop, made });
        }
    }
}

/// Where records come into a part.
pub(crate) struct In {
    pub(crate) hop: usize,
    /// Which of the parts that are begun one after the other it feeds now: what was handed to an earlier one is dropped.
    pub(crate) made: Arc<AtomicU64>,
    pub(crate) node: mpsc::UnboundedSender<Local>,
    pub(crate) handed: mpsc::UnboundedReceiver<Handed>,
}

impl Entry for In {
    fn next(&mut self) -> BoxFuture<'_, Arrival> {
        Box::pin(async move {
            loop {
                let handed = self.handed.recv().await;
                let made = self.made.load(SeqCst);
                match handed {
                    Some(Handed::Piece { slot, piece, settler }) if settler.made == made => {
                        let _ = self.node.send(Local::Took { hop: self.hop, made });
                        return Arrival::Batch(piece.into_batch(), Claim { origin: settler, slot });
                    }
                    Some(Handed::End { made: of, drained }) if of == made => return Arrival::End { drained },
                    Some(_) => {}
                    None => return Arrival::Gone,
                }
            }
        })
    }
}
