//! Why a node has to wait before it campaigns or votes.

use raft_proto::NodeId;
use std::fmt;

/// Why a node must not start an election, or vote, before a timeout has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// It granted its vote to this node.
    Granted(NodeId),
    /// It heard this node, the leader of its term.
    Heard(NodeId),
    /// It started, and may have heard a leader just before it stopped.
    Started,
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WaitReason::Granted(node) => write!(f, "granted its vote to {node}"),
            WaitReason::Heard(node) => write!(f, "heard its leader {node}"),
            WaitReason::Started => f.write_str("started"),
        }
    }
}
