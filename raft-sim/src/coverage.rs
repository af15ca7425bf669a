//! Which rare situations a run came into. A search that never gets there proves nothing about them.

use core::fmt;
use raft_proto::{
    Action, EntryId, EntryKind, Index, Message, NodeId, Raft, ReadError, RoleKind, Seq, Term, Time,
    Write,
};
use std::collections::BTreeMap;

/// A situation that a search for bugs has to reach.
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
    /// A leader was elected that is not among the voters it counts: it leads its own removal.
    LeaderOutsideItsConfiguration,
    /// A snapshot replaced a log that had entries beyond it or beside it (section 7).
    RestoreOverEntries,
    /// A node crashed while writes were under way.
    CrashInWrite,
    /// A leader crashed.
    LeaderCrash,
    /// Every node was down at the same moment.
    AllDown,
    /// More than half of the voters held an entry of a term before their leader's that no node
    /// had committed: one that counting alone must not commit (section 5.4.2; Figure 8 (c)).
    /// Looked for when a leader is elected, of its last entry, and when a follower's log comes
    /// to end with such an entry.
    Figure8,
    /// An entry that was in that situation was overwritten (Figure 8 (d)).
    Figure8Overwritten,
    /// A chunk of a snapshot was sent while links were cut.
    SnapshotSentInPartition,
    /// A snapshot was installed while links were cut.
    SnapshotInstalledInPartition,
    /// A leader refused a read because its lease had run out, or was given up (thesis 6.4.1).
    LeaseExpired,
    /// A lead was handed over on demand (thesis 3.10).
    LeadershipTransferred,
    /// A node stood still for a while, and its clock went on.
    NodePaused,
    /// A node's clock jumped.
    ClockJumped,
    /// A server that had lost its disk began anew under another id.
    NewIdentity,
    /// A crash left a part of a write.
    TornWrite,
    /// A read from disk failed.
    ReadError,
    /// Bits on a disk changed by themselves.
    BitRot,
    /// A frame arrived with other bytes than it was sent with.
    FrameCorrupted,
    /// A process ended, and the machine lost nothing.
    ProcessKilled,
    /// A machine lost power while its process was down.
    PowerLostWhileDown,
    /// A service forgot a session (thesis 6.3).
    SessionEvicted,
    /// A client sent a command again, and it had run (thesis 6.3).
    CommandRepeated,
    /// A service refused a command, since it did not know its session any more.
    CommandRefused,
    /// The faults of no more than a majority ended, and it had to go on without the others.
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

/// Whether an action may tell of a situation.
fn tells(action: &Action) -> bool {
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
        | Action::Faulted { .. } => false,
    }
}

/// What is known of a node between its steps.
#[derive(Clone, Copy, Debug)]
struct Known {
    role: RoleKind,
    /// The last entry that it gave its disk, and the last configuration.
    last: EntryId,
    configuration: Index,
    /// An entry that it holds, and that was on a majority uncommitted.
    stuck: Option<EntryId>,
    /// The last write that is not known to be on disk.
    under_way: Option<Seq>,
}

/// How often each situation came up.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    counts: BTreeMap<CoverageMark, u64>,
    nodes: BTreeMap<NodeId, Known>,
    /// The greatest term that had candidates, and whether it had a leader.
    campaign: Option<(Term, bool)>,
    /// The greatest commitIndex of any node.
    committed: Index,
    /// The last entry that was on a majority uncommitted, under a leader of a later term.
    stuck: Option<EntryId>,
    /// Links are cut until then.
    cut_until: Time,
    /// When the step that is looked at happens.
    now: Time,
}

impl Coverage {
    /// How often this one came up.
    pub fn count(&self, situation: CoverageMark) -> u64 {
        self.counts.get(&situation).copied().unwrap_or(0)
    }

    /// This one came up.
    pub fn hit(&mut self, situation: CoverageMark) {
        *self.counts.entry(situation).or_default() += 1;
    }

    /// Links are cut until then, if none are for longer.
    pub fn links_cut(&mut self, until: Time) {
        self.cut_until = self.cut_until.max(until);
    }

    /// No link is cut any more.
    pub fn links_healed(&mut self) {
        self.cut_until = Time::ZERO;
    }

    /// A node begins.
    pub fn started(&mut self, raft: &Raft) {
        let known = Known {
            role: raft.role(),
            last: raft.last_log(),
            configuration: Index::ZERO,
            stuck: (self.stuck).filter(|entry| raft.term_at(entry.index) == Some(entry.term)),
            under_way: None,
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
        if known.under_way.is_some() {
            self.hit(CoverageMark::CrashInWrite);
        }
        if self.nodes.is_empty() {
            self.hit(CoverageMark::AllDown);
        }
    }

    /// A node's writes up to this one are on disk.
    pub fn persisted(&mut self, node: NodeId, seq: Seq) {
        if let Some(known) = self.nodes.get_mut(&node) {
            known.under_way = known.under_way.filter(|last| *last > seq);
        }
    }

    /// What a node did in a step.
    pub fn observe(&mut self, now: Time, raft: &Raft, actions: &[Action]) {
        self.now = now;
        self.committed = self.committed.max(raft.commit_index());
        if !actions.iter().any(tells) {
            return; // Most steps only send, or do nothing at all.
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

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "only some tell of a situation"
    )]
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
        known.under_way = Some(write.seq);
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

    /// A node's log ends with an entry of an earlier term: now that it has stored it, or at its
    /// election. Looks whether a majority of the voters hold the entry by now: those whose last
    /// entry it is, those whose last entry is of the current term, since its leader has this one
    /// before all of its own, and the node itself and its leader.
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
            RoleKind::Candidate => match self.campaign {
                Some((known, _)) if known >= term => {}
                before => {
                    if before.is_some_and(|(_, was_won)| !was_won) {
                        self.hit(CoverageMark::SplitVote);
                    }
                    self.campaign = Some((term, false));
                }
            },
            RoleKind::Leader => {
                if let Some((known, was_won)) = &mut self.campaign
                    && *known == term
                {
                    *was_won = true;
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
