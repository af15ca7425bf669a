//! A recording replays: the same events have the same outcomes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use raft_driver_thread::raft_proto::recording::{self, Recording};
use raft_driver_thread::raft_proto::{Input, NodeId, Raft};
use raft_driver_thread::storage::MemoryStorage;
use raft_driver_thread::transport::channel::Network;
use raft_driver_thread::{Node, RecorderOptions, StartError};
use std::fs;
use std::path::{Path, PathBuf};
use support::{Journal, TIMEOUT, wait_for};

fn recordings(dir: &Path) -> Vec<PathBuf> {
    files(dir, "raftrec")
}

/// The files that end so, sorted by name.
fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(dir).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let mut files: Vec<PathBuf> = files
        .filter(|file| file.extension().is_some_and(|it| it == extension))
        .collect();
    files.sort();
    files
}

/// Replays a recording, and returns its number of steps; panics at an outcome that differs.
fn replay(path: &Path) -> u64 {
    let file = fs::read(path).unwrap();
    let mut recording = Recording::open(&file).unwrap();
    let mut raft = Raft::from_checkpoint(&recording.header().checkpoint).unwrap();
    let mut steps = 0;
    while let Some(step) = recording.step().unwrap() {
        let outcome = recording::outcome(&raft.step(step.event));
        assert_eq!(step.outcome, Some(outcome), "step {steps}");
        steps += 1;
    }
    steps
}

/// The number in the name of a recording of n1.
fn number(file: &Path) -> Option<u64> {
    let name = file.file_stem()?.to_str()?;
    name.strip_prefix("n1-")?.parse().ok()
}

#[test]
fn nodes_that_share_a_folder_keep_their_own_recordings() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::new(1);
    let start = |id: u64| {
        let mut options = support::options(id, 3);
        options.recorder = Some(RecorderOptions {
            max_files: 1,
            ..RecorderOptions::new(dir.path())
        });
        let transport = network.transport(NodeId(id));
        Node::start(options, MemoryStorage::new(), transport, Journal::default()).unwrap()
    };
    let nodes = [1, 2, 3].map(start);
    wait_for("a command to be applied", || {
        nodes
            .iter()
            .find_map(|node| node.execute("a", TIMEOUT).ok())
    });
    drop(nodes);
    let files = recordings(dir.path());
    assert_eq!(files.len(), 3, "{files:?}");
    assert!(files.iter().all(|file| replay(file) > 2));
}

#[test]
fn two_groups_of_one_node_do_not_record_in_one_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (Network::new(1), Network::new(2));
    let start = |group: &Network| {
        let mut options = support::options(1, 1);
        options.recorder = Some(RecorderOptions {
            // Each turn begins a file.
            max_file_bytes: 1,
            ..RecorderOptions::new(dir.path())
        });
        let transport = group.transport(NodeId(1));
        Node::start(options, MemoryStorage::new(), transport, Journal::default())
    };
    let node = start(&first).unwrap();
    for _ in 0..3 {
        let refused = start(&second).map(drop).unwrap_err();
        assert!(
            matches!(&refused, StartError::RecordingsInUse { folder, node: NodeId(1) } if folder == dir.path()),
            "{refused}"
        );
        wait_for("a command to be applied", || {
            node.execute("a", TIMEOUT).ok()
        });
    }
    drop(node);
    start(&second).unwrap();
}

#[test]
fn the_recordings_of_a_node_that_was_killed_and_started_again_replay() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, network) = (MemoryStorage::new(), Network::new(1));
    for round in 0..2 {
        let mut options = support::options(1, 1);
        options.recorder = Some(RecorderOptions::new(dir.path()));
        let transport = network.transport(NodeId(1));
        let node = Node::start(options, storage.clone(), transport, Journal::default()).unwrap();
        wait_for("a command to be applied", || {
            node.execute("a", TIMEOUT).ok()
        });
        drop(node);
        let files = recordings(dir.path());
        assert_eq!(files.len(), round + 1);
        let steps = replay(&files[round]);
        assert!(steps > 4, "only {steps} for an election and a command");
    }
}

