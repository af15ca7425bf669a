//! Three nodes on loopback TCP with disks, for the benchmarks.
#![allow(dead_code, unreachable_pub)] // Each uses its part.

use raft_driver_thread::raft_proto::{ClusterId, Config, Member, NodeId, RoleKind, Start};
use raft_driver_thread::storage::disk::DiskStorage;
use raft_driver_thread::transport::tcp::{Security, TcpOptions, TcpTransport};
use raft_driver_thread::{Commands, Node, Options, StateMachine};
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

pub const PAYLOAD: usize = 256;

/// Counts commands: the cost of a service is not what is measured.
#[derive(Default)]
pub struct Counter(u64);

impl StateMachine for Counter {
    type Answer = u64;
    type Snapshot = u64;

    fn apply(&mut self, commands: Commands<'_>, answers: &mut Vec<u64>) {
        for _ in commands {
            self.0 += 1;
            answers.push(self.0);
        }
    }

    fn snapshot(&mut self) -> u64 {
        self.0
    }

    fn write_snapshot(count: u64, writer: &mut dyn Write) -> io::Result<()> {
        writer.write_all(&count.to_le_bytes())
    }

    fn restore(&mut self, reader: &mut dyn Read) -> io::Result<()> {
        let mut bytes = [0; 8];
        reader.read_exact(&mut bytes)?;
        self.0 = u64::from_le_bytes(bytes);
        Ok(())
    }
}

pub fn nodes(folder: &Path) -> Vec<Node<Counter>> {
    let ids = 1..=3;
    let plain = || TcpOptions::new(Security::PlaintextUnauthenticated);
    let transports: Vec<_> = ids
        .clone()
        .map(|_| TcpTransport::bind("127.0.0.1:0", plain()).unwrap())
        .collect();
    let members: Vec<Member> = (1..)
        .zip(&transports)
        .map(|(id, transport)| {
            Member::voter(NodeId(id)).with_context(transport.local_address().to_string())
        })
        .collect();
    let nodes = ids.zip(transports).map(|(id, transport)| {
        let start = Start::Bootstrap {
            members: members.clone(),
        };
        let config = Config::new(ClusterId(1), NodeId(id), start, id);
        let storage = DiskStorage::open(folder.join(id.to_string())).unwrap();
        let options = Options::new(config);
        Node::start(options, storage, transport, Counter::default()).unwrap()
    });
    nodes.collect()
}

pub fn leader(nodes: &[Node<Counter>]) -> &Node<Counter> {
    loop {
        let leads = |node: &&Node<Counter>| node.state().role == RoleKind::Leader;
        if let Some(node) = nodes.iter().find(leads) {
            // What it applies it leads with.
            if node
                .execute(vec![0; PAYLOAD], Duration::from_secs(1))
                .is_ok()
            {
                return node;
            }
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// The resident memory of this process, in bytes.
pub fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}
