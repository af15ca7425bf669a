//! Sweeps: ranges, parts, interruption, resumption, and merging.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use raft_sim::sweep::{
    CHUNK, ChunkResult, FailedSeed, Seeds, SeedsError, Shard, Tally, read_results,
};
use std::collections::BTreeSet;
use std::process::{Command, Output};

fn sweep(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_raft-sim"));
    command.args(["sweep", "--time", "1s", "--nodes", "3"]);
    command.args(arguments).env_remove("SLURM_ARRAY_TASK_ID");
    command.output().unwrap()
}

fn digest(output: &Output) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let line = text.lines().find(|line| line.starts_with("digest "));
    line.expect("a digest").to_owned()
}

#[test]
fn a_range_is_cut_into_chunks_that_hold_each_seed_once() {
    let seeds: Seeds = "10..1000".parse().unwrap();
    let chunks: Vec<Seeds> = seeds.chunks().collect();
    assert_eq!(chunks.len() as u64, 990_u64.div_ceil(CHUNK));
    let all: Vec<u64> = chunks.into_iter().flat_map(|chunk| chunk.0).collect();
    assert_eq!(all, (10..1000).collect::<Vec<_>>());
}

#[test]
fn a_range_may_be_in_hexadecimal() {
    let seeds: Seeds = "0x10..0x1_FF".parse().unwrap();
    assert_eq!(seeds, Seeds(16..511));
}

#[test]
fn what_is_no_range_is_explained() {
    let error = |text: &str| text.parse::<Seeds>().unwrap_err();
    assert_eq!(error("5..5"), SeedsError::Empty(5));
    assert_eq!(error("9..2"), SeedsError::Backwards(9, 2));
    for text in ["", "7", "..", "1..x", "-1..3", "1..+3", "0x..5", "0x+1..5"] {
        assert_eq!(error(text), SeedsError::NotARange(text.into()));
    }
}

#[test]
fn the_parts_of_a_sweep_are_disjoint_and_make_it_whole() {
    let mut seen = BTreeSet::new();
    for index in 0..7 {
        let shard = Shard { index, count: 7 };
        for chunk in (0..100).filter(|chunk| shard.holds(*chunk)) {
            assert!(seen.insert(chunk));
        }
    }
    assert_eq!(seen.len(), 100);
}

#[test]
fn an_array_jobs_index_is_read_from_its_environment() {
    let kubernetes = |name: &str| (name == "JOB_COMPLETION_INDEX").then(|| "3".to_owned());
    let expected = Shard { index: 3, count: 5 };
    assert_eq!(Shard::parse("array/5", kubernetes), Ok(expected));
    assert_eq!(Shard::parse("3/5", |_| None), Ok(expected));
    let error = Shard::parse("array/5", |_| None).unwrap_err();
    assert!(error.contains("SLURM_ARRAY_TASK_ID"), "{error}");
    assert!(Shard::parse("5/5", |_| None).is_err());
}

#[test]
fn one_job_and_two_come_to_the_same() {
    let one = sweep(&["--seeds", "0..40", "--jobs", "1"]);
    let two = sweep(&["--seeds", "0..40", "--jobs", "2"]);
    assert!(one.status.success(), "{one:?}");
    assert_eq!(digest(&one), digest(&two));
    let others = sweep(&["--seeds", "1..41", "--jobs", "2"]);
    assert_ne!(digest(&one), digest(&others));
}

#[test]
fn a_sweep_goes_on_where_it_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sweep.jsonl");
    let file_argument = file.to_str().unwrap();
    let range = format!("0..{}", CHUNK + 10);
    let arguments = ["--seeds", range.as_str(), "--resume", file_argument];
    let whole = sweep(&arguments);
    assert!(whole.status.success(), "{whole:?}");
    let text = std::fs::read_to_string(&file).unwrap();
    let (first, second) = text.split_once('\n').unwrap();
    // As if it was killed while it wrote the second line.
    std::fs::write(&file, format!("{first}\n{}", &second[..second.len() / 2])).unwrap();
    let again = sweep(&arguments);
    assert_eq!(digest(&whole), digest(&again));
    let again = std::fs::read_to_string(&file).unwrap();
    let ranges = |text: &str| -> Vec<Seeds> {
        let lines = read_results(text).unwrap().into_iter();
        lines.map(|line| line.seeds).collect()
    };
    assert_eq!(
        ranges(&text),
        ranges(&again),
        "the first chunk was not run again"
    );
    // A sweep with other settings does not go on in this file.
    let other = sweep(&[
        "--seeds",
        "0..10",
        "--faults",
        "none",
        "--resume",
        file_argument,
    ]);
    assert_eq!(other.status.code(), Some(2), "{other:?}");
}

