//! Log Matching: if two logs contain an entry with the same index and term, then the logs are
//! identical in all entries up through the given index (section 5.3).
//!
//! The paper's argument is an induction: a leader creates at most one entry with a given index
//! in its term, and a follower appends an entry only after the predecessor that the leader has.
//! The check turns that induction into a table. For each index and term, the first log to hold
//! such an entry fixes its content and its predecessor's term; every other log must agree on both.
//! The predecessor was checked in the same way when it entered the log. So agreement at an entry is
//! agreement on all before it, and only entries that are new in a log need to be checked.

use super::observation::Step;
use super::observation::{Fingerprint, ObservedLog};
use super::violation::Violation;
use super::window::Window;
use raft_proto::{EntryId, Index, NodeId, Term};

/// The entries at one index: nearly always one, more after a conflict.
#[derive(Clone, Debug)]
struct Position {
    first: Known,
    others: Vec<Known>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    entry: Fingerprint,
    previous: Term,
    /// The node whose log had it first.
    node: NodeId,
}

impl Position {
    fn find_or_add(&mut self, new: Known) -> Known {
        if self.first.entry.term == new.entry.term {
            return self.first;
        }
        let same = |known: &&Known| known.entry.term == new.entry.term;
        if let Some(known) = self.others.iter().find(same) {
            return *known;
        }
        self.others.push(new);
        new
    }
}

/// All entries seen in any log.
#[derive(Debug, Default)]
pub struct LogMatching {
    positions: Window<Position>,
}

impl LogMatching {
    /// Looks at the entries that are new in a log after this step.
    ///
    /// # Errors
    ///
    /// [`Violation::DifferentEntries`], [`Violation::DifferentPredecessors`].
    pub fn observe(&mut self, step: &Step<'_>) -> Result<(), Violation> {
        match step.change {
            Some(change) => self.entered(step.now.node, step.log, change.from),
            None => Ok(()),
        }
    }

    /// The entries of `log` from `from` on are new to it.
    pub(super) fn entered(
        &mut self,
        node: NodeId,
        log: &ObservedLog,
        from: Index,
    ) -> Result<(), Violation> {
        let mut index = from
            .max(log.base().index.next())
            .max(self.positions.first());
        // The term before the first new entry is unknown only where entries were forgotten.
        let Some(mut previous) = log.term_at(index.previous()) else {
            return Ok(());
        };
        while let Some(entry) = log.get(index) {
            self.check(node, index, entry, previous)?;
            previous = entry.term;
            index = index.next();
        }
        Ok(())
    }

    fn check(
        &mut self,
        node: NodeId,
        index: Index,
        entry: Fingerprint,
        previous: Term,
    ) -> Result<(), Violation> {
        let new = Known {
            entry,
            previous,
            node,
        };
        let known = match self.positions.get_mut(index) {
            Some(position) => position.find_or_add(new),
            None => {
                if index > self.positions.end() {
                    // A log that begins after a snapshot may be ahead of all that was seen.
                    self.positions.drop_before(index);
                }
                let others = Vec::new();
                self.positions.push(Position { first: new, others });
                return Ok(());
            }
        };
        let id = EntryId {
            index,
            term: entry.term,
        };
        if known.entry.content != entry.content {
            return Err(Violation::DifferentEntries {
                entry: id,
                first: known.node,
                second: node,
            });
        }
        if known.previous != previous {
            return Err(Violation::DifferentPredecessors {
                entry: id,
                first: known.node,
                first_term: known.previous,
                second: node,
                second_term: previous,
            });
        }
        Ok(())
    }

    /// Entries before `floor` no longer matter.
    pub fn forget_before(&mut self, floor: Index) {
        if floor > self.positions.first() {
            self.positions.drop_before(floor);
        }
    }
}
