//! The configurations in a log. "A server always uses the latest configuration in its log,
//! regardless of whether the entry is committed" (section 6); when entries are deleted, the one
//! before is in force again; and a snapshot holds the one as of its last entry.

use crate::action::InstalledLog;
use crate::entries::Entries;
use crate::membership::Membership;
use crate::run::Segment;
use crate::types::{EntryKind, Index};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A payload that should hold a configuration, but does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

/// A configuration, and the entry that holds it: from there on it is in force.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Configuration {
    pub(crate) index: Index,
    pub(crate) membership: Membership,
}

/// The configurations since the last snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Configurations {
    /// The snapshot's, or that of the bootstrap.
    base: Configuration,
    /// In the order of their indexes, all above the base's.
    later: Vec<Configuration>,
}

impl Configurations {
    pub(crate) fn new(index: Index, membership: Membership) -> Configurations {
        Configurations {
            base: Configuration { index, membership },
            later: Vec::new(),
        }
    }

    /// The configuration in force.
    pub(crate) fn latest(&self) -> &Configuration {
        self.later.last().unwrap_or(&self.base)
    }

    pub(crate) fn membership(&self) -> &Membership {
        &self.latest().membership
    }

    /// The membership in force as of the entry `index`, which is not before the base's.
    pub(crate) fn as_of(&self, index: Index) -> &Membership {
        let count = self.later.partition_point(|one| one.index <= index);
        let found = count.checked_sub(1).and_then(|at| self.later.get(at));
        &found.unwrap_or(&self.base).membership
    }

    /// The membership in force as of the entry `index`, and all later ones; none if it is the
    /// latest.
    pub(crate) fn since(&self, index: Index) -> impl Iterator<Item = &Membership> {
        let has_later = self.latest().index > index;
        let first = has_later.then(|| self.as_of(index));
        let later = self.later.iter().filter(move |one| one.index > index);
        first.into_iter().chain(later.map(|one| &one.membership))
    }

    /// The entry `index`, after all others, holds `membership`.
    pub(crate) fn push(&mut self, index: Index, membership: Membership) {
        debug_assert!(index > self.latest().index);
        self.later.push(Configuration { index, membership });
    }

    /// Adds the configurations that `entries` hold from `from` on.
    pub(crate) fn extend(&mut self, entries: &Entries, from: Index) -> Result<(), Damaged> {
        for_each(entries, |index, membership| {
            if index >= from {
                self.push(index, membership);
            }
        })
    }

    /// The entries from `from` on are deleted.
    pub(crate) fn truncate(&mut self, from: Index) {
        self.later.retain(|one| one.index < from);
    }

    /// A snapshot up to `index` is installed, with this membership.
    pub(crate) fn install(&mut self, index: Index, membership: &Membership, log: InstalledLog) {
        match log {
            InstalledLog::KeepsTail => self.later.retain(|one| one.index > index),
            InstalledLog::IsDropped => self.later.clear(),
        }
        self.base = Configuration {
            index,
            membership: membership.clone(),
        };
    }

    /// A snapshot up to `index` stands for the configurations before.
    pub(crate) fn drop_through(&mut self, index: Index) {
        let membership = self.as_of(index).clone();
        self.later.retain(|one| one.index > index);
        self.base = Configuration { index, membership };
    }
}

fn is_membership(run: &Segment) -> bool {
    run.kind() == EntryKind::Membership
}

/// Whether there is a configuration among `entries`.
pub(crate) fn any(entries: &Entries) -> bool {
    entries.any_of(EntryKind::Membership)
}

/// Calls `take` with each configuration among `entries`.
pub(crate) fn for_each(
    entries: &Entries,
    mut take: impl FnMut(Index, Membership),
) -> Result<(), Damaged> {
    for run in entries.segments().iter().filter(|run| is_membership(run)) {
        for at in 0..run.len() {
            let membership = Membership::decode(run.payload(at)).ok_or(Damaged)?;
            take(run.first().plus(at as u64), membership);
        }
    }
    Ok(())
}
