//! Reaches the peers that stand behind this instance in the list, again and again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_core::contracts::PeerId;
use quinn::Connection;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::address::{Address, as_reached_from};
use super::certs;
use super::greeting::{Refusal, Unread, Word, read_preamble, read_word, write_preamble, write_word};
use super::hub::Hub;
use super::live::{Control, Live, PROBE};
use super::why::{Code, Verdict, Why};

/// Keeps a link to this peer up, for ever.
pub(super) async fn keep(hub: Arc<Hub>, peer: PeerId) {
    let (first, longest) = hub.redial;
    let mut wait = first;
    loop {
        let connection = reach(&hub, peer).await;
        match greet(&hub, peer, &connection).await {
            Ok(link) => {
                let since = Instant::now();
                let _ = link.await;
                wait = first;
                // One that lasted is dialed again at once; one that breaks at once is not dialed in a hurry.
                if since.elapsed() > longest {
                    continue;
                }
            }
            Err(Failed::Ended(why)) => hub.unreached(peer, &why),
            Err(Failed::Refused(refusal)) => hub.refuse(&connection, Some(peer), &hub.name(peer), &refusal),
        }
        sleep(wait).await;
        wait = (wait * 2).min(longest);
    }
}

/// Asks once at its own name whether this instance runs already.
pub(super) async fn knock(hub: Arc<Hub>) {
    let me = hub.me;
    let connection = match attempt(hub.clone(), me, 0).await {
        Ok(connection) => connection,
        Err(why) if why.verdict == Verdict::Unknown => return hub.unreached(me, &why),
        Err(_) => return,
    };
    if let Err(Failed::Ended(why)) = greet(&hub, me, &connection).await
        && why.verdict == Verdict::Twin
    {
        hub.unreached(me, &why);
    }
}

/// Dials until somebody answers. A new attempt doesn't end those before it: on a slow machine one of them gets through.
async fn reach(hub: &Arc<Hub>, peer: PeerId) -> Connection {
    let (mut wait, longest) = hub.redial;
    let mut attempts = JoinSet::new();
    for count in 0.. {
        attempts.spawn(attempt(hub.clone(), peer, count));
        if let Some(connection) = first(&mut attempts, wait, |why| hub.unreached(peer, &why)).await {
            return connection;
        }
        wait = (wait * 2).min(longest);
    }
    std::future::pending().await
}

/// The first attempt that gets through within this time.
async fn first(
    attempts: &mut JoinSet<Result<Connection, Why>>,
    within: Duration,
    mut failed: impl FnMut(Why),
) -> Option<Connection> {
    let over = sleep(within);
    tokio::pin!(over);
    loop {
        tokio::select! {
            () = &mut over => return None,
            Some(done) = attempts.join_next() => match done {
                Ok(Ok(connection)) => return Some(connection),
                Ok(Err(why)) => failed(why),
                Err(_) => {}
            },
        }
    }
}

/// Dials once. Where a name has several addresses, each attempt takes the next.
async fn attempt(hub: Arc<Hub>, peer: PeerId, count: usize) -> Result<Connection, Why> {
    let found = looked_up(&hub, peer).await?;
    let dialed = timeout(hub.handshake, async {
        let usable: Vec<_> = found.into_iter().filter_map(|found| as_reached_from(hub.quic.local, found)).collect();
        let Some(address) = usable.get(count % usable.len().max(1)) else {
            let local = hub.quic.local;
            return Err(Why::lost(format!("it has no address of the kind that this instance listens on ({local})")));
        };
        let connecting = hub.quic.endpoint.connect_with(hub.quic.client.clone(), *address, &certs::name_of(peer));
        let connecting = connecting.map_err(|error| Why::lost(error.to_string()))?;
        connecting.await.map_err(|error| Why::of(&error, hub.handshake))
    });
    dialed.await.unwrap_or_else(|_| Err(Why::lost("nobody answers")))
}

/// The addresses of a peer.
async fn looked_up(hub: &Hub, peer: PeerId) -> Result<Vec<SocketAddr>, Why> {
    let unknown = |text| Why { verdict: Verdict::Unknown, text };
    let name = &hub.greeting.peers[peer];
    let address = Address::parse(name).map_err(Why::lost)?;
    match timeout(hub.handshake, address.resolve()).await {
        Ok(found) => found.map_err(unknown),
        Err(_) => Err(unknown(format!("can't look up {name}: no answer within {:?}", hub.handshake))),
    }
}

/// Why a peer that was reached did not become a link.
enum Failed {
    Ended(Why),
    Refused(Refusal),
}

impl From<Unread> for Failed {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Ended(why) => Self::Ended(why),
            Unread::Refused(refusal) => Self::Refused(refusal),
        }
    }
}

/// Greets, and is greeted. Gives the task that ends with the link.
async fn greet(hub: &Arc<Hub>, peer: PeerId, connection: &Connection) -> Result<JoinHandle<()>, Failed> {
    // The peer may be asking an older link whether it is alive.
    let limit = hub.handshake + PROBE;
    match timeout(limit, greeted(hub, peer, connection)).await {
        Ok(greeted) => greeted,
        Err(_) => {
            connection.close(Code::Silent.on_wire(), b"no greeting has come");
            Err(Failed::Ended(Why::lost(format!("it does not say who it is within {limit:?}"))))
        }
    }
}

async fn greeted(hub: &Arc<Hub>, peer: PeerId, connection: &Connection) -> Result<JoinHandle<()>, Failed> {
    let silence = hub.detection;
    let (mut send, mut recv): Control =
        connection.open_bi().await.map_err(|error| Failed::Ended(Why::of(&error, silence)))?;
    let said = async {
        write_preamble(&mut send).await?;
        write_word(&mut send, &Word::Greeting(hub.greeting_to(peer))).await
    };
    said.await.map_err(|error| hub.unwritten(&error))?;
    read_preamble(&mut recv, silence).await?;
    let Word::Greeting(theirs) = read_word(&mut recv, silence).await? else {
        return Err(Failed::Refused(Refusal { code: Code::Malformed, text: "it does not greet".to_owned() }));
    };
    let shown = hub.shown(connection);
    hub.greeting.judge(&theirs, shown.as_deref()).map_err(Failed::Refused)?;
    hub.judge_epochs(&theirs).map_err(Failed::Refused)?;
    Ok(Live::start(hub, connection.clone(), (send, recv), theirs.hello()))
}
