//! A copy of the project, into which mistakes are built.

use super::{Mutant, ZooError, failed};
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// What the copy must hold to be built.
const PARTS: [&str; 7] = [
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "raft-proto",
    "raft-sim",
    "raft-driver-thread",
    "fuzz",
];

/// What is not copied: build results, inputs that fuzzers found, and tools.
const LEFT_OUT: [&str; 4] = ["target", "corpus", "artifacts", "node_modules"];

/// A copy of the project that is mutated and built again and again.
#[derive(Debug)]
pub(super) struct Scratch {
    folder: PathBuf,
    /// Held as long as the copy is used, so that no other process changes it.
    _lock: File,
}

impl Scratch {
    /// Copies the sources of the project at `root`, an absolute path, to `target/zoo/project`. If
    /// another process uses the copy, calls `on_wait` and waits for it.
    pub(super) fn make(root: &Path, on_wait: fn()) -> Result<Scratch, ZooError> {
        let folder = root.join("target/zoo/project");
        fs::create_dir_all(&folder).map_err(failed(&folder))?;
        let path = folder.with_file_name("lock");
        let lock = File::create(&path).map_err(failed(&path))?;
        if lock.try_lock().is_err() {
            on_wait();
            lock.lock().map_err(failed(&path))?;
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

    /// Where the copy is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Applies the mistake to the copy, until the result is dropped.
    pub(super) fn mutate(&self, mutant: &Mutant) -> Result<Mutated, ZooError> {
        let read = |file: &str| {
            let path = self.folder.join(file);
            fs::read_to_string(&path).map_err(failed(&path))
        };
        let mut mutated = Mutated(Vec::new());
        for (file, text) in mutant.apply(read)? {
            let before = read(&file)?;
            let path = self.folder.join(file);
            let changed = path.clone();
            mutated.0.push(Changed {
                path: changed,
                before,
            });
            fs::write(&path, text).map_err(failed(&path))?;
        }
        Ok(mutated)
    }
}

/// Files of the copy that were changed, with their old texts, which come back when this is dropped.
#[derive(Debug)]
pub(super) struct Mutated(Vec<Changed>);

#[derive(Debug)]
struct Changed {
    path: PathBuf,
    before: String,
}

impl Drop for Mutated {
    fn drop(&mut self) {
        for Changed { path, before } in &self.0 {
            // If that fails, the next copy still restores the file.
            let _ = fs::write(path, before);
        }
    }
}

/// Copies files whose content differs, so that a build has little to do. Removes files that are
/// gone.
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

/// The names in a folder, without [`LEFT_OUT`].
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
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    removed.map_err(failed(path))
}

/// Calls `take` with the path and the text of every file, always in the same order.
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
