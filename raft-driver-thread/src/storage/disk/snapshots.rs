//! The snapshots' files.
//!
//! Beside a snapshot may lie a file of the same name and the ending `.origin`, which says whose
//! work its state is ([`Snapshots::set_origin`]): the node's number in 8 bytes, and the CRC-32C of
//! the snapshot's name and of those bytes in 4, little-endian. It is written when the snapshot is
//! whole, and before anything names it. If it is torn, or is not there, the origin is unknown.

use super::damage::Damage;
use super::files::{FileHandle, Files, Purpose};
use super::folder::{create_folder, damaged, failed, snapshot_folder, sync_folder};
use crate::storage::{SnapshotSink, Snapshots, StorageError};
use bytes::Bytes;
use raft_proto::{
    Checksum, EntryId, Index, NodeId, SnapshotId, SnapshotReadFailed, SnapshotWriteFailed, Term,
};
use std::io::{self, IoSlice, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The length of the file with a snapshot's origin.
const ORIGIN_BYTES: usize = 12;

/// The snapshots' files.
pub(super) struct SnapshotFiles {
    files: Arc<dyn Files>,
    folder: PathBuf,
    receiving: Mutex<Option<Receiving>>,
    made: AtomicU64,
}

struct Receiving {
    snapshot: SnapshotId,
    file: Box<dyn FileHandle>,
    size: u64,
    checksum: Checksum,
}

impl SnapshotFiles {
    /// In a storage's folder. Nothing is made.
    pub(super) fn new(files: Arc<dyn Files>, folder: &Path) -> SnapshotFiles {
        SnapshotFiles {
            files,
            folder: snapshot_folder(folder),
            receiving: Mutex::new(None),
            made: AtomicU64::new(0),
        }
    }

    pub(super) fn path(&self, snapshot: SnapshotId) -> PathBuf {
        self.folder.join(format!("{}.snapshot", stem(snapshot)))
    }

    fn origin_path(&self, snapshot: SnapshotId) -> PathBuf {
        self.folder.join(format!("{}.origin", stem(snapshot)))
    }

    /// The snapshots that are in the folder.
    pub(super) fn list(&self) -> Result<Vec<SnapshotId>, StorageError> {
        let names = self.files.list(&self.folder);
        let names = names.map_err(failed("read", &self.folder))?;
        let ids = names.iter().filter_map(|name| named(name.to_str()?));
        Ok(ids.collect())
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
        received.file.sync().map_err(failed("sync", &aside))?;
        self.rename(&aside, snapshot)
    }

    fn rename(&self, aside: &Path, snapshot: SnapshotId) -> Result<(), StorageError> {
        let renamed = self.files.rename(aside, &self.path(snapshot));
        renamed.map_err(failed("rename", aside))?;
        sync_folder(&*self.files, &self.folder)
    }

    /// Checks that the snapshot is there, as long as it should be.
    pub(super) fn check(&self, current: Option<SnapshotId>) -> Result<(), StorageError> {
        let Some(current) = current else {
            return Ok(());
        };
        let path = self.path(current);
        let length = match self.files.open(&path, Purpose::Read) {
            Ok(file) => file.length().map_err(failed("read", &path))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(damaged(&path, "the snapshot is missing"));
            }
            Err(error) => return Err(failed("open", &path)(error)),
        };
        if length == current.size {
            return Ok(());
        }
        let what = format!("it has {length} bytes, not {}", current.size);
        Err(damaged(&path, what))
    }

    /// Reads a snapshot to its end, where its checksum is compared.
    pub(super) fn verify(&self, id: SnapshotId) -> Result<Option<Damage>, StorageError> {
        let path = self.path(id);
        match self.check(Some(id)) {
            Ok(()) => {}
            Err(StorageError::Damaged { what, .. }) => return Ok(Some(Damage::of(&path, what))),
            Err(other) => return Err(other),
        }
        let mut reader = io::BufReader::with_capacity(1 << 20, self.open(id)?);
        match io::copy(&mut reader, &mut io::sink()) {
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Ok(Some(Damage::of(&path, error.to_string())))
            }
            Err(error) => Err(failed("read", &path)(error)),
        }
    }

    /// Deletes all but `current` and its origin.
    pub(super) fn keep_only(&self, current: Option<SnapshotId>) -> Result<(), StorageError> {
        create_folder(&*self.files, &self.folder)?;
        let kept = current.map(|id| [self.path(id), self.origin_path(id)]);
        let names = self.files.list(&self.folder);
        for name in names.map_err(failed("read", &self.folder))? {
            let path = self.folder.join(name);
            if !kept.as_ref().is_some_and(|kept| kept.contains(&path)) {
                self.files.remove(&path).map_err(failed("delete", &path))?;
            }
        }
        sync_folder(&*self.files, &self.folder)
    }
}

/// The name of a snapshot's files, without their ending.
fn stem(snapshot: SnapshotId) -> String {
    let SnapshotId {
        last,
        size,
        checksum,
    } = snapshot;
    let (index, term) = (last.index.0, last.term.0);
    format!("{index}-{term}-{size}-{checksum:08x}")
}

