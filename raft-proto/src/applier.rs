//! The hand-over of committed entries to the state machine (lastApplied, Figure 2).

use crate::types::{Index, Time};
use alloc::collections::VecDeque;
use serde::{Deserialize, Serialize};

/// What was handed out, and what of it has been applied.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Applier {
    handed_out: Index,
    applied: Index,
    /// The snapshot that is on its way into the state machine.
    incoming: Option<Incoming>,
    /// What was handed out and is not applied yet, oldest first.
    outstanding: VecDeque<Outstanding>,
    outstanding_bytes: u64,
    /// Since when the state machine has reported no progress, if anything is outstanding.
    stalled_since: Time,
}

/// Entries that were handed out together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Outstanding {
    last: Index,
    bytes: u64,
}

/// A snapshot from another node, up to its last index, on its way into the state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
enum Incoming {
    /// Its install is not durable yet: nothing is handed out before it.
    Installing(Index),
    /// It was handed out by `Restore`. The state machine reads its stored bytes, for as long as it
    /// likes, until it reports the index as applied.
    Restoring(Index),
}

impl Applier {
    /// The service holds everything up to `applied`.
    pub(crate) fn new(applied: Index) -> Applier {
        Applier {
            handed_out: applied,
            applied,
            incoming: None,
            outstanding: VecDeque::new(),
            outstanding_bytes: 0,
            stalled_since: Time::ZERO,
        }
    }

    /// The last index handed out, by `Apply` or `Restore`.
    pub(crate) fn handed_out(&self) -> Index {
        self.handed_out
    }

    /// lastApplied, as reported; at most the last index handed out.
    pub(crate) fn applied(&self) -> Index {
        self.applied
    }

    /// Whether everything that was handed out is applied. Then one more entry may always go,
    /// whatever its size: limits may have been lowered since it was accepted.
    pub(crate) fn is_idle(&self) -> bool {
        self.outstanding.is_empty()
    }

    /// How many more bytes may be handed out within `limit`.
    pub(crate) fn room(&self, limit: u64) -> u64 {
        limit.saturating_sub(self.outstanding_bytes)
    }

    /// Entries up to `last` have been handed out.
    pub(crate) fn hand_out(&mut self, now: Time, last: Index, bytes: u64) {
        self.handed_out = last;
        if self.outstanding.is_empty() {
            self.stalled_since = now;
        }
        self.outstanding.push_back(Outstanding { last, bytes });
        self.outstanding_bytes += bytes;
    }

    /// A snapshot up to `last` is being installed.
    pub(crate) fn begin_restore(&mut self, last: Index) {
        self.incoming = Some(Incoming::Installing(last));
    }

    /// Whether the install of a snapshot is not durable yet.
    pub(crate) fn is_installing(&self) -> bool {
        matches!(self.incoming, Some(Incoming::Installing(_)))
    }

    /// Whether a snapshot is being installed, or the state machine has yet to report that it holds
    /// the one that it was handed.
    pub(crate) fn is_restoring(&self) -> bool {
        self.incoming.is_some()
    }

    /// Whether the state machine may still read the stored snapshot up to `last`.
    pub(crate) fn may_read_snapshot(&self, last: Index) -> bool {
        match self.incoming {
            Some(Incoming::Installing(index) | Incoming::Restoring(index)) => index == last,
            None => false,
        }
    }

    /// The snapshot up to `last` is installed. It is to be handed out, unless a newer one is being
    /// installed, which stands for this one too.
    pub(crate) fn finish_install(&mut self, now: Time, last: Index) -> bool {
        if self.incoming != Some(Incoming::Installing(last)) {
            return false;
        }
        self.incoming = Some(Incoming::Restoring(last));
        self.handed_out = last;
        self.stalled_since = now;
        self.outstanding.clear();
        self.outstanding_bytes = 0;
        true
    }

    /// Since when the state machine has reported no progress with what it was given, if it has yet to
    /// report something.
    pub(crate) fn stalled_since(&self) -> Option<Time> {
        let is_restoring = matches!(self.incoming, Some(Incoming::Restoring(_)));
        (is_restoring || !self.outstanding.is_empty()).then_some(self.stalled_since)
    }

    /// The bytes of what was handed out and is not applied yet.
    pub(crate) fn outstanding_bytes(&self) -> u64 {
        self.outstanding_bytes
    }

    /// The state machine has applied everything up to `index`, which was handed out. Returns by how
    /// much [`Applier::outstanding_bytes`] fell.
    pub(crate) fn apply(&mut self, now: Time, index: Index) -> u64 {
        if index > self.applied {
            self.stalled_since = now;
        }
        self.applied = self.applied.max(index);
        let restored = |incoming: &mut Incoming| match incoming {
            Incoming::Restoring(last) => *last <= index,
            Incoming::Installing(_) => false,
        };
        self.incoming.take_if(restored);
        let before = self.outstanding_bytes;
        while let Some(oldest) = self.outstanding.front() {
            if oldest.last > index {
                break;
            }
            self.outstanding_bytes -= oldest.bytes;
            self.outstanding.pop_front();
        }
        before - self.outstanding_bytes
    }
}
