//! A leader that has asked a successor to campaign serves no read under its lease (thesis 3.10,
//! 6.4.1): voters answer that candidate although they hear the leader, so a new leader may be
//! elected and commit at any moment.
//!
//! That shows as a stale read only if a read comes between the successor's first commit and the old
//! leader's learning of it. So the checker watches the lease itself: after a TimeoutNow that a
//! leader sent, no lease read in the same term may be served. Right after the TimeoutNow, and at
//! some later steps of the leader, it asks a copy of the core for such a read.
//!
//! Sound: the message may come late, and nothing in the term tells that it never will.
//!
//! Cost: a look at each message, and a copy of a core for each handover and for one in
//! [`ASK_EVERY`] steps of a leader that has asked a successor.

use super::violation::Violation;
use raft_proto::{
    Action, Event, Input, Lease, Message, NodeId, Raft, ReadMode, RequestId, RoleKind, Term, Time,
};

/// How many steps a leader that has asked a successor takes between two reads that it is asked for.
pub const ASK_EVERY: u32 = 64;

/// A node, and whom it has asked to campaign.
#[derive(Clone, Copy, Debug)]
struct Node {
    id: NodeId,
    now: Time,
    is_lease_read: bool,
    asked: Option<Asked>,
}

/// A TimeoutNow that was sent.
#[derive(Clone, Copy, Debug)]
struct Asked {
    term: Term,
    successor: NodeId,
    /// Steps of the leader since it was last asked for a read.
    steps: u32,
}

/// Which leaders have asked a successor to campaign. Nodes are few, so a linear search is fastest.
#[derive(Debug, Default)]
pub struct HandoverLeases {
    nodes: Vec<Node>,
}

impl HandoverLeases {
    fn node(&mut self, id: NodeId) -> &mut Node {
        let at = self.nodes.iter().position(|node| node.id == id);
        let at = at.unwrap_or_else(|| {
            self.nodes.push(Node {
                id,
                now: Time::ZERO,
                is_lease_read: false,
                asked: None,
            });
            self.nodes.len() - 1
        });
        &mut self.nodes[at] // found or pushed
    }

    /// A node has stopped. It leads no more in that term.
    pub fn stopped(&mut self, node: NodeId) {
        self.nodes.retain(|other| other.id != node);
    }

    /// `raft` is about to take `event`.
    pub fn event(&mut self, raft: &Raft, event: &Event) {
        if raft.config().lease == Lease::Off {
            return;
        }
        let node = self.node(raft.id());
        node.now = node.now.max(event.at);
        node.is_lease_read = matches!(
            event.input,
            Input::Read {
                mode: ReadMode::Lease,
                ..
            }
        );
    }

    /// `raft` has taken the last event and answered with `actions`.
    ///
    /// # Errors
    ///
    /// [`Violation::LeaseAfterTimeoutNow`].
    pub fn actions(&mut self, raft: &Raft, actions: &[Action]) -> Result<(), Violation> {
        if raft.config().lease == Lease::Off {
            return Ok(());
        }
        let node = self.node(raft.id());
        for action in actions {
            if let Action::Send { to, message } = action
                && let Message::TimeoutNow(request) = message
            {
                node.asked = Some(Asked {
                    term: request.term,
                    successor: *to,
                    steps: ASK_EVERY,
                });
            }
        }
        let now = node.now;
        let is_served = core::mem::take(&mut node.is_lease_read) && serves(actions);
        let Some(asked) = &mut node.asked else {
            return Ok(());
        };
        if asked.term != raft.term() || raft.role() != RoleKind::Leader {
            node.asked = None;
            return Ok(());
        }
        asked.steps += 1;
        let is_asked = asked.steps > ASK_EVERY;
        if is_asked {
            asked.steps = 0;
        }
        if is_served || is_asked && would_serve(raft, now) {
            return Err(Violation::LeaseAfterTimeoutNow {
                leader: raft.id(),
                term: asked.term,
                successor: asked.successor,
            });
        }
        Ok(())
    }
}

/// Whether the core would serve a lease read now.
fn would_serve(raft: &Raft, at: Time) -> bool {
    let input = Input::Read {
        id: RequestId(u64::MAX),
        mode: ReadMode::Lease,
    };
    serves(&raft.clone().step(Event { at, input }))
}

fn serves(actions: &[Action]) -> bool {
    let is_served = |action: &Action| matches!(action, Action::Read { outcome: Ok(_), .. });
    actions.iter().any(is_served)
}
