//! The servers: processes that are killed, paused and started again.

use crate::client::{command, request};
use crate::disk::SmallDisk;
use crate::network::{Network, Port};
use raft_kv::data_dir::DataDir;
use raft_kv::settings::{Founder, Identity};
use raft_kv::status::{MemberStatus, NodeStatus};
use redis_protocol::resp2::types::OwnedFrame;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// The id of the cluster.
const CLUSTER: u64 = 7;
/// How long a server waits for a leader; its clients wait longer for their replies.
const REQUEST_TIMEOUT: &str = "2s";
/// Small, so that snapshots are made and sent often.
const SNAPSHOT_EVERY: &str = "256KiB";
/// How long a request for a status may take.
const STATUS_TIMEOUT: Duration = Duration::from_millis(500);

/// All servers, by node id.
pub(crate) struct Servers {
    dir: PathBuf,
    /// The proxies between the servers, if there are any.
    network: Option<Network>,
    leases: Leases,
    all: BTreeMap<u64, Server>,
    ports: Ports,
    next: u64,
}

/// Whether leaders serve reads under a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leases {
    On,
    Off,
}

/// One server, whether it runs or not.
pub(crate) struct Server {
    pub(crate) clients: SocketAddr,
    peers: SocketAddr,
    /// The address that the others use: that of a proxy, if there are proxies.
    pub(crate) advertised_peers: SocketAddr,
    advertised_clients: SocketAddr,
    data: PathBuf,
    log: PathBuf,
    pub(crate) disk: Option<SmallDisk>,
    process: Option<Child>,
    pub(crate) is_paused: bool,
}

impl Servers {
    /// Makes so many servers, the founders of a cluster. They do not run yet.
    pub(crate) fn found(
        dir: &Path,
        count: u64,
        network: Option<Network>,
        leases: Leases,
    ) -> io::Result<Servers> {
        let mut servers = Servers {
            dir: dir.to_path_buf(),
            network,
            leases,
            all: BTreeMap::new(),
            ports: Ports::new(),
            next: 1,
        };
        for _ in 0..count {
            servers.plan()?;
        }
        let founder = |(id, server): (&u64, &Server)| Founder {
            node: *id,
            peers: server.advertised_peers.to_string(),
        };
        let founders: Vec<Founder> = servers.all.iter().map(founder).collect();
        for (id, server) in &servers.all {
            server.init(*id, founders.clone())?;
        }
        Ok(servers)
    }

    /// Makes one more server, which is no founder.
    pub(crate) fn add(&mut self) -> io::Result<u64> {
        let id = self.plan()?;
        if let Some(server) = self.all.get(&id) {
            server.init(id, Vec::new())?;
        }
        Ok(id)
    }

    /// Removes a server and its data.
    pub(crate) fn remove(&mut self, id: u64) -> io::Result<()> {
        self.kill(id)?;
        if let Some(server) = self.all.remove(&id) {
            let data = server.data.clone();
            drop(server);
            fs::remove_dir_all(data)?;
        }
        Ok(())
    }

    /// Chooses the ports and the data directory of the next server.
    fn plan(&mut self) -> io::Result<u64> {
        let id = self.next;
        self.next += 1;
        let (clients, peers) = (self.ports.next()?, self.ports.next()?);
        let (advertised_clients, advertised_peers) = match &self.network {
            None => (clients, peers),
            Some(network) => (
                network.put_proxy(id, Port::Clients, clients)?,
                network.put_proxy(id, Port::Peers, peers)?,
            ),
        };
        let data = self.dir.join(format!("server-{id}"));
        // Every second server: the others keep a real disk, with real sync times.
        let is_small = id.is_multiple_of(2) && self.network.is_some();
        let disk = is_small.then(|| SmallDisk::mount(&data)).flatten();
        let server = Server {
            clients,
            peers,
            advertised_peers,
            advertised_clients,
            log: self.dir.join(format!("server-{id}.log")),
            data,
            disk,
            process: None,
            is_paused: false,
        };
        self.all.insert(id, server);
        Ok(id)
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        self.all.keys().copied().collect()
    }

    /// The servers that run and are not paused.
    pub(crate) fn running(&self) -> Vec<u64> {
        let is_up = |server: &Server| server.process.is_some() && !server.is_paused;
        let up = self.all.iter().filter(|(_, server)| is_up(server));
        up.map(|(id, _)| *id).collect()
    }

    pub(crate) fn get(&self, id: u64) -> Option<&Server> {
        self.all.get(&id)
    }

    pub(crate) fn client_addresses(&self) -> Vec<SocketAddr> {
        self.all.values().map(|server| server.clients).collect()
    }

