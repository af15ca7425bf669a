//! The log after the snapshot (section 5.3).
//!
//! Log Matching: if two logs hold an entry with the same index and term, they are identical up
//! to it. A leader creates at most one entry at an index in its term and never moves it, and a
//! follower appends only behind an entry that it has in common with the leader.
//!
//! Entries are kept as runs ([`Segment`]), one for each batch that came in; every lookup is a
//! binary search over runs, and no operation walks the log.

use crate::entries::Entries;
use crate::run::Segment;
use crate::types::{EntryId, Index, Term};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::hash::{Hash, Hasher};
use serde::{Deserialize, Serialize};

/// Entries `base.index + 1 ..= last.index`, whose terms never fall. The payloads of the oldest may
/// have been dropped from memory (`resident.rs`).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub(crate) struct Log {
    /// The entry before the first: the last one that compaction dropped, or [`EntryId::ZERO`].
    base: EntryId,
    /// The last entry of each term among those whose payloads were dropped, in order.
    dropped: Vec<EntryId>,
    /// Each begins where the one before ends. The first follows the last of `dropped`, or `base`.
    segments: VecDeque<Segment>,
    /// The bytes of `segments`.
    bytes: u64,
    /// The last entry; `base` if the log is empty.
    last: EntryId,
}

impl Log {
    /// An empty log after `base`.
    pub(crate) fn new(base: EntryId) -> Log {
        Log {
            base,
            dropped: Vec::new(),
            segments: VecDeque::new(),
            bytes: 0,
            last: base,
        }
    }

    /// The entry before the first, whose term is still known.
    pub(crate) fn base(&self) -> EntryId {
        self.base
    }

    /// The last entry whose payload is not in memory; the base if all payloads are.
    pub(crate) fn resident_after(&self) -> EntryId {
        self.dropped.last().copied().unwrap_or(self.base)
    }

