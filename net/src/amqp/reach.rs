//! [`first`]: a host's name may lead to several addresses, and some of them nowhere. They are tried one after the other, each
//! a moment after the one before it, and whichever answers first is it: one that is dead doesn't use up the time of the
//! others.

use std::future::Future;
use std::io::{Error, Result};
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

/// After so long without an answer the next address is tried too (RFC 8305 recommends it).
const MOMENT: Duration = Duration::from_millis(250);

/// What the first of these that answers gives; if none does, the last error. It takes for ever where `connect` does.
pub(super) async fn first<S, F: Future<Output = Result<S>>>(
    addresses: impl IntoIterator<Item = SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> Result<S> {
    let (mut addresses, mut trying) = (addresses.into_iter().peekable(), FuturesUnordered::new());
    let mut last = Error::other("the host's name leads to no address");
    loop {
        trying.extend(addresses.next().map(&connect));
        let answer = match addresses.peek() {
            Some(_) => tokio::time::timeout(MOMENT, trying.next()).await,
            None => Ok(trying.next().await),
        };
        match answer {
            Ok(Some(Ok(stream))) => return Ok(stream),
            Ok(Some(Err(error))) => last = error,
            Ok(None) => return Err(last),
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    /// An address by its port: 1 is dead, 2 refuses, 3 and above answer.
    async fn connect(address: SocketAddr) -> Result<u16> {
        match address.port() {
            1 => std::future::pending().await,
            2 => Err(ErrorKind::ConnectionRefused.into()),
            port => Ok(port),
        }
    }

    fn found(ports: &[u16]) -> Result<u16> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("there are threads");
        runtime.block_on(first(ports.iter().copied().map(address), connect))
    }

    #[test]
    fn an_address_that_is_dead_or_refuses_keeps_nobody_from_the_others() {
        for ports in [&[3, 1][..], &[1, 3], &[2, 3], &[1, 2, 1, 3], &[2, 1, 3, 1]] {
            assert_eq!(found(ports).ok(), Some(3), "{ports:?}");
        }
    }

    #[test]
    fn the_last_error_is_told_if_none_answers() {
        assert_eq!(found(&[2, 2]).map_err(|error| error.kind()), Err(ErrorKind::ConnectionRefused));
        assert_eq!(found(&[]).map_err(|error| error.kind()), Err(ErrorKind::Other));
    }
}
