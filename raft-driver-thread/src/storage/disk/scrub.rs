//! Reads a folder that is in use, to find what has decayed.
//!
//! # What is read
//!
//! Every segment but the newest, and the header of that. A segment gets its name when all records
//! before it are synced, so that those before the newest are complete, and nobody writes to them.
//! And every snapshot that has its name, as it gets it when it is synced. They are compared with
//! the code with which [`inspect()`](super::inspect()) compares them.
//!
//! # What is no decay
//!
//! A segment that is not needed is deleted, or gets another name before it is written to as the
//! next one; its number is never used again. A snapshot that is replaced is deleted. So what was
//! read under a name that still exists afterwards was not touched by the storage, and what was read
//! under a name that does not exist any more proves nothing.

use super::damage::Damage;
use super::files::{FileHandle, Files, Purpose};
use super::folder::log_folder;
use super::scan::Scan;
use super::segment::{SegmentFile, segment_name, segment_numbers};
use super::snapshots::SnapshotFiles;
use crate::storage::{Decay, Pace, Scrub, StorageError};
use raft_proto::SnapshotId;
use std::ffi::OsString;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is read at a time.
const PIECE: usize = 256 << 10;

/// Looks for decay in a folder.
pub(super) struct FolderScrub {
    pub(super) files: Arc<dyn Files>,
    pub(super) folder: PathBuf,
    pub(super) incarnation: u128,
}

impl Scrub for FolderScrub {
    fn pass(&self, pace: Arc<dyn Pace>, found: &mut dyn FnMut(Decay)) -> Result<(), StorageError> {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let pass = Pass {
            files: Arc::new(PacedFiles {
                files: self.files.clone(),
                pace,
                is_stopped: is_stopped.clone(),
            }),
            folder: &self.folder,
            incarnation: self.incarnation,
            is_stopped,
        };
        match pass.run(found) {
            Err(_) if pass.is_stopped.load(Ordering::Relaxed) => Ok(()),
            result => result,
        }
    }
}

struct Pass<'a> {
    files: Arc<dyn Files>,
    folder: &'a Path,
    incarnation: u128,
    is_stopped: Arc<AtomicBool>,
}

impl Pass<'_> {
    fn run(&self, found: &mut dyn FnMut(Decay)) -> Result<(), StorageError> {
        let log = log_folder(self.folder);
        let numbers = segment_numbers(&*self.files, &log)?;
        let mut told = Vec::new();
        for (number, next) in numbers.iter().zip(numbers.iter().skip(1)) {
            // Where there is a gap, the older one is being deleted.
            if number + 1 != *next {
                continue;
            }
            let (path, newer) = (
                log.join(segment_name(*number)),
                log.join(segment_name(*next)),
            );
            for decay in self.segment((*number, &path), (*next, &newer))? {
                // A damaged header is seen with the segment before it, too.
                if !told.contains(&decay.damage) {
                    told.push(decay.damage.clone());
                    found(decay);
                }
            }
        }
        let snapshots = SnapshotFiles::new(self.files.clone(), self.folder);
        for id in snapshots.list()? {
            let path = snapshots.path(id);
            let decay = match snapshots.verify(id) {
                Ok(damage) => damage.map(|damage| readable(damage, Some(id))),
                Err(error) => self.unreadable(&path, Some(id), error)?,
            };
            if let Some(decay) = decay.filter(|_| self.exists(&path)) {
                found(decay);
            }
        }
        Ok(())
    }

    fn segment(
        &self,
        (number, path): (u64, &Path),
        (next, newer_path): (u64, &Path),
    ) -> Result<Vec<Decay>, StorageError> {
        let open = |number, path: &Path| {
            let path = path.to_owned();
            SegmentFile::open(&*self.files, path, number, self.incarnation, Purpose::Read)
        };
        let segment = match open(number, path) {
            Ok(segment) => segment,
            Err(error) => return self.unreadable_segment(path, error),
        };
        let newer = match open(next, newer_path) {
            Ok(newer) => newer,
            Err(error) => return self.unreadable_segment(newer_path, error),
        };
        let mut scan = Scan::new(log_folder(self.folder), self.incarnation);
        scan.keeps_entries = false;
        if let Err(error) = scan.segment(&segment, Some(&newer)) {
            let error = super::folder::failed("read", path)(error);
            return self.unreadable_segment(path, error);
        }
        scan.header(&newer);
        let is_there = |damage: &Damage| self.exists(path) && self.exists(&damage.path);
        let damages = scan.damages.into_iter().filter(is_there);
        Ok(damages.map(|damage| readable(damage, None)).collect())
    }

    fn unreadable_segment(
        &self,
        path: &Path,
        error: StorageError,
    ) -> Result<Vec<Decay>, StorageError> {
        let decay = self.unreadable(path, None, error)?;
        Ok(decay.into_iter().filter(|_| self.exists(path)).collect())
    }

    /// What an error says of a file. `None` if the file is gone; the error itself if it is not one
    /// of the disk.
    fn unreadable(
        &self,
        path: &Path,
        snapshot: Option<SnapshotId>,
        error: StorageError,
    ) -> Result<Option<Decay>, StorageError> {
        let StorageError::Io { source, .. } = &error else {
            return Err(error);
        };
        if self.is_stopped.load(Ordering::Relaxed) {
            return Err(error);
        }
        let is_gone = source.kind() == io::ErrorKind::NotFound;
        Ok((!is_gone).then(|| Decay {
            damage: Damage::of(path, format!("it cannot be read: {source}")),
            snapshot,
            is_readable: false,
        }))
    }

    /// Whether the file still has its name.
    fn exists(&self, path: &Path) -> bool {
        let gone = |error: io::Error| error.kind() == io::ErrorKind::NotFound;
        !self.files.open(path, Purpose::Read).is_err_and(gone)
    }
}

