//! [`State`]: which instances are there, which pairs reach each other, and what is on its way. Pure: time is a parameter.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::inbox::{Inbox, Item, LinkId, What};
use super::{Delays, Traffic};
use crate::contracts::{Cause, Error, Hello, Lane, LinkEvent, PeerId, Result};
use crate::testkit::Seeded;

/// Which instances are there, which pairs reach each other, and what is on its way.
pub(super) struct State {
    pub(super) delays: Delays,
    pub(super) traffic: Traffic,
    pub(super) tell: Option<Arc<dyn Fn(String) + Send + Sync>>,
    instances: Vec<Option<Live>>,
    /// By both, the lower number first.
    pairs: BTreeMap<(PeerId, PeerId), Pair>,
    random: Seeded,
    /// The next start, and the next link.
    next: u64,
}

/// An instance that is there.
struct Live {
    start: u64,
    hello: Hello,
    inbox: Inbox,
    /// The link to each peer that this instance knows to be up.
    up: BTreeMap<PeerId, LinkId>,
    /// The highest number of a frame that has come over each link.
    highest: BTreeMap<LinkId, u64>,
}

#[derive(Default)]
struct Pair {
    cut: bool,
    link: Option<Link>,
}

/// A link between two instances that are there, until one of them is gone or has noticed a cut.
struct Link {
    id: LinkId,
    /// Where the last frame of a lane arrives, by who sends it.
    lanes: BTreeMap<(PeerId, Lane), Duration>,
    /// When each hears that it is up.
    up: BTreeMap<PeerId, Duration>,
    /// How many frames each has sent.
    sent: BTreeMap<PeerId, u64>,
    /// While the pair is cut: what was on its way, by who sent it, in order; and when the first of both notices.
    stalled: Option<(Duration, Vec<(PeerId, Item)>)>,
}

/// What an instance that asks for the next event gets.
pub(super) enum Next {
    Event(Result<LinkEvent>),
    /// Nothing for ever.
    Killed,
    /// Nothing until this time, or until something changes.
    Wait(Option<Duration>),
}

/// The name of an instance in the list of peers.
pub(super) fn name(instance: PeerId) -> String {
    format!("instance-{}", instance + 1)
}

fn pair_of(a: PeerId, b: PeerId) -> (PeerId, PeerId) {
    (a.min(b), a.max(b))
}

fn frames<'a>(items: impl IntoIterator<Item = &'a Item>) -> u64 {
    items.into_iter().filter(|item| matches!(item.what, What::Frame { .. })).count() as u64
}

impl State {
    pub(super) fn new(instances: usize, seed: u64) -> Self {
        Self {
            delays: Delays::default(),
            traffic: Traffic::default(),
            tell: None,
            instances: (0..instances).map(|_| None).collect(),
            pairs: BTreeMap::new(),
            random: Seeded::new(seed),
            next: 0,
        }
    }

    pub(super) fn is_cut(&self, a: PeerId, b: PeerId) -> bool {
        self.pairs.get(&pair_of(a, b)).is_some_and(|pair| pair.cut)
    }

    pub(super) fn is_open(&self, instance: PeerId) -> bool {
        self.instances.get(instance).is_some_and(Option::is_some)
    }

    /// An instance opens its links. Returns which start it is.
    pub(super) fn open(&mut self, me: PeerId, hello: Hello, now: Duration) -> Result<u64> {
        if self.is_open(me) {
            self.traffic.refused += 1;
            self.tell(|| format!("a second instance {} is refused", me + 1));
            let message = format!("{} is running already: end the other, or give this one another place", name(me));
            return Err(Error::new(Cause::User, message));
        }
        self.traffic.opened += 1;
        self.next += 1;
        let start = self.next;
        let (up, highest) = (BTreeMap::new(), BTreeMap::new());
        self.instances[me] = Some(Live { start, hello, inbox: Inbox::default(), up, highest });
        self.peers_of(me).for_each(|peer| self.connect(me, peer, now));
        Ok(start)
    }

    /// Whether this start of an instance is still there.
    fn is_alive(&self, me: PeerId, start: u64) -> bool {
        self.instances[me].as_ref().is_some_and(|live| live.start == start)
    }

