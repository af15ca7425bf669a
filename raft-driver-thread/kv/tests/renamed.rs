//! A member's address may be a name, and the name may come to stand for another address.
//!
//! It takes root and the command `unshare`, for a file of hosts of one's own; without them the test
//! says so, and is skipped.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/processes.rs"]
mod processes;

use processes::ports::free_ports;
use processes::{Running, done, get, leader, set, until};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Starts a server for which the file `hosts` of the folder is that of the system.
fn start(folder: &Path, node: u64) -> Running {
    let server = env!("CARGO_BIN_EXE_raft-kv");
    let script = format!(
        "mount --bind hosts /etc/hosts && exec {server} start --data {node} --protected-mode off"
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]);
    Running::spawn(command, folder)
}

#[test]
fn a_name_that_comes_to_stand_for_another_address_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let name_stands_for = |address: &str| {
        // The same file, which is mounted.
        let hosts = format!("127.0.0.1 localhost\n{address} two.raft-kv.test\n");
        fs::write(path.join("hosts"), hosts).unwrap();
    };
    name_stands_for("127.0.0.2");
    let mut probe = Command::new("unshare");
    probe.args(["--mount", "mount", "--bind", "hosts", "/etc/hosts"]);
    if !probe
        .current_dir(path)
        .output()
        .is_ok_and(|it| it.status.success())
    {
        eprintln!("skipped: it takes root and `unshare` to have a file of hosts of one's own");
        return;
    }
    let ports = free_ports(3);
    let founders = format!(
        "--founder 1=127.0.0.1:{} --founder 2=two.raft-kv.test:{} --founder 3=127.0.0.1:{}",
        ports[0], ports[1], ports[2]
    );
    for node in 1..=3 {
        let common = format!("--cluster 77 --clients 127.0.0.1:0 --protected-mode off {founders}");
        done(path, &format!("init --data {node} --id {node} {common}"));
    }
    let mut servers: Vec<_> = (1..=3).map(|node| start(path, node)).collect();
    leader(&servers);
    set(&mut servers[0].client(), "a", "1");
    drop(servers.remove(1));
    name_stands_for("127.0.0.3");
    let second = start(path, 2);
    // Now one and two are the majority: nothing is written unless they reach each other.
    drop(servers.remove(1));
    let mut first = servers[0].client();
    until("a write that two has", || {
        let reply = first.call(&[b"SET", b"a", b"2"]).ok()?;
        (reply == raft_kv::state::Reply::Ok).then_some(())
    });
    assert_eq!(get(&mut second.client(), "a").as_deref(), Some("2"));
    let listens = fs::read_to_string("/proc/net/tcp").unwrap();
    let at = |host: u8| format!("{host:02X}00007F:{:04X} 00000000:0000", ports[1]);
    assert!(
        listens.contains(&at(3)) && !listens.contains(&at(2)),
        "{listens}"
    );
}
