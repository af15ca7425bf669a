//! What waits for a write.
//!
//! "Results in persistent state must be updated on stable storage before responding to RPCs"
//! (Figure 2). Everything that rests on a write is put here together with the write's seq, and
//! leaves when the driver reports that seq as persisted: vote requests and the candidate's own
//! vote, granted votes, acknowledgements of entries, the last reply to a snapshot. What rests on
//! no write never comes here.

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
    /// A snapshot that a restart needs until then.
    Release { snapshot: SnapshotId },
}

/// What waits, in the order of seq.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Outbox {
    waiting: VecDeque<(Seq, Withheld)>,
}

impl Outbox {
    /// Withholds `what` until `seq` is persisted.
    pub(crate) fn withhold(&mut self, seq: Seq, what: Withheld) {
        debug_assert!(self.waiting.back().is_none_or(|(last, _)| *last <= seq));
        // Copies of a request need one answer: while a disk stalls, they add nothing.
        let mut latest = self.waiting.iter().rev().take_while(|(at, _)| *at == seq);
        if latest.any(|(_, same)| *same == what) {
            return;
        }
        self.waiting.push_back((seq, what));
    }

    /// Whether a candidate's own vote waits.
    pub(crate) fn has_own_vote(&self) -> bool {
        let is_own = |(_, what): &(Seq, Withheld)| matches!(what, Withheld::OwnVote { .. });
        self.waiting.iter().any(is_own)
    }

    /// Whether anything may leave now that all writes up to `persisted` are durable.
    pub(crate) fn has_news(&self, persisted: Seq) -> bool {
        let first = self.waiting.front();
        first.is_some_and(|(seq, _)| *seq <= persisted)
    }

    /// The next thing that may leave now that all writes up to `persisted` are durable.
    pub(crate) fn release(&mut self, persisted: Seq) -> Option<Withheld> {
        match self.waiting.front() {
            Some((seq, _)) if *seq <= persisted => self.waiting.pop_front().map(|(_, what)| what),
            _ => None,
        }
    }

    /// A new term began: what was to be said in an older one is of no use to anybody.
    pub(crate) fn forget_messages(&mut self) {
        self.waiting.retain(|(_, what)| match what {
            Withheld::Send { .. } | Withheld::OwnVote { .. } => false,
            Withheld::Restore { .. } | Withheld::Release { .. } => true,
        });
    }

    /// A candidacy is given up: its requests and its own vote, if they still wait, are of no use.
    /// What was granted to others in this term still is.
    pub(crate) fn forget_candidacy(&mut self) {
        self.waiting.retain(|(_, what)| match what {
            Withheld::OwnVote { .. } => false,
            Withheld::Send { message, .. } => !matches!(message, Message::RequestVote(_)),
            Withheld::Restore { .. } | Withheld::Release { .. } => true,
        });
    }

    /// How many things wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}
