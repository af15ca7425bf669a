//! Coverage: which rare situations a run has reached. A search that never reaches one proves
//! nothing about it.

use core::fmt;
use raft_proto::{
    Action, EntryId, EntryKind, Index, Message, NodeId, Raft, ReadError, RoleKind, Seq, Term, Time,
    Write,
};
use std::collections::BTreeMap;

/// A coverage mark: a situation that a search for bugs has to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CoverageMark {
    /// A term with candidates and without a leader (section 5.2).
    SplitVote,
    /// Two nodes led at the same moment, in different terms.
    TwoLeaders,
    /// A follower overwrote entries that it had stored (section 5.3).
    Truncation,
    /// Entries of earlier terms became committed by one of the leader's own (section 5.4.2).
    OldTermsCommitted,
    /// A configuration was overwritten before it was committed (section 6).
    ConfigurationTruncated,
    /// A leader was elected whose configuration is joint.
    LeaderInJointChange,
    /// A leader was elected that is no member of its own configuration: it leads its own removal.
    LeaderOutsideItsConfiguration,
    /// A snapshot replaced a log that had entries beyond it or beside it (section 7).
    RestoreOverEntries,
    /// A node crashed while writes were pending.
    CrashInWrite,
    /// A leader crashed.
    LeaderCrash,
    /// Every node was down at the same moment.
    AllDown,
    /// More than half of the voters held an entry of an earlier term than their leader's that no
    /// node had committed. Counting its replicas must not commit it (section 5.4.2; Figure 8 (c)).
    /// This is checked for the last entry of a leader when it is elected, and for the last entry of
    /// a follower's log when it is of an earlier term.
    Figure8,
    /// Such an entry was overwritten (Figure 8 (d)).
    Figure8Overwritten,
    /// A chunk of a snapshot was sent while links were cut.
    SnapshotSentInPartition,
    /// A snapshot was installed while links were cut.
    SnapshotInstalledInPartition,
    /// A leader refused a read because its lease had run out, or was given up (thesis 6.4.1).
    LeaseExpired,
    /// Leadership was transferred on demand (thesis 3.10).
    LeadershipTransferred,
    /// A node stood still for a while, and its clock went on.
    NodePaused,
    /// A node's clock jumped.
    ClockJumped,
    /// A new node took over a machine whose disk was lost.
    NewIdentity,
    /// A crash left a part of a write on disk.
    TornWrite,
    /// A read from disk failed.
    ReadError,
    /// Bits on a disk changed by themselves.
    BitRot,
    /// A frame arrived with other bytes than it was sent with.
    FrameCorrupted,
    /// A process was killed, and the machine kept all that was written.
    ProcessKilled,
    /// A machine lost power while its process was down.
    PowerLostWhileDown,
    /// A service closed a session to make room for another one (thesis 6.3).
    SessionEvicted,
    /// A client repeated a command that had already run (thesis 6.3).
    CommandRepeated,
    /// A service refused a command whose session or answer it had dropped.
    CommandRefused,
    /// Only a majority of the machines healed, and had to go on without the others.
    QuorumOnlyHealed,
}

impl CoverageMark {
    /// All of them.
    pub const ALL: [CoverageMark; 30] = [
        CoverageMark::SplitVote,
        CoverageMark::TwoLeaders,
        CoverageMark::Truncation,
        CoverageMark::OldTermsCommitted,
        CoverageMark::ConfigurationTruncated,
        CoverageMark::LeaderInJointChange,
        CoverageMark::LeaderOutsideItsConfiguration,
        CoverageMark::RestoreOverEntries,
        CoverageMark::CrashInWrite,
        CoverageMark::LeaderCrash,
        CoverageMark::AllDown,
        CoverageMark::Figure8,
        CoverageMark::Figure8Overwritten,
        CoverageMark::SnapshotSentInPartition,
        CoverageMark::SnapshotInstalledInPartition,
        CoverageMark::LeaseExpired,
        CoverageMark::LeadershipTransferred,
        CoverageMark::NodePaused,
        CoverageMark::ClockJumped,
        CoverageMark::NewIdentity,
        CoverageMark::TornWrite,
        CoverageMark::ReadError,
        CoverageMark::BitRot,
        CoverageMark::FrameCorrupted,
        CoverageMark::ProcessKilled,
        CoverageMark::PowerLostWhileDown,
        CoverageMark::SessionEvicted,
        CoverageMark::CommandRepeated,
        CoverageMark::CommandRefused,
        CoverageMark::QuorumOnlyHealed,
    ];
}

