//! A reply with a greater term makes a node a follower (section 5.1) only if its sender is a member
//! of a configuration that may be in force. A node that was removed may be in any term, and goes on
//! answering: a leader that adopts its term is deposed by a node that does not count.
//!
//! The checker looks at each reply of a greater term, at the receiver's configurations from its
//! commitIndex on, and at whether the step took the term over. Requests are another matter: a
//! receiver may not know yet the configuration that made their sender a member (thesis 4.2.2).
//!
//! Sound: a node that begins a term by itself in the same step is no follower in it. A node that
//! knows no members takes any term.
//!
//! Cost: a comparison a step; a search in the receiver's configurations for each reply of a greater
//! term.

use super::configuration_in_force::ConfigurationsInForce;
use super::violation::Violation;
use raft_proto::{Event, Input, MessageKind, NodeId, Raft, RoleKind, Term};

/// What each node's present step hears. Nodes take their steps one after another, so there is one.
#[derive(Debug, Default)]
pub struct Strangers {
    heard: Option<(NodeId, Term)>,
}

impl Strangers {
    /// `raft` is about to take `event`, with the configurations that it has until then.
    pub fn event(&mut self, raft: &Raft, event: &Event, configurations: &ConfigurationsInForce) {
        self.heard = None;
        if let Input::Receive { from, message, .. } = &event.input
            && message.term() > raft.term()
            && is_reply(message.kind())
            && !configurations.may_count(raft, *from)
        {
            self.heard = Some((*from, message.term()));
        }
    }

    /// `raft` has taken the last event.
    ///
    /// # Errors
    ///
    /// [`Violation::TermOfStranger`].
    pub fn actions(&mut self, raft: &Raft) -> Result<(), Violation> {
        match self.heard.take() {
            Some((from, term)) if raft.term() == term && raft.role() == RoleKind::Follower => {
                Err(Violation::TermOfStranger {
                    node: raft.id(),
                    from,
                    term,
                })
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn is_reply(kind: MessageKind) -> bool {
    match kind {
        MessageKind::RequestVoteReply
        | MessageKind::AppendEntriesReply
        | MessageKind::InstallSnapshotReply
        | MessageKind::PreVoteReply
        | MessageKind::ReadIndexReply => true,
        MessageKind::RequestVote
        | MessageKind::AppendEntries
        | MessageKind::InstallSnapshot
        | MessageKind::PreVote
        | MessageKind::TimeoutNow
        | MessageKind::ReadIndex => false,
    }
}
