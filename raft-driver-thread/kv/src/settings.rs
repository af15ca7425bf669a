//! How a server is run, and whose it is.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// How a server is run. What belongs to the cluster and never changes is its [`Identity`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The folder with all that the server keeps.
    pub data: PathBuf,
    /// Where clients are listened to: host:port; port 0 takes a free one.
    pub clients: String,
    /// What the other servers are told of where clients reach this one, if not there.
    pub advertise_clients: Option<String>,
    /// Where the other servers are listened to.
    pub peers: String,
    /// Servers of the cluster that one which joins has to know before its log tells it of them; of
    /// no use afterwards.
    pub members: Vec<Founder>,
    /// Where /metrics, /healthz and /readyz are served; nowhere if `None`.
    pub http: Option<String>,
    /// What clients, and the other servers as clients, have to say first (AUTH).
    pub password: Option<String>,
    /// TLS between the servers, and for clients too; plain text if `None`.
    pub tls: Option<Tls>,
    /// How many clients may be connected; more are refused. Default 10,000.
    pub max_connections: usize,
    /// How long a value may be, and a key. Default 1 MiB.
    pub max_value_bytes: usize,
    /// How long a request may wait for a leader and its majority. Default 5 s.
    pub request_timeout: Duration,
    /// How often a leader says that it leads. Default 50 ms.
    pub heartbeat_interval: Duration,
    /// How long a follower waits at least for that before it asks for an election; less than
    /// half as long again. Default 500 ms.
    pub election_timeout: Duration,
    /// By how much clocks may differ in speed, for reads under a lease: parts in a million.
    /// Default 500; `None` switches leases off.
    pub max_drift_ppm: Option<u32>,
    /// After how many bytes of log a snapshot is made. Default 64 MiB.
    pub snapshot_every_bytes: u64,
    /// How many threads serve clients. Default: one for every two cores.
    pub threads: usize,
}

/// The files that TLS needs, in PEM. The certificate names `node-<id>.raft` for the other servers,
/// and the host that clients connect to.
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
    /// The defaults, for a server with its data there, on loopback and any free ports.
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

/// Whose a data folder is: fixed when it is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Drawn when the cluster was founded. Servers of different clusters do not talk.
    pub cluster: u64,
    /// The server's number, never used for another one.
    pub node: u64,
    /// The voters that the cluster was founded with, if this server is one of them; empty for
    /// one that joined later.
    #[serde(default)]
    pub founders: Vec<Founder>,
}

/// A voter that a cluster is founded with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Founder {
    /// Its node id.
    pub node: u64,
    /// Where the other servers reach it: host:port.
    pub peers: String,
}
