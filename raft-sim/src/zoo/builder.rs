//! Builds simulators with a mistake, each once.

use super::scratch::{Scratch, for_each_file};
use super::{Mutant, ZooError, failed};
use sha2::{Digest, Sha256};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The sources of the program. When other parts of the project change, it stays the same.
const SOURCES: [&str; 6] = [
    "Cargo.toml",
    "Cargo.lock",
    "raft-proto/Cargo.toml",
    "raft-proto/src",
    "raft-sim/Cargo.toml",
    "raft-sim/src",
];

/// The number of digits of the hash in a name.
const HASH_LENGTH: usize = 16;

/// Builds mutants, and keeps their programs as `target/zoo/bin/NAME-HASH`, so that the same mistake
/// in the same sources is built once.
#[derive(Debug)]
pub struct Builder {
    root: PathBuf,
    scratch: Option<Scratch>,
    jobs: Option<usize>,
    on_wait: fn(),
}

impl Builder {
    /// A builder for the project at `root`. Cargo runs `jobs` jobs, or its own default. `on_wait`
    /// is called before the builder waits for another process that builds mutants there.
    ///
    /// # Errors
    ///
    /// [`ZooError::Io`] if there is no such folder.
    pub fn new(root: &Path, jobs: Option<usize>, on_wait: fn()) -> Result<Builder, ZooError> {
        // Cargo runs in a copy of the project, so paths must be absolute.
        let root = root.canonicalize().map_err(failed(root))?;
        let scratch = None;
        Ok(Builder {
            root,
            scratch,
            jobs,
            on_wait,
        })
    }

    /// The program with this mistake, if it was built before.
    ///
    /// # Errors
    ///
    /// [`ZooError::Io`].
    pub fn built(&self, mutant: &Mutant) -> Result<Option<PathBuf>, ZooError> {
        let program = place(&self.root, &self.root, mutant)?;
        Ok(program.exists().then_some(program))
    }

    /// The program with this mistake. Builds it unless it was built before.
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
            None => Scratch::make(&self.root, self.on_wait)?,
        };
        let scratch = self.scratch.insert(scratch);
        // The hash is that of the copy: the sources may be edited meanwhile.
        let program = place(&self.root, scratch.folder(), mutant)?;
        if !program.exists() {
            let _mutated = scratch.mutate(mutant)?;
            let built = cargo_build(scratch.folder(), mutant, self.jobs)?;
            keep(&built, &program, mutant)?;
        }
        Ok(program)
    }
}

/// The path of the program made from the sources in `folder` with this mistake.
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

/// Builds the copy with cargo.
fn cargo_build(folder: &Path, mutant: &Mutant, jobs: Option<usize>) -> Result<PathBuf, ZooError> {
    // A target folder of its own: nothing is shared with builds without the mistake.
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
    if output.status.success() {
        return Ok(target.join("release/raft-sim"));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(ZooError::DoesNotBuild {
        mutant: mutant.name.clone(),
        reason: first_error(&said).to_owned(),
    })
}

/// The first error of the compiler, up to the empty line after it. The whole output if it names no
/// error.
fn first_error(said: &str) -> &str {
    let starts = |at: usize| at == 0 || said.as_bytes().get(at - 1) == Some(&b'\n');
    let mut found = said.match_indices("error").map(|(at, _)| at);
    let error = found.find(|at| starts(*at)).and_then(|at| said.get(at..));
    let error = error.unwrap_or(said);
    error.split("\n\n").next().unwrap_or(error).trim_end()
}

/// Keeps a program, and removes those that were made from other sources with the same mistake.
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
            // If that fails, the old program only takes space.
            let _ = fs::remove_file(folder.join(name));
        }
    }
    // Renamed into place, so that another process never sees half of it.
    let part = program.with_extension("part");
    fs::copy(built, &part).map_err(failed(built))?;
    fs::rename(&part, program).map_err(failed(program))
}
