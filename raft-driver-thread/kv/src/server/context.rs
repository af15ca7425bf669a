//! What all connections of a server share.

use super::clients::ClientRegistry;
use super::coalesce::{Batch, Coalescer};
use super::descriptors;
use super::group_commit::LastActive;
use super::node_options::largest_entry;
use super::outcome::CommandError;
use super::output::OutputLimits;
use super::reads::Reads;
use super::refused::RefusedServers;
use super::router::Router;
use super::session::Session;
use super::stats::Stats;
use super::tls::Certificates;
use crate::resp::{ParseLimits, RequestLimits};
use crate::settings::{Identity, Settings};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;

/// How many [walks](super::walk) may be under way. Each takes a processor, and memory for its
/// answer.
const MAX_WALKS: usize = 2;

/// See the [module](self).
pub(super) struct ServerContext {
    pub(super) router: Arc<Router>,
    pub(super) writes: Arc<Coalescer<Session>>,
    pub(super) reads: Arc<Coalescer<Reads>>,
    /// Each [walk](super::walk) takes one.
    pub(super) walks: Arc<Semaphore>,
    pub(super) clients: Arc<ClientRegistry>,
    pub(super) stats: Stats,
    pub(super) settings: Settings,
    pub(super) identity: Identity,
    pub(super) refused: Arc<RefusedServers>,
    pub(super) started: Instant,
    pub(super) clients_port: u16,
    /// Where there is TLS.
    pub(super) certificates: Option<Arc<Certificates>>,
    pub(super) output_limits: Arc<OutputLimits>,
    pub(super) limits: RequestLimits,
    pub(super) parse_limits: ParseLimits,
    /// How long the arguments of a transaction may be together: one entry holds all of them.
    pub(super) max_transaction_bytes: usize,
}

impl ServerContext {
    pub(super) fn new(
        settings: Settings,
        identity: Identity,
        router: Arc<Router>,
        refused: Arc<RefusedServers>,
        clients_port: u16,
        certificates: Option<Arc<Certificates>>,
    ) -> ServerContext {
        let session = Session::new(router.clone());
        let reads = Reads::new(router.clone(), settings.max_drift_ppm.is_some());
        let timeout = settings.request_timeout;
        let largest_entry = largest_entry(&settings);
        ServerContext {
            router,
            writes: Arc::new(Coalescer::new(session, timeout)),
            reads: Arc::new(Coalescer::new(reads, timeout)),
            walks: Arc::new(Semaphore::new(MAX_WALKS)),
            clients: Arc::new(ClientRegistry::new(descriptors::clients(
                settings.max_connections,
            ))),
            stats: Stats::new(),
            output_limits: Arc::new(OutputLimits::new(
                settings.client_output_buffer_limit,
                settings.maxmemory_clients,
            )),
            limits: RequestLimits {
                max_request_bytes: 2 * largest_entry,
                ..RequestLimits::new(largest_entry)
            },
            parse_limits: ParseLimits {
                max_value_bytes: settings.max_value_bytes,
            },
            max_transaction_bytes: settings.max_transaction_bytes,
            identity,
            refused,
            started: Instant::now(),
            clients_port,
            certificates,
            settings,
        }
    }

    /// Reads nothing. Succeeds once this server's state holds all that was acknowledged before.
    pub(super) async fn catch_up(&self) -> Result<(), CommandError> {
        let mut client = LastActive::default();
        let read = self.reads.submit(Batch::default(), &mut client).await;
        read.map(|_| ())
    }
}
