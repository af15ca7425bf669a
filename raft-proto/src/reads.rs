//! The state of linearizable reads, on a leader and on a follower. The rules are in
//! `read_index.rs`.

use crate::config::Config;
use crate::types::{Index, NodeId, RequestId, Time};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// A client's read that waits. Reads come in the order of time: in each queue, the oldest is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct ClientRead {
    pub(crate) id: RequestId,
    pub(crate) since: Time,
}

/// Takes the reads out of `queue` that have waited since `before` or longer.
fn take_older(queue: &mut VecDeque<ClientRead>, before: Time) -> impl Iterator<Item = ClientRead> {
    core::iter::from_fn(move || match queue.front() {
        Some(oldest) if oldest.since <= before => queue.pop_front(),
        Some(_) | None => None,
    })
}

/// What tells one ReadIndex from every other of its sender in one term (`read_index.rs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct ReadNumber {
    pub(crate) number: u64,
    pub(crate) stored: Index,
}

/// The latest ReadIndex of a follower, for its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct FollowerRead {
    pub(crate) from: NodeId,
    pub(crate) number: ReadNumber,
    pub(crate) since: Time,
}

/// Reads that wait at a leader for one round.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct PendingReads {
    /// Of clients of this node.
    clients: VecDeque<ClientRead>,
    /// Of followers, in the order of their ids: at most one of each, since a follower asks one
    /// ReadIndex at a time.
    followers: Vec<FollowerRead>,
}

impl PendingReads {
    pub(crate) fn is_empty(&self) -> bool {
        self.clients.is_empty() && self.followers.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.clients.len() + self.followers.len()
    }

    pub(crate) fn push_client(&mut self, read: ClientRead) {
        self.clients.push_back(read);
    }

    /// Adds a follower's ReadIndex. The follower has given up any earlier one.
    pub(crate) fn set_follower(&mut self, read: FollowerRead) {
        match self.slot(read.from) {
            Ok(at) => self.followers[at] = read, // a position found
            Err(at) => self.followers.insert(at, read),
        }
    }

    fn slot(&self, from: NodeId) -> Result<usize, usize> {
        self.followers.binary_search_by_key(&from, |read| read.from)
    }

    /// Whether this very ReadIndex waits here.
    fn holds(&self, from: NodeId, number: ReadNumber) -> bool {
        let found = self.slot(from).ok().and_then(|at| self.followers.get(at));
        found.is_some_and(|read| read.number == number)
    }

    /// Since when the oldest read has waited.
    fn oldest(&self) -> Option<Time> {
        let client = self.clients.front().map(|read| read.since);
        let follower = self.followers.iter().map(|read| read.since).min();
        client.into_iter().chain(follower).min()
    }

    /// Takes out the reads that have waited since `before` or longer, and appends them to `taken`.
    fn take_older(&mut self, before: Time, taken: &mut PendingReads) {
        taken.clients.extend(take_older(&mut self.clients, before));
        let old = |read: &mut FollowerRead| read.since <= before;
        taken.followers.extend(self.followers.extract_if(.., old));
    }

    /// The clients' reads, oldest first, and the followers'.
    pub(crate) fn into_parts(self) -> (VecDeque<ClientRead>, Vec<FollowerRead>) {
        (self.clients, self.followers)
    }
}

/// The reads of a leader, and the rounds by which it serves them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct LeaderReads {
    /// The latest round begun; 0 before the first.
    pub(crate) round: u64,
    /// Rounds with which a lease may begin, oldest first.
    lease_rounds: VecDeque<LeaseRound>,
    /// When the latest round began that a majority has answered: there the lease begins.
    lease_start: Option<Time>,
    /// Whether the target of a transfer has been asked to campaign, so that the lease proves
    /// nothing.
    pub(crate) lease_suspended: bool,
    /// Reads that the next round serves.
    pub(crate) waiting: PendingReads,
    /// The round that is under way for reads.
    pub(crate) under_way: Option<ReadRound>,
}

/// When a round began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct LeaseRound {
    round: u64,
    begun_at: Time,
}

/// A round under way, and the reads that it serves.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct ReadRound {
    pub(crate) round: u64,
    /// commitIndex when it began.
    pub(crate) index: Index,
    pub(crate) reads: PendingReads,
}

impl LeaderReads {
    pub(crate) fn begin_round(&mut self, now: Time, config: &Config) {
        self.round += 1; // a round a nanosecond would take 584 years
        if let Some(length) = config.lease_length() {
            self.lease_rounds.push_back(LeaseRound {
                round: self.round,
                begun_at: now,
            });
            let is_over = |begun: &LeaseRound| begun.begun_at.after(length) <= now;
            while self.lease_rounds.front().is_some_and(is_over) {
                self.lease_rounds.pop_front();
            }
        }
    }

    /// With leases on, rounds begin all the time: the messages that are sent anyway carry them.
    pub(crate) fn renew_lease(&mut self, now: Time, config: &Config) {
        if config.lease_length().is_none() {
            return;
        }
        let latest = self.lease_rounds.back().map(|latest| latest.begun_at);
        if latest.is_none_or(|at| at.after(config.heartbeat_interval / 2) <= now) {
            self.begin_round(now, config);
        }
    }

