//! What is kept of a damaged log, and how a log begins anew with it.
//!
//! This is for logs that are not made again exactly what they were (the module `plan`).
//!
//! The node is sent what is missing ([`Recovered::impaired`](raft_proto::Recovered::impaired)).
//! What is kept is one of these, the first that is whole:
//!
//! 1. The newest snapshot and all entries after it, if what is damaged lies before its end: then
//!    nothing is lost.
//! 2. The records before the first damage, with the newest snapshot if that ends among them.
//! 3. The newest snapshot.
//! 4. Nothing but the identity, the term and the vote.
//!
//! The folder is not mended if it is not clear what was acknowledged: without a mark, without an
//! identity, or if whole records contradict each other. Such a node has to join anew.
//!
//! The new log is one segment, which is made aside, with a number that leaves one out: from the
//! moment when it gets its name, the older ones are no part of the log. They are moved to the
//! folder `damaged`, for those who want to look into them, and are never read again.

use super::batch::{Batch, Chain};
use super::digest::Describer;
use super::files::{FileHandle, Files, Purpose};
use super::folder::{create_folder, failed, log_folder, sync_folder};
use super::log::too_long;
use super::mark::Acknowledged;
use super::record::{Appended, Place};
use super::segment::{SEGMENT_HEADER, SegmentFile, SegmentHeader, segment_name};
use super::state::{Spans, State};
use super::understood::{Tail, Understood};
use crate::storage::StorageError;
use raft_proto::{Entries, EntriesBuilder, EntryId, GroupId, Index, Seq, SnapshotId, Write};
use std::io::IoSlice;
use std::path::{Path, PathBuf};

/// The folder in which damaged segments are put aside.
const ASIDE: &str = "damaged";

/// So many bytes of payloads are one record of the new log.
const RECORD_BYTES: usize = 1 << 20;

/// What is kept.
pub(super) struct Kept {
    pub(super) state: State,
    pub(super) entries: Entries,
    /// The number of the new segment, and of its first record.
    segment: u64,
    seq: u64,
}

impl Kept {
    /// All that was there.
    pub(super) fn whole(mut state: State, entries: Entries, segment: u64, seq: u64) -> Kept {
        let end = state
            .snapshot
            .as_ref()
            .map_or(EntryId::ZERO, |it| it.id.last);
        state.last = entries.last_id().unwrap_or(end);
        let last = state.last;
        state
            .lost
            .take_if(|lost| last.is_at_least_as_up_to_date_as(*lost));
        Kept {
            state,
            entries,
            segment,
            seq,
        }
    }
}

