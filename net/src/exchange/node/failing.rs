//! A run that has failed ends on all instances with that error. Whoever knows tells all others, and stays until each has
//! said that it knows, or for some seconds: one may be cut off just then, or come back.

use std::collections::BTreeSet;
use std::time::Duration;

use millstream_core::contracts::{Cause, Error, Order, PeerId, Result};

use super::super::message::{Message, short};
use super::{Act, Input, Node};

/// How long it stays for those that have not said that they know.
const LINGER: Duration = Duration::from_secs(5);

/// A run that has failed.
pub(super) struct Failing {
    /// Where, and why.
    on: u16,
    why: String,
    /// Those that have not said that they know.
    unaware: BTreeSet<PeerId>,
    pub(super) until: Duration,
}

impl Node {
    /// The run has failed here.
    pub(super) fn fail(&mut self, why: &str) {
        self.tell(self.me, Message::Failed { on: self.me as u16, why: short(why) });
    }

    /// Something is wrong in what the parts here give: the run fails everywhere.
    pub(super) fn fail_here(&mut self, why: &str) {
        self.fail(why);
        self.end_with(Err(Error::new(Cause::Bug, why.to_owned())));
    }

    /// A peer says that the run has failed, or this instance does.
    pub(super) fn failed(&mut self, peer: PeerId, on: u16, why: &str) {
        if self.ending.is_over() && usize::from(on) != self.me {
            return;
        }
        let result = match usize::from(on) == self.me {
            // The runtime knows what failed here.
            true => Ok(()),
            false => {
                let name = self.names.get(usize::from(on)).map_or("?", String::as_str);
                Err(Error::new(Cause::Outside, format!("instance {} ({name}) failed: {why}", on + 1)))
            }
        };
        self.end_with(result);
        let knows = |&other: &PeerId| other == self.me || other == peer || self.has_left(other);
        let unaware = (0..self.peers.len()).filter(|other| !knows(other)).collect();
        self.failing = Some(Failing { on, why: why.to_owned(), unaware, until: self.now + LINGER });
        self.tell_others(&Message::Failed { on, why: why.to_owned() });
        self.end_once_all_know();
    }

    /// Whether a peer is away because it wanted to be.
    fn has_left(&self, peer: PeerId) -> bool {
        let known = &self.peers[peer];
        known.link.is_none() && (known.done || known.leaving)
    }

    /// What happens while others may have to hear that the run has failed.
    pub(super) fn see_failure_out(&mut self, input: Input) {
        let Some(failing) = &mut self.failing else { return };
        match input {
            Input::Up(hello) => {
                let message = Message::Failed { on: failing.on, why: failing.why.clone() };
                self.peers[hello.instance].link = Some(self.links);
                self.links += 1;
                self.tell(hello.instance, message);
            }
            Input::Down { peer, .. } => {
                let known = &mut self.peers[peer];
                known.link = None;
                if known.done || known.leaving {
                    failing.unaware.remove(&peer);
                }
            }
            Input::Told { peer, message: Message::Failed { .. } | Message::Done } => {
                failing.unaware.remove(&peer);
            }
            Input::Told { .. } | Input::Came { .. } | Input::Local(_) | Input::Time => {}
        }
        self.end_once_all_know();
    }

    fn end_once_all_know(&mut self) {
        let over = |failing: &mut Failing| failing.unaware.is_empty() || self.now >= failing.until;
        if self.failing.as_mut().is_some_and(over) {
            self.acts.push(Act::Over);
        }
    }

    /// The runtime hears how the run ends.
    pub(super) fn end_with(&mut self, result: Result<()>) {
        if self.ending.end() {
            self.order(Order::Over(result));
        }
    }
}
