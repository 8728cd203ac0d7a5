//! URLs of brokers, in the parts that the [RabbitMQ URI specification](https://www.rabbitmq.com/docs/uri-spec) names.
//!
//! ```text
//! amqp[s]://[user[:password]@]host[:port][/vhost][?heartbeat=SECONDS&connection_timeout=MILLISECONDS&auth_mechanism=plain|external]
//! ```
//!
//! User, password, host and vhost are percent-decoded. An empty vhost is the default one, `/`, as most clients take it. No
//! message repeats a part of the URL that may hold a secret: whoever forgets the `@` has the password in the host.

use std::time::Duration;

/// What a URL says; what it doesn't say is `None`.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct Url {
    pub(super) tls: bool,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) host: String,
    pub(super) port: Option<u16>,
    pub(super) vhost: Option<String>,
    pub(super) heartbeat: Option<Duration>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) external: Option<bool>,
}

impl Url {
    /// Reads it, or says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or("it has no scheme: expected amqp://… or amqps://…")?;
        let tls = match scheme {
            "amqp" => false,
            "amqps" => true,
            _ => return Err("its scheme is another: expected amqp://… or amqps://…".to_owned()),
        };
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
        let (authority, vhost) = rest.split_once('/').map_or((rest, None), |(rest, vhost)| (rest, Some(vhost)));
        let (login, place) = authority.rsplit_once('@').map_or((None, authority), |(login, at)| (Some(login), at));
        let mut url = Self { tls, ..Self::default() };
        url.login(login)?;
        url.place(place)?;
        url.vhost = match vhost {
            None | Some("") => None,
            Some(vhost) if vhost.contains('/') => {
                return Err("its virtual host has a `/` in it: write it as %2F".to_owned());
            }
            Some(vhost) => Some(decode(vhost, "virtual host")?),
        };
        query.into_iter().flat_map(|query| query.split('&')).try_for_each(|pair| url.setting(pair))?;
        Ok(url)
    }

    fn login(&mut self, login: Option<&str>) -> Result<(), String> {
        let Some(login) = login else { return Ok(()) };
        let (user, password) = login.split_once(':').map_or((login, None), |(user, word)| (user, Some(word)));
        self.user = Some(decode(user, "user")?).filter(|user| !user.is_empty());
        self.password = password.map(|password| decode(password, "password")).transpose()?;
        Ok(())
    }

    fn place(&mut self, place: &str) -> Result<(), String> {
        let (host, port) = match place.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']').ok_or("its IPv6 address has no closing `]`")?;
                let after = after.strip_prefix(':').or(after.is_empty().then_some(""));
                (host, after.ok_or("there is more behind its IPv6 address than a port")?)
            }
            None => place.split_once(':').unwrap_or((place, "")),
        };
        self.host = decode(host, "host")?;
        if self.host.is_empty() {
            return Err("it names no host: expected amqp://host:port".to_owned());
        }
        self.port = match port {
            "" => None,
            port => match port.parse() {
                Ok(0) | Err(_) => {
                    let secret = "its port is not a number from 1 to 65535 (a password goes before an `@`: \
                                  amqp://user:password@host:port)";
                    return Err(secret.to_owned());
                }
                Ok(port) => Some(port),
            },
        };
        Ok(())
    }

    fn setting(&mut self, pair: &str) -> Result<(), String> {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let number = || value.parse::<u32>().map_err(|_| format!("its `{name}` is not a whole number"));
        match name {
            "" if value.is_empty() => {}
            "heartbeat" => self.heartbeat = Some(Duration::from_secs(number()?.into())),
            "connection_timeout" => self.connect_timeout = Some(Duration::from_millis(number()?.into())),
            "auth_mechanism" => match &*value.to_ascii_lowercase() {
                "plain" => self.external = Some(false),
                "external" => self.external = Some(true),
                _ => return Err("its `auth_mechanism` is another: expected plain or external".to_owned()),
            },
            _ => {
                return Err("it has a setting that is not known: expected heartbeat, connection_timeout or \
                            auth_mechanism; certificates are set by methods"
                    .to_owned());
            }
        }
        Ok(())
    }
}