    /// An instance is gone without a word; with `start`, if it still is this start of it.
    pub(super) fn kill(&mut self, me: PeerId, start: Option<u64>, now: Duration) {
        if !start.map_or_else(|| self.is_open(me), |start| self.is_alive(me, start)) {
            return;
        }
        self.traffic.dropped += 1;
        self.instances[me] = None;
        for peer in self.peers_of(me) {
            let Some(link) = self.pair(me, peer).link.take() else { continue };
            self.lose_stalled(&link);
            // What has left the machine still arrives.
            let last = now + self.random.time(self.delays.frame);
            self.lose(peer, link.id, last);
            let at = match self.random.one_in(2) {
                true => last,
                false => now + self.detection(),
            };
            self.goes_down(peer, me, link.id, at.max(last), "it does not answer");
        }
    }

    /// An instance has closed its links: what it had sent is there.
    pub(super) fn close(&mut self, me: PeerId, start: u64, now: Duration) {
        if !self.is_alive(me, start) {
            return;
        }
        self.instances[me] = None;
        for peer in self.peers_of(me) {
            let Some(link) = self.pair(me, peer).link.take() else { continue };
            let stalled = link.stalled.is_some();
            self.lose_stalled(&link);
            if !stalled {
                let at = now.max(self.last_frame(peer, link.id).unwrap_or(now));
                self.goes_down(peer, me, link.id, at, "it has ended");
            }
        }
    }

    /// An instance gives up its link to a peer, and gets another one.
    pub(super) fn give_up(&mut self, me: PeerId, start: u64, peer: PeerId, why: &str, now: Duration) {
        if !self.is_alive(me, start) {
            return;
        }
        let Some(link) = self.pair(me, peer).link.take_if(|link| link.stalled.is_none()) else { return };
        self.traffic.given_up += 1;
        let then = now + self.random.time(self.delays.frame);
        for (one, other, at) in [(me, peer, now), (peer, me, then)] {
            self.lose(one, link.id, at);
            self.goes_down(one, other, link.id, at, why);
        }
        self.connect(me, peer, then);
    }

    /// When all that this instance has sent will have arrived, or it need not wait any longer; `began`: since when it
    /// waits.
    pub(super) fn arrived_at(&mut self, me: PeerId, start: u64, now: Duration, began: Duration) -> Option<Duration> {
        if !self.is_alive(me, start) {
            return None;
        }
        let last = began + self.delays.linger;
        let mut until = None;
        for peer in self.peers_of(me) {
            let Some(Link { id, stalled, .. }) = self.pair(me, peer).link.as_ref() else { continue };
            let (id, stalled) = (*id, stalled.is_some());
            let arrives = if stalled { Some(now + self.delays.retry) } else { self.last_frame(peer, id) };
            until = until.max(arrives.filter(|&at| at > now));
        }
        until.map(|until| until.min(last))
    }

    pub(super) fn send(&mut self, me: PeerId, start: u64, peer: PeerId, lane: Lane, frame: Bytes, now: Duration) {
        if !self.is_alive(me, start) {
            return;
        }
        self.traffic.frames += 1;
        let known = self.instances[me].as_ref().and_then(|live| live.up.get(&peer).copied());
        let delay = self.random.time(self.delays.frame);
        let link = self.pairs.get_mut(&pair_of(me, peer)).and_then(|pair| pair.link.as_mut());
        let Some(link) = link.filter(|link| Some(link.id) == known) else {
            self.traffic.lost += 1;
            return;
        };
        let sent = link.sent.entry(me).or_default();
        *sent += 1;
        let item = Item { from: me, link: link.id, what: What::Frame { lane, number: *sent, frame } };
        if let Some((_, waiting)) = &mut link.stalled {
            waiting.push((me, item));
            return;
        }
        let at = link.arrival(me, peer, lane, now + delay);
        if let Some(live) = &mut self.instances[peer] {
            live.inbox.put(at, item);
        }
    }

    pub(super) fn cut(&mut self, a: PeerId, b: PeerId, now: Duration) {
        if a == b || self.is_cut(a, b) {
            return;
        }
        self.traffic.cuts += 1;
        self.pair(a, b).cut = true;
        let Some(mut link) = self.pair(a, b).link.take() else { return };
        let mut waiting = Vec::new();
        let mut first = Duration::MAX;
        for (me, peer) in [(a, b), (b, a)] {
            waiting.extend(self.take_after(me, link.id, now).into_iter().map(|item| (peer, item)));
            let at = now + self.detection();
            first = first.min(at);
            self.goes_down(me, peer, link.id, at, "it can't be reached");
        }
        link.stalled = Some((first, waiting));
        self.pair(a, b).link = Some(link);
    }

