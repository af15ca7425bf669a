//! What a person meets.

use crate::cluster::{Cluster, MILLI};
use std::fs;
use std::process::{Command, Output};

/// The recordings of a cluster that has served some commands.
fn recorded() -> (tempfile::TempDir, u64) {
    let mut cluster = Cluster::new();
    let leader = cluster.elect(&[0, 1, 2]);
    let mut last = 0;
    for command in 0..5 {
        last = cluster
            .propose(leader, &format!("client-{command}: x"))
            .index
            .0;
        cluster.run(10 * MILLI);
    }
    cluster.run(50 * MILLI);
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in cluster.files() {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    (folder, last)
}

fn explain(arguments: &[&str], folder: &tempfile::TempDir) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_raft-sim"));
    let command = command.arg("explain").args(arguments).arg(folder.path());
    command.output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The message of a command that failed with this code.
fn refused(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_text_has_the_worst_the_stages_leaders_and_what_is_not_known() {
    let (folder, last) = recorded();
    let text = stdout(&explain(&[], &folder));
    for part in [
        "clocks are aligned by messages",
        "The slowest of 5 commands",
        "The worst: entry",
        "end to end",
        "Leaders",
        "Lost: no command",
        "What these recordings do not say",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let entry = stdout(&explain(&["--entry", &last.to_string()], &folder));
    for part in [
        "core took it",
        "received it",
        "acknowledgement",
        "had applied it",
        "total",
    ] {
        assert!(entry.contains(part), "{part}: {entry}");
    }
    let client = stdout(&explain(&["--client", "client-3"], &folder));
    assert!(
        client.contains("The slowest of 1 commands that were applied; 1 were accepted"),
        "{client}"
    );
    // The same in hexadecimal.
    let bytes = stdout(&explain(&["--client", "0x636c69656e742d33"], &folder));
    assert_eq!(bytes, client);
}

#[test]
fn the_json_holds_the_stages_in_nanoseconds() {
    let (folder, _) = recorded();
    let text = stdout(&explain(&["--json", "--slowest", "2"], &folder));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["followed"], 5);
    let slowest = json["slowest"].as_array().unwrap();
    assert_eq!(slowest.len(), 2);
    let stages = slowest[0]["stages"].as_array().unwrap();
    let sum: u64 = stages.iter().filter_map(|it| it["ns"].as_u64()).sum();
    assert_eq!(Some(sum), slowest[0]["total_ns"].as_u64());
    assert_eq!(json["leaders"].as_array().unwrap().len(), 1);
}

#[test]
fn what_cannot_be_explained_is_refused_with_its_reason() {
    let (folder, last) = recorded();
    let beyond = (last + 1).to_string();
    let error = refused(&explain(&["--entry", &beyond], &folder), 2);
    assert!(error.contains(&format!("to {last}")), "{error}");
    let error = refused(&explain(&["--client", "nobody"], &folder), 2);
    assert!(
        error.contains("no command in these recordings contains that"),
        "{error}"
    );
    let error = refused(&explain(&["--client", "0x123"], &folder), 2);
    assert!(error.contains("two hexadecimal digits"), "{error}");
    let mut only_times = Command::new(env!("CARGO_BIN_EXE_raft-sim"));
    let times = folder.path().join("n1-0.rafttimes");
    fs::write(&times, "raft-times 1\n").unwrap();
    let output = only_times.arg("explain").arg(&times).output().unwrap();
    assert!(refused(&output, 2).contains("a recording (*.raftrec)"));
    let error = refused(&explain(&["/no/such/folder"], &folder), 2);
    assert!(error.contains("/no/such/folder"), "{error}");
    fs::write(folder.path().join("n9.raftrec"), "dear friend").unwrap();
    let error = refused(&explain(&[], &folder), 1);
    assert!(
        error.contains("n9.raftrec: this is no recording"),
        "{error}"
    );
}
