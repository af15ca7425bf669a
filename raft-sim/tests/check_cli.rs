//! `raft-sim check`: its output and its exit codes.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use raft_sim::check::models::ALL;
use std::process::{Command, Output};

fn check(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_raft-sim"))
        .arg("check")
        .args(arguments)
        .output()
        .expect("the binary was built with this test")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_list_shows_every_model_with_its_bounds_and_what_it_must_reach() {
    let output = check(&["--list"]);
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    for entry in ALL {
        assert!(text.contains(&format!("{}: ", entry.name)), "{text}");
    }
    let bounds = "  short: 3 nodes, terms to 4, timeouts 2; 12390 states\n";
    assert!(text.contains(bounds), "{text}");
    assert!(
        text.contains("two leaders of different terms exist at once"),
        "{text}"
    );
}

#[test]
fn a_model_that_passes_says_what_it_reached() {
    let output = check(&["impaired", "--short", "--recovery", "--jobs", "1"]);
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    assert!(text.contains("impaired: all states\n"), "{text}");
    assert!(text.contains("  reached: a node runs impaired\n"), "{text}");
}

#[test]
fn a_search_that_a_limit_ends_is_not_called_complete() {
    let output = check(&["figure8", "--max-states", "100"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stdout(&output).contains("figure8: not all states\n"));
}

#[test]
fn a_search_in_a_folder_goes_on_where_a_limit_ended_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder
        .path()
        .to_str()
        .expect("temporary paths are text here");
    let all = ["impaired", "--short", "--resume", path];
    let first = check(&[&all[..], &["--max-states", "100"]].concat());
    assert_eq!(first.status.code(), Some(3), "{first:?}");
    assert!(stdout(&first).contains("impaired: not all states\n"));
    let second = check(&all);
    assert_eq!(second.status.code(), Some(0), "{second:?}");
    assert!(stdout(&second).contains("impaired: all states\n"));
    // The full form is another search.
    let full = check(&["impaired", "--resume", path]);
    assert_eq!(full.status.code(), Some(2), "{full:?}");
    let said = String::from_utf8_lossy(&full.stderr).into_owned();
    assert!(said.contains("holds a search of another model"), "{said}");
}

#[test]
fn an_unknown_model_lists_those_that_there_are() {
    let output = check(&["paxos"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("there is no model paxos; there are: elections, "),
        "{said}"
    );
}

#[test]
fn a_file_is_walked_as_far_as_it_still_can_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("it.check");
    let replay = |text: &str| {
        std::fs::write(&path, text).unwrap();
        check(&[
            "--replay",
            path.to_str().expect("temporary paths are text here"),
        ])
    };
    let output = replay("model = 3");
    assert_eq!(output.status.code(), Some(2));
    let steps = "[[steps]]\nchoice = 9999\nwhat = \"n1 times out\"\n";
    let output = replay(&format!(
        "model = \"figure8\"\nshort = true\nviolation = \"\"\n{steps}"
    ));
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    assert!(
        text.contains("figure8: no longer: step 1 cannot happen here"),
        "{text}"
    );
}
