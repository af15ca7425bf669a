//! Storms: messages that beget more messages. A mistake of that kind breaks nothing, and a run with
//! it never ends: each second of virtual time takes longer than the last, and the queue grows.
//! So the messages under way are bounded, and those sent in each second of virtual time, and the
//! events of each second (a timer that fires again and again).
//!
//! What a right cluster sends follows from its size, from its settings, and from what clients ask
//! of it. A leader sends each member a heartbeat an interval, an append and a notice for each
//! command, a window of appends for what was lost, and a chunk of a snapshot for each answer. The
//! limits are some ten times what any seed was seen to need: a storm passes every limit, so they
//! need not be narrow.
//!
//! Cost: a few additions for each event and message.

use crate::settings::Settings;
use raft_proto::Time;

/// A storm.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Storm {
    /// Too many messages in a second of virtual time.
    #[error("{sent} messages were sent in one second, with {requests} requests of clients")]
    Messages {
        /// How many so far in this second.
        sent: u64,
        /// What clients asked for in this second and the one before.
        requests: u64,
    },
    /// Too many messages that are under way at the same time.
    #[error("{under_way} messages are under way at the same time")]
    UnderWay {
        /// How many.
        under_way: u64,
    },
    /// Too many events in a second of virtual time.
    #[error("{events} events happened in one second")]
    Events {
        /// How many so far in this second.
        events: u64,
    },
}

/// What a cluster may do at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StormLimits {
    /// Messages in a second, whatever clients do.
    pub messages: u64,
    /// More messages for each request of a client.
    pub messages_for_request: u64,
    /// Messages under way.
    pub under_way: u64,
}

impl StormLimits {
    /// Events for each message that may be sent: its arrival, the sync and the timer that follow
    /// it, and what clients do.
    const EVENTS_FOR_MESSAGE: u64 = 8;

    /// The limits of a cluster with these settings.
    pub fn of(settings: &Settings) -> StormLimits {
        /// Messages in a second between a leader and one other member: heartbeats, chunks, votes,
        /// and their answers.
        const TO_A_MEMBER: u64 = 1_000;
        /// Windows of appends that are sent in a second for what was lost.
        const WINDOWS: u64 = 16;
        let servers = u64::from(settings.servers());
        let window = u64::from(settings.core.max_inflight_appends);
        StormLimits {
            messages: servers * (TO_A_MEMBER + WINDOWS * window),
            messages_for_request: 20 * servers,
            under_way: servers * (300 + 8 * window),
        }
    }
}

/// Counts messages and events.
#[derive(Debug)]
pub struct StormGuard {
    limits: StormLimits,
    /// The second of virtual time that is counted.
    second: u64,
    events: u64,
    sent: u64,
    requests: u64,
    /// The requests of the second before, which may still cause messages.
    requests_before: u64,
    under_way: u64,
}

impl StormGuard {
    /// A guard with these limits.
    pub fn new(limits: StormLimits) -> StormGuard {
        StormGuard {
            limits,
            second: 0,
            events: 0,
            sent: 0,
            requests: 0,
            requests_before: 0,
            under_way: 0,
        }
    }

    /// An event happens at `now`, which does not go back.
    ///
    /// # Errors
    ///
    /// [`Storm::Events`].
    pub fn event(&mut self, now: Time) -> Result<(), Storm> {
        const SECOND: u64 = 1_000_000_000;
        let second = now.0 / SECOND;
        if second > self.second {
            let is_next = second == self.second + 1;
            self.requests_before = if is_next { self.requests } else { 0 };
            (self.second, self.requests) = (second, 0);
            (self.events, self.sent) = (0, 0);
        }
        self.events += 1;
        if self.events > self.most_messages() * StormLimits::EVENTS_FOR_MESSAGE {
            return Err(Storm::Events {
                events: self.events,
            });
        }
        Ok(())
    }

    fn most_messages(&self) -> u64 {
        let requests = self.requests + self.requests_before;
        self.limits.messages + requests * self.limits.messages_for_request
    }

    /// A client asks for something.
    pub fn requested(&mut self) {
        self.requests += 1;
    }

    /// A message is sent, and `copies` of it will arrive.
    ///
    /// # Errors
    ///
    /// [`Storm::Messages`], [`Storm::UnderWay`].
    pub fn sent(&mut self, copies: u64) -> Result<(), Storm> {
        self.sent += 1;
        self.under_way += copies;
        if self.sent > self.most_messages() {
            return Err(Storm::Messages {
                sent: self.sent,
                requests: self.requests + self.requests_before,
            });
        }
        if self.under_way > self.limits.under_way {
            return Err(Storm::UnderWay {
                under_way: self.under_way,
            });
        }
        Ok(())
    }

    /// A copy of a message has arrived.
    pub fn arrived(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }
}
