//! The lab's network, as one-way messages.
//!
//! The lab's network carries calls: a request, then its reply or the news that there is none.
//! The core needs no such news, so here a lost message is just lost; everything else is as
//! there. A request passes if both ends are connected and the receiver runs; on an unreliable
//! network it waits up to 26 ms and is dropped one time in ten. The reply passes if both ends
//! are connected when it is given; on an unreliable network it is dropped one time in ten; with
//! long reordering two of three are held for 0.2 to 2.2 s. Every message takes up to 1 ms more,
//! so that messages overtake each other even on a reliable network.

use crate::random::Random;
use core::time::Duration;

/// How a network treats the messages over links that are on.
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
    /// They are not.
    AtOnce,
    /// Two of three are held for 0.2 to 2.2 s.
    LongReordered,
}

/// The network's state that counts for a request and its reply: as it was when the network took
/// the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conditions {
    pub(crate) reliability: Reliability,
    pub(crate) replies: Replies,
}

/// The network, and its counters.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) conditions: Conditions,
    /// Requests given to the network.
    pub(crate) rpcs: u64,
    /// Bytes of requests given to it and of replies delivered by it.
    pub(crate) bytes: u64,
    random: Random,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Arrives { after: Duration },
    IsDropped,
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

    /// A request over a link that is on.
    pub(crate) fn request(&mut self) -> Fate {
        if self.is_dropped(self.conditions) {
            return Fate::IsDropped;
        }
        let delay = match self.conditions.reliability {
            Reliability::Reliable => Duration::ZERO,
            Reliability::Unreliable => Duration::from_millis(self.random.below(27)),
        };
        let after = delay + self.jitter();
        Fate::Arrives { after }
    }

    /// A reply over a link that is on, to a request that was taken under `conditions`.
    pub(crate) fn reply(&mut self, conditions: Conditions) -> Fate {
        if self.is_dropped(conditions) {
            return Fate::IsDropped;
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
