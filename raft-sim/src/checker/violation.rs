//! What is wrong when a property does not hold.

use raft_proto::{EntryId, Index, NodeId, RoleKind, Term};
use std::fmt;
use std::time::Duration;

/// The properties of Figure 3, the contract that the checks themselves rest on, and what else the
/// paper and the thesis promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Property {
    /// At most one leader can be elected in a given term (section 5.2).
    ElectionSafety,
    /// A leader never overwrites or deletes entries in its log (section 5.3).
    LeaderAppendOnly,
    /// Logs that share an entry are identical up to it (section 5.3).
    LogMatching,
    /// What is committed in a term is in the log of every leader of a later one (section 5.4).
    LeaderCompleteness,
    /// No two state machines apply different commands at an index (section 5.4.3).
    StateMachineSafety,
    /// What changes in the log is written in the same step, and what is acknowledged is never lost.
    Durability,
    /// No two disjoint sets of voters can each elect a leader in one term (section 6).
    MembershipSafety,
    /// Each command of a session runs once (thesis 6.3).
    ExactlyOnce,
    /// Who heard the leader or granted a vote waits for an election timeout (section 5.2).
    ElectionTimeout,
    /// A leader that no majority answers steps down (thesis 6.2).
    CheckQuorum,
    /// Who hears a leader votes for nobody else (thesis 4.2.3).
    LeaderStickiness,
    /// A lease ends before the promises that it rests on (thesis 6.4.1).
    LeaseBound,
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Property::ElectionSafety => "Election Safety (section 5.2)",
            Property::LeaderAppendOnly => "Leader Append-Only (section 5.3)",
            Property::LogMatching => "Log Matching (section 5.3)",
            Property::LeaderCompleteness => "Leader Completeness (section 5.4)",
            Property::StateMachineSafety => "State Machine Safety (section 5.4.3)",
            Property::Durability => "Durability (Figure 2)",
            Property::MembershipSafety => "Membership Safety (section 6)",
            Property::ExactlyOnce => "Exactly Once (thesis 6.3)",
            Property::CheckQuorum => "CheckQuorum (thesis 6.2)",
            Property::LeaderStickiness => "Leader stickiness (thesis 4.2.3)",
            Property::LeaseBound => "Lease bound (thesis 6.4.1)",
            Property::ElectionTimeout => "Election timeout (section 5.2)",
        })
    }
}

/// Some nodes, by the order of their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nodes(pub Vec<NodeId>);

impl fmt::Display for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, others)) = self.0.split_first() else {
            return f.write_str("none");
        };
        write!(f, "{first}")?;
        others.iter().try_for_each(|other| write!(f, " {other}"))
    }
}

/// What keeps a node from standing for election, or from voting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// It granted its vote to this node.
    Granted(NodeId),
    /// It heard this node, the leader of its term.
    Heard(NodeId),
    /// It started, and may have heard a leader just before it stopped.
    Started,
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WaitReason::Granted(node) => write!(f, "granted its vote to {node}"),
            WaitReason::Heard(node) => write!(f, "heard its leader {node}"),
            WaitReason::Started => f.write_str("started"),
        }
    }
}

