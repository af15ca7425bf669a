//! When a leader sends something to a peer next.
//!
//! * A peer to which nothing was sent for a heartbeat interval gets a heartbeat ("repeat during
//!   idle periods to prevent election timeouts", Figure 2, Leaders).
//! * A probe, or the first append after all earlier ones were answered, asks for a reply. If none
//!   comes within `append_timeout`, or a heartbeat interval if that is shorter, a heartbeat asks
//!   which entries arrived. Later appends do not delay that: a peer that answers none of many must
//!   hear a heartbeat all the same.
//! * If a reply leaves open whether an append was lost or overtaken, a heartbeat asks again as soon
//!   as the append is old enough to be taken as lost.
//! * A reply that brings news puts the next heartbeat off to an interval after the latest message.
//! * An idle peer gets a new commitIndex in a message of its own, `commit_notice_delay` after the
//!   commit, unless an append carries it before.
//!
//! `replication.rs` decides what the message is. A snapshot's chunks follow the peer's answers
//! (`send_snapshot.rs`).

use crate::config::Config;
use crate::types::Time;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// The times of one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct PeerTimer {
    heartbeat_at: Time,
    /// When a message was last sent to it.
    sent_at: Time,
    commit_notice_at: Option<Time>,
}

/// What is due to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Heartbeat,
    CommitNotice,
    Nothing,
}

impl PeerTimer {
    /// A new leader sends a heartbeat at once.
    pub(crate) fn new(now: Time) -> PeerTimer {
        PeerTimer {
            heartbeat_at: now,
            sent_at: now,
            commit_notice_at: None,
        }
    }

    /// A message is sent now.
    pub(crate) fn sent(&mut self, now: Time) {
        self.sent_at = now;
    }

    /// What is sent now stands for a heartbeat.
    pub(crate) fn restart_heartbeat(&mut self, now: Time, config: &Config) {
        self.heartbeat_at = now.after(config.heartbeat_interval);
    }

    /// What is sent now asks for a reply.
    pub(crate) fn await_reply(&mut self, now: Time, config: &Config) {
        let timeout = config.append_timeout.min(config.heartbeat_interval);
        self.heartbeat_at = now.after(timeout);
    }

    /// A heartbeat is wanted at `at`, if none is due before.
    pub(crate) fn heartbeat_by(&mut self, at: Time) {
        self.heartbeat_at = self.heartbeat_at.min(at);
    }

    /// A reply brought news.
    pub(crate) fn answered(&mut self, config: &Config) {
        let after_latest = self.sent_at.after(config.heartbeat_interval);
        self.heartbeat_at = self.heartbeat_at.max(after_latest);
    }

    /// A new commitIndex is to be sent after `delay`.
    pub(crate) fn start_commit_notice(&mut self, now: Time, delay: Duration) {
        self.commit_notice_at = Some(now.after(delay));
    }

    /// The message that is sent now carries commitIndex.
    pub(crate) fn commit_index_sent(&mut self) {
        self.commit_notice_at = None;
    }

    pub(crate) fn has_commit_notice(&self) -> bool {
        self.commit_notice_at.is_some()
    }

    /// What is due by now. A commit notice is due once.
    pub(crate) fn take_due(&mut self, now: Time) -> Due {
        let notice = self.commit_notice_at.take_if(|at| *at <= now);
        if self.heartbeat_at <= now {
            Due::Heartbeat
        } else if notice.is_some() {
            Due::CommitNotice
        } else {
            Due::Nothing
        }
    }

    /// When something is due next, if no reply comes before.
    pub(crate) fn deadline(&self) -> Time {
        match self.commit_notice_at {
            Some(at) => at.min(self.heartbeat_at),
            None => self.heartbeat_at,
        }
    }
}
