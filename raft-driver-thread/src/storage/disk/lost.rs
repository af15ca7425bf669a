//! What is known of records that are lost: whether they only appended entries.

use super::record::{Kind, LENGTH_BYTES, RecordHeader};
use raft_proto::Index;

/// What is known about records that are not there.
pub(super) struct Evidence {
    /// Up to this one they were synced for certain.
    pub(super) acknowledged: u64,
    /// The last entry of these.
    pub(super) last: Index,
    /// Whole headers lie about.
    pub(super) is_torn: bool,
}

/// Each record says how many up to it are changes: those that do more than to append entries and
/// to set the term and the vote. So the next record that is whole tells of those before it that are
/// lost whether any of them was a change.
#[derive(Debug, Default)]
pub(super) struct LostRecords {
    /// How many changes there were up to the last record of which that is known.
    changes: Option<u32>,
    /// A record held all of the state but for the entries.
    is_stated: bool,
    /// Records were lost after that, of which nothing is known yet.
    are_open: bool,
    /// One of them was a change, or may have been one.
    had_change: bool,
    /// The last ones, of which nothing says which entries they had, took so many bytes.
    untold: Option<u64>,
}

impl LostRecords {
    /// Before the first record of all, the state is known, and how many changes there were.
    pub(super) fn begin_with(&mut self, changes: u32) {
        (self.changes, self.is_stated) = (Some(changes), true);
    }

    /// The next record is whole.
    pub(super) fn goes_on_with(&mut self, header: &RecordHeader) {
        let before = header.changes.wrapping_sub(u32::from(header.is_change));
        self.had_change |= self.changes.is_some_and(|changes| changes != before);
        self.changes = Some(header.changes);
        self.are_open = false;
        self.is_stated |= header.kind == Kind::State;
        if header.kind == Kind::State || header.count > 0 {
            self.untold = None; // It says which entry comes before.
        }
    }

    /// The next record is lost, but for its header.
    pub(super) fn is_of(&mut self, header: &RecordHeader) {
        let (is_stated, untold) = (self.is_stated, self.untold);
        self.goes_on_with(header);
        self.is_stated = is_stated;
        if header.kind == Kind::State {
            self.untold = untold;
        }
        self.had_change |= header.is_change;
    }

    /// The next records are lost, which took so many bytes.
    pub(super) fn are_unknown(&mut self, bytes: u64) {
        self.untold = Some(self.untold.unwrap_or(0).saturating_add(bytes));
        self.had_change |= self.changes.is_none();
        self.are_open = true;
    }

    /// All records together had so many changes.
    pub(super) fn end_with(&mut self, changes: u32) {
        self.had_change |= self.changes != Some(changes);
        self.are_open = false;
        self.untold = None;
    }

    /// Whether it is certain that none of them was a change, and which entry was the last one.
    pub(super) fn only_appended(&self) -> bool {
        self.is_stated && !self.are_open && !self.had_change && self.untold.is_none()
    }

    /// No entry of theirs was behind this one, if no other record was behind `last`.
    pub(super) fn end(&self, last: Index) -> Index {
        // Each entry takes the bytes of its length at least.
        let most = self.untold.unwrap_or(0) / LENGTH_BYTES as u64;
        Index(last.0.saturating_add(most))
    }
}
