//! What a log consists of, and what of it is whole.

use super::damage::Damage;
use super::description::Descriptions;
use super::mark::{Acknowledged, Mark};
use super::pieces::Pieces;
use super::segment::SegmentFile;
use super::state::{Spans, State};
use raft_proto::Index;
use std::collections::VecDeque;
use std::path::PathBuf;

/// Where the log ends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tail {
    /// Where the next record goes in the newest segment.
    pub(super) offset: u64,
    /// Its number.
    pub(super) seq: u64,
    /// The checksum of the record before it.
    pub(super) previous: u32,
    /// The records up to this one are known to be synced.
    pub(super) synced: u64,
    /// The first one after them begins here.
    pub(super) unsynced_from: u64,
    /// Part of a write lies behind, which was never acknowledged.
    pub(super) is_torn: bool,
    /// How many records before are changes.
    pub(super) changes: u32,
}

/// What a log consists of.
pub(super) struct Understood {
    pub(super) state: State,
    pub(super) spans: Spans,
    pub(super) pieces: Pieces,
    /// In order. Empty if the log was not begun.
    pub(super) segments: VecDeque<SegmentFile>,
    /// Older segments of which nothing is needed.
    pub(super) leftovers: Vec<PathBuf>,
    pub(super) mark: Option<Mark>,
    pub(super) tail: Tail,
    /// Empty if everything that was acknowledged is there.
    pub(super) damages: Vec<Damage>,
    pub(super) acknowledged: Acknowledged,
    pub(super) whole: WholeParts,
}

/// What is whole of a damaged log.
#[derive(Default)]
pub(super) struct WholeParts {
    /// What the records before the first damage amount to.
    pub(super) before: Option<(State, Pieces)>,
    /// Behind the last damage, records say which entries there are from this index on.
    pub(super) from: Option<Index>,
    /// It is not clear what was acknowledged.
    pub(super) is_unclear: bool,
    /// The last entry of the log, if all records that are lost only appended.
    pub(super) exact_last: Option<Index>,
    /// What the log's entries were.
    pub(super) described: Descriptions,
    /// The number of the first segment that may be made anew.
    pub(super) next_segment: u64,
    /// The number of the first record that was never acknowledged, nor written.
    pub(super) next_seq: u64,
}
