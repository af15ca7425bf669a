//! Which steps the core took, and which histories took in their facts, in the order in which the
//! tables numbered them. A search that goes on takes them again, and so has the same tables.

use super::super::tables::{HistoryKey, StepKey};
use super::append::Append;
use super::error::{SavedError, at};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::PathBuf;

/// Steps that were taken at once, and histories after them.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Group {
    pub(in super::super) steps: Vec<StepKey>,
    pub(in super::super) histories: Vec<HistoryKey>,
}

/// The file: for each group its length, in eight bytes, and its encoding by postcard.
#[derive(Debug)]
pub(super) struct Journal(Append);

impl Journal {
    pub(super) fn open(path: PathBuf, length: u64) -> Result<Journal, SavedError> {
        Ok(Journal(Append::open(path, length)?))
    }

    pub(super) fn push(&mut self, group: &Group) -> Result<(), SavedError> {
        let bytes = postcard::to_allocvec(group).map_err(|error| self.malformed(&error))?;
        self.0.push(&(bytes.len() as u64).to_le_bytes())?;
        self.0.push(&bytes)
    }

    /// Calls this for each group, in order.
    pub(super) fn for_each(&mut self, mut each: impl FnMut(&Group)) -> Result<(), SavedError> {
        let path = self.0.path();
        let mut left = self.0.length();
        let mut reader = BufReader::new(File::open(path).map_err(at(path))?);
        let mut bytes = Vec::new();
        while left > 0 {
            let mut length = [0; 8];
            reader.read_exact(&mut length).map_err(at(path))?;
            let length = u64::from_le_bytes(length);
            let rest = left
                .checked_sub(8)
                .and_then(|left| left.checked_sub(length));
            left = rest.ok_or_else(|| self.malformed(&"a group is longer than the file"))?;
            bytes.clear();
            let taken = (&mut reader).take(length).read_to_end(&mut bytes);
            taken.map_err(at(path))?;
            let group = postcard::from_bytes(&bytes);
            each(&group.map_err(|error| self.malformed(&error))?);
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<u64, SavedError> {
        self.0.flush()
    }

    fn malformed(&self, reason: &impl ToString) -> SavedError {
        SavedError::Malformed {
            path: self.0.path().to_path_buf(),
            reason: reason.to_string(),
        }
    }
}
