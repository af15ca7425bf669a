//! `raft-sim view`.

mod page;

use super::cluster::ClusterArgs;
use super::outcome::{CliError, CommandResult, Outcome, usage};
use super::values;
use clap::Args;
use core::time::Duration;
use page::{PageRequest, page};
use raft_sim::request::Faults;
use raft_sim::run;
use raft_sim::view::{SeedSource, Source};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// `raft-sim view`.
#[derive(Debug, Args)]
pub(super) struct ViewArgs {
    /// The run to show: its seed
    #[arg(
        long,
        required_unless_present = "schedule",
        conflicts_with = "schedule",
        value_parser = values::seed
    )]
    seed: Option<u64>,
    /// The run to show: its schedule file
    #[arg(long, value_name = "FILE")]
    schedule: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// How long the phase with faults is, in virtual time
    #[arg(long, default_value = "60s", value_parser = values::duration)]
    time: Duration,
    /// Where the page is written; by default seed-SEED.html, or the schedule's name with .html
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &ViewArgs) -> CommandResult {
    let (source, name) = match (&args.schedule, args.seed) {
        (Some(path), _) => (file(path)?, path.with_extension("html")),
        (None, seed) => {
            let seed = seed.unwrap_or_default(); // One of both is there.
            let request = args.cluster.request(seed, args.time, Faults::Mild);
            let name = PathBuf::from(format!("seed-{seed}.html"));
            (Source::Seed(SeedSource::from(&request)), name)
        }
    };
    let schedule = source.schedule(&[]).map_err(|error| match &args.schedule {
        Some(path) => usage(format!("{}: {error}", path.display())),
        None => usage(error),
    })?;
    let origin = source.name().map_err(usage)?;
    // The page makes the run itself, and compares.
    let report = run::run_schedule(&schedule, None);
    let digest = report.digest.clone();
    let text = page(&PageRequest { source, digest });
    let out = args.out.as_ref().unwrap_or(&name);
    fs::write(out, &text).map_err(|error| {
        let text = format!("{}: {error}", out.display());
        CliError::Io(io::Error::new(error.kind(), text))
    })?;
    let mut stdout = io::stdout();
    writeln!(stdout, "{origin}, digest {}", report.digest)?;
    if let Some(failure) = &report.failure {
        writeln!(
            stdout,
            "FAILED at {:.6} s: {failure}",
            report.virtual_seconds
        )?;
    }
    let (out, size) = (out.display(), text.len() / 1024);
    writeln!(
        stdout,
        "written to {out} ({size} KiB); open it in a browser"
    )?;
    Ok(Outcome::Passed)
}

/// The text of a schedule file.
fn file(path: &Path) -> Result<Source, CliError> {
    let bytes = fs::read(path).map_err(|error| usage(format!("{}: {error}", path.display())))?;
    if bytes.starts_with(b"RAFTREC") {
        let name = path.display();
        return Err(usage(format!(
            "{name} is a recording of a node: view shows runs of the simulator; raft-sim replay \
             --print prints recordings"
        )));
    }
    let text = String::from_utf8(bytes);
    let text = text.map_err(|_| usage(format!("{} is no text", path.display())))?;
    Ok(Source::Schedule(text))
}
