//! Ports for nodes that are stopped and started again at the same address.

use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;

/// Below the ports that operating systems give to outgoing connections, and to listeners on port 0.
/// A port from this range stays free while its node is down.
const RANGE: std::ops::Range<u16> = 10_000..30_000;

/// A port of loopback that is free, and that nobody else is likely to take before it is used: other
/// tests that run at the same time draw theirs at random, too.
pub fn free_port() -> u16 {
    let drawn = RandomState::new().hash_one(()) % RANGE.len() as u64;
    let ports = RANGE.cycle().skip(drawn as usize).take(RANGE.len());
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.into_iter().find(is_free).unwrap()
}

/// Such a port's address.
pub fn free_address() -> String {
    format!("127.0.0.1:{}", free_port())
}
