//! `raft-sim sweep` and `raft-sim merge`.

use super::{MergeArgs, SweepArgs, Verdict};
use indicatif::ProgressBar;
use raft_sim::report::Report;
use raft_sim::request::{Faults, Request};
use raft_sim::run;
use raft_sim::sweep::{CHUNK, FailedSeed, Line, Seeds, Shard, Tally, read_lines};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How many failures are listed; more are counted.
const LISTED: usize = 20;

/// The lines of one search, by their first seed.
type Lines = BTreeMap<u64, Line>;

pub(crate) fn run(args: &SweepArgs) -> io::Result<Verdict> {
    let shard = match args.shard.as_deref().map(parse_shard).transpose() {
        Ok(shard) => shard,
        Err(error) => return usage(&format!("--shard: {error}")),
    };
    let settings = settings(args);
    let (mut lines, mut log) = match &args.resume {
        None => (Lines::new(), None),
        Some(path) => match resume(path, &settings) {
            Ok((lines, log)) => (lines, Some(log)),
            Err(error) => return usage(&format!("--resume {}: {error}", path.display())),
        },
    };
    let chunks = args.seeds.chunks().enumerate();
    let chunks = chunks.filter(|(at, _)| shard.is_none_or(|shard| shard.holds(*at)));
    let chunks: Vec<Seeds> = chunks.map(|(_, seeds)| seeds).collect();
    let wanted = |line: &Line| chunks.contains(&line.seeds);
    lines.retain(|_, line| wanted(line));
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = interrupted.clone();
    // Without the handler Ctrl-C ends the process, as always.
    let _ = ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed));
    let mut builder = rayon::ThreadPoolBuilder::new();
    builder = builder.num_threads(args.jobs.unwrap_or(0) as usize);
    let pool = builder.build().map_err(io::Error::other)?;
    let bar = progress(&chunks, &lines);
    for seeds in &chunks {
        if lines.contains_key(&seeds.0.start) {
            continue;
        }
        let Some(line) = pool.install(|| chunk(args, seeds, &settings, &interrupted, &bar)) else {
            break; // Interrupted: the chunk is run again when the sweep is resumed.
        };
        note(args, &line, log.as_mut(), &bar)?;
        let is_enough = args.until_failure && !line.failures.is_empty();
        lines.insert(seeds.0.start, line);
        if is_enough {
            break;
        }
    }
    bar.finish_and_clear();
    let is_whole = lines.len() == chunks.len();
    summarize(args.json, lines.values(), is_whole)
}

fn parse_shard(text: &str) -> Result<Shard, String> {
    Shard::parse(text, |name| std::env::var(name).ok())
}

fn usage(what: &str) -> io::Result<Verdict> {
    writeln!(io::stderr(), "error: {what}")?;
    Ok(Verdict::Usage)
}

fn request(args: &SweepArgs, seed: u64) -> Request {
    args.cluster.request(seed, args.time, Faults::Wild)
}

/// What else than the seed is asked for, as the command that repeats a run says it.
fn settings(args: &SweepArgs) -> String {
    request(args, 0).settings()
}

/// Runs the seeds of a chunk; `None` if that was interrupted.
fn chunk(
    args: &SweepArgs,
    seeds: &Seeds,
    settings: &str,
    interrupted: &AtomicBool,
    bar: &ProgressBar,
) -> Option<Line> {
    let one = |seed: u64| {
        if interrupted.load(Ordering::Relaxed) {
            return None;
        }
        let report = run::search(request(args, seed));
        bar.inc(1);
        Some(report)
    };
    let reports: Option<Vec<Report>> = match args.until_failure {
        true => until_failure(seeds.0.clone().map_while(one)),
        false => seeds.0.clone().into_par_iter().map(one).collect(),
    };
    let mut line = Line {
        seeds: seeds.clone(),
        settings: settings.to_owned(),
        tally: Tally::default(),
        failures: Vec::new(),
    };
    for report in &reports? {
        line.tally.add(report);
        if let Some(failure) = &report.failure {
            line.failures.push(FailedSeed {
                seed: report.origin.seed(),
                failure: failure.to_string(),
                kind: failure.kind(),
                repeat: report.origin.command().unwrap_or_default(),
            });
        }
    }
    Some(line)
}

/// All up to the first that failed.
fn until_failure(reports: impl Iterator<Item = Report>) -> Option<Vec<Report>> {
    let mut run = Vec::new();
    for report in reports {
        let passed = report.passed();
        run.push(report);
        if !passed {
            break;
        }
    }
    Some(run)
}

