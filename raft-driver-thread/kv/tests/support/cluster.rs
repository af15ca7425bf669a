//! Three servers of raft-kv in this process, and clients of theirs.
#![allow(dead_code, unreachable_pub)] // Each test file uses its part.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../../tests/support/ports.rs"]
mod ports;
#[path = "until.rs"]
mod until;

use raft_kv::client::{Access, Client, ClientError};
use raft_kv::server::Server;
use raft_kv::settings::{Founder, Identity, Settings};
use raft_kv::state::Reply;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
#[allow(unused_imports)] // Each test file uses its part.
pub use until::{LIMIT, until, until_ok};

/// A cluster whose servers can be killed and started again.
pub struct Cluster {
    pub _folder: tempfile::TempDir,
    pub settings: Vec<Settings>,
    founders: Vec<Founder>,
    pub servers: Vec<Option<Server>>,
}

impl Cluster {
    pub fn new() -> Cluster {
        Cluster::with(|_| {})
    }

    pub fn with(change: impl Fn(&mut Settings)) -> Cluster {
        Cluster::of(3, change)
    }

    /// Server 1 leads, from the first request to the last: the others start no election, however
    /// busy the machine is. There are no leases, with which a server that has just started would
    /// give nobody its vote.
    pub fn led_by_1(change: impl Fn(&mut Settings)) -> Cluster {
        let cluster = Cluster::with(|settings| {
            settings.election_timeout = LIMIT;
            settings.max_drift_ppm = None;
            change(settings);
        });
        until("server 1 leads", || {
            let mut client = cluster.client(1);
            let _ = client.call(&[b"RAFT", b"CAMPAIGN"]);
            (client.status().ok()?.role == "leader").then_some(())
        });
        cluster
    }

    /// One server alone.
    pub fn single() -> Cluster {
        Cluster::of(1, |_| {})
    }

    pub fn single_with(change: impl Fn(&mut Settings)) -> Cluster {
        Cluster::of(1, change)
    }

    fn of(count: u64, change: impl Fn(&mut Settings)) -> Cluster {
        let folder = tempfile::tempdir().unwrap();
        let ports = ports::free_ports(6);
        let address = |at: usize| format!("127.0.0.1:{}", ports[at]);
        let settings = |node: u64| {
            let at = node as usize - 1;
            let mut settings = Settings::new(folder.path().join(node.to_string()));
            std::fs::create_dir_all(&settings.data).unwrap();
            (settings.peers, settings.clients) = (address(at), address(at + 3));
            settings.request_timeout = Duration::from_secs(30);
            change(&mut settings);
            settings
        };
        let settings: Vec<_> = (1..=count).map(settings).collect();
        let founder = |node: u64| Founder {
            node,
            peers: address(node as usize - 1),
        };
        let founders = (1..=count).map(founder).collect();
        let mut cluster = Cluster {
            _folder: folder,
            settings,
            founders,
            servers: (1..=count).map(|_| None).collect(),
        };
        (1..=count).for_each(|node| cluster.start(node));
        cluster
    }

    pub fn start(&mut self, node: u64) {
        let at = node as usize - 1;
        let identity = Identity {
            cluster: 5,
            node,
            founders: self.founders.clone(),
        };
        let settings = self.settings[at].clone();
        self.servers[at] = Some(Server::start(settings, identity).unwrap());
    }

    /// As kill -9 would. Nothing listens at its ports any more when this returns: the threads that
    /// serve clients end a moment after the server is dropped.
    pub fn kill(&mut self, node: u64) {
        let at = node as usize - 1;
        self.servers[at] = None;
        let settings = &self.settings[at];
        for address in [&settings.clients, &settings.peers] {
            until("a port to be free", || {
                TcpStream::connect(address).is_err().then_some(())
            });
        }
    }

    pub fn address(&self, node: u64) -> &str {
        &self.settings[node as usize - 1].clients
    }

    pub fn client(&self, node: u64) -> Client {
        Access::new().connect(self.address(node)).unwrap()
    }

    /// Sends bytes to a server, and reads so many of what it answers.
    pub fn pipeline(&self, node: u64, requests: &[u8], count: usize) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address(node)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.write_all(requests).unwrap();
        let mut answers = vec![0; count];
        stream.read_exact(&mut answers).unwrap();
        answers
    }

    /// The leader, once there is one.
    pub fn leader(&self) -> u64 {
        let runs = |node: &u64| self.servers[*node as usize - 1].is_some();
        until("a leader", || {
            let mut seen = (1..=3).filter(runs).map(|node| {
                let status = self.client(node).status();
                status.unwrap()
            });
            seen.find(|it| it.role == "leader")?.leader
        })
    }

    pub fn follower(&self) -> u64 {
        let leader = self.leader();
        (1..=3).find(|node| *node != leader).unwrap()
    }
}

pub fn call(client: &mut Client, command: &str) -> Reply {
    let words: Vec<&[u8]> = command.split_whitespace().map(str::as_bytes).collect();
    match client.call(&words) {
        Ok(reply) => reply,
        Err(ClientError::Refused { what, .. }) => Reply::Error(what),
        Err(error) => panic!("{command}: {error}"),
    }
}

pub fn bulk(text: &'static str) -> Reply {
    Reply::Bulk(text.into())
}
