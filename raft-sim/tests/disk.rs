//! Disks whose process is killed, or whose machine loses power, or that cannot be read.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use bytes::Bytes;
use proptest::prelude::*;
use raft_proto::{
    Checksum, EntriesBuilder, EntryId, EntryKind, Seq, SnapshotId, SnapshotReadFailed, Write,
};
use raft_sim::disk::Disk;
use raft_sim::random::Random;
use std::collections::BTreeSet;

/// A write of the entry `seq`.
fn write(seq: u64) -> Write {
    let mut entries = EntriesBuilder::new();
    let payload = Bytes::from(format!("entry {seq}"));
    let pushed = entries.push(EntryId::new(seq, 1), EntryKind::Command, payload);
    pushed.expect("it is the first");
    Write {
        seq: Seq(seq),
        entries: entries.finish(),
        ..Write::default()
    }
}

/// A disk with `synced` writes that are durable and `unsynced` more that are pending.
fn disk(synced: u64, unsynced: u64) -> Disk {
    let mut disk = Disk::new();
    for seq in 1..=synced + unsynced {
        disk.write(write(seq)).expect("in order");
    }
    disk.persist(Seq(synced)).expect("issued");
    disk
}

fn entries(disk: &Disk) -> u64 {
    let recovered = disk.recover();
    let ids: Vec<u64> = recovered
        .entries
        .iter()
        .map(|entry| entry.id().index.0)
        .collect();
    assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>());
    ids.len() as u64
}

proptest! {
    #[test]
    fn the_writes_of_a_killed_process_are_there_when_the_next_one_opens_its_storage(
        synced in 0_u64..6,
        unsynced in 0_u64..6,
    ) {
        let mut disk = disk(synced, unsynced);
        disk.kill();
        // Until then a reader of the device itself would not find them.
        prop_assert_eq!(entries(&disk), synced);
        disk.open().unwrap();
        prop_assert_eq!(entries(&disk), synced + unsynced);
    }

    #[test]
    fn opening_syncs_the_writes_and_no_crash_loses_them(
        synced in 0_u64..6,
        unsynced in 0_u64..6,
        seed: u64,
    ) {
        let mut disk = disk(synced, unsynced);
        disk.kill();
        disk.open().unwrap();
        // The next process counts its writes from 1.
        prop_assert_eq!((disk.issued(), disk.persisted()), (Seq(0), Seq(0)));
        disk.crash(&mut Random::new(seed, "crash")).unwrap();
        prop_assert_eq!(entries(&disk), synced + unsynced);
    }

    #[test]
    fn a_power_loss_takes_no_more_than_what_was_unsynced(
        synced in 0_u64..6,
        unsynced in 0_u64..6,
        is_killed: bool,
        times in 1..3,
        seed: u64,
    ) {
        let mut disk = disk(synced, unsynced);
        let mut random = Random::new(seed, "power");
        if is_killed {
            disk.kill();
        }
        for _ in 0..times {
            disk.lose_power(&mut random);
        }
        disk.open().unwrap();
        prop_assert!((synced..=synced + unsynced).contains(&entries(&disk)));
    }
}

#[test]
fn a_power_loss_after_a_kill_may_leave_any_prefix_of_what_was_unsynced() {
    let mut random = Random::new(1, "power");
    let (mut left, mut torn) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..200 {
        let mut disk = disk(2, 3);
        disk.kill();
        let is_torn = disk.lose_power(&mut random);
        disk.open().unwrap();
        left.insert(entries(&disk));
        // A write that is there as a whole is not torn.
        torn.insert((is_torn, entries(&disk) == 5));
    }
    assert_eq!(left, BTreeSet::from([2, 3, 4, 5]));
    let possible = [(false, false), (false, true), (true, false)];
    assert_eq!(torn, BTreeSet::from(possible));
}

#[test]
fn reads_fail_while_they_are_made_to_fail_and_lose_nothing() {
    let mut disk = disk(3, 0);
    let data = Bytes::from("three entries");
    let id = SnapshotId {
        last: EntryId::new(3, 1),
        size: data.len() as u64,
        checksum: Checksum::of(&data),
    };
    disk.store_snapshot(id, data.clone());
    let (first, last) = (EntryId::new(1, 1), EntryId::new(3, 1));
    disk.reads_fail = true;
    assert_eq!(disk.read_entries(first, last, u64::MAX), None);
    let failed = Err(SnapshotReadFailed::Failed);
    assert_eq!(disk.read_snapshot(id, 0, id.size), failed);
    disk.reads_fail = false;
    let read = disk
        .read_entries(first, last, u64::MAX)
        .expect("they are there");
    assert_eq!(read.len(), 3);
    assert_eq!(disk.read_snapshot(id, 0, id.size), Ok(data));
}
