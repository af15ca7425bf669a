//! How a follower hears its leader while long entries are on their way to it.
//!
//! A heartbeat asks whether all that was sent has arrived (`replication.rs`), so it has to stay
//! behind it. An entry that is longer than all windows may take longer than an election timeout.
//! So another heartbeat asks about the entry before what is on its way: no follower rejects it, and
//! a transport can let it overtake (`guide::transports`).

use crate::action::Action;
use crate::entries::Entries;
use crate::progress::{Flow, Peer};
use crate::replication::Replicator;
use crate::window::Window;
use alloc::vec::Vec;

impl Replicator<'_> {
    /// A heartbeat is due: sends one that may overtake, if much is on its way.
    pub(crate) fn sign_of_life(&self, peer: &mut Peer, actions: &mut Vec<Action>) {
        if let Flow::Replicate(inflight) = &peer.flow
            && inflight.bytes() > Window::START_BYTES
            && let Some(prev) = inflight.first_prev()
        {
            self.send_append(peer, prev, Entries::EMPTY, actions);
        }
    }
}
