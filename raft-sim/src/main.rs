//! The command `raft-sim`: the Lab 3 scenarios, and whole clusters under faults, from a seed.
#![forbid(unsafe_code)]

mod cli;

/// Half of a run's allocations are small and short-lived.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
