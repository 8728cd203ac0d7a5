//! What origins promise of what they haven't emitted yet, for the merges that compare records of different origins.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_core::contracts::{Across, OriginAt, PeerId};
use millstream_core::data::Partition;

use super::super::message::{Message, WireOrigin};
use super::super::origin::Origin;
use super::Node;

/// What origins here have promised last, by the network stage that it matters to: from which record on, and what. Merges
/// that begin anew, and peers that come back, have to hear it again.
#[derive(Default)]
pub(super) struct Promises(BTreeMap<(usize, Origin), Promised>);

/// What an origin has promised.
struct Promised {
    /// The network stage before the part that it begins in; `None`: it is of the source.
    part: Option<usize>,
    /// From which record on.
    sequence: u64,
    from: i64,
}

impl Promises {
    /// Notes one; earlier epochs of that origin count no more.
    fn note(&mut self, hop: usize, origin: &Origin, promised: Promised) {
        let is_new = self.0.insert((hop, origin.clone()), promised).is_none();
        if is_new {
            self.0.retain(|(_, of), _| of.stage != origin.stage || of.epoch >= origin.epoch);
        }
    }

    /// The source has given the partition up.
    pub(super) fn forget(&mut self, partition: &Partition) {
        self.0.retain(|(_, origin), promised| promised.part.is_some() || origin.partition != *partition);
    }

    /// The part behind this network stage begins anew, and its folds with it.
    pub(super) fn forget_part(&mut self, hop: usize) {
        self.0.retain(|_, promised| promised.part != Some(hop));
    }
}

impl Node {
    /// An origin of the part behind network stage `hop` (`None`: the source) promises that from a record on nothing of it
    /// is earlier.
    pub(super) fn promised(&mut self, part: Option<usize>, at: OriginAt, from: i64) {
        let OriginAt { instance, stage, partition, epoch, sequence } = at;
        let origin = Origin { instance, stage, partition, epoch };
        for hop in part.map_or(0, |hop| hop + 1)..self.hops.len() {
            if self.hops[hop].across != Across::Any {
                self.promises.note(hop, &origin, Promised { part, sequence, from });
                for peer in self.hops[hop].to.clone() {
                    self.tell_promise(peer, hop, &origin, (sequence, from));
                }
            }
            if self.hops[hop].folds {
                return;
            }
        }
    }

    fn tell_promise(&mut self, peer: PeerId, hop: usize, origin: &Origin, (sequence, from): (u64, i64)) {
        self.tell(peer, Message::Promise { hop: hop as u16, origin: WireOrigin::of(origin), sequence, from });
    }

    /// A peer has come back, or a part of it has begun anew behind this network stage.
    pub(super) fn repeat_promises(&mut self, peer: PeerId, hop: Option<usize>) {
        let all = self.promises.0.iter().map(|(key, promised)| (key.clone(), (promised.sequence, promised.from)));
        let all: Vec<_> = all.collect();
        for ((at, origin), promise) in all {
            if hop.is_none_or(|hop| hop == at) && self.hops[at].to.contains(&peer) {
                self.tell_promise(peer, at, &origin, promise);
            }
        }
    }

    /// A peer says what an origin there promises.
    pub(super) fn hear_promise(&mut self, peer: PeerId, hop: usize, origin: &WireOrigin, sequence: u64, from: i64) {
        let fits = usize::from(origin.instance) == peer;
        if let Some(Some(inbox)) = self.inboxes.get_mut(hop).filter(|_| fits) {
            inbox.promised(&Arc::new(origin.origin()), sequence, from);
        }
    }
}