/// How a property was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Election Safety.
    #[error("{first} and {second} both lead in term {term}")]
    TwoLeaders {
        /// The term.
        term: Term,
        /// Who was seen first.
        first: NodeId,
        /// Who else.
        second: NodeId,
    },
    /// Leader Append-Only.
    #[error(
        "{leader}, leader of term {term}, had entries up to {last_before} and \
         replaced or deleted from index {from} on"
    )]
    LeaderRewroteLog {
        /// The leader.
        leader: NodeId,
        /// Its term.
        term: Term,
        /// Its last entry before the step.
        last_before: EntryId,
        /// The first index that changed.
        from: Index,
    },
    /// Log Matching: one id, two contents.
    #[error("{first} and {second} hold different entries {entry}")]
    DifferentEntries {
        /// The id that both entries have.
        entry: EntryId,
        /// Whose log had it first.
        first: NodeId,
        /// Whose log holds another.
        second: NodeId,
    },
    /// Log Matching: one entry, two predecessors.
    #[error(
        "entry {entry} follows one of term {first_term} in the log of {first}, \
         but one of term {second_term} in that of {second}"
    )]
    DifferentPredecessors {
        /// The entry that both logs hold.
        entry: EntryId,
        /// Whose log had it first.
        first: NodeId,
        /// The term of what precedes it there.
        first_term: Term,
        /// Whose log differs.
        second: NodeId,
        /// The term of what precedes it there.
        second_term: Term,
    },
    /// Leader Completeness.
    #[error(
        "entry {entry} was committed in term {committed_in}, but {leader}, \
         leader of term {term}, does not have it (its log ends at {last_log})"
    )]
    CommittedEntryMissing {
        /// The committed entry.
        entry: EntryId,
        /// The term in which it was committed.
        committed_in: Term,
        /// The leader without it.
        leader: NodeId,
        /// That leader's term.
        term: Term,
        /// The end of that leader's log.
        last_log: EntryId,
    },
    /// A commitIndex beyond the end of the node's own log.
    #[error("{node} has commitIndex {commit_index}, but its log ends at {last_log}")]
    CommittedBeyondLog {
        /// The node.
        node: NodeId,
        /// Its commitIndex.
        commit_index: Index,
        /// The last entry of its log.
        last_log: EntryId,
    },
    /// commitIndex fell, or entries at or below it were replaced.
    #[error("{node} had commitIndex {commit_index} and took back what stood at {taken_back}")]
    CommitTakenBack {
        /// The node.
        node: NodeId,
        /// Its commitIndex before the step.
        commit_index: Index,
        /// The first index that is no longer as it was.
        taken_back: Index,
    },
    /// State Machine Safety: another entry was applied there before.
    #[error(
        "{second} was given {entry} to apply, but {first} applied \
         another command at that index, of term {first_term}"
    )]
    AppliedDifferently {
        /// What was handed out now.
        entry: EntryId,
        /// Who applied something else.
        first: NodeId,
        /// That one's term.
        first_term: Term,
        /// Who was given this.
        second: NodeId,
    },
    /// State Machine Safety: an entry was left out or repeated.
    #[error("{node} was given index {found} to apply where {expected} comes next")]
    AppliedOutOfOrder {
        /// The node.
        node: NodeId,
        /// The index that comes next.
        expected: Index,
        /// The index handed out.
        found: Index,
    },
    /// State Machine Safety: an entry was handed out before it was committed.
    #[error("{node} was given {entry} to apply, but its commitIndex is {commit_index}")]
    AppliedUncommitted {
        /// The node.
        node: NodeId,
        /// What was handed out.
        entry: EntryId,
        /// The node's commitIndex.
        commit_index: Index,
    },
    /// Durability: the log is not what the writes say.
    #[error("the log of {node} ends at {log}, but what it wrote ends at {written}")]
    LogNotWritten {
        /// The node.
        node: NodeId,
        /// The end of what was written.
        written: EntryId,
        /// The end of the log.
        log: EntryId,
    },
    /// Durability: an entry was committed that too few voters have stored.
    #[error(
        "entry {entry} was committed by {leader}, but of {voters} it is on the disk of {holders} only"
    )]
    CommittedNotStored {
        /// The entry.
        entry: EntryId,
        /// Who committed it.
        leader: NodeId,
        /// The voters that hold it.
        holders: Nodes,
        /// All voters; in a joint configuration, those of the half that lacks a majority.
        voters: Nodes,
    },
    /// Durability: what a client was told is committed is gone.
    #[error("{at} told a client that entry {entry} is committed, but {node} does not have it")]
    AcknowledgedLost {
        /// The entry.
        entry: EntryId,
        /// Who told the client.
        at: NodeId,
        /// Who should have it.
        node: NodeId,
    },
    /// Membership Safety.
    #[error(
        "{first} can be elected by {first_quorum}, and {second} by {second_quorum}, in one term"
    )]
    DisjointQuorums {
        /// One node that can be elected.
        first: NodeId,
        /// By whom.
        first_quorum: Nodes,
        /// The other.
        second: NodeId,
        /// By whom.
        second_quorum: Nodes,
    },
    /// Exactly Once: a command ran at two places of the log.
    #[error(
        "command {sequence} of session {session} ran at {first_at} on {first} \
         and at {second_at} on {second}"
    )]
    RanTwice {
        /// The session.
        session: u64,
        /// The command's number in it.
        sequence: u64,
        /// Who ran it first.
        first: NodeId,
        /// Which entry it was there.
        first_at: EntryId,
        /// Who ran it as another entry.
        second: NodeId,
        /// That entry.
        second_at: EntryId,
    },
    /// Exactly Once: a client was answered, but its command ran nowhere.
    #[error("command {sequence} of session {session} was answered, but it ran nowhere")]
    AnsweredWithoutRunning {
        /// The session.
        session: u64,
        /// The command's number in it.
        sequence: u64,
    },
    /// Leader Completeness, foreseen.
    #[error(
        "entry {entry} was committed by {leader}, but {node} does not have it (its log ends at \
         {last_log}) and could be elected by {voters}"
    )]
    ElectableWithoutEntry {
        /// The committed entry.
        entry: EntryId,
        /// Who committed it.
        leader: NodeId,
        /// Who could lead without it.
        node: NodeId,
        /// The end of that one's log.
        last_log: EntryId,
        /// Who would vote for that one.
        voters: Nodes,
    },
    /// Membership Safety: a snapshot with another configuration than that of its last entry.
    #[error(
        "{node} wrote a snapshot up to {last} whose members are not those in force since {since}"
    )]
    SnapshotOfOtherMembers {
        /// The node.
        node: NodeId,
        /// The snapshot's last entry.
        last: Index,
        /// The entry that holds the right configuration.
        since: Index,
    },
    /// Election Safety: a leader that a majority did not vote for.
    #[error("{leader} leads in term {term}, but only {voters} can have voted for it")]
    ElectedWithoutMajority {
        /// The leader.
        leader: NodeId,
        /// Its term.
        term: Term,
        /// Who can have voted for it.
        voters: Nodes,
    },
    /// CheckQuorum.
    #[error(
        "{leader} has heard no majority of its voters for {limit:?}, and still leads in term {term}"
    )]
    LeaderWithoutQuorum {
        /// The leader.
        leader: NodeId,
        /// Its term.
        term: Term,
        /// How long it may lead unheard.
        limit: Duration,
    },
    /// Election timeout.
    #[error(
        "{node} became a {role} in term {term}, {waited:?} after it {reason}: \
         the least election timeout is {least:?}"
    )]
    EarlyElection {
        /// The node.
        node: NodeId,
        /// What it became.
        role: RoleKind,
        /// In which term.
        term: Term,
        /// What should have kept it from that.
        reason: WaitReason,
        /// How long ago that was, by its own clock.
        waited: Duration,
        /// How long it has to wait at least.
        least: Duration,
    },
    /// Leader stickiness.
    #[error(
        "{node} granted its vote to {candidate} in term {term}, {waited:?} after it {reason}: \
         it votes for nobody for {least:?}"
    )]
    VoteDespiteLeader {
        /// The node.
        node: NodeId,
        /// For whom it voted.
        candidate: NodeId,
        /// In which term.
        term: Term,
        /// What should have kept it from that.
        reason: WaitReason,
        /// How long ago that was, by its own clock.
        waited: Duration,
        /// How long it has to wait at least.
        least: Duration,
    },
    /// Leases.
    #[error(
        "{leader}, leader of term {term}, serves reads under its lease when of its voters only \
         {bound} are sure not to elect another"
    )]
    LeaseTooLong {
        /// The leader.
        leader: NodeId,
        /// Its term.
        term: Term,
        /// The voters whose promise still held, were their clocks as fast as allowed.
        bound: Nodes,
    },
    /// A step of a node that was not reported as started: a defect of the observer.
    #[error("{node} took a step before it was started")]
    NeverStarted {
        /// The node.
        node: NodeId,
    },
}

