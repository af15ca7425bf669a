//! A leader sends its snapshots no faster, and to no more peers at once, than its options say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use raft_driver_thread::inbox::Inbox;
use raft_driver_thread::raft_proto::{Config, Membership, Message, NodeId};
use raft_driver_thread::storage::MemoryStorage;
use raft_driver_thread::transport::channel::{ChannelTransport, Network};
use raft_driver_thread::transport::{Transport, TransportError};
use raft_driver_thread::{Node, Options, SnapshotPolicy, SnapshotSending};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::{Journal, TIMEOUT, steady, wait_for};

/// The length of the snapshot, about, and of its chunks.
const SNAPSHOT_BYTES: usize = 1 << 20;
const CHUNK_BYTES: u64 = 32 << 10;

/// A chunk that left a node, to whom, and when.
#[derive(Clone, Copy)]
struct Sent {
    to: NodeId,
    bytes: u64,
    at: Instant,
}

type Record = Arc<Mutex<Vec<Sent>>>;

/// A transport that records the chunks that are sent.
struct Recorded {
    transport: ChannelTransport,
    record: Record,
}

impl Transport for Recorded {
    fn start(&mut self, config: &Config, inbox: Inbox) -> Result<(), TransportError> {
        self.transport.start(config, inbox)
    }

    fn set_members(&mut self, membership: &Membership) {
        self.transport.set_members(membership);
    }

    fn send(&mut self, to: NodeId, message: Message) {
        if let Message::InstallSnapshot(chunk) = &message {
            let (bytes, at) = (chunk.data.len() as u64, Instant::now());
            self.record.lock().unwrap().push(Sent { to, bytes, at });
        }
        self.transport.send(to, message);
    }

    fn flush(&mut self) {
        self.transport.flush();
    }

    fn stop(&mut self) {
        self.transport.stop();
    }
}

/// Two of five nodes are cut off until they need a snapshot, and then receive it. Returns what was
/// sent.
fn chunks_to_two_peers(sending: SnapshotSending) -> Vec<Sent> {
    let (network, record) = (Network::new(1), Record::default());
    let start = |id| {
        let mut options: Options = support::options(id, 5);
        options.snapshots = SnapshotPolicy::ON_REQUEST;
        options.snapshot_sending = sending;
        options.config.trailing_entries = 0;
        options.config.snapshot_chunk_bytes = CHUNK_BYTES;
        steady(&mut options);
        // Nothing is sent again: each chunk is answered within a heartbeat interval.
        options.config.heartbeat_interval = Duration::from_millis(400);
        options.config.append_timeout = Duration::from_millis(400);
        let transport = Recorded {
            transport: network.transport(NodeId(id)),
            record: record.clone(),
        };
        let (storage, machine) = (MemoryStorage::default(), Journal::default());
        Node::start(options, storage, transport, machine).unwrap()
    };
    let nodes: BTreeMap<u64, Node<Journal>> = (1..=5).map(|id| (id, start(id))).collect();
    support::elect(nodes.values());
    support::commit(nodes.values(), b"before");
    let leader = wait_for("a leader", || {
        nodes.values().find_map(|it| it.state().leader)
    });
    let cut: Vec<u64> = (1..=5).filter(|id| *id != leader.0).take(2).collect();
    cut.iter().for_each(|id| network.cut(NodeId(*id)));
    let long = vec![7; SNAPSHOT_BYTES / 2];
    support::commit([&nodes[&leader.0]], &long);
    support::commit([&nodes[&leader.0]], &long);
    nodes[&leader.0].snapshot();
    wait_for("a snapshot", || nodes[&leader.0].status().ok()?.snapshot);
    cut.iter().for_each(|id| network.heal(NodeId(*id)));
    for id in cut {
        wait_for("all entries", || {
            let journal = nodes[&id].inspect(|journal| journal.0.len());
            (journal.wait_timeout(TIMEOUT).ok()? >= 3).then_some(())
        });
    }
    drop(nodes);
    Arc::into_inner(record).unwrap().into_inner().unwrap()
}

/// To whom chunks were sent, one after the other.
fn turns(sent: &[Sent]) -> usize {
    let to: Vec<NodeId> = sent.iter().map(|sent| sent.to).collect();
    to.chunk_by(|left, right| left == right).count()
}

#[test]
fn no_more_peers_are_sent_a_snapshot_at_once_than_may_be() {
    let mut sending = SnapshotSending {
        // Heartbeats find what the peers lack: the second one before the first has all.
        max_bytes_per_second: Some(SNAPSHOT_BYTES as u64),
        ..SnapshotSending::default()
    };
    // On a busy machine one may have all before the other is heard, or a chunk may be sent again.
    wait_for("two that are sent it at once, by default", || {
        (turns(&chunks_to_two_peers(sending)) > 2).then_some(())
    });
    sending.max_transfers = 1;
    wait_for("two that are sent it one by one", || {
        (turns(&chunks_to_two_peers(sending)) == 2).then_some(())
    });
}

#[test]
fn what_was_sent_of_snapshots_by_any_time_is_no_more_than_the_rate_allows() {
    let rate = SNAPSHOT_BYTES as u64; // Two of them take two seconds.
    let sending = SnapshotSending {
        max_bytes_per_second: Some(rate),
        ..SnapshotSending::default()
    };
    // On a busy machine a chunk may be recorded long after it was allowed to leave, and the next
    // ones in time.
    wait_for("chunks that are all recorded in time", || {
        let chunks = chunks_to_two_peers(sending);
        let begin = chunks[0].at;
        let mut bytes = 0;
        let is_allowed = chunks[1..].iter().all(|sent| {
            bytes += sent.bytes;
            let allowed = (sent.at - begin).as_secs_f64() * rate as f64;
            bytes as f64 <= allowed + CHUNK_BYTES as f64
        });
        assert!(!is_allowed || bytes as usize > SNAPSHOT_BYTES);
        is_allowed.then_some(())
    });
}
