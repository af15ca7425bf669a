//! Why a server did not start.

use raft_driver_thread::StartError;
use raft_driver_thread::storage::StorageError;
use raft_driver_thread::transport::TransportError;
use std::io;

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The port for clients or for probes.
    #[error("listen at {address}: {source}")]
    Listen {
        /// The address.
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
    #[error("start the threads that serve clients: {0}")]
    Threads(#[source] io::Error),
}
