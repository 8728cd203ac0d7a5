//! The task around the [`Node`]: it owns the links, tells the node what happens, and does what that says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use millstream_core::contracts::{
    About, BoxFuture, Cause, Clock, Crossing, Error, Hello, Hop, Joined, Lane, LinkEvent, Links, Network, Order,
    PeerId, Report, Result, Roll, SourcePlace, Traffic,
};
use tokio::sync::{mpsc, watch};

use super::ends::{Exits, In, Room};
use super::frame;
use super::local::{Handed, Local};
use super::message::{Message, Run};
use super::node::{Act, FIRST, Input, Limits, Node, Setup};
use super::teller::{OnWaiting, Teller};
use super::view::View;

/// How many things that happen here are taken in before links are looked at again.
const AT_ONCE: usize = 64;

/// Joins the run: waits until it has begun.
pub(crate) async fn join(
    network: Arc<dyn Network>,
    limits: Limits,
    about: About,
    waiting: Option<OnWaiting>,
) -> Result<Box<dyn Joined>> {
    let names = network.peers();
    let started = about.clock.now();
    let me = Hello {
        pipeline: about.pipeline,
        plan: about.plan,
        instance: network.me(),
        epoch: started.unsigned_abs(),
        started,
    };
    let links = network.open(me.clone()).await?;
    let view = View::new(me.clone(), names.len());
    let teller = Teller::new(names, waiting);
    let mut joining = Joining { me, limits, clock: about.clock, links, view, early: Vec::new(), teller };
    match joining.wait().await {
        Ok(run) => Ok(Box::new(Begun { run, joining })),
        Err(error) => {
            // Whoever was refused has to hear of it before this process ends.
            joining.links.close().await;
            Err(error)
        }
    }
}

/// An instance that waits for the run to begin.
struct Joining {
    me: Hello,
    limits: Limits,
    clock: Arc<dyn Clock>,
    links: Box<dyn Links>,
    view: View,
    /// What has happened that only a run can deal with.
    early: Vec<Input>,
    teller: Teller,
}

impl Joining {
    async fn wait(&mut self) -> Result<Run> {
        self.say_who_is_missing(None);
        if let Some(run) = self.view.form() {
            self.teller.begun(&[]);
            return Ok(run);
        }
        loop {
            let begun = match self.links.next().await? {
                LinkEvent::Up(hello) => {
                    self.reached(hello);
                    None
                }
                LinkEvent::Down { peer, why } => {
                    self.view.lost(peer);
                    self.early.push(Input::Down { peer, why });
                    self.say_who_is_missing(None);
                    None
                }
                LinkEvent::Unreached { why, .. } => {
                    tracing::warn!("{why}");
                    self.say_who_is_missing(Some(why));
                    None
                }
                LinkEvent::Frame { peer, lane, frame } => self.heard(peer, lane, frame),
            };
            if let Some(run) = begun {
                self.tell_of(run);
                self.teller.begun(&self.view.missing());
                return Ok(run);
            }
        }
    }

    fn reached(&mut self, hello: Hello) {
        let peer = hello.instance;
        let welcome = self.view.reached(hello.clone());
        self.early.push(Input::Up(hello));
        self.say(peer, &welcome);
        self.say_who_is_missing(None);
    }

    fn heard(&mut self, peer: PeerId, lane: Lane, bytes: bytes::Bytes) -> Option<Run> {
        let inputs = match read(peer, lane, bytes) {
            Ok(inputs) => inputs,
            Err(error) => {
                self.links.cut(peer, &format!("it sends what can't be read: {error}"));
                return None;
            }
        };
        let mut begun = None;
        for input in inputs {
            let now = match &input {
                Input::Told { message: Message::Welcome { run }, .. } => self.view.welcome(peer, *run),
                Input::Told { message: Message::Begun { run }, .. } => self.view.begun(*run),
                _ => {
                    self.early.push(input);
                    None
                }
            };
            begun = begun.or(now);
        }
        begun
    }

    fn tell_of(&mut self, run: Run) {
        let peers: Vec<PeerId> = self.view.up().map(|hello| hello.instance).collect();
        for peer in peers {
            self.say(peer, &Message::Begun { run });
        }
    }

    fn say(&mut self, peer: PeerId, message: &Message) {
        // A word about a run is a few bytes: it always fits a frame.
        for frame in frame::encode_messages(std::slice::from_ref(message)).unwrap_or_default() {
            self.links.send(peer, Lane::Control, vec![frame]);
        }
    }

    fn say_who_is_missing(&self, trouble: Option<String>) {
        self.teller.missing(&self.view.missing(), trouble);
    }
}

/// An instance whose run has begun.
struct Begun {
    run: Run,
    joining: Joining,
}

