//! A group's requests reach the core together, when the group is dropped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use crossbeam_channel::{Receiver, Sender};
use raft_driver_thread::raft_proto::{Entries, EntryId, NodeId, ReadMode, Recovered, Write};
use raft_driver_thread::storage::{MemoryStorage, Snapshots, Storage, StorageError};
use raft_driver_thread::transport::channel::Network;
use raft_driver_thread::{Node, RequestError, Unknown};
use std::sync::Arc;
use std::time::Duration;
use support::{Journal, TIMEOUT, wait_for};

/// Reports the entries of each write.
struct ReportingStorage {
    inner: MemoryStorage,
    written: Sender<Entries>,
}

impl Storage for ReportingStorage {
    fn recover(&mut self) -> Result<Recovered, StorageError> {
        self.inner.recover()
    }

    fn write(&mut self, writes: &[Write]) -> Result<(), StorageError> {
        for write in writes {
            let _ = self.written.send(write.entries.clone());
        }
        self.inner.write(writes)
    }

    fn read_entries(
        &mut self,
        from: EntryId,
        to: EntryId,
        max_bytes: u64,
    ) -> Result<Option<Entries>, StorageError> {
        self.inner.read_entries(from, to, max_bytes)
    }

    fn snapshots(&self) -> Arc<dyn Snapshots> {
        self.inner.snapshots()
    }
}

/// How long a node is watched that must do nothing.
const SILENCE: Duration = Duration::from_millis(50);

/// A leader without peers, and what it writes from now on. It has applied one command and has
/// nothing to do: a busy core takes a group's requests whenever it is in a turn.
fn idle_leader() -> (Node<Journal>, Receiver<Entries>) {
    let (written, writes) = crossbeam_channel::unbounded();
    let inner = MemoryStorage::new();
    let storage = ReportingStorage { inner, written };
    let transport = Network::new(1).transport(NodeId(1));
    let mut options = support::options(1, 1);
    // A short timeout's deadline is over when it leads: no tick comes later, in which the core
    // would look around.
    options.config.election_timeout_min = Duration::from_millis(10);
    options.config.election_timeout_max = Duration::from_millis(20);
    options.config.heartbeat_interval = Duration::from_millis(3);
    let node = Node::start(options, storage, transport, Journal::default()).unwrap();
    let first = wait_for("an election", || node.execute("first", TIMEOUT).ok());
    wait_for("the core to be told that it was applied", || {
        (node.state().applied_index == first.id.index).then_some(())
    });
    // The vote, the empty entry, and the command.
    while writes.recv_timeout(SILENCE).is_ok() {}
    (node, writes)
}

#[test]
fn commands_of_a_group_are_proposed_when_it_is_dropped_and_written_as_one_batch() {
    let (node, writes) = idle_leader();
    let group = node.group();
    let mut tickets = vec![group.submit("0"), group.submit("1")];
    assert!(writes.recv_timeout(SILENCE).is_err(), "proposed too early");
    tickets.extend((2..10).map(|number| group.submit(number.to_string())));
    drop(group);
    let batch = writes.recv_timeout(TIMEOUT).unwrap();
    let payloads: Vec<_> = batch.iter().map(|entry| entry.share_payload()).collect();
    let expected: Vec<_> = (0..10).map(|number| number.to_string()).collect();
    assert_eq!(payloads, expected);
    for (entry, ticket) in batch.iter().zip(tickets) {
        let applied = ticket.wait_timeout(TIMEOUT).unwrap();
        assert_eq!(applied.id, entry.id());
    }
}

#[test]
fn a_read_of_a_group_is_answered_after_it_is_dropped() {
    let (node, _writes) = idle_leader();
    let group = node.group();
    let (asked, answered) = crossbeam_channel::unbounded();
    let read = group.read(ReadMode::Quorum, move |journal| {
        let _ = asked.send(());
        journal.0.clone()
    });
    assert!(answered.recv_timeout(SILENCE).is_err(), "asked too early");
    drop(group);
    assert_eq!(read.wait_timeout(TIMEOUT).unwrap(), [b"first"]);
}

#[test]
fn a_group_that_is_dropped_after_its_node_has_stopped_ends_its_tickets() {
    let (node, _writes) = idle_leader();
    let group = node.group();
    let command = group.submit("before the stop");
    let read = group.read(ReadMode::Quorum, |journal| journal.0.len());
    node.kill();
    let late = group.submit("after the stop");
    drop(group);
    let unknown = RequestError::Unknown(Unknown::Stopped);
    assert_eq!(command.wait_timeout(TIMEOUT).unwrap_err(), unknown);
    // The core's last turn may still have answered the read.
    let late_answer = RequestError::Unknown(Unknown::TimedOut);
    assert_ne!(read.wait_timeout(TIMEOUT), Err(late_answer));
    let stopped = RequestError::Stopped;
    assert_eq!(late.wait_timeout(TIMEOUT).unwrap_err(), stopped);
}
