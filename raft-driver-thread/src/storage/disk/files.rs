//! The folder's other files: its version, the mark, the snapshots.

use crate::storage::{SnapshotSink, Snapshots, StorageError};
use bytes::Bytes;
use raft_proto::{Checksum, EntryId, SnapshotId, SnapshotReadFailed, SnapshotWriteFailed};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The version of the folder's layout.
const VERSION: u64 = 1;
const FORMAT: &str = "raft-driver-thread disk ";

/// An error of the operating system, with what was being done to which file.
fn failed(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> StorageError {
    let what = format!("{doing} {}", path.display());
    move |source| StorageError::io(what, source)
}

fn damaged(path: &Path, what: impl Into<String>) -> StorageError {
    StorageError::Damaged {
        path: path.to_owned(),
        what: what.into(),
    }
}

/// A name is on disk only when its folder is.
pub(super) fn sync_folder(folder: &Path) -> Result<(), StorageError> {
    let synced = File::open(folder).and_then(|file| file.sync_all());
    synced.map_err(failed("sync", folder))
}

/// Makes the folder, or checks that it is one of ours.
pub(super) fn prepare(folder: &Path) -> Result<(), StorageError> {
    let path = folder.join("FORMAT");
    match fs::read_to_string(&path) {
        Ok(text) => return check_version(&path, &text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed("read", &path)(error)),
    }
    fs::create_dir_all(folder).map_err(failed("make", folder))?;
    let mut inside = fs::read_dir(folder).map_err(failed("read", folder))?;
    if let Some(Ok(file)) = inside.find(|file| !is_unfinished(file)) {
        let what = format!("it holds {:?} but no FORMAT", file.file_name());
        return Err(damaged(folder, what));
    }
    let aside = folder.join("FORMAT.partial");
    let text = format!("{FORMAT}{VERSION}\n");
    let write = || {
        let mut file = File::create(&aside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&aside, &path)
    };
    write().map_err(failed("write", &path))?;
    sync_folder(folder)?;
    match folder.parent().filter(|parent| parent.is_dir()) {
        Some(parent) => sync_folder(parent),
        None => Ok(()),
    }
}

/// Checks that there is a folder of ours; makes nothing.
pub(super) fn check(folder: &Path) -> Result<(), StorageError> {
    let path = folder.join("FORMAT");
    let text = fs::read_to_string(&path).map_err(failed("read", &path))?;
    check_version(&path, &text)
}

/// Nobody else uses the folder as long as this is open. Waits a little for one who is about to end.
pub(super) fn lock(folder: &Path) -> Result<File, StorageError> {
    const TRIES: u32 = 4;
    const PAUSE: Duration = Duration::from_millis(100);
    let path = folder.join("LOCK");
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(false);
    let file = options.open(&path).map_err(failed("open", &path))?;
    for left in (0..TRIES).rev() {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if left > 0 => std::thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => break,
            Err(TryLockError::Error(error)) => return Err(failed("lock", &path)(error)),
        }
    }
    let path = folder.to_owned();
    Err(StorageError::InUse { path })
}

/// Left by a process that was killed while it made the folder.
fn is_unfinished(file: &io::Result<fs::DirEntry>) -> bool {
    file.as_ref()
        .is_ok_and(|file| file.file_name() == "FORMAT.partial")
}

fn check_version(path: &Path, text: &str) -> Result<(), StorageError> {
    let found = text.strip_prefix(FORMAT).map(str::trim_end);
    let found: Option<u64> = found.and_then(|number| number.parse().ok());
    match found {
        Some(VERSION) => Ok(()),
        Some(found) => Err(StorageError::UnknownVersion {
            path: path.to_owned(),
            found,
            known: VERSION,
        }),
        None => Err(damaged(path, "it names no version")),
    }
}

/// How many calls of `write` were acknowledged, at least.
#[derive(Debug)]
pub(super) struct Mark {
    file: File,
    path: PathBuf,
}

impl Mark {
    const BYTES: usize = 12;

