//! A server: a node of the cluster, and its ports for clients, for the other servers, and for
//! probes.
//!
//! A write goes through these files from the top down, once, and its reply comes back up.
//!
//! | file | what |
//! |---|---|
//! | `listener` | accepts clients |
//! | `connection`, `answer`, `multi`, `exec`, `output` | one client: its pipeline becomes batches; MULTI and EXEC |
//! | `coalesce` | batches of many clients become one entry, or one read |
//! | `session` | a write that is attempted again runs once |
//! | `router` | an entry's way to the leader, here or at another server |
//! | `group_commit` | batches of all servers are written together |
//!
//! Beside them:
//!
//! | file | what |
//! |---|---|
//! | `reads`, `walk` | reads, which need no entry; those that look at all keys |
//! | `local` | commands about the connection, or about this server |
//! | `admin`, `members` | administrators' requests: to any server, and to the leader |
//! | `info`, `stats`, `process` | what a server reports of itself |
//! | `forward`, `peer_requests` | what servers ask the leader, over their own port |
//! | `refused` | servers with other founders, or another history |
//! | `background` | expiry, registration, events of the node |
//! | `http` | probes and metrics |
//! | `outcome` | why requests fail |
//! | `level` | commands that not all servers read yet |
//! | `clients`, `descriptors` | the clients that are connected, and how many may be |
//! | `context` | what all connections share |
//! | `disposal` | frees what a flush has removed |
//! | `clock`, `micro_timer` | the time of entries; waits below a millisecond |
//! | `node_options`, `tls`, `error` | how a server starts |

mod admin;
mod answer;
mod background;
mod clients;
mod clock;
mod coalesce;
mod connection;
mod context;
mod descriptors;
mod disposal;
mod error;
mod exec;
mod forward;
mod group_commit;
mod http;
mod info;
mod level;
mod listener;
mod local;
mod members;
mod micro_timer;
mod multi;
mod node_options;
mod outcome;
mod output;
mod peer_requests;
mod process;
mod reads;
mod refused;
mod router;
mod session;
mod stats;
mod tls;
mod walk;

pub use error::ServerError;

use super::settings::{Identity, Settings};
use super::state::{Machine, ServerAddress};
use super::status::AgreedSettings;
use background::{Background, NodeEvents};
use context::ServerContext;
use forward::Forwarder;
use node_options::{node_options, tcp_options};
use peer_requests::PeerRequests;
use raft_driver_thread::raft_proto::{Incarnation, Seq};
use raft_driver_thread::storage::StorageError;
use raft_driver_thread::storage::disk::files::System;
use raft_driver_thread::storage::disk::{DiskOptions, DiskStorage, OnDamage};
use raft_driver_thread::transport::tcp::{Dialer, TcpTransport};
use raft_driver_thread::{Node, StopReason};
use router::Router;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tls::Certificates;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// How long clients have to receive their last replies when a server stops.
const LAST_REPLIES: Duration = Duration::from_secs(1);

/// The pause before a server is asked again whether its first write is on disk.
const INCARNATION_PAUSE: Duration = Duration::from_millis(5);

/// A running server. Dropping it kills it, which is safe at any moment.
pub struct Server {
    node: Node<Machine>,
    runtime: Option<Runtime>,
    clients: SocketAddr,
    peers: SocketAddr,
    http: Option<SocketAddr>,
    stopped: watch::Receiver<Option<StopReason>>,
    conflicts: watch::Receiver<Option<String>>,
    certificates: Option<Arc<Certificates>>,
    dialer: Dialer,
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
    /// Starts a server with its log in `raft` in the data directory. The caller has made sure that the
    /// directory belongs to `identity`, and that no other server uses it.
    ///
    /// # Errors
    ///
    /// [`ServerError`]: nothing runs then.
    pub fn start(settings: Settings, identity: Identity) -> Result<Server, ServerError> {
        let certificates = settings.tls.as_ref().map(Certificates::load).transpose()?;
        let certificates = certificates.map(Arc::new);
        let runtime = client_threads(&settings)?;
        if http::install_recorder() {
            runtime.spawn(http::fold_samples());
        }
        let listener = listen(&runtime, "--clients", &settings.clients)?;
        let pages = settings.http.as_deref();
        let pages = pages
            .map(|address| listen(&runtime, "--http", address))
            .transpose()?;
        let clients = local_address(&listener, &settings.clients)?;
        let http = pages.as_ref().and_then(|pages| pages.local_addr().ok());
        let shown = Arc::new(OnceLock::new());
        if let Some(pages) = pages {
            // Reading the snapshot and the log may take long: until then the server is alive, and
            // not ready.
            runtime.spawn(http::serve(pages, shown.clone()));
        }
        let mut transport = TcpTransport::bind(&settings.peers, tcp_options(&settings))?;
        let peers = transport.local_address();
        let dialer = transport.dialer();
        let forwarder = Forwarder::new(dialer.clone());
        let peer_requests = Arc::new(PeerRequests::default());
        transport.serve_streams(peer_requests.clone());
        let storage = open_storage(&settings.data.join("raft"))?;
        let options = node_options(&settings, &identity);
        let disposal = disposal::in_a_thread().map_err(ServerError::Threads)?;
        let machine = Machine::reading(settings.release_level).with_disposal(disposal);
        let node = Node::start(options, storage, transport, machine)?;
        let events = NodeEvents::watch(&node).map_err(ServerError::Threads)?;
        let (cluster, count) = (identity.cluster, events.count);
        let router = Router::new(node.clone(), forwarder, &settings, cluster, count);
        let router = Arc::new(router);
        let record = server_record(&settings, &identity, clients);
        let (conflict, conflicts) = watch::channel(None);
        let refused = events.refused;
        let background = Background {
            router: router.clone(),
            refused: refused.clone(),
            own: record,
            agreed: AgreedSettings::of(&settings),
            conflict,
        };
        runtime.spawn(background.run());
        let (port, shared) = (clients.port(), certificates.clone());
        let context = ServerContext::new(settings, identity, router, refused, port, shared);
        let context = Arc::new(context);
        peer_requests.start(context.clone(), runtime.handle().clone());
        runtime.spawn(listener::accept(listener, context.clone()));
        // It is set once.
        let _ = shown.set(context);
        Ok(Server {
            node,
            runtime: Some(runtime),
            clients,
            peers,
            http,
            stopped: events.stopped,
            conflicts,
            certificates,
            dialer,
        })
    }

