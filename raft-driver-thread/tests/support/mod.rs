//! A small service and a cluster of it, for the tests of this crate.
#![allow(dead_code, unreachable_pub)] // Each test file uses its part.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[cfg(feature = "tls")]
pub mod certificates;
mod journal;
pub mod ports;
#[cfg(all(feature = "tcp", feature = "disk"))]
pub mod proxy;
pub mod sums;

pub use journal::Journal;

use raft_driver_thread::raft_proto::{ClusterId, Config, NodeId, ReadMode, RoleKind, Start};
use raft_driver_thread::storage::MemoryStorage;
use raft_driver_thread::transport::channel::{Faults, Network};
use raft_driver_thread::{Applied, Node, NodeState, Options, RequestError, StateMachine, Unknown};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a test waits for anything before it fails.
pub const TIMEOUT: Duration = Duration::from_secs(120);

/// The settings of node `id` of a cluster of `nodes`.
///
/// On a busy machine threads are late by hundreds of milliseconds. That must not depose a leader,
/// so election timeouts are long. The first leader is [elected](elect) by hand, at once; and a node
/// alone elects itself soon.
pub fn options(id: u64, nodes: u64) -> Options {
    let voters = (1..=nodes).map(NodeId);
    let mut config = Config::new(ClusterId(7), NodeId(id), Start::voters(voters), id);
    config.election_timeout_min = Duration::from_millis(1500);
    config.election_timeout_max = Duration::from_millis(3000);
    // Longer than a round trip of the unreliable network (54 ms), also on a busy machine: a heartbeat
    // that overtakes an append's acknowledgement has the leader probe again.
    config.heartbeat_interval = Duration::from_millis(100);
    config.append_timeout = Duration::from_millis(150);
    if nodes == 1 {
        config.election_timeout_min = Duration::from_millis(300);
        config.election_timeout_max = Duration::from_millis(400);
    }
    Options::new(config)
}

/// No election timeout passes during a test: leadership changes only where the test has it changed.
pub fn steady(options: &mut Options) {
    options.config.election_timeout_min = TIMEOUT / 2;
    options.config.election_timeout_max = TIMEOUT;
}

/// The last of these nodes campaigns until it leads, or another one does.
pub fn elect<'a, M: StateMachine>(nodes: impl IntoIterator<Item = &'a Node<M>> + Clone) {
    let last = nodes.clone().into_iter().last().unwrap();
    wait_for("a first leader", || {
        // One that campaigned before the others ran is not heard, and asks again.
        let _ = last.campaign().wait_timeout(Duration::from_millis(300));
        let mut states = nodes.clone().into_iter().map(Node::state);
        let leads = states.any(|state| state.role == RoleKind::Leader);
        leads.then_some(())
    });
}

/// How the nodes of a cluster communicate, and where they store.
pub enum Environment {
    /// A network of this process, storages in memory.
    Channel {
        network: Network,
        storages: BTreeMap<u64, MemoryStorage>,
    },
    /// Loopback TCP through proxies, storages on disk.
    #[cfg(all(feature = "tcp", feature = "disk"))]
    Tcp {
        proxies: proxy::Proxies,
        data_dirs: tempfile::TempDir,
    },
}

impl Environment {
    pub fn channel() -> Environment {
        Environment::Channel {
            network: Network::new(1),
            storages: BTreeMap::new(),
        }
    }

    #[cfg(all(feature = "tcp", feature = "disk"))]
    pub fn tcp(size: u64) -> Environment {
        Environment::Tcp {
            proxies: proxy::Proxies::new(size),
            data_dirs: tempfile::tempdir().unwrap(),
        }
    }

    fn start(&mut self, id: u64, mut options: Options) -> Node<Journal> {
        let machine = Journal::default();
        match self {
            Environment::Channel { network, storages } => {
                let storage = storages.entry(id).or_default().clone();
                let transport = network.transport(NodeId(id));
                Node::start(options, storage, transport, machine).unwrap()
            }
            #[cfg(all(feature = "tcp", feature = "disk"))]
            Environment::Tcp { proxies, data_dirs } => {
                use raft_driver_thread::storage::disk::DiskStorage;
                options.config.start = proxies.bootstrap();
                let transport = proxies.transport(id);
                let data_dir = data_dirs.path().join(id.to_string());
                let storage = DiskStorage::open(data_dir).unwrap();
                Node::start(options, storage, transport, machine).unwrap()
            }
        }
    }

    /// Disconnects a node from all others.
    pub fn cut(&self, id: u64) {
        match self {
            Environment::Channel { network, .. } => network.cut(NodeId(id)),
            #[cfg(all(feature = "tcp", feature = "disk"))]
            Environment::Tcp { proxies, .. } => proxies.cut(id),
        }
    }

