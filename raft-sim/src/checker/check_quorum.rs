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
use super::violation::Broken;
use raft_proto::{
    Action, CheckQuorum as Setting, Event, Input, Membership, NodeId, Raft, RoleKind, Term, Time,
};
use std::time::Duration;

/// A node, and whom it has heard.
#[derive(Clone, Debug)]
struct Ear {
    node: NodeId,
    now: Time,
    is_tick: bool,
    /// The term that it leads in, and since when, with the voters that it has now.
    leads: Option<(Term, Time)>,
    heard: Vec<(NodeId, Time)>,
}

/// Whom each node has heard, and when by its own clock.
#[derive(Debug, Default)]
pub struct CheckQuorum {
    ears: Vec<Ear>,
}

impl CheckQuorum {
    fn ear(&mut self, node: NodeId) -> &mut Ear {
        let at = self.ears.iter().position(|ear| ear.node == node);
        let at = at.unwrap_or_else(|| {
            self.ears.push(Ear {
                node,
                now: Time::ZERO,
                is_tick: false,
                leads: None,
                heard: Vec::new(),
            });
            self.ears.len() - 1
        });
        &mut self.ears[at] // found or pushed
    }

    /// A node stopped.
    pub fn stopped(&mut self, node: NodeId) {
        self.ears.retain(|ear| ear.node != node);
    }

    /// `raft` is about to take `event`.
    pub fn event(&mut self, raft: &Raft, event: &Event) {
        let ear = self.ear(raft.id());
        ear.now = ear.now.max(event.at);
        ear.is_tick = event.input == Input::Tick;
        if let Input::Receive { from, .. } = event.input {
            ear.heard(from);
        }
    }

    /// `raft` has taken the last event and answered with `actions`.
    ///
    /// # Errors
    ///
    /// [`Broken::LeadsUnheard`].
    pub fn actions(&mut self, raft: &Raft, actions: &[Action]) -> Result<(), Broken> {
        let ear = self.ear(raft.id());
        if raft.role() != RoleKind::Leader {
            ear.leads = None;
            return Ok(());
        }
        let term = raft.term();
        // New voters have to be heard from now on.
        let changes = |action: &Action| matches!(action, Action::MembershipChanged { .. });
        if ear.leads.is_none_or(|(led, _)| led != term) || actions.iter().any(changes) {
            ear.leads = Some((term, ear.now));
        }
        if !ear.is_tick || raft.config().check_quorum == Setting::Off {
            return Ok(());
        }
        let limit = 2 * raft.config().election_timeout_max;
        ear.judge(raft.membership(), limit)
    }
}

impl Ear {
    fn heard(&mut self, from: NodeId) {
        let now = self.now;
        match self.heard.iter_mut().find(|(peer, _)| *peer == from) {
            Some((_, at)) => *at = now,
            None => self.heard.push((from, now)),
        }
    }

    /// Whether a majority of each half of `members` has been heard within `limit`.
    fn judge(&self, members: &Membership, limit: Duration) -> Result<(), Broken> {
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
            false => Err(Broken::LeadsUnheard {
                leader: self.node,
                term,
                limit,
            }),
        }
    }
}
