//! A running node finds what has decayed on its disk, tells of it, and replaces what it can.
#![cfg(all(feature = "disk", feature = "metrics", unix))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use raft_driver_thread::raft_proto::{Index, NodeId};
use raft_driver_thread::storage::disk::files::System;
use raft_driver_thread::storage::disk::{DiskOptions, DiskStorage};
use raft_driver_thread::transport::channel::Network;
use raft_driver_thread::{Node, ScrubOptions, SnapshotPolicy};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use support::{Journal, TIMEOUT, wait_for};

/// As fast as it can, and again at once.
const RESTLESS: ScrubOptions = ScrubOptions {
    bytes_per_second: u64::MAX,
    pause: Duration::from_millis(1),
};

/// A node that makes no snapshot by itself, with four or more segments.
fn start(
    folder: &Path,
    scrub: ScrubOptions,
    trailing_entries: u64,
) -> (Node<Journal>, Snapshotter) {
    let mut options = support::options(1, 1);
    options.snapshots = SnapshotPolicy::ON_REQUEST;
    options.config.trailing_entries = trailing_entries;
    options.scrub = Some(scrub);
    let disk = DiskOptions {
        segment_bytes: DiskOptions::LEAST_SEGMENT_BYTES,
        ..DiskOptions::default()
    };
    let storage = DiskStorage::open_with(Arc::new(System), folder, disk).unwrap();
    let transport = Network::new(1).transport(NodeId(1));
    let recorder = DebuggingRecorder::new();
    let node = metrics::with_local_recorder(&recorder, || {
        Node::start(options, storage, transport, Journal::default()).unwrap()
    });
    wait_for("a first command", || node.execute("first", TIMEOUT).ok());
    for number in 0..20_u8 {
        node.execute(vec![number | 0x80; 500], TIMEOUT).unwrap();
    }
    (node, recorder.snapshotter())
}

/// Of the metrics, that are measured with this name.
fn measured(snapshotter: &Snapshotter, name: &str) -> DebugValue {
    let all = snapshotter.snapshot().into_vec().into_iter();
    let mut named = all.filter(|(key, ..)| key.key().name() == name);
    named.next().unwrap().3
}

fn files(folder: PathBuf) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

/// In place, as a disk does it.
fn flip_bit(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

/// The first segment's file, and where command 2 lies in it.
fn place(folder: &Path) -> (PathBuf, u64) {
    let path = files(folder.join("log")).remove(0);
    let bytes = fs::read(&path).unwrap();
    let at = bytes.windows(9).position(|it| *it == [0x82; 9]).unwrap();
    (path, at as u64)
}

#[test]
fn a_bit_that_flips_in_the_log_of_a_running_node_is_told_of_and_the_node_runs_on() {
    let folder = tempfile::tempdir().unwrap();
    let (node, measures) = start(folder.path(), RESTLESS, 1000);
    assert_eq!(node.decayed(), Vec::new());
    let (path, at) = place(folder.path());
    flip_bit(&path, at);
    let decayed = wait_for("the decay to be found", || node.decayed().pop());
    assert_eq!(decayed.path, path);
    // The first entries are the empty one, "first", and the commands 0 and 1.
    assert_eq!(decayed.entries, Some((Index(5), Index(5))));
    let (begin, length) = decayed.bytes.unwrap();
    assert!((begin..begin + length).contains(&at));
    wait_for("the decay to be measured", || {
        let files = measured(&measures, "raft_decayed_files");
        (files == DebugValue::Gauge(1.0.into())).then_some(())
    });
    wait_for("what was read to be measured", || {
        let read = measured(&measures, "raft_scrubbed_bytes_total");
        (read != DebugValue::Counter(0)).then_some(())
    });
    node.execute("it runs on", TIMEOUT).unwrap();
}

#[test]
fn the_part_of_the_log_that_has_decayed_is_replaced_by_a_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let (node, measures) = start(folder.path(), RESTLESS, 0);
    assert_eq!(node.status().unwrap().snapshot, None);
    let (path, at) = place(folder.path());
    flip_bit(&path, at);
    wait_for("a snapshot", || node.status().unwrap().snapshot);
    wait_for("the decay to be gone", || {
        let files = measured(&measures, "raft_decayed_files");
        let is_gone = node.decayed().is_empty() && !path.exists();
        (is_gone && files == DebugValue::Gauge(0.0.into())).then_some(())
    });
    node.kill();
    drop(node);
    DiskStorage::open(folder.path()).expect("the folder is whole");
}

#[test]
fn a_snapshot_that_decays_under_a_running_node_is_told_of_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (node, _) = start(folder.path(), RESTLESS, 1000);
    let snapshots = folder.path().join("snapshots");
    node.snapshot();
    let old = wait_for("a snapshot", || node.status().unwrap().snapshot);
    let mut paths = files(snapshots);
    paths.retain(|path| path.extension().is_some_and(|it| it == "snapshot"));
    let path = paths.remove(0);
    flip_bit(&path, 10);
    // Nothing was applied since: it cannot be replaced yet.
    let decayed = wait_for("the decay to be found", || node.decayed().pop());
    assert_eq!(decayed.path, path);
    node.execute("more", TIMEOUT).unwrap();
    wait_for("another snapshot", || {
        let snapshot = node.status().unwrap().snapshot?;
        (snapshot.last > old.last).then_some(())
    });
    wait_for("the decay to be gone", || {
        let is_gone = node.decayed().is_empty() && !path.exists();
        is_gone.then_some(())
    });
}

#[test]
fn a_node_that_waits_to_read_more_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    start(folder.path(), RESTLESS, 1000).0.kill();
    let slow = ScrubOptions::new(1);
    let (node, measures) = start(folder.path(), slow, 1000);
    node.kill();
    // For the first page alone it would have had to wait for more than an hour.
    let read = measured(&measures, "raft_scrubbed_bytes_total");
    assert_eq!(read, DebugValue::Counter(0));
}
