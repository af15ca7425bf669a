//! CheckQuorum: "a leader [...] steps down if an election timeout elapses without a successful
//! round of heartbeats to a majority of its cluster" (thesis 6.2).
//!
//! Safety does not need this either: clients of such a leader wait for ever, and reads under its
//! lease are another property's matter. A leader that has just looked at its clock (a tick) must
//! have heard a majority of its voters, of both halves if they are joint, within twice the
//! greatest election timeout, or else have begun to lead, or have taken on other voters, within that time.
//!
//! Sound: a core gives up after one such timeout, looks whenever its deadline comes, and every
//! message counts here, while for the core only some do. Only where the core is told to
//! ([`raft_proto::CheckQuorum::On`]).
//!
//! Cost: a note for each message, a pass over the voters for each tick of a leader.

use super::quorum::has_quorum;
use super::violation::Violation;
use raft_proto::{
    Action, CheckQuorum, Event, Input, Membership, NodeId, Raft, RoleKind, Term, Time,
};
use std::time::Duration;

/// A node, and whom it has heard.
#[derive(Clone, Debug)]
struct Contacts {
    node: NodeId,
    now: Time,
    is_tick: bool,
    /// The term that it leads in, and since when, with the voters that it has now.
    leads: Option<(Term, Time)>,
    heard: Vec<(NodeId, Time)>,
}

/// Whom each node has heard, and when by its own clock.
#[derive(Debug, Default)]
pub struct QuorumContact {
    leaders: Vec<Contacts>,
}

impl QuorumContact {
    fn contacts(&mut self, node: NodeId) -> &mut Contacts {
        let at = self
            .leaders
            .iter()
            .position(|contacts| contacts.node == node);
        let at = at.unwrap_or_else(|| {
            self.leaders.push(Contacts {
                node,
                now: Time::ZERO,
                is_tick: false,
                leads: None,
                heard: Vec::new(),
            });
            self.leaders.len() - 1
        });
        &mut self.leaders[at] // found or pushed
    }

    /// A node stopped.
    pub fn stopped(&mut self, node: NodeId) {
        self.leaders.retain(|contacts| contacts.node != node);
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
        // New voters have to be heard from now on.
        let changes = |action: &Action| matches!(action, Action::MembershipChanged { .. });
        if contacts.leads.is_none_or(|(led, _)| led != term) || actions.iter().any(changes) {
            contacts.leads = Some((term, contacts.now));
        }
        if !contacts.is_tick || raft.config().check_quorum == CheckQuorum::Off {
            return Ok(());
        }
        let limit = 2 * raft.config().election_timeout_max;
        contacts.judge(raft.membership(), limit)
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
    fn judge(&self, members: &Membership, limit: Duration) -> Result<(), Violation> {
        let Some((term, since)) = self.leads else {
            return Ok(());
        };
        let hears = |id: NodeId| {
            let heard = self.heard.iter().find(|(peer, _)| *peer == id);
            let at = heard.map_or(since, |(_, at)| *at).max(since);
            id == self.node || at.after(limit) >= self.now
        };
        match has_quorum(members, hears) {
            true => Ok(()),
            false => Err(Violation::LeaderWithoutQuorum {
                leader: self.node,
                term,
                limit,
            }),
        }
    }
}
