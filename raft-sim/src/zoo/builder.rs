//! Simulators with a mistake, built once and kept.

use super::scratch::{Scratch, for_each_file};
use super::{Mutant, ZooError, failed};
use sha2::{Digest, Sha256};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the program is made of. Other parts may change without making it another.
const SOURCES: [&str; 6] = [
    "Cargo.toml",
    "Cargo.lock",
    "raft-proto/Cargo.toml",
    "raft-proto/src",
    "raft-sim/Cargo.toml",
    "raft-sim/src",
];

/// Digits of a hash in a name.
const HASH_LENGTH: usize = 16;

/// Builds mutants, and keeps their programs as `target/zoo/bin/NAME-HASH`, so that the same
/// mistake in the same sources is built once.
#[derive(Debug)]
pub struct Builder {
    root: PathBuf,
    scratch: Option<Scratch>,
    jobs: Option<usize>,
    waits: fn(),
}

impl Builder {
    /// For the project at `root`. Cargo runs `jobs` jobs, or as many as it likes; `waits` is called
    /// before another process is waited for that builds mutants there.
    ///
    /// # Errors
    ///
    /// [`ZooError::Io`] if there is no such folder.
    pub fn new(root: &Path, jobs: Option<usize>, waits: fn()) -> Result<Builder, ZooError> {
        // Cargo runs in a copy: no path may depend on where this process is.
        let root = root.canonicalize().map_err(failed(root))?;
        let scratch = None;
        Ok(Builder {
            root,
            scratch,
            jobs,
            waits,
        })
    }

    /// The simulator with this mistake, if it was built before.
    ///
    /// # Errors
    ///
    /// [`ZooError::Io`].
    pub fn built(&self, mutant: &Mutant) -> Result<Option<PathBuf>, ZooError> {
        let program = place(&self.root, &self.root, mutant)?;
        Ok(program.exists().then_some(program))
    }

    /// The simulator with this mistake, which is built unless it was before.
    ///
    /// # Errors
    ///
    /// [`ZooError`].
    pub fn build(&mut self, mutant: &Mutant) -> Result<PathBuf, ZooError> {
        if let Some(program) = self.built(mutant)? {
            return Ok(program);
        }
        let scratch = match self.scratch.take() {
            Some(scratch) => scratch,
            None => Scratch::make(&self.root, self.waits)?,
        };
        let scratch = self.scratch.insert(scratch);
        // Of the copy: the sources may be edited meanwhile.
        let program = place(&self.root, scratch.folder(), mutant)?;
        if !program.exists() {
            let _mutated = scratch.mutate(mutant)?;
            let built = cargo_build(scratch.folder(), mutant, self.jobs)?;
            keep(&built, &program, mutant)?;
        }
        Ok(program)
    }
}

/// Where the program is kept that this mistake and the sources in `folder` make.
fn place(root: &Path, folder: &Path, mutant: &Mutant) -> Result<PathBuf, ZooError> {
    let mut digest = Sha256::new();
    let mut add = |bytes: &[u8]| {
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    };
    add(mutant.patch.as_bytes());
    for part in SOURCES {
        for_each_file(&folder.join(part), &mut |path, text| {
            let name = path.strip_prefix(folder).unwrap_or(path);
            add(name.to_string_lossy().as_bytes());
            add(text);
        })?;
    }
    let hash = digest.finalize();
    let hash = hash.iter().take(HASH_LENGTH / 2);
    let hash: String = hash.map(|byte| format!("{byte:02x}")).collect();
    let name = format!("{}-{hash}", mutant.name);
    Ok(root.join("target/zoo/bin").join(name))
}

/// Builds the copy as it is now.
fn cargo_build(folder: &Path, mutant: &Mutant, jobs: Option<usize>) -> Result<PathBuf, ZooError> {
    // The copy's own, so that nothing is shared with builds without the mistake.
    let target = folder.with_file_name("build");
    let cargo = env::var_os("CARGO").unwrap_or("cargo".into());
    let mut command = Command::new(&cargo);
    command.args(["build", "--release", "--quiet", "--package", "raft-sim"]);
    command.args(["--config", "profile.release.incremental=true"]);
    command.args(["--config", "profile.release.debug=false"]);
    command.args(["--config", "profile.release.lto=false"]);
    command.args(["--config", "profile.release.codegen-units=16"]);
    if let Some(jobs) = jobs {
        command.arg("--jobs").arg(jobs.to_string());
    }
    command.arg("--target-dir").arg(&target).current_dir(folder);
    command.env("RUSTFLAGS", "--cap-lints=allow");
    let output = command.output().map_err(failed(Path::new(&cargo)))?;
    match output.status.success() {
        true => Ok(target.join("release/raft-sim")),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            let name = mutant.name.clone();
            Err(ZooError::DoesNotBuild(name, first_error(&said).to_owned()))
        }
    }
}

/// The compiler's first error, up to the empty line behind it; all it said if there is none.
fn first_error(said: &str) -> &str {
    let starts = |at: usize| at == 0 || said.as_bytes().get(at - 1) == Some(&b'\n');
    let mut found = said.match_indices("error").map(|(at, _)| at);
    let error = found.find(|at| starts(*at)).and_then(|at| said.get(at..));
    let error = error.unwrap_or(said);
    error.split("\n\n").next().unwrap_or(error).trim_end()
}

/// Keeps a program that was built, and no longer those that other sources made of the mistake.
fn keep(built: &Path, program: &Path, mutant: &Mutant) -> Result<(), ZooError> {
    let Some(folder) = program.parent() else {
        return Ok(());
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
    for file in fs::read_dir(folder).map_err(failed(folder))? {
        let name = file.map_err(failed(folder))?.file_name();
        let rest = name
            .to_str()
            .and_then(|name| name.strip_prefix(&mutant.name));
        let hash = rest.and_then(|rest| rest.strip_prefix('-'));
        let is_hash =
            |hash: &str| hash.len() == HASH_LENGTH && hash.bytes().all(|it| it.is_ascii_hexdigit());
        if hash.is_some_and(is_hash) {
            // It is only in the way.
            let _ = fs::remove_file(folder.join(name));
        }
    }
    // Whoever finds it finds all of it.
    let part = program.with_extension("part");
    fs::copy(built, &part).map_err(failed(built))?;
    fs::rename(&part, program).map_err(failed(program))
}