/// Decodes `%XX`.
fn decode(text: &str, what: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'%' {
            (bytes, rest) = (push(bytes, byte), after);
            continue;
        }
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let decoded = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let decoded = decoded
            .ok_or_else(|| format!("its {what} has a `%` that two hexadecimal digits don't follow: write it as %25"))?;
        (bytes, rest) = (push(bytes, decoded), &after[2..]);
    }
    String::from_utf8(bytes).map_err(|_| format!("its {what} is not UTF-8 once it is percent-decoded"))
}

fn push(mut bytes: Vec<u8>, byte: u8) -> Vec<u8> {
    bytes.push(byte);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> Url {
        Url::parse(text).unwrap_or_else(|wrong| panic!("{text}: {wrong}"))
    }

    #[test]
    fn all_parts_are_read() {
        let url = parsed(
            "amqps://us%40er:p%2Fw%3A@broker.example:5999/%2Fsales?heartbeat=7&connection_timeout=1500&auth_mechanism=EXTERNAL",
        );
        assert!(url.tls);
        assert_eq!((url.user.as_deref(), url.password.as_deref()), (Some("us@er"), Some("p/w:")));
        assert_eq!((url.host.as_str(), url.port), ("broker.example", Some(5999)));
        assert_eq!(url.vhost.as_deref(), Some("/sales"));
        assert_eq!(url.heartbeat, Some(Duration::from_secs(7)));
        assert_eq!((url.connect_timeout, url.external), (Some(Duration::from_millis(1_500)), Some(true)));
    }

    #[test]
    fn what_is_left_out_is_left_out() {
        for text in ["amqp://h", "amqp://h/", "amqp://@h/?"] {
            assert!(parsed(text) == Url { host: "h".into(), ..Url::default() }, "{text}");
        }
        assert_eq!((parsed("amqp://[::1]:5").host.as_str(), parsed("amqp://[::1]:5").port), ("::1", Some(5)));
        assert_eq!(parsed("amqp://[::1]").port, None);
        assert_eq!(parsed("amqp://u:@h").password.as_deref(), Some(""));
    }

    #[test]
    fn what_is_wrong_is_told_without_what_may_be_secret() {
        let wrong = [
            ("host:5672", "no scheme"),
            ("http://host", "scheme is another"),
            ("amqp://", "names no host"),
            ("amqp://guest:sEcret", "port is not a number"),
            ("amqp://host:0", "port is not a number"),
            ("amqp://u:sEc%ret@host", "its password has a `%`"),
            ("amqp://u:%ff@host", "its password is not UTF-8"),
            ("amqp://host/a/b", "write it as %2F"),
            ("amqp://host?heartbeat=sEcret", "`heartbeat` is not a whole number"),
            ("amqp://host?cacertfile=sEcret", "set by methods"),
            ("amqp://host?auth_mechanism=sEcret", "expected plain or external"),
            ("amqp://[::1", "closing"),
            ("amqp://[::1]5", "more behind"),
        ];
        for (text, told) in wrong {
            let message = Url::parse(text).err().unwrap_or_else(|| panic!("{text} is taken for a URL"));
            assert!(message.contains(told), "{text}: {message}");
            assert!(!message.contains("sEc"), "{message}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_no_password_is_repeated(
            text in "(amqps?://)?[a-z%:@/?&=\\[\\]0-9]{0,30}", password in "[A-Z]{8}"
        ) {
            let _ = Url::parse(&text);
            if let Err(wrong) = Url::parse(&format!("amqp://u:{password}{text}")) {
                prop_assert!(!wrong.contains(&password), "{wrong}");
            }
        }

        #[test]
        fn what_is_encoded_is_decoded(password in "\\PC{0,12}") {
            let encoded: String = password.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let url = Url::parse(&format!("amqp://u:{encoded}@h/{encoded}")).expect("a URL");
            prop_assert_eq!(url.password.as_deref(), Some(password.as_str()));
            prop_assert_eq!(url.vhost, Some(password).filter(|vhost| !vhost.is_empty()));
        }
    }
}
