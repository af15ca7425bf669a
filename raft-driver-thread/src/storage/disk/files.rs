//! The file system, as the storage uses it: so few calls that a test can record all of them, and
//! build every state that a power failure may leave.

use rustix::io::{Errno, pwritev};
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, IoSlice};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

/// Only the owner reads and writes a file.
const FILE_MODE: u32 = 0o600;
/// Only the owner opens a folder.
const FOLDER_MODE: u32 = 0o700;
/// How many pieces Linux, macOS and the BSDs take in one `pwritev`.
const MAX_PIECES: usize = 1024;

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be read. It has to exist.
    Read,
    /// To be read and written. It has to exist.
    Write,
    /// To be read and written. It is made, with nothing in it, or becomes empty.
    Create,
}

/// A file system. [`System`] is that of the operating system.
///
/// Nothing is durable before it is synced: bytes and length by [`FileHandle::sync`], names by
/// [`sync_folder`](Files::sync_folder). A rename is atomic.
pub trait Files: Send + Sync + 'static {
    /// Opens a file.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    fn open(&self, path: &Path, purpose: Purpose) -> io::Result<Box<dyn FileHandle>>;

    /// Makes a folder in one that exists.
    ///
    /// # Errors
    ///
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists), [`NotFound`](io::ErrorKind::NotFound) if
    /// its parent does not exist, and others of the operating system.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// The names in a folder, in any order.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;

    /// Gives a file another name, and takes that from the file that had it.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Deletes a file.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Locks the file until the answer is dropped. `None` if another process, or another part of
    /// this one, has locked it. With [`Purpose::Create`] it is made if it is not there.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    fn lock(&self, path: &Path, purpose: Purpose) -> io::Result<Option<Box<dyn Send + Sync>>>;
}

/// An open file.
pub trait FileHandle: Send + Sync {
    /// Its length in bytes.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    fn length(&self) -> io::Result<u64>;

    /// Reads from `offset` on, until the buffer is full or the file ends. Returns how many bytes
    /// were read.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// A hint: what is read there next should come from the disk, and not from a cache. The
    /// default does nothing, which is always right.
    fn drop_cache(&self, offset: u64, length: u64) {
        let _ = (offset, length);
    }

    /// Writes all the pieces one after another, from `offset` on.
    ///
    /// # Errors
    ///
    /// Those of the operating system. Then some of it may have been written.
    fn write_at(&self, pieces: &mut [IoSlice<'_>], offset: u64) -> io::Result<()>;

    /// Makes the file so long, with zeros at its end, and reserves the room for it where the file
    /// system can.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    fn allocate(&self, length: u64) -> io::Result<()>;

    /// Makes the bytes and the length durable.
    ///
    /// # Errors
    ///
    /// Those of the operating system. The bytes that were to be synced are lost then, or not: a
    /// sync must not be tried again.
    fn sync(&self) -> io::Result<()>;
}

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Files for System {
    fn open(&self, path: &Path, purpose: Purpose) -> io::Result<Box<dyn FileHandle>> {
        let is_created = purpose == Purpose::Create;
        let mut options = OpenOptions::new();
        options.read(true).write(purpose != Purpose::Read);
        options.create(is_created).truncate(is_created);
        Ok(Box::new(options.mode(FILE_MODE).open(path)?))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(FOLDER_MODE).create(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let names = fs::read_dir(path)?;
        names.map(|file| Ok(file?.file_name())).collect()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn lock(&self, path: &Path, purpose: Purpose) -> io::Result<Option<Box<dyn Send + Sync>>> {
        let mut options = OpenOptions::new();
        options.read(true).write(purpose != Purpose::Read);
        options.create(purpose == Purpose::Create).truncate(false);
        let file = options.mode(FILE_MODE).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl FileHandle for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<usize> {
        let mut total = 0;
        while !buffer.is_empty() {
            match FileExt::read_at(self, buffer, offset) {
                Ok(0) => break,
                Ok(read) => {
                    total += read;
                    offset += read as u64;
                    buffer = &mut buffer[read..]; // No more than there is room for.
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(total)
    }

    #[cfg(target_os = "linux")]
    fn drop_cache(&self, offset: u64, length: u64) {
        let length = std::num::NonZeroU64::new(length);
        // Pages that are not written yet stay. A file system that does not know the hint may
        // refuse it.
        let _ = rustix::fs::fadvise(self, offset, length, rustix::fs::Advice::DontNeed);
    }

    fn write_at(&self, mut pieces: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
        IoSlice::advance_slices(&mut pieces, 0); // Drops those without a byte.
        while !pieces.is_empty() {
            let some = &pieces[..pieces.len().min(MAX_PIECES)];
            match pwritev(self, some, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    offset += written as u64;
                    IoSlice::advance_slices(&mut pieces, written);
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    #[cfg(target_os = "linux")]
    fn allocate(&self, length: u64) -> io::Result<()> {
        let flags = rustix::fs::FallocateFlags::empty();
        match rustix::fs::fallocate(self, flags, 0, length) {
            Ok(()) => Ok(()),
            // Not every file system can: then each write finds its room itself, which is slower.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.set_len(length),
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn allocate(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        // `fdatasync`: the length is synced too if it has changed, the times are not.
        self.sync_data()
    }
}
