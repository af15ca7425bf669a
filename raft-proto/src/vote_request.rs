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
    /// When it last showed that it founds the cluster, if it ever did.
    founding_at: Option<Time>,
}

/// What a message about an election says of the voter that sent it.
#[derive(Clone, Copy)]
pub(crate) struct Heard {
    /// It answers the request.
    pub(crate) answers: bool,
    /// It founds the cluster: it asks for that, or would vote for it.
    pub(crate) founds: bool,
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

    /// `voter` was heard.
    pub(crate) fn heard(&mut self, voter: NodeId, at: Time, heard: Heard) {
        let founding_at = heard.founds.then_some(at);
        match self.voters.iter_mut().find(|it| it.voter == voter) {
            Some(contact) => {
                contact.at = at;
                contact.has_answered |= heard.answers;
                contact.founding_at = founding_at.or(contact.founding_at);
            }
            None => self.voters.push(Contact {
                voter,
                at,
                has_answered: heard.answers,
                founding_at,
            }),
        }
    }

    /// Whether `voter` has answered the request.
    pub(crate) fn has_answered(&self, voter: NodeId) -> bool {
        let mut voters = self.voters.iter();
        voters.any(|it| it.voter == voter && it.has_answered)
    }

    /// Whether `voter` has shown within the last `period` that it founds the cluster.
    pub(crate) fn founds_within(&self, voter: NodeId, period: Duration, now: Time) -> bool {
        let mut voters = self.voters.iter();
        let recent = |at: Time| at.after(period) > now;
        voters.any(|it| it.voter == voter && it.founding_at.is_some_and(recent))
    }

    /// The voters that get a copy: heard within `period` before the request was sent last, or
    /// since.
    pub(crate) fn missing(&self, period: Duration) -> impl Iterator<Item = NodeId> + '_ {
        let missing = move |it: &&Contact| !it.has_answered && it.at.after(period) > self.sent_at;
        self.voters.iter().filter(missing).map(|it| it.voter)
    }
}
