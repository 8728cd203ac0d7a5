//! Names of peers as `host:port`, and the addresses behind them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A `host:port` in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) host: Host,
    pub(super) port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    Ip(IpAddr),
    Name(String),
}

impl Address {
    /// Reads it, or says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (host, port) = text.rsplit_once(':').ok_or("it has no port: write it as host:port")?;
        let port = match port.parse() {
            Ok(0) | Err(_) => return Err(format!("`{port}` is not a port: it has to be a number from 1 to 65535")),
            Ok(port) => port,
        };
        Ok(Self { host: Host::parse(host)?, port })
    }

    /// Whether it is this machine and no other.
    pub(super) fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Ip(ip) => ip.is_loopback(),
            Host::Name(name) => name.eq_ignore_ascii_case("localhost"),
        }
    }

    /// The addresses behind it now.
    pub(super) async fn resolve(&self) -> Result<Vec<SocketAddr>, String> {
        match &self.host {
            Host::Ip(ip) => Ok(vec![SocketAddr::new(*ip, self.port)]),
            Host::Name(name) => match tokio::net::lookup_host((name.as_str(), self.port)).await {
                Ok(found) => Ok(found.collect()),
                Err(error) => Err(format!("can't look up {name}: {error}")),
            },
        }
    }

    /// The addresses to listen on, in the order to try: a name may be behind any of this machine's addresses.
    pub(super) async fn to_listen_on(&self) -> Result<Vec<SocketAddr>, String> {
        match &self.host {
            Host::Name(_) if !self.is_loopback() => Ok(vec![
                SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), self.port),
                SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), self.port),
            ]),
            _ => self.resolve().await,
        }
    }
}

impl Host {
    fn parse(text: &str) -> Result<Self, String> {
        if let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            let ip: Ipv6Addr = inner.parse().map_err(|_| format!("`{inner}` is not an IPv6 address"))?;
            return Ok(Self::Ip(ip.into()));
        }
        if let Ok(ip) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Ip(ip.into()));
        }
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        match text {
            "" => Err("it has no host: write it as host:port".to_owned()),
            _ if text.contains(':') => Err(format!("an IPv6 address stands in brackets: [{text}]:port")),
            _ if text.len() > 253 || !text.chars().all(fine) => Err(format!("`{text}` is not a host name")),
            _ if text.chars().all(|c| c.is_ascii_digit() || c == '.') => Err(format!("`{text}` is not an IP address")),
            _ => Ok(Self::Name(text.to_owned())),
        }
    }
}

/// The address as a socket that is bound to `local` has to be given it, if it can reach it at all.
pub(super) fn as_reached_from(local: SocketAddr, remote: SocketAddr) -> Option<SocketAddr> {
    match (local, remote) {
        (SocketAddr::V4(_), SocketAddr::V4(_)) | (SocketAddr::V6(_), SocketAddr::V6(_)) => Some(remote),
        (SocketAddr::V6(local), SocketAddr::V4(remote)) if local.ip().is_unspecified() => {
            Some(SocketAddr::new(remote.ip().to_ipv6_mapped().into(), remote.port()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_told_apart() {
        let name = |name: &str| Host::Name(name.to_owned());
        for (text, host, port) in [
            ("a:7400", name("a"), 7400),
            ("mill-1.example.org:1", name("mill-1.example.org"), 1),
            ("10.0.0.1:7400", Host::Ip(Ipv4Addr::new(10, 0, 0, 1).into()), 7400),
            ("[::1]:65535", Host::Ip(Ipv6Addr::LOCALHOST.into()), 65535),
        ] {
            assert_eq!(Address::parse(text), Ok(Address { host, port }), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said() {
        for (text, what) in [
            ("a", "no port"),
            (":7400", "no host"),
            ("a:", "not a port"),
            ("a:0", "not a port"),
            ("a:70000", "not a port"),
            ("::1:7400", "in brackets"),
            ("[::g]:7400", "not an IPv6"),
            ("10.0.0.256:7400", "not an IP address"),
            ("a b:7400", "not a host name"),
        ] {
            let found = Address::parse(text).unwrap_err();
            assert!(found.contains(what), "{text}: {found}");
        }
    }

    #[test]
    fn loopback_is_this_machine_and_no_other() {
        for (text, loopback) in [
            ("127.0.0.1:1", true),
            ("127.8.8.8:1", true),
            ("localhost:1", true),
            ("[::1]:1", true),
            ("10.0.0.1:1", false),
        ] {
            assert_eq!(Address::parse(text).unwrap().is_loopback(), loopback, "{text}");
        }
    }

    #[test]
    fn a_socket_for_both_families_reaches_both() {
        let v4: SocketAddr = "10.0.0.1:7400".parse().unwrap();
        let all: SocketAddr = "[::]:7400".parse().unwrap();
        assert_eq!(as_reached_from(all, v4), Some("[::ffff:10.0.0.1]:7400".parse().unwrap()));
        assert_eq!(as_reached_from(v4, v4), Some(v4));
        assert_eq!(as_reached_from(v4, all), None);
    }
}