impl fmt::Display for CoverageMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CoverageMark::SplitVote => "a split vote",
            CoverageMark::TwoLeaders => "two leaders at once",
            CoverageMark::Truncation => "stored entries overwritten",
            CoverageMark::OldTermsCommitted => "earlier terms' entries committed",
            CoverageMark::ConfigurationTruncated => "a configuration overwritten",
            CoverageMark::LeaderInJointChange => "a leader elected in a joint change",
            CoverageMark::LeaderOutsideItsConfiguration => "a leader elected to remove itself",
            CoverageMark::RestoreOverEntries => "a snapshot restored over entries",
            CoverageMark::CrashInWrite => "a crash in the middle of a write",
            CoverageMark::LeaderCrash => "a leader crashed",
            CoverageMark::AllDown => "all nodes down at once",
            CoverageMark::Figure8 => "a majority's old entry not committed",
            CoverageMark::Figure8Overwritten => "a majority's old entry overwritten",
            CoverageMark::SnapshotSentInPartition => "a snapshot sent while links were cut",
            CoverageMark::SnapshotInstalledInPartition => {
                "a snapshot installed while links were cut"
            }
            CoverageMark::LeaseExpired => "a lease expired",
            CoverageMark::LeadershipTransferred => "leadership transferred",
            CoverageMark::NodePaused => "a node paused",
            CoverageMark::ClockJumped => "a clock jumped",
            CoverageMark::NewIdentity => "a server began anew under a new id",
            CoverageMark::TornWrite => "a write torn",
            CoverageMark::ReadError => "a read from disk failed",
            CoverageMark::BitRot => "bits on a disk flipped",
            CoverageMark::FrameCorrupted => "a frame corrupted",
            CoverageMark::ProcessKilled => "a process killed",
            CoverageMark::PowerLostWhileDown => "power lost while a process was down",
            CoverageMark::SessionEvicted => "a session evicted",
            CoverageMark::CommandRepeated => "a command repeated",
            CoverageMark::CommandRefused => "a command refused by its session",
            CoverageMark::QuorumOnlyHealed => "only a majority healed",
        })
    }
}

/// Whether an action may hit a mark.
fn may_hit(action: &Action) -> bool {
    match action {
        Action::Send { message, .. } => matches!(message, Message::InstallSnapshot(_)),
        Action::Persist(_)
        | Action::Apply { .. }
        | Action::Restore { .. }
        | Action::RoleChanged { .. }
        | Action::Read { .. }
        | Action::Transferred { .. } => true,
        Action::ReadSnapshot { .. }
        | Action::WriteSnapshot { .. }
        | Action::ReleaseSnapshot { .. }
        | Action::WakeAt(_)
        | Action::Proposed { .. }
        | Action::ChangeProposed { .. }
        | Action::MembershipChanged { .. }
        | Action::ReadEntries { .. }
        | Action::LeaderChanged { .. }
        | Action::Rejected { .. }
        | Action::Refused { .. }
        | Action::LostState { .. }
        | Action::EntryRefused { .. }
        | Action::Removed { .. }
        | Action::Faulted { .. } => false,
    }
}

/// The state of a node between its steps.
#[derive(Clone, Copy, Debug)]
struct Known {
    role: RoleKind,
    /// The last entry that it wrote.
    last: EntryId,
    /// The index of the last configuration that it wrote; 0 if that is committed.
    configuration: Index,
    /// An entry that it holds, and that was uncommitted on a majority (Figure 8).
    stuck: Option<EntryId>,
    /// The last write that is not known to be on disk.
    pending_write: Option<Seq>,
}

