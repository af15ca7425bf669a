//! A search that is kept in a folder: it may stop at any time, be killed too, and go on later, with
//! the same result as one that was never interrupted.
//!
//! ```text
//! position    where the search is, as JSON: written anew after each batch, and renamed into place
//! steps       which steps the core took (`journal.rs`): the tables are made of them again
//! states      the fingerprint and the link of each state (`records.rs`)
//! level-N     the states of the present level, and of the next (`levels.rs`)
//! lock        held by the process that searches
//! ```
//!
//! All but `position` only grow. Of each, what counts is as long as `position` says; a process that
//! is killed may have written more. The states that wait and the links are in these files alone:
//! what a search has in memory is 11 to 21 bytes a state, and the tables. Nothing is synced: after
//! a power failure a file may be shorter than `position` says, or end in zeros, which is refused.

mod append;
mod error;
mod journal;
mod levels;
mod records;

pub use error::SavedError;
pub(super) use journal::Group;
pub(super) use levels::Levels;
pub(super) use records::Records;

use super::model::Model;
use super::outcome::Marks;
use core::hash::{Hash, Hasher};
use error::at;
use journal::Journal;
use levels::Place;
use rustc_hash::FxHasher;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

/// Of the files.
const VERSION: u32 = 2;

/// Which search it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    version: u32,
    model: String,
    /// A fingerprint of the model's settings and bounds.
    settings: u64,
    recovery: bool,
}

impl Identity {
    fn of(model: &Model, recovery: bool) -> Identity {
        let settings = format!(
            "{:?}",
            (
                &model.configs,
                model.disks,
                model.bounds,
                &model.operations,
                model.reductions,
            )
        );
        let mut hasher = FxHasher::default();
        settings.hash(&mut hasher);
        Identity {
            version: VERSION,
            model: model.name.into(),
            settings: hasher.finish(),
            recovery,
        }
    }
}

/// How far a search has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    pub(super) states: u64,
    pub(super) transitions: u64,
    pub(super) depth: u32,
    /// The number of the present level's first state.
    pub(super) first: u64,
    /// How many states the present level has, and how many of them were expanded.
    pub(super) in_level: u64,
    pub(super) expanded: u64,
    pub(super) marks: Marks,
    /// A fingerprint of the tables: another build's differ.
    pub(super) tables: u64,
    /// How long it has searched.
    pub(super) millis: u64,
}

/// What the file `position` holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Saved {
    search: Identity,
    at: Position,
    levels: Place,
    /// How many bytes of the file `steps` count.
    steps: u64,
}

/// The folder of a search.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    search: Identity,
    journal: Journal,
    /// Another process cannot search here meanwhile.
    _lock: File,
}

/// What a search finds in its folder.
pub(super) struct Opened {
    pub(super) folder: Folder,
    pub(super) levels: Levels,
    pub(super) records: Records,
    /// Where an earlier one stopped; `None` if it begins here.
    pub(super) at: Option<Position>,
}

impl Folder {
    /// Opens the folder of a search, or makes it.
    pub(super) fn open(path: &Path, model: &Model, recovery: bool) -> Result<Opened, SavedError> {
        fs::create_dir_all(path).map_err(at(path))?;
        let lock = lock(path)?;
        let search = Identity::of(model, recovery);
        let found = read_position(path)?;
        if found.as_ref().is_some_and(|found| found.search != search) {
            let path = path.to_path_buf();
            return Err(SavedError::Another { path });
        }
        let at = found.as_ref().map(|found| found.at);
        let (steps, levels) = found.map_or((0, Place::default()), |it| (it.steps, it.levels));
        let states = at.map_or(0, |at| at.states);
        Ok(Opened {
            levels: Levels::open(path, levels)?,
            records: Records::open(path.join("states"), states)?,
            at,
            folder: Folder {
                path: path.to_path_buf(),
                search,
                journal: Journal::open(path.join("steps"), steps)?,
                _lock: lock,
            },
        })
    }

    /// Notes steps that the tables have taken.
    pub(super) fn note(&mut self, group: &Group) -> Result<(), SavedError> {
        self.journal.push(group)
    }

    /// Calls this for all steps that were noted.
    pub(super) fn for_each_group(&mut self, each: impl FnMut(&Group)) -> Result<(), SavedError> {
        self.journal.for_each(each)
    }

    /// The tables are not those of the search that was saved here.
    pub(super) fn another_build(&self) -> SavedError {
        let path = self.path.clone();
        SavedError::AnotherBuild { path }
    }

    /// Writes down where the search is: from here it would go on.
    pub(super) fn save(
        &mut self,
        position: Position,
        levels: &mut Levels,
        records: &mut Records,
    ) -> Result<(), SavedError> {
        records.flush()?;
        let saved = Saved {
            search: self.search.clone(),
            at: position,
            levels: levels.flush()?,
            steps: self.journal.flush()?,
        };
        let (path, new) = (self.path.join("position"), self.path.join("position.new"));
        let json = serde_json::to_string(&saved);
        let json = json.map_err(|error| malformed(&path, &error))?;
        fs::write(&new, json).map_err(at(&new))?;
        fs::rename(&new, &path).map_err(at(&path))?;
        levels.forget_before()
    }
}

fn lock(folder: &Path) -> Result<File, SavedError> {
    let path = folder.join("lock");
    let file = File::create(&path).map_err(at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let path = folder.to_path_buf();
            Err(SavedError::InUse { path })
        }
        Err(TryLockError::Error(error)) => Err(at(&path)(error)),
    }
}

fn read_position(folder: &Path) -> Result<Option<Saved>, SavedError> {
    let path = folder.join("position");
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(at(&path))?,
    };
    let is_of = serde_json::from_str::<AnyVersion>(&text);
    let version = is_of
        .map_err(|error| malformed(&path, &error))?
        .search
        .version;
    if version != VERSION {
        let reason = format!("it has version {version}, and this release has version {VERSION}");
        return Err(malformed(&path, &reason));
    }
    let saved = serde_json::from_str(&text);
    saved.map(Some).map_err(|error| malformed(&path, &error))
}

/// What every release writes to the file `position`.
#[derive(Deserialize)]
struct AnyVersion {
    search: SearchVersion,
}

#[derive(Deserialize)]
struct SearchVersion {
    version: u32,
}

fn malformed(path: &Path, reason: &impl ToString) -> SavedError {
    SavedError::Malformed {
        path: path.to_path_buf(),
        reason: reason.to_string(),
    }
}
