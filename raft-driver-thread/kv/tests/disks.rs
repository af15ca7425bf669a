//! Disks that are lost, made anew, replaced or mixed up, on servers that run as processes.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use raft_kv::status::NodeStatus;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

#[path = "support/processes.rs"]
mod processes;

use processes::ports::free_ports;
use processes::{Running, done, get, refused, set, status, until, until_ok};

/// Servers 1 to 3. The data directory of each is named by its number, and its log `log-<number>`.
struct Cluster {
    folder: tempfile::TempDir,
    ports: Vec<u16>,
    servers: BTreeMap<u64, Running>,
}

impl Cluster {
    /// Likewise. A server is not taken for lost because it is silent for some seconds, on a busy
    /// machine.
    fn found_patient() -> Cluster {
        Cluster::found_with(" --election-timeout 4s")
    }

    /// Nothing is made yet.
    fn prepare() -> Cluster {
        Cluster {
            folder: tempfile::tempdir().unwrap(),
            ports: free_ports(3),
            servers: BTreeMap::new(),
        }
    }

    /// All three run, and each knows the founding entry.
    fn found() -> Cluster {
        Cluster::found_with("")
    }

    fn found_with(options: &str) -> Cluster {
        let mut cluster = Cluster::prepare();
        for node in 1..=3 {
            cluster.init_with(node, 1..=3, options);
            cluster.start(node);
        }
        for node in 1..=3 {
            cluster.until(node, "the cluster is founded", |seen| {
                seen.applied_index > 0 && seen.members.iter().all(|it| it.incarnation.is_some())
            });
        }
        cluster
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn peers(&self, node: u64) -> String {
        format!("127.0.0.1:{}", self.ports[node as usize - 1])
    }

    fn init(&self, node: u64, founders: impl IntoIterator<Item = u64>) {
        self.init_with(node, founders, "");
    }

    fn init_with(&self, node: u64, founders: impl IntoIterator<Item = u64>, options: &str) {
        let founders = founders.into_iter();
        let founders: String = founders
            .map(|node| format!(" --founder {node}={}", self.peers(node)))
            .collect();
        let init = format!("init --data {node} --id {node} --cluster 77 --clients 127.0.0.1:0");
        done(self.path(), &format!("{init}{founders}{options}"));
    }

    fn start(&mut self, node: u64) {
        let (start, log) = (format!("start --data {node}"), format!("log-{node}"));
        let server = Running::server_with_log(self.path(), &start, &log);
        self.servers.insert(node, server);
    }

    fn kill(&mut self, node: u64) {
        self.servers.remove(&node).expect("it runs");
    }

    fn kill_all(&mut self) {
        self.servers.clear();
    }

    /// The disk of a stopped server is lost; what it held is kept aside, for the test alone.
    fn lose(&self, node: u64) {
        let (data, aside) = (node.to_string(), format!("{node}-old"));
        fs::rename(self.path().join(data), self.path().join(aside)).unwrap();
    }

    /// The lost disk comes back in the place of the new one.
    fn find_again(&self, node: u64) {
        let (data, aside) = (node.to_string(), format!("{node}-old"));
        fs::remove_dir_all(self.path().join(&data)).unwrap();
        fs::rename(self.path().join(aside), self.path().join(data)).unwrap();
    }

    fn until(&self, node: u64, what: &str, holds: impl Fn(&NodeStatus) -> bool) -> NodeStatus {
        until(what, || status(&self.servers[&node]).filter(&holds))
    }

    fn leader(&self) -> u64 {
        until("a leader", || {
            let mut seen = self.servers.values().filter_map(status);
            let leader = seen.find(|it| it.role == "leader")?;
            Some(leader.node)
        })
    }

    fn set(&self, node: u64, key: &str, value: &str) {
        set(&mut self.servers[&node].client(), key, value);
    }

    fn get(&self, node: u64, key: &str) -> Option<String> {
        get(&mut self.servers[&node].client(), key)
    }

    /// What `raft-kv status` prints, asked at this server.
    fn shown(&self, node: u64) -> String {
        let server = self.servers[&node].address();
        done(self.path(), &format!("status --server {server}"))
    }

    /// Waits until it contains all of these. What the server knows of others may be late.
    fn until_shown(&self, node: u64, parts: &[&str]) {
        until_ok("status says so", || {
            let shown = self.shown(node);
            let missing = parts.iter().find(|part| !shown.contains(**part));
            match missing {
                None => Ok(()),
                Some(part) => Err(format!("no {part:?} in {shown}")),
            }
        });
    }

    fn until_logged(&self, node: u64, part: &str) {
        until(&format!("n{node} logs {part:?}"), || {
            let log = fs::read_to_string(self.path().join(format!("log-{node}"))).unwrap();
            log.contains(part).then_some(())
        });
    }

    /// Arguments that let a new server join under this number.
    fn join(&self, node: u64, data: &str, port: u16, at: u64) -> String {
        let server = self.servers[&at].address();
        let addresses = format!("--clients 127.0.0.1:0 --peers 127.0.0.1:{port}");
        format!("join --data {data} --id {node} {addresses} --server {server}")
    }
}

fn incarnation(status: &NodeStatus, node: u64) -> Option<String> {
    let mut members = status.members.iter();
    members.find(|it| it.node == node)?.incarnation.clone()
}

/// The incarnation of the server's own disk.
fn own_incarnation(server: &Running) -> Option<String> {
    until("its status", || status(server)).disks.incarnation
}

fn is_voter(status: &NodeStatus, node: u64) -> bool {
    let mut members = status.members.iter();
    members.any(|it| it.node == node && it.role == "voter")
}

/// The foreign disks that this server knows of, by their numbers.
fn foreign(status: &NodeStatus) -> Vec<u64> {
    status.disks.foreign.iter().map(|disk| disk.node).collect()
}

/// The other two of the three.
fn others(node: u64) -> [u64; 2] {
    let mut others = (1..=3).filter(|it| *it != node);
    [others.next().unwrap(), others.next().unwrap()]
}

#[test]
fn a_founding_waits_for_all_founders_and_status_names_those_that_are_missing() {
    let mut cluster = Cluster::prepare();
    (1..=3).for_each(|node| cluster.init(node, 1..=3));
    (1..=2).for_each(|node| cluster.start(node));
    cluster.until(1, "only the third is missing", |seen| {
        assert_eq!(seen.leader, None);
        seen.disks.missing_founders == [3]
    });
    cluster.until_logged(1, "no word from node 3");
    cluster.until_shown(1, &["not founded yet: no word from node 3"]);
    cluster.start(3);
    cluster.set(1, "a", "1");
    cluster.until(1, "it is founded", |seen| {
        seen.warnings().is_empty() && seen.disks.missing_founders.is_empty()
    });
}

/// The worst order: those start first that do not have the last write, and with the vote of the
/// empty disk they would be a majority.
#[test]
fn a_founder_made_anew_does_not_vote_and_nothing_acknowledged_is_lost() {
    let mut cluster = Cluster::found();
    let keeper = cluster.leader();
    let [lost, behind] = others(keeper);
    cluster.kill(behind);
    cluster.set(keeper, "acknowledged", "1");
    cluster.kill_all();
    cluster.lose(lost);
    cluster.init(lost, 1..=3);
    cluster.start(behind);
    cluster.start(lost);
    for node in [lost, behind] {
        cluster.until(node, "both know", |seen| {
            assert_eq!(seen.leader, None, "n{}", seen.node);
            seen.disks.replaced_by.is_some() || foreign(seen) == [lost]
        });
    }
    let says = format!("node {lost} does not count");
    cluster.until_shown(lost, &[&says, "replaced"]);
    cluster.until_logged(lost, &says);
    cluster.until_logged(behind, &format!("node {lost} speaks with the disk"));
    cluster.start(keeper);
    for node in [keeper, behind] {
        assert_eq!(cluster.get(node, "acknowledged").as_deref(), Some("1"));
    }
    let help = format!("raft-kv join --id {lost}");
    cluster.until_shown(behind, &["does not count", &help]);
    assert_ne!(cluster.leader(), lost);
}

#[test]
fn two_of_three_made_anew_elect_nobody_and_the_survivor_keeps_its_data() {
    let mut cluster = Cluster::found();
    let survivor = cluster.leader();
    let anew = others(survivor);
    cluster.set(survivor, "acknowledged", "1");
    cluster.kill_all();
    let inspect = format!("inspect --data {survivor} --json");
    let before: serde_json::Value = serde_json::from_str(&done(cluster.path(), &inspect)).unwrap();
    for node in anew {
        cluster.lose(node);
        cluster.init(node, 1..=3);
        cluster.start(node);
    }
    for node in anew {
        cluster.until(node, "the survivor is missing", |seen| {
            assert_eq!(seen.leader, None, "n{}", seen.node);
            seen.disks.missing_founders == [survivor]
        });
    }
    cluster.start(survivor);
    cluster.until(survivor, "it has met both", |seen| {
        assert_eq!(seen.leader, None);
        foreign(seen).len() == 2
    });
    for node in anew {
        cluster.until(node, "it has been told", |seen| {
            assert_eq!(seen.leader, None, "n{}", seen.node);
            seen.role == "replaced" && seen.last_index == 0
        });
    }
    for part in [
        "There are two ways out",
        "old disks",
        "recover --force-new-cluster",
    ] {
        cluster.until_shown(survivor, &[part]);
        cluster.until_logged(survivor, part);
    }
    cluster.kill_all();
    let after: serde_json::Value = serde_json::from_str(&done(cluster.path(), &inspect)).unwrap();
    for field in ["first", "last", "entries", "payload_bytes", "problems"] {
        assert_eq!(after["log"][field], before["log"][field], "{field}");
    }
    // The old disks come back.
    for node in anew {
        cluster.find_again(node);
    }
    (1..=3).for_each(|node| cluster.start(node));
    assert_eq!(cluster.get(survivor, "acknowledged").as_deref(), Some("1"));
    // A leader does not know at once which releases the others have, and warns of it.
    cluster.until(survivor, "all is well", |seen| {
        seen.leader.is_some() && seen.warnings().is_empty()
    });
}

#[test]
fn a_number_used_again_after_it_left_belongs_to_the_new_disk_alone() {
    let mut cluster = Cluster::found();
    let leader = cluster.leader();
    let [gone, other] = others(leader);
    let first = incarnation(&status(&cluster.servers[&leader]).unwrap(), gone);
    let server = cluster.servers[&leader].address().to_owned();
    // It does not learn that it was removed.
    cluster.kill(gone);
    done(
        cluster.path(),
        &format!("leave --id {gone} --server {server}"),
    );
    cluster.set(leader, "a", "1");
    let port = cluster.ports[gone as usize - 1];
    let join = cluster.join(gone, "again", port, leader);
    let again = Running::joined(cluster.path(), &join);
    let seen = cluster.until(other, "it votes", |seen| is_voter(seen, gone));
    let second = incarnation(&seen, gone);
    assert!(
        second.is_some() && second != first,
        "{second:?} after {first:?}"
    );
    assert_eq!(second, own_incarnation(&again));
    assert_eq!(get(&mut again.client(), "a").as_deref(), Some("1"));
    drop(again);
    // The old disk has the old configuration in its log, in which it is a voter.
    cluster.start(gone);
    cluster.until(gone, "it knows", |seen| seen.disks.replaced_by == second);
    let says = format!("node {gone} speaks with the disk");
    until("status says so", || {
        cluster.shown(other).contains(&says).then_some(())
    });
    cluster.until(gone, "it is replaced", |seen| seen.role == "replaced");
    cluster.kill(gone);
    let again = Running::server(cluster.path(), "start --data again");
    assert_eq!(get(&mut again.client(), "a").as_deref(), Some("1"));
}

/// Its number is free, so that its address stands in no configuration. All others were restarted.
#[test]
fn a_removed_server_whose_address_nobody_knows_any_more_learns_that_it_was_removed() {
    let mut cluster = Cluster::found();
    let leader = cluster.leader();
    let [gone, other] = others(leader);
    cluster.kill(gone);
    let server = cluster.servers[&leader].address().to_owned();
    done(
        cluster.path(),
        &format!("leave --id {gone} --server {server}"),
    );
    for node in [leader, other] {
        cluster.kill(node);
    }
    for node in [leader, other] {
        cluster.start(node);
    }
    cluster.leader();
    cluster.start(gone);
    cluster.until(gone, "it knows", |seen| seen.role == "removed");
    cluster.until_logged(gone, "the cluster has removed this node");
    let says = format!("node {gone} was removed from the cluster");
    cluster.until_shown(gone, &[&says]);
}

#[test]
fn founders_with_different_lists_refuse_each_other_by_name() {
    let mut cluster = Cluster::prepare();
    cluster.init(1, 1..=2);
    cluster.init(2, 1..=3);
    (1..=2).for_each(|node| cluster.start(node));
    for (node, other) in [(1, 2), (2, 1)] {
        cluster.until(node, "the other is named", |seen| {
            assert_eq!(seen.leader, None);
            seen.disks.other_founders == [other]
        });
        let says = format!("nodes {node} and {other} were given different lists of founders");
        cluster.until_logged(node, &says);
        cluster.until_shown(node, &[&says]);
    }
}

#[test]
fn a_lost_disk_is_replaced_by_one_command() {
    let mut cluster = Cluster::found_patient();
    let leader = cluster.leader();
    let [lost, other] = others(leader);
    cluster.set(leader, "a", "1");
    let join = cluster.join(lost, "new", free_ports(1)[0], leader);
    // It is well.
    refused(cluster.path(), &join, "and is well");
    let first = incarnation(&status(&cluster.servers[&leader]).unwrap(), lost);
    assert!(first.is_some());
    cluster.kill(lost);
    let new = Running::joined(cluster.path(), &join);
    let second = own_incarnation(&new);
    assert_ne!(second, first);
    cluster.until(other, "it votes", |seen| {
        is_voter(seen, lost) && incarnation(seen, lost) == second
    });
    assert_eq!(get(&mut new.client(), "a").as_deref(), Some("1"));
    // What was wrong is over.
    until_ok("no warning", || {
        let shown = cluster.shown(leader);
        let warns = shown.contains("warning");
        if warns { Err(shown) } else { Ok(()) }
    });
    // Its vote counts: the others are one of three.
    cluster.kill(other);
    cluster.set(leader, "b", "2");
    assert_eq!(get(&mut new.client(), "b").as_deref(), Some("2"));
    // The old disk does not count any more, and says nothing that the leader heeds.
    cluster.start(lost);
    until("the one that leads to notice the old one", || {
        let mut seen = [&cluster.servers[&leader], &new]
            .into_iter()
            .filter_map(status);
        let leads = |seen: &NodeStatus| seen.role == "leader";
        seen.find(|seen| leads(seen) && foreign(seen) == [lost])
    });
    cluster.until_shown(leader, &["stop the other server"]);
    // It learns it itself, though the others reach its number at the address of the new disk.
    cluster.until(lost, "it knows", |seen| seen.disks.replaced_by == second);
    cluster.until(lost, "it is replaced", |seen| seen.role == "replaced");
    assert_eq!(get(&mut new.client(), "b").as_deref(), Some("2"));
}

#[test]
fn a_disk_that_is_well_is_replaced_only_if_that_is_asked_for_by_name() {
    let cluster = Cluster::found_patient();
    let leader = cluster.leader();
    cluster.set(leader, "a", "1");
    let [_, other] = others(leader);
    // The leader's own disk: it hands leadership over first.
    let join = cluster.join(leader, "new", free_ports(1)[0], other);
    refused(cluster.path(), &join, "and is well");
    let join = format!("{join} --replace");
    let new = Running::joined(cluster.path(), &join);
    let own = own_incarnation(&new);
    cluster.until(other, "it votes", |seen| {
        is_voter(seen, leader) && incarnation(seen, leader) == own && seen.leader.is_some()
    });
    assert_eq!(get(&mut new.client(), "a").as_deref(), Some("1"));
}
