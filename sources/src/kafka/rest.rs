//! Whether the group is at rest: nobody gives partitions back or waits for some, and each that is to be read has its
//! member. Asks the brokers, and so blocks its thread.
//!
//! What a member of a group says of itself, and what its leader has assigned to it, are bytes that the group's brokers
//! keep and don't read (strings have a length of 16 bits, lists one of 32, all big-endian):
//!
//! ```text
//! subscription   version i16 | topics [string] | …
//! assignment     version i16 | [topic string | partitions [i32]] | …
//! ```

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use millstream_net::kafka::{Answer, Place};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::time::Instant;

use super::inbox::Context;
use super::member::Member;

/// How long an answer of the brokers is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long after one answer the group is looked at again.
const AGAIN: Duration = Duration::from_millis(200);

/// How long a group has to have said nothing to be taken for at rest, where that can't be looked at.
const QUIET: Duration = Duration::from_secs(10);

/// What the group does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Each partition has its member.
    Rests,
    /// Partitions change hands, or are about to.
    Moves,
    /// The brokers don't say it: they can't be asked, or it is a group of the protocol in which they assign.
    Untold,
}

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
            Rest::Moves => false,
            Rest::Untold => self.since.elapsed() >= QUIET,
        };
    }
}

fn look(consumer: &BaseConsumer<Context>, group: &str, known: &HashMap<String, i32>) -> Rest {
    match consumer.fetch_group_list(Some(group), PATIENCE) {
        Ok(list) => list.groups().iter().find(|found| found.name() == group).map_or(Rest::Untold, |found| {
            let members = found.members().iter();
            let members = members.map(|member| (member.metadata().unwrap_or(&[]), member.assignment().unwrap_or(&[])));
            rest(found.state(), members, known)
        }),
        Err(error) => {
            tracing::warn!(%error, "can't ask whether the group is at rest");
            Rest::Untold
        }
    }
}

/// What the state of a group says, and what its members have said and are assigned.
fn rest<'a>(state: &str, members: impl Iterator<Item = (&'a [u8], &'a [u8])>, known: &HashMap<String, i32>) -> Rest {
    match state {
        "Stable" => {}
        "PreparingRebalance" | "CompletingRebalance" | "Empty" => return Rest::Moves,
        _ => return Rest::Untold,
    }
    let (mut topics, mut assigned) = (HashSet::new(), HashSet::new());
    for (subscription, assignment) in members {
        let read = topics_of(subscription).zip(assigned_by(assignment));
        let Some((of_member, its)) = read else { return Rest::Untold };
        topics.extend(of_member);
        assigned.extend(its);
    }
    let mut wanted = topics.iter().flat_map(|topic| {
        let count = known.get(topic).copied().unwrap_or_default();
        (0..count).map(move |partition| Place::new(topic, partition))
    });
    if wanted.all(|place| assigned.contains(&place)) { Rest::Rests } else { Rest::Moves }
}

fn topics_of(mut subscription: &[u8]) -> Option<Vec<String>> {
    let bytes = &mut subscription;
    take::<2>(bytes)?;
    let count = u32::from_be_bytes(take(bytes)?);
    (0..count).map(|_| string(bytes)).collect()
}

fn assigned_by(mut assignment: &[u8]) -> Option<Vec<Place>> {
    let bytes = &mut assignment;
    if bytes.is_empty() {
        // A member that was assigned nothing.
        return Some(Vec::new());
    }
    take::<2>(bytes)?;
    let (topics, mut places) = (u32::from_be_bytes(take(bytes)?), Vec::new());
    for _ in 0..topics {
        let topic = string(bytes)?;
        for _ in 0..u32::from_be_bytes(take(bytes)?) {
            places.push(Place::new(&topic, i32::from_be_bytes(take(bytes)?)));
        }
    }
    Some(places)
}

fn string(bytes: &mut &[u8]) -> Option<String> {
    let len = u16::from_be_bytes(take(bytes)?);
    let (text, rest) = bytes.split_at_checked(len.into())?;
    *bytes = rest;
    String::from_utf8(text.to_vec()).ok()
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Vec<u8> {
        [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
    }

    fn subscription(topics: &[&str]) -> Vec<u8> {
        let mut bytes = vec![0, 1];
        bytes.extend((topics.len() as u32).to_be_bytes());
        topics.iter().for_each(|topic| bytes.extend(text(topic)));
        // User data, and what other versions say behind it.
        bytes.extend([0xff; 4]);
        bytes
    }

    fn assignment(topics: &[(&str, &[i32])]) -> Vec<u8> {
        let mut bytes = vec![0, 1];
        bytes.extend((topics.len() as u32).to_be_bytes());
        for (topic, partitions) in topics {
            bytes.extend(text(topic));
            bytes.extend((partitions.len() as u32).to_be_bytes());
            partitions.iter().for_each(|partition| bytes.extend(partition.to_be_bytes()));
        }
        bytes.extend([0xff; 4]);
        bytes
    }

    fn of(state: &str, members: &[(Vec<u8>, Vec<u8>)]) -> Rest {
        let known = HashMap::from([("orders".to_owned(), 3), ("not-read".to_owned(), 9)]);
        rest(state, members.iter().map(|(a, b)| (a.as_slice(), b.as_slice())), &known)
    }

    #[test]
    fn a_group_rests_once_each_partition_has_its_member() {
        let orders = || subscription(&["orders"]);
        let two = |second: &[i32]| {
            of("Stable", &[(orders(), assignment(&[("orders", &[0])])), (orders(), assignment(&[("orders", second)]))])
        };
        assert_eq!(two(&[1, 2]), Rest::Rests);
        assert_eq!(two(&[2]), Rest::Moves, "partition 1 was given back and is nobody's yet");
        let idle = [(orders(), assignment(&[("orders", &[0, 1, 2])])), (orders(), Vec::new())];
        assert_eq!(of("Stable", &idle), Rest::Rests, "more members than partitions");
        assert_eq!(of("PreparingRebalance", &idle), Rest::Moves);
        assert_eq!(of("Empty", &[]), Rest::Moves);
    }

    #[test]
    fn what_is_not_said_is_not_guessed() {
        assert_eq!(of("Dead", &[]), Rest::Untold);
        assert_eq!(of("Assigning", &[]), Rest::Untold);
        let whole = assignment(&[("orders", &[0, 1, 2])]);
        for cut in 1..whole.len() - 4 {
            assert_eq!(of("Stable", &[(subscription(&["orders"]), whole[..cut].to_vec())]), Rest::Untold, "{cut}");
        }
        let endless = [0, 1, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(of("Stable", &[(endless.to_vec(), whole.clone())]), Rest::Untold);
        assert_eq!(of("Stable", &[(subscription(&["orders"]), endless.to_vec())]), Rest::Untold);
    }
}
