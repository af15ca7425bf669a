//! Damage, and how it is told.

use super::folder::damaged;
use super::mark::Acknowledged;
use crate::storage::StorageError;
use raft_proto::Index;
use std::fmt;
use std::path::{Path, PathBuf};

/// Bytes that are not those that were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file or folder.
    pub path: PathBuf,
    /// Where in the file it begins, and how long it is at most; `None` if that is not known.
    pub bytes: Option<(u64, u64)>,
    /// The first and the last index of the entries that were there, as far as that is known.
    pub entries: Option<(Index, Index)>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.describe())
    }
}

impl Damage {
    pub(super) fn of(path: &Path, what: impl Into<String>) -> Damage {
        Damage {
            path: path.to_owned(),
            bytes: None,
            entries: None,
            what: what.into(),
        }
    }

    fn describe(&self) -> String {
        let mut text = self.what.clone();
        if let Some((begin, length)) = self.bytes {
            text += &format!(", at byte {begin} for {length} bytes");
        }
        if let Some((first, last)) = self.entries {
            text += &format!(", entries {first} to {last}");
        }
        text
    }

    /// As the reason for which the folder is refused.
    pub(super) fn into_error(self, acknowledged: &Acknowledged) -> StorageError {
        let Acknowledged { last, hard_state } = acknowledged;
        let term = hard_state.term;
        let what = self.describe();
        let what = format!("{what}; up to entry {last} and term {term} may have been acknowledged");
        damaged(&self.path, what)
    }
}
