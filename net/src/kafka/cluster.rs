//! [`Cluster`]: how a Kafka cluster is reached.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

/// How a Kafka cluster is reached: its brokers, and librdkafka's properties for it (TLS, SASL, time-outs, buffers).
///
/// ```
/// use millstream_net::kafka::Cluster;
///
/// let cluster = Cluster::new("kafka-1:9093,kafka-2:9093")
///     .property("security.protocol", "SASL_SSL")
///     .property("ssl.ca.location", "/etc/kafka/ca.pem")
///     .property("sasl.mechanism", "SCRAM-SHA-512")
///     .property("sasl.username", "orders")
///     .property("sasl.password", "s3cret");
/// assert!(!format!("{cluster:?}").contains("s3cret"));
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Cluster {
    brokers: String,
    properties: BTreeMap<String, String>,
}

/// For whom a client is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A source.
    Consumer,
    /// A sink.
    Producer,
}

/// The other names of properties that have a default here.
const ALIASES: [(&str, &str); 2] = [("compression.type", "compression.codec"), ("linger.ms", "queue.buffering.max.ms")];

/// Properties that the engine sets, for either role: what is wrong with giving them, or what to do instead.
const OWNED: [(&str, &str); 3] = [
    ("bootstrap.servers", "give the brokers to `Cluster::new`"),
    ("metadata.broker.list", "give the brokers to `Cluster::new`"),
    ("allow.auto.create.topics", "a topic that is missing is an error: create it first"),
];

/// Properties that the engine sets for a source.
const OWNED_BY_SOURCE: [(&str, &str); 8] = [
    ("group.id", "give the group to the source"),
    ("group.instance.id", "use `static_member` of the source"),
    ("enable.auto.commit", "the engine commits what has arrived, and nothing else"),
    ("auto.commit.interval.ms", "the engine commits; its interval is a setting of the run"),
    ("enable.auto.offset.store", "the engine commits what has arrived, and nothing else"),
    ("auto.offset.reset", "use `start` and `on_expired` of the source"),
    ("enable.partition.eof", "use `until_end` of the source"),
    ("topic.blacklist", "a pattern says which topics are read"),
];

/// Properties that the engine sets for a sink.
const OWNED_BY_SINK: [(&str, &str); 3] = [
    ("transactional.id", "the engine names its transactions; ask for exactly-once instead"),
    ("delivery.report.only.error", "the engine has to hear of each record that was delivered"),
    ("enable.gapless.guarantee", "a record that fails meets its stage's error policy, and the others go on"),
];

impl Cluster {
    /// The cluster that these brokers (`host:port`, with commas between) belong to.
    pub fn new(brokers: impl Into<String>) -> Self {
        Self { brokers: brokers.into(), properties: BTreeMap::new() }
    }

