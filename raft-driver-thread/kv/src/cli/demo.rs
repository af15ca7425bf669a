//! `raft-kv demo`: a cluster of three servers in one process.

use super::failure::Failure;
use super::init;
use super::logging::Logging;
use super::serve::stop_signal;
use crate::client::Access;
use crate::data_dir::{DataDir, DataDirError, write_new};
use crate::server::Server;
use crate::settings::{Founder, Identity, Settings};
use clap::Args;
use raft_driver_thread::StopReason;
use serde::{Deserialize, Serialize};
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How many servers there are.
const SERVERS: u64 = 3;
/// The default port of Redis' clients.
const PORT: u16 = 6379;
/// The file that holds the ports of a demo.
const FILE: &str = "demo.toml";
/// How long to wait for a leader before the ports are shown without one.
const LEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long all servers together have to stop. Without a limit, a disk that hangs could hold them
/// up forever.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// `raft-kv demo`.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// The directory for the data of all three servers; data that it holds is used again [default:
    /// a temporary directory]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The first server's port for clients; the others have the next two [default: 6379 if these
    /// three ports are free, else any]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..=65_533))]
    port: Option<u16>,
}

/// The cluster and its ports, so that a later demo can continue with its data.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    cluster: u64,
    clients: Vec<u16>,
    peers: Vec<u16>,
}

/// A server, and the lock on its data directory, which is dropped after it.
struct Running {
    server: Server,
    _data_dir: DataDir,
}

pub(super) fn run(arguments: &DemoArgs, logging: &Logging) -> Result<(), Failure> {
    // Dropped last: then the directory is deleted.
    let temporary;
    let data = match &arguments.data {
        Some(data) => data.as_path(),
        None => {
            let made = tempfile::Builder::new().prefix("raft-kv-demo.").tempdir();
            temporary = made.map_err(|error| Failure::io("make a temporary directory", &error))?;
            temporary.path()
        }
    };
    fs::create_dir_all(data).map_err(|error| Failure::io(data.display(), &error))?;
    let remembered = remember(data, arguments.port)?;
    logging.expect_disconnections();
    let servers = (1..=SERVERS).map(|node| start(data, &remembered, node));
    let servers: Vec<_> = servers.collect::<Result<_, _>>()?;
    let leader = leader(&servers);
    logging.report_disconnections();
    let explain = || explain(&servers, leader, arguments.data.as_deref());
    let stopped = wait(&servers, explain)?;
    logging.expect_disconnections();
    println!("stopping the servers, one after the other");
    let ended = stop(servers);
    match stopped {
        Some((node, reason)) => Err(Failure::new(format!("server {node} stopped: {reason}"))),
        None => ended,
    }
}

/// The ports of the last demo with this directory, else new ones.
fn remember(data: &Path, port: Option<u16>) -> Result<Remembered, Failure> {
    let path = data.join(FILE);
    let mut remembered = match fs::read_to_string(&path) {
        Ok(text) => toml::from_str(&text).map_err(|error| {
            let path = path.display();
            Failure::new(format!("{path} is damaged: {error}; name another --data"))
        })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let new = Remembered {
                cluster: init::draw()?,
                clients: clients(port)?,
                peers: any(SERVERS)?,
            };
            let text = toml::to_string(&new).map_err(|error| Failure::new(error.to_string()))?;
            let written = write_new(data, FILE, &text);
            written.map_err(|error| Failure::io(path.display(), &error))?;
            new
        }
        Err(error) => return Err(Failure::io(path.display(), &error)),
    };
    if let Some(port) = port {
        remembered.clients = (port..).take(SERVERS as usize).collect();
    }
    let complete = |ports: &[u16]| ports.len() as u64 == SERVERS;
    if complete(&remembered.clients) && complete(&remembered.peers) {
        return Ok(remembered);
    }
    let path = path.display();
    Err(Failure::new(format!(
        "{path} does not name three ports of each kind; name another --data"
    )))
}

/// The ports for clients.
fn clients(port: Option<u16>) -> Result<Vec<u16>, Failure> {
    let from = |port: u16| (port..).take(SERVERS as usize).collect::<Vec<_>>();
    if let Some(port) = port {
        return Ok(from(port));
    }
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    if from(PORT).iter().all(is_free) {
        Ok(from(PORT))
    } else {
        any(SERVERS)
    }
}

/// Free ports. Another process could take one before its server listens; then the start fails with
/// an error.
fn any(count: u64) -> Result<Vec<u16>, Failure> {
    let failed = |error| Failure::io("find a free port", &error);
    let bind = |_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed);
    // All at once, so that they differ.
    let listeners: Vec<_> = (0..count).map(bind).collect::<Result<_, _>>()?;
    let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
    let ports = listeners
        .iter()
        .map(|listener| port(listener).map_err(failed));
    ports.collect()
}

