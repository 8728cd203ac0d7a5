//! [`Settler`]: what the tickets of pieces that came over a network stage are settled with.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use millstream_core::commit::{Burial, HoldId, Note, Outcome, RemoteHold, Settle};
use tokio::sync::{mpsc, oneshot};

use super::local::Local;

/// Tells the node what became of the pieces of one origin that came in by one network stage.
pub(crate) struct Settler {
    pub(crate) hop: usize,
    /// Which of the parts that were begun behind that network stage.
    pub(crate) made: u64,
    /// Whether what comes of its pieces goes on by an exit.
    pub(crate) relays: bool,
    pub(crate) node: mpsc::UnboundedSender<Local>,
    /// Where holds of this instance get their names: the node hears of them in this order.
    pub(crate) ids: Arc<Mutex<u64>>,
}

impl Settler {
    fn say(&self, local: Local) {
        // A node that is gone has ended the run: nobody waits for outcomes any more.
        let _ = self.node.send(local);
    }
}

impl Settle for Settler {
    fn settle(&self, slot: u64, records: Range<u32>, outcome: Outcome) {
        let Self { hop, made, .. } = *self;
        self.say(Local::Settled { hop, made, slot, records, outcome });
    }

    fn hold(&self, slot: u64, record: u32) -> HoldId {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let id = *ids;
        let Self { hop, made, .. } = *self;
        *ids += 1;
        self.say(Local::Held { hop, made, slot, record, id });
        HoldId(id)
    }

    fn release(&self, hold: HoldId) {
        self.say(Local::Released { id: hold.0 });
    }

    /// A merge has to hear of every record: one that a policy has dealt with goes on without rows, and settles there.
    fn tells_disposed(&self) -> bool {
        !self.relays
    }

    /// Nothing: the part says where its limit stood once it has ended.
    fn seal(&self, _: u64, _: u32) {}

    fn pass_hold(&self, slot: u64, record: u32, hold: RemoteHold) -> bool {
        let Self { hop, made, .. } = *self;
        self.say(Local::PassHold { hop, made, slot, record, hold });
        true
    }

    fn bury(&self, slot: u64, record: u32, note: Note) -> Option<Burial> {
        let (reply, answer) = oneshot::channel();
        let Self { hop, made, .. } = *self;
        self.say(Local::Bury { hop, made, slot, record, note, reply });
        Some(Box::pin(async move {
            answer.await.unwrap_or_else(|_| Err("the way to the record's origin is lost".to_owned()))
        }))
    }
}
