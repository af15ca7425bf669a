//! Reads entries of the log for a follower that lags behind.

use super::folder::{damaged, failed};
use super::log::Segment;
use super::reader::Reader;
use super::record::{Place, Record};
use super::state::Span;
use crate::storage::StorageError;
use raft_proto::{ENTRY_OVERHEAD, Entries, EntriesBuilder, EntryId, Index, NotConsecutive, Term};

/// What is read at a time.
const WINDOW: u64 = 256 << 10;

pub(super) struct Reading {
    entries: EntriesBuilder,
    from: Index,
    /// The term that the first entry has to have, if any.
    term: Option<Term>,
    to: Index,
    max_bytes: u64,
    bytes: u64,
    next: Index,
    /// No more is wanted, or nothing is there.
    is_ended: bool,
}

impl Reading {
    pub(super) fn new(from: EntryId, to: EntryId, max_bytes: u64) -> Reading {
        Reading {
            term: Some(from.term),
            ..Reading::at(from.index, to.index, max_bytes)
        }
    }

    /// Whatever the term of the first entry is.
    pub(super) fn at(from: Index, to: Index, max_bytes: u64) -> Reading {
        Reading {
            entries: EntriesBuilder::new(),
            from,
            term: None,
            to,
            max_bytes,
            bytes: 0,
            next: from,
            is_ended: false,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.is_ended || self.next > self.to
    }

    /// Reads what is wanted of a span.
    pub(super) fn span(
        &mut self,
        segment: &Segment,
        place: Place,
        span: Span,
    ) -> Result<(), StorageError> {
        let failed = || failed("read", &segment.path);
        let end = span.last.min(self.to);
        let mut reader = Reader::new(&*segment.file, place, WINDOW).map_err(failed())?;
        let mut offset = span.begin;
        while !self.is_ended && self.next <= end {
            let Some(record) = reader.record(offset).map_err(failed())? else {
                let what = format!("the record at byte {offset} is not what was written");
                return Err(damaged(&segment.path, what));
            };
            offset += record.header.length();
            let taken = self.record(&record, end);
            taken.map_err(|error| damaged(&segment.path, error.to_string()))?;
        }
        Ok(())
    }

    fn record(&mut self, record: &Record, end: Index) -> Result<(), NotConsecutive> {
        if record.header.last().is_none_or(|last| last < self.next) {
            return Ok(());
        }
        for (id, kind, payload) in record.entries() {
            if id.index < self.next || id.index > end {
                continue;
            }
            let is_first = id.index == self.from;
            self.bytes += payload.len() as u64 + ENTRY_OVERHEAD;
            let is_other = is_first && self.term.is_some_and(|term| term != id.term);
            if is_other || !is_first && self.bytes > self.max_bytes {
                self.is_ended = true;
                return Ok(());
            }
            self.entries.push(id, kind, payload)?;
            self.next = id.index.next();
        }
        Ok(())
    }

    /// The entries, if the first one is there.
    pub(super) fn finish(self) -> Option<Entries> {
        (self.next > self.from).then(|| self.entries.finish())
    }
}
