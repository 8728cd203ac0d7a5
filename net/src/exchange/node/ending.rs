//! What has ended, who leaves, and when it is over.
//!
//! A part ends when all that its records' beginning ever sent has been acknowledged, or taken in by a fold: each instance
//! where records begin says so (*drained*). An instance is done once its parts have ended and its source is committed; it
//! is over once those have said so too whom it has to see through.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use millstream_core::contracts::{Cause, Error, Hop, Order, OriginAt, PeerId, Result, SourcePlace};

use super::super::message::{Message, WireOrigin};
use super::source::State;
use super::{Act, Handed, Node};

/// One that is reached is waited for so many times as long as one that is not.
const REACHED: u32 = 4;

/// What has ended, and who leaves.
pub(super) struct Ending {
    /// For each network stage, the one before or at which its records begin.
    begins: Vec<usize>,
    /// The parts here that records come into, by network stage.
    parts: BTreeMap<usize, PartEnd>,
    /// The instances that have the source.
    sources: Vec<PeerId>,
    /// This instance was asked to end.
    leaving: bool,
    /// An anchor leaves: no source reads on until it is back.
    quiesced: bool,
    /// A limit has sealed the source of this instance.
    pub(super) sealed: bool,
    /// A limit has ended the run somewhere.
    limited: bool,
    /// How far it lets each origin go, as far as this instance has heard.
    pub(super) seals: BTreeMap<WireOrigin, u64>,
    /// The source was told that nothing it waits for will come.
    finished: bool,
    /// Those that give this instance no more work.
    spared: BTreeSet<PeerId>,
    /// Those that were told that they get no more work.
    told: BTreeSet<PeerId>,
    /// Since when all has ended here.
    done: Option<Duration>,
    over: bool,
}

#[derive(Default)]
struct PartEnd {
    /// Its entry was told, and whether only because the run was asked to end.
    told: Option<bool>,
    ended: bool,
}

impl Ending {
    pub(super) fn new(hops: &[Hop], source: &SourcePlace, me: PeerId) -> Self {
        let begins = (0..hops.len()).map(|hop| (0..=hop).rev().find(|&at| hops[at].begins).unwrap_or(0)).collect();
        let here = hops.iter().enumerate().filter(|(_, hop)| hop.to.contains(&me));
        Self {
            begins,
            parts: here.map(|(hop, _)| (hop, PartEnd::default())).collect(),
            sources: source.on.clone(),
            leaving: false,
            quiesced: false,
            sealed: false,
            limited: false,
            seals: BTreeMap::new(),
            finished: false,
            spared: BTreeSet::new(),
            told: BTreeSet::new(),
            done: None,
            over: false,
        }
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// It is over now; `false`: it was before.
    pub(super) fn end(&mut self) -> bool {
        !std::mem::replace(&mut self.over, true)
    }

    pub(super) fn is_limited(&self) -> bool {
        self.limited
    }

    pub(super) fn spared(&mut self, by: PeerId) {
        self.spared.insert(by);
    }

    /// Whether the part behind this network stage has ended, or is about to.
    pub(super) fn has_ended(&self, hop: usize) -> bool {
        self.parts.get(&hop).is_some_and(|part| part.ended || part.told.is_some())
    }

    pub(super) fn begin_anew(&mut self, hop: usize) {
        if let Some(part) = self.parts.get_mut(&hop) {
            *part = PartEnd::default();
        }
        self.done = None;
    }

    /// The source opens anew.
    fn reopen(&mut self) {
        (self.finished, self.sealed, self.done) = (false, false, None);
    }
}

impl Node {
    /// This instance was asked to end.
    pub(super) fn leave(&mut self) {
        if std::mem::replace(&mut self.ending.leaving, true) {
            return;
        }
        tracing::info!("this instance leaves the run");
        self.stop_source();
        self.tell_all(&Message::Leaving);
        if self.anchors.are_here() {
            self.tell_all(&Message::Quiesce);
        }
    }

    /// An anchor leaves: what is in flight goes through it first.
    pub(super) fn quiesce(&mut self) {
        self.ending.quiesced = true;
        self.stop_source();
    }

