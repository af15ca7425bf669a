//! `inspect` reports what a node's folder holds, and what in it is damaged.
#![cfg(feature = "disk")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use raft_driver_thread::Node;
use raft_driver_thread::raft_proto::{Incarnation, NodeId};
use raft_driver_thread::storage::StorageError;
use raft_driver_thread::storage::disk::{DiskStorage, inspect};
use raft_driver_thread::transport::channel::Network;
use std::fs;
use std::path::{Path, PathBuf};
use support::{Journal, TIMEOUT, wait_for};

/// A node that makes a snapshot after 80 entries: one in these tests, which write a hundred.
fn start(data_dir: &Path) -> Node<Journal> {
    let mut options = support::options(1, 1);
    options.snapshots.every_entries = Some(80);
    options.config.trailing_entries = 10;
    options.config.incarnation = Some(Incarnation(0xd15c));
    let transport = Network::new(1).transport(NodeId(1));
    let storage = DiskStorage::open(data_dir).unwrap();
    Node::start(options, storage, transport, Journal::default()).unwrap()
}

/// A stopped node's folder, with a snapshot and a log after it.
fn data_dir() -> tempfile::TempDir {
    let data_dir = tempfile::tempdir().unwrap();
    let node = start(data_dir.path());
    wait_for("a first command", || node.execute("first", TIMEOUT).ok());
    for number in 0..99_u8 {
        node.execute(vec![number; 100], TIMEOUT).unwrap();
    }
    wait_for("a snapshot", || node.status().unwrap().snapshot);
    // The write that names the snapshot comes before this one.
    node.execute("last", TIMEOUT).unwrap();
    data_dir
}

