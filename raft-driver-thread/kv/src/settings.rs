//! The settings of a server, and its identity.

use super::state::RELEASE_LEVEL;
use raft_driver_thread::{CompareOptions, RecorderOptions, ScrubOptions, SnapshotSending};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// The user whose password is [`Settings::admin_password`].
pub const ADMIN_USER: &str = "admin";

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
    /// The password of the user `admin`, who alone may send RAFT ... then, but RAFT STATUS; if
    /// `None`, every client may.
    pub admin_password: Option<String>,
    /// TLS between the servers, and for clients too; plain text if `None`.
    pub tls: Option<Tls>,
    /// The most clients that may be connected; more are refused. Default 10,000.
    pub max_connections: usize,
    /// Whether to serve addresses of other machines in plain text without a password.
    pub protected_mode: ProtectedMode,
    /// After how long without a request, and without replies that wait, a client's connection is
    /// closed. Default: never.
    pub client_timeout: Option<Duration>,
    /// After how long a silence the system asks whether a client is still there. Default 300 s;
    /// `None`: never.
    pub tcp_keepalive: Option<Duration>,
    /// How many bytes of replies may wait for a client before it has to read them. Default 512 MiB.
    pub client_output_buffer_limit: u64,
    /// How many bytes of replies may wait for all clients together. Default 2 GiB.
    pub maxmemory_clients: u64,
    /// How many bytes the keys and their values may take before commands that could take more are
    /// refused; `None`: as many as they like, the default.
    pub max_memory: Option<u64>,
    /// The longest value, and key. Default 1 MiB.
    pub max_value_bytes: usize,
    /// How long the arguments of a transaction may be together, with 24 bytes for each command.
    /// Default 4 MiB.
    pub max_transaction_bytes: usize,
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
    /// How many bytes of log between two snapshots; as many as the last one has, if that is more.
    /// Default 64 MiB.
    pub snapshot_every_bytes: u64,
    /// How much of its snapshots a leader sends to the other servers at once. Default: 64 MiB a
    /// second, to two of them.
    pub snapshot_sending: SnapshotSending,
    /// How the server looks for decay on its disk. Default: 4 MiB a second, once an hour; `None`:
    /// not at all.
    pub scrub: Option<ScrubOptions>,
    /// How the server compares its state with those of the others. Default: every 10 s; `None`: not
    /// at all.
    pub compare: Option<CompareOptions>,
    /// Where the server records every event of its core, and how much of that is kept. Default:
    /// nowhere.
    pub recordings: Option<RecorderOptions>,
    /// The release level that this server reads and writes, at most
    /// [`RELEASE_LEVEL`], the default. Lower, it holds the whole cluster
    /// back, so that all servers can go back to the release of that level.
    pub release_level: u32,
    /// The threads that serve clients. Default: one for every two cores.
    pub threads: usize,
}

/// Whether a server refuses to listen to other machines when anybody could read and write all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ProtectedMode {
    /// It refuses.
    #[default]
    On,
    /// The network is secured by other means.
    Off,
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
            admin_password: None,
            tls: None,
            max_connections: 10_000,
            protected_mode: ProtectedMode::On,
            client_timeout: None,
            tcp_keepalive: Some(Duration::from_secs(300)),
            client_output_buffer_limit: 512 << 20,
            maxmemory_clients: 2 << 30,
            max_memory: None,
            max_value_bytes: 1 << 20,
            max_transaction_bytes: 4 << 20,
            request_timeout: Duration::from_secs(5),
            heartbeat_interval: Duration::from_millis(50),
            election_timeout: Duration::from_millis(500),
            max_drift_ppm: Some(500),
            snapshot_every_bytes: 64 << 20,
            snapshot_sending: SnapshotSending {
                max_bytes_per_second: Some(64 << 20),
                ..SnapshotSending::default()
            },
            scrub: Some(ScrubOptions::new(4 << 20)),
            compare: Some(CompareOptions::default()),
            recordings: None,
            release_level: RELEASE_LEVEL,
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
