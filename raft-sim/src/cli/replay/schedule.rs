//! `raft-sim replay` of a schedule.

use crate::cli::mutant;
use crate::cli::outcome::{CommandResult, Outcome, usage};
use raft_sim::failure::Failure;
use raft_sim::run;
use raft_sim::schedule::Schedule;
use raft_sim::zoo;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

/// Runs the schedule. If it names a mutant, that runs it.
pub(super) fn replay(path: &Path, text: &str, print: bool, root: &Path) -> CommandResult {
    let schedule = Schedule::parse(text);
    let schedule = schedule.map_err(|error| usage(format!("{}: {error}", path.display())))?;
    if let Some(name) = mutant::mutant_of(&schedule) {
        let mut arguments = vec![OsString::from("replay")];
        if print {
            arguments.push("--print".into());
        }
        arguments.push("--".into());
        arguments.push(path.into());
        return mutant::delegate(root, name, &arguments);
    }
    let output: Option<Box<dyn Write + Send>> = if print {
        Some(Box::new(io::stdout()))
    } else {
        None
    };
    let mut report = run::run_schedule(&schedule, output);
    let noted = compared(&schedule, report.failure.as_ref());
    let text = format!("{}: {report}{noted}", path.display());
    if print {
        io::stderr().write_all(text.as_bytes())?;
    } else {
        io::stdout().write_all(text.as_bytes())?;
    }
    let passed = report.passed();
    match core::mem::replace(&mut report.trace_written, Ok(())) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        Err(_) | Ok(()) => Ok(Outcome::of(passed)),
    }
}

/// Compares the failure that the file notes with the one that was found.
fn compared(schedule: &Schedule, failure: Option<&Failure>) -> String {
    let by = match (&schedule.mutant, zoo::current_mutant()) {
        (Some(noted), Some(this)) if *noted != this => {
            format!("the file was written by {noted}, and this is {this}\n")
        }
        (_, _) => String::new(),
    };
    let found = failure.map(Failure::to_string);
    match (&schedule.failure, found) {
        (Some(noted), Some(found)) if *noted == found => format!("{by}it fails as noted\n"),
        (Some(noted), Some(found)) => {
            let difference = first_difference(noted, &found);
            format!("{by}it fails otherwise: the file notes {noted:?}; {difference}\n")
        }
        (Some(noted), None) => format!("{by}it passes, but the file notes {noted:?}\n"),
        (None, _) => by,
    }
}

/// The first word that differs.
fn first_difference(noted: &str, found: &str) -> String {
    let (mut noted, mut found) = (noted.split_whitespace(), found.split_whitespace());
    loop {
        match (noted.next(), found.next()) {
            (Some(noted), Some(found)) if noted == found => {}
            (Some(noted), Some(found)) => {
                return format!("the first difference: {found:?}, where it has {noted:?}");
            }
            (Some(noted), None) => {
                return format!("the first difference: the end, where it has {noted:?}");
            }
            (None, Some(found)) => {
                return format!("the first difference: {found:?}, where it ends");
            }
            (None, None) => return "they differ in blanks".into(),
        }
    }
}
