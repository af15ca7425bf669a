//! The end of the log, where records are written.

use super::batch::{Batch, Chain, TooLong};
use super::description::Description;
use super::digest::Describer;
use super::files::{FileHandle, Files, Purpose};
use super::folder::{damaged, failed, log_folder, sync_folder};
use super::mark::{Acknowledged, Mark, MarkContent};
use super::record::Place;
use super::segment::{SEGMENT_HEADER, SegmentFile, SegmentHeader, segment_name};
use super::state::State;
use super::understood::Tail;
use crate::storage::StorageError;
use raft_proto::{Entries, GroupId};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A segment that is not needed any more, or not yet.
const SPARE: &str = "spare";

/// Zeros that are written behind a batch.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// A segment.
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) file: Box<dyn FileHandle>,
    pub(super) path: PathBuf,
    length: u64,
}

/// The segments, and the end of the newest.
pub(super) struct Log {
    files: Arc<dyn Files>,
    folder: PathBuf,
    incarnation: u128,
    segment_bytes: u64,
    /// In order. Empty before the first write.
    segments: VecDeque<Segment>,
    /// A file that becomes the next segment. Its bytes are on the disk.
    spare: Option<Box<dyn FileHandle>>,
    mark: Option<Mark>,
    /// How often it was written since it was synced.
    unsynced_marks: u32,
    tail: Tail,
    /// The newest segment has bytes up to here: to write them anew does not change the file
    /// system's own data, and a sync is quicker.
    filled: u64,
    batch: Batch,
    /// What the last entries are.
    pub(super) describer: Describer,
}

impl Log {
    pub(super) fn new(
        files: Arc<dyn Files>,
        folder: &Path,
        incarnation: u128,
        segment_bytes: u64,
        found: Option<(VecDeque<SegmentFile>, Option<Mark>, Tail)>,
    ) -> Result<Log, StorageError> {
        let (found, mark, tail) = found.unwrap_or_default();
        let mut segments = VecDeque::new();
        for SegmentFile {
            number, path, file, ..
        } in found
        {
            let length = file.length().map_err(failed("read", &path))?;
            segments.push_back(Segment {
                number,
                file,
                path,
                length,
            });
        }
        Ok(Log {
            files,
            folder: folder.to_owned(),
            incarnation,
            segment_bytes,
            segments,
            spare: None,
            mark,
            unsynced_marks: 0,
            filled: tail.offset,
            tail,
            batch: Batch::default(),
            describer: Describer::new(incarnation),
        })
    }

    /// The log goes on in this segment. Returns where the segments before it are.
    pub(super) fn replace_with(
        &mut self,
        segment: SegmentFile,
        tail: Tail,
    ) -> Result<Vec<PathBuf>, StorageError> {
        let SegmentFile {
            number, path, file, ..
        } = segment;
        let length = file.length().map_err(failed("read", &path))?;
        let before = self.segments.drain(..).map(|segment| segment.path);
        let before = before.collect();
        self.segments.push_back(Segment {
            number,
            file,
            path,
            length,
        });
        (self.tail, self.filled) = (tail, tail.offset);
        Ok(before)
    }

    /// These entries are part of the log, and are described as far as `closed` says.
    pub(super) fn describe(&mut self, closed: Option<Description>, entries: &Entries) {
        self.describer = Describer::after(self.incarnation, closed, entries);
    }

