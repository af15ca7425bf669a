//! The lab's network, as one-way messages.
//!
//! The lab's network carries calls: a request, then its reply or the notice that none will come.
//! The core needs no such notice, so here a lost message is only lost. All else is as in the lab:
//!
//! - A request passes if both ends are connected and the receiver runs. An unreliable network
//!   delays it by up to 26 ms, and drops one in ten.
//! - A reply passes if both ends are connected when it is sent. An unreliable network drops one in
//!   ten. With long reordering, two of three replies are held back for 0.2 to 2.2 s.
//! - Every message takes up to 1 ms more, so that messages overtake each other even on a reliable
//!   network.

use crate::random::Random;
use core::time::Duration;

/// How a network treats the messages between connected servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reliability {
    /// It delivers all of them within a millisecond.
    Reliable,
    /// It drops one of ten messages and delays requests.
    Unreliable,
}

/// Whether replies are held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replies {
    /// They are sent on at once.
    AtOnce,
    /// Two of three are held back for 0.2 to 2.2 s.
    LongReordered,
}

/// The conditions for a request and its reply: those at the moment when the network took the
/// request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conditions {
    pub(crate) reliability: Reliability,
    pub(crate) replies: Replies,
}

/// The network, and its counters.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) conditions: Conditions,
    /// Requests that were given to the network.
    pub(crate) rpcs: u64,
    /// Bytes of the requests that were given to it, and of the replies that it delivered.
    pub(crate) bytes: u64,
    random: Random,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Arrives { after: Duration },
    Dropped,
}

impl Network {
    pub(crate) fn new(reliability: Reliability, random: Random) -> Network {
        Network {
            conditions: Conditions {
                reliability,
                replies: Replies::AtOnce,
            },
            rpcs: 0,
            bytes: 0,
            random,
        }
    }

    fn jitter(&mut self) -> Duration {
        Duration::from_nanos(self.random.below(1_000_000))
    }

    fn is_dropped(&mut self, conditions: Conditions) -> bool {
        match conditions.reliability {
            Reliability::Reliable => false,
            Reliability::Unreliable => self.random.chance(100),
        }
    }

    /// The fate of a request between connected servers.
    pub(crate) fn request(&mut self) -> Fate {
        if self.is_dropped(self.conditions) {
            return Fate::Dropped;
        }
        let delay = match self.conditions.reliability {
            Reliability::Reliable => Duration::ZERO,
            Reliability::Unreliable => Duration::from_millis(self.random.below(27)),
        };
        let after = delay + self.jitter();
        Fate::Arrives { after }
    }

    /// The fate of a reply between connected servers, to a request that was taken under
    /// `conditions`.
    pub(crate) fn reply(&mut self, conditions: Conditions) -> Fate {
        if self.is_dropped(conditions) {
            return Fate::Dropped;
        }
        let held = match conditions.replies {
            Replies::AtOnce => false,
            Replies::LongReordered => self.random.below(3) < 2,
        };
        let mut after = self.jitter();
        if held {
            let most = self.random.below(2000);
            after += Duration::from_millis(200 + self.random.below(most + 1));
        }
        Fate::Arrives { after }
    }
}
