//! The simulated disk keeps what it has promised to keep, and nothing else.
#![allow(clippy::expect_used)] // A test may.

use bytes::Bytes;
use raft_proto::{
    Checksum, Compaction, Entries, EntriesBuilder, EntryId, EntryKind, HardState, Index, Install,
    InstalledLog, Membership, NodeId, Seq, SnapshotId, SnapshotMeta, SnapshotReadFailed,
    SnapshotWriteFailed, Term, Write,
};
use raft_sim::disk::{Disk, DiskError};
use raft_sim::random::Random;
use std::collections::BTreeSet;

/// Entries `first ..= last` of `term`.
fn entries(first: u64, last: u64, term: u64) -> Entries {
    let mut builder = EntriesBuilder::new();
    for index in first..=last {
        let payload = Bytes::from(format!("{index}@{term}"));
        let pushed = builder.push(EntryId::new(index, term), EntryKind::Command, payload);
        pushed.expect("they are consecutive");
    }
    builder.finish()
}

fn append(seq: u64, first: u64, last: u64, term: u64) -> Write {
    Write {
        seq: Seq(seq),
        entries: entries(first, last, term),
        ..Write::default()
    }
}

fn meta(index: u64, term: u64, data: &[u8]) -> SnapshotMeta {
    SnapshotMeta {
        id: SnapshotId {
            last: EntryId::new(index, term),
            size: data.len() as u64,
            checksum: Checksum::of(data),
        },
        membership: Membership::new([NodeId(0)]),
    }
}

fn recovered_ids(disk: &Disk) -> Vec<EntryId> {
    let recovered = disk.recover();
    recovered.entries.iter().map(|entry| entry.id()).collect()
}

#[test]
fn a_crash_keeps_every_prefix_of_unsynced_writes_now_and_then_and_never_less_than_was_synced() {
    let mut kept = BTreeSet::new();
    let mut random = Random::new(1, "crashes");
    for _ in 0..200 {
        let mut disk = Disk::new();
        for seq in 1..=5 {
            disk.write(append(seq, seq, seq, 1)).expect("in order");
        }
        disk.persist(Seq(2)).expect("issued");
        assert_eq!(disk.recover().entries.len(), 2);
        disk.crash(&mut random).expect("all writes are sound");
        kept.insert(disk.recover().entries.len());
    }
    assert_eq!(kept, BTreeSet::from([2, 3, 4, 5]));
}

#[test]
fn entries_replace_everything_from_their_first_index_on() {
    let mut disk = Disk::new();
    disk.write(append(1, 1, 5, 1)).expect("in order");
    disk.write(append(2, 3, 3, 2)).expect("in order");
    disk.persist(Seq(2)).expect("issued");
    let expected = [(1, 1), (2, 1), (3, 2)].map(|(index, term)| EntryId::new(index, term));
    assert_eq!(recovered_ids(&disk), expected);

    // The size of the state does not depend on how the log was divided into writes.
    let mut other = Disk::new();
    other.write(append(1, 1, 2, 1)).expect("in order");
    other.write(append(2, 3, 3, 2)).expect("in order");
    other.persist(Seq(2)).expect("issued");
    assert_eq!(disk.state_bytes(), other.state_bytes());
}

#[test]
fn a_write_that_would_leave_a_gap_or_come_out_of_order_is_a_breach() {
    let mut disk = Disk::new();
    let error = disk.write(append(2, 1, 1, 1)).expect_err("1 comes first");
    assert!(matches!(error, DiskError::SeqOutOfOrder { .. }), "{error}");
    disk.write(append(1, 2, 2, 1)).expect("in order");
    let error = disk.persist(Seq(1)).expect_err("entry 1 is missing");
    assert!(matches!(error, DiskError::Gap { .. }), "{error}");
    let error = disk.persist(Seq(9)).expect_err("never issued");
    assert!(matches!(error, DiskError::NeverIssued { .. }), "{error}");
}

