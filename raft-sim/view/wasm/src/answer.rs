//! A question of the page, and its answer.

use raft_proto::MessageKind;
use raft_sim::schedule::Schedule;
use raft_sim::view::{self, EventKind, Film, Numbers, Source, SourceError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the page asks for: a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Question {
    /// What is run.
    pub source: Source,
    /// What was done by hand: lines as in a schedule file.
    #[serde(default)]
    pub added: Vec<String>,
}

/// The answer as JSON, and the run whose columns it names.
#[derive(Debug)]
pub struct Answer {
    /// An object with `error`, or with what a `Reply` holds.
    pub json: String,
    /// The run, if there was one.
    pub film: Option<Film>,
}

/// Where some numbers lie.
#[derive(Serialize)]
struct Column {
    /// The type as JavaScript calls it.
    array: &'static str,
    address: usize,
    length: usize,
}

/// A run, as the page is told of it.
#[derive(Serialize)]
struct Reply<'a> {
    /// What was run, in words.
    run: String,
    digest: &'a str,
    passed: bool,
    failure: Option<String>,
    virtual_seconds: f64,
    /// When the faults of the schedule end, in seconds.
    faults_end: f64,
    /// How many machines there are, with the spares.
    machines: u32,
    clients: u32,
    /// All that happens, as the text of a schedule file.
    schedule: String,
    event_kinds: Vec<&'static str>,
    message_kinds: Vec<&'static str>,
    fault_texts: &'a [String],
    operation_texts: &'a [String],
    /// The summary that `raft-sim run` prints.
    summary: String,
    tables: BTreeMap<&'static str, BTreeMap<&'static str, Column>>,
    trace: Column,
}

#[derive(Serialize)]
struct Refusal {
    error: String,
}

/// Answers a question. `progress` is called with each second of virtual time that the run has
/// reached.
pub fn answer(question: &[u8], progress: &dyn Fn(u64)) -> Answer {
    match asked(question) {
        Ok((name, schedule)) => {
            let film = view::film(&schedule, &|time| progress(time.as_secs()));
            Answer {
                json: json(&reply(name, &schedule, &film)),
                film: Some(film),
            }
        }
        Err(error) => Answer {
            json: json(&Refusal { error }),
            film: None,
        },
    }
}

/// The run that is asked for, in words and written out.
fn asked(question: &[u8]) -> Result<(String, Schedule), String> {
    let question: Question = serde_json::from_slice(question)
        .map_err(|error| format!("the question makes no sense: {error}"))?;
    let said = |error: SourceError| error.to_string();
    let schedule = question.source.schedule(&question.added).map_err(said)?;
    let name = question.source.name().map_err(said)?;
    Ok((name, schedule))
}

fn json(value: &impl Serialize) -> String {
    // Numbers, text and maps by text: JSON can express all of it.
    serde_json::to_string(value).unwrap_or_default()
}

fn column(numbers: Numbers<'_>) -> Column {
    Column {
        array: numbers.array_type(),
        address: numbers.address(),
        length: numbers.len(),
    }
}

fn table(columns: Vec<(&'static str, Numbers<'_>)>) -> BTreeMap<&'static str, Column> {
    let columns = columns.into_iter();
    columns.map(|(name, it)| (name, column(it))).collect()
}

fn reply<'a>(run: String, schedule: &Schedule, film: &'a Film) -> Reply<'a> {
    let (report, timeline) = (&film.report, &film.timeline);
    Reply {
        run,
        digest: &report.digest,
        passed: report.passed(),
        failure: report.failure.as_ref().map(ToString::to_string),
        virtual_seconds: report.virtual_seconds,
        faults_end: schedule.time.as_secs_f64(),
        machines: schedule.settings.servers(),
        clients: schedule.settings.clients.clients,
        schedule: schedule.to_text(),
        event_kinds: EventKind::ALL.map(EventKind::name).to_vec(),
        message_kinds: MessageKind::ALL.map(MessageKind::name).to_vec(),
        fault_texts: &timeline.fault_texts,
        operation_texts: &film.operation_texts,
        summary: report.to_string(),
        tables: BTreeMap::from([
            ("events", table(timeline.events.columns())),
            ("messages", table(timeline.messages.columns())),
            ("states", table(timeline.states.columns())),
            ("entries", table(timeline.entries.columns())),
            ("cuts", table(timeline.cuts.columns())),
            ("faults", table(timeline.faults.columns())),
            ("operations", table(film.operations.columns())),
        ]),
        trace: column(Numbers::U8(&film.trace)),
    }
}
