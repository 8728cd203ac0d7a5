//! Split and merge by hand: the same bytes between the same processes over plain QUIC streams, without records, order or
//! acknowledgements.
//!
//! ```text
//!           a third, worked on here
//!   first ----------------------------> last       each block goes one of three ways, in turn
//!         ---> second, passes it on --->
//!         ----------------------------->
//!           a third, worked on there
//! ```
//!
//! TLS and socket buffers are those of the engine. What else QUIC is told is what the engine tells it, or nothing.

use std::fs::File;
use std::io::Read as _;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    Connection, Endpoint, EndpointConfig, MtuDiscoveryConfig, RecvStream, SendStream, TokioRuntime, TransportConfig,
};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::time::{Instant, sleep_until};

use crate::Failure;
use crate::cluster::{LISTENS, RECORD, Saw, Task, Work, now};

/// What the engine allows a stream and a connection.
const WINDOWS: (u32, u32) = (2 << 20, 64 << 20);
/// The longest datagram that it allows.
const DATAGRAM: u16 = 6400;
/// What the file source reads at once.
const BLOCK: usize = 256 << 10;
const SOCKET_BUFFER: usize = 4 << 20;

/// A file's blocks, each as it is read.
pub(crate) async fn lines(task: &Task, input: &Path) -> Result<Saw, Failure> {
    match task.place {
        0 => {
            let mut ways = Ways::open(task).await?;
            let begin = now();
            let (blocks, mut read) = tokio::sync::mpsc::channel(8);
            let input = input.to_owned();
            let reader = tokio::task::spawn_blocking(move || {
                let mut file = File::open(&input)?;
                loop {
                    let mut block = BytesMut::zeroed(BLOCK);
                    let read = file.read(&mut block)?;
                    if read == 0 || blocks.blocking_send(block.freeze().slice(..read)).is_err() {
                        return std::io::Result::Ok(());
                    }
                }
            });
            while let Some(block) = read.recv().await {
                ways.send(block).await?;
            }
            reader.await??;
            ways.finish().await?;
            Ok(Saw { begin: Some(begin), ..Saw::default() })
        }
        1 => relay(task).await,
        _ => {
            let Merged { endpoint, streams, connections } = merge(task).await?;
            let counts: Vec<_> = streams.into_iter().map(|stream| tokio::spawn(count(stream))).collect();
            let mut saw = Saw::default();
            for count in counts {
                saw.bytes += count.await??;
            }
            saw.end = Some(now());
            drop(connections);
            endpoint.wait_idle().await;
            Ok(saw)
        }
    }
}

/// Records that each begin with the time that they were sent.
pub(crate) async fn paced(task: &Task, records: u64, rate: u64) -> Result<Saw, Failure> {
    match task.place {
        0 => {
            let mut ways = Ways::open(task).await?;
            let (start, begin) = (Instant::now(), now());
            for n in 0..records {
                sleep_until(start + Duration::from_nanos(n * 1_000_000_000 / rate)).await;
                let mut record = vec![b'.'; RECORD];
                record[..8].copy_from_slice(&now().to_le_bytes());
                ways.send(record.into()).await?;
            }
            ways.finish().await?;
            Ok(Saw { begin: Some(begin), ..Saw::default() })
        }
        1 => relay(task).await,
        _ => {
            let Merged { endpoint, streams, connections } = merge(task).await?;
            let counts: Vec<_> = streams.into_iter().map(|stream| tokio::spawn(late(stream))).collect();
            let mut saw = Saw::default();
            for count in counts {
                saw.late.extend(count.await??);
            }
            (saw.records, saw.end) = (saw.late.len() as u64, Some(now()));
            drop(connections);
            endpoint.wait_idle().await;
            Ok(saw)
        }
    }
}

/// The three ways from the first process.
struct Ways {
    streams: Vec<SendStream>,
    turn: usize,
    last: Connection,
    second: Connection,
    endpoint: Endpoint,
}

impl Ways {
    async fn open(task: &Task) -> Result<Self, Failure> {
        let endpoint = endpoint(task)?;
        // The last knows the two who dial it by their order: the second dials once it has been dialed.
        let last = connect(&endpoint, task, 2).await?;
        let second = connect(&endpoint, task, 1).await?;
        let mut streams = Vec::new();
        for connection in [&last, &second, &last] {
            let mut stream = connection.open_uni().await?;
            // A stream that has carried nothing isn't seen by the other side.
            stream.write_all(b"+").await?;
            streams.push(stream);
        }
        Ok(Self { streams, turn: 0, last, second, endpoint })
    }

    async fn send(&mut self, block: Bytes) -> Result<(), Failure> {
        self.turn = (self.turn + 1) % self.streams.len();
        Ok(self.streams[self.turn].write_chunk(block).await?)
    }

    /// Until all has arrived.
    async fn finish(mut self) -> Result<(), Failure> {
        self.streams.iter_mut().try_for_each(SendStream::finish)?;
        self.last.closed().await;
        self.second.closed().await;
        self.endpoint.wait_idle().await;
        Ok(())
    }
}

