//! Disks that are damaged while their servers are stopped: the other servers send what is lost.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use raft_kv::status::NodeStatus;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

#[path = "support/processes.rs"]
mod processes;

use processes::ports::free_ports;
use processes::{Running, done, get, raft_kv, set, status, until, until_ok};

/// Servers 1 to 3. The data directory of each is named by its number, and its log `log-<number>`.
struct Cluster {
    folder: tempfile::TempDir,
    servers: BTreeMap<u64, Running>,
}

impl Cluster {
    /// Servers that all have these keys, with values as long as that, each in an entry of its own.
    fn with_keys(count: usize, value_bytes: usize) -> Cluster {
        until("a cluster with one leader all the time", || {
            Cluster::try_with_keys(count, value_bytes)
        })
    }

    /// `None` if another leader was elected meanwhile: then an entry may be in the log twice, and in
    /// a log's file there may be entries that never were committed.
    fn try_with_keys(count: usize, value_bytes: usize) -> Option<Cluster> {
        let mut cluster = Cluster {
            folder: tempfile::tempdir().unwrap(),
            servers: BTreeMap::new(),
        };
        let ports = free_ports(3);
        let founders: String = (1..=3)
            .map(|node| format!(" --founder {node}=127.0.0.1:{}", ports[node - 1]))
            .collect();
        for node in 1..=3 {
            let init = format!(
                "init --data {node} --id {node} --cluster 77 --clients 127.0.0.1:0 \
                 --election-timeout 1500ms"
            );
            done(cluster.folder.path(), &format!("{init}{founders}"));
            cluster.start(node);
        }
        let begun = cluster.status(1, |seen| seen.leader.is_some());
        let mut client = cluster.servers[&1].client();
        for key in 0..count {
            set(&mut client, &key.to_string(), &"v".repeat(value_bytes));
        }
        for node in 1..=3 {
            cluster.catch_up(node, count);
        }
        let terms = (1..=3).map(|node| cluster.status(node, |_| true).term);
        { terms }.all(|term| term == begun.term).then_some(cluster)
    }

    /// Waits until this server has applied all keys.
    fn catch_up(&self, node: u64, count: usize) {
        let last = (count - 1).to_string();
        get(&mut self.servers[&node].client(), &last).expect("the last key");
    }

    fn start(&mut self, node: u64) {
        self.start_with(node, "");
    }

    fn start_with(&mut self, node: u64, more: &str) {
        let (start, log) = (format!("start --data {node}{more}"), format!("log-{node}"));
        let server = Running::server_with_log(self.folder.path(), &start, &log);
        self.servers.insert(node, server);
    }

    /// Starts all servers at once: a server whose disk is damaged waits for the others.
    fn start_all(&mut self) {
        let folder = self.folder.path();
        let started: Vec<(u64, Running)> = std::thread::scope(|scope| {
            let starts = (1..=3).map(|node| {
                let (start, log) = (format!("start --data {node}"), format!("log-{node}"));
                let run = move || (node, Running::server_with_log(folder, &start, &log));
                scope.spawn(run)
            });
            let starts: Vec<_> = starts.collect();
            let started = starts.into_iter().map(|it| it.join().unwrap());
            started.collect()
        });
        self.servers.extend(started);
    }

    fn stop(&mut self, node: u64) {
        self.servers.remove(&node).expect("it runs").stop();
    }

    fn raft(&self, node: u64) -> PathBuf {
        self.folder.path().join(node.to_string()).join("raft")
    }

    fn status(&self, node: u64, holds: impl Fn(&NodeStatus) -> bool) -> NodeStatus {
        until("a status", || status(&self.servers[&node]).filter(&holds))
    }

    fn log(&self, node: u64) -> String {
        fs::read_to_string(self.folder.path().join(format!("log-{node}"))).unwrap()
    }

    /// Each server has all keys, and nothing is damaged.
    fn assert_whole(mut self, count: usize, value_bytes: usize) {
        for node in 1..=3 {
            let mut client = self.servers[&node].client();
            for key in 0..count {
                let value = get(&mut client, &key.to_string());
                assert_eq!(
                    value.map(|value| value.len()),
                    Some(value_bytes),
                    "n{node} {key}"
                );
            }
        }
        for node in 1..=3 {
            self.stop(node);
            assert_eq!(self.problems(node), 0, "n{node}");
        }
    }

