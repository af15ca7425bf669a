//! Model checking that is kept in a folder: a search that stops goes on to the same result.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use core::ops::ControlFlow;
use raft_proto::{NodeId, Start};
use raft_sim::check::model::{Form, Model, Reductions};
use raft_sim::check::models;
use raft_sim::check::{CheckError, Limits, Report, SavedError, check, check_in};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn model(name: &str) -> Model {
    (models::find(name).unwrap().make)(Form::Short)
}

/// Searches one batch, and stops.
fn search_a_little(model: &Model, folder: &Path) -> Result<Report, CheckError> {
    check_in(folder, model, Limits::default(), |_| ControlFlow::Break(()))
}

/// Searches to the end.
fn search(model: &Model, folder: &Path) -> Result<Report, CheckError> {
    check_in(folder, model, Limits::default(), |_| {
        ControlFlow::Continue(())
    })
}

/// All that a search comes to, but how long it took and what it had in memory.
fn result(report: &Report) -> impl PartialEq + std::fmt::Debug + use<> {
    let now = report.progress;
    (
        (now.states, now.transitions, now.depth, now.left),
        (report.is_complete, report.sizes),
        (report.reached.clone(), report.missed.clone()),
        report.counterexample.clone(),
    )
}

fn uninterrupted(model: &Model) -> Report {
    check(model, Limits::default(), |_| ControlFlow::Continue(())).unwrap()
}

/// Why a search could not go on.
fn refusal(report: Result<Report, CheckError>) -> SavedError {
    match report.unwrap_err() {
        CheckError::Saved(error) => error,
        CheckError::Walk(error) => panic!("{error}"),
    }
}

/// The files of the present level and of the next one.
fn levels(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path());
    let number = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?;
        name.strip_prefix("level-")?.parse::<u32>().ok()
    };
    let mut levels: Vec<PathBuf> = files.filter(|path| number(path).is_some()).collect();
    levels.sort_by_key(number);
    assert_eq!(levels.len(), 2);
    levels
}

/// The state of a search in the midst of a model.
fn begun(model: &Model) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..8 {
        assert!(!search_a_little(model, folder.path()).unwrap().is_complete);
    }
    folder
}

#[test]
fn a_search_that_stops_after_every_batch_ends_like_one_that_does_not() {
    let model = model("impaired");
    let folder = tempfile::tempdir().unwrap();
    let mut stops = 0;
    let last = loop {
        let report = search_a_little(&model, folder.path()).unwrap();
        if report.is_complete {
            break report;
        }
        stops += 1;
        assert!(stops < 1_000);
    };
    assert!(stops > 5, "{stops}");
    assert_eq!(result(&last), result(&uninterrupted(&model)));
    // It is over, and stays so.
    let again = search(&model, folder.path()).unwrap();
    assert_eq!(result(&again), result(&last));
}

#[test]
fn what_a_killed_process_wrote_after_its_last_position_does_not_count() {
    let model = model("impaired");
    let folder = begun(&model);
    let next = levels(folder.path()).pop().unwrap();
    for path in [
        folder.path().join("steps"),
        folder.path().join("states"),
        next,
    ] {
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(&[0xa5; 1_000]).unwrap();
    }
    // What comes after it has to be found by another one yet.
    search_a_little(&model, folder.path()).unwrap();
    let report = search(&model, folder.path()).unwrap();
    assert_eq!(result(&report), result(&uninterrupted(&model)));
}

#[test]
fn the_folder_of_another_search_is_refused() {
    let folder = begun(&model("impaired"));
    let refused = |model: &Model, limits| {
        let report = check_in(folder.path(), model, limits, |_| ControlFlow::Continue(()));
        let error = refusal(report);
        assert!(
            matches!(&error, SavedError::Another { path: named } if named == folder.path()),
            "{error}"
        );
    };
    refused(&model("transfer"), Limits::default());
    let mut smaller = model("impaired");
    smaller.bounds.timeouts -= 1;
    refused(&smaller, Limits::default());
    let limits = Limits {
        recovery: true,
        ..Limits::default()
    };
    refused(&model("impaired"), limits);
}

#[test]
fn a_file_that_has_lost_its_end_is_named() {
    let model = model("impaired");
    for name in ["steps", "states"] {
        let folder = begun(&model);
        let path = folder.path().join(name);
        let length = fs::metadata(&path).unwrap().len();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(length - 1).unwrap();
        let error = refusal(search(&model, folder.path()));
        assert!(
            matches!(&error, SavedError::Short { path: named, .. } if *named == path),
            "{error}"
        );
    }
}

#[test]
fn a_level_that_has_lost_its_end_is_named() {
    let model = model("impaired");
    let folder = begun(&model);
    let present = levels(folder.path()).remove(0);
    let file = OpenOptions::new().write(true).open(&present).unwrap();
    file.set_len(3).unwrap();
    let error = refusal(search(&model, folder.path()));
    assert!(
        matches!(&error, SavedError::Short { path: named } if *named == present),
        "{error}"
    );
}

#[test]
fn a_build_whose_steps_come_to_other_states_is_noticed() {
    let model = model("impaired");
    let folder = begun(&model);
    change_position(folder.path(), |position| {
        position["at"]["tables"] = 1.into();
    });
    let error = refusal(search(&model, folder.path()));
    assert!(matches!(error, SavedError::AnotherBuild { .. }), "{error}");
}

