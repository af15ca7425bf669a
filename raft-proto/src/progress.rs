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
//!            its log turns out to differ, or it is unreachable
//! ```

use crate::command_limit::TooLarge;
use crate::config::Config;
use crate::message::MessageLimits;
use crate::peer_timer::PeerTimer;
use crate::snapshot_transfer::SnapshotTransfer;
use crate::types::{EntryId, Incarnation, Index, NodeId, Time};
use crate::window::Window;
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
    /// How many bytes of entries may be on their way to it.
    pub(crate) window: Window,
    /// What compaction keeps for it.
    pub(crate) hold: Option<Hold>,
    /// How often it has reported that a snapshot was damaged, since the last one that it installed.
    pub(crate) damaged_arrivals: u32,
    /// The greatest commitIndex that it knows, if everything that was sent arrived.
    pub(crate) commit_sent: Index,
    /// When something is sent to it next.
    pub(crate) timer: PeerTimer,
    /// When its latest reply came.
    pub(crate) heard_at: Option<Time>,
    /// The latest of the leader's rounds (`read_index.rs`) that it has answered.
    pub(crate) round: u64,
    /// The round that began when this leader added it; 0 for those that it found as members.
    pub(crate) added_in_round: u64,
    pub(crate) denial: Denial,
    /// Since when it has had a vote, counted from this leader's election; `None` without one.
    pub(crate) voter_since: Option<Time>,
    /// When it last showed that its disk makes progress (`transfer.rs`).
    pub(crate) disk_progress_at: Option<Time>,
    /// It is no member any more, and is to be told so.
    pub(crate) departure: Option<Departure>,
    /// The storage under its number that was heard last, if the configuration names none.
    pub(crate) incarnation: Option<Incarnation>,
    /// What it takes, as it said in this term.
    pub(crate) limits: Option<MessageLimits>,
    /// The first entry that it lacks and that fits no message that it takes (`limits.rs`).
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

/// The log after a snapshot that a follower is sent: it stays until the follower has caught up, so
/// that the end of one transfer is not the beginning of the next (`compaction.rs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Hold {
    /// The snapshot's last entry.
    pub(crate) after: Index,
    /// The follower has caught up once its matchIndex is here.
    pub(crate) until: Index,
    /// What the leader's count of appended bytes was at `after`.
    pub(crate) appended_at: u64,
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
    /// One was sent, with these entries if any; the next heartbeat sends another without.
    Sent(Option<Append>),
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
pub(crate) struct Append {
    /// prevLogIndex.
    pub(crate) prev: Index,
    /// The last entry in it.
    pub(crate) last: Index,
    pub(crate) bytes: u64,
    pub(crate) sent_at: Time,
}

impl Inflight {
    pub(crate) fn is_empty(&self) -> bool {
        self.appends.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.appends.len()
    }

    /// The bytes of the appends on their way.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether another append may be sent. One may always be on its way, whatever its size.
    pub(crate) fn has_room(&self, window: &Window, config: &Config) -> bool {
        if self.reordered || self.reading.is_some() {
            return false;
        }
        self.appends.is_empty()
            || self.appends.len() < config.max_inflight_appends as usize
                && window.admits(self.bytes, config)
    }

    pub(crate) fn push(&mut self, append: Append) {
        self.bytes += append.bytes;
        self.appends.push_back(append);
    }

    /// All entries up to `match_index` are acknowledged. Takes out the oldest append if it is.
    fn pop_through(&mut self, match_index: Index) -> Option<Append> {
        let append = *self.appends.front().filter(|it| it.last <= match_index)?;
        self.bytes -= append.bytes;
        self.appends.pop_front();
        if self.appends.is_empty() {
            self.reordered = false;
        }
        Some(append)
    }

    /// The follower has received everything up to `received`, also what is not on its disk yet. If
    /// that is everything on its way, returns when the last of it was sent.
    pub(crate) fn arrived(&mut self, received: Index) -> Option<Time> {
        let last = self.appends.back().filter(|it| it.last <= received)?;
        self.reordered = false;
        Some(last.sent_at)
    }