    pub(super) fn heal(&mut self, a: PeerId, b: PeerId, now: Duration) {
        if !self.is_cut(a, b) {
            return;
        }
        self.traffic.heals += 1;
        self.pair(a, b).cut = false;
        match self.pair(a, b).link.take() {
            Some(link) if link.stalled.as_ref().is_some_and(|(noticed, _)| *noticed > now) => {
                self.goes_on(a, b, link, now);
            }
            Some(link) => {
                self.lose_stalled(&link);
                self.connect(a, b, now);
            }
            None => self.connect(a, b, now),
        }
    }

    /// Nobody has noticed the cut: what was on its way goes on.
    fn goes_on(&mut self, a: PeerId, b: PeerId, mut link: Link, now: Duration) {
        self.traffic.unnoticed += 1;
        for me in [a, b] {
            self.take_after(me, link.id, now);
        }
        let Some((_, waiting)) = link.stalled.take() else { return };
        link.lanes.clear();
        for (from, item) in waiting {
            let to = if from == a { b } else { a };
            let delayed = now + self.random.time(self.delays.frame);
            let at = match &item.what {
                What::Frame { lane, .. } => link.arrival(from, to, *lane, delayed),
                What::Up(_) => {
                    link.up.insert(to, now);
                    now
                }
                What::Down(_) | What::Refused(_) => continue,
            };
            if let Some(live) = &mut self.instances[to] {
                live.inbox.put(at, item);
            }
        }
        self.pair(a, b).link = Some(link);
    }

    /// Two that are there and reach each other get a new link.
    fn connect(&mut self, a: PeerId, b: PeerId, now: Duration) {
        if self.is_cut(a, b) || !self.is_open(a) || !self.is_open(b) {
            return;
        }
        let begins = now + self.random.time(self.delays.retry);
        if self.refuses(a, b, begins) {
            return;
        }
        self.next += 1;
        let id = self.next;
        let mut link = Link { id, lanes: BTreeMap::new(), up: BTreeMap::new(), sent: BTreeMap::new(), stalled: None };
        // One that still believes in the link before probes it first.
        let believes = [(a, b), (b, a)].into_iter().any(|(me, peer)| self.believes(me, peer));
        let begins = if believes { begins + self.delays.probe } else { begins };
        for (me, peer) in [(a, b), (b, a)] {
            let at = begins + self.random.time(self.delays.frame);
            link.up.insert(me, at);
            let hello = self.instances[peer].as_ref().map(|live| live.hello.clone());
            let (Some(live), Some(hello)) = (&mut self.instances[me], hello) else { continue };
            // Word of the end of an older link would come after that of this one.
            let late = live.inbox.take_after(at, |item| item.from == peer);
            self.traffic.lost += frames(late.iter().map(|(_, item)| item));
            live.inbox.put(at, Item { from: peer, link: id, what: What::Up(hello) });
        }
        self.pair(a, b).link = Some(link);
    }

    /// Those that run different pipelines don't link: the one that has started last ends.
    fn refuses(&mut self, a: PeerId, b: PeerId, at: Duration) -> bool {
        let (Some(one), Some(other)) = (&self.instances[a], &self.instances[b]) else { return false };
        if one.hello.pipeline == other.hello.pipeline && one.hello.plan == other.hello.plan {
            return false;
        }
        let (late, early) = if one.hello.started > other.hello.started { (a, b) } else { (b, a) };
        let message = format!("{} runs another pipeline: start the same program on all instances", name(early));
        if let Some(live) = &mut self.instances[late] {
            let what = What::Refused(Error::new(Cause::User, message));
            live.inbox.put(at, Item { from: early, link: 0, what });
        }
        true
    }

    /// The next event of an instance; nothing ever again for one that was killed.
    pub(super) fn next(&mut self, me: PeerId, start: u64, now: Duration) -> Next {
        if !self.is_alive(me, start) {
            return Next::Killed;
        }
        loop {
            let Some(live) = &mut self.instances[me] else { return Next::Wait(None) };
            let Some(item) = live.inbox.take(now) else { return Next::Wait(live.inbox.due()) };
            if let Some(event) = self.hear(me, item) {
                return Next::Event(event);
            }
        }
    }

