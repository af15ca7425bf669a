//! The public types of entries and commands: opaque, cheap to clone, iterated.

use crate::run::{Payloads, Run, Segment};
use crate::types::{EntryId, EntryKind, Index, Term};
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One entry, borrowed from [`Entries`].
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    segment: &'a Segment,
    at: usize,
}

impl<'a> Entry<'a> {
    /// Its index, and the term of the leader that created it.
    pub fn id(&self) -> EntryId {
        EntryId {
            index: self.index(),
            term: self.term(),
        }
    }

    /// Its position in the log.
    pub fn index(&self) -> Index {
        self.segment.first().plus(self.at as u64)
    }

    /// The term of the leader that created it.
    pub fn term(&self) -> Term {
        self.segment.term()
    }

    /// Whether it holds a command, a configuration or nothing.
    pub fn kind(&self) -> EntryKind {
        self.segment.kind()
    }

    /// Its payload; empty if the kind is [`EntryKind::Noop`].
    pub fn payload(&self) -> &'a [u8] {
        self.segment.payload(self.at)
    }

    /// Its payload as a shared buffer. Costs a reference count, not a copy.
    pub fn share_payload(&self) -> Bytes {
        self.segment.share_payload(self.at)
    }
}

impl fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", self.id(), self.kind(), self.payload())
    }
}

/// A run of entries with consecutive indexes.
///
/// Cloning costs one reference count; payloads are shared with the log, never copied.
///
/// ```
/// use raft_proto::{EntryId, EntryKind, EntriesBuilder};
///
/// let mut builder = EntriesBuilder::new();
/// builder.push(EntryId::new(7, 3), EntryKind::Command, "x = 1".into())?;
/// builder.push(EntryId::new(8, 3), EntryKind::Command, "y = 2".into())?;
/// let entries = builder.finish();
/// assert_eq!(entries.len(), 2);
/// assert_eq!(entries.last_id(), Some(EntryId::new(8, 3)));
/// let payloads: Vec<_> = entries.iter().map(|entry| entry.payload().to_vec()).collect();
/// assert_eq!(payloads, [b"x = 1", b"y = 2"]);
/// # Ok::<(), raft_proto::NotConsecutive>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Entries(Repr);

#[derive(Clone, Default)]
enum Repr {
    #[default]
    Empty,
    One(Segment),
    /// At least two, each beginning where the one before ends.
    Many(Arc<[Segment]>),
}

impl PartialEq for Repr {
    fn eq(&self, other: &Repr) -> bool {
        let same = |a: Entry<'_>, b: Entry<'_>| {
            a.id() == b.id() && a.kind() == b.kind() && a.payload() == b.payload()
        };
        match (self, other) {
            (Repr::One(a), Repr::One(b)) => a == b,
            _ => {
                self.len() == other.len()
                    && Iter::new(self.segments())
                        .zip(Iter::new(other.segments()))
                        .all(|(a, b)| same(a, b))
            }
        }
    }
}

impl Eq for Repr {}

impl core::hash::Hash for Repr {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.len().hash(state);
        for entry in Iter::new(self.segments()) {
            entry.id().hash(state);
            entry.kind().hash(state);
            entry.payload().hash(state);
        }
    }
}

impl Repr {
    fn segments(&self) -> &[Segment] {
        match self {
            Repr::Empty => &[],
            Repr::One(segment) => core::slice::from_ref(segment),
            Repr::Many(segments) => segments,
        }
    }

    fn len(&self) -> usize {
        self.segments().iter().map(Segment::len).sum()
    }
}

impl Entries {
    /// No entries.
    pub const EMPTY: Entries = Entries(Repr::Empty);

    /// Adjacent segments as entries.
    pub(crate) fn from_segments(mut segments: Vec<Segment>) -> Entries {
        debug_assert!(
            segments
                .windows(2)
                .all(|pair| pair[0].last().next() == pair[1].first())
        );
        if segments.len() > 1 {
            return Entries(Repr::Many(segments.into()));
        }
        Entries(segments.pop().map_or(Repr::Empty, Repr::One))
    }

    pub(crate) fn from_segment(segment: Segment) -> Entries {
        Entries(Repr::One(segment))
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        self.0.segments()
    }

