//! Three nodes on loopback TCP with disks, for the benchmarks.
#![allow(dead_code, unreachable_pub)] // Each benchmark uses its part.

use raft_driver_thread::raft_proto::{ClusterId, Config, Member, NodeId, RoleKind, Start};
use raft_driver_thread::storage::disk::DiskStorage;
use raft_driver_thread::transport::tcp::{Security, TcpOptions, TcpTransport};
use raft_driver_thread::{Commands, Node, Options, StateMachine};
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub const PAYLOAD: usize = 256;

/// A service of next to no cost: counts its commands.
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

/// A directory on the disk of the build, for one run of a benchmark.
pub fn data_dir(benchmark: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let data_dir = target.join(format!("{benchmark}-{}", std::process::id()));
    fs::create_dir_all(&data_dir).unwrap();
    data_dir
}

pub fn nodes(data_dir: &Path) -> Vec<Node<Counter>> {
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
        let storage = DiskStorage::open(data_dir.join(id.to_string())).unwrap();
        let options = Options::new(config);
        Node::start(options, storage, transport, Counter::default()).unwrap()
    });
    nodes.collect()
}

/// The leader, once it has applied a command.
pub fn leader(nodes: &[Node<Counter>]) -> &Node<Counter> {
    let leads = |node: &&Node<Counter>| {
        let command = vec![0; PAYLOAD];
        let is_leader = node.state().role == RoleKind::Leader;
        is_leader && node.execute(command, Duration::from_secs(1)).is_ok()
    };
    loop {
        if let Some(node) = nodes.iter().find(leads) {
            return node;
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