    /// The bytes of the entries in memory.
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.bytes
    }

    /// Drops the payloads of the oldest entries up to `through` from memory, until no more than
    /// `limit` bytes are left. Their terms stay.
    pub(crate) fn drop_payloads(&mut self, through: Index, limit: u64) {
        while self.bytes > limit
            && let Some(run) = self.segments.front()
            && run.last() <= through
        {
            self.bytes -= run.bytes();
            match self.dropped.last_mut() {
                Some(last) if last.term == run.term() => last.index = run.last(),
                Some(_) | None => self.dropped.push(run.last_id()),
            }
            self.segments.pop_front();
        }
    }

    /// lastLogIndex and lastLogTerm.
    pub(crate) fn last(&self) -> EntryId {
        self.last
    }

    /// The position of the run that holds `index`, which is in the log. Most lookups are near the
    /// end, so the search widens from there: it costs the logarithm of the distance.
    fn position(&self, index: Index) -> usize {
        let count = self.segments.len();
        let mut reach = 1;
        // Each turn either finds a run that begins at or before `index`, or doubles the reach.
        let (mut low, mut high) = loop {
            let Some(at) = count.checked_sub(reach) else {
                break (0, count.saturating_sub(reach / 2));
            };
            match self.segments.get(at) {
                Some(run) if run.first() > index => reach *= 2,
                Some(_) | None => break (at, count.saturating_sub(reach / 2)),
            }
        };
        // The run is in low .. high: the one at `high` begins after `index`, if there is one.
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match self.segments.get(middle) {
                Some(run) if run.first() <= index => low = middle,
                Some(_) | None => high = middle,
            }
        }
        low
    }

    /// The term of the entry at `index`; `None` if the log does not hold it. The base's is known.
    pub(crate) fn term_at(&self, index: Index) -> Option<Term> {
        if index == self.last.index {
            return Some(self.last.term);
        }
        if index == self.base.index {
            return Some(self.base.term);
        }
        if index < self.base.index || index > self.last.index {
            return None;
        }
        if index <= self.resident_after().index {
            let at = self.dropped.partition_point(|last| last.index < index);
            return self.dropped.get(at).map(|last| last.term);
        }
        self.segments.get(self.position(index)).map(Segment::term)
    }

    /// Whether the log holds this very entry, or it is the base.
    pub(crate) fn contains(&self, id: EntryId) -> bool {
        self.term_at(id.index) == Some(id.term)
    }

    /// The last entry at or before `bound.index` whose term is not above `bound.term`; the base
    /// if there is none. Terms never fall, so all entries between it and `bound.index` are of later
    /// terms: two logs cannot agree there.
    pub(crate) fn last_not_above(&self, bound: EntryId) -> EntryId {
        if bound.index >= self.last.index && self.last.term <= bound.term {
            return self.last;
        }
        let fits = |run: &Segment| run.first() <= bound.index && run.term() <= bound.term;
        let count = self.segments.partition_point(fits);
        match count.checked_sub(1).and_then(|at| self.segments.get(at)) {
            Some(run) => EntryId {
                index: run.last().min(bound.index),
                term: run.term(),
            },
            None => self.last_dropped_not_above(bound),
        }
    }

    /// The same among the entries whose payloads were dropped.
    fn last_dropped_not_above(&self, bound: EntryId) -> EntryId {
        let before = core::iter::once(&self.base).chain(&self.dropped);
        let spans = before.zip(&self.dropped);
        let fits = |(before, last): &(&EntryId, &EntryId)| {
            before.index < bound.index && last.term <= bound.term
        };
        let found = spans.take_while(fits).last();
        found.map_or(self.base, |(_, last)| EntryId {
            index: last.index.min(bound.index),
            term: last.term,
        })
    }

    /// The first of `entries` that the log does not hold: it conflicts, or is beyond the end.
    /// `None` if the log holds all of them, or they are before the base. The base itself may
    /// conflict.
    pub(crate) fn first_missing(&self, entries: &Entries) -> Option<Index> {
        let reaching = |run: &&Segment| run.last() >= self.base.index;
        entries.segments().iter().filter(reaching).find_map(|run| {
            let (first, last) = (run.first().max(self.base.index), run.last());
            let missing = |index: &Index| self.term_at(*index) != Some(run.term());
            // Terms never fall: if both ends agree, so do the entries between them.
            if !missing(&last) && !missing(&first) {
                return None;
            }
            (first.0..last.0).map(Index).find(missing).or(Some(last))
        })
    }

    /// Appends the part of `entries` from `from` on, the position after the last entry.
    pub(crate) fn append_from(&mut self, from: Index, entries: Entries) {
        assert_eq!(from, self.last.index.next(), "a log has no gaps");
        entries.for_each_segment(|run| {
            if let Some(run) = run.starting_at(from) {
                self.append(run);
            }
        });
    }

    /// Appends a run that begins after the last entry.
    pub(crate) fn append(&mut self, run: Segment) {
        assert_eq!(run.first(), self.last.index.next(), "a log has no gaps");
        assert!(run.term() >= self.last.term, "terms never fall in a log");
        self.last = run.last_id();
        self.bytes += run.bytes();
        self.segments.push_back(run);
    }

    /// Drops the entry at `from`, which is after the base and in memory, and all later ones.
    pub(crate) fn truncate(&mut self, from: Index) {
        assert!(from > self.resident_after().index, "what is applied stays");
        while let Some(run) = self.segments.pop_back() {
            if run.last() < from {
                self.segments.push_back(run);
                break;
            }
            self.bytes -= run.bytes();
            if let Some(kept) = run.part(run.first(), from.previous()) {
                self.bytes += kept.bytes();
                self.segments.push_back(kept);
                break;
            }
        }
        let before = self.resident_after();
        self.last = self.segments.back().map_or(before, Segment::last_id);
    }

    /// Drops all entries up to `through`, which is in the log.
    pub(crate) fn drop_through(&mut self, through: Index) {
        let Some(term) = self.term_at(through) else {
            return;
        };
        self.dropped.retain(|last| last.index > through);
        // Their bytes are summed before any is dropped. Old runs are in no cache: loads of many of
        // them overlap, but not with the reference counts that fall in between.
        let count = self.segments.partition_point(|run| run.last() <= through);
        let dropped = self.segments.range(..count).map(Segment::bytes);
        self.bytes -= dropped.sum::<u64>();
        self.segments.drain(..count);
        if let Some(run) = self.segments.front_mut()
            && run.first() <= through
            && let Some(kept) = run.part(through.next(), run.last())
        {
            self.bytes = self.bytes - run.bytes() + kept.bytes();
            *run = kept;
        }
        self.base = EntryId {
            index: through,
            term,
        };
    }

    /// The entries `from ..= to` that are in memory, as many as fit in `limit` bytes but at least
    /// one; and their bytes. Inlined, so that a run goes into its message without being moved twice.
    #[inline(always)]
    pub(crate) fn slice(&self, from: Index, to: Index, limit: u64) -> (Entries, u64) {
        match self.whole_run(from, to) {
            Some(run) if run.bytes() <= limit => (Entries::from_segment(run.clone()), run.bytes()),
            Some(_) | None => self.slice_of_runs(from, to, limit),
        }
    }

    /// The run that holds the entries `from ..= to` and no others, if one does.
    #[inline]
    pub(crate) fn whole_run(&self, from: Index, to: Index) -> Option<&Segment> {
        match self.segments.back() {
            // Nearly always, it is the last one.
            Some(tail) if tail.first() == from && self.last.index <= to => Some(tail),
            Some(_) | None => self.whole_run_inside(from, to),
        }
    }

    #[inline(never)]
    fn whole_run_inside(&self, from: Index, to: Index) -> Option<&Segment> {
        let run = self.segments.get(self.position(from))?;
        let is_whole = run.first() == from && run.last() == to.min(self.last.index);
        is_whole.then_some(run)
    }

    /// The same for a range that is not one whole run.
    #[inline(never)]
    fn slice_of_runs(&self, from: Index, to: Index, limit: u64) -> (Entries, u64) {
        let from = from.max(self.resident_after().index.next());
        let to = to.min(self.last.index);
        if from > to {
            return (Entries::EMPTY, 0);
        }
        let position = self.position(from);
        let Some(run) = self.segments.get(position) else {
            return (Entries::EMPTY, 0);
        };
        let Some(first) = run.part(from, to) else {
            return (Entries::EMPTY, 0);
        };
        let wanted = first.last();
        let (first, mut bytes) = first.prefix_within(limit);
        // Nearly always, the range is within one run: no list is built.
        if first.last() < wanted || first.last() == to {
            return (Entries::from_segment(first), bytes);
        }
        let mut segments = Vec::from([first]);
        for run in self.segments.range(position + 1..) {
            let Some(part) = run.part(from, to) else {
                break;
            };
            if bytes >= limit {
                break;
            }
            let whole = part.len();
            let (taken, size) = part.prefix_within(limit - bytes);
            if bytes + size > limit {
                break;
            }
            bytes += size;
            let cut = taken.len() < whole;
            segments.push(taken);
            if cut {
                break;
            }
        }
        (Entries::from_segments(segments), bytes)
    }

    /// The entry after which the entries up to `to` that are in memory have at most `bytes` bytes,
    /// by whole runs; `to` if none have.
    pub(crate) fn start_of_tail(&self, to: Index, bytes: u64) -> Index {
        let (mut start, mut left) = (to, bytes);
        if bytes == 0 || to <= self.resident_after().index || to > self.last.index {
            return to;
        }
        for run in self.segments.range(..=self.position(to)).rev() {
            let Some(left_then) = left.checked_sub(run.bytes()) else {
                break;
            };
            left = left_then;
            start = run.first().previous();
        }
        start
    }

    /// Whether `entries` begin with `from`, and their ids are those of the log.
    pub(crate) fn matches(&self, from: EntryId, entries: &Entries) -> bool {
        let begins = entries
            .iter()
            .next()
            .is_some_and(|entry| entry.id() == from);
        begins
            && self.first_missing(entries).is_none()
            && self.last.index >= { entries.last_id().map_or(from.index, |id| id.index) }
    }

    /// The entries `from ..= to` that are in memory.
    pub(crate) fn entries(&self, from: Index, to: Index) -> Entries {
        let (entries, _) = self.slice(from, to, u64::MAX);
        entries
    }

    fn whole(&self) -> Entries {
        self.entries(Index::ZERO, Index::MAX)
    }

    /// The bytes of the entries after `after` up to `to` that are in memory.
    pub(crate) fn bytes_between(&self, after: Index, to: Index) -> u64 {
        let from = after.next().max(self.resident_after().index.next());
        if from > to || from > self.last.index {
            return 0;
        }
        let runs = self.segments.range(self.position(from)..);
        runs.map_while(|run| run.part(from, to))
            .map(|run| run.bytes())
            .sum()
    }
}

