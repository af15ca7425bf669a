//! The command `raft-sim`: the Lab 3 scenarios, and whole clusters under faults, from a seed.
#![forbid(unsafe_code)]

mod cli;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run(cli::Cli::parse())
}
