//! Defects that the fuzzers found, one test each.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod support;

use raft_proto::*;
use std::collections::VecDeque;
use support::identity;

fn config() -> Config {
    let voters = [NodeId(1)];
    Config::new(ClusterId(7), NodeId(1), Start::voters(voters), 0)
}

/// The snapshot that ends at `last` and consists of `size` zeros.
fn zeros(last: EntryId, size: u64) -> SnapshotId {
    SnapshotId {
        last,
        size,
        checksum: Checksum::of(&vec![0; size as usize]),
    }
}

/// A storage with an empty snapshot that ends at `last`.
fn stored(last: EntryId) -> Recovered {
    Recovered {
        identity: Some(identity(1, [1])),
        hard_state: HardState {
            term: last.term,
            voted_for: None,
        },
        snapshot: Some(SnapshotMeta {
            id: zeros(last, 0),
            membership: Membership::new([NodeId(1)]),
        }),
        ..Recovered::default()
    }
}

fn at(seconds: u64, input: Input) -> Event {
    let at = Time(seconds * 1_000_000_000);
    Event { at, input }
}

#[test]
fn a_leader_with_a_full_log_appends_no_empty_entry() {
    let full = stored(EntryId::new(Index::MAX.0, 5));
    let mut raft = Raft::new(config(), full).unwrap();
    raft.step(at(0, Input::Tick));
    raft.step(at(2, Input::Tick));
    raft.step(at(2, Input::Persisted { seq: Seq(1) }));
    assert_eq!(raft.role(), RoleKind::Leader);
    assert_eq!(raft.last_log().index, Index::MAX);
}

/// A chunk with the first `length` bytes of a snapshot of zeros.
fn chunk(term: u64, last: EntryId, size: u64, length: usize) -> Input {
    let voters = [NodeId(1), NodeId(2)];
    let message = Message::InstallSnapshot(Box::new(InstallSnapshot {
        term: Term(term),
        snapshot: SnapshotMeta {
            id: zeros(last, size),
            membership: Membership::new(voters),
        },
        offset: 0,
        data: vec![0; length].into(),
    }));
    let from = NodeId(2);
    Input::Receive {
        from,
        message,
        incarnation: None,
    }
}

/// The lengths of the chunks that are to be written.
fn chunks_to_write(actions: &[Action]) -> Vec<usize> {
    let length = |action: &Action| match action {
        Action::WriteSnapshot { data, .. } => Some(data.len()),
        _ => None,
    };
    actions.iter().filter_map(length).collect()
}

fn written(last: EntryId, size: u64) -> Input {
    Input::SnapshotWritten {
        snapshot: zeros(last, size),
        offset: 0,
        result: Ok(()),
    }
}

#[test]
fn the_report_of_a_written_chunk_is_not_taken_for_that_of_another_chunk() {
    let mut raft = Raft::new(config(), Recovered::default()).unwrap();
    let last = EntryId::new(4, 1);
    raft.step(at(0, Input::Tick));
    let first = raft.step(at(0, chunk(1, last, 18, 16)));
    assert_eq!(chunks_to_write(&first), [16]);
    // The next leader sends the whole snapshot while the first chunk is still being written. The
    // node does not take it yet.
    let second = raft.step(at(0, chunk(2, last, 18, 18)));
    assert_eq!(chunks_to_write(&second), []);
    raft.step(at(0, written(last, 18)));
    assert_eq!(raft.snapshot(), None);
    let again = raft.step(at(0, chunk(2, last, 18, 18)));
    assert_eq!(chunks_to_write(&again), [18]);
}

#[test]
fn the_partial_file_is_not_overwritten_while_it_is_being_installed() {
    let mut raft = Raft::new(config(), Recovered::default()).unwrap();
    let last = EntryId::new(4, 1);
    raft.step(at(0, Input::Tick));
    raft.step(at(0, chunk(1, last, 3, 3)));
    raft.step(at(0, written(last, 3)));
    // The write that installs the snapshot is under way when the chunk of a newer one arrives.
    let newer = EntryId::new(9, 1);
    let actions = raft.step(at(0, chunk(1, newer, 5, 5)));
    assert_eq!(chunks_to_write(&actions), []);
    raft.step(at(0, Input::Persisted { seq: Seq(2) }));
    // Nor before the service has read it.
    let actions = raft.step(at(0, chunk(1, newer, 5, 5)));
    assert_eq!(chunks_to_write(&actions), []);
    raft.step(at(0, Input::Applied { index: last.index }));
    let actions = raft.step(at(0, chunk(1, newer, 5, 5)));
    assert_eq!(chunks_to_write(&actions), [5]);
}

/// The storage still holds a log of before its snapshot, as one may that writes the two apart. What
/// the node writes continues the snapshot.
#[test]
fn a_write_never_continues_a_log_that_the_snapshot_wins_over() {
    for (first, term) in [(3, 1), (18, 1)] {
        let mut old = EntriesBuilder::new();
        for index in first..first + 5 {
            let id = EntryId::new(index, term);
            old.push(id, EntryKind::Command, "x = 1".into()).unwrap();
        }
        let mut storage = stored(EntryId::new(20, 2));
        storage.entries = old.finish();
        let mut raft = Raft::new(config(), storage.clone()).unwrap();
        let mut events = VecDeque::from([at(0, Input::Tick), at(2, Input::Tick)]);
        while let Some(event) = events.pop_front() {
            for action in raft.step(event) {
                if let Action::Persist(write) = action {
                    storage.apply(&write);
                    events.push_back(at(2, Input::Persisted { seq: write.seq }));
                }
            }
        }
        let again = Raft::new(config(), storage).unwrap();
        let state = |raft: &Raft| (raft.term(), raft.last_log());
        assert_eq!(state(&again), state(&raft), "a log from {first} on");
    }
}
