//! A rolling upgrade of three servers under load: from the release of level 0 to this one, back as
//! long as that is allowed, and no further.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    missing_docs
)]

#[path = "../examples/torture/model.rs"]
#[allow(dead_code)] // Only some operations are used.
mod model;
#[path = "support/processes.rs"]
mod processes;

use model::{Input, Output, Store};
use processes::ports::free_ports;
use processes::{Running, done, raft_kv, status, until};
use raft_kv::client::{Access, Client};
use raft_kv::state::Reply;
use raft_sim::linearizability::{History, Operation, Verdict, check_within};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const OLDER: &str = "--release-level 0";
const NEWER: &str = "";

struct Cluster {
    folder: tempfile::TempDir,
    clients: Vec<String>,
    servers: Vec<Option<Running>>,
}

impl Cluster {
    fn found() -> Cluster {
        let folder = tempfile::tempdir().unwrap();
        let ports = free_ports(6);
        let address = |at: usize| format!("127.0.0.1:{}", ports[at]);
        let founders: String = (1..=3)
            .map(|node| format!(" --founder {node}={}", address(node - 1)))
            .collect();
        for node in 1..=3 {
            let clients = address(node + 2);
            let init = format!("init --data {node} --id {node} --cluster 77 --clients {clients}");
            done(folder.path(), &format!("{init}{founders}"));
        }
        let mut cluster = Cluster {
            clients: (3..6).map(address).collect(),
            servers: vec![None, None, None],
            folder,
        };
        for node in 1..=3 {
            cluster.start(node, OLDER);
        }
        cluster
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn start(&mut self, node: usize, release: &str) {
        let (start, log) = (
            format!("start --data {node} {release}"),
            format!("log-{node}"),
        );
        let server = Running::server_with_log(self.path(), &start, &log);
        self.servers[node - 1] = Some(server);
    }

    fn stop(&mut self, node: usize) {
        let server = self.servers[node - 1].take().unwrap();
        assert_eq!(server.stop(), Some(0));
    }

    /// Stops a server and starts it with another release, while clients go on.
    fn restart(&mut self, node: usize, release: &str, load: &Load) {
        self.stop(node);
        load.goes_on();
        self.start(node, release);
        load.goes_on();
    }

    fn server(&self, node: usize) -> &Running {
        self.servers[node - 1].as_ref().unwrap()
    }

    fn client(&self, node: usize) -> Client {
        Access::new().connect(&self.clients[node - 1]).unwrap()
    }

    /// The level in force, once all servers agree about it.
    fn until_level(&self, level: u32) {
        for node in 1..=3 {
            until(&format!("n{node} is at level {level}"), || {
                status(self.server(node)).filter(|seen| seen.levels.in_force == level)
            });
        }
    }

    /// One of these that leads hands leadership over, sooner or later. A leader of the older release
    /// wants no more than it reads.
    fn keep_leadership_from(&self, nodes: &[u64]) {
        let leads = |node: &u64| {
            let seen = status(self.server(*node as usize));
            seen.is_some_and(|it| it.role == "leader")
        };
        if let Some(node) = nodes.iter().copied().find(leads) {
            let mut client = self.client(node as usize);
            let _ = client.call(&[b"RAFT", b"TRANSFER", b"1"]);
        }
    }

    fn leader_says(&self, held_back_by: &[u64]) {
        until(&format!("held back by {held_back_by:?}"), || {
            self.keep_leadership_from(held_back_by);
            let mut seen = (1..=3).filter_map(|node| status(self.server(node)));
            seen.find(|it| it.role == "leader" && it.levels.held_back_by == held_back_by)
        });
    }
}

/// Clients that count, set and read, and note all that they see.
struct Load {
    is_over: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Vec<Operation<Store>>>>,
}

impl Load {
    fn begin(addresses: &[String]) -> Load {
        let is_over = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicU64::new(0));
        let begun = Instant::now();
        let thread = |id: u64| {
            let mut client = LoadClient {
                id,
                addresses: addresses.to_vec(),
                begun,
                is_over: is_over.clone(),
                acknowledged: acknowledged.clone(),
                history: Vec::new(),
            };
            std::thread::spawn(move || {
                client.run();
                client.history
            })
        };
        Load {
            threads: (0..4).map(thread).collect(),
            is_over,
            acknowledged,
        }
    }

    /// Some more requests are answered.
    fn goes_on(&self) {
        let wanted = self.acknowledged.load(Ordering::Relaxed) + 50;
        until("the clients' requests are answered", || {
            (self.acknowledged.load(Ordering::Relaxed) >= wanted).then_some(())
        });
    }

    fn end(self) -> History<Store> {
        self.is_over.store(true, Ordering::Relaxed);
        let threads = self.threads.into_iter();
        threads.flat_map(|thread| thread.join().unwrap()).collect()
    }
}

struct LoadClient {
    id: u64,
    addresses: Vec<String>,
    begun: Instant,
    is_over: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    history: Vec<Operation<Store>>,
}

impl LoadClient {
    fn now(&self) -> u64 {
        self.begun.elapsed().as_nanos() as u64
    }

