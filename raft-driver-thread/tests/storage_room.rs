//! How the storage on disk uses space: segments are preallocated, deleted, and used again.
#![cfg(all(feature = "disk", unix))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bytes::Bytes;
use raft_driver_thread::raft_proto::{
    Compaction, Entries, EntriesBuilder, EntryId, EntryKind, Index, Membership, NodeId, Seq,
    SnapshotMeta, Term, Write,
};
use raft_driver_thread::storage::Storage;
use raft_driver_thread::storage::disk::files::System;
use raft_driver_thread::storage::disk::{DiskOptions, DiskStorage};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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

/// The files of the log, by name.
fn log_files(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder.join("log")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

/// The bytes that are allocated on the disk for the log.
fn allocated(folder: &Path) -> u64 {
    let blocks = |path: PathBuf| fs::metadata(path).unwrap().blocks();
    log_files(folder).into_iter().map(blocks).sum::<u64>() * 512
}

#[test]
fn writes_go_where_space_is_reserved() {
    const PAYLOAD: usize = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let mut storage = DiskStorage::open(folder.path()).unwrap();
    storage.recover().unwrap();
    for index in 1..=200 {
        let payload = vec![7; PAYLOAD];
        write_all(&mut storage, index, [payload].into_iter());
        let written = index * PAYLOAD as u64;
        // A file that holds only what was written never has so much more.
        let reserved = allocated(folder.path());
        assert!(
            reserved > written + 1000 * PAYLOAD as u64,
            "{reserved} after {index}"
        );
    }
}

#[test]
fn empty_payloads_and_payloads_of_zeros_are_recovered_from_a_preallocated_segment() {
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
    // The segment of an earlier process is continued.
    let mut storage = DiskStorage::open(folder.path()).unwrap();
    storage.recover().unwrap();
    write_all(&mut storage, 21, (20..40).map(payload));
    drop(storage);
    let mut storage = DiskStorage::open(folder.path()).unwrap();
    assert_eq!(storage.recover().unwrap().entries, expected.finish());
}

/// Writes these entries, of one MiB each, and compacts the log through the last but one.
fn write_and_compact(storage: &mut DiskStorage, first: u64, last: u64) {
    const PAYLOAD: usize = 1 << 20;
    let payload = [vec![7; PAYLOAD]].into_iter().cycle();
    write_all(storage, first, payload.take((last - first + 1) as usize));
    let mut sink = storage.snapshots().create().unwrap();
    sink.write_all(b"state").unwrap();
    let snapshot = SnapshotMeta {
        id: sink.finish(id(last - 1)).unwrap(),
        membership: Membership::new([NodeId(1)]),
    };
    let drop_through = Index(last - 1);
    let compact = Some(Box::new(Compaction {
        snapshot,
        drop_through,
    }));
    let write = Write {
        seq: Seq(last + 1),
        compact,
        ..Write::default()
    };
    storage.write(&[write]).unwrap();
}

#[test]
fn segments_without_entries_are_deleted_and_one_is_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let options = DiskOptions {
        segment_bytes: 4 << 20,
        ..DiskOptions::default()
    };
    let open = || DiskStorage::open_with(Arc::new(System), folder.path(), options).unwrap();
    let mut storage = open();
    storage.recover().unwrap();
    let inodes = || -> Vec<u64> {
        let inode = |path: PathBuf| fs::metadata(path).unwrap().ino();
        log_files(folder.path()).into_iter().map(inode).collect()
    };
    write_and_compact(&mut storage, 1, 21);
    // The newest segment, perhaps the one with the last entry, and the spare one.
    let before = inodes();
    assert!(before.len() <= 3, "{:?}", log_files(folder.path()));
    write_and_compact(&mut storage, 22, 28);
    let after = inodes();
    assert!(after.len() <= 3, "{:?}", log_files(folder.path()));
    assert!(
        after.iter().any(|inode| before.contains(inode)),
        "{before:?} {after:?}"
    );
    drop(storage);
    let mut storage = open();
    let recovered = storage.recover().unwrap();
    assert_eq!(recovered.entries, entry(28, vec![7; 1 << 20]));
    assert_eq!(recovered.snapshot.unwrap().id.last, id(27));
}

#[test]
fn a_write_longer_than_a_segment_gets_one_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let options = DiskOptions {
        segment_bytes: 1 << 20,
        ..DiskOptions::default()
    };
    let open = || DiskStorage::open_with(Arc::new(System), folder.path(), options).unwrap();
    let mut storage = open();
    storage.recover().unwrap();
    let payloads = [100, 3 << 20, 200].map(|length| vec![7; length]);
    write_all(&mut storage, 1, payloads.into_iter());
    drop(storage);
    let mut storage = open();
    let recovered = storage.recover().unwrap().entries;
    let lengths: Vec<_> = recovered
        .iter()
        .map(|entry| entry.payload().len())
        .collect();
    assert_eq!(lengths, [100, 3 << 20, 200]);
}

#[test]
fn only_the_owner_may_read_and_write() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("made/here");
    let mut storage = DiskStorage::open(&folder).unwrap();
    storage.recover().unwrap();
    write_and_compact(&mut storage, 1, 2);
    let mut found = 0;
    let mut folders = vec![outer.path().join("made")];
    while let Some(next) = folders.pop() {
        for file in fs::read_dir(&next).unwrap() {
            let path = file.unwrap().path();
            let mode = fs::metadata(&path).unwrap().mode() & 0o777;
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode, expected, "{}", path.display());
            found += 1;
            folders.extend(Some(path).filter(|path| path.is_dir()));
        }
    }
    // `here`, two folders in it, and a segment, a snapshot, the mark, the format, the lock.
    assert_eq!(found, 8);
}
