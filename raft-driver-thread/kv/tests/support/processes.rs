//! Servers as processes, and the command line beside them.
#![allow(dead_code, unreachable_pub)] // Each test file uses its part.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "ports.rs"]
pub mod ports;

use ports::free_ports;
use raft_kv::client::{Access, Client};
use raft_kv::state::Reply;
use raft_kv::status::NodeStatus;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a test waits for anything before it fails.
pub const LIMIT: Duration = Duration::from_secs(60);

pub fn command(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_raft-kv"));
    command.args(arguments.split_whitespace());
    command
        .env_remove("RAFT_KV_PASSWORD")
        .env_remove("RAFT_KV_ADMIN_PASSWORD")
        .env_remove("RAFT_KV_LOG");
    command
}

pub fn raft_kv(folder: &Path, arguments: &str) -> Output {
    command(arguments).current_dir(folder).output().unwrap()
}

pub fn done(folder: &Path, arguments: &str) -> String {
    let output = raft_kv(folder, arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{arguments}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

pub fn refused(folder: &Path, arguments: &str, part: &str) {
    let output = raft_kv(folder, arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments}: {error}");
    assert!(error.contains(part), "{arguments}: {error}");
}

/// Waits until `ask` returns something.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    while begun.elapsed() < LIMIT {
        if let Some(said) = ask() {
            return said;
        }
        std::thread::yield_now();
    }
    panic!("not in time: {what}");
}

/// A process that runs until it is dropped.
pub struct Running {
    pub child: Child,
    pub clients: Vec<String>,
    /// What it prints afterwards.
    rest: Option<JoinHandle<Vec<String>>>,
}

impl Running {
    /// Starts a process. Returns once it has printed `marks` addresses for clients, each in a line
    /// that begins with `mark`.
    pub fn start(folder: &Path, arguments: &str, mark: &str, marks: usize) -> Running {
        Running::spawn(command(arguments), folder, mark, marks)
    }

    /// Likewise, for any command.
    pub fn spawn(command: Command, folder: &Path, mark: &str, marks: usize) -> Running {
        Running::spawn_with_log(command, folder, "log", mark, marks)
    }

    /// Likewise; it logs to the file `log` of the folder.
    fn spawn_with_log(
        mut command: Command,
        folder: &Path,
        log: &str,
        mark: &str,
        marks: usize,
    ) -> Running {
        command.current_dir(folder).stdout(Stdio::piped());
        let log = folder.join(log);
        let to_log = fs::File::options().create(true).append(true).open(&log);
        command.stderr(to_log.unwrap());
        let mut child = command.spawn().unwrap();
        let mut clients = Vec::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while clients.len() < marks {
            let line = lines
                .next()
                .unwrap_or_else(|| panic!("{command:?}: {}", fs::read_to_string(&log).unwrap()))
                .unwrap();
            if line.trim_start().starts_with(mark) {
                let address = line.split_whitespace().find(|word| word.contains(':'));
                clients.push(address.unwrap().to_owned());
            }
        }
        // Without a reader the process would end when it prints.
        let rest = std::thread::spawn(move || lines.map_while(Result::ok).collect());
        Running {
            child,
            clients,
            rest: Some(rest),
        }
    }

    pub fn server(folder: &Path, arguments: &str) -> Running {
        Running::start(folder, arguments, "clients ", 1)
    }

    pub fn server_with_log(folder: &Path, arguments: &str, log: &str) -> Running {
        Running::spawn_with_log(command(arguments), folder, log, "clients ", 1)
    }

    pub fn demo(folder: &Path, arguments: &str) -> Running {
        Running::start(folder, arguments, "node ", 3)
    }

    pub fn address(&self) -> &str {
        &self.clients[0]
    }

    pub fn client(&self) -> Client {
        Access::new().connect(self.address()).unwrap()
    }

    /// Sends SIGTERM. Returns the exit code.
    pub fn stop(self) -> Option<i32> {
        self.stop_and_read().0
    }

    /// Likewise; returns also what it printed since it was started.
    pub fn stop_and_read(mut self) -> (Option<i32>, Vec<String>) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(sent.success());
        let code = self.child.wait().unwrap().code();
        (code, self.rest.take().unwrap().join().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn set(client: &mut Client, key: &str, value: &str) {
    until("a write", || {
        let said = client.call(&[b"SET", key.as_bytes(), value.as_bytes()]);
        (said.ok()? == Reply::Ok).then_some(())
    });
}

pub fn get(client: &mut Client, key: &str) -> Option<String> {
    let said = until("a read", || client.bulk(&[b"GET", key.as_bytes()]).ok());
    said.map(|value| String::from_utf8(value.to_vec()).unwrap())
}

/// Three servers of a cluster, whose ports for clients the system chooses.
pub struct Cluster {
    pub folder: tempfile::TempDir,
    pub servers: Vec<Running>,
}

impl Cluster {
    pub fn found(more: &str) -> Cluster {
        Cluster::found_with(more, |path, node| {
            Running::server(path, &format!("start --data {node}"))
        })
    }

    /// Likewise; `start` starts each of them.
    pub fn found_with(more: &str, start: impl Fn(&Path, u64) -> Running) -> Cluster {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let founders: String = (1..)
            .zip(free_ports(3))
            .map(|(node, port)| format!(" --founder {node}=127.0.0.1:{port}"))
            .collect();
        for node in 1..=3 {
            let common = format!("--cluster 77 --clients 127.0.0.1:0 {founders} {more}");
            done(path, &format!("init --data {node} --id {node} {common}"));
        }
        Cluster {
            servers: (1..=3).map(|node| start(path, node)).collect(),
            folder,
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

pub fn statuses(folder: &Path, server: &str) -> Vec<serde_json::Value> {
    let said = done(folder, &format!("status --json --server {server}"));
    serde_json::from_str(&said).unwrap()
}

pub fn status(server: &Running) -> Option<NodeStatus> {
    server.client().status().ok()
}

pub fn leader(servers: &[Running]) -> u64 {
    until("a leader", || {
        servers.iter().find_map(|it| status(it)?.leader)
    })
}
