//! A service whose states can differ, and a cluster of it: for the tests of comparing and
//! replacing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::{elect, execute, options, steady, wait_for};
use crossbeam_channel::Receiver;
use raft_driver_thread::inbox::Inbox;
use raft_driver_thread::raft_proto::comparison::Noted;
use raft_driver_thread::raft_proto::mending::{Fetch, FetchReply, Request};
use raft_driver_thread::raft_proto::{Config, Membership, Message, NodeId, ReadMode};
use raft_driver_thread::storage::MemoryStorage;
use raft_driver_thread::transport::channel::{ChannelTransport, Network};
use raft_driver_thread::transport::{EntrySource, Fetcher, Transport, TransportError};
use raft_driver_thread::{
    Commands, CompareOptions, Digest, Node, NodeEvent, Options, SnapshotPolicy, StartError,
    StateMachine,
};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Adds up the bytes of all commands. At the command `slip`, one that slips adds one more.
#[derive(Clone, Default)]
pub struct Sum {
    pub sum: u64,
    pub slips: bool,
}

impl StateMachine for Sum {
    type Answer = u64;
    type Snapshot = u64;

    fn apply(&mut self, commands: Commands<'_>, answers: &mut Vec<u64>) {
        for command in commands {
            let slip = u64::from(self.slips && command.payload == b"slip");
            let bytes = command.payload.iter().map(|byte| u64::from(*byte));
            self.sum += bytes.sum::<u64>() + slip;
            answers.push(self.sum);
        }
    }

    fn digest(&self) -> Option<Digest> {
        let (kind, value) = (1, self.sum.into());
        Some(Digest { kind, value })
    }

    fn snapshot(&mut self) -> u64 {
        self.sum
    }

    fn write_snapshot(sum: u64, writer: &mut dyn Write) -> io::Result<()> {
        writer.write_all(&sum.to_le_bytes())
    }

    fn restore(&mut self, reader: &mut dyn Read) -> io::Result<()> {
        let mut bytes = [0; 8];
        reader.read_exact(&mut bytes)?;
        self.sum = u64::from_le_bytes(bytes);
        Ok(())
    }
}

/// What reaches node 1.
#[derive(Default)]
pub struct Gates {
    /// No message of the protocol does.
    pub messages_are_held: AtomicBool,
    /// No reply does that it asks for beside the protocol.
    pub replies_are_held: AtomicBool,
    /// No piece of a snapshot does.
    pub pieces_are_held: AtomicBool,
    /// So many pieces were held.
    pub waiting: AtomicU64,
    /// The last one that was asked for.
    pub asked: Mutex<Option<(NodeId, Request)>>,
    /// So many of them come nevertheless.
    pub let_pass: AtomicU64,
    /// So many pieces of snapshots were fetched by it.
    pub fetched: AtomicU64,
}

/// A channel whose messages to node 1 can be held back.
pub struct Gated {
    pub inner: ChannelTransport,
    pub asks_freely: bool,
    pub gates: Arc<Gates>,
}

impl Transport for Gated {
    fn start(&mut self, config: &Config, inbox: Inbox) -> Result<(), TransportError> {
        self.inner.start(config, inbox)
    }

    fn set_members(&mut self, membership: &Membership) {
        self.inner.set_members(membership);
    }

    fn send(&mut self, to: NodeId, message: Message) {
        if to != NodeId(1) || !self.gates.messages_are_held.load(Ordering::SeqCst) {
            self.inner.send(to, message);
        }
    }

    fn flush(&mut self) {
        self.inner.flush();
    }

    fn serve_entries(&mut self, source: Arc<dyn EntrySource>) {
        self.inner.serve_entries(source);
    }

    fn fetch_entries(&mut self, peer: NodeId, fetch: &Fetch) -> FetchReply {
        self.inner.fetch_entries(peer, fetch)
    }

