//! Ports for servers of tests.
#![allow(unreachable_pub)] // A module of several test crates.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// How many ports each test process has for itself.
const BLOCK: u16 = 100;
/// How many blocks there are between 10,000 and the ports that systems give to connections
/// (32,768).
const BLOCKS: u16 = 220;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// So many ports in a row that nobody uses. Nobody else takes one before a server does: they are
/// not of the range of which connections, and listeners at port 0, get theirs, and every test
/// process has others.
pub fn free_ports(count: u16) -> Vec<u16> {
    let block = (std::process::id() % u32::from(BLOCKS)) as u16;
    loop {
        let offset = NEXT.fetch_add(count, Ordering::Relaxed);
        let first = (u32::from(block) * u32::from(BLOCK) + u32::from(offset))
            % (u32::from(BLOCKS) * u32::from(BLOCK));
        let first = 10_000 + first as u16;
        let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
        let ports: Vec<_> = (first..first + count).collect();
        if ports.iter().all(is_free) {
            return ports;
        }
    }
}
