//! Storages keep their contract, and damaged ones are recovered or refused.
#![cfg(feature = "disk")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bytes::Bytes;
use raft_driver_thread::raft_proto::{
    ClusterId, Entries, EntriesBuilder, EntryId, EntryKind, GroupId, HardState, Identity, Index,
    Membership, NodeId, Recovered, Seq, Term, Write,
};
use raft_driver_thread::storage::disk::{DiskStorage, inspect};
use raft_driver_thread::storage::{MemoryStorage, Snapshots, Storage, StorageError, conformance};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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

/// A storage that breaks the contract: each call of `write` is changed before it is executed.
struct Broken {
    inner: MemoryStorage,
    change: fn(&mut Vec<Write>),
}

impl Storage for Broken {
    fn recover(&mut self) -> Result<Recovered, StorageError> {
        self.inner.recover()
    }

    fn write(&mut self, writes: &[Write]) -> Result<(), StorageError> {
        let mut writes = writes.to_vec();
        (self.change)(&mut writes);
        self.inner.write(&writes)
    }

    fn read_entries(
        &mut self,
        from: EntryId,
        to: EntryId,
        max_bytes: u64,
    ) -> Result<Option<Entries>, StorageError> {
        self.inner.read_entries(from, to, max_bytes)
    }

    fn snapshots(&self) -> Arc<dyn Snapshots> {
        self.inner.snapshots()
    }
}

#[test]
fn storages_that_forget_or_reorder_do_not_conform() {
    let changes: [fn(&mut Vec<Write>); 6] = [
        |writes| writes.iter_mut().for_each(|write| write.hard_state = None),
        |writes| writes.iter_mut().for_each(|write| write.identity = None),
        |writes| writes.iter_mut().for_each(|write| write.compact = None),
        |writes| writes.iter_mut().for_each(|write| write.install = None),
        |writes| writes.reverse(),
        |writes| writes.truncate(1),
    ];
    for change in changes {
        let storage = MemoryStorage::new();
        let open = || {
            let inner = storage.clone();
            Ok(Broken { inner, change })
        };
        conformance(open).unwrap_err();
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
        incarnation: None,
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

/// How many zeros at the end of a file are kept in a copy. A journal has 64 MiB of them: it would
/// take most of the time to copy and to read these again and again.
const MAX_ZEROS: u64 = 4 << 20;

/// A copy of a file.
#[derive(Clone)]
struct FileCopy {
    /// Within the folder.
    name: PathBuf,
    /// Without the zeros at the end.
    bytes: Vec<u8>,
    length: u64,
}

impl FileCopy {
    fn read(folder: &Path, path: &Path) -> FileCopy {
        let mut bytes = fs::read(path).unwrap();
        let length = bytes.len() as u64;
        bytes.truncate(length_without_zeros(&bytes));
        let length = length.min(bytes.len() as u64 + MAX_ZEROS);
        FileCopy {
            name: path.strip_prefix(folder).unwrap().to_owned(),
            bytes,
            length,
        }
    }

    fn write(&self, folder: &Path) {
        let path = folder.join(&self.name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &self.bytes).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_len(self.length).unwrap();
    }
}

fn length_without_zeros(bytes: &[u8]) -> usize {
    const ZEROS: [u8; 4096] = [0; 4096];
    // Compared by pages, as an unoptimized loop over all bytes takes seconds.
    let mut length = bytes.len();
    while bytes[..length].ends_with(&ZEROS) {
        length -= ZEROS.len();
    }
    let last = bytes[..length].iter().rposition(|byte| *byte != 0);
    last.map_or(0, |at| at + 1)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A copy of a folder. The database needs its empty subfolders as well.
struct FolderCopy {
    files: Vec<FileCopy>,
    subfolders: Vec<PathBuf>,
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let inside = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    let mut found: Vec<_> = inside.filter(|path| path.is_dir()).collect();
    let below: Vec<_> = found.iter().flat_map(|path| subfolders(path)).collect();
    found.extend(below);
    found
}

impl FolderCopy {
    fn read(folder: &Path) -> FolderCopy {
        let paths = files(folder).into_iter();
        let relative = |path: PathBuf| path.strip_prefix(folder).unwrap().to_owned();
        FolderCopy {
            files: paths.map(|path| FileCopy::read(folder, &path)).collect(),
            subfolders: subfolders(folder).into_iter().map(relative).collect(),
        }
    }

    fn write(&self, folder: &Path) {
        for subfolder in &self.subfolders {
            fs::create_dir_all(folder.join(subfolder)).unwrap();
        }
        for file in &self.files {
            file.write(folder);
        }
    }
}

const WRITES: u64 = 8;

/// What processes leave that are killed after 1, 2 .. `WRITES` acknowledged writes.
fn killed_after_each_write() -> Vec<FolderCopy> {
    let folder = tempfile::tempdir().unwrap();
    let mut storage = DiskStorage::open(folder.path()).unwrap();
    storage.recover().unwrap();
    let killed = (1..=WRITES).map(|seq| {
        storage.write(&[write(seq)]).unwrap();
        FolderCopy::read(folder.path())
    });
    killed.collect()
}

fn recover(folder: &FolderCopy) -> Recovered {
    let written = tempfile::tempdir().unwrap();
    folder.write(written.path());
    let mut storage = DiskStorage::open(written.path()).unwrap();
    storage.recover().unwrap()
}

#[test]
fn a_process_killed_after_any_write_recovers_all_that_was_acknowledged() {
    for (seq, folder) in (1..).zip(killed_after_each_write()) {
        let recovered = recover(&folder);
        assert_eq!(recovered.hard_state.term, Term(seq));
        assert_eq!(recovered.entries, entries(1, seq * 3));
    }
}

/// Whether a damaged folder is refused, or all that was acknowledged is recovered from it.
fn is_safe(folder: &Path, expected: &Recovered) -> bool {
    let opened = DiskStorage::open(folder);
    match opened.and_then(|mut storage| storage.recover()) {
        Ok(recovered) => recovered == *expected,
        Err(StorageError::Damaged { .. } | StorageError::UnknownVersion { .. }) => true,
        Err(error) => panic!("{error}"),
    }
}

/// In how many places each file is damaged, and how many threads do so: to open a folder is mostly
/// waiting.
const PLACES: usize = 24;
const THREADS: usize = 8;

/// Damages each file in several places, each in a copy of the folder of its own, and opens the
/// copies.
fn assert_safe_after(damage: impl Fn(&mut FileCopy, usize) + Sync) {
    let folder = killed_after_each_write().pop().unwrap();
    let expected = recover(&folder);
    let mut places = Vec::new();
    for file in &folder.files {
        let mut offsets: Vec<_> = (0..PLACES)
            .map(|place| file.bytes.len() * place / PLACES)
            .collect();
        offsets.dedup(); // A short file has fewer.
        places.extend(offsets.into_iter().map(|at| (file, at)));
    }
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((file, at)) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
            let copy = tempfile::tempdir().unwrap();
            folder.write(copy.path());
            let mut damaged = (*file).clone();
            damage(&mut damaged, *at);
            damaged.write(copy.path());
            let name = damaged.name.display();
            assert!(is_safe(copy.path(), &expected), "{name} at {at}");
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(work);
        }
    });
}

