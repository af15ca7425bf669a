//! CheckQuorum: "a leader [...] steps down if an election timeout elapses without a successful
//! round of heartbeats to a majority of its cluster" (thesis 6.2).
//!
//! Safety does not need this rule, but clients of such a leader would wait for ever. Reads under
//! its lease are another property's matter. The rule is checked when a leader looks at its clock (a
//! tick). Within twice the greatest election timeout, the leader must have heard a majority of its
//! voters, of both halves if they are joint. It is exempt if it was elected, or adopted other
//! voters, within that time.
//!
//! Sound: a core steps down after one such timeout, and looks whenever its deadline comes. Every
//! message counts here, while only some count for the core. The check applies only where
//! [`CheckQuorum::On`] is configured.
//!
//! Cost: a note for each message, and a pass over the voters for each tick of a leader.

use super::quorum::has_quorum;
use super::violation::Violation;
use raft_proto::{
    Action, CheckQuorum, Event, Input, Membership, NodeId, Raft, RoleKind, Term, Time,
};
use std::time::Duration;

/// A node, and when it last heard each of its peers.
#[derive(Clone, Debug)]
struct Contacts {
    node: NodeId,
    now: Time,
    is_tick: bool,
    leads: Option<Leadership>,
    heard: Vec<(NodeId, Time)>,
}

/// The term that a node leads in.
#[derive(Clone, Copy, Debug)]
struct Leadership {
    term: Term,
    /// Since when it has led with the voters that it has now.
    since: Time,
}

/// When each node last heard each of its peers, by its own clock.
#[derive(Debug, Default)]
pub struct QuorumContact {
    nodes: Vec<Contacts>,
}

impl QuorumContact {
    fn contacts(&mut self, node: NodeId) -> &mut Contacts {
        let at = self.nodes.iter().position(|contacts| contacts.node == node);
        let at = at.unwrap_or_else(|| {
            self.nodes.push(Contacts {
                node,
                now: Time::ZERO,
                is_tick: false,
                leads: None,
                heard: Vec::new(),
            });
            self.nodes.len() - 1
        });
        &mut self.nodes[at] // found or pushed
    }

    /// A node has stopped.
    pub fn stopped(&mut self, node: NodeId) {
        self.nodes.retain(|contacts| contacts.node != node);
    }

    /// `raft` is about to take `event`.
    pub fn event(&mut self, raft: &Raft, event: &Event) {
        let contacts = self.contacts(raft.id());
        contacts.now = contacts.now.max(event.at);
        contacts.is_tick = event.input == Input::Tick;
        if let Input::Receive { from, .. } = event.input {
            contacts.heard(from);
        }
    }

    /// `raft` has taken the last event and answered with `actions`.
    ///
    /// # Errors
    ///
    /// [`Violation::LeaderWithoutQuorum`].
    pub fn actions(&mut self, raft: &Raft, actions: &[Action]) -> Result<(), Violation> {
        let contacts = self.contacts(raft.id());
        if raft.role() != RoleKind::Leader {
            contacts.leads = None;
            return Ok(());
        }
        let term = raft.term();
        // New voters have to be heard only from now on.
        let changes = |action: &Action| matches!(action, Action::MembershipChanged { .. });
        if contacts
            .leads
            .is_none_or(|leadership| leadership.term != term)
            || actions.iter().any(changes)
        {
            contacts.leads = Some(Leadership {
                term,
                since: contacts.now,
            });
        }
        if !contacts.is_tick || raft.config().check_quorum == CheckQuorum::Off {
            return Ok(());
        }
        let limit = 2 * raft.config().election_timeout_max;
        contacts.check(raft.membership(), limit)
    }
}

impl Contacts {
    fn heard(&mut self, from: NodeId) {
        let now = self.now;
        match self.heard.iter_mut().find(|(peer, _)| *peer == from) {
            Some((_, at)) => *at = now,
            None => self.heard.push((from, now)),
        }
    }

    /// Whether a majority of each half of `members` has been heard within `limit`.
    fn check(&self, members: &Membership, limit: Duration) -> Result<(), Violation> {
        let Some(Leadership { term, since }) = self.leads else {
            return Ok(());
        };
        let has_heard = |id: NodeId| {
            let heard = self.heard.iter().find(|(peer, _)| *peer == id);
            let at = heard.map_or(since, |(_, at)| *at).max(since);
            id == self.node || at.after(limit) >= self.now
        };
        if has_quorum(members, has_heard) {
            return Ok(());
        }
        Err(Violation::LeaderWithoutQuorum {
            leader: self.node,
            term,
            limit,
        })
    }
}
