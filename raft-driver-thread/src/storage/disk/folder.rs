//! The folder: its version, its incarnation, its lock.

use super::files::{Files, Purpose};
use crate::storage::StorageError;
use crc32c::crc32c;
use std::ffi::OsString;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The version of everything in the folder.
pub(super) const VERSION: u32 = 3;
/// The file that makes a folder a storage's.
pub(super) const FORMAT: &str = "FORMAT";
const FORMAT_PARTIAL: &str = "FORMAT.partial";
const LOCK: &str = "LOCK";
const LOG: &str = "log";
const SNAPSHOTS: &str = "snapshots";
const VERSION_LINE: &str = "raft-driver-thread disk ";
/// Longer than any file that names a version.
const MAX_FORMAT_BYTES: usize = 512;

/// An error of the operating system, with what was being done to which file.
pub(super) fn failed(doing: &str, path: &Path) -> impl FnOnce(io::Error) -> StorageError {
    let what = format!("{doing} {}", path.display());
    move |source| StorageError::io(what, source)
}

pub(super) fn damaged(path: &Path, what: impl Into<String>) -> StorageError {
    StorageError::Damaged {
        path: path.to_owned(),
        what: what.into(),
    }
}

/// A name is on disk only when its folder is synced.
pub(super) fn sync_folder(files: &dyn Files, folder: &Path) -> Result<(), StorageError> {
    files.sync_folder(folder).map_err(failed("sync", folder))
}

pub(super) fn log_folder(folder: &Path) -> PathBuf {
    folder.join(LOG)
}

pub(super) fn snapshot_folder(folder: &Path) -> PathBuf {
    folder.join(SNAPSHOTS)
}

/// Makes the folder, and those around it, as far as they are not there. All names are durable then.
pub(super) fn create_folder(files: &dyn Files, folder: &Path) -> Result<(), StorageError> {
    let parent = folder.parent().filter(|parent| *parent != Path::new(""));
    let parent = parent.unwrap_or(Path::new("."));
    match files.create_folder(folder) {
        Ok(()) => sync_folder(files, parent),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound && folder != parent => {
            create_folder(files, parent)?;
            files
                .create_folder(folder)
                .map_err(failed("make", folder))?;
            sync_folder(files, parent)
        }
        Err(error) => Err(failed("make", folder)(error)),
    }
}

/// What `FORMAT` says.
fn format_text(incarnation: u128) -> String {
    let lines = format!("{VERSION_LINE}{VERSION}\nincarnation {incarnation:032x}\n");
    let checksum = crc32c(lines.as_bytes());
    format!("{lines}checksum {checksum:08x}\n")
}

/// The incarnation that the text names, if it is a text of this version.
fn parse_format(path: &Path, text: &str) -> Result<u128, StorageError> {
    let mut lines = text.lines();
    let version = lines
        .next()
        .and_then(|line| line.strip_prefix(VERSION_LINE));
    let version: Option<u64> = version.and_then(|number| number.parse().ok());
    let version = version.ok_or_else(|| damaged(path, "it names no version"))?;
    if version != u64::from(VERSION) {
        return Err(StorageError::UnknownVersion {
            path: path.to_owned(),
            found: version,
            known: u64::from(VERSION),
        });
    }
    let named = lines
        .next()
        .and_then(|line| line.strip_prefix("incarnation "));
    let named = named.and_then(|number| u128::from_str_radix(number, 16).ok());
    let named = named.filter(|incarnation| format_text(*incarnation) == text);
    named.ok_or_else(|| damaged(path, "it does not fit its checksum"))
}

/// Reads the version and the incarnation; `None` if there is no `FORMAT`.
pub(super) fn read_format(files: &dyn Files, folder: &Path) -> Result<Option<u128>, StorageError> {
    let path = folder.join(FORMAT);
    let file = match files.open(&path, Purpose::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", &path)(error)),
    };
    let mut bytes = [0; MAX_FORMAT_BYTES];
    let read = file.read_at(&mut bytes, 0).map_err(failed("read", &path))?;
    // No more than there is room for.
    let text = std::str::from_utf8(&bytes[..read]);
    let text = text.map_err(|_| damaged(&path, "it is no text"))?;
    parse_format(&path, text).map(Some)
}

/// Makes a folder without `FORMAT`, as far as it is not there, if there is nothing foreign in it.
pub(super) fn prepare(files: &dyn Files, folder: &Path) -> Result<(), StorageError> {
    create_folder(files, folder)?;
    let names = files.list(folder).map_err(failed("read", folder))?;
    // What a process leaves that was killed while it made the folder.
    let is_ours = |name: &OsString| {
        let ours = [FORMAT_PARTIAL, LOCK, LOG, SNAPSHOTS];
        ours.iter().any(|ours| name == ours)
    };
    if let Some(foreign) = names.iter().find(|name| !is_ours(name)) {
        let what = format!("it holds {foreign:?} but no {FORMAT}");
        return Err(damaged(folder, what));
    }
    for inner in [log_folder(folder), snapshot_folder(folder)] {
        create_folder(files, &inner)?;
        let names = files.list(&inner).map_err(failed("read", &inner))?;
        if let Some(name) = names.first() {
            let what = format!("it holds {name:?}, and there is no {FORMAT} beside it");
            return Err(damaged(&inner, what));
        }
    }
    Ok(())
}

/// Makes `FORMAT`, the last thing that a new folder gets.
pub(super) fn write_format(
    files: &dyn Files,
    folder: &Path,
    incarnation: u128,
) -> Result<(), StorageError> {
    let (path, aside) = (folder.join(FORMAT), folder.join(FORMAT_PARTIAL));
    let text = format_text(incarnation);
    let write = || {
        let file = files.open(&aside, Purpose::Create)?;
        file.write_at(&mut [IoSlice::new(text.as_bytes())], 0)?;
        file.sync()?;
        files.rename(&aside, &path)
    };
    write().map_err(failed("write", &path))?;
    sync_folder(files, folder)
}

/// Nobody else uses the folder as long as this exists.
pub(super) type Lock = Option<Box<dyn Send + Sync>>;

/// Locks the folder. Waits a little for a holder that is about to end. With [`Purpose::Read`]
/// nothing is made: a folder without a file to be locked is not in use.
pub(super) fn lock(
    files: &dyn Files,
    folder: &Path,
    purpose: Purpose,
) -> Result<Lock, StorageError> {
    const TRIES: u32 = 4;
    const PAUSE: Duration = Duration::from_millis(100);
    let path = folder.join(LOCK);
    for left in (0..TRIES).rev() {
        match files.lock(&path, purpose) {
            Ok(Some(lock)) => return Ok(Some(lock)),
            Ok(None) if left > 0 => std::thread::sleep(PAUSE),
            Ok(None) => break,
            Err(error) if error.kind() == io::ErrorKind::NotFound && purpose == Purpose::Read => {
                return Ok(None);
            }
            Err(error) => return Err(failed("lock", &path)(error)),
        }
    }
    let path = folder.to_owned();
    Err(StorageError::InUse { path })
}