    fn fetcher(&self) -> Option<Arc<dyn Fetcher>> {
        let inner = self.inner.fetcher()?;
        if self.asks_freely {
            return Some(inner);
        }
        let gates = self.gates.clone();
        Some(Arc::new(GatedFetcher { inner, gates }))
    }

    fn stop(&mut self) {
        self.inner.stop();
    }
}

struct GatedFetcher {
    inner: Arc<dyn Fetcher>,
    gates: Arc<Gates>,
}

impl Fetcher for GatedFetcher {
    fn fetch(&self, peer: NodeId, request: &Request) -> FetchReply {
        if self.gates.replies_are_held.load(Ordering::SeqCst) {
            return FetchReply::Unreachable;
        }
        if matches!(request, Request::Chunk { .. }) {
            *self.gates.asked.lock().unwrap() = Some((peer, *request));
            let number = self.gates.waiting.fetch_add(1, Ordering::SeqCst);
            while self.gates.pieces_are_held.load(Ordering::SeqCst)
                && self.gates.let_pass.load(Ordering::SeqCst) <= number
            {
                std::thread::park_timeout(Duration::from_millis(1));
            }
        }
        let reply = self.inner.fetch(peer, request);
        if matches!(reply, FetchReply::Chunk(_)) {
            self.gates.fetched.fetch_add(1, Ordering::SeqCst);
        }
        reply
    }
}

/// Nodes from 1 on, in one process. What reaches node 1 can be held back.
pub struct Cluster {
    pub gates: Arc<Gates>,
    pub network: Network,
    pub storages: BTreeMap<u64, MemoryStorage>,
    pub nodes: BTreeMap<u64, Node<Sum>>,
    pub events: BTreeMap<u64, Receiver<NodeEvent>>,
}

impl Drop for Cluster {
    /// A node that waits at a gate does not end.
    fn drop(&mut self) {
        self.gates.hold_pieces(false);
    }
}

/// They compare all the time, make snapshots only when they are asked to, and keep no entries
/// behind one. Leadership changes only where a test, or a state that is set aside, has it changed.
fn comparing(id: u64, size: u64) -> Options {
    let mut options = options(id, size);
    steady(&mut options);
    options.config.trailing_entries = 0;
    options.config.max_transfer_log_bytes = 1;
    options.snapshots = SnapshotPolicy::ON_REQUEST;
    options.compare = Some(CompareOptions {
        every_entries: 4,
        pause: Duration::from_millis(5),
    });
    options
}

impl Cluster {
    /// Of so many. These slip. The last node leads, unless it was not heard in time.
    pub fn new(size: u64, slips: &[u64]) -> Cluster {
        let mut cluster = Cluster {
            gates: Arc::default(),
            network: Network::new(1),
            storages: (1..=size).map(|id| (id, MemoryStorage::new())).collect(),
            nodes: BTreeMap::new(),
            events: BTreeMap::new(),
        };
        for id in 1..=size {
            let node = cluster.start(id, slips.contains(&id)).unwrap();
            cluster.events.insert(id, node.subscribe());
            cluster.nodes.insert(id, node);
        }
        elect(cluster.nodes.values());
        cluster
    }

    /// Starts a node from what its storage holds.
    pub fn start(&self, id: u64, slips: bool) -> Result<Node<Sum>, StartError> {
        let gated = Gated {
            inner: self.network.transport(NodeId(id)),
            asks_freely: id != 1,
            gates: self.gates.clone(),
        };
        let machine = Sum { sum: 0, slips };
        let options = comparing(id, self.storages.len() as u64);
        Node::start(options, self.storages[&id].clone(), gated, machine)
    }

    /// Stops a node, and starts it from what its storage holds.
    pub fn restart(&mut self, id: u64, slips: bool) {
        self.nodes.remove(&id);
        let node = self.start(id, slips).unwrap();
        self.events.insert(id, node.subscribe());
        self.nodes.insert(id, node);
    }

    pub fn commit(&self, command: &'static [u8]) {
        execute(self.nodes.values(), command);
    }