    pub(super) fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }

    /// The path of the log, for messages.
    pub(super) fn path(&self) -> PathBuf {
        log_folder(&self.folder)
    }

    /// Makes durable what was found, and begins a new instance.
    ///
    /// What an earlier instance wrote and did not sync may be in memory only, even if a sync was
    /// tried and failed: then it counts as written, and the next sync would not write it. So it is
    /// written anew. The record that begins the instance is another one than any before, so that
    /// nothing behind it, of a write that was torn, can continue it.
    pub(super) fn resume(&mut self, state: &State) -> Result<(), StorageError> {
        let Some(newest) = self.segments.back() else {
            return Ok(());
        };
        sync_folder(&*self.files, &self.path())?;
        let (from, to) = (self.tail.unsynced_from, self.tail.offset);
        if from < to {
            let mut bytes = vec![0; (to - from) as usize]; // It was in memory when it was read.
            let path = &newest.path;
            let read = newest.file.read_at(&mut bytes, from);
            if read.map_err(failed("read", path))? < bytes.len() {
                return Err(damaged(path, "it became shorter"));
            }
            let written = newest.file.write_at(&mut [IoSlice::new(&bytes)], from);
            written.map_err(failed("write", path))?;
            newest.file.sync().map_err(failed("sync", path))?;
            self.tail.synced = self.tail.seq - 1;
        }
        let (hard_state, extra) = (state.hard_state, state.extra());
        self.stage(state, |batch, chain| {
            batch.push_state(chain, hard_state, &extra)
        })?;
        self.commit(state)?;
        self.sync_mark()
    }

    /// Encodes records with `encode`, which are written by [`commit`](Log::commit). `state` is that
    /// before them. Returns the segment and the place where they go.
    pub(super) fn stage(
        &mut self,
        state: &State,
        encode: impl Fn(&mut Batch, &mut Chain) -> Result<(), TooLong>,
    ) -> Result<(u64, u64), StorageError> {
        if self.segments.is_empty() {
            let mark = Mark::create(&*self.files, &self.folder, self.incarnation)?;
            self.mark = Some(mark);
            self.roll(state, 0)?;
        }
        self.encode(state, &encode)?;
        if self.tail.offset + self.batch.length() > self.newest()?.length {
            self.roll(state, self.batch.length())?;
            self.encode(state, &encode)?;
        }
        Ok((self.newest()?.number, self.tail.offset))
    }

    /// The length of each record that is staged.
    pub(super) fn lengths(&self) -> &[u64] {
        self.batch.lengths()
    }

    /// The segment with this number.
    pub(super) fn segment(&self, number: u64) -> Option<&Segment> {
        let oldest = self.segments.front()?.number;
        // Their numbers rise by one. There are fewer than fit into memory.
        self.segments.get(number.checked_sub(oldest)? as usize)
    }

    fn newest(&self) -> Result<&Segment, StorageError> {
        let none = || StorageError::Contract("a log that was not begun".into());
        self.segments.back().ok_or_else(none)
    }

    fn encode(
        &mut self,
        state: &State,
        encode: impl Fn(&mut Batch, &mut Chain) -> Result<(), TooLong>,
    ) -> Result<(), StorageError> {
        let number = self.newest()?.number;
        self.batch.clear();
        let mut chain = self.chain(state, number, self.tail.offset);
        let encoded = encode(&mut self.batch, &mut chain);
        encoded.map_err(too_long)
    }

    fn chain(&self, state: &State, segment: u64, offset: u64) -> Chain {
        Chain {
            place: Place::in_segment(self.incarnation, segment),
            offset,
            seq: self.tail.seq,
            previous: self.tail.previous,
            synced: self.tail.synced,
            group: state.identity.as_ref().map_or(GroupId(0), |it| it.group_id),
            changes: self.tail.changes,
            next: Some(state.last.index.max(state.floor).next()),
        }
    }

    /// Writes what is staged, and syncs it. `state` is that after it.
    pub(super) fn commit(&mut self, state: &State) -> Result<(), StorageError> {
        let none = || StorageError::Contract("a log that was not begun".into());
        let newest = self.segments.back().ok_or_else(none)?;
        let end = self.tail.offset + self.batch.length();
        let zeros = self.zeros_behind(end, newest.length);
        let mut pieces: Vec<IoSlice<'_>> =
            self.batch.pieces().into_iter().map(IoSlice::new).collect();
        let mut left = zeros as usize; // At most `FILL`.
        while left > 0 {
            let some = left.min(ZEROS.len());
            pieces.push(IoSlice::new(&ZEROS[..some]));
            left -= some;
        }
        let written = newest.file.write_at(&mut pieces, self.tail.offset);
        written.map_err(failed("write", &newest.path))?;
        newest.file.sync().map_err(failed("sync", &newest.path))?;
        self.filled = self.filled.max(end + zeros);
        let count = self.batch.lengths().len() as u64;
        self.tail = Tail {
            offset: end,
            seq: self.tail.seq + count,
            previous: self.batch.last_checksum(),
            synced: self.tail.seq + count - 1,
            unsynced_from: end,
            is_torn: false,
            changes: self.batch.last_changes(),
        };
        self.write_mark(state)
    }

    /// How many zeros are written behind a batch that ends here. What was reserved, but never
    /// written, has to be noted by the file system as written once it is: a sync then takes half as
    /// long again. So that is done for many batches at once, unless they are long themselves.
    fn zeros_behind(&self, end: u64, length: u64) -> u64 {
        const FILL: u64 = 1 << 20;
        if end <= self.filled || self.batch.length() > FILL / 2 {
            return 0;
        }
        FILL.min(length.saturating_sub(end))
    }

    fn write_mark(&mut self, state: &State) -> Result<(), StorageError> {
        let content = MarkContent {
            seq: self.tail.synced,
            checksum: self.tail.previous,
            acknowledged: Acknowledged {
                last: state.acknowledged(),
                hard_state: state.hard_state,
            },
            changes: self.tail.changes,
            described: self.describer.last(),
        };
        let Some(mark) = &self.mark else {
            return Ok(());
        };
        mark.write(&content)?;
        self.unsynced_marks += 1;
        if self.unsynced_marks < Mark::SYNCED_AFTER {
            return Ok(());
        }
        self.sync_mark()
    }

    /// Makes the mark durable. Until then it says too little after a power failure.
    pub(super) fn sync_mark(&mut self) -> Result<(), StorageError> {
        self.unsynced_marks = 0;
        self.mark.as_ref().map_or(Ok(()), Mark::sync)
    }

    /// Begins the next segment, with room for so many bytes. All records before are synced.
    fn roll(&mut self, state: &State, least: u64) -> Result<(), StorageError> {
        let folder = self.path();
        // Names come first: an old segment that becomes this one must not keep its old name when
        // it has new bytes.
        sync_folder(&*self.files, &folder)?;
        let number = self.segments.back().map_or(1, |newest| newest.number + 1);
        self.tail.seq = self.tail.seq.max(1);
        self.tail.synced = self.tail.seq - 1;
        let identity = state.identity.as_ref();
        let header = SegmentHeader {
            incarnation: self.incarnation,
            cluster: identity.map_or(0, |it| it.cluster_id.0),
            node: identity.map_or(0, |it| it.node_id.0),
            number,
            first_seq: self.tail.seq,
            previous: self.tail.previous,
            next_index: state.last.index.next(),
            changes: self.tail.changes,
        };
        self.batch.clear();
        let mut chain = self.chain(state, number, SEGMENT_HEADER as u64);
        let pushed = self
            .batch
            .push_state(&mut chain, state.hard_state, &state.extra());
        pushed.map_err(too_long)?;
        let least = chain.offset + least;
        let length = least
            .max(self.segment_bytes)
            .next_multiple_of(SEGMENT_HEADER as u64);
        let aside = folder.join(SPARE);
        let (file, filled) = match self.spare.take() {
            Some(spare) if length == self.segment_bytes => (spare, length),
            Some(_) | None => (self.allocate(&aside, length)?, chain.offset),
        };
        let header = header.encode(state);
        let mut pieces = vec![IoSlice::new(&header)];
        pieces.extend(self.batch.pieces().into_iter().map(IoSlice::new));
        file.write_at(&mut pieces, 0)
            .map_err(failed("write", &aside))?;
        file.sync().map_err(failed("sync", &aside))?;
        let path = folder.join(segment_name(number));
        self.files
            .rename(&aside, &path)
            .map_err(failed("make", &path))?;
        sync_folder(&*self.files, &folder)?;
        self.filled = filled;
        self.tail = Tail {
            offset: chain.offset,
            seq: chain.seq,
            previous: chain.previous,
            synced: chain.seq - 1,
            unsynced_from: chain.offset,
            is_torn: false,
            changes: chain.changes,
        };
        self.segments.push_back(Segment {
            number,
            file,
            path,
            length,
        });
        self.write_mark(state)?;
        self.sync_mark()
    }

    fn allocate(&self, path: &Path, length: u64) -> Result<Box<dyn FileHandle>, StorageError> {
        let file = self.files.open(path, Purpose::Create);
        let file = file.map_err(failed("make", path))?;
        let allocated = file.allocate(length);
        allocated.map_err(failed("reserve space for", path))?;
        Ok(file)
    }

    /// Deletes the segments before this one, or before the newest. That they are not needed is
    /// durable. One of them is kept, to become the next segment: its bytes are on the disk already.
    pub(super) fn drop_before(&mut self, number: Option<u64>) -> Result<(), StorageError> {
        let newest = self.newest()?.number;
        let number = number.unwrap_or(newest);
        while self
            .segments
            .front()
            .is_some_and(|oldest| oldest.number < number)
            && let Some(oldest) = self.segments.pop_front()
        {
            let Segment {
                file, path, length, ..
            } = oldest;
            if self.spare.is_none() && length == self.segment_bytes {
                let aside = self.path().join(SPARE);
                let renamed = self.files.rename(&path, &aside);
                renamed.map_err(failed("rename", &path))?;
                self.spare = Some(file);
            } else {
                self.files.remove(&path).map_err(failed("delete", &path))?;
            }
        }
        Ok(())
    }
}

pub(super) fn too_long(_: TooLong) -> StorageError {
    StorageError::Contract("a write of more than 4 GiB".into())
}
