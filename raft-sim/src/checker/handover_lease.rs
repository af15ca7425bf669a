//! A leader that has asked a successor to campaign serves no read under its lease (thesis 3.10,
//! 6.4.1): voters answer that candidate although they hear the leader, so a new leader may be
//! elected and commit at any moment.
//!
//! That shows as a stale read only if a read comes between the successor's first commit and the old
//! leader's learning of it. So the checker watches the lease itself: after a TimeoutNow that a
//! leader sent, no lease read in the same term may be served, until the leader has told a peer by
//! AppendEntries that it has given that transfer up. Right after the TimeoutNow, and at some later
//! steps of the leader, it asks a copy of the core for such a read.
//!
//! Sound: the TimeoutNow may come late. A voter ignores its target only once it has heard that the
//! transfer is given up.
//!
//! Cost: a look at each message, and a copy of a core for each handover and for one in
//! [`ASK_EVERY`] steps of a leader that has asked a successor.

use super::violation::Violation;
use raft_proto::{
    Action, Event, Input, Lease, Message, NodeId, Raft, ReadMode, RequestId, RoleKind, Term, Time,
};

/// How many steps a leader that has asked a successor takes between two reads that it is asked for.
pub const ASK_EVERY: u32 = 64;

/// A leader, and the TimeoutNow that it has sent.
#[derive(Clone, Copy, Debug)]
struct Asked {
    leader: NodeId,
    term: Term,
    successor: NodeId,
    /// The number of the transfer.
    transfer: u64,
    /// Steps of the leader since it was last asked for a read.
    steps: u32,
}

/// Which leaders have asked a successor to campaign: nearly always none.
#[derive(Debug, Default)]
pub struct HandoverLeases {
    asked: Vec<Asked>,
    /// The time of the present step, by its node's clock, and whether it takes a lease read.
    now: Time,
    is_lease_read: bool,
}

impl HandoverLeases {
    /// A node has stopped. It leads no more in that term.
    pub fn stopped(&mut self, node: NodeId) {
        self.asked.retain(|asked| asked.leader != node);
    }

    /// A node is about to take `event`.
    pub fn event(&mut self, event: &Event) {
        self.now = event.at;
        self.is_lease_read = matches!(
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
        for action in actions {
            if let Action::Send { to, message } = action
                && let Message::TimeoutNow(request) = message
            {
                self.stopped(raft.id());
                self.asked.push(Asked {
                    leader: raft.id(),
                    term: request.term,
                    successor: *to,
                    transfer: request.transfer,
                    steps: ASK_EVERY,
                });
            }
        }
        if self.asked.is_empty() {
            return Ok(());
        }
        self.forget_given_up(raft.id(), actions);
        self.check(raft, actions)
    }

    /// A leader has told a peer that it has given its transfer up.
    fn forget_given_up(&mut self, leader: NodeId, actions: &[Action]) {
        for action in actions {
            if let Action::Send { message, .. } = action
                && let Message::AppendEntries(append) = message
            {
                self.asked
                    .retain(|asked| asked.leader != leader || append.revoked < asked.transfer);
            }
        }
    }

    /// Whether a leader that has asked a successor serves a read.
    fn check(&mut self, raft: &Raft, actions: &[Action]) -> Result<(), Violation> {
        let leads = raft.role() == RoleKind::Leader && raft.config().lease != Lease::Off;
        let (leader, term) = (raft.id(), raft.term());
        self.asked
            .retain(|asked| asked.leader != leader || leads && asked.term == term);
        let mut all = self.asked.iter_mut();
        let Some(asked) = all.find(|asked| asked.leader == leader) else {
            return Ok(());
        };
        asked.steps += 1;
        let is_asked = asked.steps > ASK_EVERY;
        if is_asked {
            asked.steps = 0;
        }
        let is_served = self.is_lease_read && serves(actions);
        if is_served || is_asked && would_serve(raft, self.now) {
            return Err(Violation::LeaseAfterTimeoutNow {
                leader,
                term,
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
