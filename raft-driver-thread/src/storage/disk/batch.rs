//! Records, made of writes.

use super::description::Description;
use super::record::{ALIGNMENT, Kind, Place, RECORD_HEADER, RecordHeader, StateExtra, WriteExtra};
use bytes::Bytes;
use crc32c::crc32c_append;
use raft_proto::{EntryKind, GroupId, HardState, Index, Term, Write};
use serde::Serialize;

fn kind_number(kind: EntryKind) -> u32 {
    match kind {
        EntryKind::Noop => 0,
        EntryKind::Command => 1,
        EntryKind::Membership => 2,
    }
}

/// A payload of at least so many bytes is written from where it lies. Shorter ones are copied: the
/// kernel takes longer for another piece than the processor for copying them.
const WRITTEN_IN_PLACE: usize = 16 << 10;

/// Records that are written together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    copied: Vec<u8>,
    /// Payloads, and how much of `copied` comes before each.
    in_place: Vec<(usize, Bytes)>,
    in_place_bytes: usize,
    /// The length of each record.
    lengths: Vec<u64>,
    last_checksum: u32,
    last_changes: u32,
}

/// What goes on from record to record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chain {
    pub(super) place: Place,
    /// Where the next record goes.
    pub(super) offset: u64,
    /// Its number.
    pub(super) seq: u64,
    /// The checksum of the record before it.
    pub(super) previous: u32,
    /// All records up to this one are synced.
    pub(super) synced: u64,
    pub(super) group: GroupId,
    /// How many records before it are [changes](RecordHeader::is_change).
    pub(super) changes: u32,
    /// The index of the entry that would only be appended, if that is known.
    pub(super) next: Option<Index>,
}

impl Chain {
    /// Whether the write, which comes next, does more than to append.
    fn changes_with(&mut self, write: &Write) -> bool {
        let Write {
            identity,
            install,
            compact,
            entries,
            ..
        } = write;
        let is_other = identity.is_some() || install.is_some() || compact.is_some();
        let first = entries.first_index();
        let is_appended = first.is_none() || first == self.next;
        if is_other {
            self.next = None;
        }
        if let Some(last) = entries.last_id() {
            self.next = Some(last.index.next());
        }
        is_other || !is_appended
    }
}

/// More than a record can hold.
#[derive(Debug)]
pub(super) struct TooLong;

impl Batch {
    pub(super) fn clear(&mut self) {
        /// More memory is not kept for the next batch.
        const KEPT: usize = 1 << 20;
        self.copied.clear();
        self.copied.shrink_to(KEPT);
        self.in_place.clear();
        self.in_place_bytes = 0;
        self.lengths.clear();
    }

    pub(super) fn length(&self) -> u64 {
        (self.copied.len() + self.in_place_bytes) as u64
    }

    /// The length of each record, in order.
    pub(super) fn lengths(&self) -> &[u64] {
        &self.lengths
    }

    /// That of the last record.
    pub(super) fn last_checksum(&self) -> u32 {
        self.last_checksum
    }

    /// How many records up to the last one are changes.
    pub(super) fn last_changes(&self) -> u32 {
        self.last_changes
    }

    /// The bytes in order.
    pub(super) fn pieces(&self) -> Vec<&[u8]> {
        self.pieces_from(0, 0)
    }

    /// Those from the byte `copied` and the payload `in_place` on.
    fn pieces_from(&self, mut copied: usize, in_place: usize) -> Vec<&[u8]> {
        let mut pieces = Vec::new();
        // Payloads come in the order of their places.
        for (before, payload) in self.in_place.iter().skip(in_place) {
            pieces.push(&self.copied[copied..*before]);
            pieces.push(payload);
            copied = *before;
        }
        pieces.push(&self.copied[copied..]);
        pieces
    }

    pub(super) fn push_state(
        &mut self,
        chain: &mut Chain,
        hard_state: HardState,
        state: &StateExtra,
    ) -> Result<(), TooLong> {
        self.push(chain, hard_state, Kind::State, Some(state), None)
    }

    pub(super) fn push_write(
        &mut self,
        chain: &mut Chain,
        hard_state: HardState,
        write: &Write,
        described: Vec<Description>,
    ) -> Result<(), TooLong> {
        let mut extra = WriteExtra::of(write);
        extra.described = described;
        let extra = Some(&extra).filter(|extra| **extra != WriteExtra::default());
        self.push(chain, hard_state, Kind::Write, extra, Some(write))
    }

