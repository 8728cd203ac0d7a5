//! [`Link`]: a connection to a broker that is open.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_rs::Tokio;
use async_rs::traits::Reactor as _;
use lapin::tcp::{AsyncTcpStream, RustlsConnector, RustlsConnectorConfig};
use lapin::types::ShortString;
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo, SASLMechanism};
use lapin::{Channel, Connection, ConnectionProperties, ErrorKind};
use millstream_core::contracts::{Cause, Error, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::broker::Broker;
use super::reach::first;
use super::stream;
use super::wrong::wrong;

/// How long a broker may take to say that a connection is closed.
const GOODBYE: Duration = Duration::from_secs(5);

/// A connection to a broker that is open. Dropped without [`close`](Self::close) it is cut, and the broker hears of that
/// at once: what was not acknowledged goes back to its queue.
pub struct Link {
    connection: Connection,
    socket: Socket,
    broker: String,
}

impl Broker {
    /// Opens a connection. Fails within [`connect_timeout`](Self::connect_timeout).
    pub async fn connect(&self) -> Result<Link> {
        let socket = Socket::default();
        let opening = tokio::time::timeout(self.connect_timeout, self.open(socket.clone())).await;
        let opened = opening.unwrap_or_else(|_| {
            let (time, way_out) = (self.connect_timeout, self.other_listener());
            let message = format!("{self} did not let a connection be opened within {time:?}: {way_out}");
            Err(Error::new(Cause::Outside, message))
        });
        match opened {
            Ok(connection) => Ok(Link { connection, socket, broker: self.to_string() }),
            Err(error) => {
                // Whoever works on it in the background sees that it is over.
                socket.cut();
                Err(error)
            }
        }
    }

    async fn open(&self, socket: Socket) -> Result<Connection> {
        let tls = self.connector().await?;
        let place = (self.host.clone(), self.port_or_usual());
        let found = tokio::net::lookup_host(place).await;
        let addresses: Vec<SocketAddr> = found.map_err(|error| self.unreachable(error))?.collect();
        let host = self.host.clone();
        let (uri, properties) = (self.uri()?, self.properties()?);
        let connecting = Connection::connector(
            uri,
            stream::runtime(),
            async move |_, _| {
                let tokio = Tokio::current();
                let tcp = first(addresses.iter().copied(), |address| tokio.tcp_connect_addr(address)).await?;
                socket.hold(tcp.get_ref())?;
                let plain = AsyncTcpStream::Plain(tcp);
                let stream = match &tls {
                    Some(connector) => plain.into_rustls(connector, &host).await?,
                    None => plain,
                };
                Ok(AsyncTcpStream::Plain(stream.into()))
            },
            properties,
        );
        connecting.await.map_err(|error| self.failed(error))
    }

    fn uri(&self) -> Result<AMQPUri> {
        let mechanism = if self.external { SASLMechanism::External } else { SASLMechanism::Plain };
        let heartbeat = u16::try_from(self.heartbeat.as_secs()).unwrap_or(u16::MAX);
        // Its length was checked, but who knows by whom: the client panics at a longer one.
        short(&self.vhost, "the virtual host's name")?;
        Ok(AMQPUri {
            scheme: if self.tls { AMQPScheme::AMQPS } else { AMQPScheme::AMQP },
            authority: AMQPAuthority {
                userinfo: AMQPUserInfo { username: self.user.clone(), password: self.password.clone() },
                host: self.host.clone(),
                port: self.port_or_usual(),
            },
            vhost: self.vhost.clone(),
            query: AMQPQueryString {
                heartbeat: Some(heartbeat),
                auth_mechanism: Some(mechanism),
                ..AMQPQueryString::default()
            },
        })
    }

    fn properties(&self) -> Result<ConnectionProperties> {
        let name = self.name.clone().unwrap_or_else(|| "millstream".into());
        let product = ("product".into(), "Millstream".into());
        Ok(ConnectionProperties::default().with_client_property(product.0, product.1).with_connection_name(name.into()))
    }

    /// What makes TLS connections, if they are wanted. It reads files, which nobody has to wait for.
    async fn connector(&self) -> Result<Option<RustlsConnector>> {
        if !self.tls {
            return Ok(None);
        }
        let (ca, identity) = (self.ca.clone(), self.identity.clone());
        let reading = tokio::task::spawn_blocking(move || connector(ca.as_deref(), identity.as_ref()));
        let ended = |error| Error::new(Cause::Bug, "the task that reads certificates has ended").because(error);
        reading.await.map_err(ended)?.map(Some)
    }

    fn failed(&self, error: lapin::Error) -> Error {
        let what = format!("can't connect to {self}");
        let way_out = match error.kind() {
            ErrorKind::IOError(io) => match io.kind() {
                io::ErrorKind::ConnectionRefused => {
                    "nobody listens there: see that the broker runs, and to host and port"
                }
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::TimedOut => {
                    "there is no way there: see to host and network"
                }
                // A certificate that isn't trusted, say.
                io::ErrorKind::Other if self.tls => return wrong(what, error),
                _ => self.other_listener(),
            },
            ErrorKind::ProtocolError(_) | ErrorKind::AuthProviderError(_) => {
                return wrong(format!("{self} did not take the connection"), error);
            }
            _ => self.other_listener(),
        };
        Error::new(Cause::Outside, format!("{what}: {way_out}")).because(error.to_string())
    }

    /// What to look at where somebody listens who may not be such a broker.
    fn other_listener(&self) -> &'static str {
        match self.tls {
            true => {
                "what listens there may not speak TLS, or not AMQP 0.9.1: see to the port, or say amqp:// for one without TLS"
            }
            false => {
                "what listens there may want TLS, or not speak AMQP 0.9.1: see to the port, or say amqps:// for one with TLS"
            }
        }
    }

    fn unreachable(&self, error: std::io::Error) -> Error {
        Error::new(Cause::Outside, format!("can't connect to {self}: its host can't be looked up")).because(error)
    }
}

