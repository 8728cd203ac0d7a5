//! [`Port`]: a port of loopback that nobody else uses, for as long as it is held.
//!
//! A server is told its port before it listens there, and after a kill it has to get the same one again. So a port is
//! held by a name that only one process of the machine can have, and lies below those that the kernel gives to outgoing
//! connections.

use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// See the module.
pub(crate) struct Port {
    number: u16,
    /// The name, which is gone with this process or before.
    _held: UnixListener,
}

impl Port {
    /// A port that is free, and is nobody else's.
    pub(crate) fn free() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        // Processes that begin at the same time begin to look at different places.
        let start = std::process::id().wrapping_mul(211) % u32::from(COUNT);
        for _ in 0..COUNT {
            let next = (start + u32::from(NEXT.fetch_add(1, Relaxed))) % u32::from(COUNT);
            let number = FIRST + u16::try_from(next).expect("it is below the count");
            if let Some(port) = Self::hold(number) {
                return port;
            }
        }
        panic!("none of the ports {FIRST} to {} is free", FIRST + COUNT - 1)
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    fn hold(number: u16) -> Option<Self> {
        let name = SocketAddr::from_abstract_name(format!("millstream-port-{number}")).expect("a short name");
        let held = UnixListener::bind_addr(&name).ok()?;
        TcpListener::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        Some(Self { number, _held: held })
    }
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.number.fmt(f)
    }
}
