//! Since when entries have waited for their commit, as far as a node has noticed (`pre_vote.rs`).

use crate::types::{Index, Time};
use serde::{Deserialize, Serialize};

/// Notes when entries wait while commitIndex stays what it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct CommitWait {
    noticed: Option<Noticed>,
}

/// The node has looked, and entries waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Noticed {
    /// commitIndex then: the entries come after it.
    after: Index,
    /// When it first looked with this commitIndex.
    since: Time,
}

impl CommitWait {
    /// Entries after `commit_index` wait. Returns since when this node knows that.
    pub(crate) fn notice(&mut self, commit_index: Index, now: Time) -> Time {
        let same = self.noticed.filter(|noticed| noticed.after == commit_index);
        let after = commit_index;
        let noticed = same.unwrap_or(Noticed { after, since: now });
        self.noticed = Some(noticed);
        noticed.since
    }

    /// Nothing waits.
    pub(crate) fn end(&mut self) {
        self.noticed = None;
    }
}