#[test]
fn a_flipped_bit_is_recovered_from_or_refused() {
    assert_safe_after(|file, at| {
        if let Some(byte) = file.bytes.get_mut(at) {
            *byte ^= 0x10;
        }
    });
}

#[test]
fn a_file_cut_short_is_recovered_from_or_refused() {
    assert_safe_after(|file, at| {
        file.bytes.truncate(at);
        file.length = at as u64;
    });
}

#[test]
fn a_folder_is_open_once_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = DiskStorage::open(folder.path()).unwrap();
    let second = DiskStorage::open(folder.path()).unwrap_err();
    assert!(matches!(second, StorageError::InUse { .. }), "{second}");
    drop(first);
    DiskStorage::open(folder.path()).unwrap();
}

#[test]
fn a_folder_of_another_version_or_with_foreign_files_is_refused() {
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

/// A folder whose last write, of several pages, lacks a page in its middle.
struct Torn {
    folder: tempfile::TempDir,
    /// What was recovered before that write.
    before: Recovered,
    /// The acknowledged mark as it was before it.
    mark: Vec<u8>,
}

impl Torn {
    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn segment(&self) -> PathBuf {
        self.path().join("log/0000000000000001.log")
    }

    /// Makes the torn write one that was never acknowledged.
    fn put_mark_back(&self) {
        fs::write(self.path().join("mark"), &self.mark).unwrap();
    }

    fn open(&self) -> Result<DiskStorage, StorageError> {
        DiskStorage::open(self.path())
    }

    /// Refused, with nothing changed.
    fn assert_refused_unchanged(&self) -> String {
        let read = || {
            let read = |path: PathBuf| (fs::read(&path).unwrap(), path);
            files(self.path()).into_iter().map(read).collect::<Vec<_>>()
        };
        let before = read();
        let refused = self.open().unwrap_err();
        assert!(matches!(refused, StorageError::Damaged { .. }), "{refused}");
        let problems = inspect(self.path(), |_| ()).unwrap().problems;
        assert!(
            refused.to_string().contains(&problems[0].what),
            "{problems:?}"
        );
        assert!(read() == before, "the folder changed");
        refused.to_string()
    }
}

/// One entry of ten pages.
fn large_write(seq: u64) -> Write {
    let mut entries = EntriesBuilder::new();
    let id = EntryId {
        index: Index(seq),
        term: Term(1),
    };
    let payload = Bytes::from(vec![seq as u8; 40_000]);
    entries.push(id, EntryKind::Command, payload).unwrap();
    Write {
        entries: entries.finish(),
        ..write(seq)
    }
}

fn torn() -> Torn {
    let folder = tempfile::tempdir().unwrap();
    let mut storage = DiskStorage::open(folder.path()).unwrap();
    storage.recover().unwrap();
    for seq in 1..=2 {
        storage.write(&[large_write(seq)]).unwrap();
    }
    drop(storage);
    let mut storage = DiskStorage::open(folder.path()).unwrap();
    let before = storage.recover().unwrap();
    let mark = fs::read(folder.path().join("mark")).unwrap();
    storage.write(&[large_write(3)]).unwrap();
    drop(storage);
    let torn = Torn {
        folder,
        before,
        mark,
    };
    let mut bytes = fs::read(torn.segment()).unwrap();
    let page = (payload_of(3, &bytes) + 10_000) & !4095;
    bytes[page..page + 4096].fill(0);
    fs::write(torn.segment(), bytes).unwrap();
    torn
}

/// Where the payload of large write `seq` is in the segment.
fn payload_of(seq: u8, segment: &[u8]) -> usize {
    let found = segment.windows(9).position(|bytes| bytes == [seq; 9]);
    found.unwrap()
}

#[test]
fn a_torn_write_that_was_not_acknowledged_is_dropped() {
    let torn = torn();
    torn.put_mark_back();
    assert!(inspect(torn.path(), |_| ()).unwrap().is_torn);
    let mut storage = torn.open().unwrap();
    assert_eq!(storage.recover().unwrap(), torn.before);
    // The log goes on from there.
    let mut next = write(3);
    next.entries = entries(3, 1);
    storage.write(&[next]).unwrap();
    drop(storage);
    assert!(!inspect(torn.path(), |_| ()).unwrap().is_torn);
    let mut storage = torn.open().unwrap();
    let last = storage.recover().unwrap().entries.last_id();
    assert_eq!(last.map(|id| id.index), Some(Index(3)));
}

#[test]
fn a_torn_write_that_was_acknowledged_is_refused_however_often_it_is_opened() {
    let torn = torn();
    for _ in 0..2 {
        let refused = torn.assert_refused_unchanged();
        assert!(refused.contains("entries 3 to 3"), "{refused}");
    }
}

#[test]
fn damage_before_the_last_write_is_refused_and_changes_nothing() {
    // However old the mark is: the writes after it say that they were synced.
    for is_mark_old in [false, true] {
        let torn = torn();
        if is_mark_old {
            torn.put_mark_back();
        }
        let mut bytes = fs::read(torn.segment()).unwrap();
        let at = payload_of(1, &bytes) + 20_000;
        bytes[at] ^= 1;
        fs::write(torn.segment(), &bytes).unwrap();
        let refused = torn.assert_refused_unchanged();
        assert!(refused.contains("entries 1 to 1"), "{refused}");
    }
}

#[test]
fn a_folder_of_the_version_before_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("FORMAT"), "raft-driver-thread disk 1\n").unwrap();
    let refused = DiskStorage::open(folder.path()).unwrap_err().to_string();
    assert!(
        refused.contains("let it join the cluster anew"),
        "{refused}"
    );
    assert_eq!(files(folder.path()).len(), 1, "nothing is made");
}

#[test]
fn errors_of_the_system_are_told_apart_and_say_what_to_do() {
    let io = |number| StorageError::io("write x", std::io::Error::from_raw_os_error(number));
    // ENOSPC, EROFS, EACCES, EMFILE, EIO.
    let errors = [28, 30, 13, 24, 5].map(io);
    assert!(matches!(errors[0], StorageError::NoSpace { .. }));
    assert!(matches!(errors[1], StorageError::ReadOnly { .. }));
    assert!(matches!(errors[2], StorageError::PermissionDenied { .. }));
    assert!(matches!(errors[3], StorageError::TooManyOpenFiles { .. }));
    assert!(matches!(errors[4], StorageError::Io { .. }));
    let advice = [
        "Make room",
        "for writing",
        "the right to read",
        "ulimit -n",
        "write x",
    ];
    for (error, advice) in errors.iter().zip(advice) {
        assert!(error.to_string().contains(advice), "{error}");
    }
}
