//! The lab's interface: a channel of messages, snapshots that the service makes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use crossbeam_channel::Receiver;
use raft_driver_thread::lab::{ApplyMsg, CAPACITY, Raft};
use raft_driver_thread::raft_proto::{EntryId, LeaderNoop, NodeId};
use raft_driver_thread::storage::MemoryStorage;
use raft_driver_thread::transport::channel::Network;
use support::{LIMIT, until};

fn make(storage: &MemoryStorage) -> (Raft, Receiver<ApplyMsg>) {
    let mut options = support::options(1, 1);
    options.config.leader_noop = LeaderNoop::Off;
    options.config.trailing_entries = 0;
    let transport = Network::new(1).transport(NodeId(1));
    let made = Raft::make(options, storage.clone(), transport).unwrap();
    until("a lead", || made.0.get_state().1.then_some(()));
    made
}

fn start(raft: &Raft, command: &[u8]) -> EntryId {
    raft.start(command.to_vec()).unwrap()
}

fn command(id: EntryId, command: &[u8]) -> ApplyMsg {
    let command = command.to_vec();
    ApplyMsg::Command { id, command }
}

#[test]
fn commands_come_out_in_order_with_indexes_from_one() {
    let (raft, messages) = make(&MemoryStorage::new());
    for number in 1..=20_u8 {
        let id = start(&raft, &[number]);
        assert_eq!(id.index.0, u64::from(number));
        assert_eq!(
            messages.recv_timeout(LIMIT).unwrap(),
            command(id, &[number])
        );
    }
}

#[test]
fn after_a_restart_the_services_snapshot_comes_first_and_then_what_follows_it() {
    let storage = MemoryStorage::new();
    let (raft, messages) = make(&storage);
    let ids: Vec<EntryId> = (0..10_u8).map(|number| start(&raft, &[number])).collect();
    for _ in &ids {
        messages.recv_timeout(LIMIT).unwrap();
    }
    raft.snapshot(ids[6], b"the first seven").unwrap();
    // The log is compacted by the next write, which is on disk when its command comes out.
    let last = start(&raft, b"last");
    messages.recv_timeout(LIMIT).unwrap();
    raft.kill();
    let (raft, messages) = make(&storage);
    let data = b"the first seven".to_vec();
    let snapshot = ApplyMsg::Snapshot { last: ids[6], data };
    assert_eq!(messages.recv_timeout(LIMIT).unwrap(), snapshot);
    // With no entry of its own term, the new leader commits the old ones with its next command.
    let again = start(&raft, b"again");
    for number in 7..10_u8 {
        let id = ids[usize::from(number)];
        assert_eq!(
            messages.recv_timeout(LIMIT).unwrap(),
            command(id, &[number])
        );
    }
    for expected in [command(last, b"last"), command(again, b"again")] {
        assert_eq!(messages.recv_timeout(LIMIT).unwrap(), expected);
    }
}

#[test]
fn a_service_that_reads_nothing_does_not_keep_its_node_from_ending() {
    let (raft, messages) = make(&MemoryStorage::new());
    for number in 0..2 * CAPACITY as u32 {
        start(&raft, &number.to_le_bytes());
    }
    until("a full channel", || messages.is_full().then_some(()));
    let other = raft.clone();
    raft.kill();
    assert!(other.start("late").is_err());
    drop(other);
    assert_eq!(
        messages.iter().count(),
        CAPACITY,
        "what was in it can be read"
    );
}
