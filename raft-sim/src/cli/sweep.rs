//! `raft-sim sweep`.

use super::cluster::ClusterArgs;
use super::outcome::{CliError, CommandResult, Outcome, usage};
use super::results::{Results, Summary, list};
use super::signals::interrupted_by_signals;
use super::{progress, values};
use clap::Args;
use core::time::Duration;
use indicatif::ProgressBar;
use raft_sim::report::Report;
use raft_sim::request::{Faults, Request};
use raft_sim::run;
use raft_sim::sweep::{ChunkResult, FailedSeed, Seeds, Shard, Tally, read_results};
use rayon::prelude::*;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// `raft-sim sweep`.
#[derive(Debug, Args)]
pub(super) struct SweepArgs {
    /// Which seeds: A..B, from A to just below B, in decimal or hexadecimal
    #[arg(long, value_name = "A..B", allow_hyphen_values = true)]
    seeds: Seeds,
    /// How many threads; by default one a core
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=4096))]
    jobs: Option<u32>,
    /// Run only part I of N, counted from 0; with `array` for I, the part is taken from
    /// SLURM_ARRAY_TASK_ID or JOB_COMPLETION_INDEX. Parts are made of whole chunks of 256 seeds, so
    /// some are empty if there are fewer chunks than parts
    #[arg(long, value_name = "I/N")]
    shard: Option<String>,
    /// Write the result of each chunk of seeds to this file, as a line of JSON, and leave out the
    /// chunks that it holds already
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// How long the phase with faults is, in virtual time
    #[arg(long, default_value = "20s", value_parser = values::duration)]
    time: Duration,
    /// Run one seed after another, and end with the first that fails
    #[arg(long, conflicts_with = "resume")]
    until_failure: bool,
    /// Print the results of whole chunks as lines of JSON, and no summary
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &SweepArgs) -> CommandResult {
    let shard = args.shard.as_deref().map(parse_shard).transpose()?;
    let settings = request(args, 0).settings();
    let (mut results, mut log) = match &args.resume {
        None => (Results::new(), None),
        Some(path) => match resume(path, &settings) {
            Ok((results, log)) => (results, Some(log)),
            Err(error) => return Err(usage(format!("--resume {}: {error}", path.display()))),
        },
    };
    let chunks = args.seeds.chunks().enumerate();
    let chunks = chunks.filter(|(at, _)| shard.is_none_or(|shard| shard.holds(*at)));
    let chunks: Vec<Seeds> = chunks.map(|(_, seeds)| seeds).collect();
    results.retain(|_, result| chunks.contains(&result.seeds));
    let seeds = chunks.iter().map(Seeds::count).sum();
    let bar = progress::seeds(seeds);
    bar.inc(results.values().map(|result| result.seeds.count()).sum());
    bar.reset_eta();
    let sweep = Sweep {
        args,
        settings,
        interrupted: interrupted_by_signals(),
        bar,
    };
    let mut builder = rayon::ThreadPoolBuilder::new();
    builder = builder.num_threads(args.jobs.unwrap_or(0) as usize);
    let pool = builder.build().map_err(io::Error::other)?;
    let mut unfinished = None;
    for seeds in &chunks {
        if results.contains_key(&seeds.0.start) {
            continue;
        }
        let result = match pool.install(|| sweep.chunk(seeds)) {
            ChunkRun::Whole(result) => result,
            ChunkRun::Interrupted(result) => {
                unfinished = Some(result);
                break;
            }
        };
        sweep.note(&result, log.as_mut())?;
        let has_failed = !result.failures.is_empty();
        results.insert(seeds.0.start, result);
        if args.until_failure && has_failed {
            break;
        }
    }
    sweep.bar.finish_and_clear();
    let summary = Summary::of(results.values().chain(&unfinished));
    if !args.json {
        summary.print()?;
    }
    if let Some(unfinished) = &unfinished {
        say_interrupted(args, summary.tally.seeds, seeds, unfinished.tally.seeds)?;
    }
    Ok(match unfinished {
        _ if !summary.failures.is_empty() => Outcome::Failed,
        Some(_) => Outcome::Interrupted,
        None => Outcome::Passed,
    })
}

fn parse_shard(text: &str) -> Result<Shard, CliError> {
    let shard = Shard::parse(text, |name| std::env::var(name).ok());
    shard.map_err(|error| usage(format!("--shard: {error}")))
}

fn request(args: &SweepArgs, seed: u64) -> Request {
    args.cluster.request(seed, args.time, Faults::Wild)
}