    /// A peer is away. An anchor that has left comes back or doesn't: sources wait for it, and no longer drain.
    pub(super) fn left(&mut self, peer: PeerId) {
        self.ending.told.remove(&peer);
        self.ending.spared.remove(&peer);
        let leaves = |at: &Self, peer: PeerId| at.peers[peer].leaving && at.is_up(peer);
        let anchors = self.anchors.all.iter().any(|&(_, at)| at != peer && leaves(self, at));
        if self.ending.quiesced && !anchors && !self.ending.leaving {
            self.ending.quiesced = false;
            self.let_source_go_on();
        }
    }

    pub(super) fn part_has_ended(&mut self, hop: usize) {
        if let Some(part) = self.ending.parts.get_mut(&hop) {
            part.ended = true;
        }
        if self.ending.quiesced && self.hops[hop].folds && hop + 1 == self.hops.len() {
            self.tell_all(&Message::Drained { hop: hop as u16 + 1, paused: true });
        }
    }

    /// A limit here has ended the run: all hear how far each origin goes.
    pub(super) fn limited(&mut self, hop: usize, seals: Vec<OriginAt>) {
        let mut frontiers = self.seal_inbox(hop);
        for OriginAt { instance, stage, partition, epoch, sequence } in seals {
            let at = WireOrigin { instance, stage: stage.to_string(), partition: partition.name().to_owned(), epoch };
            frontiers.insert(at, sequence);
        }
        for (at, sequence) in frontiers {
            self.tell(self.me, Message::Seal { at, sequence });
        }
        self.tell(self.me, Message::Limited);
    }

    /// Tells a peer that a limit has ended the run, if one has, and how far each origin goes: first that, so that whoever
    /// hears of the end knows of all of them. Whoever has heard it tells all others, since whom it concerns may be cut off
    /// from where the limit is.
    pub(super) fn repeat_limit(&mut self, peer: PeerId) -> bool {
        if self.ending.limited {
            for (at, sequence) in self.ending.seals.clone() {
                self.tell(peer, Message::Seal { at, sequence });
            }
            self.tell(peer, Message::Limited);
        }
        self.ending.limited
    }

    /// A limit lets an origin go so far and no further: what is here of it beyond is in nobody's way any more.
    pub(super) fn sealed(&mut self, at: WireOrigin, sequence: u64) {
        if self.ending.seals.get(&at).is_some_and(|&known| known <= sequence) {
            return;
        }
        if self.ending.limited {
            // Another limit, or a sink whose reader has gone, ends the run earlier.
            self.tell_others(&Message::Seal { at: at.clone(), sequence });
        }
        let origin = at.origin();
        for out in self.outboxes.iter_mut().flatten() {
            out.outbox.seal(&origin, sequence);
        }
        if usize::from(at.instance) == self.me {
            self.seal_here(&at, sequence);
        }
        self.ending.seals.insert(at, sequence);
    }

    /// Parts here that have ended, and others' records only pass, begin anew: more comes.
    pub(super) fn revive(&mut self) {
        let ended =
            self.ending.parts.iter().filter(|(hop, part)| {
                part.told.is_some() && self.ending.begins[**hop] == 0 && !self.hops[**hop].anchors
            });
        let ended: Vec<usize> = ended.map(|(&hop, _)| hop).collect();
        for hop in ended {
            self.ending.begin_anew(hop);
            self.empty_inbox(hop);
            self.order(Order::Anew { hop });
        }
    }

    /// A limit has ended the run somewhere. A source that was not sealed had nothing in it, or only a fold's share.
    pub(super) fn limit_is_reached(&mut self) {
        if !std::mem::replace(&mut self.ending.limited, true) {
            for (at, sequence) in self.ending.seals.clone() {
                self.tell_others(&Message::Seal { at, sequence });
            }
            self.tell_others(&Message::Limited);
        }
        if !self.ending.sealed {
            self.stop_source();
            self.finish_source();
        }
    }

    fn finish_source(&mut self) {
        let is_open = matches!(self.source.state, State::Open { .. });
        if is_open && !std::mem::replace(&mut self.ending.finished, true) {
            self.order(Order::Finish);
        }
    }

    pub(super) fn move_to_end(&mut self) {
        if self.ending.over {
            return;
        }
        if matches!(self.source.state, State::Asking { .. } | State::Opening { .. } | State::Closing { .. }) {
            self.ending.reopen();
        }
        self.tell_drained();
        self.end_parts();
        self.finish_if_due();
        self.spare();
        self.see_through();
    }

