//! Storages keep to their contract, and damaged ones are refused.
#![cfg(feature = "disk")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use bytes::Bytes;
use raft_driver_thread::raft_proto::{
    ClusterId, Entries, EntriesBuilder, EntryId, EntryKind, GroupId, HardState, Identity, Index,
    Membership, NodeId, Recovered, Seq, Term, Write,
};
use raft_driver_thread::storage::disk::DiskStorage;
use raft_driver_thread::storage::{MemoryStorage, Snapshots, Storage, StorageError, conformance};
use std::fs;
use std::path::Path;
use std::sync::Arc;

#[test]
fn the_storage_in_memory_conforms() {
    let storage = MemoryStorage::new();
    conformance(|| Ok(storage.clone())).unwrap();
}

#[test]
fn the_storage_on_disk_conforms() {
    let folder = tempfile::tempdir().unwrap();
    conformance(|| DiskStorage::open(folder.path())).unwrap();
}

/// Does what a storage does, but for one thing.
struct Broken(MemoryStorage, fn(&mut Vec<Write>));

impl Storage for Broken {
    fn recover(&mut self) -> Result<Recovered, StorageError> {
        self.0.recover()
    }

    fn write(&mut self, writes: &[Write]) -> Result<(), StorageError> {
        let mut writes = writes.to_vec();
        (self.1)(&mut writes);
        self.0.write(&writes)
    }

    fn read_entries(
        &mut self,
        from: EntryId,
        to: EntryId,
        max_bytes: u64,
    ) -> Result<Option<Entries>, StorageError> {
        self.0.read_entries(from, to, max_bytes)
    }

    fn snapshots(&self) -> Arc<dyn Snapshots> {
        self.0.snapshots()
    }
}

#[test]
fn storages_that_forget_or_reorder_do_not_conform() {
    let breaks: [fn(&mut Vec<Write>); 6] = [
        |writes| writes.iter_mut().for_each(|write| write.hard_state = None),
        |writes| writes.iter_mut().for_each(|write| write.identity = None),
        |writes| writes.iter_mut().for_each(|write| write.compact = None),
        |writes| writes.iter_mut().for_each(|write| write.install = None),
        |writes| writes.reverse(),
        |writes| writes.truncate(1),
    ];
    for broken in breaks {
        let storage = MemoryStorage::new();
        conformance(|| Ok(Broken(storage.clone(), broken))).unwrap_err();
    }
}

fn entries(from: u64, count: u64) -> Entries {
    let mut entries = EntriesBuilder::new();
    for index in from..from + count {
        let id = EntryId {
            index: Index(index),
            term: Term(1),
        };
        let payload = Bytes::from(vec![index as u8; 100]);
        entries.push(id, EntryKind::Command, payload).unwrap();
    }
    entries.finish()
}

fn write(seq: u64) -> Write {
    let identity = Identity {
        cluster_id: ClusterId(7),
        group_id: GroupId(0),
        node_id: NodeId(1),
        bootstrap: Membership::new([NodeId(1)]),
    };
    Write {
        seq: Seq(seq),
        identity: (seq == 1).then(|| Box::new(identity)),
        hard_state: Some(HardState {
            term: Term(seq),
            voted_for: None,
        }),
        entries: entries(seq * 3 - 2, 3),
        ..Write::default()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let target = to.join(file.file_name());
        match file.file_type().unwrap().is_dir() {
            true => copy(&file.path(), &target),
            false => drop(fs::copy(file.path(), target).unwrap()),
        }
    }
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

const WRITES: u64 = 8;

/// A folder with `WRITES` acknowledged writes, as a killed process leaves it.
fn written(folder: &Path) -> Vec<Recovered> {
    let source = folder.join("source");
    let mut storage = DiskStorage::open(&source).unwrap();
    storage.recover().unwrap();
    let mut states = Vec::new();
    for seq in 1..=WRITES {
        storage.write(&[write(seq)]).unwrap();
        let killed = folder.join(format!("killed-{seq}"));
        copy(&source, &killed);
        let mut recovered = DiskStorage::open(&killed).unwrap();
        states.push(recovered.recover().unwrap());
    }
    copy(&source, &folder.join("copy"));
    states
}

#[test]
fn a_process_killed_after_any_write_finds_all_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let states = written(folder.path());
    for (seq, state) in (1..).zip(states) {
        assert_eq!(state.hard_state.term, Term(seq));
        assert_eq!(state.entries, entries(1, seq * 3));
    }
}

