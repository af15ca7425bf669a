//! Records, read from their bytes. The module [`disk`](super) draws them.

use super::bytes::Fields;
use super::description::Description;
use bytes::Bytes;
use crc32c::{crc32c, crc32c_append};
use raft_proto::{
    Compaction, EntryId, EntryKind, GroupId, HardState, Identity, Index, Install, NodeId,
    SnapshotMeta, Term, Write,
};
use serde::{Deserialize, Serialize};

pub(super) const RECORD_HEADER: usize = 88;
/// Records begin at multiples of this.
pub(super) const ALIGNMENT: u64 = 8;

const RECORD_MAGIC: u32 = u32::from_le_bytes(*b"rec.");
/// Term, number of entries, kind.
const RUN_BYTES: usize = 16;
/// What says how long an entry's payload is.
pub(super) const LENGTH_BYTES: usize = 4;

/// Where a record is. Its checksum begins with that, so that a record which was written to, or
/// read from, another place is found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Of the incarnation and the segment.
    seed: u32,
}

impl Place {
    pub(super) fn in_segment(incarnation: u128, number: u64) -> Place {
        let seed = crc32c(&incarnation.to_le_bytes());
        Place {
            seed: crc32c_append(seed, &number.to_le_bytes()),
        }
    }

    pub(super) fn at(self, offset: u64) -> u32 {
        crc32c_append(self.seed, &offset.to_le_bytes())
    }
}

/// What kind of record it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The whole state but for the entries: the first record of each segment and of each instance.
    State,
    /// A [`Write`].
    Write,
}

/// What every record begins with. It has a checksum of its own: if only the body is damaged, it is
/// known what was there, and where the next record begins. And a body that imitates headers costs
/// those little time who look for one: nobody outside knows the incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHeader {
    /// Of the place, the rest of the header, and the body.
    pub(super) checksum: u32,
    /// The checksum of the record before.
    pub(super) previous: u32,
    /// Records are numbered from 1 on.
    pub(super) seq: u64,
    /// All records up to this one were synced before this one was written.
    pub(super) synced: u64,
    pub(super) group: GroupId,
    /// As it is after this record.
    pub(super) hard_state: HardState,
    pub(super) kind: Kind,
    /// The index of the first entry.
    pub(super) first: Index,
    /// How many entries there are.
    pub(super) count: u32,
    /// How many runs of entries with the same term and kind.
    pub(super) runs: u32,
    /// The bytes of the part that is encoded by postcard.
    pub(super) extra: u32,
    /// The bytes after the header, with those that fill up to the alignment.
    pub(super) body: u32,
    /// It does more than to append entries and to set the term and the vote.
    pub(super) is_change: bool,
    /// How many records up to this one, itself included, are changes. So it is known of records
    /// that are lost whether they only appended.
    pub(super) changes: u32,
}

impl RecordHeader {
    /// All but the two checksums.
    pub(super) fn encode(&self, bytes: &mut [u8; RECORD_HEADER]) {
        let HardState { term, voted_for } = self.hard_state;
        let kind = match self.kind {
            Kind::State => 1_u32,
            Kind::Write => 2,
        };
        let kind = kind | u32::from(voted_for.is_some()) << 8 | u32::from(self.is_change) << 9;
        let small = [
            self.previous,
            self.body,
            kind,
            self.extra,
            self.count,
            self.runs,
            self.changes,
        ];
        let vote = voted_for.map_or(0, |node| node.0);
        let large = [
            self.seq,
            self.synced,
            self.group.0,
            term.0,
            vote,
            self.first.0,
        ];
        let (magic, rest) = bytes.split_at_mut(4);
        magic.copy_from_slice(&RECORD_MAGIC.to_le_bytes());
        let (small_bytes, large_bytes) = rest[8..].split_at_mut(small.len() * 4);
        for (bytes, number) in small_bytes.chunks_exact_mut(4).zip(small) {
            bytes.copy_from_slice(&number.to_le_bytes());
        }
        for (bytes, number) in large_bytes.chunks_exact_mut(8).zip(large) {
            bytes.copy_from_slice(&number.to_le_bytes());
        }
    }

