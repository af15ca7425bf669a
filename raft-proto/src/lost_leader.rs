//! When a node takes the leader that it hears for gone, and what it does then.
//!
//! A server that stops closes its connections, so its peers' transports know at once what an
//! election timeout would tell them later ([`Unreachable`](crate::Input::Unreachable)). Such a hint
//! may be wrong, and "timing never affects the result" (section 5.6): it moves only *when* a
//! follower asks for pre-votes, and until when it ignores candidates. Two things hold whatever the
//! transport says:
//!
//! * A node that has lost its leader still asks for pre-votes first (thesis 9.6): nobody begins a
//!   term unless a majority has lost that leader too. With Pre-Vote off, a hint means nothing.
//!   With CheckQuorum off, voters that hear the leader grant pre-votes, too: then a hint is only a
//!   reason to ask whether the leader hears this node (`deaf_leader.rs`).
//! * What the node promised to the leader for its lease (`lease.rs`). The leader may be well, and
//!   serve reads. Until the promise ends, the node votes for no candidate but one that this leader
//!   asked for, and does not campaign: a candidate votes for itself.
//!
//! A transport that is wrong is not believed again and again: if the leader is heard after a hint,
//! in the same term, the next one within the greatest election timeout is ignored.

use crate::action::Action;
use crate::config::{CheckQuorum, PreVoting};
use crate::raft::Raft;
use crate::role::Role;
use crate::types::NodeId;
use alloc::vec::Vec;
use core::time::Duration;

/// The last turn of a follower whose leader has ended: all further ones share it.
const LAST_TURN: usize = 7;

impl Raft {
    /// The transport cannot reach `peer`. If this node follows it, it asks for pre-votes soon, when
    /// it is its turn.
    ///
    /// One that receives a snapshot does not ask so soon. It lacks entries that are committed, and
    /// would lose (section 5.4.1); and if the hint is wrong, what it has received would be sent
    /// again.
    pub(crate) fn leader_unreachable(&mut self, peer: NodeId) {
        let (now, term) = (self.now, self.hard_state.term());
        let Role::Follower(follower) = &self.role else {
            return;
        };
        if follower.leader() != Some(peer) || self.config.pre_vote == PreVoting::Off {
            return;
        }
        let receives_snapshot = follower.incoming.is_some();
        match self.config.check_quorum {
            CheckQuorum::On => {
                let timeout = self.config.election_timeout_max;
                if self.leader_contact.lose(now, term, timeout) && !receives_snapshot {
                    let turn = self.turn_after(peer);
                    self.hasten_election(turn);
                }
            }
            CheckQuorum::Off => self.doubt_unreachable_leader(),
        }
    }

    /// When this voter asks for pre-votes after the end of `leader`. All followers hear of that at
    /// once, so that timers which are drawn from a short range would split many votes (section 9.3).
    /// They take turns by their numbers instead, half a heartbeat interval apart. If one cannot win,
    /// the next one asks.
    fn turn_after(&mut self, leader: NodeId) -> Duration {
        let (own, apart) = (self.config.node_id, self.config.heartbeat_interval / 2);
        let voters = self.configurations.membership().voters();
        let before = voters.filter(|id| *id < own && *id != leader).count();
        let turn = u32::try_from(before.min(LAST_TURN)).unwrap_or(0); // At most 7.
        apart * turn + self.timeouts.draw_below(apart / 2, &self.config)
    }

    /// A follower's election timeout elapses after `delay` from now, or from when its promises to
    /// leaders end: those that it knows, and those from before its start (`check_quorum.rs`). One
    /// that its leader has asked to take over waits a heartbeat interval longer: it has asked for
    /// pre-votes already, and voters that hear the leader grant only those (3.10).
    pub(crate) fn hasten_election(&mut self, delay: Duration) {
        let interval = self.config.heartbeat_interval;
        let promised_until = self.leader_contact.promised_until();
        let from = self.now.max(promised_until).max(self.no_votes_before);
        if let Role::Follower(follower) = &mut self.role {
            let from = if follower.transfer.is_some() {
                from.after(interval)
            } else {
                from
            };
            follower.hasten_election(from.after(delay));
        }
    }

    /// Whether a lease may rest on this node.
    pub(crate) fn has_promised(&self) -> bool {
        self.now < self.leader_contact.promised_until()
    }

    /// The election timeout elapsed, and a promise to a leader holds: that leader asked for a
    /// longer one than this node's own timeout.
    pub(crate) fn wait_for_promise(&mut self, actions: &mut Vec<Action>) {
        let until = self.leader_contact.promised_until();
        self.become_follower(None, actions);
        if let Role::Follower(follower) = &mut self.role {
            follower.wait_until(until);
        }
    }
}
