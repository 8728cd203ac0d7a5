//! Lets in the peers that stand before this instance in the list, and nobody else.
//!
//! What strangers can cost is bounded: connections that have not yet greeted, together and of one address, and the time
//! that each of them has. When there are many, those whose address is not proven have to prove it first.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quinn::{Connection, Incoming};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::greeting::{Greeting, Refusal, Unread, Word, read_preamble, read_word, write_preamble, write_word};
use super::hub::Hub;
use super::live::{Control, Live};
use super::why::{Code, Why};

/// Handshakes under way at most.
const MOST: usize = 64;
/// Handshakes under way with one address at most.
const MOST_OF_ONE: usize = 32;
/// With so many under way, addresses have to be proven.
const MANY: usize = 16;

/// Accepts connections, for ever.
pub(super) async fn accept(hub: Arc<Hub>) {
    let gate = Arc::new(Gate::default());
    let mut handshakes = JoinSet::new();
    loop {
        tokio::select! {
            incoming = hub.quic.endpoint.accept() => match incoming {
                Some(incoming) => match gate.enter(incoming.remote_address().ip(), incoming.remote_address_validated()) {
                    Entry::Pass(pass) => drop(handshakes.spawn(handshake(hub.clone(), incoming, pass))),
                    // It fails only for addresses that are proven, and those are not asked.
                    Entry::Prove => drop(incoming.retry()),
                    Entry::Full => incoming.refuse(),
                },
                None => return,
            },
            Some(_) = handshakes.join_next() => {}
        }
    }
}

/// Counts the handshakes under way.
#[derive(Default)]
struct Gate {
    from: Mutex<BTreeMap<IpAddr, usize>>,
}

/// What the gate says.
enum Entry {
    Pass(Pass),
    Prove,
    Full,
}

/// One handshake under way.
struct Pass {
    gate: Arc<Gate>,
    from: IpAddr,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        self.from.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>, from: IpAddr, proven: bool) -> Entry {
        let mut under_way = self.lock();
        let all: usize = under_way.values().sum();
        let of_one = under_way.get(&from).copied().unwrap_or_default();
        if all >= MANY && !proven {
            return Entry::Prove;
        }
        if all >= MOST || of_one >= MOST_OF_ONE {
            return Entry::Full;
        }
        under_way.insert(from, of_one + 1);
        Entry::Pass(Pass { gate: self.clone(), from })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut under_way = self.gate.lock();
        match under_way.get_mut(&self.from) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(under_way.remove(&self.from)),
        }
    }
}

/// One connection, from its first packet until it is a link or no more.
async fn handshake(hub: Arc<Hub>, incoming: Incoming, pass: Pass) {
    let from = incoming.remote_address();
    let met = timeout(hub.handshake, meet(&hub, incoming)).await;
    // Who has said who it is may take its time now: one of an instance at a time.
    drop(pass);
    match met {
        Ok(Ok(met)) => admit(&hub, met).await,
        Ok(Err(why)) => hub.stranger(from, &why),
        Err(_) => hub.silent(from),
    }
}

/// Somebody who has greeted, and may be here.
struct Met {
    connection: Connection,
    control: Control,
    greeting: Greeting,
}

/// Hears who it is.
async fn meet(hub: &Arc<Hub>, incoming: Incoming) -> Result<Met, Why> {
    let ended = |error| Why::of(&error, hub.handshake);
    let connection = incoming.accept().map_err(ended)?.await.map_err(ended)?;
    let shown = hub.shown(&connection);
    let mut control = connection.accept_bi().await.map_err(ended)?;
    match hear(hub, &mut control, shown.as_deref()).await {
        Ok(greeting) => Ok(Met { connection, control, greeting }),
        Err(Unread::Ended(why)) => Err(why),
        Err(Unread::Refused(refusal)) => {
            let peer = shown.as_deref().and_then(|shown| shown.first().copied());
            let who = match peer {
                Some(peer) => hub.name(peer),
                None => format!("a connection from {}", connection.remote_address()),
            };
            hub.refuse(&connection, peer, &who, &refusal);
            Err(Why::lost(refusal.text))
        }
    }
}

