//! [`Proxy`]: a fault proxy. It forwards a port of loopback to another, and breaks what passes as a test says.
//!
//! ```text
//! client  <--- To::Client ---  Proxy  <---              server
//!          --- To::Server --->         --->
//! ```
//!
//! One that knows what its clients speak can cut them at a certain frame.

mod frames;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::port::Port;
use frames::{Frames, Mark};
pub(crate) use frames::{Kind, Protocol};

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum To {
    Server,
    Client,
}

/// Where a connection is cut, by one of its frames to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Its head has passed, and the rest of it doesn't.
    Within,
    /// It has passed.
    Behind,
    /// It has passed, and the server has answered, which doesn't pass. For AMQP the next frame is taken for the answer.
    Unanswered,
}

/// See the module. It cuts what it forwards when it is dropped.
pub(crate) struct Proxy {
    port: Arc<Port>,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    /// Whether a direction is stalled, or a connection is cut.
    changed: Condvar,
}

struct State {
    target: u16,
    ends: bool,
    refuses: bool,
    links: BTreeMap<u64, Link>,
    /// How many were accepted and forwarded.
    connections: u64,
    refused: u64,
    cuts: u64,
    to: [Way; 2],
    /// What clients speak.
    speaks: Option<Protocol>,
    trap: Option<Trap>,
    /// How many frames of a kind have been sent to the server.
    frames: BTreeMap<Kind, u64>,
}

/// The frame at which a connection is cut.
struct Trap {
    kind: Kind,
    /// How many of that kind pass before.
    before: u64,
    cut: Cut,
}

/// What holds in one direction.
#[derive(Default)]
struct Way {
    stalled: bool,
    /// How many bytes may still pass.
    rest: Option<u64>,
    bytes: u64,
}

/// A connection that is forwarded.
struct Link {
    client: TcpStream,
    server: TcpStream,
    /// How many of its directions have not ended yet.
    open: u8,
    /// How many frames have begun in each direction.
    frames: [u64; 2],
    /// It is cut at the end of the frame that has begun.
    ending: Option<Cut>,
    /// It is cut before this frame to the client.
    answer: Option<u64>,
}

impl Proxy {
    /// Forwards a port of its own to this one.
    pub(crate) fn to(target: u16) -> Self {
        Self::on(Arc::new(Port::free()), target)
    }

