//! Ports for servers that are stopped and started again at the same address.
//!
//! Each test process has blocks of ports for itself, of which each port is given once. They are not
//! of the range from which systems take the ports of connections, and of listeners at port 0. So a
//! port stays free until its server listens, and while its server is down.
#![allow(dead_code, unreachable_pub)] // A module of several test crates.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs::{File, OpenOptions, create_dir_all};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpStream};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// How many ports a block has.
const BLOCK: u16 = 100;
/// How many blocks there are between 10,000 and the ports that systems give to connections
/// (32,768).
const BLOCKS: u16 = 220;

/// What this process has.
struct Claims {
    /// No other test process takes a block before its file is closed, at the end of this process.
    locked: Vec<File>,
    /// The ports of the newest block that were not given yet.
    left: Range<u16>,
}

impl Claims {
    /// Takes a block that nobody has.
    fn claim(&mut self) {
        let folder = std::env::temp_dir().join("raft-kv-test-ports");
        create_dir_all(&folder).expect("a folder for locks");
        let own = (std::process::id() % u32::from(BLOCKS)) as u16;
        let mut blocks = (0..BLOCKS).map(|at| (own + at) % BLOCKS);
        let claimed = blocks.find_map(|block| {
            let mut options = OpenOptions::new();
            let options = options.create(true).truncate(false).write(true);
            let locked = options.open(folder.join(block.to_string())).ok()?;
            locked.try_lock().ok()?;
            Some((block, locked))
        });
        let (block, locked) = claimed.expect("a block of ports that is free");
        self.locked.push(locked);
        let first = 10_000 + block * BLOCK;
        self.left = first..first + BLOCK;
    }
}

/// Whether nobody listens there: a program that is no test, or a server that has outlived one. A
/// listener of this process's own would be no better way to see that: another thread may start a
/// process just then, which has it too until its program is loaded.
fn is_free(port: u16) -> bool {
    let connected = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
    connected.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// So many ports in a row that nobody uses.
pub fn free_ports(count: u16) -> Vec<u16> {
    static CLAIMS: Mutex<Claims> = Mutex::new(Claims {
        locked: Vec::new(),
        left: 0..0,
    });
    let mut claims = CLAIMS.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if claims.left.len() < usize::from(count) {
            claims.claim();
        }
        let ports = claims.left.start..claims.left.start + count;
        if ports.clone().all(is_free) {
            claims.left.start = ports.end;
            return ports.collect();
        }
        claims.left.start += 1;
    }
}

/// One port.
pub fn free_port() -> u16 {
    free_ports(1)[0]
}

/// Its address.
pub fn free_address() -> String {
    format!("127.0.0.1:{}", free_port())
}