async fn hear(hub: &Hub, control: &mut Control, shown: Option<&[usize]>) -> Result<Greeting, Unread> {
    let refused = |text: String| Unread::Refused(Refusal { code: Code::Malformed, text });
    read_preamble(&mut control.1, hub.handshake).await?;
    let Word::Greeting(greeting) = read_word(&mut control.1, hub.handshake).await? else {
        return Err(refused("it does not greet".to_owned()));
    };
    // With the version that they have, so that others may say why they don't like it.
    hub.greeting.judge(&greeting, shown).map_err(Unread::Refused)?;
    if usize::from(greeting.instance) > hub.me {
        return Err(refused(format!("{} is dialed, and doesn't dial", hub.name(usize::from(greeting.instance)))));
    }
    Ok(greeting)
}

/// Makes a link of it, unless the instance that it is has one that is alive.
async fn admit(hub: &Arc<Hub>, met: Met) {
    let Met { connection, mut control, greeting } = met;
    let peer = usize::from(greeting.instance);
    let turn = hub.admitting(peer).await;
    if peer == hub.me && greeting.epoch == hub.greeting.epoch {
        // This very process, which has asked at its own name.
        return connection.close(Code::Replaced.on_wire(), b"this is the same process");
    }
    if let Some(refusal) = runs_already(hub, &greeting).await {
        let who = format!("another process of {}", hub.name(peer));
        return hub.refuse(&connection, Some(peer), &who, &refusal);
    }
    if let Err(refusal) = hub.judge_epochs(&greeting) {
        return hub.refuse(&connection, Some(peer), &hub.name(peer), &refusal);
    }
    let said = async {
        write_preamble(&mut control.0).await?;
        write_word(&mut control.0, &Word::Greeting(hub.greeting_to(peer))).await
    };
    match timeout(hub.handshake, said).await {
        Ok(Ok(())) => drop(Live::start(hub, connection, control, greeting.hello())),
        _ => connection.close(Code::Silent.on_wire(), b"it does not take the answer"),
    }
    drop(turn);
}

/// Whether another process of the same instance is alive: asked, it has a second to answer.
async fn runs_already(hub: &Arc<Hub>, greeting: &Greeting) -> Option<Refusal> {
    let peer = usize::from(greeting.instance);
    let twin = || {
        let text = format!("{} is already running: stop it first", hub.name(peer));
        Some(Refusal { code: Code::Live, text })
    };
    if peer == hub.me {
        return twin();
    }
    let old = hub.live(peer)?;
    if old.epoch == greeting.epoch {
        return None;
    }
    if old.answers().await {
        return twin();
    }
    old.close(Code::Silent, "it does not answer, and has started anew");
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[test]
    fn one_address_can_not_take_all_places() {
        let gate = Arc::new(Gate::default());
        let mut passes = Vec::new();
        while let Entry::Pass(pass) = gate.enter(ip(1), true) {
            passes.push(pass);
        }
        assert_eq!(passes.len(), MOST_OF_ONE);
        assert!(matches!(gate.enter(ip(2), true), Entry::Pass(_)));
    }

    #[test]
    fn with_many_under_way_addresses_have_to_be_proven() {
        let gate = Arc::new(Gate::default());
        let mut passes = Vec::new();
        for last in 0..MANY {
            let Entry::Pass(pass) = gate.enter(ip(last as u8), false) else { panic!("there is room") };
            passes.push(pass);
        }
        assert!(matches!(gate.enter(ip(200), false), Entry::Prove));
        assert!(matches!(gate.enter(ip(200), true), Entry::Pass(_)));
        drop(passes);
        assert!(gate.lock().is_empty(), "places are given back");
    }

    #[test]
    fn there_are_no_more_places_than_there_are() {
        let gate = Arc::new(Gate::default());
        let passes: Vec<Entry> = (0..200).map(|last| gate.enter(ip(last), true)).collect();
        assert_eq!(passes.iter().filter(|entry| matches!(entry, Entry::Pass(_))).count(), MOST);
    }
}
