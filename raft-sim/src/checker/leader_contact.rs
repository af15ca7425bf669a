//! Contact with a leader: an AppendEntries or an InstallSnapshot of the receiver's term, after
//! which the receiver takes the sender for its leader.

use core::time::Duration;
use raft_proto::{Action, Input, Message, NodeId, PreVoting, Raft, Term};

/// A message that only a leader sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LeaderContact {
    pub(super) leader: NodeId,
    pub(super) term: Term,
    /// The round of heartbeats by which the sender confirms its leadership (thesis 6.4), if the
    /// message belongs to one.
    pub(super) round: Option<u64>,
    /// The transfers of leadership that the sender has given up, if the message says so.
    pub(super) revoked: Option<u64>,
    /// For how long the receiver is asked to elect nobody else.
    pub(super) promise: Duration,
}

impl LeaderContact {
    /// The contact that an input brings.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "only these messages come from a leader"
    )]
    pub(super) fn in_input(input: &Input) -> Option<LeaderContact> {
        let Input::Receive { from, message, .. } = input else {
            return None;
        };
        let (term, round, revoked, millis) = match message {
            Message::AppendEntries(request) => (
                request.term,
                Some(request.round),
                Some(request.revoked),
                request.promise_millis,
            ),
            Message::InstallSnapshot(request) => (request.term, None, None, 0),
            _ => return None,
        };
        Some(LeaderContact {
            leader: *from,
            term,
            round,
            revoked,
            promise: Duration::from_millis(millis.into()),
        })
    }

    /// Whether `raft`, which has taken the message and answered with `actions`, follows the sender.
    pub(super) fn is_accepted(&self, raft: &Raft, actions: &[Action]) -> bool {
        let rejects = |action: &Action| matches!(action, Action::Rejected { .. });
        raft.term() == self.term
            && raft.leader() == Some(self.leader)
            && !actions.iter().any(rejects)
    }
}

/// Whether this input tells `raft`, a follower, that the transport cannot reach its leader. With
/// Pre-Vote it may then take the leader for gone.
pub(super) fn loses_leader(raft: &Raft, input: &Input) -> bool {
    let follows = |peer| raft.leader() == Some(peer) && raft.config().pre_vote == PreVoting::On;
    matches!(input, Input::Unreachable { peer } if follows(*peer))
}
