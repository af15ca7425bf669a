//! The states of the present level that wait, and those of the next one, a file each. A state is
//! the number of its words, and the words, each in four bytes.

use super::super::row::Row;
use super::append::Append;
use super::error::{SavedError, at, damaged};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The files of two levels.
#[derive(Debug)]
pub(in super::super) struct Levels {
    folder: PathBuf,
    /// How many levels were begun: the last of them is the present one.
    begun: u32,
    /// The present level, how long it is and how far it was read, in bytes.
    level: Option<BufReader<File>>,
    length: u64,
    read: u64,
    next: Append,
}

/// Where a search is in these files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// How many levels were begun.
    begun: u32,
    /// How long the present one is, and how far it was read, in bytes.
    length: u64,
    read: u64,
    /// How many bytes of the next one are written.
    next: u64,
}

impl Levels {
    pub(super) fn open(folder: &Path, place: Place) -> Result<Levels, SavedError> {
        let level = match place.begun.checked_sub(1) {
            Some(present) => Some(reader(&path_of(folder, present), place.length, place.read)?),
            None => None,
        };
        Ok(Levels {
            folder: folder.to_path_buf(),
            begun: place.begun,
            level,
            length: place.length,
            read: place.read,
            next: Append::open(path_of(folder, place.begun), place.next)?,
        })
    }

    pub(in super::super) fn push(&mut self, state: &[u32]) -> Result<(), SavedError> {
        let length = state.len() as u32; // Tens of words.
        self.next.push(&length.to_le_bytes())?;
        for word in state {
            self.next.push(&word.to_le_bytes())?;
        }
        Ok(())
    }

    /// Reads at most so many states of the present level.
    pub(in super::super) fn read(&mut self, most: usize) -> Result<Row, SavedError> {
        let (mut row, mut state) = (Row::default(), Vec::new());
        let Some(level) = &mut self.level else {
            return Ok(row);
        };
        while row.len() < most {
            let read = read_state(level, &mut state);
            if !read.map_err(at(&path_of(&self.folder, self.begun.saturating_sub(1))))? {
                break;
            }
            row.push_words(&state);
            self.read += 4 + 4 * state.len() as u64;
        }
        Ok(row)
    }

    /// What was read last is no state of this search.
    pub(in super::super) fn damaged(&self) -> SavedError {
        damaged(&path_of(&self.folder, self.begun.saturating_sub(1)))
    }

    /// The next level becomes the present one. The file of the one before stays until the new place
    /// is written down ([`Levels::forget_before`]).
    pub(in super::super) fn turn(&mut self) -> Result<(), SavedError> {
        self.length = self.next.flush()?;
        self.level = Some(reader(self.next.path(), self.length, 0)?);
        self.begun += 1;
        self.read = 0;
        self.next = Append::open(path_of(&self.folder, self.begun), 0)?;
        Ok(())
    }

    /// Hands everything to the system. Returns where the search is.
    pub(super) fn flush(&mut self) -> Result<Place, SavedError> {
        Ok(Place {
            begun: self.begun,
            length: self.length,
            read: self.read,
            next: self.next.flush()?,
        })
    }

    /// Removes the file of the level before the present one.
    pub(super) fn forget_before(&self) -> Result<(), SavedError> {
        let Some(before) = self.begun.checked_sub(2) else {
            return Ok(());
        };
        let path = path_of(&self.folder, before);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(&path)(error)),
            Err(_) | Ok(()) => Ok(()),
        }
    }
}

fn path_of(folder: &Path, level: u32) -> PathBuf {
    folder.join(format!("level-{level}"))
}

fn reader(path: &Path, length: u64, from: u64) -> Result<BufReader<File>, SavedError> {
    let mut file = File::open(path).map_err(at(path))?;
    if file.metadata().map_err(at(path))?.len() < length {
        let path = path.to_path_buf();
        return Err(SavedError::Short { path });
    }
    file.seek(SeekFrom::Start(from)).map_err(at(path))?;
    Ok(BufReader::with_capacity(1 << 16, file))
}

/// Reads one state. Whether there was one.
fn read_state(level: &mut BufReader<File>, state: &mut Vec<u32>) -> io::Result<bool> {
    state.clear();
    let length = match read_word(level) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
        length => length?,
    };
    for _ in 0..length {
        state.push(read_word(level)?);
    }
    Ok(true)
}

fn read_word(level: &mut BufReader<File>) -> io::Result<u32> {
    let mut bytes = [0; 4];
    level.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}
