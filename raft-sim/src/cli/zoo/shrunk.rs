//! `raft-sim zoo --shrink`: what each mistake was caught by, made small.

use raft_sim::zoo::{self, Mutant};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

/// Faults and operations that can be read at a glance.
pub(super) const SMALL: u64 = 20;

/// How long each may take, in seconds.
const SECONDS: &str = "60";

/// What was left of a run.
pub(super) struct Shrunk {
    /// As the table has it.
    pub(super) text: String,
    /// Faults and operations.
    pub(super) len: u64,
}

/// Has the mutant make small what `command` repeats, and writes it to target/zoo/schedules.
pub(super) fn shrink(
    root: &Path,
    program: &Path,
    mutant: &Mutant,
    command: &str,
) -> io::Result<Shrunk> {
    let folder = root.join("target/zoo/schedules");
    fs::create_dir_all(&folder)?;
    let run = command.split_whitespace().skip(2).map(OsString::from);
    let mut shrinker = Command::new(program);
    shrinker.arg("shrink").args(zoo::without_mutant(run));
    shrinker.args(["--json", "--seconds", SECONDS, "--out"]);
    shrinker.arg(folder.join(format!("{}.toml", mutant.name)));
    shrinker.env(zoo::VARIABLE, &mutant.name);
    let output = shrinker.output()?;
    let json: Option<serde_json::Value> = serde_json::from_slice(&output.stdout).ok();
    let shrunk = json.as_ref().and_then(read);
    shrunk.ok_or_else(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        let name = &mutant.name;
        io::Error::other(format!("{name}: shrink {}: {}", output.status, said.trim()))
    })
}

fn read(json: &serde_json::Value) -> Option<Shrunk> {
    let after = json.get("after")?;
    let number = |name: &str| after.get(name)?.as_u64();
    let (faults, operations) = (number("faults")?, number("operations")?);
    let nodes = number("nodes")?;
    let seconds = json.get("elapsed_seconds")?.as_f64()?;
    let many = |count: u64| if count == 1 { "" } else { "s" };
    let text = format!(
        "{faults} fault{}, {operations} operation{}, {nodes} node{} in {seconds:.0} s",
        many(faults),
        many(operations),
        many(nodes)
    );
    Some(Shrunk {
        text,
        len: faults + operations,
    })
}
