//! What is known of ranges of entries, found by an entry's id.

use raft_proto::{Entries, EntryId, Index, Term};
use std::collections::BTreeMap;

/// Entries of one term that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) term: Term,
    pub(super) first: Index,
    pub(super) last: Index,
}

impl Span {
    /// The entries, by their terms.
    pub(super) fn of(entries: &Entries) -> Vec<Span> {
        let mut spans = Spans::default();
        for entry in entries {
            spans.grow(entry.id());
        }
        spans.finish()
    }
}

/// Collects the ids of entries that come one after another.
#[derive(Debug, Default)]
pub(super) struct Spans(Vec<Span>);

impl Spans {
    pub(super) fn grow(&mut self, id: EntryId) {
        match self.0.last_mut() {
            Some(span) if span.term == id.term && span.last.next() == id.index => {
                span.last = id.index;
            }
            Some(_) | None => self.0.push(Span {
                term: id.term,
                first: id.index,
                last: id.index,
            }),
        }
    }

    pub(super) fn finish(self) -> Vec<Span> {
        self.0
    }
}

/// A fact for each entry of some spans. The first fact of an entry stays.
#[derive(Debug)]
pub(super) struct ByEntry<T>(BTreeMap<(Term, Index), (Index, T)>);

impl<T> Default for ByEntry<T> {
    fn default() -> ByEntry<T> {
        ByEntry(BTreeMap::new())
    }
}

impl<T: Copy> ByEntry<T> {
    pub(super) fn insert(&mut self, span: Span, fact: T) {
        let mut first = span.first;
        // What an entry before it covers is known already.
        if let Some((last, _)) = self.covering(EntryId {
            index: first,
            term: span.term,
        }) {
            first = last.next();
        }
        if first <= span.last {
            self.0
                .entry((span.term, first))
                .or_insert((span.last, fact));
        }
    }

    fn covering(&self, id: EntryId) -> Option<(Index, T)> {
        let mut before = self.0.range(..=(id.term, id.index));
        let ((term, _), (last, fact)) = before.next_back()?;
        (*term == id.term && *last >= id.index).then_some((*last, *fact))
    }

    pub(super) fn get(&self, id: EntryId) -> Option<T> {
        self.covering(id).map(|(_, fact)| fact)
    }

    pub(super) fn spans(&self) -> impl Iterator<Item = (Span, T)> {
        let spans = self.0.iter();
        spans.map(|((term, first), (last, fact))| {
            let span = Span {
                term: *term,
                first: *first,
                last: *last,
            };
            (span, *fact)
        })
    }
}
