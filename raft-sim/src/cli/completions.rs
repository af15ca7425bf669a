//! `raft-sim completions`.

use super::outcome::{CommandResult, Outcome};
use clap::Args;
use clap_complete::Shell;
use std::io::{self, Write};

/// `raft-sim completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs, mut command: clap::Command) -> CommandResult {
    // Not straight to stdout: the generator panics where that is closed.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "raft-sim", &mut script);
    io::stdout().write_all(&script)?;
    Ok(Outcome::Passed)
}
