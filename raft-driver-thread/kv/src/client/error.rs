//! Why a server did not do what it was asked.

use std::io;

/// Why a server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No address was given.
    #[error("no server was named: give one with --server host:port")]
    NoServer,
    /// It cannot be connected to.
    #[error("connect to {address}: {source}")]
    Unreachable {
        /// Where.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The files of TLS cannot be used.
    #[error("TLS: {0}")]
    Tls(String),
    /// The connection broke. What was asked may have been done, or not.
    #[error("{address} does not answer: {source}")]
    Broken {
        /// Where.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// It answered with an error.
    #[error("{address} refused: {what}")]
    Refused {
        /// Where.
        address: String,
        /// Its error.
        what: String,
    },
    /// It answered what no server of this kind does.
    #[error("{address} answered {what}: is that a raft-kv server, and does it use TLS?")]
    Nonsense {
        /// Where.
        address: String,
        /// What it answered.
        what: String,
    },
}
