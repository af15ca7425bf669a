//! What is noted beside a snapshot, whose work its state is, lives as long as the snapshot.
#![cfg(feature = "disk")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use raft_driver_thread::raft_proto::{
    Compaction, EntriesBuilder, EntryId, EntryKind, HardState, Index, Membership, NodeId, Seq,
    SnapshotId, SnapshotMeta, Term, Write,
};
use raft_driver_thread::storage::disk::DiskStorage;
use raft_driver_thread::storage::{MemoryStorage, Snapshots, Storage};
use std::path::{Path, PathBuf};

fn make(snapshots: &dyn Snapshots, last: u64) -> SnapshotId {
    let mut sink = snapshots.create().unwrap();
    sink.write_all(b"a state").unwrap();
    sink.finish(EntryId::new(last, 1)).unwrap()
}

/// A log of three entries, of which a snapshot is stored.
fn write_all<S: Storage>(storage: &mut S, snapshot: SnapshotId) {
    let mut entries = EntriesBuilder::new();
    for index in 1..=3 {
        let id = EntryId::new(index, 1);
        entries.push(id, EntryKind::Command, "x".into()).unwrap();
    }
    let membership = Membership::new([NodeId(1)]);
    let hard_state = HardState {
        term: Term(1),
        voted_for: None,
    };
    let appended = Write {
        seq: Seq(1),
        hard_state: Some(hard_state),
        entries: entries.finish(),
        ..Write::default()
    };
    let compacted = Write {
        seq: Seq(2),
        compact: Some(Box::new(Compaction {
            snapshot: SnapshotMeta {
                id: snapshot,
                membership,
            },
            drop_through: Index(2),
        })),
        ..Write::default()
    };
    storage.write(&[appended, compacted]).unwrap();
}

fn recovered<S: Storage>(mut storage: S) -> S {
    storage.recover().unwrap();
    storage
}

/// Returns the snapshot that is recovered. Its origin is node 9.
fn check<S: Storage>(open: impl Fn() -> S) -> SnapshotId {
    let mut storage = recovered(open());
    let snapshots = storage.snapshots();
    let (kept, other) = (make(&*snapshots, 2), make(&*snapshots, 3));
    assert_eq!(snapshots.origin(kept), None);
    snapshots.set_origin(kept, NodeId(7)).unwrap();
    snapshots.set_origin(other, NodeId(u64::MAX)).unwrap();
    assert_eq!(snapshots.origin(kept), Some(NodeId(7)));
    assert_eq!(snapshots.origin(other), Some(NodeId(u64::MAX)));
    write_all(&mut storage, kept);
    drop((storage, snapshots));
    let storage = recovered(open());
    let snapshots = storage.snapshots();
    assert_eq!(snapshots.origin(kept), Some(NodeId(7)));
    assert_eq!(snapshots.origin(other), None, "nothing has named it");
    snapshots.set_origin(kept, NodeId(9)).unwrap();
    drop((storage, snapshots));
    let storage = recovered(open());
    assert_eq!(storage.snapshots().origin(kept), Some(NodeId(9)));
    let released = make(&*storage.snapshots(), 3);
    let snapshots = storage.snapshots();
    snapshots.set_origin(released, NodeId(5)).unwrap();
    snapshots.release(released);
    assert_eq!(snapshots.origin(released), None);
    kept
}

#[test]
fn a_note_lives_as_long_as_its_snapshot() {
    let memory = MemoryStorage::new();
    check(|| memory.clone());
    let folder = tempfile::tempdir().unwrap();
    check(|| DiskStorage::open(folder.path()).unwrap());
}

fn notes(folder: &Path) -> Vec<PathBuf> {
    let names = std::fs::read_dir(folder.join("snapshots")).unwrap();
    let paths = names.map(|name| name.unwrap().path());
    let is_note = |path: &PathBuf| path.extension().is_some_and(|it| it == "origin");
    paths.filter(is_note).collect()
}

#[test]
fn a_note_that_is_damaged_or_gone_says_nothing_and_the_folder_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let open = || recovered(DiskStorage::open(folder.path()).unwrap());
    let snapshot = check(|| DiskStorage::open(folder.path()).unwrap());
    let found = notes(folder.path());
    let [note] = &found[..] else {
        panic!("{found:?}");
    };
    let whole = std::fs::read(note).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        std::fs::write(note, damaged).unwrap();
        assert_eq!(open().snapshots().origin(snapshot), None, "byte {at}");
        // Torn.
        std::fs::write(note, &whole[..at]).unwrap();
        assert_eq!(open().snapshots().origin(snapshot), None, "{at} bytes");
    }
    std::fs::write(note, &whole).unwrap();
    assert_eq!(open().snapshots().origin(snapshot), Some(NodeId(9)));
    // That of another snapshot says nothing of this one.
    std::fs::remove_file(note).unwrap();
    assert_eq!(open().snapshots().origin(snapshot), None);
    let storage = open();
    let other = make(&*storage.snapshots(), 3);
    storage.snapshots().set_origin(other, NodeId(5)).unwrap();
    let of_other = notes(folder.path());
    std::fs::rename(&of_other[0], note).unwrap();
    assert_eq!(storage.snapshots().origin(snapshot), None);
}
