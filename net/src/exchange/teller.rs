//! [`Teller`]: tells people who is here: whom an instance waits for, and in a run who is lost and who is back.

use std::collections::BTreeSet;
use std::sync::Arc;

use millstream_core::contracts::{Hop, PeerId, SourcePlace};

use super::message::Message;
use crate::instances::Waiting;

/// Told who is missing, and why.
pub(crate) type OnWaiting = Arc<dyn Fn(&Waiting) + Send + Sync>;

/// See the module.
pub(crate) struct Teller {
    names: Vec<String>,
    tell: Option<OnWaiting>,
    begun: bool,
    /// The peers without whom the run stands still.
    needed: BTreeSet<PeerId>,
    /// Those whose loss was told.
    lost: BTreeSet<PeerId>,
    /// Those that have ended their part in the run: that they go is no news.
    done: BTreeSet<PeerId>,
    /// Those that leave before its end: that is news, whatever they have ended.
    leaving: BTreeSet<PeerId>,
    /// All has ended here, and this instance sees the others off.
    ended: bool,
    /// This instance leaves, or the run has failed.
    over: bool,
}

impl Teller {
    pub(crate) fn new(names: Vec<String>, tell: Option<OnWaiting>) -> Self {
        let (needed, lost, done, leaving) = Default::default();
        Self { names, tell, begun: false, needed, lost, done, leaving, ended: false, over: false }
    }

    /// The names of all instances.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// These are missing. `trouble`: what is wrong that doesn't go away by itself.
    pub(crate) fn missing(&self, missing: &[PeerId], trouble: Option<String>) {
        self.say(missing, None, trouble);
    }

    /// The run has begun.
    pub(crate) fn begun(&mut self, missing: &[PeerId]) {
        self.begun = true;
        self.say(missing, None, None);
    }

    /// What runs where. Where one instance alone has a part, or has keys of a fold, nobody takes its place.
    pub(crate) fn placed(&mut self, hops: &[Hop], source: &SourcePlace) {
        let alone = hops.iter().filter(|hop| hop.folds || hop.to.len() == 1).flat_map(|hop| &hop.to);
        let sources = source.on.iter().filter(|_| !source.movable);
        self.needed = alone.chain(sources).copied().collect();
    }

    /// A peer says this.
    pub(crate) fn heard(&mut self, peer: PeerId, message: &Message) {
        match message {
            Message::Done => drop(self.done.insert(peer)),
            Message::Leaving => drop(self.leaving.insert(peer)),
            Message::Failed { .. } => self.over = true,
            _ => {}
        }
    }

    /// This instance says this to a peer.
    pub(crate) fn said(&mut self, message: &Message) {
        match message {
            Message::Done => self.ended = true,
            // Its source opens anew: what had ended has not.
            Message::Open { .. } => self.ended = false,
            Message::Leaving | Message::Failed { .. } => self.over = true,
            _ => {}
        }
    }

    /// A peer is not reached any more.
    pub(crate) fn lost(&mut self, peer: PeerId, why: &str, missing: &[PeerId]) {
        let done = self.done.remove(&peer);
        let leaves = self.leaving.remove(&peer);
        if self.over || self.ended || (done && !leaves) {
            return;
        }
        self.lost.insert(peer);
        let then = if self.needed.contains(&peer) { "; the run waits for it" } else { "" };
        let news = format!("{} is not reached any more: {why}{then}", self.named(peer));
        self.say(missing, Some(news), None);
    }

    /// A peer is reached; `anew`: another process of it was reached just before.
    pub(crate) fn reached(&mut self, peer: PeerId, anew: bool, missing: &[PeerId]) {
        self.done.remove(&peer);
        self.leaving.remove(&peer);
        let back = self.lost.remove(&peer);
        if self.over || self.ended {
            return;
        }
        let news = (back || anew).then(|| format!("{} is back", self.named(peer)));
        self.say(missing, news, None);
    }

