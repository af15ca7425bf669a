//! Three servers in three network namespaces, on a network that loses packets without a word.
//!
//! It takes root and the command `ip`; without them the test says so, and is skipped.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/processes.rs"]
mod processes;

use processes::{Running, done, until};
use raft_kv::client::Access;
use raft_kv::state::Reply;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::os::fd::AsFd;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// How long the network is cut. TCP alone sends again up to 12 s after the cut, and then only 25 s
/// after it.
const CUT: Duration = Duration::from_secs(14);

/// Less than from the end of the cut until TCP alone sends again.
const SOON: Duration = Duration::from_secs(10);

/// A bridge in a namespace of its own, and a namespace for each server.
struct Network {
    prefix: String,
}

fn ip(arguments: &str) -> std::io::Result<Output> {
    Command::new("ip")
        .args(arguments.split_whitespace())
        .output()
}

fn require(arguments: &str) {
    let output = ip(arguments).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {error}");
}

impl Network {
    /// `None` where this is not allowed.
    fn new() -> Option<Network> {
        let network = Network {
            prefix: format!("raft-kv-{}", std::process::id()),
        };
        let hub = network.hub();
        let made = ip(&format!("netns add {hub}")).is_ok_and(|output| output.status.success());
        let bridge = format!("-n {hub} link add hub type bridge");
        if !made || !ip(&bridge).is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: it takes root and `ip` to make network namespaces");
            return None;
        }
        require(&format!("-n {hub} addr add 10.77.0.254/24 dev hub"));
        require(&format!("-n {hub} link set hub up"));
        for node in 1..=3 {
            let own = network.of(node);
            require(&format!("netns add {own}"));
            require(&format!(
                "-n {hub} link add v{node} type veth peer name eth0 netns {own}"
            ));
            require(&format!("-n {hub} link set v{node} up"));
            require(&format!("-n {own} addr add 10.77.0.{node}/24 dev eth0"));
            require(&format!("-n {own} link set eth0 up"));
            require(&format!("-n {own} link set lo up"));
            network.heal(node);
        }
        Some(network)
    }

    fn hub(&self) -> String {
        format!("{}-hub", self.prefix)
    }

    fn of(&self, node: u64) -> String {
        format!("{}-{node}", self.prefix)
    }

    /// From now on all packets from and to this server vanish.
    fn cut(&self, node: u64) {
        require(&format!("-n {} link set v{node} nomaster", self.hub()));
    }

    fn heal(&self, node: u64) {
        require(&format!("-n {} link set v{node} master hub", self.hub()));
    }

    /// Moves this thread to the bridge.
    fn enter(&self) {
        let hub = File::open(format!("/run/netns/{}", self.hub())).unwrap();
        move_into_link_name_space(hub.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // Those that were not made need not be removed.
        for name in [self.hub(), self.of(1), self.of(2), self.of(3)] {
            let _ = ip(&format!("netns del {name}"));
        }
    }
}

/// One attempt at this server, which may be cut off.
fn set(node: u64, value: &str) -> Option<()> {
    let mut access = Access::new();
    access.timeout = Duration::from_secs(1);
    let mut client = access.connect(&format!("10.77.0.{node}:6379")).ok()?;
    let reply = client.call(&[b"SET", b"a", value.as_bytes()]).ok()?;
    (reply == Reply::Ok).then_some(())
}

fn servers(network: &Network, folder: &std::path::Path) -> Vec<Running> {
    let founders: String = (1..=3)
        .map(|node| format!(" --founder {node}=10.77.0.{node}:7001"))
        .collect();
    let start = |node| {
        let common = "--cluster 77 --protected-mode off --request-timeout 1s";
        let clients = format!("--clients 10.77.0.{node}:6379");
        done(
            folder,
            &format!("init --data {node} --id {node} {common} {clients} {founders}"),
        );
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &network.of(node)]);
        command.args([env!("CARGO_BIN_EXE_raft-kv"), "start", "--data"]);
        command.arg(node.to_string());
        Running::spawn(command, folder)
    };
    (1..=3).map(start).collect()
}

#[test]
fn after_packets_vanished_for_long_servers_find_each_other_at_once() {
    let Some(network) = Network::new() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let _servers = servers(&network, folder.path());
    network.enter();
    until("a write", || (1..=3).find_map(|node| set(node, "before")));
    // All are cut off from each other; then only one follower, or the leader, from the others.
    for cut in [&[1, 2, 3][..], &[2]] {
        for node in cut {
            network.cut(*node);
        }
        // The cut has to last: what is measured is what comes after it.
        std::thread::sleep(CUT);
        let healed = Instant::now();
        for node in cut {
            network.heal(*node);
        }
        for node in 1..=3 {
            until("a write through each server", || set(node, "after"));
        }
        let took = healed.elapsed();
        assert!(
            took < SOON,
            "{cut:?}: {took:?} after the network was whole again"
        );
    }
}
