//! Storages that fail or block at any point: nothing acknowledged is lost, nothing is said early.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use crossbeam_channel::{Receiver, Sender};
use raft_driver_thread::raft_proto::{Entries, EntryId, NodeId, Recovered, Write};
use raft_driver_thread::storage::{MemoryStorage, Snapshots, Storage, StorageError};
use raft_driver_thread::transport::channel::Network;
use raft_driver_thread::{Node, RequestError, StopReason, Unknown};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use support::{Journal, LIMIT, until};

/// Does what `before` allows.
struct Hooked<F> {
    inner: MemoryStorage,
    before: F,
}

/// What becomes of a write.
enum Fate {
    Done,
    /// It fails, and the disk does not have it.
    Lost,
    /// It fails, but the disk has it.
    DoneAndFailed,
}

impl<F: FnMut() -> Fate + Send + 'static> Storage for Hooked<F> {
    fn recover(&mut self) -> Result<Recovered, StorageError> {
        self.inner.recover()
    }

    fn write(&mut self, writes: &[Write]) -> Result<(), StorageError> {
        let full = || StorageError::io("write", io::ErrorKind::StorageFull.into());
        match (self.before)() {
            Fate::Done => self.inner.write(writes),
            Fate::Lost => Err(full()),
            Fate::DoneAndFailed => self.inner.write(writes).and_then(|()| Err(full())),
        }
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

fn start<S: Storage>(storage: S) -> Node<Journal> {
    let transport = Network::new(1).transport(NodeId(1));
    let mut options = support::options(1, 1);
    options.config.election_timeout_min = Duration::from_millis(9);
    options.config.election_timeout_max = Duration::from_millis(18);
    options.config.heartbeat_interval = Duration::from_millis(3);
    Node::start(options, storage, transport, Journal::default()).unwrap()
}

const COMMANDS: u8 = 10;

/// Proposes until the node stops at its write number `failing`; what it acknowledged, and
/// everything that it had been given.
fn acknowledged(storage: &MemoryStorage, failing: u32, fate: fn() -> Fate) -> (Vec<Vec<u8>>, u8) {
    let mut writes = 0;
    let before = move || {
        writes += 1;
        match writes == failing {
            true => fate(),
            false => Fate::Done,
        }
    };
    let inner = storage.clone();
    let node = start(Hooked { inner, before });
    // Its empty entry applied: from now on each command is a write of its own.
    until("an election or the end", || {
        (node.state().applied_index.0 > 0 || node.stop_reason().is_some()).then_some(())
    });
    let mut applied = Vec::new();
    for command in 0..COMMANDS {
        match node.execute(vec![command], LIMIT) {
            Ok(_) => applied.push(vec![command]),
            Err(error) => {
                let late = RequestError::Unknown(Unknown::TimedOut);
                assert_ne!(error, late, "a ticket always ends");
                let reason = until("the node stopped", || node.stop_reason());
                assert!(matches!(reason, StopReason::Storage(_)), "{reason}");
                return (applied, command + 1);
            }
        }
    }
    (applied, COMMANDS)
}

/// A restart finds all of `applied`, and nothing that is not in `given`.
fn assert_recovers(storage: MemoryStorage, applied: &[Vec<u8>], given: &[Vec<u8>]) {
    let node = start(storage);
    until("a command applied", || node.execute("last", LIMIT).ok());
    let mode = raft_driver_thread::raft_proto::ReadMode::Quorum;
    let journal = node.read(mode, |journal| journal.0.clone()).wait().unwrap();
    let (_, recovered) = journal.split_last().unwrap();
    assert!(recovered.starts_with(applied), "{recovered:?} {applied:?}");
    assert!(given.starts_with(recovered), "{recovered:?} {given:?}");
}

#[test]
fn whichever_write_fails_all_that_was_acknowledged_is_recovered_and_nothing_is_invented() {
    for fate in [|| Fate::Lost, || Fate::DoneAndFailed] {
        let mut failed = 0;
        // Term and vote, the empty entry, and one for each command.
        for failing in 1..=u32::from(COMMANDS) + 2 {
            let storage = MemoryStorage::new();
            let (applied, given) = acknowledged(&storage, failing, fate);
            failed += u32::from(applied.len() < usize::from(COMMANDS));
            let all: Vec<Vec<u8>> = (0..given).map(|command| vec![command]).collect();
            assert_recovers(storage, &applied, &all);
        }
        assert_eq!(
            failed,
            u32::from(COMMANDS) + 2,
            "each write was one that fails"
        );
    }
}

#[test]
fn nothing_is_answered_before_its_write_is_on_disk() {
    let (reached, writes): (Sender<()>, Receiver<()>) = crossbeam_channel::unbounded();
    let (release, released): (Sender<()>, Receiver<()>) = crossbeam_channel::unbounded();
    let before = move || {
        let _ = reached.send(());
        let _ = released.recv(); // An end of the test lets all through.
        Fate::Done
    };
    let node = start(Hooked {
        inner: MemoryStorage::new(),
        before,
    });
    // The vote for itself: no leader while it is not on disk.
    writes.recv_timeout(LIMIT).unwrap();
    assert_eq!(node.state().leader, None);
    release.send(()).unwrap();
    until("a leader", || node.state().leader);
    writes.recv_timeout(LIMIT).unwrap(); // Its empty entry.
    release.send(()).unwrap();
    let ticket = node.submit("a");
    writes.recv_timeout(LIMIT).unwrap();
    // The write waits, the core does not: it answers, and it has applied nothing.
    let status = node.status().unwrap();
    assert_eq!(status.last_log.index.0, 2);
    assert!(!ticket.is_ended());
    assert!(status.applied_index.0 <= 1);
    release.send(()).unwrap();
    assert_eq!(ticket.wait_timeout(LIMIT).unwrap().answer, 1);
    drop(release);
}

/// Proposes until write number `blocking` waits, and gives up then: the disk never has it. What was
/// acknowledged, and how many commands had been given.
fn acknowledged_before_a_block(storage: &MemoryStorage, blocking: u32) -> (Vec<Vec<u8>>, u8) {
    let (reached, reaches): (Sender<()>, Receiver<()>) = crossbeam_channel::unbounded();
    let (release, released): (Sender<()>, Receiver<()>) = crossbeam_channel::unbounded();
    let mut writes = 0;
    let before = move || {
        writes += 1;
        if writes != blocking {
            return Fate::Done;
        }
        let _ = reached.send(());
        let _ = released.recv(); // Until the test gives it up.
        Fate::Lost
    };
    let inner = storage.clone();
    let node = start(Hooked { inner, before });
    let is_blocked = || reaches.try_recv().is_ok();
    let mut applied = Vec::new();
    let mut given = 0;
    let began = until("an election or the block", || {
        let leads = (node.state().applied_index.0 > 0).then_some(true);
        leads.or_else(|| is_blocked().then_some(false))
    });
    while began && given < COMMANDS {
        let ticket = node.submit(vec![given]);
        given += 1;
        let is_stuck = until("an answer or the block", || {
            let ended = ticket.is_ended().then_some(false);
            ended.or_else(|| is_blocked().then_some(true))
        });
        if is_stuck {
            // The core answers all the same, and says nothing of what is not on disk.
            assert_eq!(
                node.status().unwrap().last_log.index.0,
                u64::from(given) + 1
            );
            assert!(!ticket.is_ended());
            break;
        }
        assert!(ticket.wait().is_ok());
        applied.push(vec![given - 1]);
    }
    drop(release);
    let reason = until("the node stopped", || node.stop_reason());
    assert!(matches!(reason, StopReason::Storage(_)), "{reason}");
    (applied, given)
}

#[test]
fn whichever_write_blocks_the_core_goes_on_and_what_was_acknowledged_is_recovered() {
    for blocking in 1..=u32::from(COMMANDS) + 2 {
        let storage = MemoryStorage::new();
        let (applied, given) = acknowledged_before_a_block(&storage, blocking);
        let all: Vec<Vec<u8>> = (0..given).map(|command| vec![command]).collect();
        assert_recovers(storage, &applied, &all);
    }
}