    /// One of [librdkafka's properties](https://github.com/confluentinc/librdkafka/blob/v2.12.1/CONFIGURATION.md). Those
    /// that the engine sets itself are refused by name before anything is opened; values are never printed.
    #[must_use]
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.insert(name.into(), value.into());
        self
    }

    /// Several of [librdkafka's properties](Self::property).
    #[must_use]
    pub fn properties(mut self, properties: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Self {
        self.properties.extend(properties.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// The brokers, for people.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// What a source and a sink of the same cluster say, so that a plan sees that they are of the same: the same brokers have
    /// to be given, in any order.
    pub fn server(&self) -> String {
        let brokers: BTreeSet<_> = self.brokers.split(',').map(str::trim).collect();
        format!("kafka {}", Vec::from_iter(brokers).join(","))
    }

    /// The value of a property that was given.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.properties.get(name).map(String::as_str)
    }

    /// What is wrong with it for this role, one message each with what to do. Opens nothing.
    pub fn check(&self, role: Role) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.brokers.trim().is_empty() {
            wrong.push("no broker: expected at least one `host:port`".to_owned());
        } else {
            let unclear = self.brokers.split(',').map(str::trim).filter(|broker| !is_broker(broker));
            wrong.extend(
                // What stands before an @ may be a password.
                unclear.map(|broker| broker.rsplit_once('@').map_or(broker, |(_, host)| host)).map(|broker| {
                    format!("the broker `{broker}`: expected `host:port` and nothing before it, as in `kafka-1:9092`")
                }),
            );
        }
        let by_role: &[_] = match role {
            Role::Consumer => &OWNED_BY_SOURCE,
            Role::Producer => &OWNED_BY_SINK,
        };
        for name in self.properties.keys() {
            let owned = OWNED.iter().chain(by_role).find(|(owned, _)| owned == name);
            match owned {
                Some((_, instead)) => wrong.push(format!("the property `{name}` is the engine's own: {instead}")),
                None if name.ends_with("_cb") || name == "opaque" => {
                    wrong.push(format!(
                        "the property `{name}` is a callback, which can't be given as text: leave it out"
                    ));
                }
                None => wrong.extend(self.refused(name)),
            }
        }
        wrong
    }

    /// What librdkafka has against this property.
    fn refused(&self, name: &str) -> Option<String> {
        let mut alone = ClientConfig::new();
        alone.set(name, self.get(name).unwrap_or_default());
        match alone.create_native_config().err()? {
            KafkaError::ClientConfig(_, text, ..) if !is_secret(name) => {
                Some(format!("the property `{name}`: {text}; see librdkafka's CONFIGURATION.md for what it takes"))
            }
            _ => Some(format!("the property `{name}` has a value that librdkafka does not take")),
        }
    }

    /// librdkafka's configuration, with the `defaults` of the role where nothing was given and its `own` properties
    /// where nothing may be.
    pub fn client_config(&self, defaults: &[(&str, &str)], own: &[(&str, &str)]) -> ClientConfig {
        // Before a client does: by itself OpenSSL frees what it has when the process ends, under the hands of clients that
        // are busy in the background (a segmentation fault). This way it leaves that to the system.
        openssl_sys::init();
        let mut config = ClientConfig::new();
        for (name, value) in defaults {
            // Of two names of one property librdkafka takes whichever comes last, and they come in any order.
            let alias = ALIASES.iter().find_map(|(one, other)| (one == name).then_some(*other));
            if alias.is_none_or(|alias| self.get(alias).is_none()) {
                config.set(*name, *value);
            }
        }
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        for (name, value) in own {
            config.set(*name, *value);
        }
        // By itself it is true for a producer: each typing error would make a topic.
        config.set("allow.auto.create.topics", "false");
        config.set("bootstrap.servers", &self.brokers);
        // What is written of that the program's log says. By itself only errors come that far: not that offsets were reset.
        config.set_log_level(RDKafkaLogLevel::Debug);
        config
    }
}

impl From<&str> for Cluster {
    fn from(brokers: &str) -> Self {
        Self::new(brokers)
    }
}

impl From<String> for Cluster {
    fn from(brokers: String) -> Self {
        Self::new(brokers)
    }
}

/// `host`, `host:port`, or either behind a security protocol and `://`.
fn is_broker(text: &str) -> bool {
    let place = match text.split_once("://") {
        Some(("PLAINTEXT" | "SSL" | "SASL_PLAINTEXT" | "SASL_SSL", place)) => place,
        Some(_) => return false,
        None => text,
    };
    // An IPv6 address stands in brackets.
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (place, None),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let named = bare.is_some() || !host.contains([':', '/', '@', ' ']);
    !host.is_empty() && named && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// Names only: any value may be a secret.
impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.properties.keys().collect();
        f.debug_struct("Cluster").field("brokers", &self.brokers).field("properties", &names).finish()
    }
}