    fn named(&self, peer: PeerId) -> String {
        format!("instance {} ({})", peer + 1, self.names[peer])
    }

    fn say(&self, missing: &[PeerId], news: Option<String>, trouble: Option<String>) {
        let missing = missing.iter().map(|&peer| self.names[peer].clone()).collect();
        let now = Waiting { missing, of: self.names.len(), begun: self.begun, news, trouble };
        // Links log what is wrong, who is lost and who is reached.
        if now.trouble.is_none() && now.news.is_none() {
            tracing::info!("{now}");
        }
        if let Some(tell) = &self.tell {
            tell(&now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A teller of three instances, the second of which is a worker, and what it has said.
    fn told() -> (Teller, Arc<Mutex<Vec<String>>>) {
        let said = Arc::new(Mutex::new(Vec::new()));
        let tell = {
            let said = said.clone();
            move |now: &Waiting| said.lock().unwrap().push(now.to_string())
        };
        let mut teller = Teller::new(["a:1", "b:1", "c:1"].map(str::to_owned).to_vec(), Some(Arc::new(tell)));
        teller.needed = [0, 2].into();
        (teller, said)
    }

    fn take(said: &Mutex<Vec<String>>) -> Vec<String> {
        std::mem::take(&mut said.lock().unwrap())
    }

    #[test]
    fn whom_it_waits_for_is_said_until_the_run_has_begun() {
        let (mut teller, said) = told();
        teller.missing(&[1, 2], None);
        teller.missing(&[1, 2], Some("can't look up b".to_owned()));
        teller.begun(&[2]);
        teller.reached(2, false, &[]);
        let lines = [
            "joined 1 of 3: waits for b:1, c:1",
            "can't look up b",
            "joined 2 of 3: the run has begun, and c:1 is not reached yet",
            "joined 3 of 3: the run has begun",
        ];
        assert_eq!(take(&said), lines);
    }

    #[test]
    fn who_is_lost_and_who_is_back_is_said_and_what_that_means() {
        let (mut teller, said) = told();
        teller.begun(&[]);
        teller.lost(2, "nothing has come from it for 5s", &[2]);
        teller.lost(1, "it has left", &[1, 2]);
        teller.reached(2, false, &[1]);
        teller.reached(0, true, &[1]);
        let lines = [
            "joined 3 of 3: the run has begun",
            "instance 3 (c:1) is not reached any more: nothing has come from it for 5s; the run waits for it",
            "instance 2 (b:1) is not reached any more: it has left",
            "instance 3 (c:1) is back",
            "instance 1 (a:1) is back",
        ];
        assert_eq!(take(&said), lines);
    }

    #[test]
    fn that_those_go_who_are_done_is_no_news_unless_they_leave_early() {
        let (mut teller, said) = told();
        teller.begun(&[]);
        take(&said);
        teller.heard(1, &Message::Done);
        teller.lost(1, "it has left", &[1]);
        assert_eq!(take(&said), [""; 0]);
        teller.heard(2, &Message::Leaving);
        teller.heard(2, &Message::Done);
        teller.lost(2, "it has left", &[1, 2]);
        assert_eq!(take(&said).len(), 1);
    }

    #[test]
    fn whoever_is_done_itself_says_nothing_unless_its_source_opens_anew() {
        let (mut teller, said) = told();
        teller.begun(&[]);
        teller.said(&Message::Done);
        take(&said);
        teller.lost(2, "it has left", &[2]);
        teller.reached(2, false, &[]);
        assert_eq!(take(&said), [""; 0]);
        teller.said(&Message::Open { epoch: 7 });
        teller.lost(2, "it has left", &[2]);
        assert_eq!(take(&said).len(), 1);
        teller.said(&Message::Leaving);
        teller.reached(2, false, &[]);
        assert_eq!(take(&said), [""; 0]);
    }
}
