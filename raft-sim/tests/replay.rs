//! `raft-sim replay` agrees with a recording, or shows the first difference.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use raft_proto::recording;
use raft_proto::{ClusterId, Config, Event, Input, NodeId, Raft, Recovered, Seq, Start, Time};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

/// The recording of a single node that elects itself. `tamper` may change the recorded answers.
fn recorded(tamper: impl Fn(usize, &mut Vec<raft_proto::Action>)) -> Vec<u8> {
    let config = Config::new(ClusterId(7), NodeId(1), Start::voters([NodeId(1)]), 42);
    let mut raft = Raft::new(config, Recovered::default()).unwrap();
    let mut file = recording::begin(&raft);
    let inputs = [
        (0, Input::Tick),
        (2_000_000_000, Input::Tick),
        (2_000_000_001, Input::Persisted { seq: Seq(1) }),
        (2_000_000_002, Input::Persisted { seq: Seq(2) }),
    ];
    for (number, (at, input)) in inputs.into_iter().enumerate() {
        let event = Event {
            at: Time(at),
            input,
        };
        recording::event_into(&mut file, &event);
        let mut actions = raft.step(event);
        tamper(number, &mut actions);
        recording::outcome_into(&mut file, &actions);
    }
    file
}

fn replay(name: &str, file: &[u8], arguments: &[&str]) -> (Output, PathBuf) {
    // A directory of its own: several copies of this test may run at once.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, file).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_raft-sim"));
    let output = command.arg("replay").args(arguments).arg(&path).output();
    (output.unwrap(), path)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_recording_agrees_with_this_build_and_can_be_printed() {
    let file = recorded(|_, _| {});
    let (output, _) = replay("good.raftrec", &file, &["--print"]);
    let printed = text(&output.stdout);
    assert!(output.status.success(), "{printed}");
    assert!(
        printed.contains("4 steps agree; n1 in term 1, a leader"),
        "{printed}"
    );
    assert!(
        printed.contains("n1@1 becomes candidate in term 1"),
        "{printed}"
    );
}

#[test]
fn the_first_step_that_differs_is_shown_with_its_actions() {
    let file = recorded(|number, actions| {
        if number == 1 {
            actions.pop();
        }
    });
    let (output, _) = replay("other.raftrec", &file, &[]);
    let printed = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(printed.contains("1 steps agree"), "{printed}");
    assert!(printed.contains("step 2 (at byte"), "{printed}");
    assert!(printed.contains("persist #"), "{printed}");
}

#[test]
fn a_recording_of_a_killed_process_is_replayed_to_its_last_whole_step() {
    let file = recorded(|_, _| {});
    let (output, _) = replay("torn.raftrec", &file[..file.len() - 30], &[]);
    let printed = text(&output.stdout);
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains("ends in the middle"), "{printed}");
}

#[test]
fn what_is_no_recording_or_is_damaged_is_refused_by_name() {
    let (output, path) = replay("letter.raftrec", b"dear friend", &[]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    let path = path.to_str().unwrap();
    assert!(
        error.contains(path) && error.contains("no recording"),
        "{error}"
    );
    let mut file = recorded(|_, _| {});
    let middle = file.len() - 60;
    file[middle] ^= 1;
    let (output, _) = replay("damaged.raftrec", &file, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("damaged"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_raft-sim"));
    let output = command.args(["replay", "nosuch.raftrec"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
