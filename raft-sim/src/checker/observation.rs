//! The state in which each node was last observed, and a picture of its log.

use super::violation::Violation;
use super::window::Window;
use raft_proto::{
    Action, Entry, EntryId, EntryKind, HardState, Incarnation, Index, NodeId, Raft, RoleKind, Term,
    Write,
};
use rustc_hash::FxHasher;
use std::hash::Hasher;

/// An entry without its payload: equal fingerprints stand for equal entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
pub struct Fingerprint {
    /// The entry's term.
    pub term: Term,
    /// A hash of its kind and payload.
    pub content: u64,
}

impl Fingerprint {
    /// The fingerprint of an entry.
    pub fn of(entry: &Entry<'_>) -> Fingerprint {
        let mut hasher = FxHasher::default();
        hasher.write_u8(match entry.kind() {
            EntryKind::Command => 0,
            EntryKind::Noop => 1,
            EntryKind::Membership => 2,
        });
        hasher.write(entry.payload());
        Fingerprint {
            term: entry.term(),
            content: hasher.finish(),
        }
    }
}

/// currentTerm and votedFor of a core.
pub(super) fn vote_of(raft: &Raft) -> HardState {
    HardState {
        term: raft.term(),
        voted_for: raft.voted_for(),
    }
}

/// Whether what `from` says counts at a node: its configuration names no other disk than that which
/// speaks, `incarnation`.
pub(super) fn speaks_for_member(
    raft: &Raft,
    from: NodeId,
    incarnation: Option<Incarnation>,
) -> bool {
    let member = raft.membership().get(from);
    let named = member.and_then(|member| member.incarnation);
    named.is_none() || named == incarnation
}

/// A node right after a step, and the actions of the step.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// Which node.
    pub node: NodeId,
    /// Its currentTerm.
    pub term: Term,
    /// Its role.
    pub role: RoleKind,
    /// Its commitIndex.
    pub commit_index: Index,
    /// The entry before its log.
    pub log_base: EntryId,
    /// The last entry of its log.
    pub last_log: EntryId,
    /// The actions of the step.
    pub actions: &'a [Action],
}

impl<'a> Observation<'a> {
    /// The observation of a real core.
    pub fn of(raft: &Raft, actions: &'a [Action]) -> Observation<'a> {
        Observation {
            node: raft.id(),
            term: raft.term(),
            role: raft.role(),
            commit_index: raft.commit_index(),
            log_base: raft.log_base(),
            last_log: raft.last_log(),
            actions,
        }
    }
}

/// A node at its start, before its first step.
#[derive(Clone, Debug)]
pub struct Started {
    /// Which node.
    pub node: NodeId,
    /// Its currentTerm.
    pub term: Term,
    /// The entry before its log.
    pub log_base: EntryId,
    /// Its log.
    pub entries: raft_proto::Entries,
    /// The last index that its state machine has applied: that of the recovered snapshot.
    pub applied: Index,
}

impl Started {
    /// The start of a real core, whose state machine has applied all up to `applied`.
    pub fn of(raft: &Raft, applied: Index) -> Started {
        let base = raft.log_base();
        Started {
            node: raft.id(),
            term: raft.term(),
            log_base: base,
            entries: raft.entries(base.index.next(), raft.last_log().index),
            applied,
        }
    }
}

/// The picture of a log: each entry's fingerprint.
#[derive(Clone, Debug)]
pub struct ObservedLog {
    base: EntryId,
    entries: Window<Fingerprint>,
}

impl ObservedLog {
    fn new(base: EntryId) -> ObservedLog {
        ObservedLog {
            base,
            entries: Window::starting_at(base.index.next()),
        }
    }

    /// The entry before the log.
    pub fn base(&self) -> EntryId {
        self.base
    }

    /// The last entry, or the base.
    pub fn last(&self) -> EntryId {
        let index = self.entries.end().previous();
        let term = self.entries.get(index).map(|entry| entry.term);
        EntryId {
            index,
            term: term.unwrap_or(self.base.term),
        }
    }

    /// The fingerprint of the entry at `index`, if it is in the log.
    pub fn get(&self, index: Index) -> Option<Fingerprint> {
        self.entries.get(index).copied()
    }

    /// The term at `index`; the base's term is known, too.
    pub fn term_at(&self, index: Index) -> Option<Term> {
        if index == self.base.index {
            return Some(self.base.term);
        }
        self.get(index).map(|entry| entry.term)
    }

    fn append(&mut self, entries: &raft_proto::Entries) {
        for entry in entries {
            if entry.index() > self.base.index {
                self.entries.push(Fingerprint::of(&entry));
            }
        }
    }

