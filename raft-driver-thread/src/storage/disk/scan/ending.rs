//! What a log amounts to when all of its records are read, and what those that are lost may have
//! been.

use super::Scan;
use crate::storage::disk::damage::Damage;
use crate::storage::disk::mark::Acknowledged;
use crate::storage::disk::record::{Kind, RecordHeader};
use crate::storage::disk::segment::SEGMENT_HEADER;
use raft_proto::{EntryId, HardState, Index};

impl Scan {
    /// Checks what can only be seen at the end.
    pub(super) fn finish(&mut self, is_empty: bool) {
        let log = self.log.clone();
        if is_empty && self.mark.seq > 0 {
            let what = format!(
                "its segments are gone, {} records were acknowledged",
                self.mark.seq
            );
            self.unclear(Damage::of(&log, what));
        } else if self.mark.seq >= self.tail.seq.max(1) && self.damages.is_empty() {
            let (last, mark) = (self.tail.seq.saturating_sub(1), self.mark.seq);
            let what = format!("record {mark} was acknowledged, and {last} is the last one");
            self.note(Damage::of(&log, what));
        }
        let floor = self.state.floor;
        let first = self.spans.first();
        let is_missing = first.map_or(self.state.last.index > floor, |first| first > floor.next());
        if is_missing && self.damages.is_empty() {
            let until = first.map_or(self.state.last.index, Index::previous);
            let mut damage = Damage::of(&log, "a segment is missing");
            damage.entries = Some((floor.next(), until));
            let from = self.whole.from;
            self.note(damage);
            self.whole.from = from.max(first);
        }
        self.add_mark();
        self.whole.exact_last = self.exact_last();
    }

    pub(super) fn add_mark(&mut self) {
        if !std::mem::replace(&mut self.is_mark_added, true) {
            let described = self.mark.described.into_iter().flatten();
            self.whole.described.add(described);
        }
    }

    /// The last entry of the log, if all records that are lost only appended.
    fn exact_last(&mut self) -> Option<Index> {
        let found = self.state.last.index;
        // The mark knows of all records, those included that are lost at the end.
        let is_complete = self.mark.seq + 1 >= self.tail.seq;
        if is_complete {
            self.lost_parts.end_with(self.mark.changes);
        }
        let described = self.mark.described.iter().flatten().map(|it| it.last).max();
        let last = described
            .filter(|_| is_complete)
            .map_or(found, |last| found.max(last));
        self.lost_parts.only_appended().then_some(last)
    }

    /// What the mark says, if it is as late as the last record. Otherwise the greatest of everything
    /// that the mark or a record names; of lost entries only the index is known, and that their
    /// terms are not above the node's.
    pub(super) fn acknowledged(&self) -> Acknowledged {
        let mark = self.mark.acknowledged;
        let found = self.state.hard_state;
        let hard_state = later(mark.hard_state, found);
        let last = self.state.acknowledged();
        let last = if self.damages.is_empty() {
            last
        } else if self.mark.seq + 1 >= self.tail.seq {
            mark.last
        } else {
            EntryId {
                index: self
                    .lost_parts
                    .end(self.lost.max(last.index).max(mark.last.index)),
                term: hard_state.term,
            }
        };
        Acknowledged { last, hard_state }
    }

    /// A node has set this term, and given this vote, or may have.
    pub(super) fn promise(&mut self, hard_state: HardState) {
        self.state.hard_state = later(self.state.hard_state, hard_state);
    }

    /// The record that is read was written when others were synced.
    pub(super) fn note_synced(&mut self, header: &RecordHeader) {
        // A state that is not a segment's first record was synced before anything else was written.
        let is_alone = header.kind == Kind::State && self.tail.offset > SEGMENT_HEADER as u64;
        let synced = if is_alone { header.seq } else { header.synced };
        self.synced_before = self.synced_before.max(synced);
    }

    /// Whether the record behind what is lost is no part of the log: of a write that was torn and
    /// dropped, before records were written that are known. Such a record can lie behind those that
    /// came instead of it, and only the one before it tells it from those.
    pub(super) fn is_stale(&self, header: &RecordHeader) -> bool {
        let seq = self.tail.seq;
        // The mark is written between two writes: what comes after it was written later.
        let is_behind_mark = (seq..header.seq).contains(&self.mark.seq);
        header.seq <= seq
            || header.synced < self.synced_before
            || is_behind_mark && header.synced < self.mark.seq
    }
}

/// The later one. Of one term, that with a vote.
fn later(one: HardState, other: HardState) -> HardState {
    let order = |hard_state: HardState| (hard_state.term, hard_state.voted_for.is_some());
    if order(other) > order(one) {
        other
    } else {
        one
    }
}
