//! Prints and verifies the data folder of a node that does not run.
#![forbid(unsafe_code)]

use clap::Parser;
use raft_driver_thread::raft_proto::{Entries, Entry, EntryId, MemberRole, Membership};
use raft_driver_thread::storage::StorageError;
use raft_driver_thread::storage::disk::files::System;
use raft_driver_thread::storage::disk::{self, Inspection};
use serde_json::{Value, json};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// How many bytes of a payload are printed.
const SHOWN_BYTES: usize = 32;

const DAMAGED: u8 = 1;
const UNREADABLE: u8 = 2;

/// The file that every data folder has.
const MARKER: &str = "FORMAT";

/// Print what the data folder of a stopped node holds, and verify all of it by its checksums
///
/// Exit codes: 0 if nothing is damaged, 1 if something is damaged, 2 if the arguments are wrong, or
/// if the folder cannot be read: it is no data folder, a node uses it, or the system refuses.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// The data folder: the one that the node's storage was given, as `raft/` in that of a raft-kv
    /// server
    folder: PathBuf,

    /// Print every entry of the log too: index@term, kind, length, and how its payload begins
    #[arg(long)]
    entries: bool,

    /// Print JSON: one object in one line. With --entries each entry is a line of its own before
    /// it, with its whole payload in hexadecimal
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(reason) = not_a_data_folder(&cli.folder) {
        eprintln!("error: {reason}");
        return ExitCode::from(UNREADABLE);
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut printed = Ok(());
    let each = |entries: &Entries| {
        if cli.entries && printed.is_ok() {
            printed = print_entries(&mut out, entries, cli.json);
        }
    };
    let inspected = disk::inspect_with(Arc::new(System), &cli.folder, each, print_progress);
    let is_damaged = match &inspected {
        Ok(found) => !found.problems.is_empty(),
        Err(StorageError::Damaged { .. }) => true,
        Err(_) => false,
    };
    let printed = printed.and_then(|()| print_found(&mut out, &cli, &inspected));
    drop(out);
    if let Err(error) = &inspected {
        eprintln!("error: {error}");
    }
    match printed {
        // The reader of the output has closed it.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Err(error) => {
            eprintln!("error: write the output: {error}");
            return ExitCode::from(UNREADABLE);
        }
        Ok(()) => {}
    }
    if is_damaged {
        ExitCode::from(DAMAGED)
    } else if inspected.is_err() {
        ExitCode::from(UNREADABLE)
    } else {
        ExitCode::SUCCESS
    }
}

/// Says why the folder is no data folder, and which one may be meant; `None` if it looks like one.
fn not_a_data_folder(folder: &Path) -> Option<String> {
    if folder.join(MARKER).exists() {
        return None;
    }
    let shown = folder.display();
    if !folder.is_dir() {
        return Some(format!("{shown} is not a folder, or does not exist"));
    }
    let inner = folder.read_dir().ok()?.flatten().map(|file| file.path());
    let mut inner: Vec<_> = inner.filter(|path| path.join(MARKER).exists()).collect();
    inner.sort();
    let hint = match &inner[..] {
        [] => "give the folder that the node's storage was opened with".into(),
        [one] => format!("try `raft-inspect {}`, which looks like one", one.display()),
        [first, ..] => format!(
            "try one of the folders in it that look like one, as `raft-inspect {}`",
            first.display()
        ),
    };
    Some(format!(
        "{shown} is not the data folder of a node: it holds no file {MARKER}; {hint}"
    ))
}

/// Tells a person who waits how much is read.
fn print_progress(done: u64, total: u64) {
    /// Less than that is read at once.
    const LARGE: u64 = 256 << 20;
    if total >= LARGE && io::stderr().is_terminal() {
        let end = if done == total { "\n" } else { "" };
        eprint!("\rread {} of {} MiB{end}", done >> 20, total >> 20);
    }
}

fn print_found(
    out: &mut impl Write,
    cli: &Cli,
    inspected: &Result<Inspection, StorageError>,
) -> io::Result<()> {
    match inspected {
        Ok(found) if cli.json => writeln!(out, "{}", found_json(found))?,
        Ok(found) => writeln!(out, "{found}")?,
        Err(error) if cli.json => {
            let problems = [error.to_string()];
            writeln!(
                out,
                "{}",
                json!({"folder": cli.folder, "problems": problems})
            )?;
        }
        Err(_) => {}
    }
    out.flush()
}

fn print_entries(out: &mut impl Write, entries: &Entries, as_json: bool) -> io::Result<()> {
    entries.iter().try_for_each(|entry| {
        if as_json {
            writeln!(out, "{}", entry_json(&entry))
        } else {
            print_entry(out, &entry)
        }
    })
}

fn print_entry(out: &mut impl Write, entry: &Entry<'_>) -> io::Result<()> {
    let payload = entry.payload();
    let shown = payload.get(..SHOWN_BYTES).unwrap_or(payload);
    let more = if payload.len() > SHOWN_BYTES {
        "..."
    } else {
        ""
    };
    let (id, kind, length) = (entry.id(), entry.kind(), payload.len());
    let shown = shown.escape_ascii();
    writeln!(out, "{id:>12} {kind:>10} {length:>8}  \"{shown}\"{more}")
}

fn entry_json(entry: &Entry<'_>) -> Value {
    let payload = entry.payload().iter();
    let payload: String = payload.map(|byte| format!("{byte:02x}")).collect();
    json!({
        "index": entry.index().0,
        "term": entry.term().0,
        "kind": entry.kind().to_string(),
        "payload": payload,
    })
}

fn id_json(id: EntryId) -> Value {
    json!({"index": id.index.0, "term": id.term.0})
}

fn members_json(membership: &Membership) -> Value {
    let member = membership.members().iter().map(|member| {
        let role = match member.role {
            MemberRole::Voter => "voter",
            MemberRole::Learner => "learner",
            MemberRole::Incoming => "incoming",
            MemberRole::Outgoing => "outgoing",
            MemberRole::Demoted => "demoted",
            MemberRole::Staging => "staging",
        };
        json!({"id": member.id.0, "role": role})
    });
    member.collect()
}

fn found_json(found: &Inspection) -> Value {
    let problems: Vec<String> = found.problems.iter().map(ToString::to_string).collect();
    let identity = found.identity.as_ref();
    let snapshot = found.snapshot.as_ref().map(|meta| {
        json!({
            "last": id_json(meta.id.last),
            "bytes": meta.id.size,
            "checksum": meta.id.checksum,
            "members": members_json(&meta.membership),
        })
    });
    let log = found.log.map(|(first, last)| {
        json!({
            "first": id_json(first),
            "last": id_json(last),
            "entries": found.entries,
            "payload_bytes": found.payload_bytes,
            "records": found.records,
        })
    });
    json!({
        "folder": found.folder,
        "node": identity.map(|it| it.node_id.0),
        "cluster": identity.map(|it| it.cluster_id.0),
        "group": identity.map(|it| it.group_id.0),
        "bootstrap": identity.map(|it| members_json(&it.bootstrap)),
        "disk": identity.and_then(|it| it.incarnation).map(|it| it.to_string()),
        "term": found.hard_state.term.0,
        "voted_for": found.hard_state.voted_for.map(|node| node.0),
        "snapshot": snapshot,
        "log": log,
        "writes": found.writes,
        "problems": problems,
    })
}
