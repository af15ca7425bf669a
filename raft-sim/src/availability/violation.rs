//! What a cluster owed under a condition, and did not do.

use super::Condition;
use core::time::Duration;
use raft_proto::{NodeId, Term, TransferError};

/// What a cluster owed, and did not do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Nothing was committed.
    #[error(
        "nothing was committed for {}, though a majority reaches each other{}",
        humantime::format_duration(*.within), led(*.leader)
    )]
    NoCommit {
        /// For how long.
        within: Duration,
        /// The leader of the greatest term.
        leader: Option<NodeId>,
    },
    /// A leader crashed, and nothing was committed after that.
    #[error(
        "{crashed} led and crashed, and nothing was committed for {}",
        humantime::format_duration(*.within)
    )]
    Downtime {
        /// The leader that crashed.
        crashed: NodeId,
        /// For how long.
        within: Duration,
    },
    /// Nobody was elected.
    #[error(
        "nobody was elected within {}, though {candidate} could be",
        humantime::format_duration(*.within)
    )]
    NoLeader {
        /// Within which time.
        within: Duration,
        /// The node with the best log.
        candidate: NodeId,
    },
    /// Term followed term.
    #[error(
        "{terms} terms began within {}, and {most} are allowed",
        humantime::format_duration(*.within)
    )]
    Restless {
        /// How many.
        terms: u64,
        /// How many may.
        most: u64,
        /// Within which time.
        within: Duration,
    },
    /// A leader that was well lost its leadership.
    #[error("{leader} led in term {term}, reached a majority, and lost its leadership")]
    Deposed {
        /// The leader.
        leader: NodeId,
        /// Its term.
        term: Term,
    },
    /// A voter of greater priority waited, and did not get the leadership.
    #[error(
        "{waiting} has caught up and has the greater priority, but {leader} led on for {}",
        humantime::format_duration(*.within)
    )]
    PriorityIgnored {
        /// The leader.
        leader: NodeId,
        /// The voter.
        waiting: NodeId,
        /// For how long.
        within: Duration,
    },
    /// A transfer in a healthy cluster failed.
    #[error("{leader} was to transfer leadership to the best successor: {error}")]
    TransferFailed {
        /// The leader.
        leader: NodeId,
        /// What it answered.
        error: TransferError,
    },
    /// A transfer was not answered.
    #[error(
        "{leader} was to transfer leadership, and did not answer within {}",
        humantime::format_duration(*.within)
    )]
    TransferUnanswered {
        /// The leader.
        leader: NodeId,
        /// Within which time.
        within: Duration,
    },
    /// A member that was behind did not catch up.
    #[error(
        "{node} reaches the leader, and did not catch up within {}",
        humantime::format_duration(*.within)
    )]
    NotCaughtUp {
        /// The member.
        node: NodeId,
        /// Within which time.
        within: Duration,
    },
    /// A member got snapshot after snapshot.
    #[error("{node} got {snapshots} snapshots, one after the other, and {most} are allowed")]
    SnapshotAfterSnapshot {
        /// The member.
        node: NodeId,
        /// How many.
        snapshots: u32,
        /// How many it may get.
        most: u32,
    },
    /// A removed voter goes on campaigning.
    #[error(
        "{node} was removed, has reached the voters for {}, and still asks for votes",
        humantime::format_duration(*.within)
    )]
    RemovedCampaigns {
        /// The node.
        node: NodeId,
        /// For how long.
        within: Duration,
    },
}

fn led(leader: Option<NodeId>) -> String {
    match leader {
        Some(leader) => format!("; {leader} leads"),
        None => "; nobody leads".into(),
    }
}

impl Unavailable {
    /// The kind: equal where the same mistake may be the cause.
    pub fn kind(&self, condition: Condition) -> String {
        let name = match self {
            Unavailable::NoCommit { .. } => "nothing is committed",
            Unavailable::Downtime { .. } => "a crash of the leader lasts",
            Unavailable::NoLeader { .. } => "nobody is elected",
            Unavailable::Restless { .. } => "term follows term",
            Unavailable::Deposed { .. } => "a leader that is well is deposed",
            Unavailable::PriorityIgnored { .. } => "priority is ignored",
            Unavailable::TransferFailed { .. } | Unavailable::TransferUnanswered { .. } => {
                "a transfer fails"
            }
            Unavailable::NotCaughtUp { .. } => "a member does not catch up",
            Unavailable::SnapshotAfterSnapshot { .. } => "snapshot follows snapshot",
            Unavailable::RemovedCampaigns { .. } => "a removed node campaigns",
        };
        format!("availability under {condition}: {name}")
    }
}