    /// Forwards this port to another one.
    pub(crate) fn on(port: Arc<Port>, target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.number())).expect("the port is free");
        let state = State {
            target,
            ends: false,
            refuses: false,
            links: BTreeMap::new(),
            connections: 0,
            refused: 0,
            cuts: 0,
            to: Default::default(),
            speaks: None,
            trap: None,
            frames: BTreeMap::new(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let accepts = shared.clone();
        let acceptor = Some(std::thread::spawn(move || accept(&accepts, &listener)));
        Self { port, shared, acceptor }
    }

    /// Says what clients speak, without TLS. It holds for connections that are made from now on.
    pub(crate) fn speaks(self, protocol: Protocol) -> Self {
        self.shared.state().speaks = Some(protocol);
        self
    }

    /// Where clients connect.
    pub(crate) fn port(&self) -> u16 {
        self.port.number()
    }

    /// Cuts every connection; new ones are taken. Returns how many there were.
    pub(crate) fn cut(&self) -> usize {
        let mut state = self.shared.state();
        let count = state.links.len();
        state.cut_all();
        self.shared.changed.notify_all();
        count
    }

    /// Cuts every connection as soon as so many more bytes have passed in this direction, which do pass.
    pub(crate) fn cut_after(&self, bytes: u64, to: To) {
        self.shared.state().to[to as usize].rest = Some(bytes);
    }

    /// Cuts one connection at a frame of this kind to the server, after so many `before` it on whichever connection.
    pub(crate) fn cut_at(&self, kind: Kind, before: u64, cut: Cut) {
        let mut state = self.shared.state();
        assert!(state.speaks.is_some(), "this proxy doesn't know what its clients speak");
        state.trap = Some(Trap { kind, before, cut });
    }

    /// How many frames of this kind have been sent to the server.
    pub(crate) fn frames(&self, kind: Kind) -> u64 {
        self.shared.state().frames.get(&kind).copied().unwrap_or_default()
    }

    /// Nothing passes in this direction any more; connections stay.
    pub(crate) fn stall(&self, to: To) {
        self.shared.state().to[to as usize].stalled = true;
    }

    /// New connections are closed at once.
    pub(crate) fn refuse(&self) {
        self.shared.state().refuses = true;
    }

    /// Takes everything back that was to be broken.
    pub(crate) fn resume(&self) {
        let mut state = self.shared.state();
        (state.refuses, state.trap) = (false, None);
        for way in &mut state.to {
            (way.stalled, way.rest) = (false, None);
        }
        self.shared.changed.notify_all();
    }

    /// How many connections have been forwarded.
    pub(crate) fn connections(&self) -> u64 {
        self.shared.state().connections
    }

    /// How many connections are forwarded now.
    pub(crate) fn open(&self) -> usize {
        self.shared.state().links.len()
    }

    /// How many connections were closed at once.
    pub(crate) fn refused(&self) -> u64 {
        self.shared.state().refused
    }

    /// How many connections were cut.
    pub(crate) fn cuts(&self) -> u64 {
        self.shared.state().cuts
    }

    /// How many bytes have passed in this direction.
    pub(crate) fn bytes(&self, to: To) -> u64 {
        self.shared.state().to[to as usize].bytes
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        {
            let mut state = self.shared.state();
            state.ends = true;
            state.cut_all();
            self.shared.changed.notify_all();
        }
        // One more, so that it looks.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port()));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    /// A panic elsewhere ends the test anyway.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while this direction is stalled. Returns how many of so many bytes may pass on a connection; `None` if it
    /// was cut.
    fn may_pass(&self, link: u64, to: To, count: usize) -> Option<usize> {
        let stalled = |state: &mut State| state.to[to as usize].stalled && state.links.contains_key(&link);
        let mut state = self.changed.wait_while(self.state(), stalled).unwrap_or_else(PoisonError::into_inner);
        state.links.contains_key(&link).then_some(())?;
        let way = &mut state.to[to as usize];
        let passes = way.rest.map_or(count as u64, |rest| rest.min(count as u64));
        way.rest = way.rest.map(|rest| rest - passes);
        way.bytes += passes;
        usize::try_from(passes).ok()
    }

    /// Cuts every connection if all bytes that might pass have passed.
    fn passed(&self, to: To) {
        let mut state = self.state();
        if state.to[to as usize].rest == Some(0) {
            state.to[to as usize].rest = None;
            state.cut_all();
            self.changed.notify_all();
        }
    }

    /// Looks at the frames in what is to pass on a connection. Returns where it is to be cut, if it is.
    fn look(&self, link: u64, to: To, marks: &[Mark]) -> Option<usize> {
        let mut state = self.state();
        marks.iter().find_map(|mark| match to {
            To::Server => state.sends(link, *mark),
            To::Client => state.answers(link, *mark),
        })
    }

    /// Cuts one connection.
    fn cut(&self, link: u64) {
        let mut state = self.state();
        if let Some(link) = state.links.remove(&link) {
            link.close();
            state.cuts += 1;
        }
        self.changed.notify_all();
    }

    /// One direction of a connection has ended, by itself or by an error.
    fn ended(&self, link: u64, broken: bool) {
        let mut state = self.state();
        let Some(one) = state.links.get_mut(&link) else { return };
        one.open -= 1;
        if broken || one.open == 0 {
            one.close();
            state.links.remove(&link);
            self.changed.notify_all();
        }
    }
}

impl State {
    fn cut_all(&mut self) {
        for link in std::mem::take(&mut self.links).into_values() {
            link.close();
            self.cuts += 1;
        }
    }
}

impl State {
    /// What comes of a frame to the server: where its connection is cut.
    fn sends(&mut self, link: u64, mark: Mark) -> Option<usize> {
        let link = self.links.get_mut(&link)?;
        match mark {
            Mark::Begins { kind, at, .. } => {
                link.frames[To::Server as usize] += 1;
                *self.frames.entry(kind).or_default() += 1;
                let trap = self.trap.as_mut().filter(|trap| trap.kind == kind)?;
                if trap.before > 0 {
                    trap.before -= 1;
                    return None;
                }
                let cut = trap.cut;
                self.trap = None;
                link.ending = (cut != Cut::Within).then_some(cut);
                (cut == Cut::Within).then_some(at)
            }
            Mark::Ends { at } => {
                let cut = link.ending.take()?;
                let asked = link.frames[To::Server as usize];
                let answered = link.frames[To::Client as usize];
                // Kafka answers each, in their order.
                let answer = if self.speaks == Some(Protocol::Kafka) { asked } else { answered + 1 };
                link.answer = (cut == Cut::Unanswered).then_some(answer);
                (cut == Cut::Behind).then_some(at)
            }
        }
    }

    /// What comes of a frame to the client: where its connection is cut.
    fn answers(&mut self, link: u64, mark: Mark) -> Option<usize> {
        let link = self.links.get_mut(&link)?;
        let Mark::Begins { first, .. } = mark else { return None };
        link.frames[To::Client as usize] += 1;
        (link.answer == Some(link.frames[To::Client as usize])).then_some(first)
    }
}

impl Link {
    /// Whoever is gone already is as good.
    fn close(&self) {
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    for client in listener.incoming().flatten() {
        let target = {
            let mut state = shared.state();
            if state.ends {
                return;
            }
            state.refused += u64::from(state.refuses);
            (!state.refuses).then_some(state.target)
        };
        let server = target.and_then(|target| TcpStream::connect((Ipv4Addr::LOCALHOST, target)).ok());
        // Without a server it is closed at once.
        if let Some(server) = server {
            forward(shared, client, server).expect("connections can be had twice");
        }
    }
}

fn forward(shared: &Arc<Shared>, client: TcpStream, server: TcpStream) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let halves = [
        (To::Server, client.try_clone()?, server.try_clone()?),
        (To::Client, server.try_clone()?, client.try_clone()?),
    ];
    let (link, speaks) = {
        let mut state = shared.state();
        state.connections += 1;
        let number = state.connections;
        state.links.insert(number, Link { client, server, open: 2, frames: [0; 2], ending: None, answer: None });
        (number, state.speaks)
    };
    for (to, from, into) in halves {
        let shared = shared.clone();
        let frames = speaks.map(|protocol| Frames::new(protocol, to));
        std::thread::spawn(move || Pump { shared, link, to, from, into, frames }.run());
    }
    Ok(())
}

/// Passes on what comes in one direction of a connection.
struct Pump {
    shared: Arc<Shared>,
    link: u64,
    to: To,
    from: TcpStream,
    into: TcpStream,
    frames: Option<Frames>,
}

impl Pump {
    /// Until it ends.
    fn run(mut self) {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let read = self.from.read(&mut buffer);
            let Ok(count @ 1..) = read else {
                let _ = self.into.shutdown(Shutdown::Write);
                return self.shared.ended(self.link, read.is_err());
            };
            let marks = self.frames.as_mut().map(|frames| frames.follow(&buffer[..count])).unwrap_or_default();
            let cut = self.shared.look(self.link, self.to, &marks);
            let Some(passes) = self.shared.may_pass(self.link, self.to, cut.unwrap_or(count)) else { return };
            if self.into.write_all(&buffer[..passes]).is_err() {
                return self.shared.ended(self.link, true);
            }
            if cut.is_some() {
                return self.shared.cut(self.link);
            }
            self.shared.passed(self.to);
        }
    }
}
