//! Which rare situations a run came into. A search that never gets there proves nothing about them.

use core::fmt;
use raft_proto::{Action, EntryKind, Index, NodeId, Raft, RoleKind, Seq, Term};
use std::collections::BTreeMap;

/// A situation that a search for bugs has to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Situation {
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
}

impl Situation {
    /// All of them.
    pub const ALL: [Situation; 11] = [
        Situation::SplitVote,
        Situation::TwoLeaders,
        Situation::Truncation,
        Situation::OldTermsCommitted,
        Situation::ConfigurationTruncated,
        Situation::LeaderInJointChange,
        Situation::LeaderOutsideItsConfiguration,
        Situation::RestoreOverEntries,
        Situation::CrashInWrite,
        Situation::LeaderCrash,
        Situation::AllDown,
    ];
}

impl fmt::Display for Situation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Situation::SplitVote => "a split vote",
            Situation::TwoLeaders => "two leaders at once",
            Situation::Truncation => "stored entries overwritten",
            Situation::OldTermsCommitted => "earlier terms' entries committed",
            Situation::ConfigurationTruncated => "a configuration overwritten",
            Situation::LeaderInJointChange => "a leader elected in a joint change",
            Situation::LeaderOutsideItsConfiguration => "a leader elected to remove itself",
            Situation::RestoreOverEntries => "a snapshot restored over entries",
            Situation::CrashInWrite => "a crash in the middle of a write",
            Situation::LeaderCrash => "a leader crashed",
            Situation::AllDown => "all nodes down at once",
        })
    }
}

/// What is known of a node between its steps.
#[derive(Clone, Copy, Debug)]
struct Known {
    role: RoleKind,
    /// The last entry that it gave its disk, and the last configuration.
    last: Index,
    configuration: Index,
    /// The last write that is not known to be on disk.
    under_way: Option<Seq>,
}

/// How often each situation came up.
#[derive(Clone, Debug, Default)]
pub struct Situations {
    counts: BTreeMap<Situation, u64>,
    nodes: BTreeMap<NodeId, Known>,
    /// The greatest term that had candidates, and whether it had a leader.
    campaign: Option<(Term, bool)>,
}

impl Situations {
    /// How often this one came up.
    pub fn count(&self, situation: Situation) -> u64 {
        self.counts.get(&situation).copied().unwrap_or(0)
    }

    fn saw(&mut self, situation: Situation) {
        *self.counts.entry(situation).or_default() += 1;
    }

    /// A node begins.
    pub fn started(&mut self, raft: &Raft) {
        let known = Known {
            role: raft.role(),
            last: raft.last_log().index,
            configuration: Index::ZERO,
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
            self.saw(Situation::LeaderCrash);
        }
        if known.under_way.is_some() {
            self.saw(Situation::CrashInWrite);
        }
        if self.nodes.is_empty() {
            self.saw(Situation::AllDown);
        }
    }

    /// A node's writes up to this one are on disk.
    pub fn persisted(&mut self, node: NodeId, seq: Seq) {
        if let Some(known) = self.nodes.get_mut(&node) {
            known.under_way = known.under_way.filter(|last| *last > seq);
        }
    }

    /// What a node did in a step.
    pub fn observe(&mut self, raft: &Raft, actions: &[Action]) {
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
            Action::Persist(write) => {
                known.under_way = Some(write.seq);
                if let Some(first) = write.entries.first_index() {
                    if first <= known.last && write.install.is_none() {
                        self.saw(Situation::Truncation);
                    }
                    if first <= known.configuration {
                        self.saw(Situation::ConfigurationTruncated);
                        known.configuration = Index::ZERO;
                    }
                }
                if let Some(last) = write.entries.last_id() {
                    known.last = last.index;
                }
                let changes = write.entries.iter();
                let changes = changes.filter(|entry| entry.kind() == EntryKind::Membership);
                if let Some(change) = changes.last() {
                    known.configuration = change.index();
                }
            }
            Action::Apply { entries } => {
                if let Some(last) = entries.last_id()
                    && known.configuration <= last.index
                {
                    known.configuration = Index::ZERO; // Committed: never overwritten.
                }
                let old = |entry: &raft_proto::Entry<'_>| entry.term() < raft.term();
                if raft.role() == RoleKind::Leader && entries.iter().any(|entry| old(&entry)) {
                    self.saw(Situation::OldTermsCommitted);
                }
            }
            Action::Restore { snapshot } => {
                if known.last > Index::ZERO {
                    self.saw(Situation::RestoreOverEntries);
                }
                known.last = known.last.max(snapshot.id.last.index);
            }
            Action::RoleChanged { role, term } => self.role(raft, *role, *term),
            _ => {}
        }
    }

    fn role(&mut self, raft: &Raft, role: RoleKind, term: Term) {
        match role {
            RoleKind::Follower | RoleKind::PreCandidate => {}
            RoleKind::Candidate => match self.campaign {
                Some((known, _)) if known >= term => {}
                before => {
                    if before.is_some_and(|(_, was_won)| !was_won) {
                        self.saw(Situation::SplitVote);
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
                    self.saw(Situation::TwoLeaders);
                }
                let membership = raft.membership();
                if membership.is_joint() {
                    self.saw(Situation::LeaderInJointChange);
                }
                if membership.get(raft.id()).is_none() {
                    self.saw(Situation::LeaderOutsideItsConfiguration);
                }
            }
        }
    }
}
