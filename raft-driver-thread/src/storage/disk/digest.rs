//! Descriptions of entries, in a second place: what is damaged in the midst of a log can be fetched
//! from any peer, and is taken if it is exactly what was there.
//!
//! The log is described in stretches of [`STRETCH_BYTES`] or more. A description names the first
//! and the last index of a stretch, and a digest of 128 bits over index, term, kind and payload of
//! each of its entries. It does not matter how the entries were grouped in records: a peer that
//! has them in others can serve them.
//!
//! A stretch is described three times, and never with a sync of its own:
//!
//! * the next record that is written carries the description, and so does the first one after the
//!   next stretch. So no sector and no page that is lost takes the entries of a stretch and both of
//!   its descriptions with it;
//! * the [mark](super::mark), a file of its own, has those of the last two stretches: also of the
//!   one that is not full yet, to the last entry.
//!
//! That is about 60 bytes for each 64 KiB or more, and 72 bytes more in the mark's write. A power
//! failure may leave a mark that is older than the last entries. What is not described cannot be
//! mended this way.
//!
//! The digest of a stretch is the sum of those of its entries (XXH3 with 128 bits each), so that an
//! entry can be taken away again at either end. It is computed and compared by the same node alone,
//! with a secret: the incarnation. Nobody who writes entries can aim at two with the same digest.

use super::description::Description;
use super::state::Effect;
use raft_proto::{ENTRY_OVERHEAD, Entries, Entry, EntryKind, Index};
use std::collections::VecDeque;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// So many bytes of payloads, with [`ENTRY_OVERHEAD`] for each entry, are a stretch at least.
pub(super) const STRETCH_BYTES: u64 = 64 << 10;

/// Makes digests. Each folder makes others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Digester {
    seed: u64,
}

impl Digester {
    pub(super) fn of_folder(incarnation: u128) -> Digester {
        Digester {
            seed: (incarnation >> 64) as u64 ^ incarnation as u64,
        }
    }

    fn entry(self, entry: &Entry<'_>) -> u128 {
        let kind = match entry.kind() {
            EntryKind::Noop => 0,
            EntryKind::Command => 1,
            EntryKind::Membership => 2,
        };
        let payload = xxh3_128_with_seed(entry.payload(), self.seed);
        let mut bytes = [0; 33];
        bytes[..8].copy_from_slice(&entry.index().0.to_le_bytes());
        bytes[8..16].copy_from_slice(&entry.term().0.to_le_bytes());
        bytes[16..32].copy_from_slice(&payload.to_le_bytes());
        bytes[32] = kind;
        xxh3_128_with_seed(&bytes, self.seed)
    }

    /// The digest of these entries.
    pub(super) fn entries<'a>(self, entries: impl Iterator<Item = Entry<'a>>) -> u128 {
        entries.fold(0, |sum, entry| sum.wrapping_add(self.entry(&entry)))
    }
}

/// An entry of the stretch that is not full yet.
#[derive(Clone, Copy, Debug)]
struct Described {
    digest: u128,
    bytes: u64,
}

/// Describes the log as it is written.
#[derive(Debug)]
pub(super) struct Describer {
    digester: Digester,
    /// The last stretch that is full.
    closed: Option<Description>,
    /// The entries after it, the first of which has this index.
    first: Index,
    open: VecDeque<Described>,
    bytes: u64,
    sum: u128,
}

impl Describer {
    pub(super) fn new(incarnation: u128) -> Describer {
        Describer {
            digester: Digester::of_folder(incarnation),
            closed: None,
            first: Index::ZERO,
            open: VecDeque::new(),
            bytes: 0,
            sum: 0,
        }
    }

    /// Goes on with these entries, which are described up to the end of `closed`.
    pub(super) fn after(
        incarnation: u128,
        closed: Option<Description>,
        entries: &Entries,
    ) -> Describer {
        let mut describer = Describer::new(incarnation);
        describer.closed = closed;
        let until = closed.map_or(Index::ZERO, |closed| closed.last);
        let rest = entries.iter().filter(|entry| entry.index() > until);
        rest.for_each(|entry| describer.push(&entry));
        describer
    }

    fn open(&self) -> Option<Description> {
        let count = self.open.len() as u64;
        (count > 0).then(|| Description {
            first: self.first,
            last: Index(self.first.0 + count - 1),
            digest: self.sum,
        })
    }

    /// The last stretches, for the mark.
    pub(super) fn last(&self) -> [Option<Description>; 2] {
        [self.closed, self.open()]
    }

    /// What the next record has to carry; [`close`](Describer::close) follows if that is anything.
    pub(super) fn due(&self) -> Vec<Description> {
        if self.bytes < STRETCH_BYTES {
            return Vec::new();
        }
        self.last().into_iter().flatten().collect()
    }

    /// The stretch is full.
    pub(super) fn close(&mut self) {
        self.closed = self.open();
        self.clear();
    }

    fn clear(&mut self) {
        self.open.clear();
        (self.bytes, self.sum) = (0, 0);
    }

    fn take_away(&mut self, entry: Option<Described>) {
        if let Some(Described { digest, bytes }) = entry {
            self.sum = self.sum.wrapping_sub(digest);
            self.bytes -= bytes;
        }
    }

    /// Entries were dropped or replaced.
    pub(super) fn apply(&mut self, effect: Effect) {
        if let Some(through) = effect.drop_through {
            self.closed.take_if(|closed| closed.first <= through);
            while self.first <= through && !self.open.is_empty() {
                let entry = self.open.pop_front();
                self.take_away(entry);
                self.first = self.first.next();
            }
        }
        if let Some(from) = effect.replace_from {
            self.closed.take_if(|closed| closed.last >= from);
            while self.open().is_some_and(|open| open.last >= from) {
                let entry = self.open.pop_back();
                self.take_away(entry);
            }
        }
    }

    /// Entries were appended.
    pub(super) fn append(&mut self, entries: &Entries) {
        entries.iter().for_each(|entry| self.push(&entry));
    }

    fn push(&mut self, entry: &Entry<'_>) {
        if self
            .open()
            .is_none_or(|open| open.last.next() != entry.index())
        {
            self.clear();
            self.first = entry.index();
        }
        let digest = self.digester.entry(entry);
        let bytes = entry.payload().len() as u64 + ENTRY_OVERHEAD;
        self.open.push_back(Described { digest, bytes });
        self.sum = self.sum.wrapping_add(digest);
        self.bytes += bytes;
    }
}
