//! What waits for a write.
//!
//! "Results in persistent state must be updated on stable storage before responding to RPCs"
//! (Figure 2). Everything that rests on a write waits here until the driver reports the write's seq
//! as persisted: vote requests and the candidate's own vote, granted votes, acknowledgements of
//! entries, the last reply to a snapshot. A message that rests on no write never comes here.
//!
//! A disk may stall for long, while messages go on arriving. What waits is bounded by the peers,
//! the writes and the snapshots, not by the messages: of each kind of reply, one to each peer waits
//! for a write, and the newest stands for the older ones.

use crate::message::{
    AppendEntriesReply, AppendOutcome, Message, SnapshotId, SnapshotMeta, SnapshotOutcome,
};
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

impl Withheld {
    /// Whether this can stand for `newer` too; if so, it does from now on.
    fn absorb(&mut self, newer: &Withheld) -> bool {
        match (&mut *self, newer) {
            (
                Withheld::Send { to, message },
                Withheld::Send {
                    to: same,
                    message: newer,
                },
            ) if to == same => absorb_message(message, newer),
            (older, newer) => *older == *newer,
        }
    }
}

/// Whether one message to a peer can stand for a `newer` one that waits for the same write.
fn absorb_message(message: &mut Message, newer: &Message) -> bool {
    match (&mut *message, newer) {
        (Message::AppendEntriesReply(older), Message::AppendEntriesReply(newer)) => {
            absorb_acknowledgement(older, newer)
        }
        // A node that has the later snapshot has everything that the earlier one covers.
        (Message::InstallSnapshotReply(older), Message::InstallSnapshotReply(newer))
            if older.term == newer.term
                && older.outcome == SnapshotOutcome::Installed
                && newer.outcome == SnapshotOutcome::Installed =>
        {
            if newer.last.index > older.last.index {
                older.last = newer.last;
            }
            true
        }
        (older, newer) => *older == *newer,
    }
}

/// Both say how much of the leader's log is on this disk once the write is. The greater index is
/// true for both, and so is the later round.
fn absorb_acknowledgement(older: &mut AppendEntriesReply, newer: &AppendEntriesReply) -> bool {
    let (greatest, latest) = (&mut older.outcome, &newer.outcome);
    if let AppendOutcome::Accepted {
        match_index,
        received,
    } = greatest
        && let AppendOutcome::Accepted {
            match_index: newer_match,
            received: newer_received,
        } = latest
        && older.term == newer.term
    {
        *match_index = (*match_index).max(*newer_match);
        *received = (*received).max(*newer_received);
        older.round = older.round.max(newer.round);
        return true;
    }
    *older == *newer
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
        if !self.waits(seq) || !self.absorb(seq, &what) {
            self.waiting.push_back(Waiting { until: seq, what });
        }
    }

    /// Withholds the acknowledgement of entries until `seq` is persisted. Nearly always it is the
    /// first that waits for that write, and is made where it waits.
    #[inline]
    pub(crate) fn withhold_reply(&mut self, seq: Seq, to: NodeId, reply: AppendEntriesReply) {
        let what = || Withheld::Send {
            to,
            message: Message::AppendEntriesReply(reply),
        };
        if !self.waits(seq) || !self.absorb(seq, &what()) {
            self.waiting.push_back(Waiting {
                until: seq,
                what: what(),
            });
        }
    }

    /// Whether anything waits for the write `seq`, the latest.
    fn waits(&self, seq: Seq) -> bool {
        debug_assert!(self.waiting.back().is_none_or(|last| last.until <= seq));
        self.waiting.back().is_some_and(|last| last.until == seq)
    }

    /// Whether something that waits for the same write can stand for `what`; if so, it does now.
    /// Few wait for one write: a reply of each kind to each peer.
    #[inline(never)]
    fn absorb(&mut self, seq: Seq, what: &Withheld) -> bool {
        let same_write = self.waiting.iter_mut().rev();
        let mut same_write = same_write.take_while(|it| it.until == seq);
        same_write.any(|waiting| waiting.what.absorb(what))
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
