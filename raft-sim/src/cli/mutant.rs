//! `--mutant NAME`: the same command line, by a simulator with a mistake built in.

use super::Verdict;
use clap::Args;
use raft_sim::schedule::Schedule;
use raft_sim::zoo::{self, Builder, ZooError};
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which simulator does it.
#[derive(Debug, Args)]
pub(crate) struct MutantArgs {
    /// Do it with this mistake of raft-sim/zoo built into the core; needs cargo and the project's
    /// sources
    #[arg(long, value_name = "NAME")]
    mutant: Option<String>,
    /// Where the project is that mutants are built from
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub(super) root: PathBuf,
}

impl MutantArgs {
    /// Has the mutant do it, if one is named.
    pub(crate) fn delegate(&self) -> io::Result<Option<Verdict>> {
        let Some(name) = &self.mutant else {
            return Ok(None);
        };
        let arguments = zoo::without_mutant(std::env::args_os().skip(1));
        delegate(&self.root, name, &arguments).map(Some)
    }
}

/// Runs the simulator with this mistake, built unless it is kept from before, and ends as it does.
pub(crate) fn delegate(root: &Path, name: &str, args: &[OsString]) -> io::Result<Verdict> {
    let program = match program(root, name) {
        Ok(program) => program,
        Err(error) => {
            writeln!(io::stderr(), "error: {error}")?;
            return Ok(Verdict::Usage);
        }
    };
    let mut command = Command::new(&program);
    let status = command.args(args).env(zoo::VARIABLE, name).status();
    let status = status
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", program.display())))?;
    match status.code() {
        Some(0) => Ok(Verdict::Passed),
        Some(1) => Ok(Verdict::Failed),
        Some(2) => Ok(Verdict::Usage),
        Some(3) => Ok(Verdict::Interrupted),
        Some(_) | None => Err(io::Error::other(format!("{name} ended with {status}"))),
    }
}

/// The simulator with this mistake.
fn program(root: &Path, name: &str) -> Result<PathBuf, ZooError> {
    let mutant = zoo::read_one(root, name)?;
    let mut builder = Builder::new(root, None, waits)?;
    if let Some(program) = builder.kept(&mutant)? {
        return Ok(program);
    }
    let _ = writeln!(io::stderr(), "building raft-sim with {name} ...");
    builder.program(&mutant)
}

/// The mistake with which a schedule was written, if this process is not with any.
pub(super) fn other(schedule: &Schedule) -> Option<&str> {
    match zoo::current_mutant() {
        // Whoever says which one it is to be wants to see that one.
        Some(_) => None,
        None => schedule.mutant.as_deref(),
    }
}

/// Says why nothing happens.
pub(super) fn waits() {
    let what = "waiting for another raft-sim, which builds mutants in the same project ...";
    let _ = writeln!(io::stderr(), "{what}");
}