fn is_secret(name: &str) -> bool {
    ["password", "secret", "key.pem", "sasl.oauthbearer", "jaas", "token"].iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_owns_is_refused_by_name_with_what_to_do_instead() {
        let cluster = Cluster::new("a:1").property("enable.auto.commit", "true").property("group.id", "g");
        let wrong = cluster.check(Role::Consumer);
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(wrong[0].contains("`enable.auto.commit`") && wrong[0].contains("the engine commits"), "{wrong:?}");
        assert!(wrong[1].contains("`group.id`") && wrong[1].contains("give the group"), "{wrong:?}");
        assert!(
            Cluster::new("a:1").property("transactional.id", "t").check(Role::Producer)[0].contains("exactly-once")
        );
    }

    #[test]
    fn all_that_is_owned_is_refused() {
        let of = |role, by_role: &[(&'static str, &str)]| {
            OWNED.iter().chain(by_role).map(|(name, _)| (role, *name)).collect::<Vec<_>>()
        };
        let all = [of(Role::Consumer, &OWNED_BY_SOURCE), of(Role::Producer, &OWNED_BY_SINK)].concat();
        for (role, name) in all {
            let wrong = Cluster::new("a:1").property(name, "x").check(role);
            assert!(wrong.len() == 1 && wrong[0].contains(&format!("`{name}`")), "{name}: {wrong:?}");
        }
    }

    #[test]
    fn everything_else_passes_and_what_the_library_does_not_take_is_said_without_secrets() {
        let usual = Cluster::new("a:1")
            .property("security.protocol", "sasl_ssl")
            .property("sasl.mechanism", "SCRAM-SHA-256")
            .property("sasl.password", "s3cret")
            .property("fetch.message.max.bytes", "1000000");
        assert!(usual.check(Role::Consumer).is_empty() && usual.check(Role::Producer).is_empty());
        let wrong =
            Cluster::new(" ").property("no.such.thing", "x").property("linger.ms", "soon").check(Role::Producer);
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert!(wrong.iter().any(|text| text.contains("no.such.thing")), "{wrong:?}");
        assert!(wrong.iter().any(|text| text.contains("linger.ms")), "{wrong:?}");
        assert!(!format!("{usual:?}").contains("s3cret"));
    }

    #[test]
    fn what_was_given_wins_over_defaults_and_what_is_owned_over_that() {
        let cluster = Cluster::new("a:1").property("linger.ms", "7").property("acks", "1");
        let config = cluster.client_config(&[("linger.ms", "5"), ("retries", "3")], &[("acks", "all")]);
        let given = |name| config.get(name).map(str::to_owned);
        assert_eq!(given("linger.ms").as_deref(), Some("7"));
        assert_eq!(given("retries").as_deref(), Some("3"));
        assert_eq!(given("acks").as_deref(), Some("all"));
        assert_eq!(given("bootstrap.servers").as_deref(), Some("a:1"));
    }

    #[test]
    fn brokers_are_hosts_with_ports() {
        for fine in
            ["kafka-1:9092", "kafka", "127.0.0.1:1, 10.0.0.1:2", "[::1]:9092", "[fe80::1]", "SASL_SSL://a.b:9093"]
        {
            assert!(Cluster::new(fine).check(Role::Producer).is_empty(), "{fine}");
        }
        for wrong in ["http://a:9092", "a:x", "a:0", "a:70000", "a:9092,", "a b:1", "::1:9092", "a:9092/topic", ":9092"]
        {
            let found = Cluster::new(wrong).check(Role::Consumer);
            assert!(found.len() == 1 && found[0].contains("host:port"), "{wrong}: {found:?}");
        }
    }

    #[test]
    fn a_server_is_the_same_in_whichever_order_its_brokers_are_given() {
        let server = |brokers: &str| Cluster::new(brokers).server();
        assert_eq!(server("b:1, a:1,b:1"), server("a:1,b:1"));
        assert_ne!(server("a:1"), server("a:1,b:1"));
    }

    #[test]
    fn a_default_gives_way_to_what_was_given_by_another_name() {
        let cluster = Cluster::new("a:1").property("queue.buffering.max.ms", "7").property("compression.codec", "gzip");
        let config = cluster.client_config(&[("linger.ms", "5"), ("compression.type", "lz4"), ("retries", "3")], &[]);
        assert_eq!(
            [config.get("linger.ms"), config.get("compression.type"), config.get("retries")],
            [None, None, Some("3")]
        );
        assert_eq!(config.get("compression.codec"), Some("gzip"));
    }
}