    /// Says of what began here that all of it has been acknowledged.
    fn tell_drained(&mut self) {
        for hop in 0..self.hops.len() {
            let sealed = hop == 0 && self.ending.sealed && matches!(self.source.state, State::Committed { .. });
            // Closed when it was to read no more, it doesn't open again.
            let rests = hop == 0 && self.source.here && self.source.stopped && self.source.state == State::Closed;
            let Some(out) = &mut self.outboxes[hop] else { continue };
            let drained = (out.ended && out.outbox.is_empty()) || sealed || rests;
            if !self.hops[hop].begins || !drained || std::mem::replace(&mut out.told, true) {
                continue;
            }
            let paused = match hop {
                0 => (self.source.draining || rests) && !self.ending.limited,
                _ => self.ending.parts.get(&(hop - 1)).and_then(|part| part.told).unwrap_or_default(),
            };
            self.peers[self.me].drained.insert(hop, paused);
            self.tell_all(&Message::Drained { hop: hop as u16, paused });
        }
    }

    /// Ends the parts here whose records have all been acknowledged.
    fn end_parts(&mut self) {
        let hops: Vec<usize> = self.ending.parts.keys().copied().collect();
        for hop in hops {
            let begins = self.ending.begins[hop];
            let leaves = (self.ending.leaving || self.ending.quiesced) && self.hops[hop].anchors;
            // Nothing comes of one that is away: nothing is waited for that it would drain.
            let away = |peer: PeerId| (leaves && !self.is_up(peer)).then_some(true);
            let drained = |peer: PeerId| self.peers[peer].drained.get(&begins).copied().or_else(|| away(peer));
            let said: Option<Vec<bool>> = self.hops[begins].from.iter().map(|&peer| drained(peer)).collect();
            let Some(said) = said else { continue };
            let drained = said.contains(&true);
            let Some(part) = self.ending.parts.get_mut(&hop) else { continue };
            if (drained && !leaves) || part.told.is_some() {
                continue;
            }
            part.told = Some(drained);
            let made = self.inboxes[hop].as_ref().map_or(0, |inbox| inbox.made);
            self.acts.push(Act::Hand { hop, handed: Handed::End { made, drained } });
        }
    }

    /// Has the source commit what may be committed, once nothing more can come that it waits for.
    fn finish_if_due(&mut self) {
        let Some(&paused) = self.peers[self.me].drained.get(&0) else { return };
        let ended = |&(hop, peer): &(usize, PeerId)| match peer == self.me {
            true => self.ending.parts.get(&hop).is_some_and(|part| part.ended),
            false => self.peers[peer].ended || (paused && !self.is_up(peer)),
        };
        // While all drain nobody says that all has ended, but each fold that nothing more comes of it.
        let drained = |&(hop, peer): &(usize, PeerId)| self.peers[peer].drained.contains_key(&(hop + 1));
        let folds = |&&(hop, _): &&(usize, PeerId)| self.hops[hop].folds;
        let all_rest = paused && self.anchors.all.iter().filter(folds).all(|at| drained(at) || ended(at));
        let nothing_comes = (paused && !self.ending.quiesced) || all_rest || self.anchors.all.iter().all(ended);
        if nothing_comes {
            self.finish_source();
        }
    }

    /// Tells those who leave that they get no more work from here.
    fn spare(&mut self) {
        let leaving: Vec<PeerId> = self.reached().filter(|&peer| self.peers[peer].leaving).collect();
        for peer in leaving {
            if !self.ending.told.contains(&peer) && self.can_spare(peer) {
                self.ending.told.insert(peer);
                self.tell(peer, Message::Spared);
            }
        }
    }

    /// Whether all that this instance deals can be dealt to others, or nothing is left to be dealt.
    fn can_spare(&self, peer: PeerId) -> bool {
        (0..self.hops.len()).all(|hop| match &self.outboxes[hop] {
            Some(out) if self.deals_freely(hop) => {
                let others = self.workers(hop).any(|other| other != peer && !self.peers[other].leaving);
                let idle = out.outbox.is_empty() && (out.ended || self.source.is_over() || self.source.stopped);
                others || idle
            }
            _ => true,
        })
    }

    /// Whether all is over here, as far as this instance can know.
    fn see_through(&mut self) {
        if self.ending.leaving && self.may_leave() {
            self.tell_done();
            self.over(Ok(()));
            return;
        }
        if self.only_helps() {
            if self.is_needed_no_more() {
                self.tell_done();
                self.over(Ok(()));
            }
            return;
        }
        if !self.has_all_ended() {
            return;
        }
        self.tell_done();
        self.ending.done.get_or_insert(self.now);
        let waits_for = self.waits_for();
        if waits_for.is_empty() {
            self.over(Ok(()));
        } else if self.farewell_due().is_some_and(|due| self.now >= due) {
            let result = self.unseen(&waits_for);
            self.over(result);
        }
    }

