//! Damage, and how it is told.

use raft_proto::Index;
use std::fmt;
#[cfg(feature = "disk")]
use std::path::Path;
use std::path::PathBuf;

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
    #[cfg(feature = "disk")]
    pub(super) fn of(path: &Path, what: impl Into<String>) -> Damage {
        Damage {
            path: path.to_owned(),
            bytes: None,
            entries: None,
            what: what.into(),
        }
    }

    pub(super) fn describe(&self) -> String {
        let mut text = self.what.clone();
        if let Some((begin, length)) = self.bytes {
            text += &format!(", at byte {begin} for {length} bytes");
        }
        if let Some((first, last)) = self.entries {
            text += &format!(", entries {first} to {last}");
        }
        text
    }
}
