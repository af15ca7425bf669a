//! The command line: its output and its exit codes.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use std::process::{Command, Output, Stdio};

fn raft_sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_raft-sim"))
        .args(arguments)
        .output()
        .expect("the binary was built with this test")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn digest(output: &Output) -> String {
    let json: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("--json prints JSON");
    json["digest"].as_str().expect("a digest").to_owned()
}

#[test]
fn two_processes_make_the_same_run() {
    let run = |seed| raft_sim(&["run", "--seed", seed, "--time", "5s", "--json"]);
    let (one, same, other) = (run("42"), run("42"), run("43"));
    assert_eq!(one.status.code(), Some(0));
    assert_eq!(digest(&one), digest(&same));
    assert_ne!(digest(&one), digest(&other));
}

#[test]
fn two_processes_write_the_same_trace() {
    let run = || raft_sim(&["run", "--seed", "5", "--time", "2s", "--trace", "-"]);
    let (one, same) = (run(), run());
    assert_eq!(one.status.code(), Some(0));
    assert!(one.stdout.len() > 10_000);
    assert!(one.stdout == same.stdout, "the traces differ");
    assert!(stderr(&one).contains("passed"), "{}", stderr(&one));
}

#[test]
fn a_trace_goes_to_a_file() {
    let path = std::env::temp_dir().join(format!("raft-sim-trace-{}", std::process::id()));
    let file = path.to_str().expect("temporary paths are text here");
    let written = raft_sim(&["run", "--seed", "5", "--time", "2s", "--trace", file]);
    let trace = std::fs::read(&path).expect("the trace was written");
    std::fs::remove_file(&path).expect("it is ours");
    let printed = raft_sim(&["run", "--seed", "5", "--time", "2s", "--trace", "-"]);
    assert!(stdout(&written).contains("digest"));
    assert!(trace == printed.stdout, "the traces differ");
}

