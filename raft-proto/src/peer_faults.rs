//! The misbehaviour of peers, counted.

use crate::error::Rejection;
use crate::types::{NodeId, Term};
use serde::{Deserialize, Serialize};

/// How often peers misbehaved, and which leader is not followed because of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct PeerFaults {
    rejected: u64,
    safety_violations: u64,
    /// The latest leader that contradicted what is committed.
    violator: Option<Violator>,
}

/// A leader that is not followed in this term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Violator {
    leader: NodeId,
    term: Term,
}

impl PeerFaults {
    /// Counts a message that was rejected.
    pub(crate) fn count(&mut self, reason: &Rejection) {
        self.rejected = self.rejected.saturating_add(1);
        if reason.is_safety_violation() {
            self.safety_violations = self.safety_violations.saturating_add(1);
        }
    }

    /// `leader` contradicted what is committed, and is not followed in `term` any more.
    pub(crate) fn stop_following(&mut self, leader: NodeId, term: Term) {
        self.violator = Some(Violator { leader, term });
    }

    /// Whether `leader` contradicted what is committed in `term`.
    pub(crate) fn is_violator(&self, leader: NodeId, term: Term) -> bool {
        self.violator == Some(Violator { leader, term })
    }

    /// How many messages were rejected.
    pub(crate) fn rejected(&self) -> u64 {
        self.rejected
    }

    /// How many of those show a broken safety property.
    pub(crate) fn safety_violations(&self) -> u64 {
        self.safety_violations
    }
}
