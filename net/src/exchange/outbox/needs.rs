//! [`Needs`]: the records that merges wait for, and the waiting items that have them. How an exit finds those, and makes
//! room for one that can't get out.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_core::contracts::PeerId;

use super::waiting::{Favoured, Sets, Whom};
use super::{At, Load, Loss, Origin, Outbox, Owes};

/// The records that merges wait for: one an origin and peer, until it is dealt, or the merge waits for it no more.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// By lane and peer.
    records: BTreeMap<(u64, PeerId), u64>,
    /// Waiting items that have one.
    ready: Favoured,
}

impl Needs {
    /// The merge of this peer waits for this record, and for no other of the lane.
    fn ask(&mut self, lane: u64, peer: PeerId, record: u64) {
        self.records.insert((lane, peer), record);
    }

    /// The merge of this peer waits for nothing of the lane.
    fn forget(&mut self, lane: u64, peer: PeerId) {
        self.records.remove(&(lane, peer));
    }

    /// Nobody waits for anything of the lane.
    pub(super) fn forget_lane(&mut self, lane: u64) {
        self.records.retain(|&(of, _), _| of != lane);
        self.ready.forget(lane);
    }

    /// The merge of this peer waits for nothing. Returns the lanes that it waited for something of.
    fn forget_peer(&mut self, peer: PeerId) -> Vec<u64> {
        let lanes = self.records.keys().filter(|&&(_, of)| of == peer).map(|&(lane, _)| lane).collect();
        self.records.retain(|&(_, of), _| of != peer);
        lanes
    }

    /// Which records of a lane are waited for, and by whom.
    pub(super) fn of(&self, lane: u64) -> impl Iterator<Item = (PeerId, u64)> {
        self.records.range((lane, 0)..=(lane, PeerId::MAX)).map(|(&(_, peer), &record)| (peer, record))
    }

    /// All that is waited for: lane, by whom, record.
    pub(super) fn all(&self) -> impl Iterator<Item = (u64, PeerId, u64)> {
        self.records.iter().map(|(&(lane, peer), &record)| (lane, peer, record))
    }

    /// Waiting items that have what is waited for, by whom they may go to.
    pub(super) fn ready(&self) -> &Sets<Whom, u64> {
        self.ready.by_whom()
    }
}

impl<P: Load, C: Owes> Outbox<P, C> {
    /// The merge of this peer waits for this record: what has it for that peer goes before all else, and without credit.
    /// Remembered, one an origin and peer, until it is dealt: it may not be here yet. Where what is lost is dealt to
    /// another it is remembered until it is [`met`](Self::met): it may have to be dealt anew.
    pub(crate) fn need(&mut self, peer: PeerId, origin: &Origin, sequence: u64) {
        let lane = match self.names.get(origin) {
            Some(&lane) => lane,
            None => self.lane(Arc::new(origin.clone())),
        };
        self.needs.ask(lane, peer, sequence);
        self.review(lane);
    }

    /// The merge of this peer waits for no record of this origin any more.
    pub(crate) fn met(&mut self, peer: PeerId, origin: &Origin) {
        if let Some(&lane) = self.names.get(origin) {
            self.needs.forget(lane, peer);
            self.review(lane);
        }
    }

    /// A peer is lost: over another link its merge asks again.
    pub(super) fn forget_needs(&mut self, peer: PeerId) {
        self.needs.forget_peer(peer).into_iter().for_each(|lane| self.review(lane));
    }

    /// Records that merges wait for and that have not come here: they are still inside the part, or elsewhere. With who
    /// waits. One that was cut by key has come once it is here for anybody: what another peer was to get of it may have
    /// been handed back, and comes again once the rest has settled.
    pub(crate) fn missing(&self) -> impl Iterator<Item = (PeerId, &Arc<Origin>, u64)> {
        let missing = self.needs.all().filter(|&(lane, _, record)| !self.has(lane, record));
        missing.filter_map(|(lane, peer, record)| Some((peer, &self.lanes.get(&lane)?.origin, record)))
    }

    /// A merge waits for a record that is still inside the part: hands back what waits, the highest sequence numbers of
    /// any origin first and never what is needed, until there is room. Nothing if there is room already, if the record
    /// is here, or where nothing is handed back. Returns how many records were. The record is not the next to come, so
    /// this is to be done anew as long as it is [`missing`](Self::missing) and there is no room.
    pub(crate) fn make_room(&mut self, peer: PeerId, origin: &Origin, sequence: u64) -> u64 {
        if !self.loss.hands_back() {
            return 0;
        }
        self.need(peer, origin, sequence);
        if self.names.get(origin).is_none_or(|&lane| self.has(lane, sequence)) {
            return 0;
        }
        let before = self.counts.handed_back;
        let mut waiting = self.waiting.all();
        waiting.sort_unstable();
        while !self.has_room()
            && let Some((_, item)) = waiting.pop()
        {
            self.hand_back(item);
        }
        self.counts.handed_back - before
    }

    /// Hands a waiting item back, unless a merge waits for it.
    fn hand_back(&mut self, id: u64) {
        let Some(item) = self.items.get(&id) else { return };
        if self.needs.of(item.stock.lane).any(|(peer, need)| item.is_for(peer) && item.open.contains(need)) {
            return;
        }
        let open = item.open.clone();
        self.count_handed_back(&open);
        self.give_up(id);
    }

    /// Works out anew which waiting items of a lane have what is waited for. What has been dealt is waited for no more,
    /// but where it may be dealt to another.
    pub(super) fn review_needed(&mut self, lane: u64) {
        if self.needs.records.is_empty() && self.needs.ready.is_empty() {
            return;
        }
        let (mut ready, mut dealt) = (Vec::new(), Vec::new());
        for (peer, record) in self.needs.of(lane) {
            let Some(id) = self.find(lane, peer, record) else { continue };
            match self.items.get(&id).map(|item| item.at) {
                Some(At::Waiting(whom)) => ready.push((whom, id)),
                _ if self.loss == Loss::Redeal => {}
                _ => dealt.push(peer),
            }
        }
        dealt.into_iter().for_each(|peer| self.needs.forget(lane, peer));
        self.needs.ready.set(lane, ready);
    }
}