    /// Hands each segment over; a single one without another reference to its run.
    pub(crate) fn for_each_segment(self, mut take: impl FnMut(Segment)) {
        match self.0 {
            Repr::Empty => {}
            Repr::One(segment) => take(segment),
            Repr::Many(segments) => segments.iter().cloned().for_each(take),
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        matches!(self.0, Repr::Empty)
    }

    /// The index of the first entry.
    pub fn first_index(&self) -> Option<Index> {
        match &self.0 {
            Repr::Empty => None,
            Repr::One(segment) => Some(segment.first()),
            Repr::Many(segments) => segments.first().map(Segment::first),
        }
    }

    /// The last entry's index and term.
    pub fn last_id(&self) -> Option<EntryId> {
        match &self.0 {
            Repr::Empty => None,
            Repr::One(segment) => Some(segment.last_id()),
            Repr::Many(segments) => segments.last().map(Segment::last_id),
        }
    }

    /// Whether an entry is of this kind.
    pub(crate) fn any_of(&self, kind: EntryKind) -> bool {
        match &self.0 {
            Repr::Empty => false,
            Repr::One(segment) => segment.kind() == kind,
            Repr::Many(segments) => segments.iter().any(|segment| segment.kind() == kind),
        }
    }

    /// The entries in the order of their indexes.
    pub fn iter(&self) -> Iter<'_> {
        Iter::new(self.segments())
    }

    pub(crate) fn contains(&self, id: EntryId) -> bool {
        let holds = |it: &Segment| it.first() <= id.index && id.index <= it.last();
        let segment = self.segments().iter().find(|it| holds(it));
        segment.is_some_and(|it| it.term() == id.term)
    }

    /// Those after `index`.
    pub(crate) fn after(&self, index: Index) -> Entries {
        self.part(index.next(), Index(u64::MAX))
    }

    /// Those up to `index`.
    pub(crate) fn through(&self, index: Index) -> Entries {
        self.part(Index::ZERO, index)
    }

    /// Those from `from` to `to`, both included. They share their payloads with these.
    pub fn part(&self, from: Index, to: Index) -> Entries {
        let segments = self.segments().iter();
        Entries::from_segments(segments.filter_map(|it| it.part(from, to)).collect())
    }

    /// A log that held these, once `entries` replace everything from their first index on. They
    /// begin at most one after the last of these.
    pub(crate) fn overwritten_by(&self, entries: &Entries) -> Entries {
        let Some(first) = entries.first_index() else {
            return self.clone();
        };
        let kept = self.part(Index::ZERO, first.previous());
        let segments = kept.segments().iter().chain(entries.segments());
        Entries::from_segments(segments.cloned().collect())
    }

    /// The longest prefix of at most `limit` bytes, but at least one entry; and its bytes.
    pub(crate) fn prefix_within(self, limit: u64) -> (Entries, u64) {
        let mut bytes = 0;
        let mut taken: Vec<Segment> = Vec::new();
        for run in self.segments() {
            let wanted = run.len();
            if bytes >= limit && !taken.is_empty() {
                break;
            }
            let (run, size) = run.clone().prefix_within(limit.saturating_sub(bytes));
            if bytes + size > limit && !taken.is_empty() {
                break;
            }
            let cut = run.len() < wanted;
            bytes += size;
            taken.push(run);
            if cut {
                break;
            }
        }
        (Entries::from_segments(taken), bytes)
    }

