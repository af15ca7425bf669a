//! A server: a node of the cluster, and the ports by which clients, the other servers and probes
//! reach it.
//!
//! | file | what |
//! |---|---|
//! | `connection` | one client: pipelines, batches |
//! | `local`, `admin`, `info` | what is not asked of the replicated state |
//! | `members` | who belongs to the cluster, and who leads it |
//! | `gateway` | the way of commands to the leader's log and back, exactly once |
//! | `reads` | what needs no entry in the log |
//! | `combine` | requests of many clients that travel together |
//! | `outcome` | how they end otherwise than well |
//! | `forward` | this server as a client of the others |
//! | `keeper` | what is done without being asked |
//! | `http` | probes and monitoring |

mod admin;
mod alarm;
mod clients;
mod clock;
mod combine;
mod company;
mod connection;
mod forward;
mod gateway;
mod http;
mod info;
mod keeper;
mod listener;
mod local;
mod members;
mod outcome;
mod reads;
mod tls;

use super::resp::{Limits, ParseLimits};
use super::settings::{Identity, Settings};
use super::state::{Machine, Server as Registered};
use clients::Clients;
use forward::Forwarder;
use gateway::Gateway;
use raft_driver_thread::Node;
use raft_driver_thread::Options;
use raft_driver_thread::raft_proto::{
    ClusterId, Config, ENTRY_OVERHEAD, Lease, Member, NodeId, Start,
};
use raft_driver_thread::storage::StorageError;
use raft_driver_thread::storage::disk::DiskStorage;
use raft_driver_thread::transport::TransportError;
use raft_driver_thread::transport::tcp::{Security, TcpOptions, TcpTransport, TlsOptions};
use raft_driver_thread::{StartError, StopReason};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// How long clients have to take their last replies when a server stops.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long followers hear of a commit by the next append only: under load that is soon enough,
/// and saves a message and its answer for each.
const COMMIT_NOTICE: Duration = Duration::from_millis(1);

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A port.
    #[error("listen at {address}: {source}")]
    Listen {
        /// Where.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The port for the other servers.
    #[error("listen for the other servers: {0}")]
    Transport(#[from] TransportError),
    /// The log.
    #[error("open the log: {0}")]
    Storage(#[from] StorageError),
    /// The node.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A file that TLS needs.
    #[error("TLS: {0}")]
    Tls(String),
    /// Threads.
    #[error("begin the threads that serve clients: {0}")]
    Threads(#[source] io::Error),
}

/// What all connections share.
struct Shared {
    gateway: Arc<Gateway>,
    clients: Arc<Clients>,
    settings: Settings,
    identity: Identity,
    started: Instant,
    clients_port: u16,
    limits: Limits,
    parse_limits: ParseLimits,
    /// How long the arguments of a transaction may be together: what an entry holds.
    queue_bytes: usize,
}

/// A running server. Dropped, it is killed, which is safe at any moment.
pub struct Server {
    node: Node<Machine>,
    runtime: Option<Runtime>,
    clients: SocketAddr,
    peers: SocketAddr,
    http: Option<SocketAddr>,
    stopped: watch::Receiver<Option<StopReason>>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Server");
        debug
            .field("clients", &self.clients)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Starts a server with its log in `raft` in the data folder. Whoever calls has made sure that
    /// the folder is that of `identity`, and that no other server uses it.
    ///
    /// # Errors
    ///
    /// [`ServerError`]: nothing runs then.
    pub fn start(settings: Settings, identity: Identity) -> Result<Server, ServerError> {
        let tls = settings.tls.as_ref().map(tls::load).transpose()?;
        let (acceptor, connector) = tls.unzip();
        http::measure();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(settings.threads.max(1))
            .thread_name("kv-clients")
            .enable_all()
            .build()
            .map_err(ServerError::Threads)?;
        let listener = listen(&runtime, &settings.clients)?;
        let pages = settings.http.as_deref();
        let pages = pages.map(|address| listen(&runtime, address)).transpose()?;
        let clients = local_address(&listener, &settings.clients)?;
        let http = pages.as_ref().and_then(|pages| pages.local_addr().ok());
        let transport = TcpTransport::bind(&settings.peers, tcp_options(&settings))?;
        let peers = transport.local_address();
        let storage = DiskStorage::open(settings.data.join("raft"))?;
        let options = options(&settings, &identity);
        let node = Node::start(options, storage, transport, Machine::default())?;
        let watched = keeper::watch_leadership(&node).map_err(ServerError::Threads)?;
        let (leadership, stopped) = watched;
        let forwarder = Forwarder::new(&settings, connector);
        let gateway = Gateway::new(
            node.clone(),
            forwarder,
            &settings,
            identity.cluster,
            leadership,
        );
        let gateway = Arc::new(gateway);
        let me = Registered {
            node: identity.node,
            clients: settings
                .advertise_clients
                .clone()
                .unwrap_or_else(|| clients.to_string()),
            release: info::RELEASE.into(),
        };
        runtime.spawn(keeper::keep(gateway.clone(), identity.clone(), me));
        let shared = Arc::new(Shared {
            gateway,
            clients: Arc::new(Clients::new(settings.max_connections)),
            limits: Limits {
                max_request_bytes: 2 * largest_entry(&settings),
                ..Limits::new(largest_entry(&settings))
            },
            parse_limits: ParseLimits {
                max_value_bytes: settings.max_value_bytes,
            },
            queue_bytes: largest_entry(&settings),
            identity,
            started: Instant::now(),
            clients_port: clients.port(),
            settings,
        });
        runtime.spawn(listener::accept(listener, acceptor, shared.clone()));
        if let Some(pages) = pages {
            runtime.spawn(http::serve(pages, shared));
        }
        Ok(Server {
            node,
            runtime: Some(runtime),
            clients,
            peers,
            http,
            stopped,
        })
    }

    /// Where clients are listened to.
    pub fn clients_address(&self) -> SocketAddr {
        self.clients
    }

    /// Where the other servers are listened to.
    pub fn peers_address(&self) -> SocketAddr {
        self.peers
    }

    /// Where /metrics, /healthz and /readyz are served, if they are.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Waits until the node stops by itself, because its disk failed for example, or `stop` says
    /// so; says why it stopped.
    pub fn wait(&self, stop: impl Future<Output = ()>) -> Option<StopReason> {
        let mut stopped = self.stopped.clone();
        let until = async move {
            tokio::select! {
                reason = stopped.wait_for(Option::is_some) => reason.ok().and_then(|why| why.clone()),
                () = stop => None,
            }
        };
        self.runtime.as_ref()?.block_on(until)
    }

    /// Hands the lead over, finishes what is under way, and ends.
    pub fn stop(mut self) -> StopReason {
        let reason = self.node.shutdown();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(FAREWELL);
        }
        reason
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.node.kill();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn listen(runtime: &Runtime, address: &str) -> Result<TcpListener, ServerError> {
    let bound = runtime.block_on(TcpListener::bind(address));
    bound.map_err(|source| ServerError::Listen {
        address: address.into(),
        source,
    })
}

fn local_address(listener: &TcpListener, address: &str) -> Result<SocketAddr, ServerError> {
    let bound = listener.local_addr();
    bound.map_err(|source| ServerError::Listen {
        address: address.into(),
        source,
    })
}

fn tcp_options(settings: &Settings) -> TcpOptions {
    let mut options = TcpOptions::new(match &settings.tls {
        None => Security::PlaintextUnauthenticated,
        Some(tls) => Security::Tls(TlsOptions {
            authority: tls.authority.clone(),
            certificate: tls.certificate.clone(),
            key: tls.key.clone(),
        }),
    });
    let members = settings.members.iter();
    let members = members.map(|member| (NodeId(member.node), member.peers.clone()));
    options.initial_addresses = members.collect();
    options
}

/// How long an entry may be: a batch whose last value is as long as may be, in a key as long.
fn largest_entry(settings: &Settings) -> usize {
    2 * settings.max_value_bytes + (2 << 20)
}

/// What the node is told.
fn options(settings: &Settings, identity: &Identity) -> Options {
    let founder = |founder: &super::settings::Founder| {
        Member::voter(NodeId(founder.node)).with_context(founder.peers.clone())
    };
    let start = match identity.founders.is_empty() {
        true => Start::Join,
        false => Start::Bootstrap {
            members: identity.founders.iter().map(founder).collect(),
        },
    };
    let (cluster, node) = (ClusterId(identity.cluster), NodeId(identity.node));
    let seed = clock::millis() ^ (u64::from(std::process::id()) << 32) ^ identity.node;
    let mut config = Config::new(cluster, node, start, seed);
    config.heartbeat_interval = settings.heartbeat_interval;
    config.election_timeout_min = settings.election_timeout;
    config.election_timeout_max = settings.election_timeout * 3 / 2;
    config.commit_notice_delay = COMMIT_NOTICE;
    config.lease = match settings.max_drift_ppm {
        None => Lease::Off,
        Some(max_drift_ppm) => Lease::On { max_drift_ppm },
    };
    let largest = largest_entry(settings) as u64;
    config.max_entry_bytes = largest;
    config.max_append_bytes = largest + ENTRY_OVERHEAD;
    config.max_inflight_bytes = config.max_inflight_bytes.max(2 * config.max_append_bytes);
    config.max_uncommitted_bytes = config
        .max_uncommitted_bytes
        .max(4 * config.max_append_bytes);
    config.max_unapplied_bytes = config.max_unapplied_bytes.max(2 * config.max_append_bytes);
    let mut options = Options::new(config);
    options.snapshots.every_bytes = Some(settings.snapshot_every_bytes);
    options
}