/// Whether the damaged folder is refused, or holds all that was acknowledged.
fn is_safe(folder: &Path, expected: &Recovered) -> bool {
    let opened = DiskStorage::open(folder);
    match opened.and_then(|mut storage| storage.recover()) {
        Ok(recovered) => recovered == *expected,
        Err(
            StorageError::Damaged { .. }
            | StorageError::Io { .. }
            | StorageError::UnknownVersion { .. },
        ) => true,
        Err(StorageError::InUse { .. } | StorageError::Contract(_) | StorageError::Other(_)) => {
            false
        }
    }
}

/// Opens copies of the folder in each of which one file has been changed by `change`, which is
/// given a place in the file.
fn with_each_file_changed(places: u64, change: impl Fn(&mut Vec<u8>, usize)) {
    let folder = tempfile::tempdir().unwrap();
    let expected = written(folder.path()).pop().unwrap();
    let source = folder.path().join("copy");
    for file in files(&source) {
        let whole = fs::read(&file).unwrap();
        // The journal is as long as it is made in advance; what was written is its beginning.
        let length = whole
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |at| at + 1);
        for place in 0..places {
            let at = (length as u64 * place / places) as usize;
            let mut bytes = whole.clone();
            change(&mut bytes, at);
            let damaged = folder.path().join("damaged");
            copy(&source, &damaged);
            let name = file.strip_prefix(&source).unwrap();
            fs::write(damaged.join(name), bytes).unwrap();
            assert!(is_safe(&damaged, &expected), "{} at {at}", name.display());
            fs::remove_dir_all(&damaged).unwrap();
        }
    }
}

#[test]
fn a_flipped_bit_is_recovered_from_or_refused() {
    with_each_file_changed(24, |bytes, at| {
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 0x10;
        }
    });
}

#[test]
fn a_file_cut_short_is_recovered_from_or_refused() {
    with_each_file_changed(24, |bytes, at| bytes.truncate(at));
}

#[test]
fn a_folder_is_opened_by_one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = DiskStorage::open(folder.path()).unwrap();
    let second = DiskStorage::open(folder.path()).unwrap_err();
    assert!(matches!(second, StorageError::InUse { .. }), "{second}");
    drop(first);
    DiskStorage::open(folder.path()).unwrap();
}

#[test]
fn a_folder_of_another_version_or_of_somebody_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("FORMAT"), "raft-driver-thread disk 99\n").unwrap();
    let newer = DiskStorage::open(folder.path()).unwrap_err();
    assert!(matches!(
        newer,
        StorageError::UnknownVersion { found: 99, .. }
    ));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("letter.txt"), "dear").unwrap();
    let other = DiskStorage::open(folder.path()).unwrap_err();
    assert!(matches!(other, StorageError::Damaged { .. }), "{other}");
}

/// Writes of several pages, and what there was before the last one.
fn torn(folder: &Path) -> (Recovered, Vec<u8>) {
    let mut storage = DiskStorage::open(folder).unwrap();
    storage.recover().unwrap();
    for seq in 1..=3 {
        let mut write = write(seq);
        let mut large = EntriesBuilder::new();
        let id = EntryId {
            index: Index(seq),
            term: Term(1),
        };
        let payload = Bytes::from(vec![seq as u8; 40_000]);
        large.push(id, EntryKind::Command, payload).unwrap();
        write.entries = large.finish();
        if seq == 3 {
            drop(storage);
            let mut before = DiskStorage::open(folder).unwrap();
            let recovered = before.recover().unwrap();
            let mark = fs::read(folder.join("mark")).unwrap();
            before.write(&[write]).unwrap();
            drop(before);
            // A page in the midst of it is not there.
            let journal = folder.join("log/0.jnl");
            let mut bytes = fs::read(&journal).unwrap();
            let begin = bytes.iter().position(|byte| *byte == 3).unwrap();
            let payload = bytes[begin..].windows(9).position(|it| it == [3; 9]);
            let page = (begin + payload.unwrap() + 10_000) & !4095;
            bytes[page..page + 4096].fill(0);
            fs::write(&journal, bytes).unwrap();
            return (recovered, mark);
        }
        storage.write(&[write]).unwrap();
    }
    unreachable!("the third is the last")
}

