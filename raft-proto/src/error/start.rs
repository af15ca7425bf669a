//! Why a node refused to start, and what to do next.

use crate::level::Level;
use crate::membership::Membership;
use crate::types::{ClusterId, EntryId, GroupId, Index, NodeId, Term};
use core::time::Duration;

/// Why [`Raft::new`](crate::Raft::new) refused to start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The config is not valid.
    #[error("config: {0}")]
    Config(#[from] ConfigError),
    /// What the storage held cannot come from a run of this node.
    #[error("recovered state: {0}")]
    Recovery(#[from] RecoveryError),
    /// The config gives an incarnation to a storage that was used before without one. A storage has
    /// one from its first write on or never: nobody could tell whether it is still the storage that
    /// acknowledged votes and entries under this number.
    #[error(
        "the storage has been used without an incarnation, and gets none later: leave \
         Config::incarnation unset, or replace the storages one by one, each by an empty one with an \
         incarnation that joins as a learner under the same number"
    )]
    StorageWithoutIncarnation,
    /// Its storage holds a level that this node does not read, and may hold what is written at it.
    /// Start a release that reads it: after the level has risen, no member can go back.
    #[error(
        "the storage is at level {needed}, and this node reads {own}: start a release that reads it"
    )]
    LevelTooLow {
        /// That of the storage.
        needed: Level,
        /// What this node reads.
        own: Level,
    },
}

/// What is wrong with a [`Config`](crate::Config), and what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A forgotten field looks like cluster id 0.
    #[error("cluster_id is 0; draw a random one when the cluster is made")]
    NoClusterId,
    /// A bootstrapped cluster needs a voter.
    #[error("start: Bootstrap names no voters; name them all, the same on every node")]
    NoVoters,
    /// A member was named twice.
    #[error("start: Bootstrap names {0} twice; name each member once")]
    DuplicateMember(NodeId),
    /// A cluster does not begin in the middle of a membership change.
    #[error(
        "start: Bootstrap gives {0} a role of a change under way; make it a voter or a learner"
    )]
    JointMember(NodeId),
    /// Together, the members' contexts are too long.
    #[error(
        "start: Bootstrap takes more than {} bytes; shorten the contexts",
        Membership::MAX_BYTES
    )]
    MembershipTooLarge,
    /// Leases rest on voters that ignore candidates while they have contact with a leader.
    #[error("lease is on, but check_quorum is off; turn it on, on all nodes")]
    LeaseWithoutCheckQuorum,
    /// A lease would end before the next heartbeat renews it, or outlast what a node that starts
    /// waits for.
    #[error(
        "lease_promise ({promise:?}) is not above heartbeat_interval ({least:?}) and at most \
         election_timeout_min ({most:?}); three heartbeat intervals are usual"
    )]
    LeasePromiseRange {
        /// lease_promise.
        promise: Duration,
        /// heartbeat_interval.
        least: Duration,
        /// election_timeout_min.
        most: Duration,
    },
    /// The interval is zero.
    #[error("heartbeat_interval is zero; a tenth of the least election timeout is usual")]
    NoHeartbeatInterval,
    /// The range of election timeouts is empty.
    #[error(
        "election_timeout_max ({max:?}) is not above election_timeout_min ({min:?}); \
         twice the least is usual"
    )]
    ElectionTimeoutRange {
        /// The least.
        min: Duration,
        /// The bound above.
        max: Duration,
    },
    /// Followers would campaign against a live leader after one or two lost heartbeats.
    #[error(
        "election_timeout_min ({election:?}) is below three times heartbeat_interval \
         ({heartbeat:?}); lengthen the one or shorten the other"
    )]
    HeartbeatTooSlow {
        /// heartbeat_interval.
        heartbeat: Duration,
        /// election_timeout_min.
        election: Duration,
    },
    /// A limit is zero: nothing could ever be sent, proposed or applied.
    #[error("{0} is zero; it must be at least 1")]
    ZeroLimit(&'static str),
    /// A limit or interval is too great.
    #[error("{name} is greater than {most}")]
    LimitTooGreat {
        /// The field.
        name: &'static str,
        /// The greatest value.
        most: u64,
    },
    /// One limit contradicts another.
    #[error("{name} is below {least_name} ({least} with an entry's overhead); raise it")]
    LimitTooSmall {
        /// The field that is too small.
        name: &'static str,
        /// The field that needs more.
        least_name: &'static str,
        /// How much.
        least: u64,
    },
}

/// Why recovered state cannot come from a prefix of this node's writes. A node that started from it
/// could lose committed entries or vote twice. Do not repair it by hand: remove the node, and let
/// it join under a new id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryError {
    /// There is state, but no record of its owner.
    #[error("the storage holds state but no identity: its first write is missing")]
    NoIdentity,
    /// The storage is another cluster's.
    #[error("the storage belongs to cluster {found}, the config says {configured}")]
    OtherCluster {
        /// In the storage.
        found: ClusterId,
        /// In the config.
        configured: ClusterId,
    },
    /// The storage is another group's.
    #[error("the storage belongs to group {found}, the config says {configured}")]
    OtherGroup {
        /// In the storage.
        found: GroupId,
        /// In the config.
        configured: GroupId,
    },
    /// The storage is another node's.
    #[error("the storage belongs to node {found}, the config says {configured}")]
    OtherNode {
        /// In the storage.
        found: NodeId,
        /// In the config.
        configured: NodeId,
    },
    /// Entries between the snapshot and the log are missing.
    #[error(
        "the log begins at {first}, but the snapshot ends at {snapshot}: entries are missing \
         between them"
    )]
    GapAfterSnapshot {
        /// The snapshot's last index, 0 without one.
        snapshot: Index,
        /// The first entry's index.
        first: Index,
    },
    /// currentTerm is below the term of a stored entry.
    #[error("currentTerm is {term}, below the term of {last}, the last entry")]
    TermBelowLog {
        /// currentTerm.
        term: Term,
        /// The last entry or the snapshot's.
        last: EntryId,
    },
    /// The first entry after the snapshot has a lower term.
    #[error("entry {entry} contradicts the snapshot's last entry {snapshot}")]
    TermsContradictSnapshot {
        /// The entry.
        entry: EntryId,
        /// The snapshot's last entry.
        snapshot: EntryId,
    },
    /// An index or term is 0 or beyond [`Index::MAX`].
    #[error("{0} is not a valid entry id")]
    InvalidEntryId(EntryId),
    /// A membership is not in order, or empty where it cannot be.
    #[error("the stored membership is damaged")]
    DamagedMembership,
    /// currentTerm is beyond [`Term::MAX`].
    #[error("currentTerm is {0}, beyond the greatest term")]
    TermOutOfRange(Term),
    /// The service claims to have applied entries that this node never stored.
    #[error("the service has applied up to {applied}, but the storage ends at {last}")]
    AppliedBeyondLog {
        /// The service's index.
        applied: Index,
        /// The last stored index.
        last: Index,
    },
}
