//! A snapshot of a peer in place of what a damaged log has lost.
//!
//! Entries that all peers have compacted cannot be fetched any more. If a majority has lost some,
//! no leader can be elected that would send its snapshot: those that have lost what they
//! acknowledged elect nobody. So a snapshot is fetched like entries are, from any peer, before the
//! node takes part in the protocol.
//!
//! # Why nothing is lost by it
//!
//! A snapshot covers committed entries only. Let it end with entry `s`, and let the whole entries
//! behind all damage begin at `from`. It is taken only if `s` is at `from` or behind it, or if no
//! entries are left behind the damage, at the last entry that was acknowledged or behind that.
//!
//! * *Up to `s`*: at each index one entry at most is ever committed (State Machine Safety, section
//!   5.4.3), and the snapshot covers it. An entry that this node acknowledged there and that
//!   is another one was not committed, and never will be.
//! * *Behind `s`*, if the log holds `s` itself (same index and term): the entries behind it are
//!   those that were there (Log Matching, section 5.3). They are whole up to the last that was
//!   acknowledged, and stay.
//! * *Behind `s`*, if the log holds another entry at its index: whatever follows an entry that is
//!   not committed, where another one is, is not committed either, and goes. This is the rule by
//!   which InstallSnapshot's receiver keeps its tail or drops it (section 7).
//! * *Term and vote* stay as they were acknowledged. If `s` has a higher term, that becomes the
//!   node's: in it the node has not voted, since it never was in it.
//!
//! So the log holds all that the node acknowledged and that may be committed: it is not impaired.
//! Where the entry at the index of `s` is lost itself, and others are left behind it, nobody can
//! tell whether those follow `s`: such a snapshot is not taken, and a later one is waited for.

use super::mend::Kept;
use super::state::State;
use super::understood::Understood;
use raft_proto::{Entries, EntryId, HardState, Index, Membership, SnapshotMeta};

/// What a snapshot of a peer is put together with.
pub(super) struct Rescue {
    state: State,
    /// The whole entries behind all damage.
    tail: Entries,
    /// A snapshot has to end here or later.
    at_least: Index,
    /// Or exactly here: the entry before the tail, if it is known.
    before: Option<EntryId>,
    /// The last configuration that is known.
    membership: Membership,
    segment: u64,
    seq: u64,
}

impl Understood {
    /// `None` if it is not clear what was acknowledged.
    pub(super) fn rescue(&self, membership: Membership) -> Option<Rescue> {
        if self.whole.is_unclear || self.state.identity.is_none() {
            return None;
        }
        let is_log_whole = self.damages.is_empty();
        let from = if is_log_whole {
            Some(self.state.floor.next())
        } else {
            self.whole.from
        };
        let tail = from.map(|from| self.pieces.entries(from.previous()));
        let tail = tail.and_then(Result::ok).unwrap_or(Entries::EMPTY);
        let tail = if tail.first_index() == from {
            tail
        } else {
            Entries::EMPTY
        };
        let acknowledged = self.acknowledged.last.index;
        let is_complete = tail
            .last_id()
            .is_some_and(|last| last.index >= acknowledged);
        let floor = self.state.floor;
        let end = self.state.snapshot.as_ref().map(|meta| meta.id.last);
        let is_before = |end: &EntryId| is_log_whole && end.index == floor;
        let is_all_behind = is_complete || floor >= acknowledged;
        Some(Rescue {
            state: State {
                hard_state: self.acknowledged.hard_state,
                ..self.state.clone()
            },
            at_least: from.filter(|_| is_complete).unwrap_or(acknowledged),
            before: end.filter(is_before).filter(|_| is_all_behind),
            tail,
            membership,
            segment: self.whole.next_segment,
            seq: self.whole.next_seq,
        })
    }
}

impl Rescue {
    /// Where a snapshot has to end, or later.
    pub(super) fn at_least(&self) -> Index {
        self.before.map_or(self.at_least, |before| before.index)
    }

    /// What the log begins anew with, if this snapshot stands for all that is lost.
    pub(super) fn with(&self, snapshot: &SnapshotMeta) -> Option<Kept> {
        let end = snapshot.id.last;
        let is_other_history = |own| snapshot.membership.history().is_some_and(|it| it != own);
        if self.membership.history().is_some_and(is_other_history) {
            return None;
        }
        if end.index < self.at_least && self.before != Some(end) {
            return None;
        }
        let held = self.tail.part(end.index, end.index).last_id();
        let follows = held == Some(end) || self.before == Some(end);
        let entries = if follows {
            self.tail.part(end.index.next(), Index(u64::MAX))
        } else {
            Entries::EMPTY
        };
        let mut state = self.state.clone();
        if state.hard_state.term < end.term {
            state.hard_state = HardState {
                term: end.term,
                voted_for: None,
            };
        }
        state.snapshot = Some(snapshot.clone());
        (state.floor, state.lost) = (end.index, None);
        Some(Kept::whole(state, entries, self.segment, self.seq))
    }
}
