//! Finds all that is wrong with a declared network before anything is opened.

use std::collections::BTreeMap;
use std::time::Duration;

use super::address::Address;
use super::certs;
use super::identity::Identity;
use super::peers::{Peers, Security};
use crate::exchange::MAX_MESSAGES_FRAME;

/// What is wrong, one message each with what to do.
pub(super) fn mistakes(peers: &Peers) -> Vec<String> {
    let mut found = list(peers);
    found.extend(myself(peers));
    found.extend(peers.listen.as_ref().and_then(|listen| {
        let wrong = Address::parse(listen).err()?;
        Some(format!("the address to listen on, `{listen}`, is not right: {wrong}"))
    }));
    found.extend(bounds(peers));
    found.extend(security(peers));
    found
}

/// The list of peers.
fn list(peers: &Peers) -> Vec<String> {
    let mut found = Vec::new();
    if peers.peers.is_empty() {
        found.push("the list of peers is empty: give each instance's host:port, the same list to all".to_owned());
    }
    if peers.peers.len() > certs::MOST {
        let count = peers.peers.len();
        found.push(format!("the list of peers has {count} instances: more than {} are not supported", certs::MOST));
    }
    let mut seen = BTreeMap::new();
    for (at, peer) in peers.peers.iter().enumerate() {
        if let Err(wrong) = Address::parse(peer) {
            found.push(format!("peer {}, `{peer}`, is not right: {wrong}", at + 1));
        }
        if let Some(first) = seen.insert(peer.to_ascii_lowercase(), at) {
            found.push(format!("peers {} and {} are both `{peer}`: name each instance once", first + 1, at + 1));
        }
    }
    found
}

/// Which of them this is.
fn myself(peers: &Peers) -> Option<String> {
    match &peers.me {
        None => Some("nothing says which of the peers this instance is: name it with `me`".to_owned()),
        Some(me) if peers.place().is_none() => Some(format!(
            "this instance is said to be `{me}`, which is not in the list of peers ({}): write it as it stands there",
            peers.peers.join(", ")
        )),
        Some(_) => None,
    }
}

/// The options that have bounds.
fn bounds(peers: &Peers) -> Vec<String> {
    let hour = Duration::from_secs(3600);
    let (first, longest) = peers.redial;
    let mut found = Vec::new();
    for (what, time, least) in [
        ("the time to detect a loss", peers.detection, Duration::from_millis(100)),
        ("the time for a handshake", peers.handshake, Duration::from_millis(100)),
        ("the first time to redial", first, Duration::from_millis(10)),
        ("the longest time to redial", longest, first.clamp(Duration::from_millis(10), hour)),
    ] {
        if time < least || time > hour {
            found.push(format!("{what} is {time:?}: it has to be {least:?} to 1 h"));
        }
    }
    if !(MAX_MESSAGES_FRAME..=1 << 30).contains(&peers.max_frame) {
        let bytes = peers.max_frame;
        found.push(format!(
            "the longest frame (`max_frame`) is {bytes} bytes: it has to be 1 MiB (messages take up to that) to 1 GiB"
        ));
    }
    found
}

/// Certificates, or the lack of them.
fn security(peers: &Peers) -> Vec<String> {
    match &peers.security {
        Security::Undeclared => vec![
            "nothing says where the certificates are: make some with `millstream certs new DIR --instances N`, and name \
             the folder with `tls`"
                .to_owned(),
        ],
        Security::Tls(folder) => match peers.place() {
            Some(me) => Identity::read(folder, me, peers.peers.len()).err().unwrap_or_default(),
            None => Vec::new(),
        },
        Security::PlainOnLoopback => {
            let addresses = peers.peers.iter().chain(&peers.listen);
            let far = addresses.filter(|text| Address::parse(text).is_ok_and(|address| !address.is_loopback()));
            far.map(|text| {
                format!("`{text}` is not a loopback address, and without certificates no other is allowed: use `tls`")
            })
            .collect()
        }
    }
}

#[cfg(test)]
mod tests;