    /// How much is damaged in the log of a stopped server.
    fn problems(&self, node: u64) -> usize {
        // By a process, which locks the folder, and ends: a lock of this process may be held on by
        // one that another test starts just then.
        let inspect = format!("inspect --data {node} --json");
        let shown = raft_kv(self.folder.path(), &inspect).stdout;
        let shown: serde_json::Value = serde_json::from_slice(&shown).unwrap();
        shown["log"]["problems"].as_array().unwrap().len()
    }

    /// Waits until a server that was damaged is well again. Right after an election a leader does not
    /// know yet which releases the others have, and warns of it.
    fn until_well(&self, node: u64) -> NodeStatus {
        self.status(node, |seen| {
            seen.disks.lost.is_none() && seen.leader.is_some() && seen.warnings().is_empty()
        })
    }
}

/// Flips a bit of the file.
fn flip(path: &Path, at: u64) {
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 4], at).unwrap();
}

fn flip_a_value(log: &Path) {
    flip_values(log, &[0]);
}

/// Flips a bit in each of these values, as they come in the newest segment.
fn flip_values(log: &Path, numbers: &[usize]) {
    let mut segments: Vec<PathBuf> = fs::read_dir(log)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "log"))
        .collect();
    segments.sort();
    let segment = segments.last().unwrap();
    let bytes = fs::read(segment).unwrap();
    let value = [b'v'; 64];
    let mut places = Vec::new();
    let mut next = 0;
    for (at, part) in bytes.windows(64).enumerate() {
        if at >= next && part == value {
            places.push(at as u64 + 32);
            next = at + 100;
        }
    }
    for number in numbers {
        flip(segment, places[*number]);
    }
}

/// The names and the bytes of the files in this folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(|file| {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read(path).unwrap())
    });
    files.collect()
}

/// Damages servers that have these keys, each in these values, and starts all of them at once.
fn damaged_at_once(count: usize, places: &[(u64, &[usize])]) -> Cluster {
    let mut cluster = Cluster::with_keys(count, 100);
    for node in 1..=3 {
        cluster.stop(node);
    }
    for (node, numbers) in places {
        flip_values(&cluster.raft(*node).join("log"), numbers);
        assert!(cluster.problems(*node) > 0);
    }
    cluster.start_all();
    for node in 1..=3 {
        let seen = cluster.until_well(node);
        let damaged = places.iter().find(|place| place.0 == node);
        let lost = damaged.map_or(0, |(_, numbers)| numbers.len() as u64);
        assert_eq!(seen.disks.mended, lost, "n{node}");
        let log = cluster.log(node);
        assert_eq!(
            log.contains("all that was lost was fetched"),
            lost > 0,
            "{log}"
        );
    }
    cluster
}

#[test]
fn two_servers_that_were_damaged_in_different_places_at_once_are_mended() {
    damaged_at_once(50, &[(1, &[5, 6, 30]), (2, &[12])]).assert_whole(50, 100);
}

#[test]
fn three_servers_that_were_damaged_in_different_places_at_once_are_mended_without_a_leader() {
    damaged_at_once(50, &[(1, &[5, 40]), (2, &[12]), (3, &[0, 20, 49])]).assert_whole(50, 100);
}

#[test]
fn a_bit_that_flips_in_a_log_is_mended_from_the_other_servers() {
    let mut cluster = Cluster::with_keys(50, 100);
    for node in [2, 3] {
        cluster.stop(node);
        flip_a_value(&cluster.raft(node).join("log"));
        assert!(cluster.problems(node) > 0);
        cluster.start(node);
        cluster.until_well(node);
        let log = cluster.log(node);
        assert!(log.contains("the log is damaged"), "{log}");
        assert!(log.contains("all that was lost was fetched"), "{log}");
        assert!(cluster.raft(node).join("damaged").is_dir());
    }
    cluster.assert_whole(50, 100);
}

