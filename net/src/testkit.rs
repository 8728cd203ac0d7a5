//! For tests of what runs on several instances.

mod udp_proxy;

pub use udp_proxy::{Counts, Faults, UdpProxy};
