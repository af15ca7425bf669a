//! What has decayed in a folder is found while it is in use, and what the storage itself changes
//! meanwhile is not taken for decay.
#![cfg(all(feature = "disk", unix))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bytes::Bytes;
use raft_driver_thread::raft_proto::{
    Compaction, Entries, EntriesBuilder, EntryId, EntryKind, Index, Membership, NodeId, Seq,
    SnapshotId, SnapshotMeta, Term, Write,
};
use raft_driver_thread::storage::disk::files::{FileHandle, Files, Purpose, System};
use raft_driver_thread::storage::disk::{DiskOptions, DiskStorage};
use raft_driver_thread::storage::{Decay, Pace, Rate, Storage};
use std::ffi::OsString;
use std::fs;
use std::io::{self, IoSlice, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SEGMENT_BYTES: u64 = 8 << 10;

fn id(index: u64) -> EntryId {
    EntryId {
        index: Index(index),
        term: Term(1),
    }
}

fn entry(index: u64) -> Entries {
    let payload = Bytes::from(vec![index as u8 | 0x80; 500]);
    let mut entries = EntriesBuilder::new();
    entries
        .push(id(index), EntryKind::Command, payload)
        .unwrap();
    entries.finish()
}

/// A storage in use.
struct InUse {
    storage: DiskStorage,
    next: u64,
}

impl InUse {
    fn open(files: Arc<dyn Files>, folder: &Path) -> InUse {
        let options = DiskOptions {
            segment_bytes: SEGMENT_BYTES,
            ..DiskOptions::default()
        };
        let mut storage = DiskStorage::open_with(files, folder, options).unwrap();
        storage.recover().unwrap();
        InUse { storage, next: 1 }
    }

    /// Appends entries, in a write each.
    fn append(&mut self, count: u64) {
        for _ in 0..count {
            let write = Write {
                seq: Seq(self.next),
                entries: entry(self.next),
                ..Write::default()
            };
            self.storage.write(&[write]).unwrap();
            self.next += 1;
        }
    }

    fn make_snapshot(&self, last: u64) -> SnapshotId {
        let mut sink = self.storage.snapshots().create().unwrap();
        sink.write_all(&[last as u8; 3000]).unwrap();
        sink.finish(id(last)).unwrap()
    }

    /// Makes a snapshot of all entries but the last three, and drops them.
    fn compact(&mut self) -> SnapshotId {
        let snapshot = self.make_snapshot(self.next - 1);
        let compaction = Compaction {
            snapshot: SnapshotMeta {
                id: snapshot,
                membership: Membership::new([NodeId(1)]),
            },
            drop_through: Index(self.next - 4),
        };
        let write = Write {
            seq: Seq(1 << 30),
            compact: Some(Box::new(compaction)),
            ..Write::default()
        };
        self.storage.write(&[write]).unwrap();
        snapshot
    }
}

/// A folder with four segments, the last of them active.
fn folder() -> (tempfile::TempDir, InUse) {
    let folder = tempfile::tempdir().unwrap();
    let mut in_use = InUse::open(Arc::new(System), folder.path());
    in_use.append(20);
    assert_eq!(segments(folder.path()).len(), 4);
    (folder, in_use)
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder.join("log")).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let mut files: Vec<_> = files.filter(|it| it.extension().is_some()).collect();
    files.sort();
    files
}

/// Does something when it is asked, and knows how many bytes it was asked for.
struct Asked<F> {
    bytes: AtomicU64,
    times: AtomicU64,
    then: Mutex<F>,
}

impl<F: FnMut(u64) -> bool + Send + 'static> Asked<F> {
    /// `then` is given how many times it was asked before.
    fn then(then: F) -> Arc<Asked<F>> {
        Arc::new(Asked {
            bytes: AtomicU64::new(0),
            times: AtomicU64::new(0),
            then: Mutex::new(then),
        })
    }
}

impl<F: FnMut(u64) -> bool + Send + 'static> Pace for Asked<F> {
    fn allows(&self, bytes: u64) -> bool {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let before = self.times.fetch_add(1, Ordering::Relaxed);
        let mut then = self.then.lock().unwrap();
        (*then)(before)
    }
}

