//! Limits that were lowered while a node runs. What was there drains: it may stay above the new
//! limit, but does not grow. So the bound is what is left of it, and the new limit in the end.
//!
//! Sound: beyond its limit a node sends nothing more to a follower, so what is on its way to that
//! one only shrinks; and to a follower that it begins with, or probes, it sends no more than the
//! limit allows.

use raft_proto::{NodeId, PeerState, PeerStatus, Raft, Status};

/// What may be left of what greater limits allowed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Left {
    /// Appends on their way to one follower.
    pub inflight_appends: u32,
    /// Bytes on their way to one follower.
    pub inflight_bytes: u64,
    /// Data of one InstallSnapshot: a chunk is read, and sent as it was read.
    pub chunk_bytes: u64,
}

/// The limits that each node had before, since its process began. Nodes are few, so a linear search
/// is fastest.
#[derive(Debug, Default)]
pub(super) struct Former {
    left: Vec<(NodeId, Left)>,
}

impl Former {
    /// What is left at this node.
    pub(super) fn left(&self, id: NodeId) -> Left {
        let found = self.left.iter().find(|(node, _)| *node == id);
        found.map_or_else(Left::default, |(_, left)| *left)
    }

    /// The settings of `raft` may change in the present step.
    pub(super) fn note(&mut self, raft: &Raft, inflight_bytes: u64) {
        let (id, config) = (raft.id(), raft.config());
        let left = self.left(id);
        let left = Left {
            inflight_appends: left.inflight_appends.max(config.max_inflight_appends),
            inflight_bytes: left.inflight_bytes.max(inflight_bytes),
            chunk_bytes: left.chunk_bytes.max(config.snapshot_chunk_bytes),
        };
        self.forget(id);
        self.left.push((id, left));
    }

    /// No more is left than what is there now.
    pub(super) fn drain(&mut self, status: &Status) {
        let Some((_, left)) = self.left.iter_mut().find(|(node, _)| *node == status.id) else {
            return; // Nearly always.
        };
        let most = |of: fn(&PeerStatus) -> u64| status.peers.iter().map(of).max().unwrap_or(0);
        let appends = most(appends) as u32; // counted with as many
        left.inflight_appends = left.inflight_appends.min(appends);
        left.inflight_bytes = left.inflight_bytes.min(most(|peer| peer.inflight_bytes));
        if !status.peers.iter().any(is_sent_a_snapshot) {
            left.chunk_bytes = 0;
        }
    }

    /// The node has stopped.
    pub(super) fn forget(&mut self, id: NodeId) {
        self.left.retain(|(node, _)| *node != id);
    }
}

fn appends(peer: &PeerStatus) -> u64 {
    match peer.state {
        PeerState::Replicate { inflight } => inflight as u64,
        PeerState::Probe | PeerState::Snapshot { .. } => 0,
    }
}

fn is_sent_a_snapshot(peer: &PeerStatus) -> bool {
    matches!(peer.state, PeerState::Snapshot { .. })
}
