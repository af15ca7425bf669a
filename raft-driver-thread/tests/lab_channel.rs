//! The lab's interface: a channel of messages, and snapshots that the service makes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use crossbeam_channel::Receiver;
use raft_driver_thread::lab::{ApplyMsg, CAPACITY, Raft};
use raft_driver_thread::raft_proto::{EntryId, LeaderNoop, NodeId};
use raft_driver_thread::storage::MemoryStorage;
use raft_driver_thread::transport::channel::Network;
use support::{TIMEOUT, wait_for};

fn make(storage: &MemoryStorage) -> (Raft, Receiver<ApplyMsg>) {
    let mut options = support::options(1, 1);
    options.config.leader_noop = LeaderNoop::Off;
    options.config.trailing_entries = 0;
    let transport = Network::new(1).transport(NodeId(1));
    let (raft, messages) = Raft::make(options, storage.clone(), transport).unwrap();
    wait_for("the node to lead", || {
        let (_term, is_leader) = raft.get_state();
        is_leader.then_some(())
    });
    (raft, messages)
}

fn start(raft: &Raft, command: &[u8]) -> EntryId {
    raft.start(command.to_vec()).unwrap()
}

fn message(id: EntryId, command: &[u8]) -> ApplyMsg {
    let command = command.to_vec();
    ApplyMsg::Command { id, command }
}

#[test]
fn commands_are_received_in_order_with_indexes_from_one() {
    let (raft, messages) = make(&MemoryStorage::new());
    for number in 1..=20_u8 {
        let id = start(&raft, &[number]);
        assert_eq!(id.index.0, u64::from(number));
        assert_eq!(
            messages.recv_timeout(TIMEOUT).unwrap(),
            message(id, &[number])
        );
    }
}

#[test]
fn after_a_restart_the_services_snapshot_is_received_and_then_the_commands_after_it() {
    let storage = MemoryStorage::new();
    let (raft, messages) = make(&storage);
    let ids: Vec<EntryId> = (0..10_u8).map(|number| start(&raft, &[number])).collect();
    for _ in &ids {
        messages.recv_timeout(TIMEOUT).unwrap();
    }
    raft.snapshot(ids[6], b"the first seven").unwrap();
    // The next write compacts the log, and is on disk when its command is received.
    let last = start(&raft, b"last");
    messages.recv_timeout(TIMEOUT).unwrap();
    raft.kill();
    let (raft, messages) = make(&storage);
    let data = b"the first seven".to_vec();
    let snapshot = ApplyMsg::Snapshot { last: ids[6], data };
    assert_eq!(messages.recv_timeout(TIMEOUT).unwrap(), snapshot);
    // Without a no-op entry, a new leader commits earlier terms' entries only with its first
    // command.
    let again = start(&raft, b"again");
    for number in 7..10_u8 {
        let id = ids[usize::from(number)];
        assert_eq!(
            messages.recv_timeout(TIMEOUT).unwrap(),
            message(id, &[number])
        );
    }
    for expected in [message(last, b"last"), message(again, b"again")] {
        assert_eq!(messages.recv_timeout(TIMEOUT).unwrap(), expected);
    }
}

#[test]
fn a_service_that_receives_nothing_does_not_keep_its_node_from_stopping() {
    let (raft, messages) = make(&MemoryStorage::new());
    for number in 0..2 * CAPACITY as u32 {
        start(&raft, &number.to_le_bytes());
    }
    wait_for("the channel to be full", || {
        messages.is_full().then_some(())
    });
    let other = raft.clone();
    raft.kill();
    assert!(other.start("late").is_err());
    drop(other);
    let received = messages.iter().count();
    assert_eq!(received, CAPACITY, "the messages in the channel are kept");
}
