//! Clients never take the last descriptors of a server, which its log needs.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/processes.rs"]
mod processes;

use processes::ports::free_ports;
use processes::{Cluster, Running, done, leader, set, until};
use raft_kv::state::Reply;
use std::io::Read;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

/// Starts a server that may have 1,024 descriptors, now and later.
fn start(folder: &Path, node: u64) -> Running {
    let server = env!("CARGO_BIN_EXE_raft-kv");
    let script = format!("ulimit -n 1024 && exec {server} start --data {node}");
    let mut command = Command::new("sh");
    command.args(["-c", &script]);
    Running::spawn(command, folder)
}

/// How many files and sockets a process has open.
fn open_descriptors(server: &Running) -> usize {
    let folder = format!("/proc/{}/fd", server.child.id());
    std::fs::read_dir(folder).unwrap().count()
}

#[test]
fn a_thousand_silent_clients_under_a_limit_of_1024_descriptors_stop_nobody_else() {
    if let Err(error) = raft_driver_thread::raise_open_files(2048) {
        eprintln!("skipped: {error}");
        return;
    }
    let cluster = Cluster::found_with("", start);
    let lead = &cluster.servers[leader(&cluster.servers) as usize - 1];
    let mut known = lead.client();
    set(&mut known, "a", "0");
    let silent: Vec<TcpStream> = (0..1000)
        .map(|_| TcpStream::connect(lead.address()).unwrap())
        .collect();
    // Those that are too many are told so, in any order.
    for stream in &silent {
        stream.set_nonblocking(true).unwrap();
    }
    until("a client that is told so", || {
        silent.iter().find_map(|mut stream| {
            let mut bytes = [0; 64];
            let length = stream.read(&mut bytes).ok()?;
            let text = String::from_utf8_lossy(&bytes[..length]);
            text.contains("max number of clients").then_some(())
        })
    });
    // And their connections are closed.
    until("descriptors that are left", || {
        (open_descriptors(lead) < 1024 - 256).then_some(())
    });
    for number in 1..=100 {
        let number = number.to_string();
        let reply = known.call(&[b"SET", b"a", number.as_bytes()]).unwrap();
        assert_eq!(reply, Reply::Ok);
        let read = known.bulk(&[b"GET", b"a"]).unwrap();
        assert_eq!(read.as_deref(), Some(number.as_bytes()));
    }
    // A snapshot needs files.
    let before = known.status().unwrap().snapshot_index;
    known.call(&[b"RAFT", b"SNAPSHOT"]).unwrap();
    until("a snapshot", || {
        let now = known.status().unwrap().snapshot_index;
        (now > before).then_some(())
    });
    drop(silent);
    // Places that were given back are free for others.
    until("another client", || {
        let mut client = raft_kv::client::Access::new()
            .connect(lead.address())
            .ok()?;
        client.call(&[b"PING"]).ok()
    });
}

#[test]
fn a_number_of_clients_that_was_asked_for_and_cannot_be_served_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let founder = format!("--founder 1=127.0.0.1:{}", free_ports(1)[0]);
    let init = format!("init --data 1 --id 1 --clients 127.0.0.1:0 {founder}");
    done(folder.path(), &init);
    let server = env!("CARGO_BIN_EXE_raft-kv");
    let script = format!("ulimit -n 1024 && exec {server} start --data 1 --max-connections 5000");
    let mut refused = Command::new("sh");
    refused.args(["-c", &script]).current_dir(folder.path());
    let output = refused.output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    for part in ["5256 open files", "1024", "--max-connections"] {
        assert!(error.contains(part), "no {part} in {error}");
    }
}
