//! The rules: guards of transitions and invariants, and the error that names one that does not
//! hold.

use core::fmt;
use raft_proto::NodeId;

/// A guard or an invariant. Each is needed: `tests/refinement` has a history that breaks only
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// "Each server's currentTerm monotonically increases" (appendix B).
    TermsGrow,
    /// A server votes for at most one candidate in a term (3.4).
    OneVote,
    /// A server votes only for a log that is at least as up to date as its own (3.6.1).
    ElectionRestriction,
    /// A disk that has lost entries votes again once its log is as up to date as what it lost.
    LossEndsVotes,
    /// Who asks for votes is a voter of a configuration that may be in force (4.2.2).
    CandidateIsVoter,
    /// "A server's current term is always at least as large as the terms in its log" (appendix B).
    /// A candidate's is larger.
    TermAboveLog,
    /// A leader has the votes of a majority, of both halves if joint (3.4, 4.3); a cluster is
    /// founded by all founders.
    ElectedByQuorum,
    /// "There is at most one leader per term" (appendix B).
    OneLeaderPerTerm,
    /// "A leader's log monotonically grows during its term" (appendix B).
    LeaderAppendOnly,
    /// "An index and a term identify a log prefix" (appendix B; Log Matching).
    LogMatching,
    /// "When a follower appends an entry to its log, its log after the append is a prefix of the
    /// leader's log" (appendix B).
    CopiesLeader,
    /// A follower deletes only entries that conflict with the leader's (3.5).
    DeletesConflicts,
    /// Whatever changes in memory is on its way to the disk in the same step (3.8).
    AllIsWritten,
    /// What a node takes for durable is on its disk (3.8, 10.2.1).
    DurableIsStored,
    /// A vote is on disk before it is said, and the log that a candidate names (3.8).
    VoteIsStored,
    /// What is acknowledged is on disk, in the term in which it is (3.8, 10.2.1).
    AcknowledgedIsStored,
    /// Whatever is applied is on the node's disk.
    AppliedIsStored,
    /// A disk keeps what it was reported to hold, or says what it has lost (3.8).
    DiskKeeps,
    /// A node says nothing before its disk holds the name under which it speaks.
    NamedBeforeHeard,
    /// A leader counts replicas only of entries of its own term (3.6.2).
    CommitsOwnTerm,
    /// What a leader commits is acknowledged in its term by a majority, of both halves if joint
    /// ("immediately committed", appendix B; 4.3).
    CommitsByQuorum,
    /// "Immediately committed entries are committed": they are in the log of every leader of a later
    /// term (appendix B; Leader Completeness).
    LeaderCompleteness,
    /// A commitIndex covers committed entries only (appendix B; State Machine Safety).
    OneCommittedLog,
    /// A commitIndex never falls, and no entry below it is removed.
    CommitsStay,
    /// A leader changes the members only after the change before is committed, and an entry of its
    /// own term (4.1).
    ChangesOneByOne,
    /// Any majority of a configuration and any of the next one share a disk (4.1, 4.3).
    MajoritiesOverlap,
    /// The last configuration of its log is in force on each server (4.1).
    LatestInForce,
    /// A snapshot is a committed prefix of the log, with the configuration as of its end (5.1).
    SnapshotIsPrefix,
}

impl Rule {
    /// All rules.
    pub const ALL: [Rule; 28] = [
        Rule::TermsGrow,
        Rule::OneVote,
        Rule::ElectionRestriction,
        Rule::LossEndsVotes,
        Rule::CandidateIsVoter,
        Rule::TermAboveLog,
        Rule::ElectedByQuorum,
        Rule::OneLeaderPerTerm,
        Rule::LeaderAppendOnly,
        Rule::LogMatching,
        Rule::CopiesLeader,
        Rule::DeletesConflicts,
        Rule::AllIsWritten,
        Rule::DurableIsStored,
        Rule::VoteIsStored,
        Rule::AcknowledgedIsStored,
        Rule::AppliedIsStored,
        Rule::DiskKeeps,
        Rule::NamedBeforeHeard,
        Rule::CommitsOwnTerm,
        Rule::CommitsByQuorum,
        Rule::LeaderCompleteness,
        Rule::OneCommittedLog,
        Rule::CommitsStay,
        Rule::ChangesOneByOne,
        Rule::MajoritiesOverlap,
        Rule::LatestInForce,
        Rule::SnapshotIsPrefix,
    ];
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// A transition of the abstract state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transition {
    /// A node starts, with what its disk holds.
    Restart,
    /// A higher term becomes the current one.
    UpdateTerm,
    /// A node votes for itself in a new term.
    BecomeCandidate,
    /// A node votes for another one.
    GrantVote,
    /// A vote, or a request for votes, leaves a node.
    SendVote,
    /// A candidate begins to lead.
    BecomeLeader,
    /// A leader appends an entry.
    ClientRequest,
    /// A leader appends a configuration.
    ChangeMembership,
    /// A follower takes entries into its log.
    AppendEntries,
    /// A follower takes a snapshot.
    InstallSnapshot,
    /// A snapshot replaces a prefix of the log.
    Compact,
    /// A node takes what its disk was reported to hold for durable.
    Store,
    /// An acknowledgement leaves a node.
    Acknowledge,
    /// A leader commits.
    AdvanceCommit,
    /// Another node learns what is committed, or applies it.
    LearnCommit,
    /// Anything leaves a node.
    Send,
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// A step of a node that is no sequence of transitions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{transition} of {node} breaks {rule}: {what}")]
pub struct Broken {
    /// The node.
    pub node: NodeId,
    /// The transition that its step would need.
    pub transition: Transition,
    /// What does not hold.
    pub rule: Rule,
    /// How.
    pub what: String,
}
