//! Reads that wait for their answers: what `read_index.rs` keeps of them, on a leader and on a
//! follower.

use crate::config::Config;
use crate::types::{Index, NodeId, RequestId, Time};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// Who waits for a read, since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Waiting {
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
    /// Rounds that a lease may begin with, and when they began.
    begun: VecDeque<(u64, Time)>,
    /// When the latest round began that a majority has answered.
    confirmed_at: Option<Time>,
    pub(crate) lease_ended: bool,
    /// Reads that the next round serves.
    pub(crate) waiting: Vec<Waiting>,
    /// The round that is under way for reads.
    pub(crate) asked: Option<Asked>,
}

/// A round under way, and what it serves.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) round: u64,
    /// commitIndex when it began.
    pub(crate) index: Index,
    pub(crate) readers: Vec<Waiting>,
}

impl LeaderReads {
    pub(crate) fn begin_round(&mut self, now: Time, config: &Config) {
        self.round += 1; // a round a nanosecond would take 584 years
        if let Some(length) = config.lease_length() {
            self.begun.push_back((self.round, now));
            while self
                .begun
                .front()
                .is_some_and(|(_, at)| at.after(length) <= now)
            {
                self.begun.pop_front();
            }
        }
    }

    /// Where there are leases, rounds are begun all the time, by what is sent anyway.
    pub(crate) fn renew_lease(&mut self, now: Time, config: &Config) {
        if config.lease_length().is_none() {
            return;
        }
        let latest = self.begun.back().map(|(_, at)| *at);
        if latest.is_none_or(|at| at.after(config.heartbeat_interval / 2) <= now) {
            self.begin_round(now, config);
        }
    }

    pub(crate) fn end_lease(&mut self) {
        self.lease_ended = true;
    }

    /// A majority has answered `round`.
    pub(crate) fn confirm(&mut self, round: u64) {
        while let Some((begun, at)) = self.begun.front().copied() {
            if begun > round {
                break;
            }
            self.confirmed_at = Some(at);
            self.begun.pop_front();
        }
    }

    pub(crate) fn has_lease(&self, now: Time, config: &Config) -> bool {
        let Some(length) = config.lease_length() else {
            return false;
        };
        let lasts = |from: Time| from.after(length) > now;
        !self.lease_ended && self.confirmed_at.is_some_and(lasts)
    }

    /// Whether an answer can make a difference.
    pub(crate) fn is_curious(&self) -> bool {
        self.asked.is_some() || !self.begun.is_empty()
    }

    /// Whether reads wait for the term's first commit.
    pub(crate) fn wait_for_commit(&self) -> bool {
        self.asked.is_none() && !self.waiting.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        let asked = self.asked.as_ref().map_or(0, |asked| asked.readers.len());
        asked + self.waiting.len()
    }

    /// Since when the oldest read has waited.
    pub(crate) fn oldest(&self) -> Option<Time> {
        let asked = self.asked.iter().flat_map(|asked| &asked.readers);
        asked.chain(&self.waiting).map(|read| read.since).min()
    }

    /// Takes out the reads that have waited since `before` or longer.
    pub(crate) fn take_older(&mut self, before: Time) -> Vec<Waiting> {
        let old = |read: &mut Waiting| read.since <= before;
        let mut taken: Vec<Waiting> = Vec::new();
        if let Some(asked) = &mut self.asked {
            taken.extend(asked.readers.extract_if(.., old));
        }
        taken.extend(self.waiting.extract_if(.., old));
        taken
    }
}

/// The reads that a follower has forwarded, or is to forward.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct ForwardedReads {
    pub(crate) waiting: Vec<(RequestId, Time)>,
    pub(crate) asked: Option<Forwarded>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Forwarded {
    pub(crate) number: u64,
    pub(crate) readers: Vec<(RequestId, Time)>,
    /// When it is sent again: the message or the answer may be lost.
    pub(crate) again_at: Time,
}

impl ForwardedReads {
    pub(crate) fn len(&self) -> usize {
        let asked = self.asked.as_ref().map_or(0, |asked| asked.readers.len());
        asked + self.waiting.len()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (RequestId, Time)> + '_ {
        let asked = self.asked.iter().flat_map(|asked| &asked.readers);
        asked.chain(&self.waiting).copied()
    }

    /// When one is to be sent again, or has waited for `patience`.
    pub(crate) fn deadline(&self, patience: Duration) -> Time {
        if self.asked.is_none() && self.waiting.is_empty() {
            return Time::NEVER;
        }
        let again = self
            .asked
            .as_ref()
            .map_or(Time::NEVER, |asked| asked.again_at);
        let oldest = self.all().map(|(_, since)| since.after(patience)).min();
        again.min(oldest.unwrap_or(Time::NEVER))
    }

    pub(crate) fn take_older(&mut self, before: Time) -> Vec<RequestId> {
        let old = |read: &mut (RequestId, Time)| read.1 <= before;
        let mut taken: Vec<(RequestId, Time)> = self.waiting.extract_if(.., old).collect();
        if let Some(asked) = &mut self.asked {
            taken.extend(asked.readers.extract_if(.., old));
            if asked.readers.is_empty() {
                self.asked = None;
            }
        }
        taken.into_iter().map(|(id, _)| id).collect()
    }
}
