//! `raft-sim merge`.

use super::outcome::{CliError, CommandResult, Outcome, usage};
use super::results::{LISTED, Results, Summary};
use clap::Args;
use raft_sim::sweep::{CHUNK, Seeds, read_results};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// `raft-sim merge`.
#[derive(Debug, Args)]
pub(super) struct MergeArgs {
    /// The files that the parts wrote
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &MergeArgs) -> CommandResult {
    let mut results = Results::new();
    for path in &args.files {
        read(path, &mut results)?;
    }
    let (Some(first), Some(last)) = (results.values().next(), results.values().last()) else {
        return Err(usage("there are no results in these files"));
    };
    let seeds = Seeds(first.seeds.0.start..last.seeds.0.end);
    let (settings, gaps) = (&first.settings, gaps(&results));
    let summary = Summary::of(results.values());
    let mut stdout = io::stdout();
    if args.json {
        let gaps: Vec<String> = gaps.iter().map(Seeds::to_string).collect();
        let json = serde_json::json!({
            "seeds": seeds.to_string(),
            "settings": settings,
            "gaps": gaps,
            "passed": summary.failures.is_empty(),
            "tally": summary.tally,
            "failures": summary.failures,
        });
        writeln!(stdout, "{json:#}")?;
    } else {
        writeln!(stdout, "seeds {seeds}, {settings}")?;
        if !gaps.is_empty() {
            let shown = gaps.get(..LISTED).unwrap_or(&gaps).iter();
            let shown: Vec<String> = shown.map(Seeds::to_string).collect();
            writeln!(
                stdout,
                "{} gaps of whole chunks ({CHUNK} seeds each): {}",
                gaps.len(),
                shown.join(" ")
            )?;
        }
        summary.print()?;
    }
    Ok(Outcome::of(summary.failures.is_empty()))
}

/// Adds the results in a file.
fn read(path: &Path, results: &mut Results) -> Result<(), CliError> {
    let named = |error: &dyn ToString| usage(format!("{}: {}", path.display(), error.to_string()));
    let text = fs::read_to_string(path).map_err(|error| named(&error))?;
    for result in read_results(&text).map_err(|error| named(&error))? {
        let first = results.values().next();
        if let Some(first) = first.filter(|first| first.settings != result.settings) {
            let (one, other) = (&first.settings, &result.settings);
            return Err(named(&format!(
                "its sweep had other settings ({other}) than the first one ({one})"
            )));
        }
        // A part that was run again repeats its chunks: each counts once.
        results.insert(result.seeds.0.start, result);
    }
    Ok(())
}

/// The seeds between the first and the last result that no result holds.
fn gaps(results: &Results) -> Vec<Seeds> {
    let ranges: Vec<_> = results.values().map(|result| &result.seeds.0).collect();
    let pairs = ranges.windows(2).filter_map(|pair| match pair {
        [before, after] if before.end < after.start => Some(Seeds(before.end..after.start)),
        _ => None,
    });
    pairs.collect()
}
