//! What a leader knows of one follower: nextIndex and matchIndex (Figure 2, volatile state on
//! leaders), and the flow of messages to it.
//!
//! ```text
//!            accepted, or a hint that the logs agree
//!   Probe ------------------------------------------> Replicate
//!     ^  |                                             |   |
//!     |  |  the entries it needs are compacted         |   |
//!     |  +---------------------> Snapshot <------------+   |
//!     |                             |                      |
//!     +-----------------------------+ installed            |
//!     +----------------------------------------------------+
//!            a refusal: an append was lost
//! ```

use crate::message::SnapshotMeta;
use crate::types::{EntryId, Index, NodeId, Time};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use serde::{Deserialize, Serialize};

/// One follower, as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Peer {
    pub(crate) id: NodeId,
    /// matchIndex: up to here its log equals ours and is on its disk. Never falls; at most our
    /// last index.
    pub(crate) match_index: Index,
    /// nextIndex: the next entry to send. Above `match_index`, at most our last index + 1.
    pub(crate) next_index: Index,
    pub(crate) flow: Flow,
    /// The greatest commitIndex that it knows, if all that was sent arrived.
    pub(crate) commit_told: Index,
    /// When it has to hear from us next.
    pub(crate) heartbeat_at: Time,
    /// When something was last sent to it.
    pub(crate) sent_at: Time,
    /// When it has to be told of commitIndex, unless an append does so before.
    pub(crate) commit_notice_at: Option<Time>,
    /// When it was last heard.
    pub(crate) heard_at: Option<Time>,
    /// The latest of our rounds (`read_index.rs`) that it has answered.
    pub(crate) round: u64,
    pub(crate) denial: Denial,
}

/// Whether a follower denies to hold the entry at `match_index`, which it had acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Denial {
    /// It does not.
    None,
    /// All that was heard of it between these times denies it: late refusals, or a lost disk.
    Since { first: Time, latest: Time },
    /// It has done so for so long that it was reported.
    Reported,
}

/// How entries get to a follower.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Flow {
    /// Where the logs agree is not known: one question at a time.
    Probe(Probe),
    /// It is known: entries are sent as they come, several messages at a time.
    Replicate(Inflight),
    /// It needs entries that are compacted.
    Snapshot(Box<Transfer>),
}

/// Whether the question is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Probe {
    /// It may be asked now.
    Ready,
    /// It may be asked now, and the logs agree before nextIndex: the question carries entries.
    /// One message only, until it is accepted: what looked lost may only have been overtaken.
    Agreed,
    /// It has been; the next heartbeat asks again.
    Asked,
}

/// Appends on their way, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Inflight {
    appends: VecDeque<Append>,
    bytes: u64,
    /// A later append was refused while earlier ones may only have been overtaken: nothing is
    /// sent until those are answered, or a heartbeat shows that they are lost.
    pub(crate) overtaken: bool,
    /// The driver reads entries from disk, from this one on; nothing is sent until it has.
    pub(crate) reading: Option<EntryId>,
}

/// One append on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Append {
    /// prevLogIndex.
    prev: Index,
    /// The last entry in it.
    last: Index,
    bytes: u64,
}

/// Where a refused append stands among those on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Nothing before it is on its way: what it builds on is missing.
    Oldest,
    /// Others were sent before it and may have been overtaken.
    Later,
    /// It is not on its way any more: an old refusal.
    Unknown,
}

impl Inflight {
    pub(crate) fn is_empty(&self) -> bool {
        self.appends.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.appends.len()
    }

    /// Whether another append may be sent.
    pub(crate) fn has_room(&self, max_appends: u32, max_bytes: u64) -> bool {
        self.appends.len() < max_appends as usize
            && self.bytes < max_bytes
            && !self.overtaken
            && self.reading.is_none()
    }

    pub(crate) fn sent(&mut self, prev: Index, last: Index, bytes: u64) {
        self.appends.push_back(Append { prev, last, bytes });
        self.bytes += bytes;
    }