impl PartialEq for Log {
    /// Equal if the entries are. The batches in which they came make no difference.
    fn eq(&self, other: &Log) -> bool {
        let shape = |log: &Log| (log.base, log.last, log.dropped.len());
        shape(self) == shape(other)
            && self.dropped == other.dropped
            && self.whole() == other.whole()
    }
}

impl Eq for Log {}

impl Hash for Log {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.base.hash(state);
        self.dropped.hash(state);
        self.whole().hash(state);
    }
}

/// A log in a checkpoint.
#[derive(Serialize, Deserialize)]
struct Stored {
    base: EntryId,
    dropped: Vec<EntryId>,
    entries: Entries,
}

impl From<Log> for Stored {
    fn from(log: Log) -> Stored {
        Stored {
            base: log.base,
            dropped: log.dropped,
            entries: Entries::from_segments(log.segments.into()),
        }
    }
}

impl TryFrom<Stored> for Log {
    type Error = &'static str;

    fn try_from(stored: Stored) -> Result<Log, &'static str> {
        let mut log = Log::new(stored.base);
        for span in &stored.dropped {
            if span.index <= log.last.index || span.term < log.last.term {
                return Err("the dropped entries do not follow the base");
            }
            log.last = *span;
        }
        log.dropped = stored.dropped;
        for run in stored.entries.segments() {
            if run.first() != log.last.index.next() || run.term() < log.last.term {
                return Err("the log does not follow its base");
            }
            log.append(run.clone());
        }
        Ok(log)
    }
}
