//! A snapshot that could not be made is made later, and not only when as much again was applied.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use raft_driver_thread::raft_proto::{
    Entries, EntryId, NodeId, Recovered, SnapshotId, SnapshotReadFailed, SnapshotWriteFailed, Write,
};
use raft_driver_thread::storage::{MemoryStorage, SnapshotSink, Snapshots, Storage, StorageError};
use raft_driver_thread::transport::channel::Network;
use raft_driver_thread::{Node, SnapshotPolicy};
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use support::{Journal, wait_for};

/// A storage that makes no snapshots for a while.
struct Failing {
    inner: MemoryStorage,
    failures: Arc<Failures>,
}

#[derive(Default)]
struct Failures {
    /// So many attempts are yet to fail.
    left: AtomicU64,
    attempts: AtomicU64,
}

struct FailingSnapshots {
    inner: Arc<dyn Snapshots>,
    failures: Arc<Failures>,
}

impl Storage for Failing {
    fn recover(&mut self) -> Result<Recovered, StorageError> {
        self.inner.recover()
    }

    fn write(&mut self, writes: &[Write]) -> Result<(), StorageError> {
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
        Arc::new(FailingSnapshots {
            inner: self.inner.snapshots(),
            failures: self.failures.clone(),
        })
    }
}

impl Snapshots for FailingSnapshots {
    fn create(&self) -> Result<Box<dyn SnapshotSink>, StorageError> {
        self.failures.attempts.fetch_add(1, Ordering::SeqCst);
        let left = |left: u64| left.checked_sub(1);
        let fails = (self.failures.left).fetch_update(Ordering::SeqCst, Ordering::SeqCst, left);
        if fails.is_ok() {
            let full = io::Error::from(io::ErrorKind::StorageFull);
            return Err(StorageError::io("make a snapshot", full));
        }
        self.inner.create()
    }

    fn open(&self, snapshot: SnapshotId) -> Result<Box<dyn Read + Send>, StorageError> {
        self.inner.open(snapshot)
    }

    fn read(
        &self,
        snapshot: SnapshotId,
        offset: u64,
        length: u64,
    ) -> Result<bytes::Bytes, SnapshotReadFailed> {
        self.inner.read(snapshot, offset, length)
    }

    fn write(
        &self,
        snapshot: SnapshotId,
        offset: u64,
        data: &[u8],
    ) -> Result<(), SnapshotWriteFailed> {
        self.inner.write(snapshot, offset, data)
    }

    fn release(&self, snapshot: SnapshotId) {
        self.inner.release(snapshot);
    }
}

/// One node whose first attempts fail.
fn start(policy: SnapshotPolicy, failing: u64) -> (Node<Journal>, Arc<Failures>) {
    let mut options = support::options(1, 1);
    options.snapshots = policy;
    let failures = Arc::new(Failures::default());
    failures.left.store(failing, Ordering::SeqCst);
    let storage = Failing {
        inner: MemoryStorage::new(),
        failures: failures.clone(),
    };
    let transport = Network::new(1).transport(NodeId(1));
    let node = Node::start(options, storage, transport, Journal::default()).unwrap();
    (node, failures)
}

fn commit(node: &Node<Journal>, command: &[u8]) {
    support::commit([node], command);
}

fn snapshot(node: &Node<Journal>) -> Option<SnapshotId> {
    node.status().unwrap().snapshot
}

fn await_attempts(failures: &Failures, count: u64) {
    wait_for("an attempt", || {
        (failures.attempts.load(Ordering::SeqCst) >= count).then_some(())
    });
}

#[test]
fn one_that_is_asked_for_again_is_made_although_nothing_more_was_applied() {
    let (node, failures) = start(SnapshotPolicy::ON_REQUEST, 1);
    commit(&node, b"a command");
    node.snapshot();
    await_attempts(&failures, 1);
    // The first question may come before the failure is known.
    wait_for("a snapshot", || {
        node.snapshot();
        snapshot(&node)
    });
}

#[test]
fn one_that_is_due_is_made_before_as_much_again_was_applied() {
    let every = 1000;
    let policy = SnapshotPolicy {
        every_entries: Some(every),
        ..SnapshotPolicy::ON_REQUEST
    };
    let (node, failures) = start(policy, 1);
    (0..every).for_each(|_| commit(&node, b"a command"));
    await_attempts(&failures, 1);
    // Much less than that, but enough to try again.
    let long = vec![7; 20 << 10];
    let made = wait_for("a snapshot", || {
        commit(&node, &long);
        std::thread::park_timeout(Duration::from_millis(10));
        snapshot(&node)
    });
    assert!(made.last.index.0 < 2 * every, "{made:?}");
    assert_eq!(
        failures.attempts.load(Ordering::SeqCst),
        2,
        "it tried too often"
    );
}