    pub(super) fn open(folder: &Path) -> Result<Mark, StorageError> {
        let path = folder.join("mark");
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path).map_err(failed("open", &path))?;
        Ok(Mark { file, path })
    }

    /// What it says, given that the database holds `writes`. An empty one belongs to a new
    /// database.
    pub(super) fn read(&mut self, writes: u64) -> Result<u64, StorageError> {
        let mut bytes = Vec::new();
        let read = self.file.rewind();
        let read = read.and_then(|()| self.file.read_to_end(&mut bytes));
        read.map_err(failed("read", &self.path))?;
        if bytes.is_empty() && writes == 0 {
            return Ok(0);
        }
        let damaged = || damaged(&self.path, "it does not hold what was written to it");
        let bytes: [u8; Self::BYTES] = bytes.try_into().map_err(|_| damaged())?;
        let (count, checksum) = bytes.split_first_chunk::<8>().ok_or_else(damaged)?;
        if Checksum::of(count).to_le_bytes() == *checksum {
            Ok(u64::from_le_bytes(*count))
        } else {
            Err(damaged())
        }
    }

    pub(super) fn write(&mut self, count: u64) -> Result<(), StorageError> {
        let mut bytes = [0; Self::BYTES];
        let count = count.to_le_bytes();
        bytes[..8].copy_from_slice(&count);
        bytes[8..].copy_from_slice(&Checksum::of(&count).to_le_bytes());
        let written = self.file.rewind();
        let written = written.and_then(|()| self.file.write_all(&bytes));
        written.map_err(failed("write", &self.path))
    }

    pub(super) fn sync(&self) -> Result<(), StorageError> {
        self.file.sync_all().map_err(failed("sync", &self.path))
    }
}

/// The snapshots' files.
#[derive(Debug)]
pub(super) struct SnapshotFiles {
    folder: PathBuf,
    receiving: Mutex<Option<Receiving>>,
    made: AtomicU64,
}

#[derive(Debug)]
struct Receiving {
    snapshot: SnapshotId,
    file: File,
    size: u64,
    checksum: Checksum,
}

impl SnapshotFiles {
    pub(super) fn open(folder: &Path) -> Result<SnapshotFiles, StorageError> {
        let folder = folder.join("snapshots");
        fs::create_dir_all(&folder).map_err(failed("make", &folder))?;
        Ok(SnapshotFiles {
            folder,
            receiving: Mutex::new(None),
            made: AtomicU64::new(0),
        })
    }

    pub(super) fn path(&self, snapshot: SnapshotId) -> PathBuf {
        let SnapshotId {
            last,
            size,
            checksum,
        } = snapshot;
        let (index, term) = (last.index.0, last.term.0);
        let name = format!("{index}-{term}-{size}-{checksum:08x}.snapshot");
        self.folder.join(name)
    }

    fn receiving_path(&self) -> PathBuf {
        self.folder.join("receiving.partial")
    }

    fn receiving(&self) -> MutexGuard<'_, Option<Receiving>> {
        let locked = self.receiving.lock();
        locked.unwrap_or_else(PoisonError::into_inner)
    }

    /// The file that was received becomes a whole one, durably.
    pub(super) fn install(&self, snapshot: SnapshotId) -> Result<(), StorageError> {
        let aside = self.receiving_path();
        let received = self.receiving().take();
        let Some(received) = received.filter(|received| received.snapshot == snapshot) else {
            let what = format!("install of {snapshot:?}, which was not received");
            return Err(StorageError::Contract(what));
        };
        let sum = received.checksum.value();
        if (received.size, sum) != (snapshot.size, snapshot.checksum) {
            return Err(damaged(&aside, format!("it is not {snapshot:?}")));
        }
        received.file.sync_all().map_err(failed("sync", &aside))?;
        self.rename(&aside, snapshot)
    }

    fn rename(&self, aside: &Path, snapshot: SnapshotId) -> Result<(), StorageError> {
        fs::rename(aside, self.path(snapshot)).map_err(failed("rename", aside))?;
        sync_folder(&self.folder)
    }

    /// Deletes all but `current`, which has to be there.
    pub(super) fn keep_only(&self, current: Option<SnapshotId>) -> Result<(), StorageError> {
        let current = current.map(|id| (self.path(id), id.size));
        if let Some((path, size)) = &current {
            let found = fs::metadata(path).map_err(failed("find", path))?;
            if found.len() != *size {
                let what = format!("it has {} bytes, not {size}", found.len());
                return Err(damaged(path, what));
            }
        }
        for file in fs::read_dir(&self.folder).map_err(failed("read", &self.folder))? {
            let path = file.map_err(failed("read", &self.folder))?.path();
            if current.as_ref().is_none_or(|(kept, _)| *kept != path) {
                fs::remove_file(&path).map_err(failed("delete", &path))?;
            }
        }
        sync_folder(&self.folder)
    }
}

