//! The configurations in a log. "A server always uses the latest configuration in its log,
//! regardless of whether the entry is committed" (section 6); when entries are deleted, the one
//! before is in force again; and a snapshot holds the one as of its last entry.

use crate::action::InstalledLog;
use crate::entries::{Entries, EntryKind};
use crate::membership::Membership;
use crate::types::Index;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A payload that should hold a configuration, and does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

/// The configurations since the last snapshot, each with the index from which it is in force.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Configurations {
    /// What stands before all that follow: the snapshot's, or that of the bootstrap.
    base: (Index, Membership),
    /// In the order of their indexes, all above the base's.
    later: Vec<(Index, Membership)>,
}

impl Configurations {
    pub(crate) fn new(index: Index, membership: Membership) -> Configurations {
        Configurations {
            base: (index, membership),
            later: Vec::new(),
        }
    }

    /// The one in force, and the entry that holds it.
    pub(crate) fn latest(&self) -> &(Index, Membership) {
        self.later.last().unwrap_or(&self.base)
    }

    pub(crate) fn membership(&self) -> &Membership {
        &self.latest().1
    }

    /// The one in force as of the entry `index`, which is not before the base's.
    pub(crate) fn as_of(&self, index: Index) -> &Membership {
        let count = self.later.partition_point(|(from, _)| *from <= index);
        let found = count.checked_sub(1).and_then(|at| self.later.get(at));
        &found.unwrap_or(&self.base).1
    }

    /// The one in force as of the entry `index`, and all later ones, unless it is the latest.
    pub(crate) fn since(&self, index: Index) -> impl Iterator<Item = &Membership> {
        let (later, first) = match self.latest().0 > index {
            true => (&self.later[..], Some(self.as_of(index))),
            false => (&self.later[..0], None),
        };
        let later = later.iter().filter(move |(at, _)| *at > index);
        first.into_iter().chain(later.map(|(_, one)| one))
    }

    /// The entry `index`, after all others, holds `membership`.
    pub(crate) fn push(&mut self, index: Index, membership: Membership) {
        debug_assert!(index > self.latest().0);
        self.later.push((index, membership));
    }

    /// Takes in what `entries` hold from `from` on.
    pub(crate) fn extend(&mut self, entries: &Entries, from: Index) -> Result<(), Damaged> {
        for_each(entries, |index, membership| {
            if index >= from {
                self.push(index, membership);
            }
        })
    }

    /// The entries from `from` on are deleted.
    pub(crate) fn truncate(&mut self, from: Index) {
        self.later.retain(|(index, _)| *index < from);
    }

    /// A snapshot up to `index` is installed, with this membership.
    pub(crate) fn install(&mut self, index: Index, membership: &Membership, log: InstalledLog) {
        match log {
            InstalledLog::KeepsTail => self.later.retain(|(at, _)| *at > index),
            InstalledLog::IsDropped => self.later.clear(),
        }
        self.base = (index, membership.clone());
    }

    /// A snapshot up to `index` stands for all before.
    pub(crate) fn drop_through(&mut self, index: Index) {
        let membership = self.as_of(index).clone();
        self.later.retain(|(at, _)| *at > index);
        self.base = (index, membership);
    }
}

/// Calls `take` with each configuration among `entries`.
pub(crate) fn for_each(
    entries: &Entries,
    mut take: impl FnMut(Index, Membership),
) -> Result<(), Damaged> {
    let holding = |run: &&crate::run::Segment| run.kind() == EntryKind::Membership;
    for run in entries.segments().iter().filter(holding) {
        for at in 0..run.len() {
            let membership = Membership::decode(run.payload(at)).ok_or(Damaged)?;
            take(run.first().plus(at as u64), membership);
        }
    }
    Ok(())
}