    /// `None` if this is not the header of any record that was written to this place.
    pub(super) fn decode(bytes: &[u8], place: Place, offset: u64) -> Option<RecordHeader> {
        let bytes: &[u8; RECORD_HEADER] = bytes.first_chunk()?;
        let mut fields = Fields(bytes);
        if fields.u32() != RECORD_MAGIC
            || fields.u32() != crc32c_append(place.at(offset), &bytes[8..])
        {
            return None;
        }
        let (checksum, previous, body) = (fields.u32(), fields.u32(), fields.u32());
        let kind = fields.u32();
        let (extra, count, runs) = (fields.u32(), fields.u32(), fields.u32());
        let changes = fields.u32();
        let (seq, synced) = (fields.u64(), fields.u64());
        let group = GroupId(fields.u64());
        let (term, vote) = (Term(fields.u64()), NodeId(fields.u64()));
        let header = RecordHeader {
            checksum,
            previous,
            seq,
            synced,
            group,
            hard_state: HardState {
                term,
                voted_for: (kind >> 8 & 1 == 1).then_some(vote),
            },
            kind: match kind & 0xff {
                1 => Kind::State,
                2 => Kind::Write,
                _ => return None,
            },
            first: Index(fields.u64()),
            count,
            runs,
            extra,
            body,
            is_change: kind >> 9 & 1 == 1,
            changes,
        };
        header.describes_its_body().then_some(header)
    }

    /// Whether the tables fit into the body.
    fn describes_its_body(&self) -> bool {
        let tables = u64::from(self.extra)
            + u64::from(self.count) * LENGTH_BYTES as u64
            + u64::from(self.runs) * RUN_BYTES as u64;
        tables <= u64::from(self.body) && (self.count == 0 || self.last().is_some())
    }

    /// The bytes of the whole record.
    pub(super) fn length(&self) -> u64 {
        RECORD_HEADER as u64 + u64::from(self.body)
    }

    /// The last entry's index, if there are entries.
    pub(super) fn last(&self) -> Option<Index> {
        let behind = u64::from(self.count.checked_sub(1)?);
        Some(Index(self.first.0.checked_add(behind)?))
    }
}

/// What a [`Kind::State`] record holds beside the hard state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StateExtra {
    pub(super) identity: Option<Identity>,
    pub(super) snapshot: Option<SnapshotMeta>,
    /// Entries up to here are no part of the log.
    pub(super) floor: Index,
    /// The last entry; that of the snapshot if there is none.
    pub(super) last: EntryId,
    /// How many instances have written to the folder.
    pub(super) instance: u64,
    /// The last entry that was acknowledged and is lost, until the log has caught up with it.
    pub(super) lost: Option<EntryId>,
}

/// What a [`Kind::Write`] record holds beside the hard state and the entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WriteExtra {
    pub(super) identity: Option<Box<Identity>>,
    pub(super) install: Option<Box<Install>>,
    pub(super) compact: Option<Box<Compaction>>,
    /// What some of the entries before were.
    pub(super) described: Vec<Description>,
}

impl WriteExtra {
    pub(super) fn of(write: &Write) -> WriteExtra {
        WriteExtra {
            identity: write.identity.clone(),
            install: write.install.clone(),
            compact: write.compact.clone(),
            described: Vec::new(),
        }
    }
}

/// A record's part about entries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Appended {
    pub(super) first: Index,
    pub(super) last: EntryId,
}

impl Appended {
    pub(super) fn of(write: &Write) -> Option<Appended> {
        Some(Appended {
            first: write.entries.first_index()?,
            last: write.entries.last_id()?,
        })
    }
}

/// A record that fits its checksum.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) header: RecordHeader,
    body: Bytes,
}