/// The election in a term.
#[derive(Clone, Copy, Debug)]
struct Election {
    term: Term,
    is_won: bool,
}

/// How often each mark was hit.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    counts: BTreeMap<CoverageMark, u64>,
    nodes: BTreeMap<NodeId, Known>,
    /// The election in the greatest term that had candidates.
    election: Option<Election>,
    /// The greatest commitIndex of any node.
    committed: Index,
    /// The last entry that was uncommitted on a majority, under a leader of a later term.
    stuck: Option<EntryId>,
    /// Some link is cut until then.
    cut_until: Time,
    /// The time of the present step.
    now: Time,
}

impl Coverage {
    /// How often this mark was hit.
    pub fn count(&self, mark: CoverageMark) -> u64 {
        self.counts.get(&mark).copied().unwrap_or(0)
    }

    /// This mark is hit.
    pub fn hit(&mut self, mark: CoverageMark) {
        *self.counts.entry(mark).or_default() += 1;
    }

    /// Some links are cut until then.
    pub fn links_cut(&mut self, until: Time) {
        self.cut_until = self.cut_until.max(until);
    }

    /// No link is cut any more.
    pub fn links_healed(&mut self) {
        self.cut_until = Time::ZERO;
    }

    /// A node starts.
    pub fn started(&mut self, raft: &Raft) {
        let known = Known {
            role: raft.role(),
            last: raft.last_log(),
            configuration: Index::ZERO,
            stuck: (self.stuck).filter(|entry| raft.term_at(entry.index) == Some(entry.term)),
            pending_write: None,
        };
        self.nodes.insert(raft.id(), known);
    }

    /// A node has crashed.
    pub fn stopped(&mut self, node: NodeId) {
        let Some(known) = self.nodes.remove(&node) else {
            return;
        };
        if known.role == RoleKind::Leader {
            self.hit(CoverageMark::LeaderCrash);
        }
        if known.pending_write.is_some() {
            self.hit(CoverageMark::CrashInWrite);
        }
        if self.nodes.is_empty() {
            self.hit(CoverageMark::AllDown);
        }
    }

    /// A node's writes up to this one are on disk.
    pub fn persisted(&mut self, node: NodeId, seq: Seq) {
        if let Some(known) = self.nodes.get_mut(&node) {
            known.pending_write = known.pending_write.filter(|last| *last > seq);
        }
    }

