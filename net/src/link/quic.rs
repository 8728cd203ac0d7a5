//! What QUIC is told, and the socket it works on.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use millstream_core::contracts::{Cause, Error, Result};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    ClientConfig, ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig, IdleTimeout, MtuDiscoveryConfig,
    ServerConfig, TokioRuntime, TransportConfig, VarInt,
};
use ring::hmac;
use ring::rand::SystemRandom;

use super::address::Address;
use super::identity::Identity;
use super::peers::{Peers, Security};
use super::tls;

/// How long a way and back is taken for until it is known: a first packet that nobody took is sent again after three of
/// these, and an attempt that came to nothing is forgotten after nine. Instances are near each other; where they are not,
/// a few packets are sent twice.
const FIRST_RTT: Duration = Duration::from_millis(50);
/// Lanes that a peer may have open at once.
const MAX_LANES: u32 = 64;
/// What one lane may have on its way: more than a LAN's bandwidth times its delay, and less than the socket's buffer
/// holds while this process waits for a core. What doesn't fit there is lost and sent again, and all behind it waits.
const LANE_WINDOW: u32 = 2 << 20;
/// What one link may have on its way.
const LINK_WINDOW: u32 = 64 << 20;
/// The longest datagram, where the way takes it: that is found out, from 1,200 bytes upwards. Most of what a hop costs is
/// by the datagram. `quinn` hands ten at once to the system, which takes 64 KiB at once and no more.
const DATAGRAM: u16 = 6400;
/// Asked of the system for the socket, which gives what it allows.
const SOCKET_BUFFER: usize = 4 << 20;
/// The length of a connection's name.
const ID_BYTES: usize = 8;
/// Connections that have come and are not yet looked at.
const MAX_INCOMING: usize = 256;
/// What those may send beforehand, each and together.
const INCOMING_BYTES: (u64, u64) = (64 << 10, 4 << 20);

/// A socket that listens and dials.
pub(super) struct Quic {
    pub(super) endpoint: Endpoint,
    pub(super) client: ClientConfig,
    pub(super) local: SocketAddr,
}

/// Opens it. `identity`: none is needed in the mode without certificates.
pub(super) async fn open(peers: &Peers, me: &str, identity: Option<&Identity>) -> Result<Quic> {
    let sides = match identity {
        Some(identity) => tls::mutual(identity, peers.peers.len())?,
        None => tls::plain()?,
    };
    let transport = Arc::new(transport(peers)?);
    let server = QuicServerConfig::try_from(sides.server).map_err(broken)?;
    let mut server = ServerConfig::with_crypto(Arc::new(server));
    server.transport_config(transport.clone()).max_incoming(MAX_INCOMING);
    server.incoming_buffer_size(INCOMING_BYTES.0).incoming_buffer_size_total(INCOMING_BYTES.1);
    // Peers have addresses that stay: one that moves reaches us anew.
    server.migration(false);
    let mut client = ClientConfig::new(Arc::new(QuicClientConfig::try_from(sides.client).map_err(broken)?));
    client.transport_config(transport);
    let socket = bind(peers, me).await?;
    let fail = |error: io::Error| Error::new(Cause::Outside, "the UDP socket can't be used").because(error);
    let local = socket.local_addr().map_err(fail)?;
    let endpoint = Endpoint::new(endpoint_config(identity)?, Some(server), socket, Arc::new(TokioRuntime));
    Ok(Quic { endpoint: endpoint.map_err(fail)?, client, local })
}

/// Whether a peer is asked for its certificate.
pub(super) fn is_mutual(peers: &Peers) -> bool {
    matches!(peers.security, Security::Tls(_))
}

