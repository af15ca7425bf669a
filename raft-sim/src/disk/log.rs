//! The durable log of a simulated disk.

use super::error::DiskError;
use raft_proto::{Entries, EntriesBuilder, Entry, EntryId, EntryKind, Index, Membership, Term};
use std::collections::VecDeque;

/// The durable log: the entries of each write, and which of them are still part of the log. Nothing
/// is copied, and a piece costs the same whether it has one entry or a thousand.
#[derive(Clone, Debug, Default)]
pub(super) struct StoredLog {
    pub(super) pieces: VecDeque<Piece>,
    /// The last index; if the log is empty, the index up to which it was dropped.
    pub(super) last: Index,
    /// The encoded size of the entries of the log.
    pub(super) bytes: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Piece {
    entries: Entries,
    /// The entries from here to `last`, both included, are part of the log.
    first: Index,
    pub(super) last: Index,
}

impl Piece {
    pub(super) fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        let counts = self.first..=self.last;
        self.entries
            .iter()
            .filter(move |entry| counts.contains(&entry.index()))
    }

    fn bytes(&self, from: Index, to: Index) -> u64 {
        self.iter()
            .filter(|entry| (from..=to).contains(&entry.index()))
            .map(|entry| stored_size(&entry))
            .sum()
    }
}

/// The size of an entry on disk: index, term, kind and length as variable-length numbers, and
/// the payload.
fn stored_size(entry: &Entry<'_>) -> u64 {
    let EntryId { index, term } = entry.id();
    let length = entry.payload().len() as u64;
    varint_size(index.0) + varint_size(term.0) + 1 + varint_size(length) + length
}

fn varint_size(value: u64) -> u64 {
    u64::from((64 - (value | 1).leading_zeros()).div_ceil(7))
}

impl StoredLog {
    /// These entries replace everything from their first index on.
    pub(super) fn replace_from(&mut self, entries: Entries) -> Result<(), DiskError> {
        let (Some(first), Some(last)) = (entries.first_index(), entries.last_id()) else {
            return Ok(());
        };
        if first > self.last.next() {
            let last = self.last;
            return Err(DiskError::Gap { first, last });
        }
        self.truncate(first);
        let piece = Piece {
            entries,
            first,
            last: last.index,
        };
        self.bytes += piece.bytes(first, last.index);
        self.last = last.index;
        self.pieces.push_back(piece);
        Ok(())
    }

    /// Drops the entries from `from` on.
    fn truncate(&mut self, from: Index) {
        while let Some(piece) = self.pieces.back_mut() {
            if piece.last < from {
                break;
            }
            self.bytes -= piece.bytes(from, piece.last);
            if piece.first >= from {
                self.pieces.pop_back();
            } else {
                piece.last = from.previous();
            }
        }
    }

    /// Drops the entries after `index`. The log must not begin after it.
    pub(super) fn drop_after(&mut self, index: Index) {
        self.truncate(index.next());
        self.last = self.last.min(index);
    }

    /// The index of the first entry, if there is one.
    pub(super) fn first_index(&self) -> Option<Index> {
        self.pieces.front().map(|piece| piece.first)
    }

    /// Drops the entries up to `index`.
    pub(super) fn drop_through(&mut self, index: Index) {
        while let Some(piece) = self.pieces.front_mut() {
            if piece.first > index {
                break;
            }
            self.bytes -= piece.bytes(piece.first, index);
            if piece.last <= index {
                self.pieces.pop_front();
            } else {
                piece.first = index.next();
            }
        }
        self.last = self.last.max(index);
    }

    pub(super) fn clear(&mut self, last: Index) {
        self.pieces.clear();
        self.bytes = 0;
        self.last = last;
    }

    /// The term of the entry at `index`, if it is there.
    pub(super) fn term_at(&self, index: Index) -> Option<Term> {
        let at = self.pieces.partition_point(|piece| piece.last < index);
        let piece = self.pieces.get(at)?;
        let entry = piece.iter().find(|entry| entry.index() == index)?;
        Some(entry.term())
    }

    /// The last entry, if there is one.
    pub(super) fn last_id(&self) -> Option<EntryId> {
        let piece = self.pieces.back()?;
        let term = self.term_at(piece.last)?;
        let index = piece.last;
        Some(EntryId { index, term })
    }

    /// The last configuration among the entries.
    pub(super) fn last_membership(&self) -> Option<Membership> {
        let pieces = self.pieces.iter().rev();
        pieces.into_iter().find_map(|piece| {
            let holds = |entry: &Entry<'_>| entry.kind() == EntryKind::Membership;
            let last = piece.iter().filter(holds).last()?;
            Membership::decode(last.payload())
        })
    }

    pub(super) fn to_entries(&self) -> Entries {
        let mut builder = EntriesBuilder::new();
        for entry in self.pieces.iter().flat_map(Piece::iter) {
            // Pieces follow each other without a gap. Terms that fall would be a breach of contract
            // by the core. The log then ends there, and the node that starts with it will show it.
            if builder
                .push(entry.id(), entry.kind(), entry.share_payload())
                .is_err()
            {
                break;
            }
        }
        builder.finish()
    }
}
