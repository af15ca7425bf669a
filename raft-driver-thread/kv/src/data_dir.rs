//! The data directory of a server.
//!
//! | name | holds |
//! |---|---|
//! | `cluster.toml` | the version of all this, and the [`Identity`] |
//! | `raft-kv.toml` | the settings that the folder was made with, for the next start; may be missing |
//! | `raft/` | the [`DiskStorage`](raft_driver_thread::storage::disk::DiskStorage): log, votes, snapshots |
//! | `BEGUN` | nothing; there since the first start, after which the log has to be there |
//! | `LOCK` | nothing; whoever uses the folder holds a lock on it |

use super::settings::{Founder, Identity};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The version of the folder's layout.
const FORMAT: u32 = 1;
/// The file that makes a folder a data directory.
const IDENTITY: &str = "cluster.toml";
/// The settings that it was made with.
const SETTINGS: &str = "raft-kv.toml";

/// The log was begun.
const BEGUN: &str = "BEGUN";

/// Whose lock keeps a second process out.
const LOCK: &str = "LOCK";

/// The data directory of a server. While it is there, nobody else can open it.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    identity: Identity,
    /// Dropped, it is unlocked.
    _lock: File,
}

/// What `cluster.toml` says.
#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    cluster: u64,
    node: u64,
    #[serde(default)]
    founders: Vec<Founder>,
}

/// All that has to be understood of a version that is not known.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

impl DataDir {
    /// Makes a folder for a new server: durably, and never over another one.
    ///
    /// # Errors
    ///
    /// [`DataDirError::Exists`] or [`DataDirError::NotEmpty`] if there is something;
    /// [`DataDirError::Io`].
    pub fn create(path: impl Into<PathBuf>, identity: &Identity) -> Result<DataDir, DataDirError> {
        let path = path.into();
        fs::create_dir_all(&path).map_err(failed("make", &path))?;
        refuse_content(&path)?;
        let lock = lock(&path)?;
        let stored = Stored {
            format: FORMAT,
            cluster: identity.cluster,
            node: identity.node,
            founders: identity.founders.clone(),
        };
        let file = path.join(IDENTITY);
        let text = toml::to_string(&stored).map_err(|error| DataDirError::Damaged {
            place: file.clone(),
            what: error.to_string(),
        })?;
        let written = write_new(&path, IDENTITY, &text);
        written.map_err(|error| match error.kind() == io::ErrorKind::AlreadyExists {
            true => DataDirError::Exists { path: path.clone() },
            false => failed("write", &file)(error),
        })?;
        Ok(DataDir {
            path,
            identity: identity.clone(),
            _lock: lock,
        })
    }

    /// Opens a folder that [`create`](DataDir::create) made.
    ///
    /// # Errors
    ///
    /// [`DataDirError::NotADataDir`], [`DataDirError::Locked`], [`DataDirError::UnsupportedVersion`],
    /// [`DataDirError::Damaged`], [`DataDirError::Io`].
    pub fn open(path: impl Into<PathBuf>) -> Result<DataDir, DataDirError> {
        let path = path.into();
        // What is none is told so, and not locked.
        DataDir::identity_of(&path)?;
        let lock = lock(&path)?;
        Ok(DataDir {
            identity: DataDir::identity_of(&path)?,
            path,
            _lock: lock,
        })
    }

    /// Whose folder it is, be it in use or not.
    ///
    /// # Errors
    ///
    /// [`DataDirError::NotADataDir`], [`DataDirError::UnsupportedVersion`], [`DataDirError::Damaged`],
    /// [`DataDirError::Io`].
    pub fn identity_of(path: &Path) -> Result<Identity, DataDirError> {
        let file = path.join(IDENTITY);
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let path = path.to_owned();
                return Err(DataDirError::NotADataDir { path });
            }
            Err(error) => return Err(failed("read", &file)(error)),
        };
        let damaged = |error: toml::de::Error| DataDirError::Damaged {
            place: file.clone(),
            what: error.to_string(),
        };
        let version: Version = toml::from_str(&text).map_err(damaged)?;
        if version.format != FORMAT {
            return Err(DataDirError::UnsupportedVersion {
                path: path.to_owned(),
                found: version.format,
                known: FORMAT,
            });
        }
        let stored: Stored = toml::from_str(&text).map_err(damaged)?;
        Ok(Identity {
            cluster: stored.cluster,
            node: stored.node,
            founders: stored.founders,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Where the log and the snapshots lie.
    pub fn log_dir(&self) -> PathBuf {
        self.path.join("raft")
    }

    /// Before the log is opened: one that has been begun has to be there. A server that lost it, and
    /// began anew under its number, could vote again where it has voted, and lose what was
    /// acknowledged.
    ///
    /// # Errors
    ///
    /// [`DataDirError::LogMissing`].
    pub fn check_log_exists(&self) -> Result<(), DataDirError> {
        if self.path.join(BEGUN).exists() && !self.log_dir().join("FORMAT").exists() {
            let path = self.log_dir();
            return Err(DataDirError::LogMissing { path });
        }
        Ok(())
    }

    /// The log has been begun.
    ///
    /// # Errors
    ///
    /// [`DataDirError::Io`].
    pub fn mark_log_begun(&self) -> Result<(), DataDirError> {
        match write_new(&self.path, BEGUN, "") {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(failed("write", &self.path.join(BEGUN))(error))
            }
            _ => Ok(()),
        }
    }

    /// Where the settings lie that the folder was made with, if they were kept.
    pub fn settings_file(path: &Path) -> PathBuf {
        path.join(SETTINGS)
    }

    /// Keeps the settings that the folder was made with.
    ///
    /// # Errors
    ///
    /// [`DataDirError::Io`]; those that were there before stay.
    pub fn save_settings(&self, text: &str) -> Result<(), DataDirError> {
        let written = write_new(&self.path, SETTINGS, text);
        written.map_err(failed("write", &DataDir::settings_file(&self.path)))
    }
}

