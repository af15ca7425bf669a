//! Processes of raft-kv for tests: commands that end, and servers that run until they are dropped.
#![allow(dead_code, unreachable_pub)] // Each test file uses its part.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use raft_kv::client::{Access, Client};
use raft_kv::state::Reply;
use raft_kv::status::NodeStatus;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub const LIMIT: Duration = Duration::from_secs(60);

pub fn command(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_raft-kv"));
    command.args(arguments.split_whitespace());
    command
        .env_remove("RAFT_KV_PASSWORD")
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
    child: Child,
    pub clients: Vec<String>,
    /// What it prints afterwards.
    rest: Option<JoinHandle<Vec<String>>>,
}

impl Running {
    /// Starts a process, which logs to `log`. Returns once it has printed `marks` addresses for
    /// clients, each in a line that begins with `mark`.
    fn start(folder: &Path, arguments: &str, log: &str, mark: &str, marks: usize) -> Running {
        let mut command = command(arguments);
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
                .unwrap_or_else(|| panic!("{arguments}: {}", fs::read_to_string(&log).unwrap()))
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
        Running::server_with_log(folder, arguments, "log")
    }

    pub fn server_with_log(folder: &Path, arguments: &str, log: &str) -> Running {
        Running::start(folder, arguments, log, "clients ", 1)
    }

    pub fn demo(folder: &Path, arguments: &str) -> Running {
        Running::start(folder, arguments, "log", "node ", 3)
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

pub fn status(server: &Running) -> Option<NodeStatus> {
    server.client().status().ok()
}