fn transport(peers: &Peers) -> Result<TransportConfig> {
    // The last keep-alive may have gone out a quarter after the last word of the peer: together, that is the whole.
    let quarter = peers.detection / 4;
    let idle = IdleTimeout::try_from(quarter * 3)
        .map_err(|error| Error::new(Cause::User, "the time to detect a loss is out of bounds").because(error))?;
    let mut datagrams = MtuDiscoveryConfig::default();
    datagrams.upper_bound(DATAGRAM);
    let mut transport = TransportConfig::default();
    transport
        .mtu_discovery_config(Some(datagrams))
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(quarter))
        .max_concurrent_uni_streams(VarInt::from_u32(MAX_LANES))
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .stream_receive_window(VarInt::from_u32(LANE_WINDOW))
        .receive_window(VarInt::from_u32(LINK_WINDOW))
        .send_window(u64::from(LINK_WINDOW))
        .initial_rtt(FIRST_RTT)
        .datagram_receive_buffer_size(None);
    Ok(transport)
}

fn endpoint_config(identity: Option<&Identity>) -> Result<EndpointConfig> {
    let mut config = match identity {
        Some(identity) => config_of(identity)?,
        None => EndpointConfig::default(),
    };
    config.max_udp_payload_size(DATAGRAM).map_err(broken)?;
    Ok(config)
}

/// An instance that has started anew tells those who still write to its former self at once that this is gone: the
/// tokens of QUIC's stateless resets are made of its certificate's key, and so outlive the process.
fn config_of(identity: &Identity) -> Result<EndpointConfig> {
    let of_identity = hmac::Key::new(hmac::HMAC_SHA256, identity.key.secret_der());
    let reset = hmac::sign(&of_identity, b"millstream stateless reset");
    let reset = hmac::Key::new(hmac::HMAC_SHA256, reset.as_ref());
    let ids = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
        .map_err(|_| Error::new(Cause::Outside, "the system gives no random numbers"))?;
    let mut config = EndpointConfig::new(Arc::new(reset));
    config.cid_generator(move || Box::new(Ids { key: ids.clone(), next: 0 }));
    Ok(config)
}

/// Names connections. Unlike QUIC's own default it also takes those of a former process for possible.
struct Ids {
    key: hmac::Key,
    next: u64,
}

impl ConnectionIdGenerator for Ids {
    fn generate_cid(&mut self) -> ConnectionId {
        self.next += 1;
        let id = hmac::sign(&self.key, &self.next.to_le_bytes());
        ConnectionId::new(&id.as_ref()[..ID_BYTES])
    }

    fn cid_len(&self) -> usize {
        ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

async fn bind(peers: &Peers, me: &str) -> Result<UdpSocket> {
    let listen = peers.listen.as_deref().unwrap_or(me);
    let wrong = |why: String| Error::new(Cause::User, format!("can't listen on {listen}: {why}"));
    let address = Address::parse(listen).map_err(wrong)?;
    let mut last = None;
    for address in address.to_listen_on().await.map_err(wrong)? {
        match UdpSocket::bind(address) {
            Ok(socket) => return Ok(sized(socket)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(wrong(format!(
                    "another process has UDP port {} already: stop it, or give this instance another port",
                    address.port()
                )));
            }
            Err(error) => last = Some(error),
        }
    }
    Err(match last {
        Some(error) => {
            let what = match error.kind() {
                io::ErrorKind::AddrNotAvailable => {
                    "it is no address of this machine: start this instance where it is, as its entry in the list of peers \
                     says, or have it listen on another (`Peers::listen`)"
                }
                io::ErrorKind::PermissionDenied => "this user may not have that port: take one above 1023",
                _ => "the system does not give it",
            };
            wrong(what.to_owned()).because(error)
        }
        None => wrong("it has no address".to_owned()),
    })
}

/// With larger buffers, as far as the system allows: they are what a burst needs.
fn sized(socket: UdpSocket) -> UdpSocket {
    let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, SOCKET_BUFFER);
    let _ = rustix::net::sockopt::set_socket_send_buffer_size(&socket, SOCKET_BUFFER);
    socket
}

fn broken(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(Cause::Bug, "QUIC can't be set up").because(error)
}
