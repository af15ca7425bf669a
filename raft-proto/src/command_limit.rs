//! What limits a leader because of a peer. The rules are in `limits.rs`.

use crate::config::Config;
use crate::types::{Index, NodeId};
use serde::{Deserialize, Serialize};

/// An entry that fits no message that a peer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct TooLarge {
    pub(crate) index: Index,
    /// Its length with overhead.
    pub(crate) size: u64,
}

/// The longest command that a leader takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct CommandLimit {
    pub(crate) bytes: u64,
    /// The voter that takes no more; `None` if it is this leader itself.
    pub(crate) node: Option<NodeId>,
}

impl CommandLimit {
    /// Nothing was heard from the voters yet.
    pub(crate) fn own(config: &Config) -> CommandLimit {
        CommandLimit {
            bytes: config.max_entry_bytes,
            node: None,
        }
    }
}
