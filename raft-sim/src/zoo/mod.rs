//! The zoo: mistakes that real implementations made, each a small patch against the core. They
//! measure how good this simulator is at finding mistakes.
//!
//! A file `NAME.patch` begins with lines `Key: value`; then comes a unified diff:
//!
//! | key | what |
//! |---|---|
//! | `Rule` | the mistake, in a sentence |
//! | `Breaks` | the property that it breaks |
//! | `Source` | the issue or commit of the project that made it; `own` if it was devised here |

mod arguments;
mod builder;
mod scratch;
mod table;

pub use arguments::without_mutant_options;
pub use builder::Builder;
pub use table::{BEGIN, END, replace_table};

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The environment variable that tells a mutant its name.
pub const VARIABLE: &str = "RAFT_SIM_MUTANT";

/// The mistake that this process was built with. The command line needs it to say how a run is
/// repeated; no run depends on it.
pub fn current_mutant() -> Option<String> {
    std::env::var(VARIABLE).ok().filter(|name| !name.is_empty())
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// The name of its file.
    pub name: String,
    /// The mistake, in a sentence.
    pub rule: String,
    /// The property that it breaks.
    pub breaks: String,
    /// The issue or commit of the project that made it.
    pub source: String,
    /// The unified diff.
    patch: String,
}

/// Why there is no mutant.
#[derive(Debug, thiserror::Error)]
pub enum ZooError {
    /// The project is not here.
    #[error("{} is not there: run the command in the project's root, or name that with --root", .0.display())]
    NoProject(PathBuf),
    /// A file could not be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A patch that lacks a part.
    #[error("{mutant}.patch has no {part}")]
    Lacks {
        /// The mutant.
        mutant: String,
        /// The key that is not there, or the diff.
        part: &'static str,
    },
    /// No mutant of this name.
    #[error(
        "there is no {mutant}.patch; the nearest names are {nearest}; raft-sim/zoo/README.md lists all"
    )]
    Unknown {
        /// The name.
        mutant: String,
        /// The names that are most like it, as a list.
        nearest: String,
    },
    /// The simulator with the mistake does not compile.
    #[error("{mutant} does not build: {reason}")]
    DoesNotBuild {
        /// The mutant.
        mutant: String,
        /// What the compiler says.
        reason: String,
    },
    /// The code has changed since the patch was made.
    #[error("{mutant}.patch does not apply to {file}: {reason}; mend the patch")]
    DoesNotApply {
        /// The mutant.
        mutant: String,
        /// The file of the project.
        file: String,
        /// The reason.
        reason: String,
    },
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> ZooError {
    let path = path.to_owned();
    move |source| ZooError::Io { path, source }
}

impl Mutant {
    /// Reads the text of a patch file.
    ///
    /// # Errors
    ///
    /// [`ZooError::Lacks`].
    pub fn parse(name: &str, text: &str) -> Result<Mutant, ZooError> {
        let lacks = |part| ZooError::Lacks {
            mutant: name.to_owned(),
            part,
        };
        let at = text.find("diff --git ").ok_or(lacks("diff"))?;
        let (head, patch) = text.split_at(at);
        let keys: BTreeMap<&str, &str> = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .collect();
        let key = |key: &'static str| match keys.get(key) {
            Some(value) => Ok(value.trim().to_owned()),
            None => Err(lacks(key)),
        };
        Ok(Mutant {
            name: name.to_owned(),
            rule: key("Rule")?,
            breaks: key("Breaks")?,
            source: key("Source")?,
            patch: patch.to_owned(),
        })
    }

    /// The files that the patch changes, with their new texts. `read` gives the text of a file now.
    ///
    /// # Errors
    ///
    /// [`ZooError::DoesNotApply`], or an error of `read`.
    pub fn apply(
        &self,
        read: impl Fn(&str) -> Result<String, ZooError>,
    ) -> Result<Vec<(String, String)>, ZooError> {
        let mut changed = Vec::new();
        for part in self.patch.split("diff --git ").filter(|it| !it.is_empty()) {
            let refuse = |file: &str, reason: String| ZooError::DoesNotApply {
                mutant: self.name.clone(),
                file: file.to_owned(),
                reason,
            };
            let at = part.find("--- ");
            let diff = at.and_then(|at| part.get(at..)).unwrap_or_default();
            let patch = diffy::Patch::from_str(diff);
            let patch = patch.map_err(|error| refuse("anything", error.to_string()))?;
            let file = patch.modified().unwrap_or_default();
            let file = file.strip_prefix("b/").unwrap_or(file);
            let mutated = diffy::apply(&read(file)?, &patch);
            let mutated = mutated.map_err(|error| refuse(file, error.to_string()))?;
            changed.push((file.to_owned(), mutated));
        }
        if changed.is_empty() {
            return Err(ZooError::Lacks {
                mutant: self.name.clone(),
                part: "diff",
            });
        }
        Ok(changed)
    }
}

/// Reads one patch of a project.
///
/// # Errors
///
/// [`ZooError`].
pub fn read_one(root: &Path, name: &str) -> Result<Mutant, ZooError> {
    let unknown = || ZooError::Unknown {
        mutant: name.to_owned(),
        nearest: String::new(),
    };
    let mut found = read(root, &[name.to_owned()])?.into_iter();
    found.next().ok_or_else(unknown)
}

/// Reads the named patches of a project, or all of them, sorted by name.
///
/// # Errors
///
/// [`ZooError`].
pub fn read(root: &Path, names: &[String]) -> Result<Vec<Mutant>, ZooError> {
    let folder = root.join("raft-sim/zoo");
    if !folder.is_dir() {
        return Err(ZooError::NoProject(folder));
    }
    let mut all = BTreeMap::new();
    for file in fs::read_dir(&folder).map_err(failed(&folder))? {
        let path = file.map_err(failed(&folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(name) = name.and_then(|name| name.strip_suffix(".patch")) else {
            continue;
        };
        let text = fs::read_to_string(&path).map_err(failed(&path))?;
        all.insert(name.to_owned(), Mutant::parse(name, &text)?);
    }
    if names.is_empty() {
        return Ok(all.into_values().collect());
    }
    let find = |name: &String| {
        let unknown = || ZooError::Unknown {
            mutant: name.clone(),
            nearest: nearest(name, all.keys()),
        };
        all.get(name).cloned().ok_or_else(unknown)
    };
    names.iter().map(find).collect()
}

/// The three names that are most like this one.
fn nearest<'a>(name: &str, all: impl Iterator<Item = &'a String>) -> String {
    let mut names: Vec<&str> = all.map(String::as_str).collect();
    let likeness = |other: &str| strsim::sorensen_dice(name, other);
    names.sort_by(|one, other| likeness(other).total_cmp(&likeness(one)));
    names.truncate(3);
    names.join(", ")
}
