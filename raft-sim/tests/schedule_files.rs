//! `raft-sim shrink` and `raft-sim replay` of schedule files: what they say, and how they end.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

const RUN: [&str; 11] = [
    "--seed",
    "8034",
    "--time",
    "10s",
    "--faults",
    "wild",
    "--features",
    "all",
    "--fault",
    "jump=100",
    "--runs",
];

fn raft_sim(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_raft-sim"));
    command.current_dir(folder).args(arguments);
    command
        .output()
        .expect("the binary was built with this test")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder with seed-8034.toml in it, and what was said when it was written. It is shrunk once for
/// all tests.
fn shrunk() -> (tempfile::TempDir, PathBuf, Output) {
    static SHRUNK: OnceLock<(String, Output)> = OnceLock::new();
    let (schedule, output) = SHRUNK.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let mut arguments = vec!["shrink"];
        arguments.extend(RUN);
        arguments.push("1500");
        let output = raft_sim(folder.path(), &arguments);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let schedule = fs::read_to_string(folder.path().join("seed-8034.toml")).unwrap();
        (schedule, output)
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seed-8034.toml");
    fs::write(&path, schedule).unwrap();
    (folder, path, output.clone())
}

#[test]
fn what_shrink_writes_fails_as_noted_when_it_is_replayed() {
    let (folder, _, output) = shrunk();
    let text = stdout(&output);
    assert!(text.contains("shrunk to"), "{text}");
    assert!(text.contains("FAILS: n"), "{text}");
    assert!(text.contains("raft-sim replay seed-8034.toml"), "{text}");
    let output = raft_sim(folder.path(), &["replay", "seed-8034.toml"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(text.contains("it fails as noted"), "{text}");
    let output = raft_sim(folder.path(), &["replay", "--print", "seed-8034.toml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("becomes leader"), "no trace");
    assert!(stderr(&output).contains("it fails as noted"));
}

#[test]
fn a_file_that_is_no_schedule_does_not_keep_the_next_from_being_replayed() {
    let (folder, _, _) = shrunk();
    fs::write(folder.path().join("letter.toml"), "dear friend").unwrap();
    let output = raft_sim(folder.path(), &["replay", "letter.toml", "seed-8034.toml"]);
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(said.starts_with("error: letter.toml: "), "{said}");
    let text = stdout(&output);
    assert!(text.contains("it fails as noted"), "{text}");
}

#[test]
fn a_schedule_is_shrunk_further_in_place() {
    let (folder, path, _) = shrunk();
    let arguments = [
        "shrink",
        "--json",
        "--runs",
        "500",
        "--schedule",
        "seed-8034.toml",
    ];
    let output = raft_sim(folder.path(), &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let count = |of: &str| {
        let count = |what: &str| json[of][what].as_u64().unwrap();
        count("faults") + count("operations")
    };
    assert!(count("after") <= count("before"));
    assert_eq!(json["kind"], "a stale read");
    assert_eq!(json["file"], "seed-8034.toml");
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains("answered a read"), "{text}");
}

#[test]
fn what_came_otherwise_than_noted_is_said() {
    let (folder, path, _) = shrunk();
    let text = fs::read_to_string(&path).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("failure"))
        .unwrap();
    fs::write(&path, text.replace(line, "failure = \"the moon fell\"")).unwrap();
    let output = raft_sim(folder.path(), &["replay", "seed-8034.toml"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stdout(&output);
    assert!(
        said.contains("it fails otherwise: the file notes \"the moon fell\""),
        "{said}"
    );
    assert!(said.contains("where it has \"the\""), "{said}");
    let begin = text.find("nemesis = [").unwrap();
    let end = text.find("[settings]").unwrap();
    let calm = format!(
        "{}nemesis = []\noperations = []\n{}",
        &text[..begin],
        &text[end..]
    );
    fs::write(&path, calm).unwrap();
    let output = raft_sim(folder.path(), &["replay", "seed-8034.toml"]);
    assert_eq!(output.status.code(), Some(0));
    let said = stdout(&output);
    assert!(said.contains("it passes, but the file notes \"n"), "{said}");
}

#[test]
fn a_run_that_passes_is_nothing_to_shrink() {
    let folder = tempfile::tempdir().unwrap();
    let output = raft_sim(folder.path(), &["shrink", "--seed", "3", "--time", "2s"]);
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(
        said.contains("error: seed 3 passes: nothing to shrink"),
        "{said}"
    );
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none());
    let output = raft_sim(folder.path(), &["shrink"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--seed"));
}

#[test]
fn a_file_that_is_no_schedule_says_where_and_what_is_expected() {
    let (folder, path, _) = shrunk();
    let good = fs::read_to_string(&path).unwrap();
    let begin = good.find("nemesis = [").unwrap();
    let end = good.find("[settings]").unwrap();
    let with = |nemesis: &str, operation: &str| {
        let lists = format!("nemesis = [{nemesis}]\noperations = [{operation}]\n");
        format!("{}{lists}{}", &good[..begin], &good[end..])
    };
    let cases = [
        (String::from("dear friend"), "TOML parse error at line 1"),
        (
            good.replace("version = 1", "version = 2"),
            "schedule of version 2",
        ),
        (
            good.replace("version = 1", "version = 1\ncolour = 3"),
            "unknown field `colour`",
        ),
        (good.replace("heal =", "hael ="), "unknown field `hael`"),
        (good.replace("nodes = ", "nodes = 9"), "nodes: from 1 to 15"),
        (with("\"0.5 crsh n1 for 1s\"", ""), "nemesis, line 1"),
        (
            with("\"0.5 crash n1 for 1s\", \"0.6 crash n99 for 1s\"", ""),
            "it names n99",
        ),
        (
            with("\"0.5 crash n1 for ever\"", ""),
            "a time such as 250ms",
        ),
        (
            with("\"soon crash n1 for 1s\"", ""),
            "a time in seconds such as 1.250000",
        ),
        (
            with("", "\"0.5 c0 steal k1\""),
            "read, get, set, append, cas, delete, batch or call",
        ),
    ];
    for (text, expected) in cases {
        fs::write(&path, &text).unwrap();
        for command in [&["replay"][..], &["shrink", "--schedule"]] {
            let arguments = [command, &["seed-8034.toml"]].concat();
            let output = raft_sim(folder.path(), &arguments);
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{expected}: {said}");
            assert!(said.contains("seed-8034.toml: "), "{said}");
            assert!(said.contains(expected), "{expected}: {said}");
        }
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str], code: i32, expected: &str| {
        let output = raft_sim(folder.path(), arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(expected), "{expected}: {said}");
    };
    refused(&["replay", "no.toml"], 2, "no.toml: No such file");
    refused(
        &["shrink", "--schedule", "no.toml"],
        2,
        "no.toml: No such file",
    );
    fs::create_dir(folder.path().join("empty")).unwrap();
    refused(
        &["replay", "empty"],
        2,
        "empty: the folder holds no recordings",
    );
    fs::write(folder.path().join("noise"), [0xff, 0xfe, 0]).unwrap();
    refused(&["replay", "noise"], 1, "noise: this is no recording");
    refused(&["shrink", "--schedule", "noise"], 2, "noise: ");
}

#[test]
fn a_schedule_of_a_mutant_asks_for_the_mutant_where_the_project_is() {
    let (folder, path, _) = shrunk();
    let text = fs::read_to_string(&path).unwrap();
    let text = text.replace("version = 1", "version = 1\nmutant = \"half-a-moon\"");
    fs::write(&path, text).unwrap();
    let output = raft_sim(folder.path(), &["replay", "seed-8034.toml"]);
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(said.contains("--root"), "{said}");
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let output = raft_sim(folder.path(), &["replay", "--root", root, "seed-8034.toml"]);
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(
        said.contains("there is no half-a-moon.patch; the nearest names are "),
        "{said}"
    );
}
