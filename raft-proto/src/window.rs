//! How much may be on its way to one follower: slow start and a window, as in TCP (RFC 5681).
//!
//! Nothing tells a leader how fast a link or a follower's disk is. What is sent waits behind what
//! was sent before: a leader that sends its whole backlog at once delays its own heartbeats, and a
//! heartbeat that comes later than an election timeout ends its term.
//!
//! So a window in bytes limits what is on its way. It begins small, and grows with what is
//! acknowledged, up to `max_inflight_bytes`:
//!
//! * How long an acknowledgement takes beyond the fastest one so far is how long it waited in a
//!   queue: of the link, or of the follower's disk. If that is at most a quarter of
//!   `election_timeout_min`, and at least half of the window was in use, the window widens by what
//!   is acknowledged: it doubles in each round trip.
//! * If it is more than half of `election_timeout_min`, the window is halved, once for all that was
//!   sent until then. It never falls below its beginning.
//! * After a loss, one message at a time is sent, until one that was sent later is acknowledged. If
//!   that is lost too, the window is halved, and each further attempt without progress waits twice
//!   as long as the one before.
//! * A peer that cannot be reached makes it begin anew, too.

use crate::config::Config;
use crate::types::Time;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// The window of one follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Window {
    /// How many bytes may be on their way, or in one message.
    bytes: u64,
    /// With how many bytes it begins.
    start: u64,
    /// Something was lost: one message at a time.
    one_at_a_time: bool,
    /// When it was last narrowed. Acknowledgements of what was sent before do not change it.
    narrowed_at: Time,
    /// How long the fastest acknowledgement took. The follower's disk is in it.
    least_latency: Option<Duration>,
    /// How long the fastest answer took that showed what had arrived, on disk or not.
    round_trip: Option<Duration>,
    /// How often something was sent again since an answer that tells how long a round trip takes.
    attempts: u32,
}

impl Window {
    /// How many bytes of entries a leader sends before it knows anything of a follower.
    pub(crate) const START_BYTES: u64 = 64 << 10;

    pub(crate) fn new(start: u64) -> Window {
        Window {
            bytes: start,
            start,
            one_at_a_time: false,
            narrowed_at: Time::ZERO,
            least_latency: None,
            round_trip: None,
            attempts: 0,
        }
    }

    /// Whether more may be sent while `in_flight` bytes, more than none, are on their way.
    pub(crate) fn admits(&self, in_flight: u64, config: &Config) -> bool {
        !self.one_at_a_time && in_flight < self.bytes.min(config.max_inflight_bytes)
    }

    /// The most bytes of one message.
    pub(crate) fn message_bytes(&self) -> u64 {
        self.bytes
    }

    /// `bytes` that were sent at `sent_at` are acknowledged, of `in_flight` on their way.
    pub(crate) fn acknowledged(
        &mut self,
        bytes: u64,
        sent_at: Time,
        in_flight: u64,
        now: Time,
        config: &Config,
    ) {
        if sent_at < self.narrowed_at {
            return;
        }
        if self.one_at_a_time {
            // It may be the acknowledgement of an earlier copy, and tells no time. So `attempts`
            // stays, and the next message waits for as long: if the pause was shorter than a round
            // trip, that one would be sent again too early, too, and no round trip would ever be
            // measured (Karn's algorithm, RFC 6298 sections 3 and 5).
            self.one_at_a_time = false;
            return;
        }
        self.attempts = 0;
        let (latency, timeout) = (now.since(sent_at), config.election_timeout_min);
        let least = self.least_latency.map_or(latency, |it| it.min(latency));
        self.least_latency = Some(least);
        self.answered_within(latency);
        let queued = latency - least;
        if queued > timeout / 2 {
            self.bytes = (self.bytes / 2).max(self.start);
            self.narrowed_at = now;
        } else if in_flight >= self.bytes / 2 && queued <= timeout / 4 {
            let most = config.max_inflight_bytes.max(self.start);
            self.bytes = self.bytes.saturating_add(bytes).min(most);
        }
    }

    /// Everything on its way has arrived, though it is not acknowledged yet. The last of it was
    /// sent at `sent_at`.
    pub(crate) fn arrived(&mut self, sent_at: Time, now: Time) {
        self.attempts = 0;
        if sent_at >= self.narrowed_at && !self.one_at_a_time {
            self.answered_within(now.since(sent_at));
        }
    }

    fn answered_within(&mut self, latency: Duration) {
        let least = self.round_trip.map_or(latency, |it| it.min(latency));
        self.round_trip = Some(least);
    }

    /// There was progress, though not all of it may tell a round trip. Only where a loss shows by
    /// the answers to later messages, so that nothing is sent again just because its answer takes
    /// long.
    pub(crate) fn progressed(&mut self) {
        self.attempts = 0;
    }

    /// Something was lost, and is sent again.
    pub(crate) fn lost(&mut self, now: Time) {
        let again = self.attempts > 0;
        self.narrow(now, if again { self.bytes / 2 } else { self.bytes });
    }

    /// The peer takes nothing that comes out of order.
    pub(crate) fn begin_anew(&mut self, now: Time) {
        self.narrow(now, self.start);
    }

    /// The peer cannot be reached. The transport has said so, and will again: what is sent next
    /// waits for no longer than after one try.
    pub(crate) fn unreachable(&mut self, now: Time) {
        self.attempts = 0;
        self.narrow(now, self.start);
    }

    /// What was sent overtook each other, and is sent again: no more at a time than at the
    /// beginning, so that less of it does.
    pub(crate) fn overtaken(&mut self, now: Time) {
        self.bytes = self.start;
        self.narrowed_at = now;
    }

    /// Whether nothing was sent again since an answer that can belong to one copy only.
    pub(crate) fn is_unambiguous(&self) -> bool {
        self.attempts == 0
    }

    fn narrow(&mut self, now: Time, bytes: u64) {
        self.bytes = bytes.max(self.start);
        self.one_at_a_time = true;
        self.narrowed_at = now;
        self.attempts = self.attempts.saturating_add(1);
    }

    /// How long to wait before what was sent is taken as lost: `base`, or a round trip if that is
    /// longer; twice as long after each attempt; and at most `most`.
    pub(crate) fn pause(&self, base: Duration, most: Duration) -> Duration {
        let round_trip = self.round_trip.unwrap_or_default();
        let base = base.max(round_trip.min(most));
        let doubled = base.saturating_mul(1 << self.attempts.min(16));
        doubled.min(most).max(base)
    }
}
