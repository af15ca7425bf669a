//! A node whose storage has lost entries that it had acknowledged: what it may still do.
//!
//! Entries that are lost in the midst of a log, and that the storage would know again, need none of
//! this: they are fetched from any peer before the node starts ([`mending`](crate::mending)).
//!
//! Raft rests on disks that keep what they were given (section 5.1). A disk that has lost some of
//! it, and says so, need not be replaced: the rest of the cluster has what is missing, as long as a
//! majority is whole. The storage tells what it has lost by
//! [`Recovered::impaired`](crate::Recovered::impaired): the last entry `a` of the log that was ever
//! reported as persisted. What it recovers is whole: a beginning of that log, perhaps empty, and
//! the latest term and vote.
//!
//! **Until its log is at least as up to date as `a` (section 5.4.1), an impaired node grants no
//! vote and no pre-vote, and does not campaign.** It follows like any other node, and acknowledges
//! what it has. Then it is a node that has lost nothing. Why that is safe:
//!
//! * An acknowledgement says what is on the disk now, so it is true, whatever was lost. One that
//!   was sent before the loss may count later. What Raft needs of the node that sent it is only
//!   that it helps to elect nobody who lacks the entry (Leader Completeness, section 5.4.3): votes.
//!   The votes that it gave before the loss it gave with its whole log. The term and the vote are
//!   recovered, so it votes in no term twice.
//! * Let `e` be an entry that was committed with its help in a term T: it acknowledged `e`, of that
//!   term, and perhaps others of earlier terms before it. What is committed is never overwritten,
//!   so `a` is `e` or comes after it in the log that ended with `a`, and the term of `a` is at
//!   least T.
//! * Suppose that its log now ends with `b`, at least as up to date as `a`. If `b` has the term of
//!   `a`, it comes at or after `a`, and the log with `b` contains `a` and everything before (Log
//!   Matching). If the term of `b` is later, its leader was elected in a term later than T. It held
//!   `e` then, since an impaired node had no part in its election, and so does each log that
//!   contains `b`.
//! * The entries that it was sent since are in its log when it votes, and on its disk, too: a vote
//!   waits for all earlier writes.
//!
//! The comparison is made after each step, and its result stays: a later leader may truncate the
//! log again, as it may that of any node. The storage makes the same comparison after each write
//! ([`Recovered::apply`](crate::Recovered::apply)), so that a restart in the meantime goes on with
//! it.
//!
//! A leader does not expect that a follower lacks what it has acknowledged. An impaired follower
//! that rejects an append says so, and the leader forgets its matchIndex, and asks it anew.
//! commitIndex stays: the follower's acknowledgement was true when it was counted, and no vote of
//! the follower can undo what rests on it.
//!
//! In the arithmetic of majorities, an impaired node counts as one that is down. An operator who
//! removes other voters meanwhile may leave no majority that can elect a leader.
//!
//! A node may be the only voter in what is left of its log. It starts all the same, and waits:
//! voters that were added in what is lost have the rest. Whether there were any, it cannot tell.
//! If there were none, nobody sends it, and only a backup, or founding the cluster anew, ends the
//! wait.
//!
//! If a majority is impaired, nobody is elected: nobody could tell whether what is left holds all
//! that was committed. [`Status::impaired`](crate::Status::impaired) says so on each node.

use crate::action::Action;
use crate::message::AppendOutcome;
use crate::progress::{Flow, Probe};
use crate::raft::Raft;
use crate::types::{EntryId, Index, NodeId};
use alloc::vec::Vec;

impl Raft {
    /// Whether its storage has lost entries that it had acknowledged, and that the leader has not
    /// sent again yet: see [`Recovered::impaired`](crate::Recovered::impaired).
    pub fn is_impaired(&self) -> bool {
        self.impaired.is_some()
    }

    /// Its log may have caught up with what was lost.
    pub(crate) fn end_impairment(&mut self) {
        let last = self.log.last();
        self.impaired
            .take_if(|lost| last.is_at_least_as_up_to_date_as(*lost));
    }

    /// The answer to an append whose prevLog this log does not contain.
    pub(crate) fn rejection_of(&self, prev: EntryId) -> AppendOutcome {
        let prev_log_index = prev.index;
        let hint = self.log.last_not_above(prev);
        if self.is_impaired() {
            AppendOutcome::Lost {
                prev_log_index,
                hint,
            }
        } else {
            AppendOutcome::Rejected {
                prev_log_index,
                hint,
            }
        }
    }

    /// The follower says that it has lost entries that it had acknowledged, and holds those up to
    /// `hint` at most. It may have said so long ago, or the network may have made a copy of it, and
    /// the follower was sent everything again since. So the leader asks it once more: only the
    /// answer to that says what is to be sent again. Returns whether matchIndex is forgotten.
    pub(crate) fn forget_match(
        &mut self,
        from: NodeId,
        hint: EntryId,
        actions: &mut Vec<Action>,
    ) -> bool {
        let Some((leader, replicator)) = self.prepare_to_send() else {
            return false;
        };
        let Some(peer) = leader.peer_mut(from) else {
            return false;
        };
        if hint.index >= peer.match_index {
            return false;
        }
        peer.match_index = Index::ZERO;
        peer.commit_sent = Index::ZERO;
        match peer.flow {
            // The answers to chunks say how far it is.
            Flow::Snapshot(_) => {}
            Flow::Probe(_) | Flow::Replicate(_) => {
                peer.next_index = peer.last_sent().next();
                peer.flow = Flow::Probe(Probe::Ready);
                replicator.replicate(peer, actions);
            }
        }
        true
    }
}
