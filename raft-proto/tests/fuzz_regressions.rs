//! What the fuzzers found, one test each.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

use raft_proto::*;

fn config() -> Config {
    let voters = [NodeId(1)];
    Config::new(ClusterId(7), NodeId(1), Start::voters(voters), 0)
}

/// A storage with a snapshot that ends at `last`.
fn stored(config: &Config, last: EntryId) -> Recovered {
    let members = match &config.start {
        Start::Bootstrap { members } => members.clone(),
        Start::Join => Vec::new(),
    };
    let membership = Membership::of(members);
    Recovered {
        identity: Some(Identity {
            cluster_id: config.cluster_id,
            group_id: config.group_id,
            node_id: config.node_id,
            bootstrap: membership.clone(),
        }),
        hard_state: HardState {
            term: last.term,
            voted_for: None,
        },
        snapshot: Some(SnapshotMeta {
            id: SnapshotId {
                last,
                size: 0,
                checksum: Checksum::of(&[]),
            },
            membership,
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
    let config = config();
    let full = stored(&config, EntryId::new(Index::MAX.0, 5));
    let mut raft = Raft::new(config, full).unwrap();
    raft.step(at(0, Input::Tick));
    raft.step(at(2, Input::Tick));
    raft.step(at(2, Input::Persisted { seq: Seq(1) }));
    assert_eq!(raft.role(), RoleKind::Leader);
    assert_eq!(raft.last_log().index, Index::MAX);
}

/// A chunk that covers `length` of the bytes of a snapshot of zeros.
fn chunk(term: u64, last: EntryId, size: u64, length: usize) -> Input {
    let voters = [NodeId(1), NodeId(2)];
    let message = Message::InstallSnapshot(Box::new(InstallSnapshot {
        term: Term(term),
        snapshot: SnapshotMeta {
            id: SnapshotId {
                last,
                size,
                checksum: Checksum::of(&vec![0; size as usize]),
            },
            membership: Membership::new(voters),
        },
        offset: 0,
        data: vec![0; length].into(),
    }));
    let from = NodeId(2);
    Input::Receive { from, message }
}

fn chunks_to_write(actions: &[Action]) -> Vec<usize> {
    let length = |action: &Action| match action {
        Action::WriteSnapshot { data, .. } => Some(data.len()),
        _ => None,
    };
    actions.iter().filter_map(length).collect()
}

fn written(last: EntryId, size: u64) -> Input {
    Input::SnapshotWritten {
        snapshot: SnapshotId {
            last,
            size,
            checksum: Checksum::of(&vec![0; size as usize]),
        },
        offset: 0,
        result: Ok(()),
    }
}

#[test]
fn an_answer_for_a_chunk_is_not_taken_for_another_chunks() {
    let mut raft = Raft::new(config(), Recovered::default()).unwrap();
    let last = EntryId::new(4, 1);
    raft.step(at(0, Input::Tick));
    let first = raft.step(at(0, chunk(1, last, 18, 16)));
    assert_eq!(chunks_to_write(&first), [16]);
    // The next leader sends the whole while the first chunk is still being written: it waits.
    let second = raft.step(at(0, chunk(2, last, 18, 18)));
    assert_eq!(chunks_to_write(&second), []);
    raft.step(at(0, written(last, 18)));
    assert_eq!(raft.snapshot(), None);
    let again = raft.step(at(0, chunk(2, last, 18, 18)));
    assert_eq!(chunks_to_write(&again), [18]);
}

#[test]
fn a_snapshot_that_is_being_installed_is_not_overwritten() {
    let mut raft = Raft::new(config(), Recovered::default()).unwrap();
    let last = EntryId::new(4, 1);
    raft.step(at(0, Input::Tick));
    raft.step(at(0, chunk(1, last, 3, 3)));
    raft.step(at(0, written(last, 3)));
    // The write that installs it is under way when a newer one begins.
    let newer = EntryId::new(9, 1);
    let actions = raft.step(at(0, chunk(1, newer, 5, 5)));
    assert_eq!(chunks_to_write(&actions), []);
    raft.step(at(0, Input::Persisted { seq: Seq(2) }));
    let actions = raft.step(at(0, chunk(1, newer, 5, 5)));
    assert_eq!(chunks_to_write(&actions), [5]);
}
