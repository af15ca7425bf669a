//! Leader Completeness: if a log entry is committed in a given term, then that entry will be
//! present in the logs of the leaders for all higher-numbered terms (section 5.4).
//!
//! The paper's argument (5.4.3): a majority stored the entry, a majority voted for the later
//! leader, and the server in both would not have voted for a log less up to date than its own.
//!
//! An entry is committed by the leader whose commitIndex passes it. So the first node with that
//! commitIndex is that leader, and its currentTerm is the term in which the entry was committed.
//! The property can break in two ways, and each is checked when it would happen: a leader is
//! elected without an entry that is committed, or an old leader commits an entry that a newer
//! leader does not have. By Log Matching, a log that holds the last such entry holds those before
//! it, so one comparison is enough.

use super::observation::{ObservedLog, Step};
use super::violation::Violation;
use super::window::Window;
use raft_proto::{EntryId, Index, NodeId, RoleKind, Term};

#[derive(Clone, Copy, Debug)]
struct Committed {
    term: Term,
    /// currentTerm of the leader that committed it.
    committed_in: Term,
}

/// The committed entries, and the term in which each was committed.
#[derive(Debug, Default)]
pub struct LeaderCompleteness {
    committed: Window<Committed>,
}

impl LeaderCompleteness {
    /// Looks at a commitIndex that has moved, and at a node that has been elected.
    ///
    /// # Errors
    ///
    /// [`Violation::CommittedEntryMissing`], [`Violation::CommittedBeyondLog`].
    pub fn observe(&mut self, step: &Step<'_>) -> Result<(), Violation> {
        let (now, before) = (step.now, step.before);
        if now.commit_index >= self.committed.end() {
            self.commit(step)?;
        }
        let led = before.role == RoleKind::Leader && before.term == now.term;
        if now.role == RoleKind::Leader && !led {
            self.elected(step)?;
        }
        Ok(())
    }

    /// Entries that no node had committed before.
    fn commit(&mut self, step: &Step<'_>) -> Result<(), Violation> {
        let now = step.now;
        if now.commit_index > now.last_log.index {
            return Err(Violation::CommittedBeyondLog {
                node: now.node,
                commit_index: now.commit_index,
                last_log: now.last_log,
            });
        }
        let first = self.committed.end().max(step.log.base().index.next());
        if first > self.committed.end() {
            self.committed.drop_before(first);
        }
        let mut last = None;
        while self.committed.end() <= now.commit_index {
            let index = self.committed.end();
            let Some(term) = step.log.term_at(index) else {
                break; // the log holds base + 1 ..= last
            };
            let committed_in = now.term;
            self.committed.push(Committed { term, committed_in });
            last = Some(EntryId { index, term });
        }
        let Some(entry) = last else {
            return Ok(());
        };
        let newer = step.leaders().filter(|(_, term, _)| *term > now.term);
        for (leader, term, log) in newer {
            require(entry, now.term, leader, term, log)?;
        }
        Ok(())
    }

    /// A new leader must hold the last entry that was committed in an earlier term. The newest
    /// entries nearly always were.
    fn elected(&self, step: &Step<'_>) -> Result<(), Violation> {
        let now = step.now;
        let mut committed = self.committed.iter_back();
        let earlier = committed.find(|(_, entry)| entry.committed_in < now.term);
        let Some((index, entry)) = earlier else {
            return Ok(());
        };
        let id = EntryId {
            index,
            term: entry.term,
        };
        require(id, entry.committed_in, now.node, now.term, step.log)
    }

    /// Entries before `floor` no longer matter.
    pub fn forget_before(&mut self, floor: Index) {
        if floor > self.committed.first() && floor < self.committed.end() {
            self.committed.drop_before(floor);
        }
    }

    /// The last committed entry.
    pub fn last_committed(&self) -> Option<EntryId> {
        let (index, entry) = self.committed.iter_back().next()?;
        let term = entry.term;
        Some(EntryId { index, term })
    }

    /// The last committed index.
    pub fn commit_index(&self) -> Index {
        self.committed.end().previous()
    }
}

/// The leader must hold `entry`, or a snapshot that covers it.
fn require(
    entry: EntryId,
    committed_in: Term,
    leader: NodeId,
    term: Term,
    log: &ObservedLog,
) -> Result<(), Violation> {
    let covered = entry.index < log.base().index;
    if covered || log.term_at(entry.index) == Some(entry.term) {
        return Ok(());
    }
    Err(Violation::CommittedEntryMissing {
        entry,
        committed_in,
        leader,
        term,
        last_log: log.last(),
    })
}
