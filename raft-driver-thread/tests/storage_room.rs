//! How the storage on disk uses space: the journal is preallocated, and compacted entries are not
//! written again.
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

/// Writes entries with these payloads, one a call.
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

/// The bytes that are allocated on the disk for the newest journal.
fn allocated(folder: &Path) -> u64 {
    let journal = fs::metadata(journals(folder).last().unwrap()).unwrap();
    journal.blocks() * 512
}

#[test]
fn writes_go_where_the_journal_is_preallocated() {
    const PAYLOAD: usize = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let mut storage = DiskStorage::open(folder.path()).unwrap();
    storage.recover().unwrap();
    let mut preallocated = 0;
    for index in 1..=200 {
        let payload = vec![7; PAYLOAD];
        write_all(&mut storage, index, [payload].into_iter());
        let written = index * PAYLOAD as u64;
        if allocated(folder.path()) > written + 10 * PAYLOAD as u64 {
            preallocated += 1;
        }
    }
    // A file that holds only what was written never has so much more.
    assert!(
        preallocated > 120,
        "only {preallocated} of 200 times there was space for ten more"
    );
}

#[test]
fn empty_payloads_and_payloads_of_zeros_are_recovered_from_a_preallocated_journal() {
    const MIB: usize = 1 << 20;
    // Longer than a step of the preallocation, shorter, and about as long.
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
    let payload = |index: usize| {
        let byte = u8::from(index.is_multiple_of(3));
        vec![byte; sizes[index % sizes.len()]]
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
    // The journal of an earlier process is continued.
    let mut storage = DiskStorage::open(folder.path()).unwrap();
    storage.recover().unwrap();
    write_all(&mut storage, 21, (20..40).map(payload));
    drop(storage);
    let mut storage = DiskStorage::open(folder.path()).unwrap();
    assert_eq!(storage.recover().unwrap().entries, expected.finish());
}

/// The bytes of all tables of the database.
fn table_bytes(folder: &Path) -> u64 {
    let keyspaces = fs::read_dir(folder.join("log/keyspaces")).unwrap();
    // A keyspace has no folder for tables before it has one.
    let tables = keyspaces.filter_map(|keyspace| {
        let tables = keyspace.unwrap().path().join("tables");
        fs::read_dir(tables).ok()
    });
    let length = |table: std::io::Result<fs::DirEntry>| table.unwrap().metadata().unwrap().len();
    tables.flatten().map(length).sum()
}

#[test]
fn compacted_entries_are_not_written_into_a_table() {
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
    while table_bytes(folder.path()) < PAYLOAD as u64 {
        let is_late = begin.elapsed() > Duration::from_secs(60);
        assert!(!is_late, "no table was written");
        std::thread::yield_now();
    }
    drop(storage);
    let bytes = table_bytes(folder.path());
    assert!(bytes < 2 * PAYLOAD as u64, "{bytes} bytes are in tables");
    let mut storage = DiskStorage::open(folder.path()).unwrap();
    let recovered = storage.recover().unwrap();
    assert_eq!(recovered.entries, entry(40, vec![7; PAYLOAD]));
}