fn flip_bit(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Beside it is its origin.
fn only_snapshot(data_dir: &Path) -> PathBuf {
    let files = fs::read_dir(data_dir.join("snapshots")).unwrap();
    let mut paths = files.map(|file| file.unwrap().path());
    let is_snapshot = |path: &PathBuf| path.extension().is_some_and(|it| it == "snapshot");
    paths.find(is_snapshot).unwrap()
}

#[test]
fn an_undamaged_folder_is_reported_as_such_and_left_unchanged() {
    let data_dir = data_dir();
    let mut payloads = Vec::new();
    let found = inspect(data_dir.path(), |entries| {
        payloads.extend(entries.iter().map(|entry| entry.payload().to_vec()));
    })
    .unwrap();
    assert_eq!(found.problems, Vec::new());
    assert_eq!(found.identity.as_ref().unwrap().node_id, NodeId(1));
    let (first, last) = found.log.unwrap();
    // The empty entry, and the commands.
    assert_eq!(last.index.0, 1 + 1 + 99 + 1);
    assert_eq!(found.entries, last.index.0 - first.index.0 + 1);
    assert_eq!(payloads.last().unwrap(), b"last");
    assert!(found.snapshot.is_some());
    let text = found.to_string();
    let cluster = found.identity.unwrap().cluster_id.0;
    let node = format!("node        n1 of cluster {cluster}, group");
    assert!(text.contains(&node), "{text}");
    assert!(text.contains("disk        d15c\n"), "{text}");
    assert!(text.contains("whole: every record"), "{text}");
    let node = start(data_dir.path());
    wait_for("one more command", || node.execute("more", TIMEOUT).ok());
}

#[test]
fn a_flipped_bit_is_reported_with_its_file() {
    let data_dir = data_dir();
    let snapshot = only_snapshot(data_dir.path());
    let mark = data_dir.path().join("mark");
    for (path, named) in [(snapshot, "snapshot at"), (mark, "mark")] {
        flip_bit(&path, 3);
        let found = inspect(data_dir.path(), |_| ()).unwrap();
        assert_eq!(found.problems.len(), 1, "{:?}", found.problems);
        let problem = found.problems[0].to_string();
        assert!(problem.contains(named), "{problem}");
        assert!(found.to_string().contains("DAMAGED"));
        assert!(found.entries > 0, "the rest is reported all the same");
        flip_bit(&path, 3);
    }
}

#[test]
fn a_missing_snapshot_is_reported() {
    let data_dir = data_dir();
    fs::remove_file(only_snapshot(data_dir.path())).unwrap();
    let found = inspect(data_dir.path(), |_| ()).unwrap();
    let problem = found.problems[0].to_string();
    assert!(problem.contains(".snapshot"), "{problem}");
}

#[test]
fn a_folder_that_is_not_a_nodes_or_is_in_use_is_refused() {
    let empty = tempfile::tempdir().unwrap();
    let error = inspect(empty.path(), |_| ()).unwrap_err();
    assert!(error.to_string().contains("FORMAT"), "{error}");
    let files = fs::read_dir(empty.path()).unwrap();
    assert_eq!(files.count(), 0, "no file is created");
    let storage = DiskStorage::open(empty.path()).unwrap();
    let error = inspect(empty.path(), |_| ()).unwrap_err();
    assert!(matches!(error, StorageError::InUse { .. }), "{error}");
    drop(storage);
}

/// The command line, on folders as a user may give them.
#[cfg(feature = "inspect")]
mod command {
    use super::{data_dir, flip_bit, fs, only_snapshot};
    use std::path::{Path, PathBuf};
    use std::process::Command;

    fn only_segment(dir: &Path) -> PathBuf {
        let mut files = fs::read_dir(dir.join("log")).unwrap();
        let is_segment = |path: &PathBuf| path.extension().is_some_and(|it| it == "log");
        files
            .find_map(|file| Some(file.unwrap().path()).filter(is_segment))
            .unwrap()
    }

    struct Output {
        exit_code: i32,
        stdout: String,
        stderr: String,
    }

    fn inspect(arguments: &[&str], dir: &Path) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_raft-inspect"));
        let output = command.args(arguments).arg(dir).output().unwrap();
        Output {
            exit_code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn assert_refused(dir: &Path, expected: &str) {
        let Output {
            exit_code, stderr, ..
        } = inspect(&[], dir);
        assert_eq!(exit_code, 2);
        assert!(stderr.contains(expected), "{stderr}");
    }

    #[test]
    fn a_folder_around_the_data_folder_is_refused_and_the_right_one_is_named() {
        let outer = tempfile::tempdir().unwrap();
        assert_refused(outer.path(), "holds no file FORMAT");
        let data = outer.path().join("raft");
        fs::create_dir(&data).unwrap();
        fs::write(data.join("FORMAT"), "").unwrap();
        let hint = format!("try `raft-inspect {}`", data.display());
        assert_refused(outer.path(), &hint);
        assert_refused(&outer.path().join("missing"), "does not exist");
    }

    #[test]
    fn an_undamaged_folder_exits_with_0_and_a_damaged_one_with_1_and_names_the_file() {
        let data_dir = data_dir();
        let undamaged = inspect(&[], data_dir.path());
        assert_eq!(undamaged.exit_code, 0);
        assert_eq!(undamaged.stderr, "");
        let text = undamaged.stdout;
        assert!(text.contains("whole: every record"), "{text}");
        let snapshot = only_snapshot(data_dir.path());
        flip_bit(&snapshot, 3);
        let damaged = inspect(&[], data_dir.path());
        assert_eq!(damaged.exit_code, 1);
        let text = damaged.stdout;
        assert!(text.contains(snapshot.to_str().unwrap()), "{text}");
        flip_bit(&snapshot, 3);
        // A record in the middle of the log: what is around it is reported all the same.
        let segment = only_segment(data_dir.path());
        let bytes = std::fs::read(&segment).unwrap();
        let at = bytes.windows(100).position(|bytes| bytes == [90; 100]);
        flip_bit(&segment, at.unwrap());
        let Output {
            exit_code, stdout, ..
        } = inspect(&["--entries"], data_dir.path());
        assert_eq!(exit_code, 1, "{stdout}");
        assert!(stdout.contains(segment.to_str().unwrap()), "{stdout}");
        assert!(stdout.contains("entries 93 to 93"), "{stdout}");
        assert!(stdout.contains("\"last\""), "{stdout}");
    }

    #[test]
    fn json_is_one_object_for_each_entry_and_one_for_the_folder() {
        let data_dir = data_dir();
        let output = inspect(&["--json", "--entries"], data_dir.path());
        assert_eq!(output.exit_code, 0);
        let text = output.stdout;
        let lines: Vec<&str> = text.lines().collect();
        let (last, entries) = lines.split_last().unwrap();
        assert!(last.contains(r#""node":1"#), "{last}");
        assert!(last.contains(r#""problems":[]"#), "{last}");
        assert!(last.contains(r#""disk":"d15c""#), "{last}");
        let payload = r#""payload":"6c617374""#; // "last"
        assert!(entries.last().unwrap().contains(payload), "{text}");
    }
}
