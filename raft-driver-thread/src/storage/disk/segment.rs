//! A segment's file, and its header. The module [`disk`](super) draws the bytes.

use super::bytes::Fields;
use super::files::{FileHandle, Files, Purpose};
use super::folder::{VERSION, failed};
use super::state::State;
use crate::storage::StorageError;
use crc32c::crc32c;
use raft_proto::Index;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// The header is a page. The first record follows it.
pub(super) const SEGMENT_HEADER: usize = 4096;

/// Where the copy of the state is.
const STATE: usize = 80;
const LENGTH_BYTES: usize = 4;

const SEGMENT_MAGIC: u64 = u64::from_le_bytes(*b"RAFT LOG");

/// The first page of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// Drawn when the folder was made.
    pub(super) incarnation: u128,
    pub(super) cluster: u64,
    pub(super) node: u64,
    /// Segments are numbered from 1 on.
    pub(super) number: u64,
    /// The sequence number of the first record.
    pub(super) first_seq: u64,
    /// The checksum of the record before that.
    pub(super) previous: u32,
    /// The index after that of the last entry before this segment.
    pub(super) next_index: Index,
    /// How many records before are [changes](super::record::RecordHeader::is_change).
    pub(super) changes: u32,
}

impl SegmentHeader {
    /// With a copy of the state that the first record holds, if there is room: that record may be lost.
    pub(super) fn encode(&self, state: &State) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SEGMENT_HEADER);
        bytes.extend_from_slice(&SEGMENT_MAGIC.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]); // The checksum.
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.incarnation.to_le_bytes());
        for number in [self.cluster, self.node, self.number, self.first_seq] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.next_index.0.to_le_bytes());
        bytes.extend_from_slice(&self.previous.to_le_bytes());
        bytes.extend_from_slice(&self.changes.to_le_bytes());
        let state = postcard::to_allocvec(&(state.hard_state, state.extra())).unwrap_or_default();
        if bytes.len() + LENGTH_BYTES + state.len() <= SEGMENT_HEADER {
            // It is shorter than a page.
            bytes.extend_from_slice(&(state.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&state);
        }
        bytes.resize(SEGMENT_HEADER, 0);
        let checksum = crc32c(&bytes[12..]);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// `None` if the bytes are not those that were written.
    pub(super) fn decode(bytes: &[u8]) -> Option<SegmentHeader> {
        let covered = bytes.get(12..SEGMENT_HEADER)?;
        let mut fields = Fields(bytes);
        let is_whole = fields.u64() == SEGMENT_MAGIC && fields.u32() == crc32c(covered);
        if !is_whole || fields.u32() != VERSION {
            return None;
        }
        Some(SegmentHeader {
            incarnation: u128::from_le_bytes(fields.take()),
            cluster: fields.u64(),
            node: fields.u64(),
            number: fields.u64(),
            first_seq: fields.u64(),
            next_index: Index(fields.u64()),
            previous: fields.u32(),
            changes: fields.u32(),
        })
    }

    /// The state before the segment, of a header that is as it was written.
    fn state(bytes: &[u8]) -> Option<State> {
        let (length, rest) = bytes.get(STATE..)?.split_first_chunk::<LENGTH_BYTES>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let state = rest.get(..length).filter(|state| !state.is_empty())?;
        let (hard_state, extra) = postcard::from_bytes(state).ok()?;
        Some(State::of_record(hard_state, extra))
    }
}

/// The name of a segment's file.
pub(super) fn segment_name(number: u64) -> String {
    format!("{number:016x}.log")
}

fn segment_number(name: &str) -> Option<u64> {
    let digits = name
        .strip_suffix(".log")
        .filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}

/// A segment's file.
pub(super) struct SegmentFile {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    pub(super) file: Box<dyn FileHandle>,
    pub(super) header: Option<SegmentHeader>,
    /// The state before the segment, if the header has it.
    pub(super) state: Option<State>,
}

impl SegmentFile {
    /// Opens the file, and reads its header.
    pub(super) fn open(
        files: &dyn Files,
        path: PathBuf,
        number: u64,
        incarnation: u128,
        purpose: Purpose,
    ) -> Result<SegmentFile, StorageError> {
        let file = files.open(&path, purpose).map_err(failed("open", &path))?;
        let mut bytes = vec![0; SEGMENT_HEADER];
        let read = file.read_at(&mut bytes, 0).map_err(failed("read", &path))?;
        bytes.truncate(read);
        let header = SegmentHeader::decode(&bytes);
        let is_ours =
            |header: &SegmentHeader| header.incarnation == incarnation && header.number == number;
        let header = header.filter(is_ours);
        Ok(SegmentFile {
            number,
            path,
            file,
            state: header.and_then(|_| SegmentHeader::state(&bytes)),
            header,
        })
    }
}

/// The numbers of the segments in the folder, in order.
pub(super) fn segment_numbers(files: &dyn Files, log: &Path) -> Result<Vec<u64>, StorageError> {
    let names = files.list(log).map_err(failed("read", log))?;
    let numbers = names
        .iter()
        .filter_map(|name| segment_number(name.to_str()?));
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Opens the segments that belong together, which are the newest ones, without a gap. Older ones
/// are what a power failure left when they were being deleted. If any of their entries are needed,
/// it shows later that entries are missing.
pub(super) fn find_segments(
    files: &dyn Files,
    log: &Path,
    incarnation: u128,
    purpose: Purpose,
) -> Result<(VecDeque<SegmentFile>, Vec<PathBuf>), StorageError> {
    let numbers = segment_numbers(files, log)?;
    let mut segments = VecDeque::new();
    let mut leftovers = Vec::new();
    for number in numbers.into_iter().rev() {
        let path = log.join(segment_name(number));
        let newer = segments.front().map(|newer: &SegmentFile| newer.number);
        if newer.is_some_and(|newer| number + 1 != newer) || !leftovers.is_empty() {
            leftovers.push(path);
            continue;
        }
        let purpose = if newer.is_none() {
            purpose
        } else {
            Purpose::Read
        };
        let segment = SegmentFile::open(files, path, number, incarnation, purpose)?;
        segments.push_front(segment);
    }
    Ok((segments, leftovers))
}