/// After the summary: how far the sweep came, and how it goes on.
fn say_interrupted(args: &SweepArgs, done: u64, all: u64, unfinished: u64) -> io::Result<()> {
    let how = match &args.resume {
        Some(_) if unfinished > 0 => format!(
            "; the same command goes on, and runs the {unfinished} seeds of the unfinished chunk again"
        ),
        Some(_) => String::from("; the same command goes on"),
        // It cannot be resumed.
        None if args.until_failure => String::new(),
        None => String::from("; with --resume FILE the same command would go on where it stopped"),
    };
    let text = format!("interrupted: {done} of {all} seeds were run{how}");
    if args.json {
        writeln!(io::stderr(), "{text}")
    } else {
        writeln!(io::stdout(), "{text}")
    }
}

/// A sweep that is under way.
struct Sweep<'a> {
    args: &'a SweepArgs,
    /// All options but the seed, as the command that repeats a run has them.
    settings: String,
    interrupted: Arc<AtomicBool>,
    bar: ProgressBar,
}

/// What came of a chunk.
enum ChunkRun {
    /// All its seeds were run, or those up to the first failure.
    Whole(ChunkResult),
    /// Only some were: they are shown, but the chunk is run again when the sweep is resumed.
    Interrupted(ChunkResult),
}

impl Sweep<'_> {
    fn chunk(&self, seeds: &Seeds) -> ChunkRun {
        // Which seeds are left out then depends on the threads.
        let one = |seed: u64| {
            if self.interrupted.load(Ordering::Relaxed) {
                return None;
            }
            let report = run::search(request(self.args, seed));
            self.bar.inc(1);
            Some(report)
        };
        let all = seeds.0.clone();
        let reports: Vec<Report> = if self.args.until_failure {
            up_to_failure(all.map_while(one))
        } else {
            all.into_par_iter().filter_map(one).collect()
        };
        let mut result = ChunkResult {
            seeds: seeds.clone(),
            settings: self.settings.clone(),
            tally: Tally::default(),
            failures: Vec::new(),
        };
        for report in &reports {
            result.tally.add(report);
            if let Some(failure) = &report.failure {
                result.failures.push(FailedSeed {
                    seed: report.origin.seed(),
                    failure: failure.to_string(),
                    kind: failure.kind(),
                    repeat: report.origin.command().unwrap_or_default(),
                });
            }
        }
        let ends_with_failure = self.args.until_failure && !result.failures.is_empty();
        if result.tally.seeds == seeds.count() || ends_with_failure {
            ChunkRun::Whole(result)
        } else {
            ChunkRun::Interrupted(result)
        }
    }

    /// Shows failures at once, and keeps the result.
    fn note(&self, result: &ChunkResult, log: Option<&mut File>) -> io::Result<()> {
        let text = serde_json::to_string(result).map_err(io::Error::other)?;
        if let Some(log) = log {
            writeln!(log, "{text}")?;
            log.sync_data()?;
        }
        if self.args.json {
            return writeln!(io::stdout(), "{text}");
        }
        if !result.failures.is_empty() {
            let failed = result.failures.len();
            let message = format!("failures in {}: {failed}", result.seeds);
            self.bar.set_message(message);
            self.bar.suspend(|| list(&result.failures))?;
        }
        Ok(())
    }
}

/// All reports up to the first failure.
fn up_to_failure(reports: impl Iterator<Item = Report>) -> Vec<Report> {
    let mut run = Vec::new();
    for report in reports {
        let passed = report.passed();
        run.push(report);
        if !passed {
            break;
        }
    }
    run
}

/// The results that an earlier sweep left in a file, and the file, to be continued.
fn resume(path: &Path, settings: &str) -> Result<(Results, File), String> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error.to_string()),
    };
    let found = read_results(&text).map_err(|error| error.to_string())?;
    if let Some(other) = found.iter().find(|result| result.settings != settings) {
        let theirs = &other.settings;
        return Err(format!(
            "its sweep had other settings ({theirs}), not ({settings}): give another file"
        ));
    }
    // A torn line must not stand before the next one.
    let whole: usize = match text.rfind('\n') {
        Some(end) => end + 1,
        None => 0,
    };
    let open = || {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        file.set_len(whole as u64)?;
        io::Result::Ok(file)
    };
    let file = open().map_err(|error| error.to_string())?;
    let results = found.into_iter();
    let results = results.map(|result| (result.seeds.0.start, result));
    Ok((results.collect(), file))
}
