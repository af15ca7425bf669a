//! The hand-over of committed entries to the state machine (lastApplied, Figure 2).

use crate::types::Index;
use alloc::collections::VecDeque;
use serde::{Deserialize, Serialize};

/// What was handed out, and what of it has been applied.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Applier {
    /// The last index handed out, by `Apply` or `Restore`.
    pub(crate) handed_out: Index,
    /// lastApplied, as reported; at most `handed_out`.
    pub(crate) applied: Index,
    /// A snapshot up to here is being installed: nothing is handed out until it is restored.
    pub(crate) restoring: Option<Index>,
    /// Last index and bytes of each hand-over that is not applied yet.
    outstanding: VecDeque<(Index, u64)>,
    outstanding_bytes: u64,
}

impl Applier {
    /// The service holds all up to `applied`.
    pub(crate) fn new(applied: Index) -> Applier {
        Applier {
            handed_out: applied,
            applied,
            restoring: None,
            outstanding: VecDeque::new(),
            outstanding_bytes: 0,
        }
    }

    /// Whether all that was handed out is applied. Then one more entry may always go, whatever
    /// its size: limits may have been lowered since it was accepted.
    pub(crate) fn is_idle(&self) -> bool {
        self.outstanding.is_empty()
    }

    /// How many more bytes may be handed out within `limit`.
    pub(crate) fn room(&self, limit: u64) -> u64 {
        limit.saturating_sub(self.outstanding_bytes)
    }

    /// Entries up to `last` have been handed out.
    pub(crate) fn hand_out(&mut self, last: Index, bytes: u64) {
        self.handed_out = last;
        self.outstanding.push_back((last, bytes));
        self.outstanding_bytes += bytes;
    }

    /// A snapshot up to `last` has been handed out: it stands for all before.
    pub(crate) fn restore(&mut self, last: Index) {
        self.handed_out = last;
        self.outstanding.clear();
        self.outstanding_bytes = 0;
    }

    /// The state machine has applied all up to `index`, which was handed out.
    pub(crate) fn apply(&mut self, index: Index) {
        self.applied = self.applied.max(index);
        while let Some((last, bytes)) = self.outstanding.front() {
            if *last > index {
                break;
            }
            self.outstanding_bytes -= bytes;
            self.outstanding.pop_front();
        }
    }
}
