//! A copy of the project, in which mistakes are built in.

use super::{Mutant, ZooError, failed};
use fs4::FileExt;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// What a scratch copy of the project has to hold to be built.
const PARTS: [&str; 7] = [
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "raft-proto",
    "raft-sim",
    "raft-driver-thread",
    "fuzz",
];

/// What is not copied: what was built or found.
const LEFT_OUT: [&str; 3] = ["target", "corpus", "artifacts"];

/// A copy of the project that is mutated and built again and again.
#[derive(Debug)]
pub(super) struct Scratch {
    folder: PathBuf,
    /// Held as long as the copy is used: another process would mutate it meanwhile.
    _lock: File,
}

impl Scratch {
    /// Copies the sources of the project at `root`, an absolute path, to `target/zoo/project`.
    /// Waits for any other process that uses that, and tells of it before.
    pub(super) fn make(root: &Path, waits: fn()) -> Result<Scratch, ZooError> {
        let folder = root.join("target/zoo/project");
        fs::create_dir_all(&folder).map_err(failed(&folder))?;
        let path = folder.with_file_name("lock");
        let lock = File::create(&path).map_err(failed(&path))?;
        if FileExt::try_lock(&lock).is_err() {
            waits();
            FileExt::lock(&lock).map_err(failed(&path))?;
        }
        for part in PARTS {
            let from = root.join(part);
            if !from.exists() {
                return Err(ZooError::NoProject(from));
            }
            copy(&from, &folder.join(part))?;
        }
        Ok(Scratch {
            folder,
            _lock: lock,
        })
    }

    /// Where it is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The project with this mistake, until that is dropped.
    pub(super) fn mutate(&self, mutant: &Mutant) -> Result<Mutated, ZooError> {
        let read = |file: &str| {
            let path = self.folder.join(file);
            fs::read_to_string(&path).map_err(failed(&path))
        };
        let mut mutated = Mutated(Vec::new());
        for (file, text) in mutant.apply(read)? {
            let before = read(&file)?;
            let path = self.folder.join(file);
            mutated.0.push((path.clone(), before));
            fs::write(&path, text).map_err(failed(&path))?;
        }
        Ok(mutated)
    }
}

/// Files that were changed, with what they were. Dropped, they are as they were.
#[derive(Debug)]
pub(super) struct Mutated(Vec<(PathBuf, String)>);

impl Drop for Mutated {
    fn drop(&mut self) {
        for (path, text) in &self.0 {
            // Should it fail, the next copy begins anew all the same.
            let _ = fs::write(path, text);
        }
    }
}

/// Copies files whose content differs, so that a build has little to do, and removes those that
/// are no more.
fn copy(from: &Path, to: &Path) -> Result<(), ZooError> {
    if from.is_dir() {
        fs::create_dir_all(to).map_err(failed(to))?;
        for name in names(from)? {
            copy(&from.join(&name), &to.join(&name))?;
        }
        for name in names(to)? {
            if !from.join(&name).exists() {
                remove(&to.join(&name))?;
            }
        }
        return Ok(());
    }
    let text = fs::read(from).map_err(failed(from))?;
    match fs::read(to) {
        Ok(there) if there == text => Ok(()),
        Ok(_) | Err(_) => fs::write(to, text).map_err(failed(to)),
    }
}

/// What a folder holds, but for what was built.
fn names(folder: &Path) -> Result<Vec<OsString>, ZooError> {
    let mut names = Vec::new();
    for file in fs::read_dir(folder).map_err(failed(folder))? {
        let name = file.map_err(failed(folder))?.file_name();
        if !LEFT_OUT.iter().any(|left| name == *left) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn remove(path: &Path) -> Result<(), ZooError> {
    match path.is_dir() {
        true => fs::remove_dir_all(path).map_err(failed(path)),
        false => fs::remove_file(path).map_err(failed(path)),
    }
}

/// Calls `take` with the path and the text of every file, in an order that is always the same.
pub(super) fn for_each_file(
    path: &Path,
    take: &mut impl FnMut(&Path, &[u8]),
) -> Result<(), ZooError> {
    if path.is_dir() {
        return names(path)?
            .iter()
            .try_for_each(|name| for_each_file(&path.join(name), take));
    }
    take(path, &fs::read(path).map_err(failed(path))?);
    Ok(())
}