fn pass(storage: &DiskStorage, pace: Arc<dyn Pace>) -> Vec<Decay> {
    let mut found = Vec::new();
    let scrub = storage.scrub().unwrap();
    scrub.pass(pace, &mut |decay| found.push(decay)).unwrap();
    found
}

fn pass_at_once(storage: &DiskStorage) -> Vec<Decay> {
    pass(storage, Asked::then(|_| true))
}

fn flip_bit(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn each_bit_that_flips_in_a_sealed_segment_is_found_with_its_place_and_its_entries() {
    let (folder, in_use) = folder();
    assert_eq!(pass_at_once(&in_use.storage), Vec::new());
    for segment in &segments(folder.path())[..3] {
        let bytes = fs::read(segment).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        for at in (0..end).step_by(97) {
            flip_bit(segment, at);
            let found = pass_at_once(&in_use.storage);
            let [decay] = &found[..] else {
                panic!("byte {at}: {found:?}");
            };
            assert_eq!(&decay.damage.path, segment, "byte {at}");
            assert!(decay.is_readable && decay.snapshot.is_none());
            let (begin, length) = decay.damage.bytes.unwrap();
            let place = begin..begin + length;
            assert!(place.contains(&(at as u64)), "byte {at}: {place:?}");
            let is_payload = bytes[at] > 0x80 && bytes[at] == bytes[at + 1];
            if at > 4096 && is_payload {
                let index = Index(u64::from(bytes[at] & 0x7f));
                assert_eq!(decay.damage.entries, Some((index, index)), "byte {at}");
            }
            flip_bit(segment, at);
        }
    }
}

#[test]
fn the_segment_that_is_written_to_is_left_out() {
    let (folder, in_use) = folder();
    let active = segments(folder.path()).pop().unwrap();
    // In its first record, of which it is known that it was synced.
    flip_bit(&active, 4096 + 100);
    assert_eq!(pass_at_once(&in_use.storage), Vec::new());
}

#[test]
fn of_the_segment_that_is_written_to_the_header_is_read() {
    let (folder, in_use) = folder();
    let active = segments(folder.path()).pop().unwrap();
    flip_bit(&active, 30);
    let found = pass_at_once(&in_use.storage);
    let told: Vec<_> = found.iter().map(|decay| &decay.damage.path).collect();
    assert_eq!(told, [&active]);
}

#[test]
fn a_bit_that_flips_in_a_snapshot_is_found() {
    let (folder, mut in_use) = folder();
    let snapshot = in_use.compact();
    assert_eq!(pass_at_once(&in_use.storage), Vec::new());
    let path = fs::read_dir(folder.path().join("snapshots")).unwrap();
    let path = path.map(|file| file.unwrap().path()).next().unwrap();
    flip_bit(&path, 2999);
    let found = pass_at_once(&in_use.storage);
    let [decay] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(decay.snapshot, Some(snapshot));
    assert_eq!(decay.damage.path, path);
}

#[test]
fn whenever_the_storage_deletes_segments_and_writes_to_their_files_again_that_is_no_decay() {
    for moment in 0.. {
        let (folder, in_use) = folder();
        let scrub = in_use.storage.scrub().unwrap();
        let mut in_use = in_use;
        let old = in_use.make_snapshot(7);
        let pace = Asked::then(move |before| {
            if before == moment {
                in_use.compact();
                in_use.storage.snapshots().release(old);
                in_use.append(20);
            }
            true
        });
        let mut found = Vec::new();
        let passed = scrub.pass(pace.clone(), &mut |decay| found.push(decay));
        passed.unwrap();
        assert_eq!(found, Vec::new(), "deleted before read {moment}");
        drop(folder);
        if pace.times.load(Ordering::Relaxed) <= moment {
            assert!(moment > 8, "there are more reads than that");
            break;
        }
    }
}

#[test]
fn a_pass_that_is_ended_reads_nothing_more_and_finds_nothing() {
    let (_folder, in_use) = folder();
    for moment in 0..8 {
        let pace = Asked::then(move |before| before < moment);
        assert_eq!(pass(&in_use.storage, pace.clone()), Vec::new());
        assert_eq!(pace.times.load(Ordering::Relaxed), moment + 1);
    }
}

/// The operating system's files, one of which cannot be read; and how many bytes were read.
#[derive(Default)]
struct Failing {
    path: Mutex<Option<PathBuf>>,
    read: Arc<AtomicU64>,
}

struct Handle {
    inner: Box<dyn FileHandle>,
    is_failing: bool,
    read: Arc<AtomicU64>,
}

impl Files for Failing {
    fn open(&self, path: &Path, purpose: Purpose) -> io::Result<Box<dyn FileHandle>> {
        Ok(Box::new(Handle {
            inner: System.open(path, purpose)?,
            is_failing: self.path.lock().unwrap().as_deref() == Some(path),
            read: self.read.clone(),
        }))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        System.create_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        System.sync_folder(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        System.list(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        System.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        System.remove(path)
    }

    fn lock(&self, path: &Path, purpose: Purpose) -> io::Result<Option<Box<dyn Send + Sync>>> {
        System.lock(path, purpose)
    }
}

impl FileHandle for Handle {
    fn length(&self) -> io::Result<u64> {
        self.inner.length()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.is_failing {
            return Err(io::Error::other("the sector is lost"));
        }
        let read = self.inner.read_at(buffer, offset)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }

    fn write_at(&self, pieces: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.inner.write_at(pieces, offset)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.inner.allocate(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }
}

#[test]
fn a_file_that_cannot_be_read_is_told_of_and_the_others_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let files = Arc::new(Failing::default());
    let mut in_use = InUse::open(files.clone(), folder.path());
    in_use.append(20);
    in_use.make_snapshot(7);
    let snapshot = fs::read_dir(folder.path().join("snapshots")).unwrap();
    let snapshot = snapshot.map(|file| file.unwrap().path()).next().unwrap();
    let bad = segments(folder.path()).remove(2);
    for path in [snapshot, bad] {
        *files.path.lock().unwrap() = Some(path.clone());
        let found = pass_at_once(&in_use.storage);
        let told: Vec<_> = found.iter().map(|decay| &decay.damage.path).collect();
        assert_eq!(told, [&path]);
        assert!(!found[0].is_readable);
        assert!(found[0].damage.what.contains("at byte 0: the sector"));
        flip_bit(&segments(folder.path())[0], 5000);
        assert_eq!(pass_at_once(&in_use.storage).len(), 2);
        flip_bit(&segments(folder.path())[0], 5000);
    }
}

#[test]
fn nothing_is_read_that_the_pace_was_not_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let files = Arc::new(Failing::default());
    let mut in_use = InUse::open(files.clone(), folder.path());
    in_use.append(20);
    in_use.make_snapshot(7);
    let before = files.read.load(Ordering::Relaxed);
    let pace = Asked::then(|_| true);
    pass(&in_use.storage, pace.clone());
    let read = files.read.load(Ordering::Relaxed) - before;
    assert!(read >= 3 * SEGMENT_BYTES + 3000, "{read}");
    assert_eq!(pace.bytes.load(Ordering::Relaxed), read);
}

#[test]
fn what_was_read_by_any_time_is_no_more_than_the_rate_allows() {
    const RATE: u64 = 1000;
    let mut rate = Rate::new(RATE);
    let (mut now, mut read) = (Duration::from_secs(9), 0);
    let begin = now;
    for (bytes, idle) in [(300, 0), (2500, 0), (1, 700), (4096, 0), (50, 0)] {
        now += rate.wait(now, bytes);
        read += bytes;
        let allowed = RATE * (now - begin).as_millis() as u64 / 1000;
        assert!(read <= allowed, "{read} after {now:?}");
        now += Duration::from_millis(idle);
    }
    // No longer than it has to.
    assert_eq!(now - begin, Duration::from_millis(read + 700));
    assert_eq!(Rate::new(0).wait(now, 2), Duration::from_secs(2));
}