impl Joined for Begun {
    fn roll(&self) -> Roll {
        let Joining { me, teller, .. } = &self.joining;
        let last_joined = usize::from(self.run.last_joined);
        Roll { me: me.instance, peers: teller.names().to_vec(), last_joined, epoch: me.epoch }
    }

    fn begin(self: Box<Self>, hops: Vec<Hop>, source: SourcePlace) -> Crossing {
        let Self { run, joining } = *self;
        let Joining { me, limits, clock, links, view, early, mut teller } = joining;
        teller.placed(&hops, &source);
        let (node, local) = mpsc::unbounded_channel();
        let (reports, reported) = mpsc::unbounded_channel();
        let (orders, ordered) = mpsc::unbounded_channel();
        let (traffic, seen) = watch::channel(Traffic::default());
        let here = me.instance;
        let (mut entries, mut exits, mut hands, mut rooms) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let feeds: Vec<Arc<AtomicU64>> = hops.iter().map(|_| Arc::new(AtomicU64::new(FIRST))).collect();
        for (hop, at) in hops.iter().enumerate() {
            let (hand, handed) = mpsc::unbounded_channel();
            let made = feeds[hop].clone();
            let entry = at.to.contains(&here).then(|| In { hop, made, node: node.clone(), handed });
            entries.push(entry.map(|entry| Box::new(entry) as _));
            let room = Room::new(limits.room);
            let exit = at.from.contains(&here).then(|| Exits {
                hop,
                positions: at.positions,
                made: 0,
                node: node.clone(),
                room: room.clone(),
            });
            exits.push(exit.map(|exit| Box::new(exit) as _));
            hands.push(hand);
            rooms.push(room);
        }
        let setup = Setup { me, names: teller.names().to_vec(), hops, source, limits, local: node };
        let actor = Actor {
            node: Node::new(setup),
            run,
            view,
            teller,
            links,
            clock,
            local,
            reported,
            orders,
            hands,
            feeds,
            rooms,
            burials: FuturesUnordered::new(),
            outgoing: BTreeMap::new(),
            traffic,
            over: false,
        };
        tokio::spawn(actor.run(early));
        Crossing { entries, exits, orders: ordered, reports, traffic: seen }
    }
}

/// A letter that was asked for further on: whom to tell of it, over which link, under which name.
type Buried = (PeerId, u64, u64, Result<(), String>);

struct Actor {
    node: Node,
    run: Run,
    view: View,
    teller: Teller,
    links: Box<dyn Links>,
    clock: Arc<dyn Clock>,
    local: mpsc::UnboundedReceiver<Local>,
    reported: mpsc::UnboundedReceiver<Report>,
    orders: mpsc::UnboundedSender<Order>,
    /// What is handed to entries, by network stage.
    hands: Vec<mpsc::UnboundedSender<Handed>>,
    /// Which of the parts begun one after the other each entry feeds.
    feeds: Vec<Arc<AtomicU64>>,
    rooms: Vec<Arc<Room>>,
    burials: FuturesUnordered<BoxFuture<'static, Buried>>,
    /// What is to be told, gathered so that many words make one frame.
    outgoing: BTreeMap<(PeerId, Lane), Vec<Message>>,
    traffic: watch::Sender<Traffic>,
    over: bool,
}

/// What an actor waits for.
enum Event {
    Link(Result<LinkEvent>),
    Local(Local),
    Report(Option<Report>),
    Buried(Buried),
    Time,
}

impl Actor {
    async fn run(mut self, early: Vec<Input>) {
        for input in early {
            self.take(input);
        }
        self.take(Input::Time);
        while !self.over {
            self.flush();
            let event = self.event().await;
            self.on(event);
            for _ in 0..AT_ONCE {
                let Ok(local) = self.local.try_recv() else { break };
                self.take(Input::Local(local));
            }
        }
        self.flush();
        self.links.close().await;
    }

