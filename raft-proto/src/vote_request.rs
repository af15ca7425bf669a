//! The latest request for votes or pre-votes, and which voters have answered it. The rules are in
//! `vote_retry.rs`.

use crate::config::Config;
use crate::message::Message;
use crate::types::{NodeId, Time};
use alloc::vec::Vec;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// The request of the latest candidacy or pre-vote, and what was heard from voters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct VoteRetry {
    request: Option<Message>,
    /// When it was sent last; `NEVER` while it waits for the disk.
    sent_at: Time,
    /// How long after `sent_at` it is sent again. Doubles each time.
    pause: Duration,
    voters: Vec<Contact>,
}

/// A voter that was heard, by a message about an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Contact {
    voter: NodeId,
    at: Time,
    /// Whether it has answered the request.
    has_answered: bool,
}

impl Default for VoteRetry {
    fn default() -> VoteRetry {
        VoteRetry {
            request: None,
            sent_at: Time::NEVER,
            pause: Duration::ZERO,
            voters: Vec::new(),
        }
    }
}

impl VoteRetry {
    /// `request` is to be sent to the voters.
    pub(crate) fn prepare(&mut self, request: Message) {
        self.request = Some(request);
        self.sent_at = Time::NEVER;
        for contact in &mut self.voters {
            contact.has_answered = false;
        }
    }

    /// The request is sent to the voters for the first time.
    pub(crate) fn begin(&mut self, now: Time, config: &Config) {
        self.sent_at = now;
        self.pause = config.append_timeout.min(config.heartbeat_interval);
    }

    /// The request.
    pub(crate) fn request(&self) -> Option<&Message> {
        self.request.as_ref()
    }

    /// When it is to be sent again.
    pub(crate) fn due_at(&self) -> Time {
        self.sent_at.after(self.pause)
    }

    /// It is sent again now.
    pub(crate) fn sent_again(&mut self, now: Time) {
        self.sent_at = now;
        self.pause = self.pause.saturating_mul(2);
    }

    /// `voter` was heard, and may have answered the request.
    pub(crate) fn heard(&mut self, voter: NodeId, at: Time, has_answered: bool) {
        match self.voters.iter_mut().find(|it| it.voter == voter) {
            Some(contact) => {
                contact.at = at;
                contact.has_answered |= has_answered;
            }
            None => self.voters.push(Contact {
                voter,
                at,
                has_answered,
            }),
        }
    }

    /// Whether `voter` has answered the request.
    pub(crate) fn has_answered(&self, voter: NodeId) -> bool {
        let mut voters = self.voters.iter();
        voters.any(|it| it.voter == voter && it.has_answered)
    }

    /// Whether `voter` was heard within the last `period`.
    pub(crate) fn heard_within(&self, voter: NodeId, period: Duration, now: Time) -> bool {
        let mut voters = self.voters.iter();
        voters.any(|it| it.voter == voter && it.at.after(period) > now)
    }

    /// The voters that get a copy: heard within `period` before the request was sent last, or
    /// since.
    pub(crate) fn missing(&self, period: Duration) -> impl Iterator<Item = NodeId> + '_ {
        let missing = move |it: &&Contact| !it.has_answered && it.at.after(period) > self.sent_at;
        self.voters.iter().filter(missing).map(|it| it.voter)
    }
}