    fn hear(&mut self, me: PeerId, item: Item) -> Option<Result<LinkEvent>> {
        let Item { from: peer, link, what } = item;
        let live = self.instances[me].as_mut()?;
        match what {
            What::Up(hello) => {
                live.up.insert(peer, link);
                self.traffic.ups += 1;
                self.tell(|| format!("instance {} reaches instance {}", me + 1, peer + 1));
                Some(Ok(LinkEvent::Up(hello)))
            }
            What::Down(why) if live.up.get(&peer) == Some(&link) => {
                live.up.remove(&peer);
                self.traffic.downs += 1;
                self.tell(|| format!("instance {} loses instance {}: {why}", me + 1, peer + 1));
                Some(Ok(LinkEvent::Down { peer, why }))
            }
            What::Frame { lane, number, frame } if live.up.get(&peer) == Some(&link) => {
                let highest = live.highest.entry(link).or_default();
                self.traffic.overtaken += u64::from(number < *highest);
                *highest = number.max(*highest);
                self.traffic.arrived += 1;
                Some(Ok(LinkEvent::Frame { peer, lane, frame }))
            }
            What::Frame { .. } => {
                self.traffic.lost += 1;
                None
            }
            What::Down(_) => None,
            What::Refused(error) => Some(Err(error)),
        }
    }

    /// `me` hears at this time that its link to `peer` is down, if it was told that it is up.
    fn goes_down(&mut self, me: PeerId, peer: PeerId, link: LinkId, at: Duration, why: &str) {
        if let Some(live) = &mut self.instances[me] {
            live.inbox.put(at, Item { from: peer, link, what: What::Down(why.to_owned()) });
        }
    }

    /// What would come to `me` over this link after `at` is lost.
    fn lose(&mut self, me: PeerId, link: LinkId, at: Duration) {
        let lost = self.take_after(me, link, at);
        self.traffic.lost += frames(&lost);
    }

    fn lose_stalled(&mut self, link: &Link) {
        let Some((_, waiting)) = &link.stalled else { return };
        self.traffic.lost += frames(waiting.iter().map(|(_, item)| item));
    }

    /// Takes out what would come to `me` over this link after `at`, in the order in which it was sent.
    fn take_after(&mut self, me: PeerId, link: LinkId, at: Duration) -> Vec<Item> {
        let Some(live) = &mut self.instances[me] else { return Vec::new() };
        let mut taken: Vec<_> =
            live.inbox.take_after(at, |item| item.link == link).into_iter().map(|(_, item)| item).collect();
        taken.sort_by_key(|item| match &item.what {
            What::Frame { number, .. } => *number,
            _ => 0,
        });
        taken
    }

    fn last_frame(&self, me: PeerId, link: LinkId) -> Option<Duration> {
        self.instances[me].as_ref()?.inbox.last(|item| item.link == link)
    }

    /// Whether `me` takes its link to `peer` for one that is up.
    fn believes(&self, me: PeerId, peer: PeerId) -> bool {
        self.instances[me].as_ref().is_some_and(|live| live.up.contains_key(&peer))
    }

    fn detection(&mut self) -> Duration {
        self.delays.detection / 2 + self.random.time(self.delays.detection / 2)
    }

    fn pair(&mut self, a: PeerId, b: PeerId) -> &mut Pair {
        self.pairs.entry(pair_of(a, b)).or_default()
    }

    fn peers_of(&self, me: PeerId) -> impl Iterator<Item = PeerId> + use<> {
        (0..self.instances.len()).filter(move |&peer| peer != me)
    }

    fn tell(&self, what: impl FnOnce() -> String) {
        if let Some(tell) = &self.tell {
            tell(what());
        }
    }
}

impl Link {
    /// When a frame of this lane arrives that may arrive at this time: not before those sent earlier, nor before the
    /// other knows that the link is up.
    fn arrival(&mut self, from: PeerId, to: PeerId, lane: Lane, at: Duration) -> Duration {
        let up = self.up.get(&to).copied().unwrap_or_default();
        let last = self.lanes.entry((from, lane)).or_default();
        *last = at.max(*last).max(up);
        *last
    }
}
