//! `raft-sim zoo --shrink`: shrinks the run that caught each mistake.

use raft_sim::zoo::{self, Mutant};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

/// So many faults and operations can be read at a glance.
pub(super) const SMALL: u64 = 20;

/// How long each search may take, in seconds.
const SECONDS: &str = "60";

/// A run that was shrunk.
pub(super) struct Shrunk {
    /// The cell of the table.
    pub(super) text: String,
    /// How many faults and operations it has.
    pub(super) len: u64,
}

/// Has the mutant shrink the run that `command` repeats, and write it to target/zoo/schedules.
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
    shrinker
        .arg("shrink")
        .args(zoo::without_mutant_options(run));
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
