//! [`View`]: who is here, and when a run begins. Pure.
//!
//! A run begins when all have joined, and the first of the list says so: what it says is the same for all, whatever each
//! of them has seen. Whoever comes later, or comes back, is told by any that is in the run.

use std::collections::{BTreeMap, BTreeSet};

use millstream_core::contracts::{Hello, PeerId};

use super::message::{Message, Run};

/// Who is here.
pub(crate) struct View {
    me: Hello,
    count: usize,
    up: BTreeMap<PeerId, Hello>,
    /// Those that have said whether they are in a run.
    welcomed: BTreeSet<PeerId>,
    run: Option<Run>,
}

impl View {
    /// Nobody but `me`, of `count`.
    pub(crate) fn new(me: Hello, count: usize) -> Self {
        Self { me, count, up: BTreeMap::new(), welcomed: BTreeSet::new(), run: None }
    }

    /// Those that are reached.
    pub(crate) fn up(&self) -> impl Iterator<Item = &Hello> {
        self.up.values()
    }

    /// Those that are missing, by number.
    pub(crate) fn missing(&self) -> Vec<PeerId> {
        (0..self.count).filter(|peer| *peer != self.me.instance && !self.up.contains_key(peer)).collect()
    }

    /// A peer is reached; what is to be told to it first.
    pub(crate) fn reached(&mut self, hello: Hello) -> Message {
        self.welcomed.remove(&hello.instance);
        self.up.insert(hello.instance, hello);
        Message::Welcome { run: self.run }
    }

    /// A peer is not reached any more.
    pub(crate) fn lost(&mut self, peer: PeerId) {
        self.up.remove(&peer);
        self.welcomed.remove(&peer);
    }

    /// A peer says which run it is in. Returns the run if it has just begun here.
    pub(crate) fn welcome(&mut self, peer: PeerId, run: Option<Run>) -> Option<Run> {
        self.welcomed.insert(peer);
        match (self.run, run) {
            (None, Some(run)) => self.begin(run),
            _ => self.form(),
        }
    }

    /// The run has begun, as a peer says.
    pub(crate) fn begun(&mut self, run: Run) -> Option<Run> {
        if self.run.is_none() { self.begin(run) } else { None }
    }

    /// Begins the run if it falls to this instance and all are here who know of no other; alone, at once.
    pub(crate) fn form(&mut self) -> Option<Run> {
        let all = self.up.len() + 1 == self.count && self.welcomed.len() + 1 == self.count;
        if self.run.is_some() || self.me.instance != 0 || !all {
            return None;
        }
        let last = self.up.values().chain([&self.me]).max_by_key(|hello| (hello.started, hello.instance));
        let last_joined = last.map_or(0, |hello| hello.instance as u16);
        self.begin(Run { id: self.me.epoch, last_joined })
    }

    fn begin(&mut self, run: Run) -> Option<Run> {
        self.run = Some(run);
        Some(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(instance: PeerId, started: i64) -> Hello {
        Hello { pipeline: "p".into(), plan: "w".into(), instance, epoch: 100 + instance as u64, started }
    }

    #[test]
    fn a_run_begins_when_all_have_joined_and_the_first_says_so() {
        let mut first = View::new(hello(0, 5), 3);
        first.reached(hello(1, 9));
        assert_eq!(first.welcome(1, None), None);
        first.reached(hello(2, 7));
        assert_eq!(first.missing(), Vec::<PeerId>::new());
        let run = first.welcome(2, None).expect("all are here");
        assert_eq!(run, Run { id: 100, last_joined: 1 });
        let mut second = View::new(hello(1, 9), 3);
        second.reached(hello(0, 5));
        second.reached(hello(2, 7));
        assert_eq!((second.welcome(0, None), second.welcome(2, None)), (None, None), "it is not the first");
        assert_eq!(second.begun(run), Some(run));
    }

    #[test]
    fn one_that_comes_back_learns_of_the_run_from_any_and_waits_for_nobody_else() {
        let run = Run { id: 7, last_joined: 2 };
        for me in 0..2 {
            let mut back = View::new(hello(me, 50), 3);
            back.reached(hello(2, 1));
            assert_eq!(back.welcome(2, Some(run)), Some(run));
            assert_eq!(back.missing(), [1 - me]);
            assert_eq!(back.reached(hello(1 - me, 60)), Message::Welcome { run: Some(run) });
        }
    }

    #[test]
    fn one_that_was_lost_before_the_run_began_has_to_say_again_that_it_knows_of_none() {
        let mut first = View::new(hello(0, 5), 2);
        first.reached(hello(1, 6));
        first.lost(1);
        first.reached(hello(1, 8));
        assert_eq!(first.form(), None);
        assert!(first.welcome(1, None).is_some());
    }
}