#[test]
fn a_write_that_a_power_failure_tore_within_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let (before, mark) = torn(folder.path());
    // It was not acknowledged.
    fs::write(folder.path().join("mark"), mark).unwrap();
    let mut storage = DiskStorage::open(folder.path()).unwrap();
    assert_eq!(storage.recover().unwrap(), before);
    // And what comes after it is found.
    let mut next = write(3);
    next.entries = entries(3, 1);
    storage.write(&[next]).unwrap();
    drop(storage);
    let mut storage = DiskStorage::open(folder.path()).unwrap();
    let last = storage.recover().unwrap().entries.last_id();
    assert_eq!(last.map(|id| id.index), Some(Index(3)));
}

/// The journal, but for the zeros at its end.
fn journal(folder: &Path) -> Vec<u8> {
    let mut bytes = fs::read(folder.join("log/0.jnl")).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes.truncate(end + 1);
    bytes
}

/// The names of what was left of mending a journal.
fn copies(folder: &Path) -> Vec<std::path::PathBuf> {
    let is_copy = |path: &std::path::PathBuf| path.to_str().unwrap().contains(".jnl.");
    files(folder).into_iter().filter(is_copy).collect()
}

#[test]
fn a_write_that_is_damaged_within_is_refused_and_left_as_it_is_if_it_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    torn(folder.path());
    let before = journal(folder.path());
    for _ in 0..2 {
        let refused = DiskStorage::open(folder.path()).unwrap_err();
        assert!(matches!(refused, StorageError::Damaged { .. }), "{refused}");
        assert!(journal(folder.path()) == before, "the journal changed");
        assert_eq!(copies(folder.path()), Vec::<std::path::PathBuf>::new());
    }
}

#[test]
fn what_was_dropped_of_a_torn_write_is_kept_beside() {
    let folder = tempfile::tempdir().unwrap();
    let (_, mark) = torn(folder.path());
    let before = journal(folder.path());
    fs::write(folder.path().join("mark"), mark).unwrap();
    DiskStorage::open(folder.path()).unwrap();
    let kept = folder.path().join("0.jnl.torn");
    assert_eq!(copies(folder.path()), vec![kept.clone()]);
    assert!(fs::read(kept).unwrap() == before);
}

#[test]
fn a_journal_whose_mending_was_interrupted_is_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (_, mark) = torn(folder.path());
    let before = journal(folder.path());
    // The copy was made, the end was cut, and the process killed.
    fs::write(folder.path().join("0.jnl.cutting"), &before).unwrap();
    let cut = before.split_last().unwrap().1;
    fs::write(folder.path().join("log/0.jnl"), cut).unwrap();
    let refused = DiskStorage::open(folder.path()).unwrap_err();
    assert!(matches!(refused, StorageError::Damaged { .. }), "{refused}");
    assert!(journal(folder.path()) == before, "the journal changed");
    fs::write(folder.path().join("mark"), mark).unwrap();
    DiskStorage::open(folder.path()).unwrap();
}

#[test]
fn damage_before_the_last_write_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    torn(folder.path());
    let path = folder.path().join("log/0.jnl");
    let mut bytes = fs::read(&path).unwrap();
    let payload = bytes.windows(9).position(|it| it == [1; 9]).unwrap();
    bytes[payload + 20_000] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let before = journal(folder.path());
    let refused = DiskStorage::open(folder.path()).unwrap_err();
    assert!(matches!(refused, StorageError::Damaged { .. }), "{refused}");
    assert!(journal(folder.path()) == before, "the journal changed");
    assert_eq!(copies(folder.path()), Vec::<std::path::PathBuf>::new());
}