    /// A node has taken a step.
    pub fn observe(&mut self, now: Time, raft: &Raft, actions: &[Action]) {
        self.now = now;
        self.committed = self.committed.max(raft.commit_index());
        if !actions.iter().any(may_hit) {
            return; // Most steps only send messages, or have no actions.
        }
        let Some(mut known) = self.nodes.get(&raft.id()).copied() else {
            return;
        };
        for action in actions {
            self.action(raft, action, &mut known);
        }
        known.role = raft.role();
        self.nodes.insert(raft.id(), known);
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "only some hit a mark")]
    fn action(&mut self, raft: &Raft, action: &Action, known: &mut Known) {
        match action {
            Action::Persist(write) => self.write(raft, write, known),
            Action::Apply { entries } => {
                if let Some(last) = entries.last_id()
                    && known.configuration <= last.index
                {
                    known.configuration = Index::ZERO; // Committed: never overwritten.
                }
                let old = |entry: &raft_proto::Entry<'_>| entry.term() < raft.term();
                if raft.role() == RoleKind::Leader && entries.iter().any(|entry| old(&entry)) {
                    self.hit(CoverageMark::OldTermsCommitted);
                }
            }
            Action::Restore { snapshot } => {
                if known.last.index > Index::ZERO {
                    self.hit(CoverageMark::RestoreOverEntries);
                }
                if snapshot.id.last.index > known.last.index {
                    known.last = snapshot.id.last;
                }
            }
            Action::RoleChanged { role, term } => self.role(raft, *role, *term, known),
            Action::Send {
                message: Message::InstallSnapshot(_),
                ..
            } if self.cut_until > self.now => self.hit(CoverageMark::SnapshotSentInPartition),
            Action::Read {
                outcome: Err(ReadError::NoLease),
                ..
            } => self.hit(CoverageMark::LeaseExpired),
            Action::Transferred { outcome: Ok(_), .. } => {
                self.hit(CoverageMark::LeadershipTransferred);
            }
            _ => {}
        }
    }

    fn write(&mut self, raft: &Raft, write: &Write, known: &mut Known) {
        known.pending_write = Some(write.seq);
        if write.install.is_some() && self.cut_until > self.now {
            self.hit(CoverageMark::SnapshotInstalledInPartition);
        }
        let Some(first) = write.entries.first_index() else {
            return;
        };
        if first <= known.last.index && write.install.is_none() {
            self.hit(CoverageMark::Truncation);
            if known.stuck.take_if(|entry| first <= entry.index).is_some() {
                self.hit(CoverageMark::Figure8Overwritten);
            }
        }
        if first <= known.configuration {
            self.hit(CoverageMark::ConfigurationTruncated);
            known.configuration = Index::ZERO;
        }
        if let Some(last) = write.entries.last_id() {
            known.last = last;
            if last.term < raft.term() {
                self.old_entry_stored(raft, known);
            }
        }
        let changes = write.entries.iter();
        let changes = changes.filter(|entry| entry.kind() == EntryKind::Membership);
        if let Some(change) = changes.last() {
            known.configuration = change.index();
        }
    }

    /// A node's log ends with an entry of an earlier term: it has just stored the entry, or has
    /// just been elected. Checks whether a majority of the voters hold the entry: the node itself
    /// and its leader, the nodes whose last entry it is, and those whose last entry is of the
    /// current term, since the leader of that term has this entry before all of its own.
    fn old_entry_stored(&mut self, raft: &Raft, known: &mut Known) {
        let entry = known.last;
        if entry.index <= self.committed || self.stuck == Some(entry) {
            return;
        }
        let Some(leader) = raft.leader() else {
            return;
        };
        let (own, term) = (raft.id(), raft.term());
        let nodes = &self.nodes;
        let holds = |id: NodeId| {
            let last = nodes.get(&id).map(|other| other.last);
            let ends = |last: EntryId| last == entry || last.term == term;
            id == own || id == leader || last.is_some_and(ends)
        };
        let voters = raft.membership().voters();
        let (holders, others): (Vec<NodeId>, Vec<NodeId>) = voters.partition(|id| holds(*id));
        if holders.len() > others.len() {
            self.hit(CoverageMark::Figure8);
            self.stuck = Some(entry);
            known.stuck = self.stuck;
            for holder in holders {
                if let Some(other) = self.nodes.get_mut(&holder) {
                    other.stuck = Some(entry);
                }
            }
        }
    }

    fn role(&mut self, raft: &Raft, role: RoleKind, term: Term, known: &mut Known) {
        match role {
            RoleKind::Follower | RoleKind::PreCandidate => {}
            RoleKind::Candidate => {
                if self.election.is_none_or(|known| known.term < term) {
                    if self.election.is_some_and(|known| !known.is_won) {
                        self.hit(CoverageMark::SplitVote);
                    }
                    let is_won = false;
                    self.election = Some(Election { term, is_won });
                }
            }
            RoleKind::Leader => {
                if let Some(election) = &mut self.election
                    && election.term == term
                {
                    election.is_won = true;
                }
                let leads = |(id, known): (&NodeId, &Known)| {
                    *id != raft.id() && known.role == RoleKind::Leader
                };
                if self.nodes.iter().any(leads) {
                    self.hit(CoverageMark::TwoLeaders);
                }
                self.old_entry_stored(raft, known);
                let membership = raft.membership();
                if membership.is_joint() {
                    self.hit(CoverageMark::LeaderInJointChange);
                }
                if membership.get(raft.id()).is_none() {
                    self.hit(CoverageMark::LeaderOutsideItsConfiguration);
                }
            }
        }
    }
}
