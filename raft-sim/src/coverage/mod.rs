//! Coverage: which rare situations a run has reached. A search that never reaches one proves
//! nothing about it.

mod disk_answers;
mod mark;

pub use mark::CoverageMark;

use disk_answers::DiskAnswers;
use raft_proto::{
    Action, EntryId, EntryKind, Index, Input, Message, NodeId, PeerState, Raft, ReadError,
    RoleKind, Seq, Term, Time, Write,
};
use std::collections::BTreeMap;

/// Whether an action may hit a mark.
fn may_hit(action: &Action) -> bool {
    match action {
        Action::Send { message, .. } => matches!(message, Message::InstallSnapshot(_)),
        Action::Persist(_)
        | Action::Apply { .. }
        | Action::Restore { .. }
        | Action::RoleChanged { .. }
        | Action::Read { .. }
        | Action::ReadSnapshot { .. }
        | Action::WriteSnapshot { .. }
        | Action::ReadEntries { .. }
        | Action::Transferred { .. } => true,
        Action::ReleaseSnapshot { .. }
        | Action::SnapshotDamaged { .. }
        | Action::WakeAt(_)
        | Action::Proposed { .. }
        | Action::ChangeProposed { .. }
        | Action::Campaigning { .. }
        | Action::SteppedDown { .. }
        | Action::Reconfigured { .. }
        | Action::Overdue(_)
        | Action::MembershipChanged { .. }
        | Action::LeaderChanged { .. }
        | Action::Rejected { .. }
        | Action::Refused { .. }
        | Action::LostState { .. }
        | Action::EntryRefused { .. }
        | Action::Removed { .. }
        | Action::ForeignIncarnation(_)
        | Action::Replaced { .. }
        | Action::Faulted { .. } => false,
    }
}

/// Whether a leader sends a snapshot that ends before `index`.
fn sends_older(raft: &Raft, index: Index) -> bool {
    let is_older = |state: PeerState| match state {
        PeerState::Snapshot { snapshot, .. } => snapshot.last.index < index,
        PeerState::Probe | PeerState::Replicate { .. } => false,
    };
    raft.role() == RoleKind::Leader && (raft.status().peers.iter()).any(|peer| is_older(peer.state))
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
    disk_answers: DiskAnswers,
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
        self.disk_answers.stopped(node);
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

    /// A node is about to take an input: the disk's answer to a request may be late, or an error.
    pub fn input(&mut self, now: Time, raft: &Raft, input: &Input) {
        for mark in self.disk_answers.input(now, raft, input) {
            self.hit(mark);
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
            self.disk_answers.action(now, raft.id(), action);
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
                if raft.handed_out_index() < raft.commit_index().min(raft.durable_index()) {
                    self.hit(CoverageMark::ApplyBoundReached);
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
        if let Some(compaction) = &write.compact
            && sends_older(raft, compaction.snapshot.id.last.index)
        {
            self.hit(CoverageMark::CompactionInTransfer);
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
