//! A failing run is repeated by what its message says.

use std::path::Path;
use std::process::Command;

const FAILING: &str = "replay::a_test_that_fails_for_the_others_to_look_at";

/// A queue of which every restart makes another one.
#[test]
#[ignore = "it fails: the other tests run it in a process of its own"]
fn a_test_that_fails_for_the_others_to_look_at() {
    crate::queue::kit(crate::Mistake::Planted).run();
}

/// What that test says with these environment variables. The small run goes to this folder, where
/// no other process writes.
fn output(folder: &Path, variables: &[(&str, &str)]) -> String {
    let own = std::env::current_exe().expect("this test's program");
    let mut command = Command::new(own);
    command.args(["--exact", FAILING, "--ignored", "--nocapture"]);
    for variable in ["RAFT_SIM_SEED", "RAFT_SIM_SEEDS", "RAFT_SIM_SCHEDULE"] {
        command.env_remove(variable);
    }
    command.env("TMPDIR", folder);
    command.envs(variables.iter().copied());
    let output = command.output().expect("it runs");
    assert!(!output.status.success(), "it fails");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The value after this name in a text.
fn value<'a>(text: &'a str, name: &str) -> &'a str {
    let (_, rest) = text.split_once(name).expect(name);
    rest.split_whitespace().next().expect("a value")
}

/// The lines of the small run, which are indented.
fn events(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with("  ")).collect()
}

#[test]
fn the_message_of_a_failing_test_repeats_the_seed_and_the_small_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = |variables: &[(&str, &str)]| output(folder.path(), variables);
    let first = output(&[]);
    assert!(first.contains("their states differ after"), "{first}");
    assert!(first.contains(&format!("-- --exact {FAILING}")), "{first}");
    let seed = value(&first, "RAFT_SIM_SEED=");
    let again = output(&[("RAFT_SIM_SEED", seed)]);
    assert_eq!(events(&first), events(&again));
    let schedule = value(&first, "RAFT_SIM_SCHEDULE=");
    let small = output(&[("RAFT_SIM_SCHEDULE", schedule)]);
    assert_eq!(events(&first), events(&small));
}

#[test]
fn a_seed_that_makes_no_sense_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = |variables: &[(&str, &str)]| output(folder.path(), variables);
    let text = output(&[("RAFT_SIM_SEED", "seven")]);
    assert!(text.contains("RAFT_SIM_SEED=seven: a seed is"), "{text}");
    let text = output(&[("RAFT_SIM_SEEDS", "9..2")]);
    assert!(text.contains("RAFT_SIM_SEEDS=9..2: "), "{text}");
    let text = output(&[("RAFT_SIM_SCHEDULE", "/nowhere.toml")]);
    assert!(text.contains("/nowhere.toml: "), "{text}");
}