/// What the file with a snapshot's origin holds.
fn origin_bytes(snapshot: SnapshotId, origin: NodeId) -> [u8; ORIGIN_BYTES] {
    let number = origin.0.to_le_bytes();
    let mut checksum = Checksum::new();
    checksum.update(stem(snapshot).as_bytes());
    checksum.update(&number);
    let mut bytes = [0; ORIGIN_BYTES];
    bytes[..8].copy_from_slice(&number);
    bytes[8..].copy_from_slice(&checksum.value().to_le_bytes());
    bytes
}

/// The snapshot whose file has this [name](SnapshotFiles::path).
fn named(name: &str) -> Option<SnapshotId> {
    let parts: Vec<&str> = name.strip_suffix(".snapshot")?.split('-').collect();
    let [index, term, size, checksum] = parts[..] else {
        return None;
    };
    Some(SnapshotId {
        last: EntryId {
            index: Index(index.parse().ok()?),
            term: Term(term.parse().ok()?),
        },
        size: size.parse().ok()?,
        checksum: u32::from_str_radix(checksum, 16).ok()?,
    })
}

impl Snapshots for SnapshotFiles {
    fn create(&self) -> Result<Box<dyn SnapshotSink>, StorageError> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("making-{number}.partial"));
        let file = self.files.open(&path, Purpose::Create);
        Ok(Box::new(FileSink {
            file: file.map_err(failed("make", &path))?,
            // It makes no snapshots itself, but finds their places.
            files: SnapshotFiles {
                files: self.files.clone(),
                folder: self.folder.clone(),
                receiving: Mutex::new(None),
                made: AtomicU64::new(0),
            },
            path: Some(path),
            size: 0,
            checksum: Checksum::new(),
        }))
    }

    fn open(&self, snapshot: SnapshotId) -> Result<Box<dyn Read + Send>, StorageError> {
        let path = self.path(snapshot);
        let file = self.files.open(&path, Purpose::Read);
        Ok(Box::new(Verified {
            file: file.map_err(failed("open", &path))?,
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
        let file = self.files.open(&self.path(snapshot), Purpose::Read);
        let file = file.map_err(explain)?;
        let end = offset.checked_add(length);
        if end.is_none_or(|end| end > snapshot.size) {
            return Err(SnapshotReadFailed::Failed);
        }
        let length = usize::try_from(length).map_err(|_| SnapshotReadFailed::Failed)?;
        let mut data = vec![0; length];
        let read = file.read_at(&mut data, offset).map_err(explain)?;
        if read == length {
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
            let file = self.files.open(&self.receiving_path(), Purpose::Create);
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
        let written = current.file.write_at(&mut [IoSlice::new(data)], offset);
        if written.is_err() {
            *receiving = None; // How much of it is there is not known.
            return Err(SnapshotWriteFailed);
        }
        current.size += data.len() as u64;
        current.checksum.update(data);
        Ok(())
    }

    fn release(&self, snapshot: SnapshotId) {
        // If it stays, the next start deletes it.
        let _ = self.files.remove(&self.path(snapshot));
        let _ = self.files.remove(&self.origin_path(snapshot));
    }

    fn set_origin(&self, snapshot: SnapshotId, origin: NodeId) -> Result<(), StorageError> {
        if self.origin(snapshot) == Some(origin) {
            return Ok(());
        }
        let path = self.origin_path(snapshot);
        let bytes = origin_bytes(snapshot, origin);
        let write = || {
            let file = self.files.open(&path, Purpose::Create)?;
            file.write_at(&mut [IoSlice::new(&bytes)], 0)?;
            file.sync()
        };
        write().map_err(failed("write", &path))?;
        sync_folder(&*self.files, &self.folder)
    }

    fn origin(&self, snapshot: SnapshotId) -> Option<NodeId> {
        let file = self.files.open(&self.origin_path(snapshot), Purpose::Read);
        let mut bytes = [0; ORIGIN_BYTES];
        let read = file.ok()?.read_at(&mut bytes, 0).ok()?;
        let mut number = [0; 8];
        number.copy_from_slice(&bytes[..8]);
        let origin = NodeId(u64::from_le_bytes(number));
        let is_whole = read == ORIGIN_BYTES && bytes == origin_bytes(snapshot, origin);
        is_whole.then_some(origin)
    }
}

/// Takes a snapshot that is being made.
struct FileSink {
    files: SnapshotFiles,
    file: Box<dyn FileHandle>,
    /// Until it is finished.
    path: Option<PathBuf>,
    size: u64,
    checksum: Checksum,
}

impl Write for FileSink {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.file.write_at(&mut [IoSlice::new(data)], self.size)?;
        self.checksum.update(data);
        self.size += data.len() as u64;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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
            self.file.sync().map_err(failed("sync", path))?;
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
            let _ = self.files.files.remove(path);
        }
    }
}

/// Reads a snapshot, and compares it with its id at the end.
struct Verified {
    file: Box<dyn FileHandle>,
    snapshot: SnapshotId,
    size: u64,
    checksum: Checksum,
}

impl Read for Verified {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.size)?;
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
