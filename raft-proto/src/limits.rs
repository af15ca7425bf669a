//! Limits that differ between nodes: each node has its own config, and while one is being changed
//! it cannot be the same on all.
//!
//! Each reply to AppendEntries says what its sender takes. A leader accepts only commands that
//! every voter takes which it has heard in its term, and names the one that takes less. It sends
//! each peer no more in one message than that peer takes.
//!
//! An entry may be in the log already when a voter with a lower limit comes: it was accepted while
//! that voter was silent, or under another leader. A follower that refused it could follow that
//! leader no more, and if a majority did, nothing would be committed again. So a follower takes
//! each entry whose message fits its frames; those bound its memory.
//!
//! Frames have at least 16 MiB. If an entry is longer, and longer than a peer's frames, the leader
//! reports it and sends that peer nothing from that entry on. It goes on with the other voters. The
//! peer goes on once it takes more, or when a snapshot stands for the entry. Heartbeats never stop.

use crate::action::Action;
use crate::command_limit::{CommandLimit, TooLarge};
use crate::config::Config;
use crate::message::MessageLimits;
use crate::progress::Peer;
use crate::raft::Raft;
use crate::replication::Replicator;
use crate::role::Role;
use crate::types::Index;
use crate::wire::Limits;
use alloc::vec::Vec;

impl Config {
    /// What a node with these settings takes in one message.
    pub(crate) fn message_limits(&self) -> MessageLimits {
        MessageLimits {
            max_entry_bytes: self.max_entry_bytes,
            max_payload_bytes: Limits::for_config(self).max_payload_bytes(),
            level: self.level,
        }
    }
}

impl Peer {
    /// It has said what it takes. Whether that differs from what it said before.
    pub(crate) fn learn_limits(&mut self, limits: Option<MessageLimits>) -> bool {
        if limits.is_none() || self.limits == limits {
            return false;
        }
        self.limits = limits;
        // It was started anew with a greater limit.
        let takes = limits.map_or(0, |limits| limits.max_payload_bytes);
        self.too_large.take_if(|entry| entry.size <= takes);
        true
    }

    /// How much of `own`, this node's own limit, may be sent to this peer in one message. Every
    /// node takes [`Limits::LEAST_MAX_FRAME_BYTES`] with all that is around the contents, so a peer
    /// that has said nothing yet is sent no more than that.
    pub(crate) fn payload_limit(&self, own: u64) -> u64 {
        let takes = self.limits.map(|limits| limits.max_payload_bytes);
        own.min(takes.unwrap_or(Limits::LEAST_MAX_PAYLOAD_BYTES))
    }

    /// The last entry that may be sent to this peer, in a log that ends at `last`.
    pub(crate) fn last_to_send(&self, last: Index) -> Index {
        match self.too_large {
            Some(entry) if entry.index > self.match_index => last.min(entry.index.previous()),
            Some(_) | None => last,
        }
    }
}

impl Raft {
    /// Computes the longest command that all voters take which were heard in this term.
    pub(crate) fn limit_commands(&mut self) {
        let membership = self.configurations.membership();
        let mut limit = CommandLimit::own(&self.config);
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        let voters = leader.peers.iter();
        for peer in voters.filter(|peer| membership.is_voter(peer.id)) {
            if let Some(limits) = peer.limits
                && limits.max_entry_bytes < limit.bytes
            {
                limit = CommandLimit {
                    bytes: limits.max_entry_bytes,
                    node: Some(peer.id),
                };
            }
        }
        leader.command_limit = limit;
    }
}

impl Replicator<'_> {
    /// No message that `peer` takes, which are of up to `limit` bytes, can bring it this entry: it
    /// is sent nothing from there on.
    pub(crate) fn hold_back(
        &self,
        peer: &mut Peer,
        entry: TooLarge,
        limit: u64,
        actions: &mut Vec<Action>,
    ) {
        peer.too_large = Some(entry);
        actions.push(Action::EntryRefused {
            peer: peer.id,
            index: entry.index,
            size: entry.size,
            limit,
        });
    }
}
