//! How disk identity was violated.

use super::nodes::Nodes;
use raft_proto::{Index, NodeId, Term};

/// What counted, or was taken, although it came from another disk than a member's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiskIdentityBroken {
    /// A leader's votes.
    #[error(
        "{leader} leads in term {term}: of the disks that its configuration names, only those of \
         {voters} have voted for it"
    )]
    LeadsByForeignVotes {
        /// The leader.
        leader: NodeId,
        /// Its term.
        term: Term,
        /// Those whose votes count.
        voters: Nodes,
    },
    /// What a leader commits.
    #[error(
        "{leader} has committed index {index}: of the disks that its configuration names, only \
         those of {holders} have acknowledged it"
    )]
    CommittedByForeignDisks {
        /// The leader.
        leader: NodeId,
        /// The index.
        index: Index,
        /// Those whose acknowledgements count.
        holders: Nodes,
    },
    /// A term.
    #[error(
        "{node} entered term {term} because of {from}, whose disk its configuration does not name"
    )]
    TermOfForeignDisk {
        /// The node.
        node: NodeId,
        /// The sender of the message.
        from: NodeId,
        /// The term.
        term: Term,
    },
    /// A change of the membership.
    #[error("{leader} named another disk for the voter {voter}, which was no learner before")]
    VoterExchanged {
        /// The leader.
        leader: NodeId,
        /// The voter.
        voter: NodeId,
    },
    /// A history.
    #[error("{node} took entries of a cluster that was founded another time")]
    HistoriesMixed {
        /// The node.
        node: NodeId,
    },
    /// A change of the membership names a disk.
    #[error("{leader} named a disk for {node} that it has not heard since {node} is a member")]
    NamedUnheard {
        /// The leader.
        leader: NodeId,
        /// The member.
        node: NodeId,
    },
    /// A disk asks for votes.
    #[error(
        "{node} asks for votes in term {term}, though its configuration does not name its disk"
    )]
    CampaignsUnnamed {
        /// The node.
        node: NodeId,
        /// Its term.
        term: Term,
    },
    /// A disk without a name speaks.
    #[error("{node} sends a message under an incarnation that is not on its disk yet")]
    SaidBeforeDurable {
        /// The node.
        node: NodeId,
    },
}
