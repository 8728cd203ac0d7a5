//! [`Broker`]: how a broker is reached.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Backoff;
use super::url::Url;

/// The longest heartbeat that the protocol can say.
const LONGEST_HEARTBEAT: Duration = Duration::from_secs(u16::MAX as u64);

/// How a broker is reached: a URL, and what a URL can't say. A URL alone is one:
/// `Queue::new("amqp://user:password@host:5672/vhost", "orders")`.
///
/// It opens nothing, and never shows its password: not by `Debug`, not in plans, not in errors.
///
/// ```
/// use std::time::Duration;
/// use millstream_net::amqp::Broker;
///
/// let broker = Broker::at("amqps://orders:s3cret@mq.example/sales")
///     .ca("/etc/millstream/ca.pem")
///     .heartbeat(Duration::from_secs(10))
///     .name("orders-to-file");
/// assert_eq!(broker.to_string(), "amqps://orders@mq.example:5671/sales");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Broker {
    pub(super) tls: bool,
    pub(super) host: String,
    pub(super) port: Option<u16>,
    pub(super) vhost: String,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) external: bool,
    pub(super) heartbeat: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) name: Option<String>,
    pub(super) ca: Option<PathBuf>,
    pub(super) identity: Option<(PathBuf, PathBuf)>,
    pub(super) backoff: Backoff,
    wrong: Vec<String>,
}

impl Broker {
    /// The broker at this URL: `amqp://user:password@host:port/vhost`, or `amqps://` for TLS, and behind a `?` settings by
    /// `&`: `heartbeat` (seconds), `connection_timeout` (milliseconds), `auth_mechanism` (`plain` or `external`). User,
    /// password and virtual host are percent-decoded. What is left out: user and password are `guest`, the port is 5672 or
    /// (TLS) 5671, the virtual host is `/`. A URL that can't be read is told by the check of whatever uses it.
    pub fn at(url: impl AsRef<str>) -> Self {
        let mut broker = Self::host("localhost");
        match Url::parse(url.as_ref()) {
            Ok(url) => broker.take(url),
            Err(wrong) => broker.wrong.push(format!("the broker's URL: {wrong}")),
        }
        broker
    }

    /// The broker on this host, for those who have parts and no URL; all else as in [`at`](Self::at).
    pub fn host(host: impl Into<String>) -> Self {
        Self {
            tls: false,
            host: host.into(),
            port: None,
            vhost: "/".into(),
            user: "guest".into(),
            password: "guest".into(),
            external: false,
            heartbeat: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            name: None,
            ca: None,
            identity: None,
            backoff: Backoff::default(),
            wrong: Vec::new(),
        }
    }

    /// The port; by default 5672, or 5671 with TLS.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        Self { port: Some(port), ..self }
    }

    /// The virtual host; `/` by default.
    #[must_use]
    pub fn vhost(self, vhost: impl Into<String>) -> Self {
        Self { vhost: vhost.into(), ..self }
    }

    /// User and password (SASL PLAIN); `guest` and `guest` by default, which a broker takes from its own machine alone
    /// unless it was told otherwise.
    #[must_use]
    pub fn login(self, user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: user.into(), password: password.into(), ..self }
    }

    /// By TLS, as with `amqps://`: the broker's certificate has to be good for the host's name.
    #[must_use]
    pub fn tls(self) -> Self {
        Self { tls: true, ..self }
    }

    /// Trusts the certificates in this file (PEM) and no others, in place of those that the system trusts. Read anew at
    /// each connection.
    #[must_use]
    pub fn ca(self, file: impl AsRef<Path>) -> Self {
        Self { ca: Some(file.as_ref().into()), ..self }
    }

    /// Shows the broker this certificate (PEM, with those above it behind it) and its key (PEM). Read anew at each
    /// connection, so that a renewed one counts from the next connection on.
    #[must_use]
    pub fn client_certificate(self, certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Self {
        Self { identity: Some((certificate.as_ref().into(), key.as_ref().into())), ..self }
    }

    /// Logs in by the client certificate (SASL EXTERNAL) in place of user and password. The broker needs the plugin
    /// `rabbitmq_auth_mechanism_ssl`.
    #[must_use]
    pub fn external(self) -> Self {
        Self { external: true, ..self }
    }

    /// Something is sent at least twice in this time, and a broker of which nothing was heard for twice this time is
    /// taken for gone; 30 s by default, 0 for none. The broker may ask for less. In seconds, up to 65,535.
    #[must_use]
    pub fn heartbeat(self, heartbeat: Duration) -> Self {
        Self { heartbeat, ..self }
    }

    /// How long one try to connect may take, login included; 10 s by default.
    #[must_use]
    pub fn connect_timeout(self, time: Duration) -> Self {
        Self { connect_timeout: time, ..self }
    }

    /// The connection's name in the broker's own lists; by default the kind of stage and what it reads or writes.
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// How long to wait before a lost connection is opened again: from `first`, doubling up to `cap`; 100 ms and 10 s by
    /// default. There is no last try: a pipeline whose broker is away waits for it, and says so in its log.
    #[must_use]
    pub fn backoff(self, first: Duration, cap: Duration) -> Self {
        Self { backoff: Backoff { first, cap }, ..self }
    }

    /// The waits between tries.
    pub fn waits(&self) -> Backoff {
        self.backoff
    }

    /// Names it like this unless it has a name.
    pub fn name_unless(&mut self, name: impl FnOnce() -> String) {
        self.name.get_or_insert_with(name);
    }

    /// What is wrong with it, one message each with what to do.
    pub fn check(&self) -> Vec<String> {
        let mut wrong = self.wrong.clone();
        let mut say = |is_wrong: bool, message: &str| {
            if is_wrong {
                wrong.push(message.to_owned());
            }
        };
        say(self.host.is_empty(), "the broker has no host: give one, such as `Broker::host(\"localhost\")`");
        say(self.port == Some(0), "port 0: expected 1 to 65535; leave it out for the usual one");
        say(self.vhost.len() > 255, "the virtual host's name is longer than 255 bytes, which is all AMQP can say");
        say(
            self.heartbeat > LONGEST_HEARTBEAT || (self.heartbeat > Duration::ZERO && self.heartbeat.as_secs() == 0),
            "the heartbeat is not 0 or 1 to 65,535 s; leave it out for 30 s",
        );
        say(self.connect_timeout.is_zero(), "0 s to connect: expected more; leave it out for 10 s");
        say(
            self.backoff.first.is_zero() || self.backoff.cap < self.backoff.first,
            "the backoff begins with 0 s or ends below where it begins; leave it out for 100 ms to 10 s",
        );
        say(!self.tls && self.ca.is_some(), "`ca` without TLS: write `amqps://…`, or leave it out");
        say(
            !self.tls && self.identity.is_some(),
            "`client_certificate` without TLS: write `amqps://…`, or leave it out",
        );
        say(
            self.external && self.identity.is_none(),
            "`external` logs in by a client certificate, and none is given: add `client_certificate`",
        );
        wrong
    }

    fn take(&mut self, url: Url) {
        let Url { tls, user, password, host, port, vhost, heartbeat, connect_timeout, external } = url;
        (self.tls, self.host, self.port) = (tls, host, port);
        if let Some(user) = user {
            // The password of `guest` is no one else's.
            self.password = password.clone().unwrap_or_default();
            self.user = user;
        }
        self.password = password.unwrap_or(std::mem::take(&mut self.password));
        self.vhost = vhost.unwrap_or_else(|| "/".into());
        self.heartbeat = heartbeat.unwrap_or(self.heartbeat);
        self.connect_timeout = connect_timeout.unwrap_or(self.connect_timeout);
        self.external = external.unwrap_or_default();
    }

    pub(super) fn port_or_usual(&self) -> u16 {
        self.port.unwrap_or(if self.tls { 5671 } else { 5672 })
    }
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "amqps" } else { "amqp" };
        write!(f, "{scheme}://")?;
        if !self.external {
            write!(f, "{}@", self.user)?;
        }
        match self.host.contains(':') {
            true => write!(f, "[{}]", self.host)?,
            false => f.write_str(&self.host)?,
        }
        write!(f, ":{}", self.port_or_usual())?;
        match &*self.vhost {
            "/" => Ok(()),
            vhost => write!(f, "/{vhost}"),
        }
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Broker({self})")
    }
}

