//! The data directory of a server.
//!
//! | name | holds |
//! |---|---|
//! | `cluster.toml` | the version of the directory's layout, and the [`Identity`] |
//! | `raft-kv.toml` | the settings with which it was created, for the next start; may be missing |
//! | `raft/` | the [`DiskStorage`]: log, votes, snapshots |
//! | `BEGUN` | nothing; it exists since the first start, and from then on the log must exist |
//! | `LOCK` | nothing; the process that uses the directory holds a lock on it |
//!
//! [`DiskStorage`]: raft_driver_thread::storage::disk::DiskStorage

use super::settings::{Founder, Identity};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The version of the directory's layout.
const FORMAT: u32 = 1;
/// The file that makes a directory a data directory.
const IDENTITY: &str = "cluster.toml";
/// The settings with which it was created.
const SETTINGS: &str = "raft-kv.toml";
/// This file exists once the log has been begun.
const BEGUN: &str = "BEGUN";
/// The lock on this file keeps a second process out.
const LOCK: &str = "LOCK";

/// The data directory of a server, locked: no other process can open it meanwhile.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    identity: Identity,
    /// Closing the file releases the lock.
    _lock: File,
}

/// The content of `cluster.toml`.
#[derive(Serialize, Deserialize)]
struct IdentityFile {
    format: u32,
    cluster: u64,
    node: u64,
    #[serde(default)]
    founders: Vec<Founder>,
}

/// The part of `cluster.toml` that every version has.
#[derive(Deserialize)]
struct FormatVersion {
    format: u32,
}

impl DataDir {
    /// Creates a data directory for a new server, durably. It never replaces another one.
    ///
    /// # Errors
    ///
    /// [`DataDirError::Exists`] or [`DataDirError::NotEmpty`] if the directory has files;
    /// [`DataDirError::Io`].
    pub fn create(path: impl Into<PathBuf>, identity: &Identity) -> Result<DataDir, DataDirError> {
        let path = path.into();
        create_directory(&path).map_err(failed("create", &path))?;
        refuse_content(&path)?;
        let lock = lock(&path)?;
        let stored = IdentityFile {
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
        written.map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                DataDirError::Exists { path: path.clone() }
            } else {
                failed("write", &file)(error)
            }
        })?;
        Ok(DataDir {
            path,
            identity: identity.clone(),
            _lock: lock,
        })
    }

    /// Opens a directory that [`create`](DataDir::create) made.
    ///
    /// # Errors
    ///
    /// [`DataDirError::NotADataDir`], [`DataDirError::Locked`],
    /// [`DataDirError::UnsupportedVersion`], [`DataDirError::Damaged`], [`DataDirError::Io`].
    pub fn open(path: impl Into<PathBuf>) -> Result<DataDir, DataDirError> {
        let path = path.into();
        // Locking creates a file, so a directory that is not a data directory is refused before.
        DataDir::identity_of(&path)?;
        let lock = lock(&path)?;
        Ok(DataDir {
            identity: DataDir::identity_of(&path)?,
            path,
            _lock: lock,
        })
    }

    /// Reads the identity of a data directory, which may be in use.
    ///
    /// # Errors
    ///
    /// [`DataDirError::NotADataDir`], [`DataDirError::UnsupportedVersion`],
    /// [`DataDirError::Damaged`], [`DataDirError::Io`].
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
        let version: FormatVersion = toml::from_str(&text).map_err(damaged)?;
        if version.format != FORMAT {
            return Err(DataDirError::UnsupportedVersion {
                path: path.to_owned(),
                found: version.format,
                known: FORMAT,
            });
        }
        let stored: IdentityFile = toml::from_str(&text).map_err(damaged)?;
        Ok(Identity {
            cluster: stored.cluster,
            node: stored.node,
            founders: stored.founders,
        })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The server whose directory this is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The directory of the log and the snapshots.
    pub fn log_dir(&self) -> PathBuf {
        self.path.join("raft")
    }

    /// Checks, before the log is opened, that a log which has been begun still exists.
    ///
    /// A server that lost its log and began a new one under the same number could vote twice in one
    /// term, and the cluster could lose acknowledged entries.
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

    /// Remembers, durably, that the log has been begun.
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

    /// The file for the settings with which the directory was created. It may be missing.
    pub fn settings_file(path: &Path) -> PathBuf {
        path.join(SETTINGS)
    }

    /// Saves the settings with which the directory was created. Settings that were saved before
    /// are not replaced.
    ///
    /// # Errors
    ///
    /// [`DataDirError::Io`], also if there are settings already.
    pub fn save_settings(&self, text: &str) -> Result<(), DataDirError> {
        let written = write_new(&self.path, SETTINGS, text);
        written.map_err(failed("write", &DataDir::settings_file(&self.path)))
    }
}