/// Changes what the file `position` holds.
fn change_position(folder: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let path = folder.join("position");
    let text = fs::read_to_string(&path).unwrap();
    let mut position = serde_json::from_str(&text).unwrap();
    change(&mut position);
    fs::write(&path, position.to_string()).unwrap();
}

/// Adds a group to the file of steps.
fn add_group(folder: &Path, group: &[u8]) {
    let path = folder.join("steps");
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend((group.len() as u64).to_le_bytes());
    bytes.extend(group);
    fs::write(path, &bytes).unwrap();
    change_position(folder, |position| position["steps"] = bytes.len().into());
}

#[test]
fn steps_of_another_build_may_name_what_is_not_there() {
    let model = model("impaired");
    // A node's wake, the arrival of a message at a node, and a history after a step.
    let groups: [&[u8]; 3] = [
        b"\x01\xc0\x84\x3d\x01\x00",
        b"\x01\x00\x00\xc0\x84\x3d\x00",
        b"\x00\x01\xc0\x84\x3d\x00",
    ];
    for group in groups {
        let folder = begun(&model);
        add_group(folder.path(), group);
        let error = refusal(search(&model, folder.path()));
        assert!(matches!(error, SavedError::AnotherBuild { .. }), "{error}");
    }
}

#[test]
fn steps_that_come_to_states_which_are_there_already_count_too() {
    let model = model("impaired");
    let folder = begun(&model);
    let steps = fs::read(folder.path().join("steps")).unwrap();
    let (length, groups) = steps.split_first_chunk().unwrap();
    let first = &groups[..u64::from_le_bytes(*length) as usize];
    add_group(folder.path(), first);
    let error = refusal(search(&model, folder.path()));
    assert!(matches!(error, SavedError::AnotherBuild { .. }), "{error}");
}

#[test]
fn a_file_whose_end_became_zeros_is_named() {
    let model = model("impaired");
    let damaged = |path: &Path, zeros: usize| {
        let mut bytes = fs::read(path).unwrap();
        let whole = bytes.len() - zeros;
        bytes[whole..].fill(0);
        fs::write(path, bytes).unwrap();
        let error = refusal(search(&model, path.parent().unwrap()));
        assert!(
            matches!(&error, SavedError::Malformed { path: named, .. } if named == path),
            "{error}"
        );
    };
    let folder = begun(&model);
    damaged(&folder.path().join("states"), 160);
    // The present level was read to its end.
    let folder = begun(&model);
    let next = levels(folder.path()).remove(1);
    damaged(&next, fs::metadata(&next).unwrap().len() as usize);
    // Words that are there, and name what is not.
    let folder = begun(&model);
    let next = levels(folder.path()).remove(1);
    let mut bytes = fs::read(&next).unwrap();
    bytes[4..8].fill(0xff);
    fs::write(&next, bytes).unwrap();
    damaged(&next, 0);
}

#[test]
fn a_folder_of_another_release_says_so() {
    let model = model("impaired");
    let folder = begun(&model);
    change_position(folder.path(), |position| {
        *position = serde_json::json!({ "search": { "version": 99 }, "other": true });
    });
    let error = refusal(search(&model, folder.path())).to_string();
    assert!(error.contains("version 99"), "{error}");
}

#[test]
fn a_position_beyond_all_files_is_refused() {
    let model = model("impaired");
    let folder = begun(&model);
    change_position(folder.path(), |position| {
        position["at"]["states"] = u64::MAX.into();
    });
    let error = refusal(search(&model, folder.path()));
    assert!(matches!(&error, SavedError::Short { .. }), "{error}");
}

#[test]
fn a_search_that_stops_finds_the_same_way_to_a_violation_each_time() {
    // n1 takes itself for a whole cluster, and leads in a term in which the others elect, too.
    let mut model = model("elections");
    model.configs[0].start = Start::voters([NodeId(1)]);
    model.reductions = Reductions::OF_NAMED;
    let folder = tempfile::tempdir().unwrap();
    let mut stops = 0;
    let mut first = search_a_little(&model, folder.path()).unwrap();
    while first.counterexample.is_none() {
        stops += 1;
        assert!(stops < 1_000);
        first = search_a_little(&model, folder.path()).unwrap();
    }
    assert!(stops > 1, "{stops}");
    assert_eq!(result(&first), result(&uninterrupted(&model)));
    let again = search(&model, folder.path()).unwrap();
    assert_eq!(result(&again), result(&first));
}

#[test]
fn a_position_that_cannot_be_read_is_named() {
    let model = model("impaired");
    let folder = begun(&model);
    let path = folder.path().join("position");
    fs::write(&path, "{}").unwrap();
    let error = refusal(search(&model, folder.path()));
    assert!(
        matches!(&error, SavedError::Malformed { path: named, .. } if *named == path),
        "{error}"
    );
}

#[test]
fn two_searches_in_one_folder_are_refused() {
    let model = model("impaired");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut second = None;
    let first = check_in(path, &model, Limits::default(), |_| {
        second = Some(search(&model, path));
        ControlFlow::Break(())
    });
    first.unwrap();
    let error = refusal(second.unwrap());
    assert!(
        matches!(&error, SavedError::InUse { path: named, .. } if *named == path),
        "{error}"
    );
}
