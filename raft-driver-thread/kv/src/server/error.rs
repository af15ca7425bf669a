//! Why a server did not start.

use raft_driver_thread::StartError;
use raft_driver_thread::storage::StorageError;
use raft_driver_thread::transport::TransportError;
use std::io;

/// What to do about an address on which nobody can listen.
fn advice(error: &io::Error, option: &str) -> String {
    let kind = error.kind();
    if kind == io::ErrorKind::AddrInUse {
        format!("; stop the other process that listens there, or give another {option}")
    } else if kind == io::ErrorKind::AddrNotAvailable {
        format!("; this machine does not have the address: give another {option}")
    } else if kind == io::ErrorKind::PermissionDenied {
        format!("; this user may not listen there: give another {option}")
    } else {
        String::new()
    }
}

fn advice_of(error: &TransportError) -> String {
    match error {
        TransportError::Io { source, .. } => advice(source, "--peers"),
        TransportError::Settings(_) => String::new(),
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The port for clients or for probes.
    #[error("listen at {address}: {source}{}", advice(source, option))]
    Listen {
        /// The option that gives the address.
        option: &'static str,
        /// The address.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The port for the other servers.
    #[error("listen for the other servers: {source}{}", advice_of(source))]
    Transport {
        /// What the transport says.
        #[from]
        source: TransportError,
    },
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