    /// All entries up to `match_index` have arrived.
    pub(crate) fn acknowledged(&mut self, match_index: Index) {
        while let Some(append) = self.appends.front() {
            if append.last > match_index {
                break;
            }
            self.bytes -= append.bytes;
            self.appends.pop_front();
        }
        if self.appends.is_empty() {
            self.overtaken = false;
        }
    }

    /// Finds the append that followed `prev`.
    pub(crate) fn refused(&self, prev: Index) -> Refused {
        match self.appends.iter().position(|append| append.prev == prev) {
            Some(0) => Refused::Oldest,
            Some(_) => Refused::Later,
            None => Refused::Unknown,
        }
    }

    /// Forgets the append that followed `prev` and all later ones.
    pub(crate) fn cut(&mut self, prev: Index) {
        while let Some(append) = self.appends.back() {
            if append.prev < prev {
                break;
            }
            self.bytes -= append.bytes;
            self.appends.pop_back();
        }
        self.overtaken = true;
    }
}

/// A snapshot on its way to a follower, a chunk at a time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Transfer {
    pub(crate) snapshot: SnapshotMeta,
    /// Where the chunk begins that is being read or sent.
    pub(crate) offset: u64,
    pub(crate) stage: Stage,
}

/// What happens to the current chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// The driver reads it.
    Reading,
    /// It was sent.
    Sent {
        /// When.
        at: Time,
    },
    /// It could not be read; the next heartbeat tries again.
    Unread,
}

impl Peer {
    /// A follower of which a new leader knows nothing yet: "nextIndex is initialized to leader
    /// last log index + 1, matchIndex to 0".
    pub(crate) fn new(id: NodeId, last: Index, now: Time) -> Peer {
        Peer {
            id,
            match_index: Index::ZERO,
            next_index: last.next(),
            flow: Flow::Probe(Probe::Ready),
            commit_told: Index::ZERO,
            heartbeat_at: now,
            sent_at: now,
            commit_notice_at: None,
            heard_at: None,
            round: 0,
            denial: Denial::None,
        }
    }

    /// The logs agree up to `agreed`, though something was lost: try one message.
    pub(crate) fn retry_after(&mut self, agreed: Index) {
        self.next_index = agreed.max(self.match_index).next();
        self.flow = Flow::Probe(Probe::Agreed);
    }

    /// The logs agree up to `agreed`: send what follows.
    pub(crate) fn replicate_after(&mut self, agreed: Index) {
        self.next_index = agreed.max(self.match_index).next();
        self.flow = Flow::Replicate(Inflight::default());
    }

    /// Ask next whether the logs agree at `prev`.
    pub(crate) fn probe_at(&mut self, prev: EntryId) {
        self.next_index = prev.index.max(self.match_index).next();
        self.flow = Flow::Probe(Probe::Ready);
    }

    /// The entries up to `match_index` are on its disk.
    pub(crate) fn acknowledged(&mut self, match_index: Index) {
        if match_index > self.match_index {
            self.denial = Denial::None; // What was denied before was another entry.
        }
        self.match_index = self.match_index.max(match_index);
        self.next_index = self.next_index.max(self.match_index.next());
        if let Flow::Replicate(inflight) = &mut self.flow {
            inflight.acknowledged(self.match_index);
        }
    }

    /// When it needs attention next, whatever is heard.
    pub(crate) fn deadline(&self) -> Time {
        match self.commit_notice_at {
            Some(at) => at.min(self.heartbeat_at),
            None => self.heartbeat_at,
        }
    }

    /// The snapshot that is being sent to it.
    pub(crate) fn transfer(&self) -> Option<&Transfer> {
        match &self.flow {
            Flow::Snapshot(transfer) => Some(transfer),
            Flow::Probe(_) | Flow::Replicate(_) => None,
        }
    }
}
