//! `raft-kv completions`.

use super::failure::Failure;
use clap::{Args, Command};
use clap_complete::{Shell, generate};
use std::io::{self, Write};

/// `raft-kv completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn run(arguments: &CompletionsArgs, mut command: Command) -> Result<(), Failure> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    generate(arguments.shell, &mut command, name, &mut script);
    let written = io::stdout().write_all(&script);
    written.map_err(|error| Failure::io("write the completions", &error))
}