impl Identity {
    /// Checks that the data directory at `path` with this identity belongs to the cluster and the
    /// node that the caller asks for, as far as it names them.
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

/// Creates a directory that only its owner may open, and those around it, as far as they do not
/// exist. Their names are durable then.
fn create_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) | None => Path::new("."),
    };
    let created = match builder.create(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && parent != path => {
            create_directory(parent)?;
            builder.create(path)
        }
        created => created,
    };
    match created {
        Ok(()) => File::open(parent)?.sync_all(),
        Err(_) if path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Keeps other processes out until the file is dropped.
fn lock(directory: &Path) -> Result<File, DataDirError> {
    let path = directory.join(LOCK);
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path).map_err(failed("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DataDirError::Locked {
            path: directory.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(failed("lock", &path)(error)),
    }
}

/// Refuses a directory with files, other than those of a process that was killed while it created
/// the data directory.
fn refuse_content(path: &Path) -> Result<(), DataDirError> {
    for file in fs::read_dir(path).map_err(failed("read", path))? {
        let name = file.map_err(failed("read", path))?.file_name();
        let name = name.to_string_lossy();
        if name == IDENTITY {
            let path = path.to_owned();
            return Err(DataDirError::Exists { path });
        }
        // File systems have a `lost+found` in their root.
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

/// Writes a new file durably, and either completely or not at all. It replaces no file.
pub(super) fn write_new(directory: &Path, name: &str, text: &str) -> io::Result<()> {
    let aside = tempfile::Builder::new()
        .prefix(&format!("{name}."))
        .tempfile_in(directory);
    let mut aside = aside?;
    aside.write_all(text.as_bytes())?;
    aside.as_file().sync_all()?;
    aside.persist_noclobber(directory.join(name))?;
    File::open(directory)?.sync_all()?;
    // The directory's own name may be new, too.
    match directory.canonicalize()?.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// How many bytes of the disk all files in a directory take. Files that vanish meanwhile count
/// nothing.
///
/// A file may be longer than the blocks that it takes. On systems that do not tell the blocks of a
/// file, its length counts.
pub fn disk_bytes(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else {
        return 0;
    };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => disk_bytes(&entry.path()),
        Ok(data) => allocated_bytes(&data),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

#[cfg(unix)]
fn allocated_bytes(file: &fs::Metadata) -> u64 {
    // This number counts blocks of 512 bytes, whatever the blocks of the file system are.
    std::os::unix::fs::MetadataExt::blocks(file).saturating_mul(512)
}

#[cfg(not(unix))]
fn allocated_bytes(file: &fs::Metadata) -> u64 {
    file.len()
}

/// An error of the operating system, with the operation and the file.
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
        "{} is not a data directory: create one with `raft-kv init` for a new cluster, or with \
         `raft-kv join` for one that runs", path.display()
    )]
    NotADataDir {
        /// The directory.
        path: PathBuf,
    },
    /// The server has run before, and its log does not exist any more.
    #[error(
        "{} is gone: a server without its log must not go on with this data directory. Restore the \
         log; or replace the lost disk: `raft-kv join` with the server's --id and a new --data",
        path.display()
    )]
    LogMissing {
        /// The directory of the log.
        path: PathBuf,
    },
    /// A release with another layout created it.
    #[error(
        "{} has format version {found}, this release reads {known}: start it with the release \
         that wrote it, or a later one", path.display()
    )]
    UnsupportedVersion {
        /// The directory.
        path: PathBuf,
        /// The version in the directory.
        found: u32,
        /// The version that this release reads.
        known: u32,
    },
    /// It was to be created, and exists already.
    #[error(
        "{} is a data directory already: run it with `raft-kv start`, or name another directory",
        path.display()
    )]
    Exists {
        /// The directory.
        path: PathBuf,
    },
    /// It was to be created, and the directory has other files.
    #[error("{} is not empty, it holds {name:?}: name another directory", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
        /// One of the files.
        name: String,
    },
    /// It belongs to another server.
    #[error(
        "{} belongs to node {found}, not to node {asked}: name the directory of node {asked}",
        path.display()
    )]
    OtherNode {
        /// The directory.
        path: PathBuf,
        /// The node whose directory it is.
        found: u64,
        /// The node that the caller asked for.
        asked: u64,
    },
    /// It belongs to another cluster.
    #[error(
        "{} belongs to cluster {found}, not to cluster {asked}: name a directory of cluster \
         {asked}",
        path.display()
    )]
    OtherCluster {
        /// The directory.
        path: PathBuf,
        /// The cluster whose directory it is.
        found: u64,
        /// The cluster that the caller asked for.
        asked: u64,
    },
    /// A server runs on it.
    #[error("{} is in use by a running server: stop that one first", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The content of a file is damaged.
    #[error("{} is damaged: {what}", place.display())]
    Damaged {
        /// The file.
        place: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The operating system refused.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// The operation that failed.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}
