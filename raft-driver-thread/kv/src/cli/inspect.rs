//! `raft-kv inspect`.

use super::failure::Failure;
use crate::data_dir::DataDir;
use crate::recovery;
use crate::settings::Identity;
use clap::Args;
use raft_driver_thread::raft_proto::EntryId;
use raft_driver_thread::storage::disk::{self, Inspection};
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// `raft-kv inspect`.
#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    /// The data directory of a server that does not run
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// For programs: print JSON
    #[arg(long)]
    json: bool,
}

/// What a data directory holds.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    identity: Identity,
    /// `None` if the server has never run.
    log: Option<LogReport>,
}

#[derive(Serialize)]
struct LogReport {
    /// The incarnation by which the other servers know this disk.
    disk: Option<String>,
    term: u64,
    voted_for: Option<u64>,
    snapshot: Option<SnapshotReport>,
    first: Option<Position>,
    last: Option<Position>,
    entries: u64,
    payload_bytes: u64,
    /// What is damaged, and where. Empty if all is whole.
    problems: Vec<String>,
}

#[derive(Serialize)]
struct SnapshotReport {
    last: Position,
    bytes: u64,
    /// `None` if something is damaged.
    keys: Option<u64>,
}

/// An entry's place in the log.
#[derive(Serialize)]
struct Position {
    index: u64,
    term: u64,
}

impl From<EntryId> for Position {
    fn from(id: EntryId) -> Position {
        Position {
            index: id.index.0,
            term: id.term.0,
        }
    }
}

pub(super) fn run(arguments: &InspectArgs) -> Result<ExitCode, Failure> {
    let data_dir = DataDir::open(&arguments.data)?;
    let identity = data_dir.identity();
    let mut log = None;
    let mut keys = None;
    if data_dir.log_dir().exists() {
        let found = disk::inspect(data_dir.log_dir(), |_| ())?;
        if let Some(snapshot) = &found.snapshot
            && found.problems.is_empty()
        {
            let counted = recovery::count_snapshot_keys(&data_dir, snapshot.id)?;
            keys = Some(counted);
        }
        log = Some(found);
    }
    if arguments.json {
        print_json(identity, log.as_ref(), keys)?;
    } else {
        print(identity, log.as_ref(), keys);
    }
    if log.is_none_or(|found| found.problems.is_empty()) {
        Ok(ExitCode::SUCCESS)
    } else {
        Ok(ExitCode::FAILURE)
    }
}

fn print(identity: &Identity, log: Option<&Inspection>, keys: Option<u64>) {
    println!("node        {}", identity.node);
    println!("cluster     {}", identity.cluster);
    if identity.founders.is_empty() {
        println!("founders    none: it joined");
    } else {
        let founders = identity.founders.iter();
        let founders: Vec<_> = founders
            .map(|it| format!("{}={}", it.node, it.peers))
            .collect();
        println!("founders    {}", founders.join(" "));
    }
    let Some(found) = log else {
        println!("it has never run");
        return;
    };
    if let Some(keys) = keys {
        println!("keys        {keys} in the snapshot");
    }
    println!("{found}");
}

fn print_json(
    identity: &Identity,
    log: Option<&Inspection>,
    keys: Option<u64>,
) -> Result<(), Failure> {
    let disk = |found: &Inspection| found.identity.as_ref()?.incarnation;
    let report = |found: &Inspection| LogReport {
        disk: disk(found).map(|disk| disk.to_string()),
        term: found.hard_state.term.0,
        voted_for: found.hard_state.voted_for.map(|vote| vote.0),
        snapshot: found.snapshot.as_ref().map(|meta| SnapshotReport {
            last: meta.id.last.into(),
            bytes: meta.id.size,
            keys,
        }),
        first: found.log.map(|(first, _)| first.into()),
        last: found.log.map(|(_, last)| last.into()),
        entries: found.entries,
        payload_bytes: found.payload_bytes,
        problems: found.problems.iter().map(ToString::to_string).collect(),
    };
    let report = Report {
        identity: identity.clone(),
        log: log.map(report),
    };
    let json = serde_json::to_string_pretty(&report);
    println!("{}", json.map_err(|error| Failure::new(error.to_string()))?);
    Ok(())
}