    /// The target of a transfer is asked to campaign.
    pub(crate) fn suspend_lease(&mut self) {
        self.lease_suspended = true;
    }

    /// The transfer is given up. Only rounds that begin from now on prove the lease: their messages
    /// tell the voters so.
    pub(crate) fn restore_lease(&mut self) {
        self.lease_suspended = false;
        self.lease_rounds.clear();
        self.lease_start = None;
    }

    /// A majority has answered `round`.
    pub(crate) fn confirm(&mut self, round: u64) {
        while let Some(begun) = self.lease_rounds.front() {
            if begun.round > round {
                break;
            }
            self.lease_start = Some(begun.begun_at);
            self.lease_rounds.pop_front();
        }
    }

    /// Until when a lease would last that is not suspended; `None` before a majority has answered.
    pub(crate) fn lease_until(&self, config: &Config) -> Option<Time> {
        let length = config.lease_length()?;
        self.lease_start.map(|start| start.after(length))
    }

    pub(crate) fn has_lease(&self, now: Time, config: &Config) -> bool {
        let Some(length) = config.lease_length() else {
            return false;
        };
        let lasts = |from: Time| from.after(length) > now;
        !self.lease_suspended && self.lease_start.is_some_and(lasts)
    }

    /// Whether an answer to a round can make a difference.
    pub(crate) fn need_answers(&self) -> bool {
        self.under_way.is_some() || !self.lease_rounds.is_empty()
    }

    /// Whether reads wait for the term's first commit.
    pub(crate) fn wait_for_first_commit(&self) -> bool {
        self.under_way.is_none() && !self.waiting.is_empty()
    }

    /// Whether this very ReadIndex waits.
    pub(crate) fn holds(&self, from: NodeId, number: ReadNumber) -> bool {
        let under_way = self.under_way.as_ref();
        self.waiting.holds(from, number)
            || under_way.is_some_and(|round| round.reads.holds(from, number))
    }

    pub(crate) fn len(&self) -> usize {
        let under_way = self.under_way.as_ref().map_or(0, |round| round.reads.len());
        under_way + self.waiting.len()
    }

    /// Since when the oldest read has waited. Few steps ask (`timers.rs`).
    #[inline(never)]
    pub(crate) fn oldest(&self) -> Option<Time> {
        let under_way = self.under_way.as_ref();
        let under_way = under_way.and_then(|round| round.reads.oldest());
        under_way.into_iter().chain(self.waiting.oldest()).min()
    }

    /// Takes out the reads that have waited since `before` or longer.
    pub(crate) fn take_older(&mut self, before: Time) -> PendingReads {
        let mut taken = PendingReads::default();
        if let Some(round) = &mut self.under_way {
            round.reads.take_older(before, &mut taken);
        }
        self.waiting.take_older(before, &mut taken);
        taken
    }
}

/// The reads that a follower has forwarded, or is to forward.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct ForwardedReads {
    pub(crate) waiting: VecDeque<ClientRead>,
    pub(crate) under_way: Option<ForwardedBatch>,
}

/// The reads of one ReadIndex request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct ForwardedBatch {
    /// `None` while the node cannot tell the answer from one to an earlier run of it.
    pub(crate) number: Option<ReadNumber>,
    pub(crate) reads: VecDeque<ClientRead>,
    /// When the request is sent again: it or its answer may be lost.
    pub(crate) resend_at: Time,
}

impl ForwardedReads {
    pub(crate) fn len(&self) -> usize {
        let under_way = self.under_way.as_ref().map_or(0, |batch| batch.reads.len());
        under_way + self.waiting.len()
    }

    /// All reads, oldest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &ClientRead> {
        let under_way = self.under_way.iter().flat_map(|batch| &batch.reads);
        under_way.chain(&self.waiting)
    }

    /// When a request is to be sent again, or a read has waited for `timeout`.
    #[inline]
    pub(crate) fn deadline(&self, timeout: Duration) -> Time {
        if self.under_way.is_none() && self.waiting.is_empty() {
            return Time::NEVER;
        }
        self.deadline_of_reads(timeout)
    }

    #[inline(never)]
    fn deadline_of_reads(&self, timeout: Duration) -> Time {
        let expires_at = |read: &ClientRead| read.since.after(timeout);
        let waiting = self.waiting.front();
        let Some(batch) = &self.under_way else {
            return waiting.map_or(Time::NEVER, expires_at);
        };
        // The reads under way are older than those that wait.
        let oldest = batch.reads.front().or(waiting);
        oldest.map_or(batch.resend_at, |read| {
            expires_at(read).min(batch.resend_at)
        })
    }

    /// Takes out the reads that have waited since `before` or longer, oldest first.
    pub(crate) fn take_older(&mut self, before: Time) -> Vec<ClientRead> {
        let mut taken = Vec::new();
        if let Some(batch) = &mut self.under_way {
            taken.extend(take_older(&mut batch.reads, before));
            if batch.reads.is_empty() {
                self.under_way = None;
            }
        }
        taken.extend(take_older(&mut self.waiting, before));
        taken
    }
}
