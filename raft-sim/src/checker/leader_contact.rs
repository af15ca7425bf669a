//! What it is to hear a leader: an AppendEntries or an InstallSnapshot of the receiver's term,
//! from whom the receiver then takes for its leader.

use raft_proto::{Action, Input, Message, NodeId, Raft, Term};

/// A message by which its sender says that it leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LeaderContact {
    pub(super) leader: NodeId,
    pub(super) term: Term,
    /// The round of questions whether it still leads (thesis 6.4), if the message asks.
    pub(super) round: Option<u64>,
}

impl LeaderContact {
    /// The claim that an input brings.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "only these messages come from a leader"
    )]
    pub(super) fn in_input(input: &Input) -> Option<LeaderContact> {
        let Input::Receive { from, message } = input else {
            return None;
        };
        let (term, round) = match message {
            Message::AppendEntries(request) => (request.term, Some(request.round)),
            Message::InstallSnapshot(request) => (request.term, None),
            _ => return None,
        };
        Some(LeaderContact {
            leader: *from,
            term,
            round,
        })
    }

    /// Whether `raft`, which has taken it and answered with `actions`, agrees.
    pub(super) fn is_taken(&self, raft: &Raft, actions: &[Action]) -> bool {
        let rejects = |action: &Action| matches!(action, Action::Rejected { .. });
        raft.term() == self.term
            && raft.leader() == Some(self.leader)
            && !actions.iter().any(rejects)
    }
}