#[test]
fn recordings_are_a_ring_of_files_each_of_which_replays() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = support::options(1, 1);
    options.recorder = Some(RecorderOptions {
        max_file_bytes: 1000,
        max_files: 3,
        ..RecorderOptions::new(dir.path())
    });
    let transport = Network::new(1).transport(NodeId(1));
    let node = Node::start(options, MemoryStorage::new(), transport, Journal::default()).unwrap();
    for _ in 0..50 {
        wait_for("a command to be applied", || {
            node.execute("a", TIMEOUT).ok()
        });
    }
    drop(node);
    let files = recordings(dir.path());
    assert_eq!(files.len(), 3);
    let times = self::files(dir.path(), "rafttimes");
    let times: Vec<_> = times.iter().map(|it| it.file_stem()).collect();
    assert_eq!(
        times,
        files.iter().map(|it| it.file_stem()).collect::<Vec<_>>()
    );
    // Named by their numbers: the first three are gone.
    assert!(number(&files[0]).unwrap() > 3);
    assert!(files.iter().map(|file| replay(file)).sum::<u64>() > 0);
}

/// The facts of one kind in the text beside a recording: their numbers.
fn facts(text: &str, kind: &str) -> Vec<Vec<u64>> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(kind));
    lines
        .map(|line| {
            line.split_whitespace()
                .map(|it| it.parse().unwrap())
                .collect()
        })
        .collect()
}

#[test]
fn beside_a_recording_stand_the_times_of_proposals_syncs_and_applying() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = support::options(1, 1);
    options.recorder = Some(RecorderOptions::new(dir.path()));
    let transport = Network::new(1).transport(NodeId(1));
    let node = Node::start(options, MemoryStorage::new(), transport, Journal::default()).unwrap();
    let applied = wait_for("a command to be applied", || {
        node.execute("a", TIMEOUT).ok()
    });
    drop(node);
    let file = fs::read(&recordings(dir.path())[0]).unwrap();
    let mut recording = Recording::open(&file).unwrap();
    let mut proposed = None;
    while let Some(step) = recording.step().unwrap() {
        if let Input::Propose { id, .. } = step.event.input {
            proposed = Some((id, step.event.at));
        }
    }
    let (id, taken) = proposed.unwrap();
    let text = fs::read_to_string(&files(dir.path(), "rafttimes")[0]).unwrap();
    assert!(text.starts_with("raft-times 1\n"), "{text}");
    let given = facts(&text, "proposal ");
    assert!(
        given.iter().any(|it| it[0] == id.0 && it[1] <= taken.0),
        "{text}"
    );
    let applying = facts(&text, "apply ");
    let last = applying.last().unwrap();
    assert_eq!(last[0], applied.id.index.0, "{text}");
    assert!(taken.0 <= last[1] && last[1] <= last[2], "{text}");
    let syncs = facts(&text, "sync ");
    assert!(!syncs.is_empty(), "{text}");
    let is_sound = |it: &Vec<u64>| it[0] <= it[1] && it[2] <= it[3];
    assert!(syncs.iter().all(is_sound), "{text}");
}

#[test]
fn a_node_that_is_started_again_and_again_keeps_no_more_files_and_each_of_them_replays() {
    let dir = tempfile::tempdir().unwrap();
    let foreign = dir.path().join("mine.raftrec");
    fs::write(&foreign, "not a recording").unwrap();
    let (storage, network) = (MemoryStorage::new(), Network::new(1));
    let mut newest = 0;
    for round in 0..7 {
        let mut options = support::options(1, 1);
        options.recorder = Some(RecorderOptions {
            max_files: 3,
            ..RecorderOptions::new(dir.path())
        });
        let transport = network.transport(NodeId(1));
        let node = Node::start(options, storage.clone(), transport, Journal::default()).unwrap();
        for _ in 0..round {
            wait_for("a command to be applied", || {
                node.execute("a".repeat(100), TIMEOUT).ok()
            });
        }
        drop(node);
        let files = recordings(dir.path());
        let (foreign_files, files): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|file| *file == foreign);
        assert_eq!(foreign_files.len(), 1);
        assert!(files.len() <= 3, "{files:?}");
        let last = files.last().and_then(|file| number(file)).unwrap();
        assert!(last > newest, "{last} after {newest}");
        newest = last;
        assert!(files.iter().map(|file| replay(file)).sum::<u64>() > 0);
    }
}
