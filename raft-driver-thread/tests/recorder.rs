//! What a node records is what it does again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use raft_driver_thread::raft_proto::recording::{self, Recording};
use raft_driver_thread::raft_proto::{NodeId, Raft};
use raft_driver_thread::storage::MemoryStorage;
use raft_driver_thread::transport::channel::Network;
use raft_driver_thread::{Node, RecorderOptions};
use std::fs;
use std::path::{Path, PathBuf};
use support::{Journal, LIMIT, until};

fn recordings(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

/// Steps whose replay agrees; fails at one that does not.
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

#[test]
fn a_node_killed_and_started_again_replays_from_its_recordings() {
    let folder = tempfile::tempdir().unwrap();
    let (storage, network) = (MemoryStorage::new(), Network::new(1));
    for round in 0..2 {
        let mut options = support::options(1, 1);
        options.recorder = Some(RecorderOptions::new(folder.path()));
        let transport = network.transport(NodeId(1));
        let node = Node::start(options, storage.clone(), transport, Journal::default()).unwrap();
        until("a command applied", || node.execute("a", LIMIT).ok());
        drop(node);
        let files = recordings(folder.path());
        assert_eq!(files.len(), round + 1);
        assert!(replay(&files[round]) > 4, "an election and a command");
    }
}

#[test]
fn recordings_are_a_ring_of_files_each_of_which_replays() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = support::options(1, 1);
    options.recorder = Some(RecorderOptions {
        max_file_bytes: 1000,
        max_files: 3,
        ..RecorderOptions::new(folder.path())
    });
    let transport = Network::new(1).transport(NodeId(1));
    let node = Node::start(options, MemoryStorage::new(), transport, Journal::default()).unwrap();
    for _ in 0..50 {
        until("a command applied", || node.execute("a", LIMIT).ok());
    }
    drop(node);
    let files = recordings(folder.path());
    assert_eq!(files.len(), 3);
    assert!(
        files[0]
            .file_stem()
            .unwrap()
            .to_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
            > 3
    );
    assert!(files.iter().map(|file| replay(file)).sum::<u64>() > 0);
}