impl Violation {
    /// Which property this breaks.
    pub fn property(&self) -> Property {
        match self {
            Violation::TwoLeaders { .. } | Violation::ElectedWithoutMajority { .. } => {
                Property::ElectionSafety
            }
            Violation::SnapshotOfOtherMembers { .. } => Property::MembershipSafety,
            Violation::LeaderRewroteLog { .. } => Property::LeaderAppendOnly,
            Violation::DifferentEntries { .. } | Violation::DifferentPredecessors { .. } => {
                Property::LogMatching
            }
            Violation::CommittedEntryMissing { .. }
            | Violation::CommittedBeyondLog { .. }
            | Violation::ElectableWithoutEntry { .. } => Property::LeaderCompleteness,
            Violation::CommitTakenBack { .. }
            | Violation::AppliedDifferently { .. }
            | Violation::AppliedOutOfOrder { .. }
            | Violation::AppliedUncommitted { .. } => Property::StateMachineSafety,
            Violation::LogNotWritten { .. }
            | Violation::CommittedNotStored { .. }
            | Violation::AcknowledgedLost { .. }
            | Violation::NeverStarted { .. } => Property::Durability,
            Violation::DisjointQuorums { .. } => Property::MembershipSafety,
            Violation::RanTwice { .. } | Violation::AnsweredWithoutRunning { .. } => {
                Property::ExactlyOnce
            }
            Violation::EarlyElection { .. } => Property::ElectionTimeout,
            Violation::LeaderWithoutQuorum { .. } => Property::CheckQuorum,
            Violation::VoteDespiteLeader { .. } => Property::LeaderStickiness,
            Violation::LeaseTooLong { .. } => Property::LeaseBound,
        }
    }
}
