//! Why a node does not campaign, or step down, when it is asked to, and what to do next.

use super::fault::Fault;
use super::request::redirect;
use crate::types::NodeId;
use serde::{Deserialize, Serialize};

/// Why a node does not begin an election; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum CampaignError {
    /// This node leads.
    #[error("this node leads already")]
    IsLeader,
    /// This node's storage has lost entries that it had acknowledged
    /// ([`Recovered::impaired`](crate::Recovered::impaired)).
    #[error("this node's storage has lost entries; wait until the leader has sent them again")]
    Impaired,
    /// This node has no vote in the configuration in force: it is no member, a learner, or its
    /// number belongs to another storage.
    #[error("this node is no voter; make it one first")]
    NotVoter,
    /// With [`CheckQuorum::On`](crate::CheckQuorum::On), a node that was in contact with a leader
    /// within the least election timeout votes for nobody, itself included: that leader's lease
    /// rests on it.
    #[error(
        "this node hears a leader; ask that one to transfer its leadership, or wait for an \
         election timeout{}",
        redirect(*leader)
    )]
    HearsLeader {
        /// The leader, if it leads in the current term.
        leader: Option<NodeId>,
    },
    /// With [`CheckQuorum::On`](crate::CheckQuorum::On), a node does not vote within the least
    /// election timeout after its start: it may have heard a leader just before.
    #[error("this node has just started; ask again after an election timeout")]
    JustStarted,
    /// An election is under way: this node's term or vote is not on its disk yet.
    #[error("an election is under way; wait until this node's vote is on its disk")]
    UnderWay,
    /// There is no greater term.
    #[error("the greatest term is reached")]
    NoTermLeft,
    /// This instance has [`Faulted`](crate::Action::Faulted).
    #[error("this instance has faulted: {0}")]
    Faulted(Fault),
}

/// Why a node does not step down; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum StepDownError {
    /// It does not lead.
    #[error("not the leader{}", redirect(*leader))]
    NotLeader {
        /// The leader, if it is known: ask there.
        leader: Option<NodeId>,
    },
    /// This instance has [`Faulted`](crate::Action::Faulted).
    #[error("this instance has faulted: {0}")]
    Faulted(Fault),
}