impl Record {
    /// The record with this header that begins with these bytes. `None` if its body is not what was
    /// written.
    pub(super) fn decode(
        header: RecordHeader,
        bytes: &Bytes,
        place: Place,
        offset: u64,
    ) -> Option<Record> {
        let length = usize::try_from(header.length()).ok()?;
        let covered = bytes.get(12..length)?;
        let checksum = crc32c_append(place.at(offset), covered);
        (header.checksum == checksum).then(|| Record {
            header,
            body: bytes.slice(RECORD_HEADER..length),
        })
    }

    fn extra<T: for<'a> Deserialize<'a>>(&self) -> Option<T> {
        let extra = self.body.get(..self.header.extra as usize)?;
        postcard::from_bytes(extra).ok()
    }

    pub(super) fn state_extra(&self) -> Option<StateExtra> {
        self.extra()
    }

    pub(super) fn write_extra(&self) -> Option<WriteExtra> {
        if self.header.extra == 0 {
            return Some(WriteExtra::default());
        }
        self.extra()
    }

    /// What it does to the log; `None` within if it has no entries. `None` if its tables contradict
    /// each other.
    pub(super) fn appended(&self) -> Option<Option<Appended>> {
        let entries = self.entries();
        let Some(index) = self.header.last() else {
            return (self.header.count == 0).then_some(None);
        };
        let lengths = entries.lengths.0.as_chunks::<LENGTH_BYTES>().0;
        let payloads: u64 = lengths
            .iter()
            .map(|it| u64::from(u32::from_le_bytes(*it)))
            .sum();
        let mut runs = entries.runs;
        let (mut term, mut count) = (Term(0), 0);
        for _ in 0..self.header.runs {
            term = Term(runs.u64());
            count += u64::from(runs.u32());
            runs.u32();
        }
        let is_whole = count == u64::from(self.header.count)
            && entries.at as u64 + payloads <= self.body.len() as u64;
        let last = EntryId { index, term };
        let first = self.header.first;
        is_whole.then_some(Some(Appended { first, last }))
    }

    /// The entries in order. `None` after the last one, or if the record contradicts itself.
    pub(super) fn entries(&self) -> RecordEntries<'_> {
        let header = &self.header;
        let lengths = header.extra as usize;
        let runs = lengths + header.count as usize * LENGTH_BYTES;
        let payloads = runs + header.runs as usize * RUN_BYTES;
        RecordEntries {
            body: &self.body,
            lengths: Fields(self.body.get(lengths..runs).unwrap_or_default()),
            runs: Fields(self.body.get(runs..payloads).unwrap_or_default()),
            at: payloads,
            left: header.count,
            left_in_run: 0,
            id: EntryId {
                index: header.first,
                term: Term(0),
            },
            kind: EntryKind::Noop,
        }
    }
}

/// Iterates over the entries of a record.
pub(super) struct RecordEntries<'a> {
    body: &'a Bytes,
    lengths: Fields<'a>,
    runs: Fields<'a>,
    at: usize,
    left: u32,
    left_in_run: u32,
    id: EntryId,
    kind: EntryKind,
}

impl Iterator for RecordEntries<'_> {
    type Item = (EntryId, EntryKind, Bytes);

    fn next(&mut self) -> Option<(EntryId, EntryKind, Bytes)> {
        self.left = self.left.checked_sub(1)?;
        if self.left_in_run == 0 {
            self.id.term = Term(self.runs.u64());
            self.left_in_run = self.runs.u32();
            self.kind = match self.runs.u32() {
                0 => EntryKind::Noop,
                1 => EntryKind::Command,
                2 => EntryKind::Membership,
                _ => return None,
            };
        }
        self.left_in_run = self.left_in_run.checked_sub(1)?;
        let end = self.at.checked_add(self.lengths.u32() as usize)?;
        if end > self.body.len() {
            return None;
        }
        let id = self.id;
        let payload = self.body.slice(self.at..end);
        self.at = end;
        self.id.index = id.index.next();
        Some((id, self.kind, payload))
    }
}