    /// Connects it again.
    pub fn heal(&self, id: u64) {
        match self {
            Environment::Channel { network, .. } => network.heal(NodeId(id)),
            #[cfg(all(feature = "tcp", feature = "disk"))]
            Environment::Tcp { proxies, .. } => proxies.heal(id),
        }
    }

    /// From now on messages are late, lost and out of order; or, over TCP, connections are slow and
    /// break.
    pub fn make_unreliable(&self) {
        match self {
            Environment::Channel { network, .. } => network.set_faults(Faults::unreliable()),
            #[cfg(all(feature = "tcp", feature = "disk"))]
            Environment::Tcp { proxies, .. } => proxies.make_unreliable(),
        }
    }
}

/// Running nodes, and their environment.
pub struct Cluster {
    pub environment: Environment,
    pub nodes: BTreeMap<u64, Node<Journal>>,
    size: u64,
    tune: fn(&mut Options),
}

impl Cluster {
    pub fn new(size: u64) -> Cluster {
        Cluster::tuned(size, |_| {})
    }

    /// A cluster of one process, with options changed by `tune`.
    pub fn tuned(size: u64, tune: fn(&mut Options)) -> Cluster {
        Cluster::within(Environment::channel(), size, tune)
    }

    pub fn within(environment: Environment, size: u64, tune: fn(&mut Options)) -> Cluster {
        let mut cluster = Cluster {
            environment,
            nodes: BTreeMap::new(),
            size,
            tune,
        };
        for id in 1..=size {
            cluster.start(id);
        }
        elect(cluster.nodes.values());
        cluster
    }

    /// Starts a node from what its storage holds.
    pub fn start(&mut self, id: u64) {
        let mut options = options(id, self.size);
        (self.tune)(&mut options);
        let node = self.environment.start(id, options);
        self.nodes.insert(id, node);
    }

    pub fn kill(&mut self, id: u64) {
        self.nodes.remove(&id);
    }

    /// The leader among these nodes, once they agree on it.
    pub fn leader_among(&self, ids: &[u64]) -> u64 {
        wait_for("a leader that all nodes know", || {
            let states: Vec<_> = ids.iter().map(|id| self.nodes[id].state()).collect();
            let (term, leader) = (states[0].term, states[0].leader?);
            let agree = |state: &NodeState| state.term == term && state.leader == Some(leader);
            let leads = |id: u64| self.nodes[&id].state().role == RoleKind::Leader;
            let is_agreed = states.iter().all(agree) && ids.contains(&leader.0);
            (is_agreed && leads(leader.0)).then_some(leader.0)
        })
    }

    /// The leader, once all running nodes agree on it.
    pub fn leader(&self) -> u64 {
        let ids: Vec<u64> = self.nodes.keys().copied().collect();
        self.leader_among(&ids)
    }

    /// Proposes `command` to all nodes until one has applied it (the lab's `one`).
    pub fn commit(&self, command: &[u8]) {
        commit(self.nodes.values(), command);
    }

    /// Has `command` applied, once, by whichever node leads.
    pub fn execute(&self, command: &[u8]) -> Applied<usize> {
        execute(self.nodes.values(), command)
    }

    /// What node `id` has applied, by a linearizable read.
    pub fn read_journal(&self, id: u64) -> Vec<Vec<u8>> {
        read_journal(&self.nodes[&id])
    }
}

/// Proposes `command` to these nodes until one has applied it (the lab's `one`). A command whose
/// outcome stays unknown is proposed again: it may be applied twice.
pub fn commit<'a>(nodes: impl IntoIterator<Item = &'a Node<Journal>> + Clone, command: &[u8]) {
    wait_for("a command to be applied", || {
        nodes.clone().into_iter().find_map(|node| {
            let (_, ticket) = node.propose(command.to_vec()).ok()?;
            ticket.wait_timeout(Duration::from_secs(2)).ok()
        })
    });
}

/// Has `command` applied, once, by whichever of these nodes leads: where none is cut off, each
/// attempt ends, and a command of a leader that was deposed is known not to be applied.
pub fn execute<'a, M: StateMachine>(
    nodes: impl IntoIterator<Item = &'a Node<M>> + Clone,
    command: &[u8],
) -> Applied<M::Answer> {
    let late = RequestError::Unknown(Unknown::TimedOut);
    wait_for("a command to be applied", || {
        nodes.clone().into_iter().find_map(|node| {
            let outcome = node.execute(command.to_vec(), TIMEOUT);
            let outcome = outcome.inspect_err(|error| assert_ne!(*error, late));
            outcome.ok()
        })
    })
}

/// What this node has applied, by a linearizable read.
pub fn read_journal(node: &Node<Journal>) -> Vec<Vec<u8>> {
    wait_for("a read to be answered", || {
        let read = node.read(ReadMode::Quorum, |journal| journal.0.clone());
        read.wait_timeout(Duration::from_secs(5)).ok()
    })
}

/// Probes again and again until there is an answer.
pub fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(2));
    }
}
