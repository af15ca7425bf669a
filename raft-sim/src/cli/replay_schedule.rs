//! `raft-sim replay` of a schedule.

use super::{ReplayArgs, Verdict, mutant};
use raft_sim::failure::Failure;
use raft_sim::run;
use raft_sim::schedule::Schedule;
use raft_sim::zoo;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

/// Runs what stands in the file, or has the mutant run it that it names.
pub(super) fn run(args: &ReplayArgs, path: &Path, text: &str) -> io::Result<Verdict> {
    let schedule = match Schedule::parse(text) {
        Ok(schedule) => schedule,
        Err(error) => {
            writeln!(io::stderr(), "error: {}: {error}", path.display())?;
            return Ok(Verdict::Usage);
        }
    };
    if let Some(name) = mutant::other(&schedule) {
        let mut arguments = vec![OsString::from("replay")];
        if args.print {
            arguments.push("--print".into());
        }
        arguments.push("--".into());
        arguments.push(path.into());
        return mutant::delegate(&args.mutant.root, name, &arguments);
    }
    let output: Option<Box<dyn Write + Send>> = match args.print {
        true => Some(Box::new(io::stdout())),
        false => None,
    };
    let mut report = run::run_schedule(&schedule, output);
    let noted = compared(&schedule, report.failure.as_ref());
    let text = format!("{}: {report}{noted}", path.display());
    match args.print {
        true => io::stderr().write_all(text.as_bytes())?,
        false => io::stdout().write_all(text.as_bytes())?,
    }
    let passed = report.passed();
    match core::mem::replace(&mut report.trace_written, Ok(())) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        Err(_) | Ok(()) if passed => Ok(Verdict::Passed),
        Err(_) | Ok(()) => Ok(Verdict::Failed),
    }
}

/// What the file says of it, and what came of it.
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

/// The first word that is another one.
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
