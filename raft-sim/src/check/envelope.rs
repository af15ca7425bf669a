//! A message on its way.

use super::canonical::{Canonical, Origin};
use raft_proto::{Action, Incarnation, Message, NodeId, trace};
use serde::Serialize;
use std::fmt;

/// A message on its way from one node to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Envelope {
    /// The sender.
    pub from: NodeId,
    /// Which of the sender's storages spoke.
    pub incarnation: Option<Incarnation>,
    /// The addressee.
    pub to: NodeId,
    /// What it says.
    pub message: Message,
}

impl Envelope {
    /// Its canonical form: no message holds an instant.
    pub fn canonical(&self) -> Canonical {
        Canonical::of(self, Origin::NONE)
    }
}

impl fmt::Display for Envelope {
    /// As the sender's trace shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node_at_term = trace::NodeAtTerm {
            node: self.from,
            term: self.message.term(),
        };
        let (to, message) = (self.to, self.message.clone());
        trace::action(node_at_term, &Action::Send { to, message }).fmt(f)
    }
}