    /// Their bytes as limits count them: payloads plus [`ENTRY_OVERHEAD`](crate::ENTRY_OVERHEAD)
    /// for each entry.
    pub fn bytes(&self) -> u64 {
        self.segments().iter().map(Segment::bytes).sum()
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for &'a Entries {
    type Item = Entry<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Iterates over [`Entries`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    segments: core::slice::Iter<'a, Segment>,
    current: Option<(&'a Segment, usize)>,
}

impl<'a> Iter<'a> {
    fn new(segments: &'a [Segment]) -> Iter<'a> {
        let mut segments = segments.iter();
        let current = segments.next().map(|segment| (segment, 0));
        Iter { segments, current }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let (segment, at) = self.current?;
        self.current = if at + 1 < segment.len() {
            Some((segment, at + 1))
        } else {
            self.segments.next().map(|segment| (segment, 0))
        };
        Some(Entry { segment, at })
    }
}

/// An entry that does not follow the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {pushed} cannot follow {last}: indexes rise by one and terms never fall")]
pub struct NotConsecutive {
    /// The last entry pushed before.
    pub last: EntryId,
    /// The entry refused.
    pub pushed: EntryId,
}

/// Collects entries one by one, for a storage that reads its log.
#[derive(Debug, Default)]
pub struct EntriesBuilder {
    segments: Vec<Segment>,
    open: Option<OpenRun>,
}

#[derive(Debug)]
struct OpenRun {
    first: EntryId,
    kind: EntryKind,
    payloads: Vec<Bytes>,
}

impl EntriesBuilder {
    /// The most entries in a run: its memory is freed only when all of them are dropped.
    const MAX_RUN_ENTRIES: usize = 1024;

    /// A builder with no entries yet.
    pub fn new() -> EntriesBuilder {
        EntriesBuilder::default()
    }

    fn last(&self) -> Option<EntryId> {
        match &self.open {
            Some(open) => Some(EntryId {
                index: open.first.index.plus(open.payloads.len() as u64 - 1),
                term: open.first.term,
            }),
            None => self.segments.last().map(Segment::last_id),
        }
    }

    /// Adds the entry `id`, which must follow the one before.
    ///
    /// # Errors
    ///
    /// [`NotConsecutive`] if its index is not the next one or its term falls. Nothing changes.
    pub fn push(
        &mut self,
        id: EntryId,
        kind: EntryKind,
        payload: Bytes,
    ) -> Result<(), NotConsecutive> {
        if let Some(last) = self.last()
            && (id.index != last.index.next() || id.term < last.term)
        {
            return Err(NotConsecutive { last, pushed: id });
        }
        match &mut self.open {
            Some(open)
                if open.first.term == id.term
                    && open.kind == kind
                    && open.payloads.len() < Self::MAX_RUN_ENTRIES =>
            {
                open.payloads.push(payload);
            }
            _ => {
                self.close();
                self.open = Some(OpenRun {
                    first: id,
                    kind,
                    payloads: alloc::vec![payload],
                });
            }
        }
        Ok(())
    }

    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            let run = Run::new(open.first.term, open.kind, Payloads::Many(open.payloads));
            self.segments.push(Segment::new(open.first.index, run));
        }
    }

    /// The entries collected.
    pub fn finish(mut self) -> Entries {
        self.close();
        Entries::from_segments(self.segments)
    }
}

/// Commands to propose together: one or many, all or nothing.
///
/// They stay together in the log, on the network and on the disk.
///
/// ```
/// use raft_proto::Commands;
/// use bytes::Bytes;
///
/// assert_eq!(Commands::from(Bytes::from("x = 1")).len(), 1);
/// assert_eq!(Commands::from(vec![Bytes::from("a"), Bytes::from("b")]).len(), 2);
/// ```
#[derive(Clone, Debug)]
pub struct Commands(pub(crate) Payloads);

impl Commands {
    /// How many there are. Proposing none is refused.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The commands in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|at| self.0.get(at))
    }
}

impl PartialEq for Commands {
    fn eq(&self, other: &Commands) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Commands {}

impl core::hash::Hash for Commands {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.len().hash(state);
        for command in self.iter() {
            command.hash(state);
        }
    }
}

impl From<Bytes> for Commands {
    fn from(command: Bytes) -> Commands {
        Commands(Payloads::One(command))
    }
}

impl From<Vec<Bytes>> for Commands {
    fn from(commands: Vec<Bytes>) -> Commands {
        Commands(Payloads::Many(commands))
    }
}

impl Serialize for Commands {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((0..self.len()).map(|at| self.0.share(at)))
    }
}

impl<'de> Deserialize<'de> for Commands {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Commands, D::Error> {
        Vec::<Bytes>::deserialize(deserializer).map(Commands::from)
    }
}

impl Serialize for Entries {
    /// Entry by entry: for checkpoints and recordings, not for the wire.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entry = |entry: Entry<'_>| (entry.id(), entry.kind(), entry.share_payload());
        let all: Vec<(EntryId, EntryKind, Bytes)> = self.iter().map(entry).collect();
        all.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Entries, D::Error> {
        let mut builder = EntriesBuilder::new();
        for (id, kind, payload) in Vec::<(EntryId, EntryKind, Bytes)>::deserialize(deserializer)? {
            builder
                .push(id, kind, payload)
                .map_err(serde::de::Error::custom)?;
        }
        Ok(builder.finish())
    }
}
