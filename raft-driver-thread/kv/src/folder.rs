//! The data folder of a server.
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
/// The file that makes a folder a data folder.
const IDENTITY: &str = "cluster.toml";
/// The settings that it was made with.
const SETTINGS: &str = "raft-kv.toml";

/// The log was begun.
const BEGUN: &str = "BEGUN";

/// Whose lock keeps a second process out.
const LOCK: &str = "LOCK";

/// The data folder of a server. While it is there, nobody else can open it.
#[derive(Debug)]
pub struct Folder {
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

impl Folder {
    /// Makes a folder for a new server: durably, and never over another one.
    ///
    /// # Errors
    ///
    /// [`FolderError::Exists`] or [`FolderError::NotEmpty`] if there is something;
    /// [`FolderError::Io`].
    pub fn create(path: impl Into<PathBuf>, identity: &Identity) -> Result<Folder, FolderError> {
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
        let text = toml::to_string(&stored).map_err(|error| FolderError::Damaged {
            place: file.clone(),
            what: error.to_string(),
        })?;
        let written = write_new(&path, IDENTITY, &text);
        written.map_err(|error| match error.kind() == io::ErrorKind::AlreadyExists {
            true => FolderError::Exists { path: path.clone() },
            false => failed("write", &file)(error),
        })?;
        Ok(Folder {
            path,
            identity: identity.clone(),
            _lock: lock,
        })
    }

    /// Opens a folder that [`create`](Folder::create) made.
    ///
    /// # Errors
    ///
    /// [`FolderError::NotOne`], [`FolderError::Locked`], [`FolderError::NewerVersion`],
    /// [`FolderError::Damaged`], [`FolderError::Io`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Folder, FolderError> {
        let path = path.into();
        // What is none is told so, and not locked.
        Folder::identity_of(&path)?;
        let lock = lock(&path)?;
        Ok(Folder {
            identity: Folder::identity_of(&path)?,
            path,
            _lock: lock,
        })
    }

    /// Whose folder it is, be it in use or not.
    ///
    /// # Errors
    ///
    /// [`FolderError::NotOne`], [`FolderError::NewerVersion`], [`FolderError::Damaged`],
    /// [`FolderError::Io`].
    pub fn identity_of(path: &Path) -> Result<Identity, FolderError> {
        let file = path.join(IDENTITY);
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let path = path.to_owned();
                return Err(FolderError::NotOne { path });
            }
            Err(error) => return Err(failed("read", &file)(error)),
        };
        let damaged = |error: toml::de::Error| FolderError::Damaged {
            place: file.clone(),
            what: error.to_string(),
        };
        let version: Version = toml::from_str(&text).map_err(damaged)?;
        if version.format != FORMAT {
            return Err(FolderError::NewerVersion {
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
    pub fn log(&self) -> PathBuf {
        self.path.join("raft")
    }

    /// Before the log is opened: one that has been begun has to be there. A server that lost it, and
    /// began anew under its number, could vote again where it has voted, and lose what was
    /// acknowledged.
    ///
    /// # Errors
    ///
    /// [`FolderError::LogGone`].
    pub fn check_log(&self) -> Result<(), FolderError> {
        if self.path.join(BEGUN).exists() && !self.log().join("FORMAT").exists() {
            let path = self.log();
            return Err(FolderError::LogGone { path });
        }
        Ok(())
    }

    /// The log has been begun.
    ///
    /// # Errors
    ///
    /// [`FolderError::Io`].
    pub fn begun(&self) -> Result<(), FolderError> {
        match write_new(&self.path, BEGUN, "") {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(failed("write", &self.path.join(BEGUN))(error))
            }
            _ => Ok(()),
        }
    }

    /// Where the settings lie that the folder was made with, if they were kept.
    pub fn settings(path: &Path) -> PathBuf {
        path.join(SETTINGS)
    }

    /// Keeps the settings that the folder was made with.
    ///
    /// # Errors
    ///
    /// [`FolderError::Io`]; those that were there before stay.
    pub fn keep_settings(&self, text: &str) -> Result<(), FolderError> {
        let written = write_new(&self.path, SETTINGS, text);
        written.map_err(failed("write", &Folder::settings(&self.path)))
    }
}

impl Identity {
    /// Checks that the folder at `path`, whose this is, is the one that was meant, as far as that
    /// was said.
    ///
    /// # Errors
    ///
    /// [`FolderError::OtherNode`], [`FolderError::OtherCluster`].
    pub fn expect(
        &self,
        path: &Path,
        cluster: Option<u64>,
        node: Option<u64>,
    ) -> Result<(), FolderError> {
        let path = || path.to_owned();
        match (cluster, node) {
            (Some(asked), _) if asked != self.cluster => Err(FolderError::OtherCluster {
                path: path(),
                found: self.cluster,
                asked,
            }),
            (_, Some(asked)) if asked != self.node => Err(FolderError::OtherNode {
                path: path(),
                found: self.node,
                asked,
            }),
            (Some(_) | None, Some(_) | None) => Ok(()),
        }
    }
}

/// Keeps other processes out, until the file is dropped.
fn lock(folder: &Path) -> Result<File, FolderError> {
    let path = folder.join(LOCK);
    let mut options = File::options();
    let options = options.read(true).write(true).create(true).truncate(false);
    let file = options.open(&path).map_err(failed("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(FolderError::Locked {
            path: folder.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(failed("lock", &path)(error)),
    }
}

/// Only what a process left that was killed while it made the folder may be there.
fn refuse_content(path: &Path) -> Result<(), FolderError> {
    for file in fs::read_dir(path).map_err(failed("read", path))? {
        let name = file.map_err(failed("read", path))?.file_name();
        let name = name.to_string_lossy();
        if name == IDENTITY {
            let path = path.to_owned();
            return Err(FolderError::Exists { path });
        }
        // A disk's own folder is where its root is mounted.
        let is_ours = name == LOCK || name.starts_with(&format!("{IDENTITY}."));
        if !is_ours && name != "lost+found" {
            return Err(FolderError::NotEmpty {
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
fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    move |source| FolderError::Io {
        doing,
        path,
        source,
    }
}

/// What is wrong with a data folder.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// There is no `cluster.toml` in it.
    #[error(
        "{} is not a data folder: make one with `raft-kv init` for a new cluster, or with \
         `raft-kv join` for one that runs", path.display()
    )]
    NotOne {
        /// The folder.
        path: PathBuf,
    },
    /// The server has run, and its log is not there any more.
    #[error(
        "{} is gone: a server without its log must not go on under its number. Bring it back as it \
         was, or remove the server (`raft-kv leave`) and let another one join", path.display()
    )]
    LogGone {
        /// Where it was.
        path: PathBuf,
    },
    /// A release with another layout made it.
    #[error(
        "{} has format version {found}, this release reads {known}: start it with the release \
         that wrote it, or a later one", path.display()
    )]
    NewerVersion {
        /// The folder.
        path: PathBuf,
        /// What it says.
        found: u32,
        /// What is known.
        known: u32,
    },
    /// It was to be made, and is there.
    #[error(
        "{} is a data folder already: run it with `raft-kv start`, or name another folder",
        path.display()
    )]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// It was to be made, and something else is there.
    #[error("{} is not empty, it holds {name:?}: name another folder", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
        /// Some file in it.
        name: String,
    },
    /// It is another server's.
    #[error(
        "{} belongs to node {found}, not to node {asked}: name the folder of node {asked}",
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
        "{} belongs to cluster {found}, not to cluster {asked}: name a folder of cluster {asked}",
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