impl Identity {
    /// Checks that the folder at `path`, whose this is, is the one that was meant, as far as that
    /// was said.
    ///
    /// # Errors
    ///
    /// [`DataDirError::OtherNode`], [`DataDirError::OtherCluster`].
    pub fn require(
        &self,
        path: &Path,
        cluster: Option<u64>,
        node: Option<u64>,
    ) -> Result<(), DataDirError> {
        let path = || path.to_owned();
        match (cluster, node) {
            (Some(asked), _) if asked != self.cluster => Err(DataDirError::OtherCluster {
                path: path(),
                found: self.cluster,
                asked,
            }),
            (_, Some(asked)) if asked != self.node => Err(DataDirError::OtherNode {
                path: path(),
                found: self.node,
                asked,
            }),
            (Some(_) | None, Some(_) | None) => Ok(()),
        }
    }
}

/// Keeps other processes out, until the file is dropped.
fn lock(folder: &Path) -> Result<File, DataDirError> {
    let path = folder.join(LOCK);
    let mut options = File::options();
    let options = options.read(true).write(true).create(true).truncate(false);
    let file = options.open(&path).map_err(failed("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DataDirError::Locked {
            path: folder.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(failed("lock", &path)(error)),
    }
}

/// Only what a process left that was killed while it made the folder may be there.
fn refuse_content(path: &Path) -> Result<(), DataDirError> {
    for file in fs::read_dir(path).map_err(failed("read", path))? {
        let name = file.map_err(failed("read", path))?.file_name();
        let name = name.to_string_lossy();
        if name == IDENTITY {
            let path = path.to_owned();
            return Err(DataDirError::Exists { path });
        }
        // A disk's own folder is where its root is mounted.
        let is_ours = name == LOCK || name.starts_with(&format!("{IDENTITY}."));
        if !is_ours && name != "lost+found" {
            return Err(DataDirError::NotEmpty {
                path: path.to_owned(),
                name: name.into_owned(),
            });
        }
    }
    Ok(())
}

/// A whole file or none, on disk when this returns; none that is there is replaced.
pub(super) fn write_new(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    let aside = tempfile::Builder::new()
        .prefix(&format!("{name}."))
        .tempfile_in(folder);
    let mut aside = aside?;
    aside.write_all(text.as_bytes())?;
    aside.as_file().sync_all()?;
    aside.persist_noclobber(folder.join(name))?;
    File::open(folder)?.sync_all()?;
    // The folder's own name may be new, too.
    match folder.canonicalize()?.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// How many bytes of its disk all files in a folder take; what vanishes meanwhile counts as
/// nothing.
///
/// A journal is made as long as it may become, and takes what was written to it. On systems that do
/// not say what a file takes, its length counts.
pub fn disk_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => disk_bytes(&entry.path()),
        Ok(data) => taken(&data),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

#[cfg(unix)]
fn taken(file: &fs::Metadata) -> u64 {
    // Whatever the file system's blocks are, those of this number have 512 bytes.
    std::os::unix::fs::MetadataExt::blocks(file).saturating_mul(512)
}

#[cfg(not(unix))]
fn taken(file: &fs::Metadata) -> u64 {
    file.len()
}

/// An error of the operating system, with what was being done to which file.
fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DataDirError {
    let path = path.to_owned();
    move |source| DataDirError::Io {
        doing,
        path,
        source,
    }
}

/// What is wrong with a data directory.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// There is no `cluster.toml` in it.
    #[error(
        "{} is not a data directory: make one with `raft-kv init` for a new cluster, or with \
         `raft-kv join` for one that runs", path.display()
    )]
    NotADataDir {
        /// The folder.
        path: PathBuf,
    },
    /// The server has run, and its log is not there any more.
    #[error(
        "{} is gone: a server without its log must not go on under its number. Bring it back as it \
         was, or remove the server (`raft-kv leave`) and let another one join", path.display()
    )]
    LogMissing {
        /// Where it was.
        path: PathBuf,
    },
    /// A release with another layout made it.
    #[error(
        "{} has format version {found}, this release reads {known}: start it with the release \
         that wrote it, or a later one", path.display()
    )]
    UnsupportedVersion {
        /// The folder.
        path: PathBuf,
        /// What it says.
        found: u32,
        /// What is known.
        known: u32,
    },
    /// It was to be made, and is there.
    #[error(
        "{} is a data directory already: run it with `raft-kv start`, or name another directory",
        path.display()
    )]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// It was to be made, and something else is there.
    #[error("{} is not empty, it holds {name:?}: name another directory", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
        /// Some file in it.
        name: String,
    },
    /// It is another server's.
    #[error(
        "{} belongs to node {found}, not to node {asked}: name the directory of node {asked}",
        path.display()
    )]
    OtherNode {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        found: u64,
        /// Whose it was to be.
        asked: u64,
    },
    /// It is another cluster's.
    #[error(
        "{} belongs to cluster {found}, not to cluster {asked}: name a directory of cluster {asked}",
        path.display()
    )]
    OtherCluster {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        found: u64,
        /// Whose it was to be.
        asked: u64,
    },
    /// A server runs on it.
    #[error("{} is in use by a running server: stop that one first", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// A file in it does not say what it has to.
    #[error("{} is damaged: {what}", place.display())]
    Damaged {
        /// The file.
        place: PathBuf,
        /// What is wrong in it.
        what: String,
    },
    /// The operating system refused.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}
