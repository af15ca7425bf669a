//! Since when another node has asked for pre-votes while entries wait for their commit
//! (`deaf_leader.rs`).

use crate::types::{Index, NodeId, Time};
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// Notes that a node asks again and again while commitIndex stays what it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct CommitWait {
    noticed: Option<Noticed>,
}

/// A node has asked, and entries waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Noticed {
    /// commitIndex then: the entries come after it.
    after: Index,
    /// The node.
    asker: NodeId,
    /// When it first asked, and when last.
    since: Time,
    last: Time,
}

impl CommitWait {
    /// `asker` asks while entries after `commit_index` wait. Returns since when it asks again and
    /// again, each time within `pause`. Of several that ask at once, one is followed.
    pub(crate) fn notice(
        &mut self,
        asker: NodeId,
        commit_index: Index,
        now: Time,
        pause: Duration,
    ) -> Time {
        let goes_on =
            |noticed: &Noticed| noticed.after == commit_index && noticed.last.after(pause) >= now;
        let mut noticed = self.noticed.filter(goes_on).unwrap_or(Noticed {
            after: commit_index,
            asker,
            since: now,
            last: now,
        });
        let is_followed = noticed.asker == asker;
        if is_followed {
            noticed.last = now;
        }
        self.noticed = Some(noticed);
        if is_followed { noticed.since } else { now }
    }

    /// Nothing waits.
    pub(crate) fn end(&mut self) {
        self.noticed = None;
    }
}
