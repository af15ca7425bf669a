//! Why a request to a server failed.

use std::io;

/// Why a request to a server failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No address was given.
    #[error("no server was named: give one with --server host:port")]
    NoServer,
    /// The client cannot connect.
    #[error("connect to {address}: {source}")]
    Unreachable {
        /// The address.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file that TLS needs cannot be used.
    #[error("TLS: {0}")]
    Tls(String),
    /// The connection broke. It is not known whether the request was executed.
    #[error("no reply from {address}: {source}")]
    Broken {
        /// The address.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The server replied with an error.
    #[error("{address} refused: {what}")]
    Refused {
        /// The address.
        address: String,
        /// The error.
        what: String,
    },
    /// The server replied something that no raft-kv server would.
    #[error("{address} replied {what}: is that a raft-kv server, and does it use TLS?")]
    UnexpectedReply {
        /// The address.
        address: String,
        /// Its reply.
        what: String,
    },
}