fn start(data: &Path, remembered: &Remembered, node: u64) -> Result<Running, Failure> {
    let address = |port: &u16| format!("127.0.0.1:{port}");
    let founders = remembered.peers.iter().zip(1..);
    let founders: Vec<_> = founders
        .map(|(port, node)| Founder {
            node,
            peers: address(port),
        })
        .collect();
    let at = node as usize - 1; // The servers are numbered from 1 to 3.
    let mut settings = Settings::new(data.join(node.to_string()));
    let ports = remembered.clients.get(at).zip(remembered.peers.get(at));
    let (clients, peers) = ports.ok_or_else(|| Failure::new("a port is missing"))?;
    (settings.clients, settings.peers) = (address(clients), address(peers));
    let identity = Identity {
        cluster: remembered.cluster,
        node,
        founders,
    };
    let data_dir = match DataDir::open(&settings.data) {
        Ok(data_dir) => data_dir,
        Err(DataDirError::NotADataDir { .. }) => DataDir::create(&settings.data, &identity)?,
        Err(error) => return Err(error.into()),
    };
    let found = data_dir.identity();
    found.require(&settings.data, Some(identity.cluster), Some(node))?;
    Ok(Running {
        server: Server::start(settings, identity)?,
        _data_dir: data_dir,
    })
}

/// The leader, once there is one.
fn leader(servers: &[Running]) -> Option<u64> {
    let begun = Instant::now();
    while begun.elapsed() < LEADER_TIMEOUT {
        for running in servers {
            let address = running.server.clients_address().to_string();
            let status = Access::new()
                .connect(&address)
                .and_then(|mut it| it.status());
            if let Some(leader) = status.ok().and_then(|status| status.leader) {
                return Some(leader);
            }
        }
        thread::sleep(Duration::from_millis(20));
    }
    None
}

fn explain(servers: &[Running], leader: Option<u64>, data: Option<&Path>) {
    println!("Three servers are running, each with a directory of its own:");
    println!();
    for (Running { server, .. }, node) in servers.iter().zip(1..) {
        let leads = if leader == Some(node) { "  leads" } else { "" };
        println!("  node {node}  {}{leads}", server.clients_address());
    }
    println!();
    let mut ports = servers.iter().map(|it| it.server.clients_address().port());
    if let (Some(first), Some(second)) = (ports.next(), ports.next()) {
        println!("Try, in another shell:");
        println!();
        println!("  redis-cli -p {first} SET greeting hello");
        println!(
            "  redis-cli -p {second} GET greeting         # every server returns the latest value"
        );
        println!("  redis-cli -p {first} SET soon gone PX 2000");
        println!("  redis-cli -p {second} INFO raft");
        println!("  redis-benchmark -p {first} -t set,get,incr,mset -n 100000 -c 64 -P 16");
        println!("  raft-kv status --server 127.0.0.1:{first}");
        println!("  raft-kv transfer --server 127.0.0.1:{first}");
        println!();
    }
    match data {
        Some(data) => println!(
            "Ctrl-C stops them; raft-kv demo --data {} continues with the data.",
            data.display()
        ),
        None => println!("Ctrl-C stops them and deletes the data; --data DIR keeps it."),
    }
}

/// Calls `begun`, and waits for Ctrl-C, SIGTERM, or a server that stops by itself, which is
/// returned. A signal that arrives while `begun` runs is not lost.
fn wait(servers: &[Running], begun: impl FnOnce()) -> Result<Option<(u64, StopReason)>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::io("wait for signals", &error))?;
    let (end, ended) = watch::channel(false);
    let until_the_end = || {
        let mut ended = ended.clone();
        async move {
            // The sender lives as long as anything waits here.
            let _ = ended.wait_for(|ended| *ended).await;
        }
    };
    let wait = |running: &Running, node: u64| {
        let reason = running.server.wait(until_the_end());
        end.send_replace(true);
        reason.map(|reason| (node, reason))
    };
    let wait = &wait;
    let reasons = thread::scope(|scope| {
        let servers = servers.iter().zip(1..);
        let waiting = servers.map(|(running, node)| scope.spawn(move || wait(running, node)));
        let waiting: Vec<_> = waiting.collect();
        runtime.block_on(async {
            let begin = async {
                begun();
                until_the_end().await;
            };
            tokio::select! {
                biased; // The signals first.
                () = stop_signal() => {}
                () = begin => {}
            }
        });
        end.send_replace(true);
        // None of them panics.
        let reasons = waiting.into_iter().filter_map(|thread| thread.join().ok());
        reasons.collect::<Vec<_>>()
    });
    Ok(reasons.into_iter().flatten().next())
}

/// Stops the servers one after the other. Those that have not stopped in time end with the process.
fn stop(servers: Vec<Running>) -> Result<(), Failure> {
    let count = servers.len() as u64;
    let (done, stopped) = mpsc::channel();
    let one_by_one = move || {
        for (running, node) in servers.into_iter().zip(1_u64..) {
            let Running {
                server,
                _data_dir: lock,
            } = running;
            server.stop();
            drop(lock);
            // If this fails, the time was over.
            let _ = done.send(node);
        }
    };
    let thread = thread::Builder::new().spawn(one_by_one);
    thread.map_err(|error| Failure::io("start a thread that stops the servers", &error))?;
    let deadline = Instant::now() + STOP_TIMEOUT;
    for expected in 1..=count {
        let left = deadline.saturating_duration_since(Instant::now());
        match stopped.recv_timeout(left) {
            Ok(node) => println!("node {node} has stopped"),
            Err(_) => {
                let limit = humantime::format_duration(STOP_TIMEOUT);
                let what = format!("node {expected} did not stop within {limit}: it is killed");
                return Err(Failure::new(what));
            }
        }
    }
    Ok(())
}
