//! The acknowledged mark: what this storage may have promised.
//!
//! It is written after each sync, and not synced then: so it survives the process, and after a
//! power failure it is at most too low. What it leaves out then is only the last batch: each record
//! says, too, up to where the log was synced before it. If the power fails and the disk loses, too,
//! all records from some one to the end, only the mark says what these promised: so it is synced
//! after every 256th batch, and when a segment is begun and the storage is closed. What a disk
//! loses at the end of its log behind the mark that was synced last, in the same moment in which
//! the power fails, is taken for a write that was torn. To note every batch in a second place
//! before it is acknowledged would take a second sync for each.

use super::description::Description;
use super::files::{FileHandle, Files, Purpose};
use super::folder::{failed, sync_folder};
use crate::storage::StorageError;
use crc32c::crc32c;
use raft_proto::{EntryId, HardState, Index, NodeId, Term};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

/// Less than a sector: it is written whole, or not.
const BYTES: usize = 152;
const MAGIC: u64 = u64::from_le_bytes(*b"RAFTMARK");

/// What a storage may have acknowledged: nothing beyond that was ever reported as durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// The last entry of the log. The log may have lost entries up to there.
    pub last: EntryId,
    /// The term, and the vote in it.
    pub hard_state: HardState,
}

/// What the mark says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct MarkContent {
    /// The last record that was synced.
    pub(super) seq: u64,
    /// Its checksum.
    pub(super) checksum: u32,
    pub(super) acknowledged: Acknowledged,
    /// How many records up to that one are [changes](super::record::RecordHeader::is_change).
    pub(super) changes: u32,
    /// What the last entries were, up to the last one of all.
    pub(super) described: [Option<Description>; 2],
}

impl MarkContent {
    fn encode(&self, incarnation: u128) -> Vec<u8> {
        let Acknowledged { last, hard_state } = self.acknowledged;
        let vote = hard_state.voted_for;
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend_from_slice(&MAGIC.to_le_bytes());
        bytes.extend_from_slice(&incarnation.to_le_bytes());
        let numbers = [
            self.seq,
            last.index.0,
            last.term.0,
            hard_state.term.0,
            vote.map_or(0, |node| node.0),
            u64::from(vote.is_some()),
        ];
        for number in numbers {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for described in &self.described {
            let it = described.unwrap_or_default();
            bytes.extend_from_slice(&it.first.0.to_le_bytes());
            bytes.extend_from_slice(&it.last.0.to_le_bytes());
            bytes.extend_from_slice(&it.digest.to_le_bytes());
        }
        bytes.extend_from_slice(&u64::from(self.changes).to_le_bytes());
        bytes.extend_from_slice(&self.checksum.to_le_bytes());
        let checksum = crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8], incarnation: u128) -> Option<MarkContent> {
        let number = |at: usize| {
            let bytes = bytes.get(24 + at * 8..)?.first_chunk()?;
            Some(u64::from_le_bytes(*bytes))
        };
        let described = |at: usize| {
            let digest = u128::from(number(at + 3)?) << 64 | u128::from(number(at + 2)?);
            let found = Description {
                first: Index(number(at)?),
                last: Index(number(at + 1)?),
                digest,
            };
            Some(Some(found).filter(|it| *it != Description::default()))
        };
        let content = MarkContent {
            seq: number(0)?,
            checksum: u32::from_le_bytes(*bytes.get(144..)?.first_chunk()?),
            changes: u32::try_from(number(14)?).ok()?,
            described: [described(6)?, described(10)?],
            acknowledged: Acknowledged {
                last: EntryId {
                    index: Index(number(1)?),
                    term: Term(number(2)?),
                },
                hard_state: HardState {
                    term: Term(number(3)?),
                    voted_for: (number(5)? == 1).then_some(NodeId(number(4)?)),
                },
            },
        };
        // Equal bytes mean an equal checksum, magic number and incarnation.
        (content.encode(incarnation) == bytes).then_some(content)
    }
}

/// The file of the mark, once the log has begun.
pub(super) struct Mark {
    file: Box<dyn FileHandle>,
    path: PathBuf,
    incarnation: u128,
}

/// What is found in place of a mark.
pub(super) enum Found {
    /// The log was never begun.
    None,
    Mark(Mark, Box<MarkContent>),
    Damaged,
}

fn path_of(folder: &Path) -> PathBuf {
    folder.join("mark")
}

impl Mark {
    /// After so many batches it is synced: about once a second where a sync takes long, and rarely
    /// enough to cost nothing where it does not.
    pub(super) const SYNCED_AFTER: u32 = 256;

    /// Reads the mark, and changes nothing.
    pub(super) fn find(
        files: &dyn Files,
        folder: &Path,
        incarnation: u128,
        purpose: Purpose,
    ) -> Result<Found, StorageError> {
        let path = path_of(folder);
        let file = match files.open(&path, purpose) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::None),
            Err(error) => return Err(failed("open", &path)(error)),
        };
        let mut bytes = [0; BYTES + 1];
        let read = file.read_at(&mut bytes, 0).map_err(failed("read", &path))?;
        // No more than there is room for.
        let Some(content) = MarkContent::decode(&bytes[..read], incarnation) else {
            return Ok(Found::Damaged);
        };
        let mark = Mark {
            file,
            path,
            incarnation,
        };
        Ok(Found::Mark(mark, Box::new(content)))
    }

    /// Makes the mark of a log that is about to begin, durably.
    pub(super) fn create(
        files: &dyn Files,
        folder: &Path,
        incarnation: u128,
    ) -> Result<Mark, StorageError> {
        let path = path_of(folder);
        let aside = folder.join("mark.partial");
        let file = files.open(&aside, Purpose::Create);
        let mark = Mark {
            file: file.map_err(failed("make", &aside))?,
            path: path.clone(),
            incarnation,
        };
        mark.write(&MarkContent::default())?;
        mark.sync()?;
        files.rename(&aside, &path).map_err(failed("make", &path))?;
        sync_folder(files, folder)?;
        Ok(mark)
    }

    pub(super) fn write(&self, content: &MarkContent) -> Result<(), StorageError> {
        let bytes = content.encode(self.incarnation);
        let written = self.file.write_at(&mut [IoSlice::new(&bytes)], 0);
        written.map_err(failed("write", &self.path))
    }

    pub(super) fn sync(&self) -> Result<(), StorageError> {
        self.file.sync().map_err(failed("sync", &self.path))
    }
}