    fn run(&mut self) {
        // A client whose request failed is another one from then on: that one may still be done.
        let (mut count, mut incarnation) = (0_u64, self.id);
        let access = Access {
            timeout: Duration::from_secs(5),
            ..Access::new()
        };
        while !self.is_over.load(Ordering::Relaxed) {
            let at = (count + self.id) as usize % self.addresses.len();
            let Ok(mut client) = access.connect(&self.addresses[at]) else {
                count += 1;
                continue;
            };
            while !self.is_over.load(Ordering::Relaxed) {
                count += 1;
                let invoked = self.now();
                let key = format!("k{}", count % 3);
                let input = match count % 4 {
                    0 => Input::Get,
                    1 | 2 => Input::Increment,
                    _ => Input::Set(self.id * 1_000_000 + count),
                };
                let output = request(&mut client, &key, &input);
                let is_done = output.is_some();
                self.history.push(Operation {
                    client: incarnation,
                    key,
                    invoked,
                    returned: is_done.then(|| self.now()),
                    input,
                    output,
                });
                if !is_done {
                    incarnation += 4;
                    break;
                }
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// `None`: it is not known whether it was done.
fn request(client: &mut Client, key: &str, input: &Input) -> Option<Output> {
    let value = match input {
        Input::Set(value) => value.to_string(),
        _ => String::new(),
    };
    let words: &[&[u8]] = match input {
        Input::Get => &[b"GET", key.as_bytes()],
        Input::Increment => &[b"INCR", key.as_bytes()],
        _ => &[b"SET", key.as_bytes(), value.as_bytes()],
    };
    match client.call(words).ok()? {
        Reply::Ok => Some(Output::Done),
        Reply::Integer(number) => Some(Output::Number(Some(number as u64))),
        Reply::Bulk(bytes) => {
            let number = std::str::from_utf8(&bytes).unwrap().parse().unwrap();
            Some(Output::Number(Some(number)))
        }
        Reply::Nil => Some(Output::Number(None)),
        reply => panic!("{input:?} was answered {reply:?}"),
    }
}

/// GETDEL, which came with level 1, is refused by every server.
fn newer_command_is_refused(cluster: &Cluster) {
    for node in 1..=3 {
        let error = cluster.client(node).call(&[b"GETDEL", b"x"]).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("needs release level 1, and the cluster is at 0"),
            "{error}"
        );
    }
}

#[test]
fn a_rolling_upgrade_under_load_loses_nothing_and_raises_the_level_with_the_last_server() {
    let mut cluster = Cluster::found();
    let load = Load::begin(&cluster.clients);
    load.goes_on();
    cluster.until_level(0);
    newer_command_is_refused(&cluster);
    for node in [3, 2] {
        cluster.restart(node, NEWER, &load);
        cluster.until_level(0);
        newer_command_is_refused(&cluster);
    }
    // One goes back, which is allowed as long as another one holds the level.
    cluster.restart(2, OLDER, &load);
    cluster.restart(2, NEWER, &load);
    newer_command_is_refused(&cluster);
    cluster.restart(1, NEWER, &load);
    cluster.until_level(1);
    load.goes_on();
    cluster.leader_says(&[]);
    let mut client = cluster.client(2);
    until("a write", || client.call(&[b"SET", b"x", b"y"]).ok());
    assert_eq!(
        client.call(&[b"GETDEL", b"x"]).unwrap(),
        Reply::Bulk("y".into())
    );
    assert_eq!(client.call(&[b"GET", b"x"]).unwrap(), Reply::Nil);

    // There is no way back.
    cluster.stop(2);
    load.goes_on();
    let refused = raft_kv(cluster.path(), &format!("start --data 2 {OLDER}"));
    assert_eq!(refused.status.code(), Some(1));
    let error = String::from_utf8(refused.stderr).unwrap();
    let part =
        "the storage is at level 0.1, and this node reads 0.0: start a release that reads it";
    assert!(error.contains(part), "{error}");
    cluster.start(2, NEWER);
    cluster.until_level(1);
    load.goes_on();
    let history = load.end();
    assert!(history.operations().len() > 500);
    match check_within(&history, 10_000_000) {
        Verdict::Linearizable => {}
        verdict => panic!("{verdict}"),
    }
    let logged = fs::read_to_string(cluster.path().join("log-2")).unwrap();
    assert!(!logged.contains("panicked"), "{logged}");
}

#[test]
fn the_status_names_the_servers_that_hold_the_level_back() {
    let mut cluster = Cluster::found();
    cluster.until_level(0);
    for node in [1, 2] {
        cluster.stop(node);
        cluster.start(node, NEWER);
    }
    cluster.leader_says(&[3]);
    // Whichever server leads, the level of each server is shown.
    let server = cluster.server(1).address();
    until("the warning", || {
        cluster.keep_leadership_from(&[3]);
        let shown = done(cluster.path(), &format!("status --server {server}"));
        let part = "the cluster is at release level 0 of 1, because of node 3: upgrade it";
        let levels = "release level 0 is in force, and rises when all members read more: \
                      node 1 reads 1, node 2 reads 1, node 3 reads 0";
        (shown.contains(part) && shown.contains(levels)).then_some(())
    });
}
