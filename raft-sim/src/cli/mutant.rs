//! `--mutant NAME`: the same command line, run by a simulator with a mistake built in.

use super::outcome::{CliError, CommandResult, Outcome, usage};
use clap::Args;
use raft_sim::schedule::Schedule;
use raft_sim::zoo::{self, Builder, ZooError};
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The simulator that runs the command.
#[derive(Debug, Args)]
pub(super) struct MutantArgs {
    /// Build this mistake of raft-sim/zoo into the core first; needs cargo and the project's
    /// sources
    #[arg(long, value_name = "NAME")]
    mutant: Option<String>,
    /// The project's root, from which mutants are built
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub(super) root: PathBuf,
}

impl MutantArgs {
    /// Has the mutant run the whole command line, if one is named.
    pub(super) fn delegate(&self) -> Result<Option<Outcome>, CliError> {
        let Some(name) = &self.mutant else {
            return Ok(None);
        };
        let arguments = zoo::without_mutant_options(std::env::args_os().skip(1));
        delegate(&self.root, name, &arguments).map(Some)
    }
}

/// Runs the simulator with this mistake, and ends as it does. It is built unless it was before.
pub(super) fn delegate(root: &Path, name: &str, args: &[OsString]) -> CommandResult {
    let program = program(root, name).map_err(usage)?;
    let mut command = Command::new(&program);
    let status = command.args(args).env(zoo::VARIABLE, name).status();
    let status = status
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", program.display())))?;
    match status.code() {
        Some(0) => Ok(Outcome::Passed),
        Some(1) => Ok(Outcome::Failed),
        Some(2) => Ok(Outcome::Usage),
        Some(3) => Ok(Outcome::Interrupted),
        Some(_) | None => Err(io::Error::other(format!("{name} ended with {status}")).into()),
    }
}

/// The simulator with this mistake.
fn program(root: &Path, name: &str) -> Result<PathBuf, ZooError> {
    let mutant = zoo::read_one(root, name)?;
    let mut builder = Builder::new(root, None, say_that_it_waits)?;
    if let Some(program) = builder.built(&mutant)? {
        return Ok(program);
    }
    let _ = writeln!(io::stderr(), "building raft-sim with {name} ...");
    builder.build(&mutant)
}

/// The mistake with which a schedule was written, if this process has none built in.
pub(super) fn mutant_of(schedule: &Schedule) -> Option<&str> {
    match zoo::current_mutant() {
        // An explicit --mutant counts, whatever the file says.
        Some(_) => None,
        None => schedule.mutant.as_deref(),
    }
}

/// Says why nothing happens.
pub(super) fn say_that_it_waits() {
    let what = "waiting for another raft-sim, which builds mutants in the same project ...";
    let _ = writeln!(io::stderr(), "{what}");
}
