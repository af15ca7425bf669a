//! The leaders' logs by term: one tree that holds every log there ever was.
//!
//! A leader's log is the log with which it was elected, and then the entries of its own term. Only
//! the leader of a term makes entries of that term. So the logs of all leaders form a tree, and by
//! Log Matching an index and a term name one place in it, and the whole log up to there. That makes
//! a log eight plus eight bytes: the id of its last entry. Whether one log contains an entry of
//! another takes a look at each term between them, and never at an entry.

use super::facts::DiskId;
use raft_proto::{EntryId, Index, Term};
use std::collections::BTreeMap;

/// A configuration, by its number in [`Refinement`](super::Refinement).
pub(super) type ConfigurationNumber = usize;

/// What belongs to the leader of one term.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LeaderLog {
    pub(super) leader: DiskId,
    /// The end of its log when it was elected.
    pub(super) base: EntryId,
    /// The fingerprints of the entries of its own term, which follow the base.
    pub(super) contents: Vec<u64>,
    /// Those of them that hold configurations.
    pub(super) configurations: Vec<(Index, ConfigurationNumber)>,
    /// The promises: up to which index of this log each disk has acknowledged it in this term.
    pub(super) promises: Vec<(DiskId, Index)>,
    /// The last entry that the leader has committed.
    pub(super) committed: EntryId,
}

impl LeaderLog {
    pub(super) fn end(&self) -> Index {
        self.base.index.plus(self.contents.len() as u64)
    }

    /// The fingerprint of the entry of this term at `index`.
    pub(super) fn content(&self, index: Index) -> Option<u64> {
        let at = index.0.checked_sub(self.base.index.0 + 1)?;
        self.contents.get(usize::try_from(at).ok()?).copied()
    }
}

/// The leaders' logs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Logs {
    pub(super) terms: BTreeMap<Term, LeaderLog>,
}

impl Logs {
    /// The whole log of the leader of a term; [`EntryId::ZERO`] if it has no entry, or nobody leads.
    pub(super) fn of_leader(&self, term: Term) -> EntryId {
        match self.terms.get(&term) {
            Some(log) if log.contents.is_empty() => log.base,
            Some(log) => EntryId {
                index: log.end(),
                term,
            },
            None => EntryId::ZERO,
        }
    }

    /// The log without the entries of its last term: one of an earlier term.
    fn before_its_term(&self, log: EntryId) -> EntryId {
        let base = self.terms.get(&log.term).map(|leader| leader.base);
        let base = base.filter(|base| base.term < log.term);
        base.unwrap_or(EntryId::ZERO)
    }

    /// The log up to `index`, or the whole of a shorter one.
    pub(super) fn prefix(&self, mut log: EntryId, index: Index) -> EntryId {
        while log.index > index {
            let base = self.before_its_term(log);
            log = if base.index < index {
                EntryId {
                    index,
                    term: log.term,
                }
            } else {
                base
            };
        }
        log
    }

    /// Whether `log` holds `entry`, and so everything before it.
    pub(super) fn holds(&self, log: EntryId, entry: EntryId) -> bool {
        self.prefix(log, entry.index) == entry
    }

    /// How many entries two logs have in common.
    pub(super) fn common(&self, mut one: EntryId, mut other: EntryId) -> Index {
        while one.term != other.term {
            if one.term > other.term {
                one = self.before_its_term(one);
            } else {
                other = self.before_its_term(other);
            }
        }
        one.index.min(other.index)
    }

    /// The configurations in a log, from the last to the first.
    pub(super) fn configurations(
        &self,
        mut log: EntryId,
    ) -> impl Iterator<Item = (Index, ConfigurationNumber)> + '_ {
        let runs = core::iter::from_fn(move || {
            let run = (self.terms.get(&log.term)?, log.index);
            log = self.before_its_term(log);
            Some(run)
        });
        runs.flat_map(|(run, last)| {
            let configurations = run.configurations.iter().rev().copied();
            configurations.skip_while(move |(index, _)| *index > last)
        })
    }
}