    /// The incarnation of this server's storage, once it is on disk: a storage that is made anew
    /// never has it again. `None` if the server stops before.
    ///
    /// It is kept in the storage's first write alone, with the log that it stands for. In another
    /// file it could outlive a log that was lost, and vouch for an empty one.
    pub fn incarnation(&self) -> Option<Incarnation> {
        loop {
            let status = self.node.status().ok()?;
            // A storage that knew its incarnation when it was opened needs no first write.
            if status.persisted > Seq(0) || status.writes_under_way == 0 {
                return status.incarnation;
            }
            std::thread::sleep(INCARNATION_PAUSE);
        }
    }

    /// Where it listens to clients.
    pub fn clients_address(&self) -> SocketAddr {
        self.clients
    }

    /// Where it listens to the other servers.
    pub fn peers_address(&self) -> SocketAddr {
        self.peers
    }

    /// Where it serves /metrics, /healthz and /readyz, if it does.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http
    }

    /// What in this server's settings differs from those of the leader, and must not; once that was
    /// found.
    pub fn conflict(&self) -> Option<String> {
        self.conflicts.borrow().clone()
    }

    /// Reads the files of TLS again, for connections of clients and servers that begin from now on.
    /// Those that are open stay as they are. Returns whether there are such files.
    ///
    /// # Errors
    ///
    /// [`ServerError`] if one of the files cannot be used. What was read before stays in use.
    pub fn reload_certificates(&self) -> Result<bool, ServerError> {
        let Some(certificates) = &self.certificates else {
            return Ok(false);
        };
        self.dialer.reload_certificates()?;
        certificates.reload()?;
        Ok(true)
    }

    /// Waits until `stop` is ready, the node stops by itself, because its disk failed for example,
    /// or there is a [conflict](Server::conflict). Returns why the node stopped, if it did.
    pub fn wait(&self, stop: impl Future<Output = ()>) -> Option<StopReason> {
        let (mut stopped, mut conflicts) = (self.stopped.clone(), self.conflicts.clone());
        let until = async move {
            tokio::select! {
                biased; // What `stop` does before it waits is done in any case.
                () = stop => None,
                reason = stopped.wait_for(Option::is_some) => reason.ok().and_then(|why| why.clone()),
                Ok(_) = conflicts.wait_for(Option::is_some) => None,
            }
        };
        self.runtime.as_ref()?.block_on(until)
    }

    /// Hands leadership over, finishes what is under way, and stops.
    pub fn stop(mut self) -> StopReason {
        let reason = self.node.shutdown();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(LAST_REPLIES);
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

fn client_threads(settings: &Settings) -> Result<Runtime, ServerError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(settings.threads.max(1))
        .thread_name("kv-clients")
        .enable_all()
        .build()
        .map_err(ServerError::Threads)
}

fn listen(
    runtime: &Runtime,
    option: &'static str,
    address: &str,
) -> Result<TcpListener, ServerError> {
    let bound = runtime.block_on(TcpListener::bind(address));
    bound.map_err(|source| ServerError::Listen {
        option,
        address: address.into(),
        source,
    })
}

fn local_address(listener: &TcpListener, address: &str) -> Result<SocketAddr, ServerError> {
    let bound = listener.local_addr();
    bound.map_err(|source| ServerError::Listen {
        option: "--clients",
        address: address.into(),
        source,
    })
}

/// What the replicated state is to know of this server.
fn server_record(settings: &Settings, identity: &Identity, clients: SocketAddr) -> ServerAddress {
    let advertised = settings.advertise_clients.clone();
    ServerAddress {
        node: identity.node,
        clients: advertised.unwrap_or_else(|| clients.to_string()),
        release: info::RELEASE.into(),
    }
}

/// Opens the log. What is damaged in it is sent again by the other servers.
fn open_storage(folder: &Path) -> Result<DiskStorage, StorageError> {
    let options = DiskOptions {
        on_damage: OnDamage::Mend,
        ..DiskOptions::default()
    };
    DiskStorage::open_with(Arc::new(System), folder, options)
}
