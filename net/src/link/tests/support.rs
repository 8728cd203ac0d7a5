//! Instances, and strangers who speak QUIC as they like.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use millstream_core::contracts::{Error, Hello, Lane, LinkEvent, Links, Network, PeerId, Result};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::link::certs::{self, Authority};
use crate::link::greeting::{Greeting, Word, read_preamble, read_word, write_preamble, write_word};
use crate::link::identity::provider;
use crate::link::live::Control;
use crate::link::tls;
use crate::link::{Certs, Peers};

/// So long a test waits for what has to happen.
const PATIENCE: Duration = Duration::from_secs(60);
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);
pub(super) const PLAN: &str = "List >> MAP double >> Collect";

/// Addresses that nobody has.
pub(super) fn addresses(count: usize) -> Vec<String> {
    let sockets: Vec<UdpSocket> = (0..count).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    sockets.iter().map(|socket| socket.local_addr().unwrap().to_string()).collect()
}

/// Waits until nobody has this address.
pub(super) async fn free(address: &str) {
    while UdpSocket::bind(address).is_err() {
        tokio::task::yield_now().await;
    }
}

/// A folder of certificates for so many instances.
pub(super) fn certificates(instances: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    Certs::new(folder.path(), instances).write().unwrap();
    folder
}

/// The network as one instance declares it, in no hurry to take silence for a loss.
pub(super) fn peers(list: &[String], me: PeerId, folder: &Path) -> Peers {
    let quick = Duration::from_millis(50);
    Peers::new(list).me(&list[me]).tls(folder).detection(PATIENCE).redial(quick, quick * 4)
}

pub(super) fn hello(instance: PeerId, epoch: u64) -> Hello {
    Hello { pipeline: "orders".to_owned(), plan: PLAN.to_owned(), instance, epoch, started: 7 }
}

/// One instance at work.
pub(super) struct Node {
    pub(super) links: Box<dyn Links>,
}

impl Node {
    pub(super) async fn open(peers: &Peers, hello: Hello) -> Result<Self> {
        Ok(Self { links: peers.open(hello).await? })
    }

    pub(super) async fn start(list: &[String], me: PeerId, folder: &Path) -> Self {
        Self::open(&peers(list, me, folder), hello(me, 1 + me as u64)).await.unwrap()
    }

    /// The next to happen; who is refused is left out.
    pub(super) async fn next(&mut self) -> Result<LinkEvent, Error> {
        loop {
            match self.any().await {
                Ok(LinkEvent::Unreached { .. }) => {}
                other => return other,
            }
        }
    }

    async fn any(&mut self) -> Result<LinkEvent, Error> {
        tokio::time::timeout(PATIENCE, self.links.next()).await.expect("something happens")
    }

    /// Who is not reached, and why.
    pub(super) async fn unreached(&mut self) -> (Option<PeerId>, String) {
        match self.any().await {
            Ok(LinkEvent::Unreached { peer, why }) => (peer, why),
            other => panic!("nobody is refused: {other:?}"),
        }
    }

    /// Nothing happens for so long.
    pub(super) async fn quiet(&mut self, time: Duration) {
        if let Ok(event) = tokio::time::timeout(time, self.links.next()).await {
            panic!("something happens: {event:?}");
        }
    }

    /// The next to come up.
    pub(super) async fn up(&mut self) -> Hello {
        match self.next().await {
            Ok(LinkEvent::Up(hello)) => hello,
            other => panic!("no peer is up: {other:?}"),
        }
    }

    /// The next to go down, and why; frames before it are dropped.
    pub(super) async fn down(&mut self) -> (PeerId, String) {
        loop {
            match self.next().await {
                Ok(LinkEvent::Down { peer, why }) => return (peer, why),
                Ok(LinkEvent::Frame { .. }) => {}
                other => panic!("no peer is down: {other:?}"),
            }
        }
    }

    pub(super) async fn frame(&mut self) -> (PeerId, Lane, Bytes) {
        match self.next().await {
            Ok(LinkEvent::Frame { peer, lane, frame }) => (peer, lane, frame),
            other => panic!("no frame comes: {other:?}"),
        }
    }

    /// Why it can't go on.
    pub(super) async fn error(&mut self) -> Error {
        match self.next().await {
            Err(error) => error,
            other => panic!("it goes on: {other:?}"),
        }
    }

    /// It leaves, and somebody else may have its address.
    pub(super) async fn end(mut self, address: &str) {
        self.links.close().await;
        drop(self);
        free(address).await;
    }

    pub(super) fn send(&mut self, to: PeerId, lane: Lane, frame: &[u8]) {
        self.links.send(to, lane, vec![Bytes::copy_from_slice(frame)]);
    }
}

/// Two instances that have reached each other.
pub(super) async fn pair(list: &[String], folder: &Path) -> (Node, Node) {
    let (mut one, mut two) = (Node::start(list, 0, folder).await, Node::start(list, 1, folder).await);
    let (first, second) = tokio::join!(one.up(), two.up());
    assert_eq!((first, second), (hello(1, 2), hello(0, 1)));
    (one, two)
}