    fn push(
        &mut self,
        chain: &mut Chain,
        hard_state: HardState,
        kind: Kind,
        extra: Option<&impl Serialize>,
        write: Option<&Write>,
    ) -> Result<(), TooLong> {
        let begin = (self.copied.len(), self.in_place.len(), self.length());
        self.copied.resize(begin.0 + RECORD_HEADER, 0);
        if let Some(extra) = extra {
            let extra = postcard::to_allocvec(extra).map_err(|_| TooLong)?;
            self.copied.extend_from_slice(&extra);
        }
        let extra = self.copied.len() - begin.0 - RECORD_HEADER;
        let runs = write.map_or(0, |write| self.push_entries(write));
        let fill = self.length().next_multiple_of(ALIGNMENT) - self.length();
        self.copied
            .extend_from_slice(&[0; ALIGNMENT as usize][..fill as usize]);
        let body = self.length() - begin.2 - RECORD_HEADER as u64;
        let entries = write.map(|write| &write.entries);
        let is_change = write.is_some_and(|write| chain.changes_with(write));
        chain.changes = chain.changes.wrapping_add(u32::from(is_change));
        let header = RecordHeader {
            checksum: 0,
            previous: chain.previous,
            seq: chain.seq,
            synced: chain.synced,
            group: chain.group,
            hard_state,
            kind,
            first: entries.and_then(|it| it.first_index()).unwrap_or_default(),
            count: small(entries.map_or(0, |entries| entries.len()) as u64)?,
            runs,
            extra: small(extra as u64)?,
            body: small(body)?,
            is_change,
            changes: chain.changes,
        };
        let checksum = self.seal(&header, begin.0, begin.1, chain.place.at(chain.offset));
        chain.previous = checksum;
        self.last_checksum = checksum;
        self.last_changes = chain.changes;
        chain.seq += 1;
        chain.offset += header.length();
        self.lengths.push(header.length());
        Ok(())
    }

    /// Completes the record whose header is at the byte `copied`, and whose payloads in place are
    /// those from `in_place` on. Returns its checksum.
    fn seal(&mut self, header: &RecordHeader, copied: usize, in_place: usize, seed: u32) -> u32 {
        let mut bytes = [0; RECORD_HEADER];
        header.encode(&mut bytes);
        let covered = self.pieces_from(copied + RECORD_HEADER, in_place);
        let begun = crc32c_append(seed, &bytes[12..]);
        let checksum = covered
            .iter()
            .fold(begun, |sum, piece| crc32c_append(sum, piece));
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        let check = crc32c_append(seed, &bytes[8..]);
        bytes[4..8].copy_from_slice(&check.to_le_bytes());
        self.copied[copied..copied + RECORD_HEADER].copy_from_slice(&bytes);
        checksum
    }

    /// Returns how many runs there are.
    fn push_entries(&mut self, write: &Write) -> u32 {
        struct Run {
            term: Term,
            kind: EntryKind,
            count: u32,
        }
        let mut runs: Vec<Run> = Vec::new();
        for entry in &write.entries {
            // Entries are limited far below that; one that is not makes the record too long.
            let length = u32::try_from(entry.payload().len()).unwrap_or(u32::MAX);
            self.copied.extend_from_slice(&length.to_le_bytes());
            let (term, kind) = (entry.term(), entry.kind());
            match runs.last_mut() {
                Some(run) if run.term == term && run.kind == kind => run.count += 1,
                Some(_) | None => runs.push(Run {
                    term,
                    kind,
                    count: 1,
                }),
            }
        }
        for run in &runs {
            self.copied.extend_from_slice(&run.term.0.to_le_bytes());
            self.copied.extend_from_slice(&run.count.to_le_bytes());
            let kind = kind_number(run.kind);
            self.copied.extend_from_slice(&kind.to_le_bytes());
        }
        for entry in &write.entries {
            let payload = entry.payload();
            if payload.len() < WRITTEN_IN_PLACE {
                self.copied.extend_from_slice(payload);
            } else {
                self.in_place
                    .push((self.copied.len(), entry.share_payload()));
                self.in_place_bytes += payload.len();
            }
        }
        runs.len() as u32 // No more than entries, whose number is checked.
    }
}

fn small(number: u64) -> Result<u32, TooLong> {
    u32::try_from(number).map_err(|_| TooLong)
}