    async fn event(&mut self) -> Event {
        let now = self.clock.elapsed();
        let wake = self.node.wake().map(|at| at.saturating_sub(now).max(Duration::from_micros(1)));
        let clock = self.clock.clone();
        let timer = async {
            match wake {
                Some(wait) => clock.sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            // Reports are few, and must not wait for links that always have something.
            report = self.reported.recv() => Event::Report(report),
            event = self.links.next() => Event::Link(event),
            Some(local) = self.local.recv() => Event::Local(local),
            Some(buried) = self.burials.next() => Event::Buried(buried),
            () = timer => Event::Time,
        }
    }

    fn on(&mut self, event: Event) {
        match event {
            Event::Link(Ok(event)) => self.on_link(event),
            Event::Link(Err(error)) => {
                let _ = self.orders.send(Order::Over(Err(error)));
                self.over = true;
            }
            Event::Local(local) => self.take(Input::Local(local)),
            Event::Report(Some(report)) => {
                // What was said before it, by another way, counts before it.
                while let Ok(local) = self.local.try_recv() {
                    self.take(Input::Local(local));
                }
                self.take(Input::Local(Local::Report(report)));
            }
            // The run was given up here.
            Event::Report(None) => self.over = true,
            Event::Buried((peer, link, id, buried)) => {
                if self.node.is_current(peer, link) {
                    self.tell(peer, Message::Buried { id, failed: buried.err() });
                }
            }
            Event::Time => self.take(Input::Time),
        }
    }

    fn on_link(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Up(hello) => {
                let peer = hello.instance;
                let before = self.view.up().find(|before| before.instance == peer).map(|before| before.epoch);
                let anew = before.is_some_and(|before| before != hello.epoch);
                let _ = self.view.reached(hello.clone());
                // A link in the place of another to the same process is nobody's concern.
                if before.is_none() || anew {
                    self.teller.reached(peer, anew, &self.view.missing());
                }
                self.tell(peer, Message::Welcome { run: Some(self.run) });
                self.take(Input::Up(hello));
            }
            LinkEvent::Down { peer, why } => {
                self.view.lost(peer);
                self.teller.lost(peer, &why, &self.view.missing());
                self.take(Input::Down { peer, why });
            }
            LinkEvent::Unreached { why, .. } => {
                tracing::warn!("{why}");
                self.teller.missing(&self.view.missing(), Some(why));
            }
            LinkEvent::Frame { peer, lane, frame } => match read(peer, lane, frame) {
                Ok(inputs) => inputs.into_iter().for_each(|input| self.take(input)),
                Err(error) => self.links.cut(peer, &format!("it sends what can't be read: {error}")),
            },
        }
    }

    fn take(&mut self, input: Input) {
        if let Input::Told { peer, message } = &input {
            self.teller.heard(*peer, message);
        }
        let now = self.clock.elapsed();
        for act in self.node.on(now, input) {
            self.act(act);
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Tell { peer, message } => self.tell(peer, message),
            Act::Deal { peer, hop, tag, piece } => match frame::encode(tag, &piece) {
                Ok(frame) => self.links.send(peer, Lane::Records(hop as u16), frame),
                Err(error) => self.unsendable(&error),
            },
            // A part that takes nothing more has failed, or was given up: it says so itself.
            Act::Hand { hop, handed } => drop(self.hands[hop].send(handed)),
            Act::Feed { hop, made } => self.feeds[hop].store(made, SeqCst),
            Act::Took { hop, bytes } => self.rooms[hop].took(bytes),
            Act::Full { hop, full } => self.rooms[hop].set_full(full),
            Act::Order(order) => drop(self.orders.send(order)),
            Act::Await { burial, to, link, id } => {
                self.burials.push(Box::pin(async move { (to, link, id, burial.await) }));
            }
            Act::Over => self.over = true,
        }
    }

    fn tell(&mut self, peer: PeerId, message: Message) {
        self.teller.said(&message);
        let lane = match message {
            Message::Outcome { .. } | Message::Bury { .. } | Message::Buried { .. } => Lane::Outcomes,
            _ => Lane::Control,
        };
        self.outgoing.entry((peer, lane)).or_default().push(message);
    }

    /// Something can't cross a link, on any way: the run can't go on, here or elsewhere.
    fn unsendable(&mut self, error: &frame::FrameError) {
        let why = format!("what has to be sent to another instance can't be: {error}");
        let _ = self.orders.send(Order::Over(Err(Error::new(Cause::Outside, why.clone()))));
        self.take(Input::Local(Local::Report(Report::Failed { why })));
    }

    fn flush(&mut self) {
        let traffic = self.node.traffic();
        self.traffic.send_if_modified(|before| std::mem::replace(before, traffic) != traffic);
        while let Some(((peer, lane), messages)) = self.outgoing.pop_first() {
            match frame::encode_messages(&messages) {
                Ok(frames) => frames.into_iter().for_each(|frame| self.links.send(peer, lane, vec![frame])),
                Err(error) => self.unsendable(&error),
            }
        }
    }
}

/// What a frame says. An error is a peer that sends what nobody can read.
fn read(peer: PeerId, lane: Lane, bytes: bytes::Bytes) -> Result<Vec<Input>, frame::FrameError> {
    match lane {
        Lane::Records(hop) => {
            let (tag, piece) = frame::decode(bytes)?;
            Ok(vec![Input::Came { peer, hop: usize::from(hop), tag, piece }])
        }
        Lane::Control | Lane::Outcomes => {
            let messages = frame::decode_messages(&bytes)?;
            Ok(messages.into_iter().map(|message| Input::Told { peer, message }).collect())
        }
    }
}
