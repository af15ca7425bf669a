//! What waits for a write.
//!
//! "Results in persistent state must be updated on stable storage before responding to RPCs"
//! (Figure 2). Everything that rests on a write waits here until the driver reports the write's seq
//! as persisted: vote requests and the candidate's own vote, granted votes, acknowledgements of
//! entries, the last reply to a snapshot. A message that rests on no write never comes here.

use crate::message::{Message, SnapshotId, SnapshotMeta};
use crate::types::{NodeId, Seq, Term};
use alloc::collections::VecDeque;
use serde::{Deserialize, Serialize};

/// Something that must not happen before a write is durable.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Withheld {
    /// A message to a peer.
    Send { to: NodeId, message: Message },
    /// A candidate's vote for itself, in this term.
    OwnVote { term: Term },
    /// A snapshot that is being installed reaches the state machine.
    Restore { snapshot: SnapshotMeta },
    /// A snapshot that a restart needs until then is released.
    ReleaseSnapshot { snapshot: SnapshotId },
}

/// What waits, in the order of seq.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Outbox {
    waiting: VecDeque<Waiting>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Waiting {
    /// Until this write is persisted.
    until: Seq,
    what: Withheld,
}

impl Outbox {
    /// Withholds `what` until `seq` is persisted.
    pub(crate) fn withhold(&mut self, seq: Seq, what: Withheld) {
        debug_assert!(self.waiting.back().is_none_or(|last| last.until <= seq));
        // Copies of a request need one answer: while a disk stalls, they add nothing.
        let mut latest = self.waiting.iter().rev().take_while(|it| it.until == seq);
        if latest.any(|same| same.what == what) {
            return;
        }
        self.waiting.push_back(Waiting { until: seq, what });
    }

    /// Whether a candidate's own vote waits.
    pub(crate) fn has_own_vote(&self) -> bool {
        let is_own = |waiting: &Waiting| matches!(waiting.what, Withheld::OwnVote { .. });
        self.waiting.iter().any(is_own)
    }

    /// Whether anything is ready, now that all writes up to `persisted` are durable.
    pub(crate) fn has_ready(&self, persisted: Seq) -> bool {
        let first = self.waiting.front();
        first.is_some_and(|first| first.until <= persisted)
    }

    /// Takes out the next thing that is ready, now that all writes up to `persisted` are durable.
    pub(crate) fn pop_ready(&mut self, persisted: Seq) -> Option<Withheld> {
        if !self.has_ready(persisted) {
            return None;
        }
        self.waiting.pop_front().map(|first| first.what)
    }

    /// A new term began: messages of an older one are of no use.
    pub(crate) fn forget_messages(&mut self) {
        self.waiting.retain(|waiting| match waiting.what {
            Withheld::Send { .. } | Withheld::OwnVote { .. } => false,
            Withheld::Restore { .. } | Withheld::ReleaseSnapshot { .. } => true,
        });
    }

    /// A candidacy is given up: its requests and its own vote, if they still wait, are of no use.
    /// The votes that this node granted to others in this term still are.
    pub(crate) fn forget_candidacy(&mut self) {
        self.waiting.retain(|waiting| match &waiting.what {
            Withheld::OwnVote { .. } => false,
            Withheld::Send { message, .. } => !matches!(message, Message::RequestVote(_)),
            Withheld::Restore { .. } | Withheld::ReleaseSnapshot { .. } => true,
        });
    }

    /// Whether the release of `snapshot` waits.
    pub(crate) fn releases(&self, snapshot: SnapshotId) -> bool {
        let release = Withheld::ReleaseSnapshot { snapshot };
        self.waiting.iter().any(|waiting| waiting.what == release)
    }

    /// How many things wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}