    /// What the oldest append on its way follows.
    pub(crate) fn first_prev(&self) -> Option<Index> {
        self.appends.front().map(|append| append.prev)
    }

    /// The first append on its way that brings entries after `index`.
    pub(crate) fn first_beyond(&self, index: Index) -> Option<Append> {
        let at = self.appends.partition_point(|append| append.last <= index);
        self.appends.get(at).copied()
    }

    /// Whether an append that follows `prev` is on its way.
    pub(crate) fn has_append_after(&self, prev: Index) -> bool {
        let at = self.appends.partition_point(|append| append.prev < prev);
        self.appends
            .get(at)
            .is_some_and(|append| append.prev == prev)
    }

    /// The append that followed `prev` was rejected, while earlier ones are on their way: forgets
    /// it and all later ones, and waits until the earlier ones are answered.
    pub(crate) fn wait_for_earlier(&mut self, prev: Index) {
        self.forget_from(prev);
        self.reordered = true;
    }

    /// The append that followed `prev` is lost, and with it all later ones.
    pub(crate) fn forget_lost(&mut self, prev: Index) {
        self.forget_from(prev);
        self.reordered = false;
    }

    fn forget_from(&mut self, prev: Index) {
        while let Some(append) = self.appends.back() {
            if append.prev < prev {
                break;
            }
            self.bytes -= append.bytes;
            self.appends.pop_back();
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
            window: Window::new(Window::START_BYTES),
            hold: None,
            damaged_arrivals: 0,
            commit_sent: Index::ZERO,
            timer: PeerTimer::new(now),
            heard_at: None,
            round: 0,
            added_in_round: 0,
            denial: Denial::None,
            voter_since: None,
            disk_progress_at: None,
            departure: None,
            incarnation: None,
            limits: None,
            too_large: None,
        }
    }

    /// The logs agree up to `agreed`: send the entries after it. Those that a probe is bringing are
    /// not sent again before they are taken as lost.
    pub(crate) fn replicate_after(&mut self, agreed: Index, now: Time, config: &Config) {
        let mut inflight = Inflight::default();
        let mut next = agreed.max(self.match_index).next();
        if let Flow::Probe(Probe::Sent(Some(append))) = self.flow
            && append.prev < next
            && append.last >= next
            && !self.is_lost(append.sent_at, now, config)
        {
            inflight.push(append);
            next = append.last.next();
        }
        self.next_index = next;
        self.flow = Flow::Replicate(inflight);
    }

    /// An append was lost, or what it brought was. The logs agree up to `agreed`: send one append
    /// from there on.
    pub(crate) fn resume_after(&mut self, agreed: Index, now: Time) {
        self.window.lost(now);
        self.next_index = agreed.max(self.match_index).next();
        self.flow = Flow::Replicate(Inflight::default());
    }

    /// The append that followed `prev` was rejected while earlier ones are on their way.
    pub(crate) fn wait_for_earlier(&mut self, prev: Index) {
        if let Flow::Replicate(inflight) = &mut self.flow {
            inflight.wait_for_earlier(prev);
            self.next_index = prev.next();
        }
    }

    /// The append that followed `prev` is lost, and all later ones with it. The follower holds
    /// everything up to `received`.
    pub(crate) fn forget_lost(&mut self, prev: Index, received: Index, now: Time) {
        if let Flow::Replicate(inflight) = &mut self.flow {
            inflight.forget_lost(prev);
            self.next_index = received.max(prev).max(self.match_index).next();
            self.window.lost(now);
        }
    }

    /// Ask next whether the logs agree at `prev`.
    pub(crate) fn probe_at(&mut self, prev: EntryId) {
        self.next_index = prev.index.max(self.match_index).next();
        self.flow = Flow::Probe(Probe::Ready);
    }

