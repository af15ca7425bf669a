//! The violations that checkers find.

use super::bounds::OutOfBounds;
use super::disk_identity_broken::DiskIdentityBroken;
use super::levels::LevelBroken;
use super::membership_changes::ChangeBroken;
pub use super::nodes::Nodes;
use super::property::Property;
use super::settings_in_force::SettingsBroken;
use super::wait_reason::WaitReason;
use raft_proto::{EntryId, Index, NodeId, RoleKind, Term};
use std::time::Duration;

/// How a property was violated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Election Safety.
    #[error("{first} and {second} both lead in term {term}")]
    TwoLeaders {
        /// The term.
        term: Term,
        /// The leader that was seen first.
        first: NodeId,
        /// The other leader.
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
    #[error("{first} and {second} have different contents in entry {entry}")]
    DifferentEntries {
        /// The id that both entries have.
        entry: EntryId,
        /// The node whose log had it first.
        first: NodeId,
        /// The node whose log holds another entry.
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
        /// The node whose log had it first.
        first: NodeId,
        /// The term of the entry before it there.
        first_term: Term,
        /// The node whose log differs.
        second: NodeId,
        /// The term of the entry before it there.
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
    #[error("{node} had commitIndex {commit_index}, and has removed the entry at {taken_back}")]
    CommitTakenBack {
        /// The node.
        node: NodeId,
        /// Its commitIndex before the step.
        commit_index: Index,
        /// The first index that is no longer as it was.
        taken_back: Index,
    },
    /// State Machine Safety: another entry was applied at that index before.
    #[error(
        "{second} got entry {entry} to apply, but {first} applied \
         another entry at that index, of term {first_term}"
    )]
    AppliedDifferently {
        /// The entry that was handed out now.
        entry: EntryId,
        /// The node that applied another entry.
        first: NodeId,
        /// The term of that entry.
        first_term: Term,
        /// The node that got this entry.
        second: NodeId,
    },
    /// State Machine Safety: an entry was left out or repeated.
    #[error("{node} got index {found} to apply, where index {expected} comes next")]
    AppliedOutOfOrder {
        /// The node.
        node: NodeId,
        /// The index that comes next.
        expected: Index,
        /// The index handed out.
        found: Index,
    },
    /// State Machine Safety: an entry was handed out before it was committed.
    #[error("{node} got entry {entry} to apply, but its commitIndex is {commit_index}")]
    AppliedUncommitted {
        /// The node.
        node: NodeId,
        /// The entry that was handed out.
        entry: EntryId,
        /// The node's commitIndex.
        commit_index: Index,
    },
    /// Durability: the log differs from what was written.
    #[error("the log of {node} ends at {log}, but its writes end at {written}")]
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
        "{leader} committed entry {entry}, but of its voters {voters} it is on the disks of {holders} only"
    )]
    CommittedNotStored {
        /// The entry.
        entry: EntryId,
        /// The leader that committed it.
        leader: NodeId,
        /// The voters that hold it, and the term of that leader.
        holders: Nodes,
        /// All voters; in a joint configuration, those of the half that lacks a majority.
        voters: Nodes,
    },
    /// Durability: an entry that a client was told is committed is lost.
    #[error("{at} told a client that entry {entry} is committed, but {node} does not have it")]
    AcknowledgedLost {
        /// The entry.
        entry: EntryId,
        /// The node that told the client.
        at: NodeId,
        /// The node that should have it.
        node: NodeId,
    },
    /// Membership Safety.
    #[error(
        "in one term, {first} could be elected by {first_quorum}, and {second} by {second_quorum}"
    )]
    DisjointQuorums {
        /// One node that could be elected.
        first: NodeId,
        /// The nodes that could elect it.
        first_quorum: Nodes,
        /// The other node.
        second: NodeId,
        /// The nodes that could elect it.
        second_quorum: Nodes,
    },
    /// Exactly Once: a command ran as two entries of the log.
    #[error(
        "command {sequence} of session {session} ran as entry {first_at} on {first} \
         and again as entry {second_at} on {second}"
    )]
    RanTwice {
        /// The session.
        session: u64,
        /// The command's number in it.
        sequence: u64,
        /// The node that ran it first.
        first: NodeId,
        /// Its entry there.
        first_at: EntryId,
        /// The node that ran it as another entry.
        second: NodeId,
        /// That entry.
        second_at: EntryId,
    },
    /// Exactly Once: a client was answered, but its command ran nowhere.
    #[error("command {sequence} of session {session} was answered, but no service ran it")]
    AnsweredWithoutRunning {
        /// The session.
        session: u64,
        /// The command's number in it.
        sequence: u64,
    },
    /// Leader Completeness, predicted.
    #[error(
        "entry {entry} was committed by {leader}, but {node} does not have it (its log ends at \
         {last_log}) and could be elected by {voters}"
    )]
    ElectableWithoutEntry {
        /// The committed entry.
        entry: EntryId,
        /// The leader that committed it.
        leader: NodeId,
        /// The node that could be elected without it.
        node: NodeId,
        /// The end of that node's log.
        last_log: EntryId,
        /// The nodes that would vote for it.
        voters: Nodes,
    },
    /// Membership Safety: a snapshot with another configuration than that of its last entry.
    #[error(
        "{node} wrote a snapshot up to {last}, whose members differ from the configuration at {since}"
    )]
    SnapshotOfOtherMembers {
        /// The node.
        node: NodeId,
        /// The snapshot's last entry.
        last: Index,
        /// The index of the right configuration.
        since: Index,
    },
    /// Election Safety: a leader that a majority did not vote for.
    #[error("{leader} leads in term {term}, but at most {voters} voted for it")]
    ElectedWithoutMajority {
        /// The leader.
        leader: NodeId,
        /// Its term.
        term: Term,
        /// The nodes that may have voted for it.
        voters: Nodes,
    },
    /// CheckQuorum.
    #[error(
        "{leader} still leads in term {term}, but has heard no majority of its voters for {limit:?}"
    )]
    LeaderWithoutQuorum {
        /// The leader.
        leader: NodeId,
        /// Its term.
        term: Term,
        /// How long it may lead without hearing a majority.
        limit: Duration,
    },
    /// CheckQuorum: a leader that steps down without need.
    #[error(
        "{leader} stepped down in term {term} by its clock, \
         though a majority of its voters answered, or became voters, within {limit:?}"
    )]
    LeaderGaveUp {
        /// The leader.
        leader: NodeId,
        /// Its term.
        term: Term,
        /// How long it may lead without hearing a majority.
        limit: Duration,
    },
    /// Election timeout.
    #[error(
        "{node} became a {role} in term {term} only {waited:?} after it {reason}: \
         the least election timeout is {least:?}"
    )]
    EarlyElection {
        /// The node.
        node: NodeId,
        /// What it became.
        role: RoleKind,
        /// In which term.
        term: Term,
        /// Why it had to wait.
        reason: WaitReason,
        /// How long it waited, by its own clock.
        waited: Duration,
        /// How long it has to wait at least.
        least: Duration,
    },
    /// Leader stickiness.
    #[error(
        "{node} granted its vote to {candidate} in term {term} only {waited:?} after it {reason}: \
         it must not vote for {least:?}"
    )]
    VoteDespiteLeader {
        /// The node.
        node: NodeId,
        /// The node for which it voted.
        candidate: NodeId,
        /// In which term.
        term: Term,
        /// Why it had to wait.
        reason: WaitReason,
        /// How long it waited, by its own clock.
        waited: Duration,
        /// How long it has to wait at least.
        least: Duration,
    },
    /// Lease bound.
    #[error(
        "{leader}, leader of term {term}, serves a read under its lease, but of its voters only \
         {bound} are sure not to elect another leader yet"
    )]
    LeaseTooLong {
        /// The leader.
        leader: NodeId,
        /// Its term.
        term: Term,
        /// The voters that are still bound, even if their clocks are as fast as allowed.
        bound: Nodes,
    },
    /// Lease bound: a lease read after a request to campaign.
    #[error(
        "{leader} serves a read under its lease in term {term}, in which it has asked {successor} \
         to campaign"
    )]
    LeaseAfterTimeoutNow {
        /// The leader.
        leader: NodeId,
        /// Its term.
        term: Term,
        /// The node that it asked.
        successor: NodeId,
    },
    /// Election Safety: two votes of one node.
    #[error("{voter} voted in term {term} for {first}, and again for {second}")]
    VotedTwice {
        /// The node.
        voter: NodeId,
        /// The term.
        term: Term,
        /// For whom it voted first.
        first: NodeId,
        /// For whom it voted then.
        second: NodeId,
    },
    /// A leader is followed.
    #[error(
        "{node} has heard {leader}, leader of term {term}, and is still a {role}, or follows another node"
    )]
    LeaderNotFollowed {
        /// The node.
        node: NodeId,
        /// What it is.
        role: RoleKind,
        /// The leader.
        leader: NodeId,
        /// The leader's term.
        term: Term,
    },
    /// Durability: a node takes for durable what its disk does not hold.
    #[error("{node} takes entry {entry} for durable, but its disk does not hold it")]
    DurableBeyondDisk {
        /// The node.
        node: NodeId,
        /// The entry.
        entry: EntryId,
    },
    /// Durability: a node hands out what its disk does not hold.
    #[error("{node} hands out entry {entry} to apply, but its disk does not hold it")]
    HandedOutNotStored {
        /// The node.
        node: NodeId,
        /// The entry, or the last one of the snapshot.
        entry: EntryId,
    },
    /// Membership Safety: a configuration in force that is not the last one of the log.
    #[error("{node} does not use the last configuration of its log, which stands at {since}")]
    OtherConfigurationInForce {
        /// The node.
        node: NodeId,
        /// The index of the right one.
        since: Index,
    },
    /// Membership Safety: a leader that its committed configuration leaves out.
    #[error("{leader} has led in term {term} for {limit:?} although it is no voter any more")]
    LeaderOutside {
        /// The leader.
        leader: NodeId,
        /// Its term.
        term: Term,
        /// How long it may do so.
        limit: Duration,
    },
    /// Disk identity.
    #[error(transparent)]
    DiskIdentity(#[from] DiskIdentityBroken),
    /// Membership Safety: a term learned from the reply of a node that is no member.
    #[error("{node} has taken term {term} from a reply of {from}, which is no member")]
    TermOfStranger {
        /// The node.
        node: NodeId,
        /// The sender of the reply.
        from: NodeId,
        /// The term.
        term: Term,
    },
    /// A removed node that knows it.
    #[error(
        "{node} asks for votes, though a voter told it that it is no member as of index {removed_at}"
    )]
    RemovedCampaigns {
        /// The node.
        node: NodeId,
        /// The index up to which its removal is committed.
        removed_at: Index,
    },
    /// What a leader says of a change of the members is true.
    #[error(transparent)]
    Change(#[from] ChangeBroken),
    /// Settings are not as they were answered.
    #[error(transparent)]
    Settings(#[from] SettingsBroken),
    /// What is written is read by all members.
    #[error(transparent)]
    Level(#[from] LevelBroken),
    /// Bounded state and work.
    #[error(transparent)]
    OutOfBounds(#[from] OutOfBounds),
    /// A step of a node that was not reported as started: a defect of the simulator.
    #[error("{node} took a step before the judge was told that it started")]
    NeverStarted {
        /// The node.
        node: NodeId,
    },
}

impl Violation {
    /// The property that is violated.
    pub fn property(&self) -> Property {
        match self {
            Violation::TwoLeaders { .. }
            | Violation::ElectedWithoutMajority { .. }
            | Violation::VotedTwice { .. } => Property::ElectionSafety,
            Violation::SnapshotOfOtherMembers { .. }
            | Violation::OtherConfigurationInForce { .. }
            | Violation::LeaderOutside { .. } => Property::MembershipSafety,
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
            | Violation::DurableBeyondDisk { .. }
            | Violation::HandedOutNotStored { .. }
            | Violation::NeverStarted { .. } => Property::Durability,
            Violation::DisjointQuorums { .. } => Property::MembershipSafety,
            Violation::RanTwice { .. } | Violation::AnsweredWithoutRunning { .. } => {
                Property::ExactlyOnce
            }
            Violation::EarlyElection { .. } => Property::ElectionTimeout,
            Violation::LeaderWithoutQuorum { .. } | Violation::LeaderGaveUp { .. } => {
                Property::CheckQuorum
            }
            Violation::TermOfStranger { .. } => Property::TermsOfMembers,
            Violation::RemovedCampaigns { .. } => Property::RemovedIsQuiet,
            Violation::VoteDespiteLeader { .. } => Property::LeaderStickiness,
            Violation::LeaseTooLong { .. } | Violation::LeaseAfterTimeoutNow { .. } => {
                Property::LeaseBound
            }
            Violation::LeaderNotFollowed { .. } => Property::LeaderFollowed,
            Violation::OutOfBounds(_) => Property::Bounded,
            Violation::DiskIdentity(_) => Property::DiskIdentity,
            Violation::Level(_) => Property::Levels,
            Violation::Change(_) => Property::ChangesAsAnswered,
            Violation::Settings(_) => Property::SettingsAsAnswered,
        }
    }
}
