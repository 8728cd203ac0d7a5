//! [`Resting`]: what a member that reads to the end knows of the group's being at rest.

use std::collections::HashMap;
use std::time::Duration;

use millstream_net::kafka::Answer;
use tokio::time::Instant;

use super::member::Member;
use super::rest::{Rest, look};

/// How long after one answer the group is looked at again.
const AGAIN: Duration = Duration::from_millis(200);

/// How long a group has to have said nothing to be taken for at rest, where that can't be looked at.
const QUIET: Duration = Duration::from_secs(10);

/// What this member knows of it.
pub(super) struct Resting {
    rests: bool,
    asked: Option<Answer<Rest>>,
    again: Option<Instant>,
    /// When the group has said something last.
    since: Instant,
}

impl Resting {
    /// The group has just said something: what was known of it is past.
    pub(super) fn new() -> Self {
        Self { rests: false, asked: None, again: None, since: Instant::now() }
    }

    /// Whether the group is known to be at rest. If not, that is asked for, about partitions of these topics (with how many
    /// each has).
    pub(super) fn find_out(&mut self, member: &Member, group: &str, known: &HashMap<String, i32>) -> bool {
        let due = self.asked.is_none() && self.again.is_none_or(|again| again <= Instant::now());
        if !self.rests && due {
            let (group, known) = (group.to_owned(), known.clone());
            self.asked = Some(member.ask(move |consumer| look(consumer, &group, &known)));
        }
        self.rests
    }

    /// When it is to be asked again.
    pub(super) fn again(&self) -> Option<Instant> {
        self.again.filter(|_| self.asked.is_none())
    }

    /// Waits for the answer to what was asked; for ever, if nothing was. May be dropped at any time.
    pub(super) async fn heard(&mut self) {
        let answer = match &mut self.asked {
            Some(asked) => asked.await,
            None => std::future::pending().await,
        };
        self.asked = None;
        self.again = Some(Instant::now() + AGAIN);
        self.rests = match answer.unwrap_or(Rest::Untold) {
            Rest::Rests => true,
            Rest::Moves | Rest::Orphaned => false,
            Rest::Untold => self.since.elapsed() >= QUIET,
        };
    }
}
