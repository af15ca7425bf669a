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
//!            a rejection: an append was lost
//! ```

use crate::config::Config;
use crate::limits::TooLarge;
use crate::message::{MessageLimits, SnapshotMeta};
use crate::peer_timer::PeerTimer;
use crate::types::{EntryId, Index, NodeId, Time};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// One follower, as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Peer {
    pub(crate) id: NodeId,
    /// matchIndex: up to here its log equals the leader's and is on its disk. Never falls; at most
    /// the leader's last index.
    pub(crate) match_index: Index,
    /// nextIndex: the next entry to send. Above `match_index`, at most the leader's last index + 1.
    pub(crate) next_index: Index,
    pub(crate) flow: Flow,
    /// The greatest commitIndex that it knows, if everything that was sent arrived.
    pub(crate) commit_sent: Index,
    /// When something is sent to it next.
    pub(crate) timer: PeerTimer,
    /// When its latest reply came.
    pub(crate) heard_at: Option<Time>,
    /// The latest of the leader's rounds (`read_index.rs`) that it has answered.
    pub(crate) round: u64,
    pub(crate) denial: Denial,
    /// It is no member any more, and is to be told so.
    pub(crate) departure: Option<Departure>,
    /// What it takes, as it said in this term.
    pub(crate) limits: Option<MessageLimits>,
    /// The first entry that it lacks and does not take (`limits.rs`).
    pub(crate) too_large: Option<TooLarge>,
}

/// A member that a committed change removed, until it knows that (`change.rs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Departure {
    /// The entry that removed it.
    pub(crate) index: Index,
    /// A round (`read_index.rs`) that began when that was committed: all messages that carry it
    /// also carry such a commitIndex.
    pub(crate) round: u64,
    /// When the leader gives it up.
    pub(crate) until: Time,
}

/// Whether a follower denies that it holds the entry at `match_index`, which it had acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Denial {
    /// It does not.
    None,
    /// All its replies between these times deny it: late rejections, or a lost disk.
    Since { first: Time, latest: Time },
    /// It has denied it for so long that it was reported.
    Reported,
}

/// How entries get to a follower.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Flow {
    /// Where the logs agree is not known: one probe at a time.
    Probe(Probe),
    /// It is known: entries are sent as they come, several messages at a time.
    Replicate(Inflight),
    /// It needs entries that are compacted.
    Snapshot(Box<SnapshotTransfer>),
}

/// Whether a probe is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Probe {
    /// One may be sent now.
    Ready,
    /// One may be sent now, and the logs agree before nextIndex: the probe carries entries. One
    /// message only, until it is accepted: an append that looked lost may only have been reordered.
    Agreed,
    /// One was sent; the next heartbeat sends another.
    Sent,
}

/// Appends on their way, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Inflight {
    appends: VecDeque<Append>,
    bytes: u64,
    /// A later append was rejected while earlier ones may only have been reordered: nothing is
    /// sent until those are answered, or a heartbeat shows that they are lost.
    reordered: bool,
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

/// Where an append stands among those on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// Nothing before it is on its way.
    Oldest,
    /// Others were sent before it.
    Later,
    /// It is not on its way any more.
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
    pub(crate) fn has_room(&self, config: &Config) -> bool {
        self.appends.len() < config.max_inflight_appends as usize
            && self.bytes < config.max_inflight_bytes
            && !self.reordered
            && self.reading.is_none()
    }

    pub(crate) fn push(&mut self, prev: Index, last: Index, bytes: u64) {
        self.appends.push_back(Append { prev, last, bytes });
        self.bytes += bytes;
    }

    /// All entries up to `match_index` have arrived.
    fn remove_through(&mut self, match_index: Index) {
        while let Some(append) = self.appends.front() {
            if append.last > match_index {
                break;
            }
            self.bytes -= append.bytes;
            self.appends.pop_front();
        }
        if self.appends.is_empty() {
            self.reordered = false;
        }
    }

    /// Where the append that followed `prev` stands.
    pub(crate) fn position_of(&self, prev: Index) -> Position {
        match self.appends.iter().position(|append| append.prev == prev) {
            Some(0) => Position::Oldest,
            Some(_) => Position::Later,
            None => Position::Unknown,
        }
    }

    /// Forgets the append that followed `prev`, and all later ones. Earlier ones may only have
    /// been reordered.
    pub(crate) fn cut(&mut self, prev: Index) {
        while let Some(append) = self.appends.back() {
            if append.prev < prev {
                break;
            }
            self.bytes -= append.bytes;
            self.appends.pop_back();
        }
        self.reordered = true;
    }
}

/// A snapshot on its way to a follower, a chunk at a time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct SnapshotTransfer {
    pub(crate) snapshot: SnapshotMeta,
    /// Where the chunk begins that is being read or sent.
    pub(crate) offset: u64,
    /// The length of its chunks: no more than the follower takes.
    pub(crate) chunk_bytes: u64,
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
    /// It could not be read, or its sending failed; the next heartbeat tries again.
    Unread,
}

impl SnapshotTransfer {
    /// Whether the chunk was sent a heartbeat interval ago, and is not answered yet.
    pub(crate) fn is_overdue(&self, now: Time, config: &Config) -> bool {
        match self.stage {
            Stage::Sent { at } => at.after(config.heartbeat_interval) <= now,
            Stage::Reading | Stage::Unread => false,
        }
    }
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
            commit_sent: Index::ZERO,
            timer: PeerTimer::new(now),
            heard_at: None,
            round: 0,
            denial: Denial::None,
            departure: None,
            limits: None,
            too_large: None,
        }
    }

    /// The logs agree up to `agreed`, though something was lost: try one message.
    pub(crate) fn retry_after(&mut self, agreed: Index) {
        self.next_index = agreed.max(self.match_index).next();
        self.flow = Flow::Probe(Probe::Agreed);
    }

    /// The logs agree up to `agreed`: send the entries after it.
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
    pub(crate) fn raise_match_index(&mut self, match_index: Index) {
        if match_index > self.match_index {
            self.denial = Denial::None; // What was denied before was another entry.
        }
        self.match_index = self.match_index.max(match_index);
        self.next_index = self.next_index.max(self.match_index.next());
        if let Flow::Replicate(inflight) = &mut self.flow {
            inflight.remove_through(self.match_index);
        }
    }

    /// Whether its latest reply came within `period`.
    pub(crate) fn heard_within(&self, period: Duration, now: Time) -> bool {
        self.heard_at.is_some_and(|at| at.after(period) > now)
    }

    /// The snapshot that is being sent to it.
    pub(crate) fn transfer(&self) -> Option<&SnapshotTransfer> {
        match &self.flow {
            Flow::Snapshot(transfer) => Some(transfer),
            Flow::Probe(_) | Flow::Replicate(_) => None,
        }
    }
}