#[test]
fn failures_are_listed_with_their_commands_and_the_exit_code_is_one() {
    let line = ChunkResult {
        seeds: Seeds(0..256),
        settings: "--nodes 3".into(),
        tally: Tally {
            seeds: 256,
            failed: 1,
            ..Tally::default()
        },
        failures: vec![FailedSeed {
            seed: 7,
            failure: "Election Safety is violated".into(),
            kind: "Election Safety".into(),
            repeat: "raft-sim run --seed 7".into(),
        }],
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("part.jsonl");
    let text = serde_json::to_string(&line).unwrap();
    std::fs::write(&file, format!("{text}\n")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_raft-sim"));
    let output = command.arg("merge").arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("255 of 256 seeds passed"), "{said}");
    assert!(
        said.contains("repeat with: raft-sim run --seed 7"),
        "{said}"
    );
}

#[cfg(unix)]
#[test]
fn an_interrupted_sweep_sums_up_all_that_was_run() {
    use std::process::Stdio;
    use std::time::{Duration, Instant};
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sweep.jsonl");
    let mut command = Command::new(env!("CARGO_BIN_EXE_raft-sim"));
    command.args(["sweep", "--time", "1s", "--nodes", "3", "--faults", "none"]);
    command
        .args(["--seeds", "0..1_000_000_000", "--resume"])
        .arg(&file);
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    // As soon as a chunk is written, many seeds are done, and far from all.
    let limit = Instant::now() + Duration::from_secs(300);
    while std::fs::read_to_string(&file)
        .unwrap_or_default()
        .is_empty()
    {
        assert!(Instant::now() < limit, "no chunk was written");
        std::thread::sleep(Duration::from_millis(20));
    }
    // SIGTERM, as service managers and array jobs send it.
    let killed = Command::new("kill").arg(child.id().to_string()).status();
    assert!(killed.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    let passed = said.lines().next().unwrap();
    let (done, _) = passed.split_once(' ').unwrap();
    assert!(done.parse::<u64>().unwrap() >= CHUNK, "{said}");
    assert_eq!(passed, format!("{done} of {done} seeds passed"));
    let interrupted = format!("interrupted: {done} of 1000000000 seeds were run; ");
    assert!(said.contains(&interrupted), "{said}");
    // Only whole chunks are kept.
    let kept = read_results(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert!(kept.iter().all(|chunk| chunk.tally.seeds == CHUNK));
}

#[cfg(unix)]
#[test]
fn an_interrupted_search_for_a_failure_is_not_told_to_resume() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    let mut command = Command::new(env!("CARGO_BIN_EXE_raft-sim"));
    command.args(["sweep", "--time", "1s", "--nodes", "1", "--faults", "none"]);
    command.args(["--seeds", "0..1_000_000_000", "--until-failure", "--json"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut results = BufReader::new(child.stdout.take().unwrap());
    results.read_line(&mut String::new()).unwrap();
    let killed = Command::new("kill").arg(child.id().to_string()).status();
    assert!(killed.unwrap().success());
    // It may be writing a line.
    std::io::copy(&mut results, &mut std::io::sink()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.ends_with("of 1000000000 seeds were run\n"), "{said}");
}

#[test]
fn merged_results_speak_json() {
    let result = |seeds: Seeds| ChunkResult {
        tally: Tally {
            seeds: seeds.count(),
            ..Tally::default()
        },
        seeds,
        settings: "--nodes 3".into(),
        failures: Vec::new(),
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("part.jsonl");
    let lines = [0..256, 512..768].map(|seeds| {
        let line = serde_json::to_string(&result(Seeds(seeds))).unwrap();
        line + "\n"
    });
    std::fs::write(&file, lines.concat()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_raft-sim"));
    let output = command
        .args(["merge", "--json"])
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["seeds"], "0..768");
    assert_eq!(json["gaps"], serde_json::json!(["256..512"]));
    assert_eq!(json["passed"], true);
    assert_eq!(json["tally"]["seeds"], 512);
}