/// Tells at once of what failed, and keeps the line.
fn note(
    args: &SweepArgs,
    line: &Line,
    log: Option<&mut File>,
    bar: &ProgressBar,
) -> io::Result<()> {
    let text = serde_json::to_string(line).map_err(io::Error::other)?;
    if let Some(log) = log {
        writeln!(log, "{text}")?;
        log.sync_data()?;
    }
    if args.json {
        return writeln!(io::stdout(), "{text}");
    }
    if !line.failures.is_empty() {
        let failed: u64 = line.failures.len() as u64;
        bar.set_message(format!("failures in {}: {failed}", line.seeds));
        bar.suspend(|| list(&line.failures))?;
    }
    Ok(())
}

fn list(failures: &[FailedSeed]) -> io::Result<()> {
    let mut stdout = io::stdout();
    for failed in failures {
        writeln!(stdout, "seed {}: {}", failed.seed, failed.failure)?;
        writeln!(stdout, "  repeat with: {}", failed.repeat)?;
    }
    Ok(())
}

/// The lines that a former sweep left in a file, and the file, to go on with.
fn resume(path: &Path, settings: &str) -> Result<(Lines, File), String> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error.to_string()),
    };
    let found = read_lines(&text).map_err(|(at, error)| format!("line {at}: {error}"))?;
    if let Some(other) = found.iter().find(|line| line.settings != settings) {
        let theirs = &other.settings;
        return Err(format!(
            "it is of a sweep with other settings ({theirs}), not ({settings}): give another file"
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
    let lines = found.into_iter().map(|line| (line.seeds.0.start, line));
    Ok((lines.collect(), file))
}

fn progress(chunks: &[Seeds], done: &Lines) -> ProgressBar {
    let bar = super::progress(chunks.iter().map(Seeds::count).sum());
    let template = "{bar:40} {human_pos}/{human_len} seeds, {per_sec}, {eta} left {msg}";
    if let Ok(style) = indicatif::ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.inc(done.values().map(|line| line.seeds.count()).sum());
    bar.reset_eta();
    bar
}

fn summarize<'a>(
    json: bool,
    lines: impl Iterator<Item = &'a Line>,
    is_whole: bool,
) -> io::Result<Verdict> {
    let mut total = Tally::default();
    let mut failures = Vec::new();
    for line in lines {
        total.join(&line.tally);
        failures.extend(line.failures.iter().cloned());
    }
    if !json {
        let mut stdout = io::stdout();
        write!(stdout, "{total}")?;
        if !failures.is_empty() {
            writeln!(stdout, "FAILED: {} seeds", failures.len())?;
            list(failures.get(..LISTED).unwrap_or(&failures))?;
        }
        if !is_whole && failures.is_empty() {
            writeln!(
                stdout,
                "interrupted; with --resume FILE the same command goes on"
            )?;
        }
    }
    Ok(match (failures.is_empty(), is_whole) {
        (false, _) => Verdict::Failed,
        (true, false) => Verdict::Interrupted,
        (true, true) => Verdict::Passed,
    })
}

/// Joins what parts of a sweep wrote.
pub(crate) fn merge(args: &MergeArgs) -> io::Result<Verdict> {
    let mut lines = Lines::new();
    for path in &args.files {
        let read = fs::read_to_string(path).map_err(|error| error.to_string());
        let read = read.and_then(|text| {
            read_lines(&text).map_err(|(at, error)| format!("line {at}: {error}"))
        });
        let found = match read {
            Ok(found) => found,
            Err(error) => return usage(&format!("{}: {error}", path.display())),
        };
        for line in found {
            let first = lines
                .values()
                .next()
                .map(|line: &Line| line.settings.clone());
            if first.is_some_and(|settings| settings != line.settings) {
                let what = format!("{}: of a sweep with other settings", path.display());
                return usage(&what);
            }
            // The same chunk twice is one: a part that was run again.
            lines.insert(line.seeds.0.start, line);
        }
    }
    let (Some(first), Some(last)) = (lines.values().next(), lines.values().last()) else {
        return usage("there is nothing in these files");
    };
    let mut next = first.seeds.0.start;
    let mut missing = Vec::new();
    for line in lines.values() {
        if line.seeds.0.start > next {
            missing.push(Seeds(next..line.seeds.0.start).to_string());
        }
        next = line.seeds.0.end;
    }
    let mut stdout = io::stdout();
    writeln!(
        stdout,
        "seeds {}..{}, {}",
        first.seeds.0.start, last.seeds.0.end, first.settings
    )?;
    if !missing.is_empty() {
        let count = missing.len();
        let shown = missing.get(..LISTED).unwrap_or(&missing).join(" ");
        writeln!(
            stdout,
            "{count} gaps of whole chunks ({CHUNK} seeds each): {shown}"
        )?;
    }
    summarize(false, lines.values(), true)
}
