//! Why a search cannot be kept in a folder, or not go on from it.

use std::io;
use std::path::{Path, PathBuf};

/// Why a search cannot be kept in a folder, or not go on from what is there.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// A file cannot be read or written.
    #[error("{path}: {error}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// Another process searches in this folder.
    #[error("{path}: another process searches in this folder", path = path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// What is there is no search, or one of another release, or damaged.
    #[error("{path} is not the state of a search: {reason}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The search there is another one.
    #[error("{path} holds a search of another model, form or with other settings: name another folder",
        path = path.display())]
    Another {
        /// The folder.
        path: PathBuf,
    },
    /// The core, or the model checker, has changed since.
    #[error("{path} was searched by another build, whose steps come to other states: begin in another folder",
        path = path.display())]
    AnotherBuild {
        /// The folder.
        path: PathBuf,
    },
    /// A file has lost its end, as after a power failure: the files are not synced.
    #[error("{path} is shorter than the search left it: begin in another folder", path = path.display())]
    Short {
        /// The file.
        path: PathBuf,
    },
}

/// What is read is not what was written.
pub(super) fn damaged(path: &Path) -> SavedError {
    SavedError::Malformed {
        path: path.to_path_buf(),
        reason: "it holds what no search wrote, as after a power failure: begin in another folder"
            .into(),
    }
}

/// Names the file that an error is about.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> SavedError {
    let path = path.to_path_buf();
    |error| SavedError::Io { path, error }
}