    pub(crate) fn start(&mut self, id: u64) -> io::Result<()> {
        let members = self.all.iter().filter(|(other, _)| **other != id);
        let members = members.map(|(id, server)| format!("{id}={}", server.advertised_peers));
        let members: Vec<String> = members.collect();
        match self.all.get_mut(&id) {
            Some(server) if server.process.is_none() => {
                server.start(&members.join(","), self.leases)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Sends SIGKILL. Returns whether the server ran.
    pub(crate) fn kill(&mut self, id: u64) -> io::Result<bool> {
        let Some(server) = self.all.get_mut(&id) else {
            return Ok(false);
        };
        server.is_paused = false;
        let Some(mut process) = server.process.take() else {
            return Ok(false);
        };
        process.kill()?;
        process.wait()?;
        Ok(true)
    }

    /// Sends SIGSTOP.
    pub(crate) fn pause(&mut self, id: u64) -> io::Result<()> {
        self.signal(id, Signal::STOP)
    }

    /// Sends SIGCONT.
    pub(crate) fn resume(&mut self, id: u64) -> io::Result<()> {
        self.signal(id, Signal::CONT)
    }

    fn signal(&mut self, id: u64, signal: Signal) -> io::Result<()> {
        if let Some(server) = self.all.get_mut(&id)
            && let Some(process) = &server.process
        {
            let id = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
            kill_process(id.ok_or(io::ErrorKind::InvalidData)?, signal)?;
            server.is_paused = signal == Signal::STOP;
        }
        Ok(())
    }

    /// Takes the servers that have ended by themselves, and their exit statuses.
    pub(crate) fn take_ended(&mut self) -> io::Result<Vec<(u64, ExitStatus)>> {
        let mut ended = Vec::new();
        for (id, server) in &mut self.all {
            if let Some(process) = &mut server.process
                && let Some(status) = process.try_wait()?
            {
                server.process = None;
                server.is_paused = false;
                ended.push((*id, status));
            }
        }
        Ok(ended)
    }

    /// The last lines of a server's log.
    pub(crate) fn log_tail(&self, id: u64) -> String {
        let log = self.all.get(&id).map(|server| fs::read(&server.log));
        let log = log.and_then(Result::ok).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }

    /// The statuses of all servers that reply.
    pub(crate) fn statuses(&self) -> Vec<NodeStatus> {
        let running = self.running().into_iter();
        let servers = running.filter_map(|id| self.all.get(&id));
        servers.filter_map(|it| status(it.clients)).collect()
    }

    /// The leader: of those that say that they lead, the one with the highest term.
    pub(crate) fn leader(&self) -> Option<NodeStatus> {
        let statuses = self.statuses().into_iter();
        let leaders = statuses.filter(|status| status.role == "leader");
        leaders.max_by_key(|status| status.term)
    }

    /// Sends a command to one running server after the other, until one executes it.
    pub(crate) fn command(&self, words: &[&str], timeout: Duration) -> io::Result<()> {
        let end = Instant::now() + timeout;
        let mut last = io::Error::other("no server runs");
        for id in self.running() {
            let left = end.saturating_duration_since(Instant::now());
            let Some(server) = self.all.get(&id).filter(|_| !left.is_zero()) else {
                break;
            };
            match command(server.clients, words, left) {
                Ok(_) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Copies the data from the small disks, which are gone when this process ends.
    pub(crate) fn keep(&self) -> io::Result<()> {
        for server in self.all.values().filter(|server| server.disk.is_some()) {
            copy(&server.data, &server.data.with_extension("kept"))?;
        }
        Ok(())
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for id in self.ids() {
            // If this fails, they end with this process (see `serve`).
            let _ = self.kill(id);
        }
    }
}

impl Server {
    /// Makes the data directory.
    fn init(&self, node: u64, founders: Vec<Founder>) -> io::Result<()> {
        let identity = Identity {
            cluster: CLUSTER,
            node,
            founders,
        };
        let made = DataDir::create(&self.data, &identity);
        made.map(drop).map_err(io::Error::other)
    }

    /// Starts the process. A server that joins has to be given the members.
    fn start(&mut self, members: &str, leases: Leases) -> io::Result<()> {
        let mut command = server_command()?;
        let flag = |name: &str, value: String| [format!("--{name}"), value];
        command.arg("start");
        command.args(flag("data", self.data.display().to_string()));
        command.args(flag("clients", self.clients.to_string()));
        command.args(flag(
            "advertise-clients",
            self.advertised_clients.to_string(),
        ));
        command.args(flag("peers", self.peers.to_string()));
        command.args(flag("members", members.into()));
        if leases == Leases::Off {
            command.args(flag("max-drift-ppm", "off".into()));
        }
        command.args(flag("request-timeout", REQUEST_TIMEOUT.into()));
        command.args(flag("snapshot-every-bytes", SNAPSHOT_EVERY.into()));
        command.stdout(self.log()?).stderr(self.log()?);
        self.process = Some(command.spawn()?);
        Ok(())
    }

    fn log(&self) -> io::Result<File> {
        File::options().create(true).append(true).open(&self.log)
    }
}

/// A status in one line.
pub(crate) fn describe(status: &NodeStatus) -> String {
    let member = |it: &MemberStatus| {
        let matched = it
            .match_index
            .map_or(String::new(), |index| format!(" up to {index}"));
        format!("{} {}{matched}", it.node, it.role)
    };
    let members: Vec<String> = status.members.iter().map(member).collect();
    format!(
        "server {}: {} in term {}, leader {:?}, log up to {}, committed {}, applied {}, members: {}",
        status.node,
        status.role,
        status.term,
        status.leader,
        status.last_index,
        status.commit_index,
        status.applied_index,
        members.join(", ")
    )
}

/// The status of a server.
pub(crate) fn status(clients: SocketAddr) -> Option<NodeStatus> {
    match request(clients, &["RAFT", "STATUS"], STATUS_TIMEOUT) {
        Ok(OwnedFrame::BulkString(json)) => serde_json::from_slice(&json).ok(),
        Ok(_) | Err(_) => None,
    }
}

/// This program, as a server.
fn server_command() -> io::Result<Command> {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(std::env::current_exe()?);
    // In a process group of its own, so that Ctrl-C reaches only the test.
    command.arg(crate::SERVE).process_group(0);
    Ok(command)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// Ports that nobody uses, below those that the system gives to outgoing connections.
struct Ports(u16);

impl Ports {
    fn new() -> Ports {
        let block = std::process::id() % 600;
        Ports(12_000 + block as u16 * 20)
    }

    fn next(&mut self) -> io::Result<SocketAddr> {
        loop {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.0));
            self.0 = self.0.checked_add(1).ok_or(io::ErrorKind::AddrInUse)?;
            if TcpListener::bind(address).is_ok() {
                return Ok(address);
            }
        }
    }
}
