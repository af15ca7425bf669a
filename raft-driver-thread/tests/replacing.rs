//! While a state is set aside, the leader's snapshot may come before the one that was fetched takes
//! its place. Nothing that is in use is lost by it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use raft_driver_thread::inbox::Inbox;
use raft_driver_thread::raft_proto::mending::{Fetch, FetchReply, Request};
use raft_driver_thread::raft_proto::{Config, Index, Membership, Message, NodeId};
use raft_driver_thread::storage::MemoryStorage;
use raft_driver_thread::transport::channel::{ChannelTransport, Network};
use raft_driver_thread::transport::{EntrySource, Fetcher, Transport, TransportError};
use raft_driver_thread::{
    Commands, CompareOptions, Digest, Node, NodeEvent, Options, SnapshotPolicy, StateMachine,
};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::wait_for;

/// Adds up the bytes of all commands. At the command `slip`, one that slips adds one more.
#[derive(Clone, Default)]
struct Sum {
    sum: u64,
    slips: bool,
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
struct Gates {
    /// No message of the protocol does.
    messages_are_held: AtomicBool,
    /// No reply does that it asks for beside the protocol.
    replies_are_held: AtomicBool,
    /// No piece of a snapshot does.
    pieces_are_held: AtomicBool,
    /// So many pieces were held.
    waiting: AtomicU64,
    /// The last one that was asked for.
    asked: Mutex<Option<(NodeId, Request)>>,
    /// So many of them come nevertheless.
    let_pass: AtomicU64,
    /// So many pieces of snapshots were fetched by it.
    fetched: AtomicU64,
}

/// A channel whose messages to node 1 can be held back.
struct Gated {
    inner: ChannelTransport,
    asks_freely: bool,
    gates: Arc<Gates>,
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

struct Cluster {
    gates: Arc<Gates>,
    network: Network,
    storages: BTreeMap<u64, MemoryStorage>,
    nodes: BTreeMap<u64, Node<Sum>>,
}

/// Of three.
fn options(id: u64) -> Options {
    let mut options = support::options(id, 3);
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
    /// These nodes slip.
    fn new(slips: &[u64]) -> Cluster {
        let mut cluster = Cluster {
            gates: Arc::default(),
            network: Network::new(1),
            storages: (1..=3).map(|id| (id, MemoryStorage::new())).collect(),
            nodes: BTreeMap::new(),
        };
        cluster.nodes = (1..=3)
            .map(|id| (id, cluster.start(id, slips.contains(&id)).unwrap()))
            .collect();
        cluster
    }

    fn start(&self, id: u64, slips: bool) -> Result<Node<Sum>, raft_driver_thread::StartError> {
        let gated = Gated {
            inner: self.network.transport(NodeId(id)),
            asks_freely: id != 1,
            gates: self.gates.clone(),
        };
        let machine = Sum { sum: 0, slips };
        Node::start(options(id), self.storages[&id].clone(), gated, machine)
    }

    fn commit(&self, command: &'static [u8]) {
        wait_for("a command to be applied", || {
            let mut nodes = self.nodes.values();
            nodes.find_map(|node| node.execute(command, Duration::from_secs(2)).ok())
        });
    }

    fn leader(&self) -> u64 {
        wait_for("a leader", || {
            let leader = self.nodes[&2].state().leader?;
            (self.nodes[&leader.0].state().leader == Some(leader)).then_some(leader.0)
        })
    }

    fn applied(&self, id: u64) -> u64 {
        self.nodes[&id].state().applied_index.0
    }

    /// Nodes 2 and 3 make snapshots of the state after this entry.
    fn snapshots_at(&self, last: u64) {
        [2, 3].into_iter().for_each(|id| self.snapshot(id, last));
    }

    fn snapshot(&self, id: u64, last: u64) {
        self.await_applied(id, last);
        self.nodes[&id].snapshot();
        wait_for("a snapshot", || {
            let snapshot = self.nodes[&id].status().unwrap().snapshot?;
            (snapshot.last.index.0 >= last).then_some(())
        });
    }

    /// What node 1 has stored is enough to start with.
    fn restart_and_compare(&self, last: u64) {
        self.commit(b"after");
        wait_for("the state to be in order", || {
            let found = self.nodes[&1].comparison();
            let is_same = found.same_after.is_some_and(|it| it.index.0 >= last);
            (is_same && found.diverged_after.is_none()).then_some(())
        });
        self.nodes[&1].kill();
        let node = self.start(1, false).unwrap();
        assert!(node.state().applied_index.0 >= last);
    }

    fn await_applied(&self, id: u64, index: u64) {
        wait_for("entries to be applied", || {
            (self.applied(id) >= index).then_some(())
        });
    }
}

#[test]
fn a_snapshot_that_the_leader_has_sent_stays_although_the_same_one_was_fetched() {
    let cluster = Cluster::new(&[1]);
    let events = cluster.nodes[&1].subscribe();
    cluster.gates.replies_are_held.store(true, Ordering::SeqCst);
    cluster.commit(b"slip");
    for _ in 0..20 {
        cluster.commit(b"same");
    }
    let leader = cluster.leader();
    assert_ne!(leader, 1);
    cluster.await_applied(1, cluster.applied(leader));
    // Node 1 gets no more entries, and the others compact theirs.
    cluster
        .gates
        .messages_are_held
        .store(true, Ordering::SeqCst);
    for _ in 0..9 {
        cluster.commit(b"more");
    }
    let last = cluster.applied(leader);
    cluster.snapshots_at(last);
    // It finds out, and fetches what lies behind all that it has.
    cluster
        .gates
        .replies_are_held
        .store(false, Ordering::SeqCst);
    wait_for("the divergence to be told", || {
        let is_diverged = |it: &NodeEvent| matches!(it, NodeEvent::Diverged { .. });
        events.try_iter().find(is_diverged)
    });
    wait_for("the snapshot to be fetched", || {
        (cluster.gates.fetched.load(Ordering::SeqCst) > 0).then_some(())
    });
    for _ in 0..200 {
        cluster.nodes[&1].status().unwrap();
    }
    // The leader sends the same one.
    cluster
        .gates
        .messages_are_held
        .store(false, Ordering::SeqCst);
    wait_for("the state to be replaced", || {
        (cluster.nodes[&1].comparison().replaced == 1).then_some(())
    });
    cluster.restart_and_compare(last);
}

#[test]
fn a_fetched_snapshot_that_comes_after_the_same_one_of_the_leader_does_not_take_it_away() {
    // As above, but the leader's comes while the other one is being fetched.
    let cluster = Cluster::new(&[1]);
    let events = cluster.nodes[&1].subscribe();
    cluster.gates.replies_are_held.store(true, Ordering::SeqCst);
    cluster.commit(b"slip");
    for _ in 0..20 {
        cluster.commit(b"same");
    }
    let leader = cluster.leader();
    cluster.await_applied(1, cluster.applied(leader));
    cluster
        .gates
        .messages_are_held
        .store(true, Ordering::SeqCst);
    for _ in 0..9 {
        cluster.commit(b"more");
    }
    let last = cluster.applied(leader);
    cluster.snapshots_at(last);
    cluster.gates.pieces_are_held.store(true, Ordering::SeqCst);
    cluster
        .gates
        .replies_are_held
        .store(false, Ordering::SeqCst);
    wait_for("the divergence to be told", || {
        let is_diverged = |it: &NodeEvent| matches!(it, NodeEvent::Diverged { .. });
        events.try_iter().find(is_diverged)
    });
    wait_for("the snapshot to be asked for", || {
        (cluster.gates.waiting.load(Ordering::SeqCst) > 0).then_some(())
    });
    cluster
        .gates
        .messages_are_held
        .store(false, Ordering::SeqCst);
    cluster.await_applied(1, last);
    cluster.gates.pieces_are_held.store(false, Ordering::SeqCst);
    cluster.restart_and_compare(last);
}

/// The stored snapshot may hold the wrong state, and end where the one that replaces it does: it
/// stays until something more is applied.
#[test]
fn a_wrong_state_that_is_stored_is_found_after_a_restart_although_nothing_more_is_written() {
    let cluster = Cluster::new(&[1]);
    cluster.gates.replies_are_held.store(true, Ordering::SeqCst);
    cluster.commit(b"slip");
    for _ in 0..20 {
        cluster.commit(b"same");
    }
    let last = cluster.applied(cluster.leader());
    cluster.snapshot(1, last);
    cluster.snapshots_at(last);
    cluster
        .gates
        .replies_are_held
        .store(false, Ordering::SeqCst);
    wait_for("the state to be replaced", || {
        (cluster.nodes[&1].comparison().replaced == 1).then_some(())
    });
    let sum = |node: &Node<Sum>| node.inspect(|machine| machine.sum).wait().unwrap();
    let right = sum(&cluster.nodes[&2]);
    assert_eq!(sum(&cluster.nodes[&1]), right);
    cluster.nodes[&1].kill();
    let node = cluster.start(1, false).unwrap();
    wait_for("the right state", || (sum(&node) == right).then_some(()));
}

/// It is not given to a peer, either.
#[test]
fn a_stored_snapshot_that_may_hold_the_wrong_state_is_not_offered() {
    let cluster = Cluster::new(&[1]);
    cluster.gates.replies_are_held.store(true, Ordering::SeqCst);
    cluster.commit(b"slip");
    for _ in 0..20 {
        cluster.commit(b"same");
    }
    let last = cluster.applied(cluster.leader());
    cluster.snapshot(1, last);
    cluster.snapshots_at(last);
    cluster
        .gates
        .replies_are_held
        .store(false, Ordering::SeqCst);
    wait_for("the state to be replaced", || {
        (cluster.nodes[&1].comparison().replaced == 1).then_some(())
    });
    // A node that takes part in nothing else asks for it.
    let other = cluster.network.transport(NodeId(9));
    let fetcher = other.fetcher().unwrap();
    let right = cluster.nodes[&2].status().unwrap().snapshot;
    let ask = |at_least: u64| {
        let at_least = Index(at_least);
        fetcher.fetch(NodeId(1), &Request::Snapshot { at_least })
    };
    if let FetchReply::Snapshot(meta) = ask(last) {
        assert_eq!(Some(meta.id), right);
    }
    // The next one holds the right state.
    cluster.commit(b"after");
    let offered = wait_for("a snapshot of the right state", || {
        if let FetchReply::Snapshot(meta) = ask(last) {
            Some(meta.id)
        } else {
            None
        }
    });
    assert!(offered.last.index > Index(last));
}

/// A leader whose state is wrong sends it to a node that lags behind. Two of three then hold the
/// wrong one, and the third throws the right one away.
#[test]
#[ignore = "shows a fault that is not mended: a copy of a state counts as if it were another one"]
fn a_copy_of_a_wrong_state_is_no_judge_of_the_right_one() {
    let cluster = Cluster::new(&[3]);
    let leader = cluster.leader();
    assert_eq!(leader, 3, "the one that slips");
    cluster.commit(b"before");
    cluster
        .gates
        .messages_are_held
        .store(true, Ordering::SeqCst);
    cluster.commit(b"slip");
    for _ in 0..9 {
        cluster.commit(b"more");
    }
    let last = cluster.applied(3);
    cluster.snapshots_at(last);
    // Both know that their states differ, and that nobody can tell who is right.
    wait_for("the difference to be told", || {
        let differing = cluster.nodes[&3].comparison().differing;
        (differing == [NodeId(2)]).then_some(())
    });
    cluster
        .gates
        .messages_are_held
        .store(false, Ordering::SeqCst);
    cluster.await_applied(1, last);
    for _ in 0..9 {
        cluster.commit(b"after");
    }
    wait_for("node 1 to be compared", || {
        let found = cluster.nodes[&1].comparison();
        (found.same_after.is_some_and(|it| it.index.0 > last)).then_some(())
    });
    assert_eq!(cluster.nodes[&2].comparison().diverged_after, None);
    assert_eq!(
        cluster.nodes[&2].comparison().replaced,
        0,
        "node 2 was right"
    );
}

/// The others make snapshots more often than one is fetched, and keep none that is being fetched.
#[test]
#[ignore = "shows a fault that is not mended: a peer releases the snapshot that it has offered"]
fn a_state_is_replaced_although_new_snapshots_are_made_meanwhile() {
    let cluster = Cluster::new(&[1]);
    cluster.gates.replies_are_held.store(true, Ordering::SeqCst);
    cluster.commit(b"slip");
    for _ in 0..20 {
        cluster.commit(b"same");
    }
    let last = cluster.applied(cluster.leader());
    cluster.await_applied(1, last);
    cluster.snapshots_at(last);
    cluster.gates.pieces_are_held.store(true, Ordering::SeqCst);
    cluster
        .gates
        .replies_are_held
        .store(false, Ordering::SeqCst);
    let other = cluster.network.transport(NodeId(9));
    let fetcher = other.fetcher().unwrap();
    // Again and again: a snapshot is named, and before its bytes are asked for there is a new one.
    for round in 1..=20 {
        wait_for("the snapshot to be asked for", || {
            (cluster.gates.waiting.load(Ordering::SeqCst) >= round).then_some(())
        });
        cluster.commit(b"more");
        let last = cluster.applied(cluster.leader());
        cluster.snapshots_at(last);
        // It may be released a moment later.
        for _ in 0..1000 {
            let (peer, request) = cluster.gates.asked.lock().unwrap().unwrap();
            if fetcher.fetch(peer, &request) == FetchReply::HaveNot {
                break;
            }
            cluster.nodes[&peer.0].status().unwrap();
        }
        cluster.gates.let_pass.fetch_add(1, Ordering::SeqCst);
        let is_replaced = wait_for("the piece to come, or not", || {
            let is_replaced = cluster.nodes[&1].comparison().replaced > 0;
            let is_asked_again = cluster.gates.waiting.load(Ordering::SeqCst) > round;
            (is_replaced || is_asked_again).then_some(is_replaced)
        });
        if is_replaced {
            return;
        }
    }
    cluster.gates.pieces_are_held.store(false, Ordering::SeqCst);
    panic!("twenty snapshots were named, and none of them could be fetched");
}
