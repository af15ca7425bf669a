//! The files of the database's journal, and what a torn one is mended by.
//!
//! A disk whose power failed may have stored some pages of a batch, and others not. The database
//! drops a batch that does not end, but not one that does and is wrong within: it refuses to open.
//! If that one is the last, it was never acknowledged (of that the mark knows), and should be
//! dropped, too. So its last byte is cut off, which makes it one that does not end.
//!
//! Whether it is the last one is known when the database opens then. If it does not, the journal is
//! put back as it was. For that it is copied first, and who finds such a copy puts it back first of
//! all: the process before was killed in between.

use super::files::sync_folder;
use crate::storage::StorageError;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// What is read at a time.
const STEP: u64 = 64 << 10;

/// The number of the newest journal in the database's folder: the one that is written to.
pub(super) fn newest(log: &Path) -> io::Result<Option<u64>> {
    let mut newest = None;
    for file in fs::read_dir(log)? {
        let name = file?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".jnl"));
        newest = newest.max(number.and_then(|number| number.parse().ok()));
    }
    Ok(newest)
}

/// To read and write where one likes.
pub(super) fn open(log: &Path, number: u64) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true);
    options.open(log.join(format!("{number}.jnl")))
}

/// A journal whose end was cut: [`keep`](Cut::keep) it so, or [put it back](put_back).
pub(super) struct Cut {
    folder: PathBuf,
    copy: PathBuf,
}

/// Cuts off the newest journal's last byte, and the zeros behind it. Nobody else may use the
/// storage's folder.
pub(super) fn cut(folder: &Path) -> Result<Option<Cut>, StorageError> {
    let log = folder.join("log");
    let failed = |error| StorageError::io(format!("mend the journal in {}", log.display()), error);
    let Some(number) = newest(&log).map_err(failed)? else {
        return Ok(None);
    };
    let mut journal = open(&log, number).map_err(failed)?;
    let Some(last) = last_byte(&mut journal).map_err(failed)? else {
        return Ok(None);
    };
    let copy = folder.join(format!("{number}.jnl.cutting"));
    let partial = copy.with_extension("partial");
    let mut make_copy = || {
        let mut written = File::create(&partial)?;
        journal.rewind()?;
        io::copy(&mut (&journal).take(last + 1), &mut written)?;
        written.sync_all()?;
        fs::rename(&partial, &copy)
    };
    make_copy().map_err(failed)?;
    sync_folder(folder)?;
    let cut = journal.set_len(last).and_then(|()| journal.sync_all());
    cut.map_err(failed)?;
    let folder = folder.to_owned();
    Ok(Some(Cut { folder, copy }))
}

/// Where the last one is that is not zero.
fn last_byte(file: &mut File) -> io::Result<Option<u64>> {
    let mut end = file.metadata()?.len();
    while end > 0 {
        let begin = end.saturating_sub(STEP);
        let mut step = Vec::new();
        file.seek(SeekFrom::Start(begin))?;
        (&*file).take(end - begin).read_to_end(&mut step)?;
        if let Some(last) = step.iter().rposition(|byte| *byte != 0) {
            return Ok(Some(begin + last as u64));
        }
        end = begin;
    }
    Ok(None)
}

/// Puts a journal back that was cut, if there is one. The database must be closed.
pub(super) fn put_back(folder: &Path) -> Result<(), StorageError> {
    let failed = |error| StorageError::io(format!("restore {}", folder.display()), error);
    for file in fs::read_dir(folder).map_err(failed)? {
        let copy = file.map_err(failed)?.path();
        if copy.extension() != Some(OsStr::new("cutting")) {
            continue;
        }
        let Some(name) = copy.file_stem() else {
            continue; // It has an extension, so it has one.
        };
        let log = folder.join("log");
        fs::rename(&copy, log.join(name)).map_err(failed)?;
        sync_folder(&log)?;
        sync_folder(folder)?;
    }
    Ok(())
}

impl Cut {
    /// The copy stays, under another name, for those who want to know what was dropped.
    pub(super) fn keep(self) -> Result<(), StorageError> {
        let kept = self.copy.with_extension("torn");
        let renamed = fs::rename(&self.copy, &kept);
        renamed.map_err(|error| StorageError::io(format!("make {}", kept.display()), error))?;
        tracing::warn!(copy = %kept.display(), "the last write to the log was torn: it was dropped");
        sync_folder(&self.folder)
    }
}