impl Link {
    /// Opens a channel.
    pub async fn channel(&self) -> Result<Channel> {
        let channel = self.connection.create_channel().await;
        channel.map_err(|error| wrong(format!("{} did not open a channel", self.broker), error))
    }

    /// Whether the broker takes no messages just now, because it is short of memory or disk.
    pub fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
    }

    /// Says goodbye: returns when the broker has answered, or after 5 s.
    pub async fn close(self) {
        let goodbye = self.connection.close(200, "the pipeline has ended".into());
        // Whoever is gone needs no goodbye.
        let _ = tokio::time::timeout(GOODBYE, goodbye).await;
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.socket.cut();
    }
}

/// Another handle of the connection's socket, by which it can be cut whatever the client is doing.
#[derive(Clone, Default)]
struct Socket(Arc<Mutex<Option<TcpStream>>>);

impl Socket {
    fn hold(&self, stream: &impl AsFd) -> std::io::Result<()> {
        let held = TcpStream::from(stream.as_fd().try_clone_to_owned()?);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
        Ok(())
    }

    fn cut(&self) {
        if let Some(stream) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // One that is gone is as good.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// A name that the protocol takes: 255 bytes at most.
pub fn short(name: &str, what: &str) -> Result<ShortString> {
    ShortString::try_new(name).map_err(|_| {
        let found = name.len();
        Error::new(Cause::User, format!("{what} has {found} bytes: expected 255 at most, which is all AMQP can say"))
    })
}

/// What makes TLS connections: trusts those of the file alone, or those that the system trusts.
fn connector(ca: Option<&Path>, identity: Option<&(PathBuf, PathBuf)>) -> Result<RustlsConnector> {
    let config = match ca {
        Some(file) => RustlsConnectorConfig::default().with_parsable_certificates(certificates(file)?),
        None => RustlsConnectorConfig::new_with_native_certs().map_err(|error| {
            let message = "this system has no certificates to trust: give some by `.ca(file)`";
            Error::new(Cause::User, message).because(error)
        })?,
    };
    let connector = match identity {
        Some((chain, key)) => config.connector_with_single_cert(certificates(chain)?, private_key(key)?),
        None => config.connector_with_no_client_auth(),
    };
    connector.map_err(|error| Error::new(Cause::User, "the certificates given for TLS can't be used").because(error))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let unreadable = |error: rustls::pki_types::pem::Error| {
        let message = format!("{}: expected certificates as PEM", file.display());
        Error::new(Cause::User, message).because(error)
    };
    let found = CertificateDer::pem_file_iter(file).map_err(unreadable)?;
    let found: Vec<_> = found.collect::<std::result::Result<_, _>>().map_err(unreadable)?;
    match found.is_empty() {
        true => Err(Error::new(Cause::User, format!("{}: expected certificates as PEM, found none", file.display()))),
        false => Ok(found),
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| {
        Error::new(Cause::User, format!("{}: expected a private key as PEM", file.display())).because(error)
    })
}
