//! Setting servers up: what is wrong is refused, and what to do is said.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/processes.rs"]
mod processes;

use processes::ports::free_ports;
use processes::{Cluster, Running, command, done, raft_kv, set, until, until_ok};
use std::fs;
use std::path::Path;
use std::process::Stdio;

/// Runs a command that fails, and returns what it says.
fn fails(folder: &Path, arguments: &str) -> String {
    let output = raft_kv(folder, arguments);
    assert!(!output.status.success(), "{arguments} was accepted");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn an_address_for_clients_that_nobody_can_be_told_is_refused_by_init_and_start() {
    let folder = tempfile::tempdir().unwrap();
    let peers = free_ports(1)[0];
    let common = format!("--data one --id 1 --founder 1=127.0.0.1:{peers} --protected-mode off");
    let error = fails(folder.path(), &format!("init {common} --clients 0.0.0.0:0"));
    assert!(
        error.contains("write --advertise-clients host:port"),
        "{error}"
    );
    assert!(!folder.path().join("one").exists(), "nothing is made");
    done(
        folder.path(),
        &format!("init {common} --clients 127.0.0.1:0"),
    );
    let error = fails(folder.path(), "start --data one --clients 0.0.0.0:6379");
    assert!(
        error.contains("write --advertise-clients host:port"),
        "{error}"
    );
    let error = fails(
        folder.path(),
        "start --data one --protected-mode on --clients 10.0.0.1:1",
    );
    assert!(error.contains("without a password"), "{error}");
}

#[test]
fn a_port_that_is_taken_is_named_with_the_option_that_gives_it() {
    let folder = tempfile::tempdir().unwrap();
    let ports = free_ports(2);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap();
    let founder = format!("--founder 1=127.0.0.1:{}", ports[0]);
    done(
        folder.path(),
        &format!("init --data one --id 1 {founder} --clients 127.0.0.1:0"),
    );
    for option in ["--clients", "--peers", "--http"] {
        let error = fails(folder.path(), &format!("start --data one {option} {taken}"));
        assert!(error.contains(&format!("give another {option}")), "{error}");
        assert!(error.contains(&taken.to_string()), "{error}");
    }
}

/// Starts this server with an option, with which it ends by itself. Returns what it says.
fn ends(cluster: &Cluster, node: u64, option: &str) -> String {
    let start = format!("start --data {node} {option}");
    let log = option.replace(' ', "-");
    let mut server = Running::server_with_log(cluster.path(), &start, &log);
    let code = until("it ends", || {
        // One that leads has nobody to compare its settings with.
        let mut client = cluster.servers[0].client();
        if client.status().ok()?.leader == Some(node) {
            let _ = client.call(&[b"RAFT", b"TRANSFER"]);
        }
        server.child.try_wait().unwrap()
    });
    assert!(!code.success(), "{option} was accepted");
    fs::read_to_string(cluster.path().join(log)).unwrap()
}

#[test]
fn a_server_whose_settings_differ_from_the_leaders_does_not_run() {
    let mut cluster = Cluster::found("");
    set(&mut cluster.servers[0].client(), "a", "1");
    let leader = processes::leader(&cluster.servers);
    let other = (1..=3).find(|node| *node != leader).unwrap();
    let index = other as usize - 1;
    assert_eq!(cluster.servers.remove(index).stop(), Some(0));
    for (option, theirs) in [
        ("--election-timeout 700ms", "500ms"),
        ("--max-drift-ppm off", "500"),
        ("--max-value-bytes 2MiB", "1048576"),
        ("--max-transaction-bytes 8MiB", "4194304"),
    ] {
        let error = ends(&cluster, other, option);
        let name = option.split(' ').next().unwrap();
        assert!(
            error.contains(&format!("{name} is {theirs}")),
            "{option}: {error}"
        );
    }
    let again = Running::server(cluster.path(), &format!("start --data {other}"));
    set(&mut again.client(), "a", "2");
}

#[test]
fn a_server_that_is_started_while_the_one_before_still_ends_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let peers = free_ports(1)[0];
    let founder = format!("--founder 1=127.0.0.1:{peers} --clients 127.0.0.1:0");
    done(folder.path(), &format!("init --data one --id 1 {founder}"));
    // It waits for some seconds: on a busy machine the first one may need more.
    until_ok("a second server that waits, and runs", || {
        start_two(folder.path())
    });
}

/// Starts a server twice, and ends the first one while the second waits.
fn start_two(folder: &Path) -> Result<(), String> {
    let first = Running::server(folder, "start --data one");
    let log = fs::File::create(folder.join("second")).unwrap();
    let mut second = command("start --data one");
    second
        .current_dir(folder)
        .stderr(log)
        .stdout(Stdio::piped());
    let mut second = second.spawn().unwrap();
    // It is there, and has not given up.
    until("the second server to be waiting", || {
        if second.try_wait().unwrap().is_some() {
            return Some(());
        }
        let stat = fs::read_to_string(format!("/proc/{}/wchan", second.id())).ok()?;
        stat.contains("nanosleep").then_some(())
    });
    assert_eq!(first.stop(), Some(0));
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(second.stdout.take().unwrap()));
    let has_started = lines.any(|line| line.unwrap().starts_with("clients "));
    second.kill().unwrap();
    second.wait().unwrap();
    if has_started {
        Ok(())
    } else {
        Err(fs::read_to_string(folder.join("second")).unwrap())
    }
}
