//! `raft-sim explain`.

mod print;

use super::outcome::{CliError, CommandResult, Outcome, usage};
use super::replay::{TIMES, recordings_of};
use clap::Args;
use raft_sim::explain::{ExplainError, Question, RecordedFile, Report, explain};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// `raft-sim explain`.
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// Recordings of the nodes of one cluster, or folders of recordings
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Only the entry at this index, with each step of its way
    #[arg(long, value_name = "INDEX", conflicts_with = "client")]
    entry: Option<u64>,
    /// Only commands that contain this text, or these bytes (0x2a00): a recording knows commands,
    /// and no clients
    #[arg(long, value_name = "TEXT")]
    client: Option<String>,
    /// How many of the slowest entries are shown
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    slowest: usize,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// The bytes of a recording and of the driver's times beside it.
struct Loaded {
    name: String,
    bytes: Vec<u8>,
    times: Option<Vec<u8>>,
}

pub(super) fn run(args: &ExplainArgs) -> CommandResult {
    let question = Question {
        entry: args.entry,
        containing: args.client.as_deref().map(bytes_of).transpose()?,
        slowest: args.slowest,
    };
    let mut loaded = Vec::new();
    for path in &args.paths {
        for file in recordings_of(path).map_err(|error| named(path, &error))? {
            loaded.push(load(&file)?);
        }
    }
    if loaded.is_empty() {
        return Err(usage("none of these files is a recording (*.raftrec)"));
    }
    let files: Vec<RecordedFile<'_>> = loaded
        .iter()
        .map(|file| RecordedFile {
            name: &file.name,
            bytes: &file.bytes,
            times: file.times.as_deref(),
        })
        .collect();
    let report = match explain(&files, &question) {
        Ok(report) => report,
        Err(error @ ExplainError::OtherCluster { .. }) => return Err(usage(error)),
        Err(error @ (ExplainError::File { .. } | ExplainError::Differs { .. })) => {
            writeln!(io::stderr(), "error: {error}")?;
            return Ok(Outcome::Failed);
        }
    };
    if question != Question::default() && report.proposed == 0 {
        nothing_found(args, &report)?;
    }
    let mut stdout = io::stdout().lock();
    if args.json {
        let json = serde_json::to_string_pretty(&report).map_err(io::Error::from)?;
        writeln!(stdout, "{json}")?;
    } else {
        print::report(&mut stdout, &report, &question)?;
    }
    Ok(Outcome::Passed)
}

fn named(path: &Path, error: &io::Error) -> CliError {
    usage(format!("{}: {error}", path.display()))
}

fn load(path: &Path) -> Result<Loaded, CliError> {
    let bytes = fs::read(path).map_err(|error| named(path, &error))?;
    let beside = path.with_extension(TIMES);
    let times = match fs::read(&beside) {
        Ok(times) => Some(times),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(named(&beside, &error)),
    };
    Ok(Loaded {
        name: path.display().to_string(),
        bytes,
        times,
    })
}

/// A text, or bytes in hexadecimal.
fn bytes_of(text: &str) -> Result<Vec<u8>, CliError> {
    let Some(digits) = text.strip_prefix("0x") else {
        if text.is_empty() {
            return Err(usage("--client: every command contains an empty text"));
        }
        return Ok(text.as_bytes().to_vec());
    };
    let wrong = || {
        usage(format!(
            "--client {text:?}: bytes are written as 0x and two hexadecimal digits for each"
        ))
    };
    if digits.is_empty() || !digits.len().is_multiple_of(2) || !digits.is_ascii() {
        return Err(wrong());
    }
    let pairs = digits.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| {
        let pair = str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    bytes.collect::<Option<Vec<u8>>>().ok_or_else(wrong)
}

/// What is asked for is not in the recordings.
fn nothing_found(args: &ExplainArgs, report: &Report) -> Result<(), CliError> {
    let hold = match report.proposed_range {
        Some((first, last)) => format!("they hold commands from entry {first} to {last}"),
        None => "they hold no command that a leader accepted".to_owned(),
    };
    if let Some(entry) = args.entry {
        return Err(usage(format!(
            "--entry {entry}: no command was proposed there in these recordings; {hold} (what a \
             leader adds by itself, and changes of the members, are no commands)"
        )));
    }
    if let Some(client) = &args.client {
        return Err(usage(format!(
            "--client {client:?}: no command in these recordings contains that; {hold}"
        )));
    }
    Ok(())
}