impl From<&str> for Broker {
    fn from(url: &str) -> Self {
        Self::at(url)
    }
}

impl From<String> for Broker {
    fn from(url: String) -> Self {
        Self::at(url)
    }
}

impl From<&String> for Broker {
    fn from(url: &String) -> Self {
        Self::at(url)
    }
}

impl From<&Broker> for Broker {
    fn from(broker: &Broker) -> Self {
        broker.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_what_it_says_and_the_rest_is_as_usual() {
        let usual = Broker::at("amqp://mq");
        assert_eq!((usual.user.as_str(), usual.password.as_str(), usual.vhost.as_str()), ("guest", "guest", "/"));
        assert_eq!((usual.port_or_usual(), Broker::at("amqps://mq").port_or_usual()), (5672, 5671));
        assert_eq!(usual, Broker::host("mq"));
        let given = Broker::at("amqp://me:word@mq:5/sales?heartbeat=9");
        assert_eq!(
            given,
            Broker::host("mq").port(5).login("me", "word").vhost("sales").heartbeat(Duration::from_secs(9))
        );
        assert_eq!(Broker::at("amqp://me@mq").password, "");
    }

    #[test]
    fn no_password_is_ever_shown() {
        let broker = Broker::at("amqp://me:s3cret@mq:5/sales");
        assert_eq!(broker.to_string(), "amqp://me@mq:5/sales");
        assert_eq!(format!("{broker:?}"), "Broker(amqp://me@mq:5/sales)");
        let wrong = Broker::at("amqp://me:s3cret").check();
        assert!(wrong.len() == 1 && !wrong[0].contains("s3cret"), "{wrong:?}");
        assert_eq!(Broker::at("amqps://[::1]").to_string(), "amqps://guest@[::1]:5671");
    }

    #[test]
    fn mistakes_are_found_before_anything_is_opened() {
        let good = Broker::at("amqps://mq").ca("ca.pem").client_certificate("c.pem", "k.pem").external();
        assert_eq!(good.check(), Vec::<String>::new());
        let wrong = [
            Broker::at("mq:5672"),
            Broker::host(""),
            Broker::host("mq").port(0),
            Broker::host("mq").vhost("v".repeat(256)),
            Broker::host("mq").heartbeat(Duration::from_millis(10)),
            Broker::host("mq").heartbeat(Duration::from_secs(70_000)),
            Broker::host("mq").connect_timeout(Duration::ZERO),
            Broker::host("mq").backoff(Duration::ZERO, Duration::ZERO),
            Broker::host("mq").backoff(Duration::from_secs(2), Duration::from_secs(1)),
            Broker::host("mq").ca("ca.pem"),
            Broker::host("mq").client_certificate("c.pem", "k.pem"),
            Broker::host("mq").tls().external(),
        ];
        for broker in wrong {
            assert_eq!(broker.check().len(), 1, "{broker:?}: {:?}", broker.check());
        }
    }
}