impl Snapshots for SnapshotFiles {
    fn create(&self) -> Result<Box<dyn SnapshotSink>, StorageError> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("making-{number}.partial"));
        let file = File::create(&path).map_err(failed("make", &path))?;
        Ok(Box::new(FileSink {
            files: SnapshotFiles {
                folder: self.folder.clone(),
                receiving: Mutex::new(None),
                made: AtomicU64::new(0),
            },
            file,
            path: Some(path),
            size: 0,
            checksum: Checksum::new(),
        }))
    }

    fn open(&self, snapshot: SnapshotId) -> Result<Box<dyn Read + Send>, StorageError> {
        let path = self.path(snapshot);
        let file = File::open(&path).map_err(failed("open", &path))?;
        Ok(Box::new(Verified {
            file,
            snapshot,
            size: 0,
            checksum: Checksum::new(),
        }))
    }

    fn read(
        &self,
        snapshot: SnapshotId,
        offset: u64,
        length: u64,
    ) -> Result<Bytes, SnapshotReadFailed> {
        let explain = |error: io::Error| {
            if error.kind() == io::ErrorKind::NotFound {
                SnapshotReadFailed::Gone
            } else {
                SnapshotReadFailed::Failed
            }
        };
        let mut file = File::open(self.path(snapshot)).map_err(explain)?;
        let there = offset.checked_add(length);
        if there.is_none_or(|end| end > snapshot.size) {
            return Err(SnapshotReadFailed::Failed);
        }
        let mut data = Vec::new();
        file.seek(SeekFrom::Start(offset)).map_err(explain)?;
        let read = file.take(length).read_to_end(&mut data).map_err(explain)?;
        if read as u64 == length {
            Ok(data.into())
        } else {
            Err(SnapshotReadFailed::Failed)
        }
    }

    fn write(
        &self,
        snapshot: SnapshotId,
        offset: u64,
        data: &[u8],
    ) -> Result<(), SnapshotWriteFailed> {
        let mut receiving = self.receiving();
        if offset == 0 {
            let file = File::create(self.receiving_path());
            *receiving = Some(Receiving {
                snapshot,
                file: file.map_err(|_| SnapshotWriteFailed)?,
                size: 0,
                checksum: Checksum::new(),
            });
        }
        let current = receiving.as_mut();
        let current = current.filter(|it| it.snapshot == snapshot && it.size == offset);
        let current = current.ok_or(SnapshotWriteFailed)?;
        if current.file.write_all(data).is_err() {
            *receiving = None; // How much of it is there is not known.
            return Err(SnapshotWriteFailed);
        }
        current.size += data.len() as u64;
        current.checksum.update(data);
        Ok(())
    }

    fn release(&self, snapshot: SnapshotId) {
        // If it stays, the next start deletes it.
        let _ = fs::remove_file(self.path(snapshot));
    }
}

/// Takes a snapshot that is being made.
struct FileSink {
    files: SnapshotFiles,
    file: File,
    /// Until it is finished.
    path: Option<PathBuf>,
    size: u64,
    checksum: Checksum,
}

impl Write for FileSink {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let written = self.file.write(data)?;
        self.checksum.update(&data[..written]); // No more than was given.
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl SnapshotSink for FileSink {
    fn finish(mut self: Box<Self>, last: EntryId) -> Result<SnapshotId, StorageError> {
        let id = SnapshotId {
            last,
            size: self.size,
            checksum: self.checksum.value(),
        };
        if let Some(path) = &self.path {
            self.file.sync_all().map_err(failed("sync", path))?;
            self.files.rename(path, id)?;
        }
        self.path = None;
        Ok(id)
    }
}

impl Drop for FileSink {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // If it stays, the next start deletes it.
            let _ = fs::remove_file(path);
        }
    }
}

/// Reads a snapshot, and compares it with its id at the end.
struct Verified {
    file: File,
    snapshot: SnapshotId,
    size: u64,
    checksum: Checksum,
}

impl Read for Verified {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.checksum.update(&buffer[..read]); // No more than there is room for.
        self.size += read as u64;
        let found = (self.size, self.checksum.value());
        if read == 0 && !buffer.is_empty() && found != (self.snapshot.size, self.snapshot.checksum)
        {
            let what = format!("the snapshot at {} is damaged", self.snapshot.last);
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(read)
    }
}
