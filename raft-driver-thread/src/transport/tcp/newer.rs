//! Peers of newer releases. What this release does not know of their messages is left unread, as
//! [`wire`](raft_proto::wire) says, and that is noted.

use raft_proto::NodeId;
use std::fmt;

/// A peer at the other end of a connection. It is said once a connection that it is newer.
pub(super) struct NewerPeer {
    peer: NodeId,
    is_noted: bool,
}

impl NewerPeer {
    pub(super) fn new(peer: NodeId) -> NewerPeer {
        NewerPeer {
            peer,
            is_noted: false,
        }
    }

    /// A message came that this release does not know, or not whole.
    pub(super) fn note(&mut self, what: &dyn fmt::Display) {
        if !std::mem::replace(&mut self.is_noted, true) {
            let peer = self.peer;
            tracing::info!(%peer, %what, "a peer speaks a newer version");
        }
    }
}