/// A frame each way passes, and nothing else has come before.
pub(super) async fn still_works(one: &mut Node, two: &mut Node, (at_one, at_two): (PeerId, PeerId)) {
    one.send(at_two, Lane::Control, b"there?");
    assert_eq!(two.frame().await, (at_one, Lane::Control, Bytes::from_static(b"there?")));
    two.send(at_one, Lane::Outcomes, b"here");
    assert_eq!(one.frame().await, (at_two, Lane::Outcomes, Bytes::from_static(b"here")));
}

/// A certificate and its key.
pub(super) type Shown = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn read(certificate: &str, key: &str) -> Shown {
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<_, _>>().unwrap();
    (chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
}

/// The certificate of an instance in a folder.
pub(super) fn own(folder: &Path, peer: PeerId) -> Shown {
    let (certificate, key) = certs::files_of(peer);
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    read(&text(&certificate), &text(&key))
}

/// Writes a folder as instance `peer` has it, with a certificate made out to this name and from and until then. Gives
/// the authority.
pub(super) fn made(folder: &Path, peer: PeerId, name: &str, from: SystemTime, until: SystemTime) -> Authority {
    let authority = Authority::new(SystemTime::now() - 10 * DAY, SystemTime::now() + 10 * DAY).unwrap();
    std::fs::write(folder.join(certs::AUTHORITY), authority.pem()).unwrap();
    put(folder, peer, authority.sign(name, from, until).unwrap());
    authority
}

/// Puts a certificate and its key into a folder.
pub(super) fn put(folder: &Path, peer: PeerId, (certificate, key): (String, String)) {
    let (certificate_file, key_file) = certs::files_of(peer);
    std::fs::write(folder.join(certificate_file), certificate).unwrap();
    std::fs::write(folder.join(&key_file), key).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(folder.join(key_file), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// A certificate that this authority signs, as if read from a folder.
pub(super) fn signed(authority: &Authority, name: &str, from: SystemTime, until: SystemTime) -> Shown {
    let (certificate, key) = authority.sign(name, from, until).unwrap();
    read(&certificate, &key)
}

/// Somebody who dials, believes everyone, and shows what it likes.
pub(super) struct Stranger {
    pub(super) endpoint: Endpoint,
    pub(super) config: ClientConfig,
}

impl Stranger {
    pub(super) fn new(shown: Option<Shown>) -> Self {
        Self::speaking(shown, tls::ALPN, false)
    }

    /// `hasty`: with resumption and early data.
    pub(super) fn speaking(shown: Option<Shown>, protocol: &[u8], hasty: bool) -> Self {
        let builder = rustls::ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(tls::Anyone));
        let mut client = match shown {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
            None => builder.with_no_client_auth(),
        };
        client.alpn_protocols = vec![protocol.to_vec()];
        client.enable_early_data = hasty;
        if !hasty {
            client.resumption = rustls::client::Resumption::disabled();
        }
        let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(client).unwrap()));
        Self { endpoint: Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap(), config }
    }

    pub(super) async fn dial(&self, peer: PeerId, address: &str) -> Result<Connection, ConnectionError> {
        let address: SocketAddr = address.parse().unwrap();
        self.endpoint.connect_with(self.config.clone(), address, &certs::name_of(peer)).unwrap().await
    }

    /// Dials, greets, and is greeted.
    pub(super) async fn join(&self, address: &str, greeting: &Greeting) -> (Connection, Control) {
        let connection = self.dial(usize::from(greeting.to), address).await.unwrap();
        let mut control = connection.open_bi().await.unwrap();
        write_preamble(&mut control.0).await.unwrap();
        write_word(&mut control.0, &Word::Greeting(greeting.clone())).await.unwrap();
        read_preamble(&mut control.1, PATIENCE).await.unwrap();
        assert!(matches!(read_word(&mut control.1, PATIENCE).await.unwrap(), Word::Greeting(_)));
        (connection, control)
    }

    /// Why a dialed peer has closed the connection; what it sends before is not looked at.
    pub(super) async fn refusal(&self, peer: PeerId, address: &str) -> String {
        match self.dial(peer, address).await {
            Ok(connection) => reason(&connection).await,
            Err(error) => error.to_string(),
        }
    }
}

/// Why a peer has closed the connection, and that it has opened no stream before.
pub(super) async fn reason(connection: &Connection) -> String {
    let closed = async {
        tokio::select! {
            error = connection.closed() => error.to_string(),
            stream = connection.accept_uni() => match stream {
                Ok(_) => panic!("a stranger is sent something"),
                Err(error) => error.to_string(),
            },
        }
    };
    tokio::time::timeout(PATIENCE, closed).await.expect("the connection is closed")
}

/// What an instance says of itself, to another.
pub(super) fn greeting(list: &[String], from: PeerId, to: PeerId, epoch: u64) -> Greeting {
    Greeting::new(hello(from, epoch), list.to_vec(), Peers::new(list).max_frame).unwrap().to(to, 0)
}
