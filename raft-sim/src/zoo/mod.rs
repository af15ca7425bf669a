//! The zoo: mistakes that real implementations made, each a small patch against the core, by which
//! this simulator measures how good it is at finding them.
//!
//! A file `NAME.patch` begins with lines `Key: value`, then comes a unified diff:
//!
//! | key | what |
//! |---|---|
//! | `Rule` | the wrong rule, in a sentence |
//! | `Breaks` | the property that it breaks |
//! | `Source` | where it was made; `own` if it was devised here |

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

/// The environment variable by which a mutant knows its name.
pub const VARIABLE: &str = "RAFT_SIM_MUTANT";

/// The mistake that this process was built with, so that it can say how it is repeated. For
/// the command line: no run depends on it.
pub fn current_mutant() -> Option<String> {
    std::env::var(VARIABLE).ok().filter(|name| !name.is_empty())
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// What it is called.
    pub name: String,
    /// The wrong rule.
    pub rule: String,
    /// The property that it breaks.
    pub breaks: String,
    /// Where it was made.
    pub source: String,
    /// The unified diff.
    patch: String,
}

/// Why there is no mutant.
#[derive(Debug, thiserror::Error)]
pub enum ZooError {
    /// This is not where the project is.
    #[error("{} is not there: run it in the project's root, or say where that is with --root", .0.display())]
    NoProject(PathBuf),
    /// A file could not be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A patch that lacks a part.
    #[error("{0}.patch has no {1}")]
    Lacks(String, &'static str),
    /// No mutant of this name.
    #[error("there is no {0}.patch; there are: {1}")]
    Unknown(String, String),
    /// No simulator came of it.
    #[error("{0} does not build: {1}")]
    DoesNotBuild(String, String),
    /// The code has changed under a patch.
    #[error("{0}.patch does not apply to {1}: {2}; mend the patch")]
    DoesNotApply(String, String, String),
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
        let lacks = |what| ZooError::Lacks(name.to_owned(), what);
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

    /// The files that it changes, and their new texts. `read` gives what they are now.
    ///
    /// # Errors
    ///
    /// [`ZooError::DoesNotApply`], or what `read` says.
    pub fn apply(
        &self,
        read: impl Fn(&str) -> Result<String, ZooError>,
    ) -> Result<Vec<(String, String)>, ZooError> {
        let mut changed = Vec::new();
        for part in self.patch.split("diff --git ").filter(|it| !it.is_empty()) {
            let refuse = |file: &str, why: String| {
                ZooError::DoesNotApply(self.name.clone(), file.to_owned(), why)
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
        match changed.is_empty() {
            true => Err(ZooError::Lacks(self.name.clone(), "diff")),
            false => Ok(changed),
        }
    }
}

/// Reads one patch of a project.
///
/// # Errors
///
/// [`ZooError`].
pub fn read_one(root: &Path, name: &str) -> Result<Mutant, ZooError> {
    let unknown = || ZooError::Unknown(name.to_owned(), String::new());
    let mut found = read(root, &[name.to_owned()])?.into_iter();
    found.next().ok_or_else(unknown)
}

/// Reads all patches of a project, or those that are named; sorted by their names.
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
    let known: Vec<String> = all.keys().cloned().collect();
    let find = |name: &String| {
        let unknown = || ZooError::Unknown(name.clone(), known.join(", "));
        all.get(name).cloned().ok_or_else(unknown)
    };
    names.iter().map(find).collect()
}