#[test]
fn a_snapshot_that_decayed_is_fetched_anew() {
    let mut cluster = Cluster::with_keys(50, 100);
    cluster.stop(2);
    cluster.start(2);
    // A snapshot is made only of what was applied.
    cluster.catch_up(2, 50);
    let server = cluster.servers[&2].address().to_owned();
    done(
        cluster.folder.path(),
        &format!("snapshot --server {server}"),
    );
    cluster.status(2, |seen| seen.snapshot_index > 0);
    cluster.stop(2);
    let snapshots = fs::read_dir(cluster.raft(2).join("snapshots")).unwrap();
    let mut paths = snapshots.map(|it| it.unwrap().path());
    let is_snapshot = |path: &PathBuf| path.extension().is_some_and(|it| it == "snapshot");
    let snapshot = paths.find(is_snapshot).unwrap();
    flip(&snapshot, 100);
    cluster.start(2);
    let log = cluster.log(2);
    assert!(log.contains("the log is damaged"), "{log}");
    cluster.status(2, |seen| seen.disks.lost.is_none() && seen.leader.is_some());
    cluster.assert_whole(50, 100);
}

#[test]
fn a_snapshot_that_decays_under_a_running_server_is_told_of_and_replaced() {
    let mut cluster = Cluster::with_keys(50, 100);
    cluster.stop(2);
    cluster.start_with(2, " --scrub-interval 10ms");
    cluster.catch_up(2, 50);
    // Alone it applies nothing more, and so has nothing of which it could make another snapshot.
    cluster.stop(1);
    cluster.stop(3);
    let server = cluster.servers[&2].address().to_owned();
    let old = until("a snapshot of all that was applied", || {
        let snapshot = format!("snapshot --server {server}");
        done(cluster.folder.path(), &snapshot);
        let seen = status(&cluster.servers[&2])?;
        (seen.snapshot_index == seen.applied_index).then_some(seen)
    });
    let snapshots = fs::read_dir(cluster.raft(2).join("snapshots")).unwrap();
    let mut paths: Vec<_> = snapshots.map(|it| it.unwrap().path()).collect();
    paths.retain(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(&format!("{}-", old.snapshot_index)) && name.ends_with(".snapshot")
    });
    flip(&paths[0], 100);
    let seen = cluster.status(2, |seen| !seen.disks.decayed.is_empty());
    let warnings = seen.warnings().join("\n");
    assert!(warnings.contains("the disk of node 2 decays"), "{warnings}");
    // The log says it a moment after the status.
    until_ok("the log says it, too", || {
        let log = cluster.log(2);
        let says = log.contains("a snapshot has decayed on the disk");
        if says { Ok(()) } else { Err(log) }
    });
    cluster.start(1);
    cluster.start(3);
    cluster.status(2, |seen| seen.leader.is_some());
    set(&mut cluster.servers[&2].client(), "0", &"v".repeat(100));
    cluster.status(2, |seen| {
        seen.snapshot_index > old.snapshot_index && seen.disks.decayed.is_empty()
    });
    cluster.assert_whole(50, 100);
}

#[test]
fn servers_that_have_all_lost_the_same_elect_nobody_and_say_why() {
    let mut cluster = Cluster::with_keys(20, 100);
    for node in 1..=3 {
        cluster.stop(node);
        flip_a_value(&cluster.raft(node).join("log"));
    }
    let before: Vec<_> = (1..=3)
        .map(|node| files(&cluster.raft(node).join("log")))
        .collect();
    cluster.start_all();
    for node in 1..=3 {
        let seen = cluster.status(node, |seen| seen.disks.lost.is_some());
        assert_eq!(seen.leader, None);
        let warnings = seen.warnings().join("\n");
        assert!(warnings.contains("put backups in place"), "{warnings}");
        assert!(cluster.log(node).contains("no peer has entry"));
        let aside = files(&cluster.raft(node).join("damaged"));
        assert_eq!(
            aside.keys().collect::<Vec<_>>(),
            before[node as usize - 1].keys().collect::<Vec<_>>()
        );
        assert!(
            aside == before[node as usize - 1],
            "n{node}: each file as it was"
        );
    }
}
