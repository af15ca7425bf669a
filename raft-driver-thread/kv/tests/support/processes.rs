//! Servers as processes, and the command line beside them.
#![allow(dead_code, unreachable_pub)] // Each test file uses its part.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../../tests/support/ports.rs"]
pub mod ports;
#[path = "until.rs"]
mod until;

use ports::free_ports;
use raft_kv::client::{Access, Client};
use raft_kv::state::Reply;
use raft_kv::status::NodeStatus;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
#[allow(unused_imports)] // Each test file uses its part.
pub use until::{LIMIT, until, until_ok};

/// The command line. Requests may take longer than by default: on a busy machine an election takes
/// its time.
pub fn command(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_raft-kv"));
    command.args(arguments.split_whitespace());
    let name = arguments.split_whitespace().next();
    let serves = matches!(name, Some("init" | "join" | "restore"));
    let asks = matches!(
        name,
        Some("backup" | "join" | "leave" | "move" | "snapshot" | "status" | "transfer")
    );
    for (is_due, option, value) in [
        (serves, "--request-timeout", "30s"),
        (asks, "--timeout", "60s"),
    ] {
        if is_due && !arguments.contains(&format!("{option} ")) {
            command.args([option, value]);
        }
    }
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

/// Runs a command until it succeeds. For those that fail while there is no leader, or another one
/// just then, and that do no harm if they are repeated.
pub fn done_at_last(folder: &Path, arguments: &str) -> String {
    until_ok(arguments, || {
        let output = raft_kv(folder, arguments);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if output.status.code() == Some(0) {
            Ok(text(output.stdout))
        } else {
            Err(text(output.stderr))
        }
    })
}

pub fn refused(folder: &Path, arguments: &str, part: &str) {
    let output = raft_kv(folder, arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments}: {error}");
    assert!(error.contains(part), "{arguments}: {error}");
}

/// A process that runs until it is dropped.
pub struct Running {
    pub child: Child,
    pub clients: Vec<String>,
    /// What it prints afterwards.
    rest: Option<JoinHandle<Vec<String>>>,
}

/// What a process prints once it runs.
#[derive(Clone, Copy)]
struct Prints<'a> {
    /// So many lines with addresses for clients, which begin with `mark`.
    marks: usize,
    mark: &'a str,
    /// And then a line that contains this.
    last: &'a str,
}

const SERVER: Prints<'_> = Prints {
    marks: 1,
    mark: "clients ",
    last: "",
};

impl Running {
    /// Starts a server by any command, and returns once it has printed its address for clients.
    pub fn spawn(command: Command, folder: &Path) -> Running {
        started(Running::try_spawn(command, folder, "log", SERVER))
    }

    /// Starts a process that logs to the file `log` of the folder. If the process ends before it
    /// runs, returns what it logged.
    fn try_spawn(
        mut command: Command,
        folder: &Path,
        log: &str,
        prints: Prints<'_>,
    ) -> Result<Running, String> {
        command.current_dir(folder).stdout(Stdio::piped());
        let log = folder.join(log);
        let to_log = fs::File::options().create(true).append(true).open(&log);
        command.stderr(to_log.unwrap());
        let mut child = command.spawn().unwrap();
        let (mut clients, mut is_last) = (Vec::new(), prints.last.is_empty());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while clients.len() < prints.marks || !is_last {
            let Some(line) = lines.next() else {
                child.wait().unwrap();
                let log = fs::read_to_string(&log).unwrap();
                return Err(format!("{command:?}: {log}"));
            };
            let line = line.unwrap();
            is_last = is_last || line.contains(prints.last);
            if line.trim_start().starts_with(prints.mark) {
                let address = line.split_whitespace().find(|word| word.contains(':'));
                clients.push(address.unwrap().to_owned());
            }
        }
        // Without a reader the process would end when it prints.
        let rest = std::thread::spawn(move || lines.map_while(Result::ok).collect());
        Ok(Running {
            child,
            clients,
            rest: Some(rest),
        })
    }

    pub fn server(folder: &Path, arguments: &str) -> Running {
        Running::spawn(command(arguments), folder)
    }

    pub fn server_with_log(folder: &Path, arguments: &str, log: &str) -> Running {
        started(Running::try_spawn(command(arguments), folder, log, SERVER))
    }

    /// A server that joins, once it is a member. The leader may have to be asked again: it may hear
    /// the last words of a server that was killed, or nobody can take over from it just then.
    pub fn joined(folder: &Path, arguments: &str) -> Running {
        let prints = Prints {
            last: " is a member now",
            ..SERVER
        };
        until_ok("a server joins", || {
            Running::try_spawn(command(arguments), folder, "log", prints)
        })
    }

    /// The demo chooses free ports for its servers. Another program may take one before they listen
    /// there, or while they are down: then it is started again.
    pub fn demo(folder: &Path, arguments: &str) -> Running {
        let prints = Prints {
            marks: 3,
            mark: "node ",
            last: "",
        };
        until_ok("a demo runs", || {
            Running::try_spawn(command(arguments), folder, "log", prints)
        })
    }

    pub fn address(&self) -> &str {
        &self.clients[0]
    }

    pub fn client(&self) -> Client {
        client(self.address())
    }

    /// Sends this signal. A process that has printed its addresses handles it.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let signal = format!("-{name}");
        let sent = Command::new("kill").args([&signal, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// Sends SIGTERM. Returns the exit code.
    pub fn stop(self) -> Option<i32> {
        self.stop_and_read().0
    }

    /// Likewise; returns also what it printed since it was started.
    pub fn stop_and_read(mut self) -> (Option<i32>, Vec<String>) {
        self.signal("TERM");
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

fn started(process: Result<Running, String>) -> Running {
    process.unwrap_or_else(|error| panic!("{error}"))
}

/// A client that waits for longer than a server does.
pub fn client(address: &str) -> Client {
    let access = Access {
        timeout: LIMIT,
        ..Access::new()
    };
    access.connect(address).unwrap()
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

/// Three servers of a cluster, each at the same addresses whenever it runs.
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
        let ports = free_ports(6);
        let (clients, peers) = ports.split_at(3);
        let founders: String = (1..)
            .zip(peers)
            .map(|(node, port)| format!(" --founder {node}=127.0.0.1:{port}"))
            .collect();
        for (node, port) in (1..).zip(clients) {
            let common = format!("--cluster 77 --clients 127.0.0.1:{port} {founders} {more}");
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
