//! What is wrong when a property does not hold.

use raft_proto::{EntryId, Index, NodeId, Term};
use std::fmt;

/// The properties of Figure 3, and the contract that the checks themselves rest on.
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
    /// What changes in the log is written in the same step.
    Durability,
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Property::ElectionSafety => "Election Safety (section 5.2)",
            Property::LeaderAppendOnly => "Leader Append-Only (section 5.3)",
            Property::LogMatching => "Log Matching (section 5.3)",
            Property::LeaderCompleteness => "Leader Completeness (section 5.4)",
            Property::StateMachineSafety => "State Machine Safety (section 5.4.3)",
            Property::Durability => "the contract of durability",
        })
    }
}

/// How a property was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
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
    CommittedNothing {
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
    /// A step of a node that was not reported as started: a defect of the observer.
    #[error("{node} took a step before it was started")]
    NeverStarted {
        /// The node.
        node: NodeId,
    },
}

impl Broken {
    /// Which property this breaks.
    pub fn property(&self) -> Property {
        match self {
            Broken::TwoLeaders { .. } => Property::ElectionSafety,
            Broken::LeaderRewroteLog { .. } => Property::LeaderAppendOnly,
            Broken::DifferentEntries { .. } | Broken::DifferentPredecessors { .. } => {
                Property::LogMatching
            }
            Broken::CommittedEntryMissing { .. } | Broken::CommittedNothing { .. } => {
                Property::LeaderCompleteness
            }
            Broken::CommitTakenBack { .. }
            | Broken::AppliedDifferently { .. }
            | Broken::AppliedOutOfOrder { .. }
            | Broken::AppliedUncommitted { .. } => Property::StateMachineSafety,
            Broken::LogNotWritten { .. } | Broken::NeverStarted { .. } => Property::Durability,
        }
    }
}
