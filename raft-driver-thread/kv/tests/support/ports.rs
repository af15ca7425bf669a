//! Ports for servers of tests.
#![allow(unreachable_pub)] // A module of several test crates.

use std::fs::{File, OpenOptions, create_dir_all};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// How many ports each test process has for itself.
const BLOCK: u16 = 100;
/// How many blocks there are between 10,000 and the ports that systems give to connections
/// (32,768).
const BLOCKS: u16 = 220;

/// The ports of this process, from the first one on. No other test process takes them before the
/// file is closed, at the end of the process.
struct Claim {
    first: u16,
    _locked: File,
}

/// How many of them were given away.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// Takes a block that no other process has.
fn claim() -> Claim {
    let folder = std::env::temp_dir().join("raft-kv-test-ports");
    create_dir_all(&folder).expect("a folder for locks");
    let own = (std::process::id() % u32::from(BLOCKS)) as u16;
    let blocks = (0..BLOCKS).map(|at| (own + at) % BLOCKS);
    let claims = blocks.filter_map(|block| {
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).write(true);
        let locked = options.open(folder.join(block.to_string())).ok()?;
        locked.try_lock().ok()?;
        Some(Claim {
            first: 10_000 + block * BLOCK,
            _locked: locked,
        })
    });
    { claims }.next().expect("a block of ports that is free")
}

/// So many ports in a row that nobody uses. Nobody else takes one before a server does: they are
/// not of the range of which connections, and listeners at port 0, get theirs, and every test
/// process has others. Once all were given away, they are given again.
pub fn free_ports(count: u16) -> Vec<u16> {
    static CLAIMED: OnceLock<Claim> = OnceLock::new();
    let first = CLAIMED.get_or_init(claim).first;
    loop {
        let offset = NEXT.fetch_add(count, Ordering::Relaxed) % BLOCK;
        let ports = first + offset..first + offset + count;
        let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if offset + count <= BLOCK && ports.clone().all(is_free) {
            return ports.collect();
        }
    }
}