    /// Those whose last word is missing.
    fn waits_for(&self) -> Vec<PeerId> {
        self.keepers().filter(|&peer| !self.peers[peer].done).collect()
    }

    /// When those whose last word is missing are waited for no more: all of them are away so long. One that is reached may
    /// take some time more, because its sink does.
    fn farewell_due(&self) -> Option<Duration> {
        let since = self.ending.done.filter(|_| !self.ending.over)?;
        let away = |peer: PeerId| (!self.is_up(peer)).then(|| self.peers[peer].away.unwrap_or(since));
        let away: Option<Vec<Duration>> = self.waits_for().into_iter().map(away).collect();
        Some(match away {
            Some(away) => away.into_iter().fold(since, Duration::max) + self.limits.farewell,
            None => since + self.limits.farewell * REACHED,
        })
    }

    /// Those who have a source, or an anchor: the run is theirs to see through.
    fn keepers(&self) -> impl Iterator<Item = PeerId> + '_ {
        let all = self.ending.sources.iter().copied().chain(self.anchors.all.iter().map(|&(_, peer)| peer));
        all.collect::<BTreeSet<PeerId>>().into_iter()
    }

    /// Whether nothing begins or ends here: records only pass through, if they come here at all.
    fn only_helps(&self) -> bool {
        !self.source.here && !self.anchors.are_here()
    }

    /// Whether all is over for one that only helps. It need not hear that from everybody: one that was never reached may
    /// have left. What a limit has left over is in nobody's way.
    fn is_needed_no_more(&self) -> bool {
        let done = |peer: PeerId| self.peers[peer].done;
        let nothing_left = self.is_idle() || self.ending.limited || self.keepers().all(done);
        nothing_left && self.keepers().any(done) && self.keepers().all(|peer| done(peer) || !self.is_up(peer))
    }

    fn has_all_ended(&self) -> bool {
        let source = match &self.source.state {
            State::Committed { paused, .. } => !paused || self.ending.limited,
            _ => !self.source.here || (self.ending.limited && self.source.is_over()),
        };
        let parts = self.ending.parts.values().all(|part| part.told == Some(false) && part.ended);
        // What began here has arrived.
        let told = self
            .outboxes
            .iter()
            .zip(&self.hops)
            .all(|(out, hop)| !hop.begins || out.as_ref().is_none_or(|out| out.told));
        source && (self.ending.limited || (parts && told))
    }

    /// Those that the records went through have not said that they ended.
    fn unseen(&self, missing: &[PeerId]) -> Result<()> {
        let anchors: Vec<&str> = missing
            .iter()
            .filter(|peer| self.anchors.all.iter().any(|(_, at)| at == *peer))
            .map(|&peer| self.names[peer].as_str())
            .collect();
        if anchors.is_empty() || self.anchors.are_here() {
            return Ok(());
        }
        let message = format!(
            "everything is committed here, but {} did not say that the output is in its place: start the pipeline again \
             to see it through",
            anchors.join(", ")
        );
        Err(Error::new(Cause::Outside, message))
    }

    fn tell_done(&mut self) {
        if !std::mem::replace(&mut self.peers[self.me].ended, true) {
            self.peers[self.me].done = !self.ending.leaving;
            self.tell_all(&Message::Done);
        }
    }

    /// Whether nobody needs this instance any more, which wants to leave.
    fn may_leave(&self) -> bool {
        let anchors = self.ending.parts.iter().filter(|(hop, _)| self.hops[**hop].anchors).all(|(_, part)| part.ended);
        let feeders =
            self.hops.iter().filter(|hop| hop.to.contains(&self.me) && !hop.anchors).flat_map(|hop| &hop.from);
        let mut feeders = feeders.filter(|&&peer| self.is_up(peer) && !self.peers[peer].done);
        let spared = feeders.all(|peer| self.ending.spared.contains(peer));
        self.source.is_over() && anchors && spared && self.is_idle()
    }

    fn over(&mut self, result: Result<()>) {
        self.end_with(result);
        self.acts.push(Act::Over);
    }

    pub(super) fn ending_wake(&self) -> Option<Duration> {
        self.farewell_due()
    }
}