#[test]
fn an_unknown_scenario_lists_those_that_there_are() {
    let output = raft_sim(&["lab", "nosuch"]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(text.contains("\"nosuch\""), "{text}");
    assert!(text.contains("17  3C  Figure 8"), "{text}");
}

#[test]
fn numbers_out_of_range_name_the_range() {
    let cases: [(&[&str], &str); 6] = [
        (&["run", "--nodes", "0"], "1..=15"),
        (&["run", "--nodes", "16"], "1..=15"),
        (&["run", "--time", "60"], "60s, 10m or 1h"),
        (&["run", "--time", "0s"], "60s, 10m or 1h"),
        (&["run", "--time", "8days"], "at most 7 days"),
        (&["lab", "--repeat", "0"], "1..=1000000"),
    ];
    for (arguments, hint) in cases {
        let output = raft_sim(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let text = stderr(&output);
        assert!(text.contains(hint), "{arguments:?}: {text}");
    }
}

#[test]
fn a_negative_or_odd_seed_is_told_what_a_seed_is() {
    let cases: [&[&str]; 6] = [
        &["run", "--seed", "-1"],
        &["run", "--seed", "1.5"],
        &["lab", "--seed", "-1"],
        &["shrink", "--seed", "0xg"],
        &["elections", "--seed", "18446744073709551616"],
        &["sweep", "--seeds", "-1..5"],
    ];
    for arguments in cases {
        let output = raft_sim(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let text = stderr(&output);
        assert!(
            text.contains("a seed is a whole number from 0 to"),
            "{arguments:?}: {text}"
        );
    }
}

#[test]
fn seeds_are_read_in_hexadecimal_too() {
    let run = |seed| raft_sim(&["run", "--seed", seed, "--time", "1s", "--json"]);
    assert_eq!(digest(&run("0x2a")), digest(&run("42")));
    let lab = raft_sim(&["lab", "4", "--seed", "0xFF", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&lab.stdout).expect("JSON");
    assert_eq!(json["seed"], 255);
}

#[test]
fn a_time_of_no_seconds_is_refused() {
    for arguments in [
        ["bench", "--seconds", "0"],
        ["bench", "--seconds", "-5"],
        ["zoo", "--cpu-seconds", "0"],
    ] {
        let output = raft_sim(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let text = stderr(&output);
        assert!(text.contains("seconds, from 1 to"), "{arguments:?}: {text}");
    }
}

#[test]
fn what_makes_no_sense_exits_with_2_whatever_the_command() {
    let cases: [&[&str]; 10] = [
        &["lab", "nosuch"],
        &["run", "--fault", "rain=3"],
        &["sweep", "--seeds", "5..5"],
        &["sweep", "--seeds", "0..9", "--shard", "3/3"],
        &["merge", "/no/such/file"],
        &["bench", "--nodes", "-1"],
        &["replay", "/no/such/file"],
        &["explain", "/no/such/file"],
        &["shrink", "--schedule", "/no/such/file"],
        &["elections", "--broadcast-time", "0s"],
    ];
    for arguments in cases {
        let output = raft_sim(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).starts_with("error: "), "{arguments:?}");
    }
}

#[test]
fn the_benchmark_speaks_json() {
    let output = raft_sim(&["bench", "--seconds", "1", "--nodes", "1", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["nodes"], 1);
    let rows = json["rows"].as_array().expect("rows");
    let features: Vec<&str> = rows
        .iter()
        .filter_map(|row| row["features"].as_str())
        .collect();
    assert_eq!(features, ["none", "drawn", "all"]);
    for row in rows {
        assert!(row["seeds_per_cpu_second"].as_f64() > Some(0.0), "{row}");
    }
}

#[test]
fn shells_get_completions_of_commands_and_options() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = raft_sim(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0), "{shell}");
        let script = stdout(&output);
        for word in ["elections", "explain", "until-failure"] {
            assert!(script.contains(word), "{shell} has no {word}");
        }
    }
}

#[test]
fn every_command_tells_its_exit_codes_and_examples() {
    for command in [
        "lab",
        "run",
        "check",
        "sweep",
        "merge",
        "bench",
        "zoo",
        "replay",
        "explain",
        "shrink",
        "elections",
    ] {
        let text = stdout(&raft_sim(&[command, "--help"]));
        assert!(text.contains(&format!("  raft-sim {command}")), "{text}");
        assert!(text.contains("Exit code"), "{text}");
    }
}

#[test]
fn a_trace_that_cannot_be_written_is_refused_before_the_run() {
    let output = raft_sim(&["run", "--trace", "/no/such/directory/trace"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("/no/such/directory/trace"));
}

#[test]
fn the_lab_prints_its_lines_and_totals() {
    let output = raft_sim(&["lab", "basic", "agreement"]);
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    assert!(
        text.contains("Test (3B): basic agreement ...\n  ... Passed --"),
        "{text}"
    );
    assert!(text.contains("1 of 1 scenario passed"), "{text}");
}

#[test]
fn a_repeated_lab_compares_medians() {
    let output = raft_sim(&["lab", "4", "--repeat", "3"]);
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    assert!(text.contains("median of 3 seeds"), "{text}");
    assert!(text.contains("3 of 3 runs"), "{text}");
}

#[test]
fn the_lab_speaks_json() {
    let output = raft_sim(&["lab", "4", "--seed", "9", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["passed"], true);
    assert_eq!(json["seed"], 9);
    assert_eq!(json["scenarios"][0]["name"], "basic agreement");
    assert_eq!(json["scenarios"][0]["figures"]["commits"], 3);
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_raft-sim"))
        .args(["run", "--time", "20s", "--trace", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built with this test");
    drop(child.stdout.take()); // `| head -0`
    let output = child.wait_with_output().expect("it ends by itself");
    assert_eq!(output.status.code(), Some(0));
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
}

#[test]
fn help_teaches_by_examples() {
    for (command, example) in [
        ("lab", "raft-sim lab 3C"),
        ("run", "raft-sim run --seed 42"),
    ] {
        let text = stdout(&raft_sim(&[command, "--help"]));
        assert!(text.contains(example), "{text}");
        assert!(text.contains("Exit code 1"), "{text}");
    }
}