impl Understood {
    /// What can be kept; `None` if the folder cannot be mended. `is_whole` tells whether a snapshot
    /// is what its id says.
    pub(super) fn keep(
        &self,
        is_whole: impl Fn(SnapshotId) -> Result<bool, StorageError>,
    ) -> Result<Option<Kept>, StorageError> {
        let before = self.whole.before.as_ref();
        let (first, pieces) =
            before.map_or((&self.state, &self.pieces), |(it, pieces)| (it, pieces));
        let identity = self.state.identity.as_ref().or(first.identity.as_ref());
        if self.whole.is_unclear || identity.is_none() {
            return Ok(None);
        }
        let Acknowledged { last, hard_state } = self.acknowledged;
        let mut kept = State {
            identity: identity.cloned(),
            hard_state,
            snapshot: None,
            floor: Index::ZERO,
            last: EntryId::ZERO,
            instance: self.state.instance.max(first.instance),
            lost: None,
        };
        let newest = match self.state.snapshot.as_ref() {
            Some(snapshot) if is_whole(snapshot.id)? => Some(snapshot),
            Some(_) | None => None,
        };
        let entries = |floor: Index, pieces: &super::pieces::Pieces| {
            let entries = pieces.entries(floor).unwrap_or(Entries::EMPTY);
            let is_next = entries.first_index() == Some(floor.next());
            if is_next { entries } else { Entries::EMPTY }
        };
        let mut found = Entries::EMPTY;
        if let Some(snapshot) = newest {
            let end = snapshot.id.last;
            (kept.snapshot, kept.floor, kept.last) = (Some(snapshot.clone()), end.index, end);
            let is_behind = self.damages.is_empty();
            let is_behind =
                is_behind || self.whole.from.is_some_and(|from| from <= end.index.next());
            found = if is_behind {
                entries(end.index, &self.pieces)
            } else if first.last.index >= end.index && holds(pieces, first.floor, end) {
                entries(end.index, pieces)
            } else {
                Entries::EMPTY
            };
        } else if let Some(snapshot) = first.snapshot.as_ref()
            && is_whole(snapshot.id)?
        {
            kept.snapshot = Some(snapshot.clone());
            (kept.floor, kept.last) = (first.floor, snapshot.id.last);
            found = entries(first.floor, pieces);
        } else if first.floor == Index::ZERO {
            found = entries(Index::ZERO, pieces);
        }
        let ends_before =
            |found: &Entries| found.last_id().is_none_or(|it| it.index < kept.last.index);
        if ends_before(&found) {
            // The snapshot's end is not among them.
            found = Entries::EMPTY;
            kept.floor = kept.last.index;
        }
        kept.last = found.last_id().unwrap_or(kept.last);
        kept.lost = Some(last).filter(|lost| !kept.last.is_at_least_as_up_to_date_as(*lost));
        Ok(Some(Kept {
            state: kept,
            entries: found,
            segment: self.whole.next_segment,
            seq: self.whole.next_seq,
        }))
    }
}

/// Whether these records hold the entry.
fn holds(pieces: &super::pieces::Pieces, floor: Index, entry: EntryId) -> bool {
    let entries = pieces.entries(floor).unwrap_or(Entries::EMPTY);
    entry.index == floor || entries.iter().any(|it| it.id() == entry)
}

/// A log that has begun anew.
pub(super) struct Begun {
    pub(super) segment: SegmentFile,
    pub(super) tail: Tail,
    pub(super) spans: Spans,
    pub(super) describer: Describer,
}

impl Kept {
    /// Begins a log with this, durably.
    pub(super) fn begin(
        &self,
        files: &dyn Files,
        folder: &Path,
        incarnation: u128,
        segment_bytes: u64,
    ) -> Result<Begun, StorageError> {
        let log = log_folder(folder);
        let aside = log.join("mending");
        let file = files.open(&aside, Purpose::Create);
        let file = file.map_err(failed("make", &aside))?;
        let payloads = self.entries.bytes();
        let length = (payloads + segment_bytes).next_multiple_of(SEGMENT_HEADER as u64);
        file.allocate(length)
            .map_err(failed("reserve space for", &aside))?;
        let identity = self.state.identity.as_ref();
        let header = SegmentHeader {
            incarnation,
            cluster: identity.map_or(0, |it| it.cluster_id.0),
            node: identity.map_or(0, |it| it.node_id.0),
            number: self.segment,
            first_seq: self.seq,
            previous: 0,
            next_index: self.state.floor.next(),
            changes: 0,
        };
        let mut begun = self.state.clone();
        begun.last = self.base();
        file.write_at(&mut [IoSlice::new(&header.encode(&begun))], 0)
            .map_err(failed("write", &aside))?;
        let (tail, spans, describer) = self.write_records(&*file, incarnation, &aside)?;
        file.sync().map_err(failed("sync", &aside))?;
        let path = log.join(segment_name(self.segment));
        files.rename(&aside, &path).map_err(failed("make", &path))?;
        sync_folder(files, &log)?;
        let segment = SegmentFile {
            number: self.segment,
            path,
            file,
            header: Some(header),
            state: None,
        };
        Ok(Begun {
            segment,
            tail,
            spans,
            describer,
        })
    }

