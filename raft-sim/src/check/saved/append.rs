//! A file that grows at its end.

use super::error::{SavedError, at};
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A file that grows at its end.
#[derive(Debug)]
pub(super) struct Append {
    path: PathBuf,
    writer: BufWriter<File>,
    length: u64,
}

impl Append {
    /// Opens a file whose first `length` bytes count: what a stopped process wrote after them goes.
    pub(super) fn open(path: PathBuf, length: u64) -> Result<Append, SavedError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(at(&path))?;
        if file.metadata().map_err(at(&path))?.len() < length {
            return Err(SavedError::Short { path });
        }
        file.set_len(length).map_err(at(&path))?;
        file.seek(SeekFrom::End(0)).map_err(at(&path))?;
        let writer = BufWriter::with_capacity(1 << 16, file);
        Ok(Append {
            path,
            writer,
            length,
        })
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), SavedError> {
        self.length += bytes.len() as u64;
        self.writer.write_all(bytes).map_err(at(&self.path))
    }

    /// Hands everything to the system. Returns the file's length.
    pub(super) fn flush(&mut self) -> Result<u64, SavedError> {
        self.writer.flush().map_err(at(&self.path))?;
        Ok(self.length)
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}