#[test]
fn a_compaction_cuts_the_log_and_keeps_the_snapshot_that_a_restart_needs() {
    let mut disk = Disk::new();
    disk.write(append(1, 1, 10, 1)).expect("in order");
    disk.persist(Seq(1)).expect("issued");
    let full = disk.state_bytes();
    let (first, second) = (meta(4, 1, b"four"), meta(8, 1, b"eight"));
    disk.store_snapshot(first.id, Bytes::from("four"));
    let compaction = |seq, snapshot: &SnapshotMeta, drop_through| Write {
        seq: Seq(seq),
        compact: Some(Box::new(Compaction {
            snapshot: snapshot.clone(),
            drop_through: Index(drop_through),
        })),
        ..Write::default()
    };
    disk.write(compaction(2, &first, 2)).expect("in order");
    disk.persist(Seq(2)).expect("the snapshot is there");
    assert_eq!(recovered_ids(&disk).first(), Some(&EntryId::new(3, 1)));

    // The second compaction is not durable yet, so a crash needs the first snapshot, and reports it
    // if it is gone.
    disk.store_snapshot(second.id, Bytes::from("eight"));
    disk.write(compaction(3, &second, 8)).expect("in order");
    assert_eq!(disk.read_snapshot(first.id, 1, 2), Ok(Bytes::from("ou")));
    let mut crashed = disk.clone();
    crashed.crash_after(Seq(2)).expect("nothing to lose");
    assert_eq!(crashed.recover().snapshot, Some(first.clone()));
    assert!(crashed.recovered_snapshot().is_some());
    let mut hasty = disk.clone();
    hasty.release_snapshot(first.id);
    hasty.crash_after(Seq(2)).expect("nothing to lose");
    assert!(hasty.has_lost_its_snapshot());

    disk.persist(Seq(3)).expect("the snapshot is there");
    disk.release_snapshot(first.id);
    let gone = disk.read_snapshot(first.id, 1, 2);
    assert_eq!(gone, Err(SnapshotReadFailed::Gone));
    assert_eq!(disk.recover().snapshot, Some(second));
    assert!(disk.state_bytes() < full);
}

#[test]
fn a_compaction_to_a_snapshot_that_is_not_stored_is_a_breach() {
    let mut disk = Disk::new();
    let compact = Compaction {
        snapshot: meta(1, 1, b"one"),
        drop_through: Index(1),
    };
    let write = Write {
        seq: Seq(1),
        compact: Some(Box::new(compact)),
        entries: entries(1, 1, 1),
        ..Write::default()
    };
    disk.write(write).expect("in order");
    let error = disk.persist(Seq(1)).expect_err("no bytes");
    assert!(matches!(error, DiskError::NoSuchSnapshot(_)), "{error}");
}

fn install(seq: u64, snapshot: &SnapshotMeta, log: InstalledLog) -> Write {
    Write {
        seq: Seq(seq),
        install: Some(Box::new(Install {
            snapshot: snapshot.clone(),
            log,
        })),
        ..Write::default()
    }
}

#[test]
fn an_install_takes_the_received_file_and_keeps_or_drops_the_log_as_told() {
    let data = Bytes::from("a received snapshot");
    let snapshot = meta(3, 1, &data);
    for (log, left) in [(InstalledLog::KeepsTail, 2), (InstalledLog::IsDropped, 0)] {
        let mut disk = Disk::new();
        disk.write(append(1, 1, 5, 1)).expect("in order");
        let chunk = |from: usize, to: usize| data.slice(from..to);
        let written = disk.write_snapshot(snapshot.id, 0, &chunk(0, 10));
        assert_eq!(written, Ok(()));
        // A chunk that does not continue the file is refused.
        let jumped = disk.write_snapshot(snapshot.id, 12, &chunk(12, 19));
        assert_eq!(jumped, Err(SnapshotWriteFailed));
        let written = disk.write_snapshot(snapshot.id, 10, &chunk(10, 19));
        assert_eq!(written, Ok(()));
        disk.write(install(2, &snapshot, log)).expect("it is whole");
        // Another transfer may begin before the first one is durable.
        let other = meta(9, 2, b"another");
        let written = disk.write_snapshot(other.id, 0, &Bytes::from("ano"));
        assert_eq!(written, Ok(()));
        disk.persist(Seq(2)).expect("it is whole");
        assert_eq!(disk.snapshot(snapshot.id), Some(&data));
        assert_eq!(disk.recover().snapshot, Some(snapshot.clone()));
        assert_eq!(disk.recover().entries.len(), left);
    }
}

#[test]
fn an_install_of_a_file_that_is_not_whole_is_a_breach() {
    let snapshot = meta(3, 1, b"whole");
    let mut disk = Disk::new();
    let written = disk.write_snapshot(snapshot.id, 0, &Bytes::from("who"));
    assert_eq!(written, Ok(()));
    let write = install(1, &snapshot, InstalledLog::IsDropped);
    let error = disk.write(write).expect_err("two bytes are missing");
    assert_eq!(error, DiskError::NoSuchSnapshot(snapshot.id));
}

#[test]
fn term_and_vote_survive_with_the_write_that_carried_them() {
    let vote = |seq: u64, term: u64| Write {
        seq: Seq(seq),
        hard_state: Some(HardState {
            term: Term(term),
            voted_for: Some(NodeId(term)),
        }),
        ..Write::default()
    };
    let mut disk = Disk::new();
    disk.write(vote(1, 1)).expect("in order");
    disk.write(vote(2, 2)).expect("in order");
    disk.crash_after(Seq(1)).expect("issued");
    assert_eq!(disk.recover().hard_state.term, Term(1));
    assert_eq!(disk.recover().hard_state.voted_for, Some(NodeId(1)));
    // The next incarnation counts its writes from 1 again.
    disk.write(vote(1, 3)).expect("in order");
    disk.persist(Seq(1)).expect("issued");
    assert_eq!(disk.recover().hard_state.term, Term(3));
}
