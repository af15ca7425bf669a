//! What clients are answered, before it is put into one of the protocol's two versions.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// OK, the most frequent of all.
    Ok,
    /// A word.
    Simple(String),
    /// A code in capitals, a blank, and what was wrong.
    Error(String),
    /// A number.
    Integer(i64),
    /// Bytes.
    Bulk(Bytes),
    /// Nothing there.
    Nil,
    /// Several.
    Array(Vec<Reply>),
    /// Pairs; in the protocol's second version, an array of twice the length.
    Map(Vec<(Reply, Reply)>),
}

impl Reply {
    /// An error: `code` in capitals, and what was wrong.
    pub fn error(code: &str, message: impl std::fmt::Display) -> Reply {
        Reply::Error(format!("{code} {message}"))
    }

    /// About how many bytes it takes. A rule of the replicated state: by it answers are forgotten.
    pub fn bytes(&self) -> u64 {
        /// What one takes without what it holds.
        const FRAME: u64 = 32;
        let inner = match self {
            Reply::Ok | Reply::Integer(_) | Reply::Nil => 0,
            Reply::Simple(text) | Reply::Error(text) => text.len() as u64,
            Reply::Bulk(bytes) => bytes.len() as u64,
            Reply::Array(replies) => replies.iter().map(Reply::bytes).sum(),
            Reply::Map(pairs) => pairs
                .iter()
                .map(|(key, value)| key.bytes() + value.bytes())
                .sum(),
        };
        FRAME + inner
    }

    /// Text.
    pub fn text(text: impl Into<String>) -> Reply {
        Reply::Bulk(Bytes::from(text.into()))
    }
}
