//! What clients are answered, before it is encoded in one of the protocol's two versions.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The reply to one command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// OK, the most frequent reply of all.
    Ok,
    /// A word.
    Simple(String),
    /// A code in capitals, a blank, and what is wrong.
    Error(String),
    /// A whole number.
    Integer(i64),
    /// Bytes.
    Bulk(Bytes),
    /// There is no value.
    Nil,
    /// Several replies.
    Array(Vec<Reply>),
    /// Pairs of key and value; in version 2 of the protocol, an array of twice the length.
    Map(Vec<(Reply, Reply)>),
}

impl Reply {
    /// An error: `code` in capitals, and what is wrong.
    pub fn error(code: &str, message: impl std::fmt::Display) -> Reply {
        Reply::Error(format!("{code} {message}"))
    }

    /// About how many bytes of memory the reply takes.
    ///
    /// A rule of the replicated state: which answers a session forgets depends on it.
    pub fn bytes(&self) -> u64 {
        /// What a reply takes besides its content.
        const OVERHEAD: u64 = 32;
        let content = match self {
            Reply::Ok | Reply::Integer(_) | Reply::Nil => 0,
            Reply::Simple(text) | Reply::Error(text) => text.len() as u64,
            Reply::Bulk(bytes) => bytes.len() as u64,
            Reply::Array(replies) => replies.iter().map(Reply::bytes).sum(),
            Reply::Map(pairs) => pairs
                .iter()
                .map(|(key, value)| key.bytes() + value.bytes())
                .sum(),
        };
        OVERHEAD + content
    }

    /// The bytes of a text.
    pub fn text(text: impl Into<String>) -> Reply {
        Reply::Bulk(Bytes::from(text.into()))
    }
}