    /// Commits so many, which change the state.
    pub fn commit_all(&self, command: &'static [u8], count: u64) {
        (0..count).for_each(|_| self.commit(command));
    }

    pub fn leader(&self) -> u64 {
        wait_for("a leader", || {
            let leader = self.nodes[&2].state().leader?;
            (self.nodes[&leader.0].state().leader == Some(leader)).then_some(leader.0)
        })
    }

    /// Waits until this node leads, which it does as a rule.
    pub fn lead_by(&self, id: u64) {
        wait_for("this node to lead", || {
            let leader = self.leader();
            if leader != id {
                let ticket = self.nodes[&leader].transfer_leadership(Some(NodeId(id)));
                let _ = ticket.wait_timeout(Duration::from_secs(2));
            }
            (leader == id).then_some(())
        });
    }

    pub fn applied(&self, id: u64) -> u64 {
        self.nodes[&id].state().applied_index.0
    }

    pub fn await_applied(&self, id: u64, index: u64) {
        wait_for("entries to be applied", || {
            (self.applied(id) >= index).then_some(())
        });
    }

    /// Has a node make a snapshot of the state after this entry, or of a later one.
    pub fn snapshot(&self, id: u64, last: u64) {
        self.await_applied(id, last);
        self.nodes[&id].snapshot();
        wait_for("a snapshot", || {
            let snapshot = self.nodes[&id].status().unwrap().snapshot?;
            (snapshot.last.index.0 >= last).then_some(())
        });
    }

    /// Nodes 2 and 3 make snapshots of the state after this entry.
    pub fn snapshots_at(&self, last: u64) {
        [2, 3].into_iter().for_each(|id| self.snapshot(id, last));
    }

    /// The state, by a linearizable read.
    pub fn sum(&self, id: u64) -> u64 {
        wait_for("a read", || {
            let read = self.nodes[&id].read(ReadMode::Quorum, |machine| machine.sum);
            read.wait_timeout(Duration::from_secs(5)).ok()
        })
    }

    pub fn replaced(&self, id: u64) -> u64 {
        self.nodes[&id].comparison().replaced
    }

    pub fn await_replaced(&self, id: u64) {
        wait_for("the state to be replaced", || {
            (self.replaced(id) == 1).then_some(())
        });
    }

    /// What `id` answers a node that takes part in nothing else.
    pub fn ask(&self, id: u64, request: &Request) -> FetchReply {
        let fetcher = self.network.transport(NodeId(9)).fetcher().unwrap();
        fetcher.fetch(NodeId(id), request)
    }

    /// What it says of its states, once it answers.
    pub fn noted(&self, id: u64) -> Noted {
        wait_for("an answer", || {
            let reply = self.ask(id, &Request::Noted);
            if let FetchReply::Noted(noted) = reply {
                return Some(noted);
            }
            assert_eq!(reply, FetchReply::Unreachable);
            None
        })
    }

    /// Whose work it says that its state is, if it says that of any.
    pub fn origin(&self, id: u64) -> Option<u64> {
        let digests = self.noted(id).digests;
        digests.last()?.origin.map(|node| node.0)
    }

    /// Waits until this node publishes an event that is one of these.
    pub fn await_event<T>(&self, id: u64, what: &str, is: impl Fn(NodeEvent) -> Option<T>) -> T {
        wait_for(what, || self.events[&id].try_iter().find_map(&is))
    }
}

pub fn diverged(event: NodeEvent) -> Option<Vec<NodeId>> {
    if let NodeEvent::Diverged { majority, .. } = event {
        Some(majority)
    } else {
        None
    }
}

impl Gates {
    pub fn hold_messages(&self, are_held: bool) {
        self.messages_are_held.store(are_held, Ordering::SeqCst);
    }

    pub fn hold_replies(&self, are_held: bool) {
        self.replies_are_held.store(are_held, Ordering::SeqCst);
    }

    pub fn hold_pieces(&self, are_held: bool) {
        self.pieces_are_held.store(are_held, Ordering::SeqCst);
    }
}
