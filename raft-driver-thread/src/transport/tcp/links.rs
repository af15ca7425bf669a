//! The links to all peers, for threads that notice that a peer has fallen silent.

use super::hello::StreamKind;
use super::link::Link;
use raft_proto::NodeId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
pub(super) struct Links(Mutex<BTreeMap<(NodeId, StreamKind), Arc<Link>>>);

impl Links {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(NodeId, StreamKind), Arc<Link>>> {
        // No code of others runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, peer: NodeId, kind: StreamKind, link: Arc<Link>) {
        self.lock().insert((peer, kind), link);
    }

    pub(super) fn remove(&self, peer: NodeId, kind: StreamKind) {
        self.lock().remove(&(peer, kind));
    }

    /// See [`Link::reconnect`]: the connections to this peer may have gone dead unnoticed.
    pub(super) fn reconnect(&self, peer: NodeId) {
        for kind in [StreamKind::Messages, StreamKind::Snapshots] {
            let link = self.lock().get(&(peer, kind)).cloned();
            if let Some(link) = link {
                link.reconnect();
            }
        }
    }
}
