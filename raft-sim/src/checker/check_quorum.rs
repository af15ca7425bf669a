//! CheckQuorum: "a leader [...] steps down if an election timeout elapses without a successful
//! round of heartbeats to a majority of its cluster" (thesis 6.2).
//!
//! Safety does not need this rule, but clients of such a leader would wait for ever. Reads under
//! its lease are another property's matter. The rule is checked when a leader looks at its clock (a
//! tick). Within twice the greatest election timeout, the leader must have heard a majority of its
//! voters, of both halves if they are joint. It is exempt if it was elected, or adopted other
//! voters, within that time. What another disk says under a voter's number is not heard.
//!
//! Sound: a core steps down after one such timeout, and looks whenever its deadline comes. Every
//! message counts here, while only some count for the core. The check applies only where
//! [`CheckQuorum::On`] is configured.
//!
//! And the other way round: a leader whose clock makes it step down has heard no majority for an
//! election timeout. A voter counts as heard when it became one: nobody can have answered as a
//! voter before that. Here only replies to AppendEntries of the leader's own term count. A leader
//! whose own disk has made no progress for as long steps down by another rule.
//!
//! Cost: a note for each message, and a pass over the voters for each tick of a leader.

use super::observation::speaks_for_member;
use super::quorum::has_quorum;
use super::violation::Violation;
use raft_proto::{
    Action, CheckQuorum, Event, Input, Membership, Message, NodeId, Raft, RoleKind, Term, Time,
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
    /// Since it was elected: when each follower last answered, or became a voter.
    answered: Vec<(NodeId, Time)>,
    /// The members when it last took a step as a leader.
    members: Membership,
    /// When its last write was reported as persisted.
    persisted_at: Time,
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
                answered: Vec::new(),
                members: Membership::default(),
                persisted_at: Time::ZERO,
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
        if let Input::Receive {
            from,
            incarnation,
            message,
        } = &event.input
        {
            if !speaks_for_member(raft, *from, *incarnation) {
                return;
            }
            note(&mut contacts.heard, *from, contacts.now);
            if let Message::AppendEntriesReply(reply) = message
                && contacts.leads.is_some_and(|it| it.term == reply.term)
            {
                note(&mut contacts.answered, *from, contacts.now);
            }
        } else if matches!(event.input, Input::Persisted { .. }) {
            contacts.persisted_at = contacts.now;
        }
    }

    /// `raft` has taken the last event and answered with `actions`.
    ///
    /// # Errors
    ///
    /// [`Violation::LeaderWithoutQuorum`], [`Violation::LeaderGaveUp`].
    pub fn actions(&mut self, raft: &Raft, actions: &[Action]) -> Result<(), Violation> {
        let contacts = self.contacts(raft.id());
        if raft.role() != RoleKind::Leader {
            return match contacts.leads.take() {
                Some(Leadership { term, .. }) if term == raft.term() && contacts.is_tick => {
                    contacts.check_resignation(raft)
                }
                Some(_) | None => Ok(()),
            };
        }
        contacts.note_leadership(raft, actions);
        if !contacts.is_tick || raft.config().check_quorum == CheckQuorum::Off {
            return Ok(());
        }
        let limit = 2 * raft.config().election_timeout_max;
        contacts.check(raft.membership(), limit)
    }
}

/// Notes that something was last seen of `node` at `now`.
fn note(times: &mut Vec<(NodeId, Time)>, node: NodeId, now: Time) {
    match times.iter_mut().find(|(peer, _)| *peer == node) {
        Some((_, at)) => *at = now,
        None => times.push((node, now)),
    }
}

impl Contacts {
    /// It leads. New voters have to be heard only from now on.
    fn note_leadership(&mut self, raft: &Raft, actions: &[Action]) {
        let (now, term) = (self.now, raft.term());
        let changes = |action: &Action| matches!(action, Action::MembershipChanged { .. });
        if self.leads.is_none_or(|leadership| leadership.term != term) {
            self.answered.clear();
        } else if actions.iter().any(changes) {
            for voter in raft.membership().voters() {
                if !self.members.is_voter(voter) {
                    note(&mut self.answered, voter, now);
                }
            }
        } else {
            return;
        }
        self.members.clone_from(raft.membership());
        self.leads = Some(Leadership { term, since: now });
    }

    /// It has stepped down because of its clock.
    fn check_resignation(&self, raft: &Raft) -> Result<(), Violation> {
        let (now, limit) = (self.now, raft.config().election_timeout_max);
        let is_recent = |at: Time| at.after(limit) > now;
        let may_stall = !is_recent(self.persisted_at) && raft.status().writes_under_way > 0;
        if may_stall || raft.fault().is_some() || raft.config().check_quorum == CheckQuorum::Off {
            return Ok(());
        }
        let has_answered = |id: NodeId| {
            let mut answered = self.answered.iter();
            id == self.node || answered.any(|(peer, at)| *peer == id && is_recent(*at))
        };
        if !has_quorum(raft.membership(), has_answered) {
            return Ok(());
        }
        Err(Violation::LeaderGaveUp {
            leader: self.node,
            term: raft.term(),
            limit,
        })
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
