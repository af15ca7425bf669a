//! Storages that fail or block at any point: nothing acknowledged is lost, and nothing is
//! acknowledged early.
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
use support::{Journal, TIMEOUT, wait_for};

/// A storage each of whose writes ends as `outcome` decides.
struct FaultyStorage<F> {
    inner: MemoryStorage,
    outcome: F,
}

enum WriteOutcome {
    Done,
    /// It fails, and the disk does not have it.
    Lost,
    /// It fails, but the disk has it.
    DoneAndFailed,
}

impl<F: FnMut() -> WriteOutcome + Send + 'static> Storage for FaultyStorage<F> {
    fn recover(&mut self) -> Result<Recovered, StorageError> {
        self.inner.recover()
    }

    fn write(&mut self, writes: &[Write]) -> Result<(), StorageError> {
        let full = || StorageError::io("write", io::ErrorKind::StorageFull.into());
        match (self.outcome)() {
            WriteOutcome::Done => self.inner.write(writes),
            WriteOutcome::Lost => Err(full()),
            WriteOutcome::DoneAndFailed => self.inner.write(writes).and_then(|()| Err(full())),
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

/// What the clients of a node know when it has stopped.
struct Proposals {
    /// How many commands were given to the node: those from 0 on.
    given: u8,
    /// Those that it acknowledged.
    acknowledged: Vec<Vec<u8>>,
}

/// Proposes until the node stops because its write number `failing` fails.
fn propose_until_failure(
    storage: &MemoryStorage,
    failing: u32,
    failure: fn() -> WriteOutcome,
) -> Proposals {
    let mut writes = 0;
    let outcome = move || {
        writes += 1;
        if writes == failing {
            failure()
        } else {
            WriteOutcome::Done
        }
    };
    let inner = storage.clone();
    let node = start(FaultyStorage { inner, outcome });
    // Once its empty entry is applied, each command is a write of its own.
    wait_for("an election or the end", || {
        (node.state().applied_index.0 > 0 || node.stop_reason().is_some()).then_some(())
    });
    let mut acknowledged = Vec::new();
    let mut given = 0;
    while given < COMMANDS {
        let command = vec![given];
        given += 1;
        match node.execute(command.clone(), TIMEOUT) {
            Ok(_) => acknowledged.push(command),
            Err(error) => {
                let late = RequestError::Unknown(Unknown::TimedOut);
                assert_ne!(error, late, "a ticket always ends");
                assert_stops_for_its_storage(&node);
                break;
            }
        }
    }
    Proposals {
        given,
        acknowledged,
    }
}

fn assert_stops_for_its_storage(node: &Node<Journal>) {
    let reason = wait_for("the node to stop", || node.stop_reason());
    assert!(matches!(reason, StopReason::Storage(_)), "{reason}");
}

/// A restart recovers all that was acknowledged, and nothing that was not given.
fn assert_recovers(storage: MemoryStorage, proposals: &Proposals) {
    let given: Vec<Vec<u8>> = (0..proposals.given).map(|command| vec![command]).collect();
    let acknowledged = &proposals.acknowledged;
    let node = start(storage);
    wait_for("a command to be applied", || {
        node.execute("last", TIMEOUT).ok()
    });
    let journal = support::read_journal(&node);
    let (_last, recovered) = journal.split_last().unwrap();
    assert!(
        recovered.starts_with(acknowledged) && given.starts_with(recovered),
        "{recovered:?} of {given:?}, of which {acknowledged:?} were acknowledged"
    );
}

/// Term and vote, the empty entry, and one write for each command.
const ALL_WRITES: u32 = COMMANDS as u32 + 2;

#[test]
fn whichever_write_fails_all_that_was_acknowledged_is_recovered_and_nothing_is_invented() {
    for failure in [|| WriteOutcome::Lost, || WriteOutcome::DoneAndFailed] {
        for failing in 1..=ALL_WRITES {
            let storage = MemoryStorage::new();
            let proposals = propose_until_failure(&storage, failing, failure);
            let acknowledged = proposals.acknowledged.len();
            assert!(
                acknowledged < usize::from(COMMANDS),
                "no write failed, although there were {ALL_WRITES}"
            );
            assert_recovers(storage, &proposals);
        }
    }
}

/// Lets a test hold writes up, and know of it.
struct Hold {
    /// A write has begun to wait.
    reached: Receiver<()>,
    /// Lets one write through; dropped, it lets all through.
    release: Sender<()>,
}

/// A hold, and what a write does that is subject to it.
fn hold() -> (Hold, impl FnMut() + Send + 'static) {
    let (reaches, reached) = crossbeam_channel::unbounded();
    let (release, released) = crossbeam_channel::unbounded::<()>();
    let wait = move || {
        let _ = reaches.send(());
        let _ = released.recv();
    };
    (Hold { reached, release }, wait)
}

#[test]
fn nothing_is_answered_before_its_write_is_on_disk() {
    let (hold, mut wait) = hold();
    let outcome = move || {
        wait();
        WriteOutcome::Done
    };
    let inner = MemoryStorage::new();
    let storage = FaultyStorage { inner, outcome };
    // It campaigns once, however long its vote is held up.
    let mut options = support::options(1, 1);
    support::steady(&mut options);
    let transport = Network::new(1).transport(NodeId(1));
    let node = Node::start(options, storage, transport, Journal::default()).unwrap();
    node.campaign().wait_timeout(TIMEOUT).unwrap();
    // The vote for itself: there is no leader until it is on disk.
    hold.reached.recv_timeout(TIMEOUT).unwrap();
    assert_eq!(node.state().leader, None);
    hold.release.send(()).unwrap();
    wait_for("a leader", || node.state().leader);
    hold.reached.recv_timeout(TIMEOUT).unwrap(); // Its empty entry.
    hold.release.send(()).unwrap();
    let ticket = node.submit("a");
    hold.reached.recv_timeout(TIMEOUT).unwrap();
    // The write waits, but the core does not: it answers, and it has not applied the command.
    let status = node.status().unwrap();
    assert_eq!(status.last_log.index.0, 2);
    assert!(!ticket.is_ended());
    assert!(status.applied_index.0 <= 1);
    hold.release.send(()).unwrap();
    assert_eq!(ticket.wait_timeout(TIMEOUT).unwrap().answer, 1);
}

/// Proposes until write number `blocking` waits; that write is lost in the end.
fn propose_until_block(storage: &MemoryStorage, blocking: u32) -> Proposals {
    let (hold, mut wait) = hold();
    let mut writes = 0;
    let outcome = move || {
        writes += 1;
        if writes != blocking {
            return WriteOutcome::Done;
        }
        wait();
        WriteOutcome::Lost
    };
    let inner = storage.clone();
    let node = start(FaultyStorage { inner, outcome });
    let mut is_blocked = false;
    let mut given = 0;
    let mut acknowledged = Vec::new();
    wait_for("an election or the block", || {
        is_blocked = hold.reached.try_recv().is_ok();
        (is_blocked || node.state().applied_index.0 > 0).then_some(())
    });
    while !is_blocked && given < COMMANDS {
        let ticket = node.submit(vec![given]);
        given += 1;
        wait_for("an answer or the block", || {
            is_blocked = hold.reached.try_recv().is_ok();
            (is_blocked || ticket.is_ended()).then_some(())
        });
        if is_blocked {
            // The core goes on, and acknowledges nothing that is not on disk.
            let last_log = node.status().unwrap().last_log;
            assert_eq!(last_log.index.0, u64::from(given) + 1);
            assert!(!ticket.is_ended());
        } else {
            assert!(ticket.wait().is_ok());
            acknowledged.push(vec![given - 1]);
        }
    }
    drop(hold);
    assert_stops_for_its_storage(&node);
    Proposals {
        given,
        acknowledged,
    }
}

#[test]
fn whichever_write_blocks_the_core_goes_on_and_what_was_acknowledged_is_recovered() {
    for blocking in 1..=ALL_WRITES {
        let storage = MemoryStorage::new();
        let proposals = propose_until_block(&storage, blocking);
        assert_recovers(storage, &proposals);
    }
}
