//! [`Rest`]: whether the group is at rest: nobody gives partitions back or waits for some, and each that is to be read has
//! its member. Asks the brokers, and so blocks its thread.
//!
//! What a member of a group says of itself, and what its leader has assigned to it, are bytes that the group's brokers
//! keep and don't read (strings have a length of 16 bits, lists one of 32, all big-endian):
//!
//! ```text
//! subscription   version i16 | topics [string] | user data [u8] | from version 1: had [topic string | partitions [i32]] | …
//! assignment     version i16 | assigned [topic string | partitions [i32]] | …
//! ```

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use millstream_net::kafka::Place;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use super::inbox::Context;

/// How long an answer of the brokers is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the group does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// Each partition has its member.
    Rests,
    /// Partitions change hands, or are about to.
    Moves,
    /// It does nothing, and a partition is nobody's that no member had when it joined: nobody is about to give it back, and
    /// so to have it handed on.
    Orphaned,
    /// The brokers don't say it: they can't be asked, or it is a group of the protocol in which they assign.
    Untold,
}

/// What the group does, about partitions of these topics (with how many each has).
pub(super) fn look(consumer: &BaseConsumer<Context>, group: &str, known: &HashMap<String, i32>) -> Rest {
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
    let (mut topics, mut assigned, mut had) = (HashSet::new(), HashSet::new(), Some(HashSet::new()));
    for (subscription, assignment) in members {
        let read = subscribed(subscription).zip(assigned_by(assignment));
        let Some(((of_member, its_before), its)) = read else { return Rest::Untold };
        topics.extend(of_member);
        assigned.extend(its);
        had = had.zip(its_before).map(|(had, before)| had.into_iter().chain(before).collect());
    }
    let wanted = topics.iter().flat_map(|topic| {
        let count = known.get(topic).copied().unwrap_or_default();
        (0..count).map(move |partition| Place::new(topic, partition))
    });
    let nobodys: Vec<_> = wanted.filter(|place| !assigned.contains(place)).collect();
    match had {
        _ if nobodys.is_empty() => Rest::Rests,
        Some(had) if nobodys.iter().any(|place| !had.contains(place)) => Rest::Orphaned,
        _ => Rest::Moves,
    }
}

/// The topics that a member reads, and what it had when it joined, if it says that.
fn subscribed(mut subscription: &[u8]) -> Option<(Vec<String>, Option<Vec<Place>>)> {
    let bytes = &mut subscription;
    let version = i16::from_be_bytes(take(bytes)?);
    let count = u32::from_be_bytes(take(bytes)?);
    let topics = (0..count).map(|_| string(bytes)).collect::<Option<_>>()?;
    Some((topics, if version > 0 { had(bytes) } else { None }))
}

fn had(bytes: &mut &[u8]) -> Option<Vec<Place>> {
    // No user data has the length -1.
    let user_data = usize::try_from(i32::from_be_bytes(take(bytes)?)).unwrap_or_default();
    *bytes = bytes.get(user_data..)?;
    places(bytes)
}

fn assigned_by(mut assignment: &[u8]) -> Option<Vec<Place>> {
    let bytes = &mut assignment;
    if bytes.is_empty() {
        // A member that was assigned nothing.
        return Some(Vec::new());
    }
    take::<2>(bytes)?;
    places(bytes)
}

fn places(bytes: &mut &[u8]) -> Option<Vec<Place>> {
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

    /// With what it had when it joined.
    fn joined_with(topics: &[&str], had: &[(&str, &[i32])]) -> Vec<u8> {
        let mut bytes = subscription(topics);
        let user_data = bytes.len() - 4;
        bytes.splice(user_data.., [0, 0, 0, 2, 7, 7]);
        bytes.extend(listed(had));
        bytes
    }

    fn assignment(topics: &[(&str, &[i32])]) -> Vec<u8> {
        [&[0, 1], &listed(topics)[..], &[0xff; 4]].concat()
    }

    fn listed(topics: &[(&str, &[i32])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend((topics.len() as u32).to_be_bytes());
        for (topic, partitions) in topics {
            bytes.extend(text(topic));
            bytes.extend((partitions.len() as u32).to_be_bytes());
            partitions.iter().for_each(|partition| bytes.extend(partition.to_be_bytes()));
        }
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
    fn what_is_nobodys_and_was_nobodys_is_handed_on_by_nobody() {
        let two = |had: &[i32]| {
            let first = (joined_with(&["orders"], &[("orders", had)]), assignment(&[("orders", &[0, 1])]));
            of("Stable", &[first, (joined_with(&["orders"], &[]), Vec::new())])
        };
        assert_eq!(two(&[0, 1, 2]), Rest::Moves, "who had it gives it back, and asks for it to be handed on");
        assert_eq!(two(&[]), Rest::Orphaned, "who had it was started again");
        let unsaid = (subscription(&["orders"]), assignment(&[("orders", &[0, 1])]));
        assert_eq!(of("Stable", &[unsaid]), Rest::Moves, "it may have had it");
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
