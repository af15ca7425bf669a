//! Runs: entries that were proposed together stay one shared, immutable object.
//!
//! The log, the messages to each follower, the write to the disk and the hand-over to the state
//! machine all hold ranges ([`Segment`]) of the same [`Run`]. A range costs one reference count,
//! however many entries are in it.

use crate::types::{EntryId, EntryKind, Index, Term};
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;
use core::hash::{Hash, Hasher};

/// The bytes that limits count for an entry beside its payload: about what its index, term, kind
/// and length cost in memory and on the wire. Without it, a million empty commands would count
/// nothing.
pub const ENTRY_OVERHEAD: u64 = 16;

/// The payloads of a run, stored as they came.
#[derive(Clone, Debug)]
pub(crate) enum Payloads {
    /// A single one, as proposed.
    One(Bytes),
    /// As proposed, one buffer each. At least one.
    Many(Vec<Bytes>),
    /// As decoded: slices of one received buffer, the i-th ending before `ends[i]`.
    /// `ends` is not empty, never falls, and its last element is within `region`.
    Region { region: Bytes, ends: Vec<u32> },
}

impl Payloads {
    pub(crate) fn len(&self) -> usize {
        match self {
            Payloads::One(_) => 1,
            Payloads::Many(all) => all.len(),
            Payloads::Region { ends, .. } => ends.len(),
        }
    }

    fn region_bounds(ends: &[u32], at: usize) -> (usize, usize) {
        let start = if at == 0 { 0 } else { ends[at - 1] as usize };
        (start, ends[at] as usize)
    }

    /// The payload at `at`, which is below `len()`: every caller iterates a segment's range.
    pub(crate) fn get(&self, at: usize) -> &[u8] {
        match self {
            Payloads::One(payload) => payload,
            Payloads::Many(all) => &all[at],
            Payloads::Region { region, ends } => {
                let (start, end) = Self::region_bounds(ends, at);
                &region[start..end]
            }
        }
    }

    /// Like [`Payloads::get`], as a shared buffer of its own.
    pub(crate) fn share(&self, at: usize) -> Bytes {
        match self {
            Payloads::One(payload) => payload.clone(),
            Payloads::Many(all) => all[at].clone(),
            Payloads::Region { region, ends } => {
                let (start, end) = Self::region_bounds(ends, at);
                region.slice(start..end)
            }
        }
    }
}

/// Entries of one term and kind that entered a log together.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) term: Term,
    pub(crate) kind: EntryKind,
    payloads: Payloads,
    /// Payload bytes plus [`ENTRY_OVERHEAD`] for each entry.
    bytes: u64,
    /// How many entries it has.
    count: u32,
}

impl Run {
    pub(crate) fn new(term: Term, kind: EntryKind, payloads: Payloads) -> Run {
        let sizes = (0..payloads.len()).map(|at| payloads.get(at).len() as u64);
        let bytes = sizes.map(|size| size + ENTRY_OVERHEAD).sum();
        // Proposals and frames are limited far below 2^32 entries.
        let count = u32::try_from(payloads.len()).unwrap_or(u32::MAX);
        Run {
            term,
            kind,
            payloads,
            bytes,
            count,
        }
    }
}

/// A range of a run, placed in a log: entries `first ..= last()`.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    first: Index,
    run: Arc<Run>,
    /// The range within the run; `len` is at least 1.
    start: u32,
    len: u32,
}

impl Segment {
    /// The whole of `run`, its first entry at `first`.
    pub(crate) fn new(first: Index, run: Run) -> Segment {
        let len = run.count;
        debug_assert!(len > 0, "a run has at least one entry");
        Segment {
            first,
            run: Arc::new(run),
            start: 0,
            len,
        }
    }

    pub(crate) fn first(&self) -> Index {
        self.first
    }

    pub(crate) fn last(&self) -> Index {
        self.first.plus(u64::from(self.len) - 1)
    }

    pub(crate) fn last_id(&self) -> EntryId {
        EntryId {
            index: self.last(),
            term: self.run.term,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    pub(crate) fn term(&self) -> Term {
        self.run.term
    }

    pub(crate) fn kind(&self) -> EntryKind {
        self.run.kind
    }

    /// The payload of the entry `at` places after the first; `at` is below `len()`.
    pub(crate) fn payload(&self, at: usize) -> &[u8] {
        self.run.payloads.get(self.start as usize + at)
    }

    pub(crate) fn share_payload(&self, at: usize) -> Bytes {
        self.run.payloads.share(self.start as usize + at)
    }

    /// Payload bytes plus overhead. Costs a loop over the entries unless this is the whole run.
    pub(crate) fn bytes(&self) -> u64 {
        if self.len == self.run.count {
            self.run.bytes
        } else {
            self.bytes_of_part()
        }
    }

    /// Kept out of the callers, which nearly always ask for a whole run.
    #[inline(never)]
    fn bytes_of_part(&self) -> u64 {
        let size = |at| self.payload(at).len() as u64 + ENTRY_OVERHEAD;
        (0..self.len()).map(size).sum()
    }

    /// The part from `from` to `to`, both included; `None` if there is none.
    pub(crate) fn part(&self, from: Index, to: Index) -> Option<Segment> {
        let from = from.max(self.first);
        let to = to.min(self.last());
        if from > to {
            return None;
        }
        // Both differences are below `len`, a u32, because from and to lie within the segment.
        let skip = from.since(self.first) as u32;
        let len = to.since(from) as u32 + 1;
        Some(Segment {
            first: from,
            run: Arc::clone(&self.run),
            start: self.start + skip,
            len,
        })
    }

    /// The part from `from` on, with the same reference to the run.
    pub(crate) fn starting_at(mut self, from: Index) -> Option<Segment> {
        if from <= self.first {
            return Some(self);
        }
        if from > self.last() {
            return None;
        }
        // Below `len`, a u32, because from lies within the segment.
        let skip = from.since(self.first) as u32;
        self.first = self.first.plus(u64::from(skip));
        self.start += skip;
        self.len -= skip;
        Some(self)
    }

    /// The longest prefix of at most `limit` bytes, but at least one entry; and its bytes.
    pub(crate) fn prefix_within(mut self, limit: u64) -> (Segment, u64) {
        if self.len() == self.run.payloads.len() && self.run.bytes <= limit {
            let whole = self.run.bytes;
            return (self, whole);
        }
        let (mut taken, mut bytes) = (0, 0);
        for at in 0..self.len() {
            let size = self.payload(at).len() as u64 + ENTRY_OVERHEAD;
            if taken > 0 && bytes + size > limit {
                break;
            }
            taken += 1;
            bytes += size;
        }
        self.len = taken;
        (self, bytes)
    }
}

impl PartialEq for Segment {
    /// Equal if the entries are. How the payloads are stored makes no difference.
    fn eq(&self, other: &Segment) -> bool {
        self.first == other.first
            && self.len == other.len
            && self.term() == other.term()
            && self.kind() == other.kind()
            && (Arc::ptr_eq(&self.run, &other.run) && self.start == other.start
                || (0..self.len()).all(|at| self.payload(at) == other.payload(at)))
    }
}

impl Eq for Segment {}

impl Hash for Segment {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.first.hash(state);
        self.len.hash(state);
        self.term().hash(state);
        self.kind().hash(state);
        for at in 0..self.len() {
            self.payload(at).hash(state);
        }
    }
}
