//! The settings of a server, and its identity.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// The settings of a server, which each start may change. What never changes is its
/// [`Identity`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The data directory.
    pub data: PathBuf,
    /// Where to listen for clients: host:port; port 0 takes a free one.
    pub clients: String,
    /// Where clients reach this server, for the other servers to know; `clients` if `None`.
    pub advertise_clients: Option<String>,
    /// Where to listen for the other servers.
    pub peers: String,
    /// Servers of the cluster, which a joining server must know until its log names them.
    pub members: Vec<Founder>,
    /// Where to serve /metrics, /healthz and /readyz; nowhere if `None`.
    pub http: Option<String>,
    /// The password that clients, and the other servers as clients, must give first (AUTH).
    pub password: Option<String>,
    /// TLS between the servers, and for clients too; plain text if `None`.
    pub tls: Option<Tls>,
    /// The most clients that may be connected; more are refused. Default 10,000.
    pub max_connections: usize,
    /// The longest value, and key. Default 1 MiB.
    pub max_value_bytes: usize,
    /// The longest that a request waits for a leader and its majority. Default 5 s.
    pub request_timeout: Duration,
    /// How often a leader sends heartbeats. Default 50 ms.
    pub heartbeat_interval: Duration,
    /// The least time that a follower waits for a heartbeat before it starts an election. Each
    /// wait is drawn between this and one and a half times this. Default 500 ms.
    pub election_timeout: Duration,
    /// The most by which clock rates may differ, in parts per million, for reads under a lease.
    /// Default 500; `None` disables these reads.
    pub max_drift_ppm: Option<u32>,
    /// How many bytes of log between two snapshots. Default 64 MiB.
    pub snapshot_every_bytes: u64,
    /// The threads that serve clients. Default: one for every two cores.
    pub threads: usize,
}

/// The files for TLS, in PEM. The certificate names `node-<id>.raft` for the other servers, and
/// the host to which clients connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate of the cluster's own authority.
    pub authority: PathBuf,
    /// This server's certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Settings {
    /// The defaults for a server with this data directory, on loopback and free ports.
    pub fn new(data: impl Into<PathBuf>) -> Settings {
        Settings {
            data: data.into(),
            clients: "127.0.0.1:0".into(),
            advertise_clients: None,
            peers: "127.0.0.1:0".into(),
            members: Vec::new(),
            http: None,
            password: None,
            tls: None,
            max_connections: 10_000,
            max_value_bytes: 1 << 20,
            request_timeout: Duration::from_secs(5),
            heartbeat_interval: Duration::from_millis(50),
            election_timeout: Duration::from_millis(500),
            max_drift_ppm: Some(500),
            snapshot_every_bytes: 64 << 20,
            threads: std::thread::available_parallelism()
                .map_or(1, |cores| cores.get() / 2)
                .max(1),
        }
    }
}

/// The server whose data directory it is: fixed when the directory is created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The cluster's id, drawn when it was founded. Servers of different clusters do not talk to
    /// each other.
    pub cluster: u64,
    /// The server's node id. Which disk speaks under it, the storage's first write says alone.
    pub node: u64,
    /// The voters with which the cluster was founded; empty if this server joined later.
    #[serde(default)]
    pub founders: Vec<Founder>,
}

/// A voter with which a cluster is founded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Founder {
    /// Its node id.
    pub node: u64,
    /// Where the other servers reach it: host:port.
    pub peers: String,
}