/// The second process: what comes in goes on to the last.
async fn relay(task: &Task) -> Result<Saw, Failure> {
    let endpoint = endpoint(task)?;
    let first = accept(&endpoint).await?;
    let last = connect(&endpoint, task, 2).await?;
    let (mut from, mut to) = (first.accept_uni().await?, last.open_uni().await?);
    let mut chunks: [Bytes; 32] = std::array::from_fn(|_| Bytes::new());
    while let Some(read) = from.read_chunks(&mut chunks).await? {
        to.write_all_chunks(&mut chunks[..read]).await?;
    }
    to.finish()?;
    last.closed().await;
    drop((first, from));
    endpoint.wait_idle().await;
    Ok(Saw::default())
}

/// What leads to the last process.
struct Merged {
    endpoint: Endpoint,
    streams: Vec<RecvStream>,
    /// Dropped, they tell the others that all has arrived.
    connections: Vec<Connection>,
}

/// The last process: all streams that lead to it.
async fn merge(task: &Task) -> Result<Merged, Failure> {
    let endpoint = endpoint(task)?;
    let (mut streams, mut connections) = (Vec::new(), Vec::new());
    for ways in [2, 1] {
        let connection = accept(&endpoint).await?;
        for _ in 0..ways {
            streams.push(connection.accept_uni().await?);
        }
        connections.push(connection);
    }
    Ok(Merged { endpoint, streams, connections })
}

/// Reads a stream to its end; how many bytes came, without the first.
async fn count(mut stream: RecvStream) -> Result<u64, Failure> {
    let mut chunks: [Bytes; 32] = std::array::from_fn(|_| Bytes::new());
    let mut bytes = 0;
    while let Some(read) = stream.read_chunks(&mut chunks).await? {
        bytes += chunks[..read].iter().map(|chunk| chunk.len() as u64).sum::<u64>();
    }
    Ok(bytes.saturating_sub(1))
}

/// Reads records to the end; how long each was on its way.
async fn late(mut stream: RecvStream) -> Result<Vec<u64>, Failure> {
    let (mut late, mut record) = (Vec::new(), [0; RECORD]);
    stream.read_exact(&mut record[..1]).await?;
    while stream.read_exact(&mut record).await.is_ok() {
        let sent = record.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)).unwrap_or_default();
        late.push(now().saturating_sub(sent));
    }
    Ok(late)
}

async fn accept(endpoint: &Endpoint) -> Result<Connection, Failure> {
    let incoming = endpoint.accept().await.ok_or("the socket is closed")?;
    Ok(incoming.await?)
}

/// Dials one that listens.
async fn connect(endpoint: &Endpoint, task: &Task, peer: usize) -> Result<Connection, Failure> {
    let (address, name) = (task.peers[peer].parse::<SocketAddr>()?, format!("instance-{}.millstream", peer + 1));
    Ok(endpoint.connect(address, &name)?.await?)
}

#[allow(clippy::print_stderr, reason = "the process that began this one waits for it")]
fn endpoint(task: &Task) -> Result<Endpoint, Failure> {
    let (server, client) = tls(task)?;
    let (mut transport, mut config) = (TransportConfig::default(), EndpointConfig::default());
    if told(&task.work) {
        let mut datagrams = MtuDiscoveryConfig::default();
        datagrams.upper_bound(DATAGRAM);
        transport
            .mtu_discovery_config(Some(datagrams))
            .stream_receive_window(WINDOWS.0.into())
            .receive_window(WINDOWS.1.into())
            .send_window(u64::from(WINDOWS.1));
        config.max_udp_payload_size(DATAGRAM)?;
    }
    let transport = Arc::new(transport);
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(server)?));
    server.transport_config(transport.clone());
    let mut client = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(client)?));
    client.transport_config(transport);
    let socket = UdpSocket::bind(task.peers[task.place].parse::<SocketAddr>()?)?;
    let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, SOCKET_BUFFER);
    let _ = rustix::net::sockopt::set_socket_send_buffer_size(&socket, SOCKET_BUFFER);
    let mut endpoint = Endpoint::new(config, Some(server), socket, Arc::new(TokioRuntime))?;
    endpoint.set_default_client_config(client);
    eprintln!("{LISTENS}");
    Ok(endpoint)
}

/// Whether QUIC is told what the engine tells it.
fn told(work: &Work) -> bool {
    !matches!(work, Work::RawLines { told: false, .. })
}

fn tls(task: &Task) -> Result<(ServerConfig, ClientConfig), Failure> {
    let file = |name: &str| task.certificates.join(name);
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(file("ca.pem"))? {
        roots.add(root?)?;
    }
    let (roots, provider, place) = (Arc::new(roots), Arc::new(default_provider()), task.place + 1);
    let chain =
        CertificateDer::pem_file_iter(file(&format!("instance-{place}.pem")))?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(file(&format!("instance-{place}.key")))?;
    let clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone()).build()?;
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain.clone(), key.clone_key())?;
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?;
    Ok((server, client))
}
