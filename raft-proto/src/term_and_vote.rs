//! currentTerm and votedFor (Figure 2, persistent state on all servers), behind one door.

use crate::action::HardState;
use crate::types::{NodeId, Term};
use crate::writes::Writes;
use serde::{Deserialize, Serialize};

/// currentTerm and votedFor. They change only by [`TermAndVote::set`], which only
/// `Raft::set_term_and_vote` in `transitions.rs` calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct TermAndVote(HardState);

impl TermAndVote {
    /// What the storage held at the start.
    pub(crate) fn recovered(hard_state: HardState) -> TermAndVote {
        TermAndVote(hard_state)
    }

    /// currentTerm.
    pub(crate) fn term(self) -> Term {
        self.0.term
    }

    /// votedFor.
    pub(crate) fn voted_for(self) -> Option<NodeId> {
        self.0.voted_for
    }

    /// Both, as they are written to the disk.
    pub(crate) fn get(self) -> HardState {
        self.0
    }

    /// Sets both, and stages them for this step's write: neither changes without being written.
    pub(crate) fn set(&mut self, term: Term, voted_for: Option<NodeId>, writes: &mut Writes) {
        debug_assert!(term >= self.0.term, "currentTerm never falls");
        debug_assert!(
            term > self.0.term || self.0.voted_for.is_none() || voted_for == self.0.voted_for,
            "a vote holds for the whole term"
        );
        self.0 = HardState { term, voted_for };
        writes.stage_hard_state();
    }
}
