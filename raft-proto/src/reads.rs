//! The state of linearizable reads, on a leader and on a follower. The rules are in
//! `read_index.rs`.

use crate::config::Config;
use crate::types::{Index, NodeId, RequestId, Time};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// A read that waits at a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct PendingRead {
    pub(crate) reader: Reader,
    pub(crate) since: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Reader {
    /// A client of this node.
    Client(RequestId),
    /// A follower, for its clients.
    Peer { id: NodeId, number: u64 },
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
    pub(crate) waiting: Vec<PendingRead>,
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
    pub(crate) reads: Vec<PendingRead>,
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

    /// All reads, oldest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &PendingRead> {
        let under_way = self.under_way.iter().flat_map(|round| &round.reads);
        under_way.chain(&self.waiting)
    }

    pub(crate) fn len(&self) -> usize {
        let under_way = self.under_way.as_ref().map_or(0, |round| round.reads.len());
        under_way + self.waiting.len()
    }

    /// Since when the oldest read has waited.
    pub(crate) fn oldest(&self) -> Option<Time> {
        self.all().map(|read| read.since).min()
    }

    /// Takes out the reads that have waited since `before` or longer.
    pub(crate) fn take_older(&mut self, before: Time) -> Vec<PendingRead> {
        let old = |read: &mut PendingRead| read.since <= before;
        let mut taken: Vec<PendingRead> = Vec::new();
        if let Some(round) = &mut self.under_way {
            taken.extend(round.reads.extract_if(.., old));
        }
        taken.extend(self.waiting.extract_if(.., old));
        taken
    }
}

/// The reads that a follower has forwarded, or is to forward.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct ForwardedReads {
    pub(crate) waiting: Vec<ClientRead>,
    pub(crate) under_way: Option<ForwardedBatch>,
}

/// A client's read that waits at a follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct ClientRead {
    pub(crate) id: RequestId,
    pub(crate) since: Time,
}

/// The reads of one ReadIndex request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct ForwardedBatch {
    pub(crate) number: u64,
    pub(crate) reads: Vec<ClientRead>,
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
    pub(crate) fn deadline(&self, timeout: Duration) -> Time {
        let resend_at = self.under_way.as_ref().map(|batch| batch.resend_at);
        let oldest = self.all().map(|read| read.since.after(timeout)).min();
        let deadlines = resend_at.into_iter().chain(oldest);
        deadlines.min().unwrap_or(Time::NEVER)
    }

    /// Takes out the reads that have waited since `before` or longer.
    pub(crate) fn take_older(&mut self, before: Time) -> Vec<ClientRead> {
        let old = |read: &mut ClientRead| read.since <= before;
        let mut taken: Vec<ClientRead> = self.waiting.extract_if(.., old).collect();
        if let Some(batch) = &mut self.under_way {
            taken.extend(batch.reads.extract_if(.., old));
            if batch.reads.is_empty() {
                self.under_way = None;
            }
        }
        taken
    }
}