    /// The entries up to `match_index` are on its disk.
    pub(crate) fn raise_match_index(&mut self, match_index: Index, now: Time, config: &Config) {
        if match_index > self.match_index {
            self.denial = Denial::None; // What was denied before was another entry.
        }
        self.match_index = self.match_index.max(match_index);
        self.next_index = self.next_index.max(self.match_index.next());
        if let Flow::Replicate(inflight) = &mut self.flow {
            let in_flight = inflight.bytes;
            while let Some(append) = inflight.pop_through(self.match_index) {
                let Append { bytes, sent_at, .. } = append;
                self.window
                    .acknowledged(bytes, sent_at, in_flight, now, config);
                self.window.progressed();
            }
        }
    }

    /// Whether what was sent to it at `at`, and has not arrived, is lost. A later message may only
    /// have been overtaken.
    pub(crate) fn is_lost(&self, at: Time, now: Time, config: &Config) -> bool {
        self.lost_at(at, config) <= now
    }

    /// From when on what was sent to it at `at` is taken as lost, if it has not arrived by then.
    pub(crate) fn lost_at(&self, at: Time, config: &Config) -> Time {
        let base = config.append_timeout.min(config.heartbeat_interval);
        let most = config.election_timeout_min / 2;
        at.after(self.window.pause(base, most))
    }

    /// It has answered this round (`read_index.rs`). Whether that is later than all it has answered.
    pub(crate) fn answer_round(&mut self, round: u64) -> bool {
        let is_later = round > self.round;
        self.round = self.round.max(round);
        is_later
    }

    /// Whether an answer to `round` may be of the server that had this number before: one that was
    /// removed, and is added again with less on its disk. What that server acknowledged does not
    /// hold for this one: matchIndex is what is "known to be replicated on server" (Figure 2), and
    /// so on the disk that votes in later elections (section 5.4.3).
    pub(crate) fn precedes_peer(&self, round: u64) -> bool {
        round < self.added_in_round
    }

    /// Whether this leader added it, so that another server may have had its number before.
    pub(crate) fn was_added(&self) -> bool {
        self.added_in_round > 0
    }

    /// Ends the hold once it has caught up: nothing that it lacks is left unsent.
    pub(crate) fn end_hold_if_caught_up(&mut self, last: Index) {
        if let Some(hold) = &mut self.hold
            && matches!(self.flow, Flow::Replicate(_))
            && self.match_index >= hold.until
        {
            if self.next_index > last {
                self.hold = None;
            } else {
                hold.until = last;
            }
        }
    }

    /// Whether its latest reply came within `period`.
    pub(crate) fn heard_within(&self, period: Duration, now: Time) -> bool {
        self.heard_at.is_some_and(|at| at.after(period) > now)
    }

    /// Whether it and `next`, which has its number, are different servers: it was removed, or the
    /// configuration now names another storage.
    pub(crate) fn is_succeeded_by(&self, next: &Peer) -> bool {
        let is_named = next.incarnation.is_some();
        self.departure.is_some() || is_named && next.incarnation != self.incarnation
    }

    /// It has a vote from now on, or has none. A voter that has not been heard yet counts as heard
    /// when it became one (`check_quorum.rs`).
    pub(crate) fn set_voter(&mut self, is_voter: bool, now: Time) {
        self.voter_since = is_voter.then(|| self.voter_since.unwrap_or(now));
    }

    /// It has just voted for this leader: it was heard, and its disk has written the vote.
    pub(crate) fn granted_vote(&mut self, now: Time) {
        self.heard_at = Some(now);
        self.disk_progress_at = Some(now);
    }

    /// The last entry that it should have, once everything that was sent has arrived.
    pub(crate) fn last_sent(&self) -> Index {
        match &self.flow {
            Flow::Probe(Probe::Sent(Some(append))) => append.last,
            Flow::Probe(Probe::Ready | Probe::Sent(None))
            | Flow::Replicate(_)
            | Flow::Snapshot(_) => self.next_index.previous(),
        }
    }

    /// The snapshot that is being sent to it.
    pub(crate) fn transfer(&self) -> Option<&SnapshotTransfer> {
        match &self.flow {
            Flow::Snapshot(transfer) => Some(transfer),
            Flow::Probe(_) | Flow::Replicate(_) => None,
        }
    }
}