    /// Writes the state, and then the entries.
    fn write_records(
        &self,
        file: &dyn FileHandle,
        incarnation: u128,
        path: &Path,
    ) -> Result<(Tail, Spans, Describer), StorageError> {
        let identity = self.state.identity.as_ref();
        let mut chain = Chain {
            place: Place::in_segment(incarnation, self.segment),
            offset: SEGMENT_HEADER as u64,
            seq: self.seq,
            previous: 0,
            synced: self.seq - 1, // It is at least 1.
            group: identity.map_or(GroupId(0), |it| it.group_id),
            changes: 0,
            next: None,
        };
        let mut describer = Describer::new(incarnation);
        let mut batch = Batch::default();
        let mut spans = Spans::default();
        let hard_state = self.state.hard_state;
        let mut begun = self.state.extra();
        begun.last = self.base();
        batch
            .push_state(&mut chain, hard_state, &begun)
            .map_err(too_long)?;
        let mut begin = SEGMENT_HEADER as u64;
        write(file, &mut batch, begin, path)?;
        for entries in self.parts() {
            let record = Write {
                seq: Seq(0), // Records have numbers of their own.
                identity: None,
                hard_state: None,
                install: None,
                compact: None,
                entries,
            };
            begin = chain.offset;
            let due = describer.due();
            if !due.is_empty() {
                describer.close();
            }
            batch
                .push_write(&mut chain, hard_state, &record, due)
                .map_err(too_long)?;
            describer.append(&record.entries);
            if let Some(appended) = Appended::of(&record) {
                spans.append(appended, self.segment, begin, chain.offset);
            }
            write(file, &mut batch, begin, path)?;
        }
        let tail = Tail {
            offset: chain.offset,
            seq: chain.seq,
            previous: chain.previous,
            synced: chain.seq - 1,
            unsynced_from: chain.offset,
            is_torn: false,
            changes: chain.changes,
        };
        Ok((tail, spans, describer))
    }

    /// What the log ends with before the entries are written.
    fn base(&self) -> EntryId {
        let end = self.state.snapshot.as_ref().map(|it| it.id.last);
        let end = end.filter(|end| self.entries.is_empty() || end.index == self.state.floor);
        end.unwrap_or(EntryId {
            index: self.state.floor,
            ..EntryId::ZERO
        })
    }

    /// The entries of each record.
    fn parts(&self) -> Vec<Entries> {
        let mut parts = Vec::new();
        let (mut part, mut bytes) = (EntriesBuilder::new(), 0);
        for entry in &self.entries {
            // They were consecutive.
            let _ = part.push(entry.id(), entry.kind(), entry.share_payload());
            bytes += entry.payload().len();
            if bytes >= RECORD_BYTES {
                parts.push(std::mem::take(&mut part).finish());
                bytes = 0;
            }
        }
        parts.push(part.finish());
        parts.retain(|part| !part.is_empty());
        parts
    }
}

fn write(
    file: &dyn FileHandle,
    batch: &mut Batch,
    offset: u64,
    path: &Path,
) -> Result<(), StorageError> {
    let mut pieces: Vec<IoSlice<'_>> = batch.pieces().into_iter().map(IoSlice::new).collect();
    let written = file.write_at(&mut pieces, offset);
    written.map_err(failed("write", path))?;
    batch.clear();
    Ok(())
}

/// Moves what was found damaged out of the log.
pub(super) fn put_aside(
    files: &dyn Files,
    folder: &Path,
    paths: &[PathBuf],
) -> Result<(), StorageError> {
    let aside = folder.join(ASIDE);
    create_folder(files, &aside)?;
    for path in paths {
        let Some(name) = path.file_name() else {
            continue; // Segments have names.
        };
        let moved = files.rename(path, &aside.join(name));
        moved.map_err(failed("move", path))?;
    }
    sync_folder(files, &aside)?;
    sync_folder(files, &log_folder(folder))
}