    /// The log now begins after `base`: the entries before were compacted away.
    fn rebase(&mut self, base: EntryId) {
        if base.index > self.base.index {
            self.entries.drop_before(base.index.next());
            self.base = base;
        }
    }
}

/// A node as the step before left it.
#[derive(Clone, Copy, Debug)]
pub struct StateBefore {
    /// Its currentTerm.
    pub term: Term,
    /// Its role.
    pub role: RoleKind,
    /// Its commitIndex.
    pub commit_index: Index,
    /// The last entry of its log.
    pub last_log: EntryId,
}

/// How a step changed the node's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogChange {
    /// Entries from here on are new.
    pub from: Index,
    /// How many entries that stood there before were dropped.
    pub dropped: u64,
}

#[derive(Debug)]
struct NodeView {
    node: NodeId,
    term: Term,
    role: RoleKind,
    commit_index: Index,
    log: ObservedLog,
}

/// All nodes, as last observed. They are few, so a linear search is fastest.
#[derive(Debug, Default)]
pub struct ObservedCluster {
    nodes: Vec<NodeView>,
}

/// One step of one node, as the properties see it.
#[derive(Debug)]
pub struct Step<'a> {
    /// The node after the step.
    pub now: &'a Observation<'a>,
    /// The node before it.
    pub before: StateBefore,
    /// How its log changed; `None` if no entry came or went, compaction apart.
    pub change: Option<LogChange>,
    /// Its log after the step.
    pub log: &'a ObservedLog,
    cluster: &'a ObservedCluster,
}

impl Step<'_> {
    /// The nodes that were leaders when last observed: id, term and log.
    pub fn leaders(&self) -> impl Iterator<Item = (NodeId, Term, &ObservedLog)> {
        let leads = |view: &&NodeView| view.role == RoleKind::Leader;
        let nodes = self.cluster.nodes.iter().filter(leads);
        nodes.map(|view| (view.node, view.term, &view.log))
    }
}

impl ObservedCluster {
    /// The log of a node, as observed.
    pub fn log(&self, node: NodeId) -> Option<&ObservedLog> {
        let view = self.nodes.iter().find(|view| view.node == node)?;
        Some(&view.log)
    }

    /// The lowest base of any log.
    pub fn lowest_base(&self) -> Index {
        let bases = self.nodes.iter().map(|view| view.log.base.index);
        bases.min().unwrap_or(Index::ZERO)
    }

    pub(super) fn started(&mut self, started: &Started) {
        let mut log = ObservedLog::new(started.log_base);
        log.append(&started.entries);
        let view = NodeView {
            node: started.node,
            term: started.term,
            role: RoleKind::Follower,
            commit_index: started.log_base.index,
            log,
        };
        match self.nodes.iter_mut().find(|old| old.node == started.node) {
            Some(old) => *old = view,
            None => self.nodes.push(view),
        }
    }

    pub(super) fn stopped(&mut self, node: NodeId) {
        if let Some(view) = self.nodes.iter_mut().find(|view| view.node == node) {
            view.role = RoleKind::Follower;
        }
    }

    pub(super) fn gone(&mut self, node: NodeId) {
        self.nodes.retain(|view| view.node != node);
    }

    pub(super) fn observe<'a>(
        &'a mut self,
        now: &'a Observation<'a>,
    ) -> Result<Step<'a>, Violation> {
        let at = self.nodes.iter().position(|view| view.node == now.node);
        let Some(at) = at else {
            return Err(Violation::NeverStarted { node: now.node });
        };
        let view = &mut self.nodes[at]; // found above
        let before = StateBefore {
            term: view.term,
            role: view.role,
            commit_index: view.commit_index,
            last_log: view.log.last(),
        };
        let mut change = None;
        for action in now.actions {
            if let Action::Persist(write) = action {
                change = merge(change, written(&mut view.log, write));
            }
        }
        view.log.rebase(now.log_base);
        view.term = now.term;
        view.role = now.role;
        view.commit_index = now.commit_index;
        if view.log.last() != now.last_log {
            return Err(Violation::LogNotWritten {
                node: now.node,
                written: view.log.last(),
                log: now.last_log,
            });
        }
        Ok(Step {
            now,
            before,
            change,
            log: &self.nodes[at].log, // found above
            cluster: self,
        })
    }
}

/// Applies a write to the picture of a log, which is what a restart would find.
fn written(log: &mut ObservedLog, write: &Write) -> Option<LogChange> {
    if let Some(install) = &write.install {
        let last = install.snapshot.id.last;
        match install.log {
            raft_proto::InstalledLog::KeepsTail => {}
            raft_proto::InstalledLog::IsDropped => *log = ObservedLog::new(last),
        }
    }
    let from = write.entries.first_index()?;
    let dropped = log.last().index.next().since(from);
    log.entries.truncate(from);
    log.append(&write.entries);
    Some(LogChange { from, dropped })
}

fn merge(earlier: Option<LogChange>, later: Option<LogChange>) -> Option<LogChange> {
    match (earlier, later) {
        (Some(a), Some(b)) => Some(LogChange {
            from: a.from.min(b.from),
            dropped: a.dropped.saturating_add(b.dropped),
        }),
        (change, None) | (None, change) => change,
    }
}
