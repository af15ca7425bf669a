//! What a stretch of the log was, in few bytes, and all that is known of such.
//!
//! The module [`digest`](super::digest) says what the digest is of, and where descriptions stand.

use raft_proto::Index;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a stretch of the log was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Description {
    pub(super) first: Index,
    pub(super) last: Index,
    pub(super) digest: u128,
}

/// The descriptions of what is part of the log, in order of their first index.
#[derive(Clone, Debug, Default)]
pub(super) struct Descriptions {
    live: BTreeMap<Index, Description>,
    /// No description goes further.
    last: Index,
}

impl Descriptions {
    pub(super) fn add(&mut self, described: impl IntoIterator<Item = Description>) {
        for description in described {
            self.last = self.last.max(description.last);
            self.live.insert(description.first, description);
        }
    }

    /// Entries from here on are written anew.
    pub(super) fn replace_from(&mut self, from: Index) {
        if from <= self.last {
            self.live.retain(|_, it| it.last < from);
            self.last = from.previous();
        }
    }

    /// Entries up to here are dropped.
    pub(super) fn drop_through(&mut self, through: Index) {
        while let Some(oldest) = self.live.first_entry()
            && *oldest.key() <= through
        {
            oldest.remove();
        }
    }

    /// The last one.
    pub(super) fn last(&self) -> Option<Description> {
        self.live.values().next_back().copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Description> {
        self.live.values()
    }

    /// The one that goes furthest of those that describe this entry, or nearly.
    pub(super) fn of(&self, index: Index) -> Option<Description> {
        /// How many may lie within another one, which begins before them: two records carry them.
        const NESTED: usize = 4;
        let before = self.live.range(..=index).rev().take(NESTED);
        let found = before.map(|(_, it)| it).filter(|it| it.last >= index);
        found.max_by_key(|it| it.last).copied()
    }
}
