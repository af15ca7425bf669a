//! Dumps and verifies the data folder of a node that does not run.
#![forbid(unsafe_code)]

use clap::Parser;
use raft_driver_thread::raft_proto::{Entries, Entry};
use raft_driver_thread::storage::disk;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// How many bytes of a payload are shown.
const SHOWN: usize = 32;

/// Show what the data folder of a stopped node holds, and hold all of it against its checksums
///
/// Exit code 1 if something is damaged, 2 if the folder cannot be read at all.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// The folder that the node was given
    folder: PathBuf,

    /// Print every entry of the log too: index@term, kind, length, and how its payload begins
    #[arg(long)]
    entries: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut failed = None;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let inspected = disk::inspect(&cli.folder, |entries| {
        if cli.entries && failed.is_none() {
            failed = print(&mut out, entries).err();
        }
    });
    let found = match inspected {
        Ok(found) => found,
        Err(error) => {
            drop(out);
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let printed = match failed {
        Some(error) => Err(error),
        None => writeln!(out, "{found}").and_then(|()| out.flush()),
    };
    match printed {
        // Whoever reads has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Err(error) => {
            eprintln!("error: write the answer: {error}");
            return ExitCode::from(2);
        }
        Ok(()) => {}
    }
    match found.problems.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(1),
    }
}

fn print(out: &mut impl Write, entries: &Entries) -> io::Result<()> {
    entries.iter().try_for_each(|entry| line(out, &entry))
}

fn line(out: &mut impl Write, entry: &Entry<'_>) -> io::Result<()> {
    let payload = entry.payload();
    let shown = payload.get(..SHOWN).unwrap_or(payload);
    let more = if payload.len() > SHOWN { "..." } else { "" };
    let (id, kind, length) = (entry.id(), entry.kind(), payload.len());
    let shown = shown.escape_ascii();
    writeln!(out, "{id:>12} {kind:>10} {length:>8}  \"{shown}\"{more}")
}
