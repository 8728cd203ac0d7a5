//! Dead letters: asked of the instance that has the original, which says when they are durable.

use millstream_core::commit::Note;
use millstream_core::contracts::{Order, PeerId};
use tokio::sync::oneshot;

use super::super::message::{Message, short};
use super::{Act, Asker, Node};

impl Node {
    /// A part here asks for a dead letter of a record whose original is elsewhere.
    pub(super) fn ask_burial(
        &mut self,
        hop: usize,
        made: u64,
        slot: u64,
        record: u32,
        note: Note,
        reply: oneshot::Sender<Result<(), String>>,
    ) {
        let Some((to, record)) = self.inbox(hop, made).and_then(|inbox| inbox.sender(slot, record)) else { return };
        if self.peers[to.peer].link != Some(to.link) {
            return;
        }
        let id = self.next_id();
        self.burials.insert(id, Asker::Here(reply, to.peer));
        let Note { letters, stage, reason } = note;
        let reason = short(&reason);
        self.tell(to.peer, Message::Bury { hop: hop as u16, tag: to.tag, record, id, letters, stage, reason });
    }

    /// A peer asks for a dead letter: it is written here if the record began here, and else asked for further on.
    pub(super) fn bury(&mut self, peer: PeerId, hop: usize, tag: u64, record: u64, id: u64, note: Note) {
        let Some(link) = self.peers[peer].link else { return };
        let found = self.outboxes.get(hop).and_then(Option::as_ref).and_then(|out| out.outbox.with_claim(peer, tag));
        let Some((mine, piece)) = found else {
            let failed = Some("its origin has opened anew since".to_owned());
            return self.tell(peer, Message::Buried { id, failed });
        };
        let at = mine.record(record);
        if let Some(burial) = mine.owed.bury(at, note.clone()) {
            self.acts.push(Act::Await { burial, to: peer, link, id });
            return;
        }
        let Some(shared) = piece.shared().cloned() else {
            let failed = Some("its original is not where it should be".to_owned());
            return self.tell(peer, Message::Buried { id, failed });
        };
        let mine = self.next_id();
        self.burials.insert(mine, Asker::Peer { peer, link, id });
        self.order(Order::Bury { id: mine, shared, record: at, note });
    }

    /// A letter is durable, or could not be written.
    pub(super) fn buried(&mut self, id: u64, buried: Result<(), String>) {
        match self.burials.remove(&id) {
            // One who waits no more has given the record up.
            Some(Asker::Here(reply, _)) => {
                let _ = reply.send(buried);
            }
            Some(Asker::Peer { peer, link, id }) if self.is_current(peer, link) => {
                self.tell(peer, Message::Buried { id, failed: buried.err().map(|failed| short(&failed)) });
            }
            _ => {}
        }
    }
}
