//! A small service and a cluster of it, for the tests of this crate.
#![allow(dead_code, unreachable_pub)] // Each test file uses its part.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use raft_driver_thread::raft_proto::{ClusterId, Config, NodeId, RoleKind, Start};
use raft_driver_thread::storage::MemoryStorage;
use raft_driver_thread::transport::channel::Network;
use raft_driver_thread::{Commands, Node, Options, StateMachine};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

/// What a test waits for at most.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Keeps every command, and answers with their number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journal(pub Vec<Vec<u8>>);

impl StateMachine for Journal {
    type Answer = usize;
    type Snapshot = Journal;

    fn apply(&mut self, commands: Commands<'_>, answers: &mut Vec<usize>) {
        for command in commands {
            assert!(command.payload != b"panic", "asked to");
            self.0.push(command.payload.to_vec());
            answers.push(self.0.len());
        }
    }

    fn snapshot(&mut self) -> Journal {
        self.clone()
    }

    fn write_snapshot(journal: Journal, writer: &mut dyn Write) -> io::Result<()> {
        for command in &journal.0 {
            writer.write_all(&(command.len() as u64).to_le_bytes())?;
            writer.write_all(command)?;
        }
        Ok(())
    }

    fn restore(&mut self, reader: &mut dyn Read) -> io::Result<()> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        let mut rest = &bytes[..];
        self.0.clear();
        while !rest.is_empty() {
            let (length, after) = rest.split_at(8);
            let length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
            self.0.push(after[..length].to_vec());
            rest = &after[length..];
        }
        Ok(())
    }
}

pub fn options(id: u64, nodes: u64) -> Options {
    let voters = (1..=nodes).map(NodeId);
    let mut config = Config::new(ClusterId(7), NodeId(id), Start::voters(voters), id);
    config.election_timeout_min = Duration::from_millis(150);
    config.election_timeout_max = Duration::from_millis(300);
    config.heartbeat_interval = Duration::from_millis(30);
    config.append_timeout = Duration::from_millis(50);
    Options::new(config)
}

/// Nodes with storages in memory, in a network of this process.
pub struct Cluster {
    pub network: Network,
    pub storages: BTreeMap<u64, MemoryStorage>,
    pub nodes: BTreeMap<u64, Node<Journal>>,
    size: u64,
    tune: fn(&mut Options),
}

impl Cluster {
    pub fn new(size: u64) -> Cluster {
        Cluster::tuned(size, |_| {})
    }

    pub fn tuned(size: u64, tune: fn(&mut Options)) -> Cluster {
        let mut cluster = Cluster {
            network: Network::new(1),
            storages: BTreeMap::new(),
            nodes: BTreeMap::new(),
            size,
            tune,
        };
        for id in 1..=size {
            cluster.start(id);
        }
        cluster
    }

    /// Starts a node with what its storage holds.
    pub fn start(&mut self, id: u64) {
        let storage = self.storages.entry(id).or_default().clone();
        let mut options = options(id, self.size);
        (self.tune)(&mut options);
        let transport = self.network.transport(NodeId(id));
        let node = Node::start(options, storage, transport, Journal::default()).unwrap();
        self.nodes.insert(id, node);
    }

    pub fn kill(&mut self, id: u64) {
        self.nodes.remove(&id);
    }

    /// The leader among `among`, once they all know it.
    pub fn leader_among(&self, among: &[u64]) -> u64 {
        until("a leader that all know", || {
            let states: Vec<_> = among.iter().map(|id| self.nodes[id].state()).collect();
            let leader = states[0].leader?;
            let agree = states
                .iter()
                .all(|state| state.leader == Some(leader) && state.term == states[0].term);
            let leads =
                among.contains(&leader.0) && self.nodes[&leader.0].state().role == RoleKind::Leader;
            (agree && leads).then_some(leader.0)
        })
    }

    pub fn leader(&self) -> u64 {
        let all: Vec<u64> = self.nodes.keys().copied().collect();
        self.leader_among(&all)
    }

    /// Offers `command` to all until one has applied it (the lab's `one`).
    pub fn one(&self, command: &[u8]) {
        until("a command applied", || {
            self.nodes.values().find_map(|node| {
                let (_, ticket) = node.propose(command.to_vec()).ok()?;
                ticket.wait_timeout(Duration::from_secs(2)).ok()
            })
        });
    }

    /// What node `id` has applied.
    pub fn journal(&self, id: u64) -> Vec<Vec<u8>> {
        let mode = raft_driver_thread::raft_proto::ReadMode::Quorum;
        until("a read served", || {
            let read = self.nodes[&id].read(mode, |journal| journal.0.clone());
            read.wait_timeout(Duration::from_secs(5)).ok()
        })
    }
}

/// Asks again and again until there is an answer.
pub fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(2));
    }
}
