//! The entries that were read, as they lie in the records.

use super::record::Record;
use super::state::Effect;
use raft_proto::{Entries, EntriesBuilder, Index, NotConsecutive};
use std::collections::VecDeque;

/// Entries of one record that are part of the log.
#[derive(Clone)]
struct Piece {
    record: Record,
    last: Index,
}

/// The entries of the log, in order.
#[derive(Clone, Default)]
pub(super) struct Pieces(VecDeque<Piece>);

impl Pieces {
    /// A record's entries follow, the last of them at this index.
    pub(super) fn push(&mut self, record: Record, last: Index) {
        self.0.push_back(Piece { record, last });
    }

    pub(super) fn apply(&mut self, effect: Effect) {
        if let Some(through) = effect.drop_through {
            while self.0.front().is_some_and(|piece| piece.last <= through) {
                self.0.pop_front();
            }
        }
        if let Some(from) = effect.replace_from {
            while self
                .0
                .back()
                .is_some_and(|piece| piece.record.header.first >= from)
            {
                self.0.pop_back();
            }
            if let Some(piece) = self.0.back_mut() {
                piece.last = piece.last.min(from.previous());
            }
        }
    }

    /// All entries after `floor`.
    pub(super) fn entries(&self, floor: Index) -> Result<Entries, NotConsecutive> {
        let mut entries = EntriesBuilder::new();
        let mut pieces = self.0.iter();
        pieces.try_for_each(|piece| piece.add_to(&mut entries, floor))?;
        Ok(entries.finish())
    }

    /// Those of each record.
    pub(super) fn by_record(
        &self,
        floor: Index,
    ) -> impl Iterator<Item = Result<Entries, NotConsecutive>> {
        self.0.iter().map(move |piece| {
            let mut entries = EntriesBuilder::new();
            piece.add_to(&mut entries, floor)?;
            Ok(entries.finish())
        })
    }
}

impl Piece {
    fn add_to(&self, entries: &mut EntriesBuilder, floor: Index) -> Result<(), NotConsecutive> {
        for (id, kind, payload) in self.record.entries() {
            if id.index > floor && id.index <= self.last {
                entries.push(id, kind, payload)?;
            }
        }
        Ok(())
    }
}
