//! What the records of a log amount to. Reading them at the start and writing them later change it
//! by the same rules.

use super::record::{Appended, StateExtra, WriteExtra};
use raft_proto::{EntryId, HardState, Identity, Index, InstalledLog, SnapshotId, SnapshotMeta};
use std::collections::BTreeMap;

/// Everything but the entries themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) identity: Option<Identity>,
    pub(super) hard_state: HardState,
    pub(super) snapshot: Option<SnapshotMeta>,
    /// Entries up to here are no part of the log.
    pub(super) floor: Index,
    /// The last entry; that of the snapshot, or none, if the log is empty.
    pub(super) last: EntryId,
    /// How many instances have written to the folder.
    pub(super) instance: u64,
    /// The last entry that was acknowledged and is lost, until the log has caught up with it:
    /// [`Recovered::impaired`](raft_proto::Recovered::impaired).
    pub(super) lost: Option<EntryId>,
}

/// What a record does to the entries before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Effect {
    /// Entries up to here are dropped.
    pub(super) drop_through: Option<Index>,
    /// Entries from here on are replaced.
    pub(super) replace_from: Option<Index>,
}

/// Entries that do not continue the log.
#[derive(Debug)]
pub(super) struct Gap {
    /// The entry that should come next, at most.
    pub(super) expected: Index,
    pub(super) found: Index,
}

impl State {
    pub(super) fn extra(&self) -> StateExtra {
        StateExtra {
            identity: self.identity.clone(),
            snapshot: self.snapshot.clone(),
            floor: self.floor,
            last: self.last,
            instance: self.instance,
            lost: self.lost,
        }
    }

    pub(super) fn of_record(hard_state: HardState, extra: StateExtra) -> State {
        State {
            identity: extra.identity,
            hard_state,
            snapshot: extra.snapshot,
            floor: extra.floor,
            last: extra.last,
            instance: extra.instance,
            lost: extra.lost,
        }
    }

    /// The last entry that was acknowledged: it is in the log, or lost.
    pub(super) fn acknowledged(&self) -> EntryId {
        self.lost.unwrap_or(self.last)
    }

    pub(super) fn snapshot_id(&self) -> Option<SnapshotId> {
        self.snapshot.as_ref().map(|meta| meta.id)
    }

    /// Changes the state as a write says. If there is a gap, the entries count nevertheless: what
    /// comes after damage is still to be read.
    pub(super) fn apply(
        &mut self,
        hard_state: HardState,
        extra: &WriteExtra,
        appended: Option<Appended>,
    ) -> (Effect, Result<(), Gap>) {
        let applied = self.apply_parts(hard_state, extra, appended);
        let last = self.last;
        self.lost
            .take_if(|lost| last.is_at_least_as_up_to_date_as(*lost));
        applied
    }

    /// The parts of a write, in the order of [`Write`]'s fields.
    fn apply_parts(
        &mut self,
        hard_state: HardState,
        extra: &WriteExtra,
        appended: Option<Appended>,
    ) -> (Effect, Result<(), Gap>) {
        let mut effect = Effect {
            drop_through: None,
            replace_from: None,
        };
        if let Some(identity) = &extra.identity {
            self.identity = Some((**identity).clone());
        }
        self.hard_state = hard_state;
        if let Some(install) = &extra.install {
            let last = install.snapshot.id.last;
            let dropped = match install.log {
                InstalledLog::KeepsTail => last.index,
                InstalledLog::IsDropped => last.index.max(self.last.index),
            };
            effect.drop_through = Some(dropped);
            self.floor = last.index;
            if dropped >= self.last.index {
                self.last = last;
            }
            self.snapshot = Some(install.snapshot.clone());
        }
        if let Some(compact) = &extra.compact {
            effect.drop_through = effect.drop_through.max(Some(compact.drop_through));
            self.floor = self.floor.max(compact.drop_through);
            if self.floor >= self.last.index {
                self.last = compact.snapshot.id.last;
            }
            self.snapshot = Some(compact.snapshot.clone());
        }
        let Some(appended) = appended else {
            return (effect, Ok(()));
        };
        let expected = self.last.index.max(self.floor).next();
        let found = appended.first;
        let follows = found <= expected && found > self.floor;
        if found < expected {
            effect.replace_from = Some(found);
        }
        self.last = appended.last;
        (effect, follows.then_some(()).ok_or(Gap { expected, found }))
    }
}

/// Entries with consecutive indexes, in records one after another in one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) last: Index,
    pub(super) segment: u64,
    /// Where the first record begins, and where the last one ends.
    pub(super) begin: u64,
    pub(super) end: u64,
}

/// Where the log's entries are: a sparse index.
#[derive(Clone, Debug, Default)]
pub(super) struct Spans(BTreeMap<Index, Span>);

impl Spans {
    /// So many bytes of records are in one span: to find an entry in it, at most that is read.
    const BYTES: u64 = 64 << 10;

    pub(super) fn apply(&mut self, effect: Effect) {
        if let Some(index) = effect.drop_through {
            self.drop_through(index);
        }
        if let Some(index) = effect.replace_from {
            self.truncate(index);
        }
    }

    /// The records of these entries are there. They follow those before.
    pub(super) fn append(&mut self, appended: Appended, segment: u64, begin: u64, end: u64) {
        if let Some(mut newest) = self.0.last_entry() {
            let span = newest.get_mut();
            let continues = span.segment == segment && span.end == begin;
            if continues
                && span.last.next() == appended.first
                && span.end - span.begin < Self::BYTES
            {
                span.last = appended.last.index;
                span.end = end;
                return;
            }
        }
        let span = Span {
            last: appended.last.index,
            segment,
            begin,
            end,
        };
        self.0.insert(appended.first, span);
    }

    fn drop_through(&mut self, index: Index) {
        while let Some(oldest) = self.0.first_entry()
            && oldest.get().last <= index
        {
            oldest.remove();
        }
    }

    fn truncate(&mut self, from: Index) {
        self.0.split_off(&from);
        if let Some(mut newest) = self.0.last_entry() {
            let span = newest.get_mut();
            if span.last >= from {
                span.last = from.previous();
                // The record that replaces the rest begins a span of its own.
                span.end = u64::MAX;
            }
        }
    }

    /// The first entry whose bytes are there. It may be dropped already, if its span has others that
    /// are not.
    pub(super) fn first(&self) -> Option<Index> {
        self.0.keys().next().copied()
    }

    /// The segment that has the first entry.
    pub(super) fn first_segment(&self) -> Option<u64> {
        self.0.values().next().map(|span| span.segment)
    }

    /// The span that has the entry, and those after it.
    pub(super) fn from(&self, index: Index) -> impl Iterator<Item = (Index, Span)> {
        let begin = self.0.range(..=index).next_back();
        let begin = begin.filter(|(_, span)| span.last >= index);
        let begin = begin.map_or(Index(u64::MAX), |(first, _)| *first);
        self.0.range(begin..).map(|(first, span)| (*first, *span))
    }
}
