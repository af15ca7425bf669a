//! How the storage on disk deals with room: ahead of the journal's end, and behind what was compacted.
#![cfg(all(feature = "disk", unix))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bytes::Bytes;
use raft_driver_thread::raft_proto::{
    Compaction, Entries, EntriesBuilder, EntryId, EntryKind, Index, Membership, NodeId, Seq,
    SnapshotMeta, Term, Write,
};
use raft_driver_thread::storage::Storage;
use raft_driver_thread::storage::disk::DiskStorage;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn id(index: u64) -> EntryId {
    EntryId {
        index: Index(index),
        term: Term(1),
    }
}

fn entry(index: u64, payload: Vec<u8>) -> Entries {
    let mut entries = EntriesBuilder::new();
    let pushed = entries.push(id(index), EntryKind::Command, Bytes::from(payload));
    pushed.unwrap();
    entries.finish()
}

/// Writes entries, one a call, of these payloads.
fn write_all(storage: &mut DiskStorage, first: u64, payloads: impl Iterator<Item = Vec<u8>>) {
    for (index, payload) in (first..).zip(payloads) {
        let write = Write {
            seq: Seq(index),
            entries: entry(index, payload),
            ..Write::default()
        };
        storage.write(&[write]).unwrap();
    }
}

fn journals(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder.join("log")).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let mut files: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|end| end == "jnl"))
        .collect();
    files.sort();
    files
}

/// The room on the disk that the newest journal has.
fn journal_room(folder: &Path) -> u64 {
    let journal = fs::metadata(journals(folder).last().unwrap()).unwrap();
    journal.blocks() * 512
}

#[test]
fn what_is_written_goes_where_the_journal_has_room_already() {
    const PAYLOAD: usize = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let mut storage = DiskStorage::open(folder.path()).unwrap();
    storage.recover().unwrap();
    let mut ahead = 0;
    for index in 1..=200 {
        let payload = vec![7; PAYLOAD];
        write_all(&mut storage, index, [payload].into_iter());
        let written = index * PAYLOAD as u64;
        if journal_room(folder.path()) > written + 10 * PAYLOAD as u64 {
            ahead += 1;
        }
    }
    // A file that only holds what was written never has so much more.
    assert!(
        ahead > 120,
        "only {ahead} of 200 times there was room for more"
    );
}

#[test]
fn payloads_of_zeros_and_none_are_found_again_however_the_journal_was_filled() {
    const MIB: usize = 1 << 20;
    // More than a step of the filling, less, and a little around it.
    let sizes = [
        0,
        1,
        3 * MIB,
        10,
        MIB - 100,
        MIB,
        MIB + 100,
        4096,
        0,
        2 * MIB,
    ];
    let payload = |index: usize| match index % 3 {
        0 => vec![1; sizes[index % sizes.len()]],
        _ => vec![0; sizes[index % sizes.len()]],
    };
    let folder = tempfile::tempdir().unwrap();
    let mut expected = EntriesBuilder::new();
    for index in 0..40_usize {
        let (kind, payload) = (EntryKind::Command, Bytes::from(payload(index)));
        expected.push(id(index as u64 + 1), kind, payload).unwrap();
    }
    let mut storage = DiskStorage::open(folder.path()).unwrap();
    storage.recover().unwrap();
    write_all(&mut storage, 1, (0..20).map(payload));
    drop(storage);
    // A journal of an earlier process is gone on with, too.
    let mut storage = DiskStorage::open(folder.path()).unwrap();
    storage.recover().unwrap();
    write_all(&mut storage, 21, (20..40).map(payload));
    drop(storage);
    let mut storage = DiskStorage::open(folder.path()).unwrap();
    assert_eq!(storage.recover().unwrap().entries, expected.finish());
}

/// The bytes of all tables of the database.
fn tables(folder: &Path) -> u64 {
    let mut bytes = 0;
    for keyspace in fs::read_dir(folder.join("log/keyspaces")).unwrap() {
        let Ok(tables) = fs::read_dir(keyspace.unwrap().path().join("tables")) else {
            continue;
        };
        bytes += tables
            .map(|table| table.unwrap().metadata().unwrap().len())
            .sum::<u64>();
    }
    bytes
}

#[test]
fn what_was_compacted_is_not_written_into_a_table() {
    const PAYLOAD: usize = 1 << 20;
    let folder = tempfile::tempdir().unwrap();
    let mut storage = DiskStorage::open(folder.path()).unwrap();
    storage.recover().unwrap();
    let first = [vec![7; PAYLOAD]].into_iter().cycle();
    write_all(&mut storage, 1, first.take(40));
    let mut sink = storage.snapshots().create().unwrap();
    sink.write_all(b"state").unwrap();
    let snapshot = SnapshotMeta {
        id: sink.finish(id(39)).unwrap(),
        membership: Membership::new([NodeId(1)]),
    };
    let drop_through = Index(39);
    let compact = Some(Box::new(Compaction {
        snapshot,
        drop_through,
    }));
    let write = Write {
        seq: Seq(41),
        compact,
        ..Write::default()
    };
    storage.write(&[write]).unwrap();
    let begin = Instant::now();
    while tables(folder.path()) < PAYLOAD as u64 {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "no table was written"
        );
        std::thread::yield_now();
    }
    drop(storage);
    let bytes = tables(folder.path());
    assert!(bytes < 2 * PAYLOAD as u64, "{bytes} bytes are in tables");
    let mut storage = DiskStorage::open(folder.path()).unwrap();
    let recovered = storage.recover().unwrap();
    assert_eq!(recovered.entries, entry(40, vec![7; PAYLOAD]));
}
