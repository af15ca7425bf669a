//! A small service and a cluster of it, for the tests of this crate.
#![allow(dead_code, unreachable_pub)] // Each test file uses its part.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[cfg(all(feature = "tcp", feature = "disk"))]
pub mod proxy;

use raft_driver_thread::raft_proto::{ClusterId, Config, NodeId, RoleKind, Start};
use raft_driver_thread::storage::MemoryStorage;
use raft_driver_thread::transport::channel::{Faults, Network};
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

/// What the nodes of a cluster speak through, and where they store.
pub enum Ground {
    /// A network of this process, storages in memory.
    Channel(Network, BTreeMap<u64, MemoryStorage>),
    /// Loopback TCP through proxies, storages on disk.
    #[cfg(all(feature = "tcp", feature = "disk"))]
    Tcp(proxy::Proxies, tempfile::TempDir),
}

impl Ground {
    pub fn channel() -> Ground {
        Ground::Channel(Network::new(1), BTreeMap::new())
    }

    #[cfg(all(feature = "tcp", feature = "disk"))]
    pub fn tcp(size: u64) -> Ground {
        Ground::Tcp(proxy::Proxies::new(size), tempfile::tempdir().unwrap())
    }

    fn start(&mut self, id: u64, mut options: Options) -> Node<Journal> {
        let journal = Journal::default();
        match self {
            Ground::Channel(network, storages) => {
                let storage = storages.entry(id).or_default().clone();
                let transport = network.transport(NodeId(id));
                Node::start(options, storage, transport, journal).unwrap()
            }
            #[cfg(all(feature = "tcp", feature = "disk"))]
            Ground::Tcp(proxies, folder) => {
                use raft_driver_thread::storage::disk::DiskStorage;
                options.config.start = proxies.bootstrap();
                let transport = proxies.transport(id);
                let storage = DiskStorage::open(folder.path().join(id.to_string())).unwrap();
                Node::start(options, storage, transport, journal).unwrap()
            }
        }
    }

    /// Nothing gets to this node or from it.
    pub fn cut(&self, id: u64) {
        match self {
            Ground::Channel(network, _) => network.cut(NodeId(id)),
            #[cfg(all(feature = "tcp", feature = "disk"))]
            Ground::Tcp(proxies, _) => proxies.cut(id),
        }
    }

    pub fn heal(&self, id: u64) {
        match self {
            Ground::Channel(network, _) => network.heal(NodeId(id)),
            #[cfg(all(feature = "tcp", feature = "disk"))]
            Ground::Tcp(proxies, _) => proxies.heal(id),
        }
    }

    /// From now on messages are late, lost, and out of order; or connections slow, and torn.
    pub fn be_unreliable(&self) {
        match self {
            Ground::Channel(network, _) => network.set_faults(Faults::unreliable()),
            #[cfg(all(feature = "tcp", feature = "disk"))]
            Ground::Tcp(proxies, _) => proxies.be_unreliable(),
        }
    }
}

/// Nodes, and what lies between them.
pub struct Cluster {
    pub ground: Ground,
    pub nodes: BTreeMap<u64, Node<Journal>>,
    size: u64,
    tune: fn(&mut Options),
}

impl Cluster {
    pub fn new(size: u64) -> Cluster {
        Cluster::tuned(size, |_| {})
    }

    pub fn tuned(size: u64, tune: fn(&mut Options)) -> Cluster {
        Cluster::on(Ground::channel(), size, tune)
    }

    pub fn on(ground: Ground, size: u64, tune: fn(&mut Options)) -> Cluster {
        let mut cluster = Cluster {
            ground,
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
        let mut options = options(id, self.size);
        (self.tune)(&mut options);
        let node = self.ground.start(id, options);
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