fn readable(damage: Damage, snapshot: Option<SnapshotId>) -> Decay {
    Decay {
        damage,
        snapshot,
        is_readable: true,
    }
}

/// Files that can be read only, and not faster than the pace allows.
struct PacedFiles {
    files: Arc<dyn Files>,
    pace: Arc<dyn Pace>,
    /// The pace has allowed no more.
    is_stopped: Arc<AtomicBool>,
}

fn read_only<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Files for PacedFiles {
    fn open(&self, path: &Path, purpose: Purpose) -> io::Result<Box<dyn FileHandle>> {
        if purpose != Purpose::Read {
            return read_only();
        }
        Ok(Box::new(PacedFile {
            file: self.files.open(path, Purpose::Read)?,
            pace: self.pace.clone(),
            is_stopped: self.is_stopped.clone(),
        }))
    }

    fn create_folder(&self, _: &Path) -> io::Result<()> {
        read_only()
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        read_only()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.files.list(path)
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        read_only()
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        read_only()
    }

    fn lock(&self, _: &Path, _: Purpose) -> io::Result<Option<Box<dyn Send + Sync>>> {
        read_only()
    }
}

struct PacedFile {
    file: Box<dyn FileHandle>,
    pace: Arc<dyn Pace>,
    is_stopped: Arc<AtomicBool>,
}

impl FileHandle for PacedFile {
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.file.length()?.saturating_sub(offset);
        // What is left counts only if it is less than fits into memory.
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let mut total = 0;
        for piece in buffer[..wanted].chunks_mut(PIECE) {
            let (at, length) = (offset + total as u64, piece.len() as u64);
            if !self.pace.allows(length) {
                self.is_stopped.store(true, Ordering::Relaxed);
                return Err(io::Error::other("the pass was ended"));
            }
            self.file.drop_cache(at, length);
            let read = self.file.read_at(piece, at);
            // What nobody else has read takes no room in the cache.
            self.file.drop_cache(at, length);
            let place =
                |error: io::Error| io::Error::new(error.kind(), format!("at byte {at}: {error}"));
            let read = read.map_err(place)?;
            total += read;
            if (read as u64) < length {
                break;
            }
        }
        Ok(total)
    }

    fn write_at(&self, _: &mut [IoSlice<'_>], _: u64) -> io::Result<()> {
        read_only()
    }

    fn allocate(&self, _: u64) -> io::Result<()> {
        read_only()
    }

    fn sync(&self) -> io::Result<()> {
        read_only()
    }
}
