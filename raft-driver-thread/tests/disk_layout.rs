//! The bytes of a folder of [`DiskStorage`] change only together with its version, so that a
//! folder of another release is refused by name, and never read as what it is not.
//!
//! After a change that is meant to change them: raise the version in `disk/folder.rs`, and run this
//! test with `UPDATE_GOLDENFILES=1`.
#![cfg(feature = "disk")]
#![allow(clippy::unwrap_used, clippy::panic)]

use bytes::Bytes;
use raft_driver_thread::raft_proto::{
    ClusterId, Compaction, EntriesBuilder, EntryId, EntryKind, GroupId, HardState, HistoryId,
    Identity, Incarnation, Index, Level, Member, Membership, NodeId, Recovered, Seq, SnapshotMeta,
    Term, Write,
};
use raft_driver_thread::storage::disk::files::System;
use raft_driver_thread::storage::disk::{DiskOptions, DiskStorage};
use raft_driver_thread::storage::{Storage, StorageError};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

/// The version whose bytes are kept.
const VERSION: u64 = 3;
const KEPT: &str = "tests/layouts/disk_3.txt";

fn open(folder: &Path) -> Result<DiskStorage, StorageError> {
    let options = DiskOptions {
        segment_bytes: DiskOptions::LEAST_SEGMENT_BYTES,
        incarnation: Some(0x1234_5678_9abc_def0_0fed_cba9_8765_4321),
        ..DiskOptions::default()
    };
    DiskStorage::open_with(Arc::new(System), folder, options)
}

fn id(index: u64) -> EntryId {
    EntryId {
        index: Index(index),
        term: Term(2),
    }
}

/// A configuration with everything that one may have.
fn membership() -> Membership {
    let first = Member::voter(NodeId(1)).with_incarnation(Incarnation(0x11));
    let second = Member::learner(NodeId(2)).with_context("10.0.0.2:7000");
    Membership::of([first, second, Member::staging(NodeId(3))])
        .with_history(HistoryId(0x77))
        .with_level(Level::of_service(5))
}

/// What a node of this release writes: an identity, entries of all kinds, a snapshot.
fn fill(folder: &Path) -> Recovered {
    let mut storage = open(folder).unwrap();
    storage.recover().unwrap();
    let mut entries = EntriesBuilder::new();
    for (index, kind, payload) in [
        (1, EntryKind::Membership, membership().encode()),
        (2, EntryKind::Noop, Bytes::new()),
        (3, EntryKind::Command, Bytes::from_static(b"set a 1")),
    ] {
        entries.push(id(index), kind, payload).unwrap();
    }
    let identity = Identity {
        cluster_id: ClusterId(7),
        group_id: GroupId(3),
        node_id: NodeId(1),
        bootstrap: membership(),
        incarnation: Some(Incarnation(0x11)),
    };
    let first = Write {
        seq: Seq(1),
        identity: Some(Box::new(identity)),
        hard_state: Some(HardState {
            term: Term(2),
            voted_for: Some(NodeId(1)),
        }),
        entries: entries.finish(),
        ..Write::default()
    };
    storage.write(&[first]).unwrap();
    let mut sink = storage.snapshots().create().unwrap();
    sink.write_all(b"a = 1").unwrap();
    let snapshot = SnapshotMeta {
        id: sink.finish(id(2)).unwrap(),
        membership: membership(),
    };
    let drop_through = Index(1);
    let second = Write {
        seq: Seq(2),
        compact: Some(Box::new(Compaction {
            snapshot,
            drop_through,
        })),
        ..Write::default()
    };
    storage.write(&[second]).unwrap();
    drop(storage);
    open(folder).unwrap().recover().unwrap()
}

/// The files that a restart reads, in rows of 32 bytes that are not all 0.
fn text(folder: &Path) -> String {
    let mut text = String::new();
    for name in ["FORMAT", "mark", "log/0000000000000001.log"] {
        let bytes = fs::read(folder.join(name)).unwrap();
        writeln!(text, "{name} {}", bytes.len()).unwrap();
        for (row, bytes) in bytes.chunks(32).enumerate() {
            if bytes.iter().any(|byte| *byte != 0) {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                writeln!(text, "  {:5} {hex}", row * 32).unwrap();
            }
        }
    }
    text
}

#[test]
fn the_bytes_of_a_folder_change_only_with_its_version() {
    let folder = tempfile::tempdir().unwrap();
    let recovered = fill(folder.path());
    assert_eq!(recovered.entries.iter().count(), 2);
    let snapshot = recovered.snapshot.unwrap();
    assert_eq!(snapshot.membership, membership());
    assert_eq!(recovered.identity.unwrap().bootstrap, membership());
    let found = text(folder.path());
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        fs::write(KEPT, &found).unwrap();
    }
    let kept = fs::read_to_string(KEPT).unwrap();
    assert!(
        found == kept,
        "the layout has changed: raise the version of the folder.\n{found}"
    );
    let format = fs::read_to_string(folder.path().join("FORMAT")).unwrap();
    let line = format!("raft-driver-thread disk {VERSION}\n");
    assert!(format.starts_with(&line), "{format}");
}

/// Versions before this one kept configurations without a level, and identities without an
/// incarnation.
#[test]
fn a_folder_of_every_version_before_is_refused_by_name() {
    for version in 1..VERSION {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path());
        let path = folder.path().join("FORMAT");
        let format = fs::read_to_string(&path).unwrap();
        let (now, then) = (format!("disk {VERSION}\n"), format!("disk {version}\n"));
        fs::write(&path, format.replace(&now, &then)).unwrap();
        let refused = open(folder.path()).unwrap_err();
        assert!(
            matches!(refused, StorageError::UnknownVersion { found, known, .. }
                if found == version && known == VERSION),
            "{refused}"
        );
        let says = refused.to_string();
        assert!(says.contains("start the release that wrote it"), "{says}");
    }
}
