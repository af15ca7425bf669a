//! The lab's measures of a run.

use core::fmt;
use core::time::Duration;

/// What the line of a scenario says: the lab's measures of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// How long it took: virtual time here, real time on the lab's page.
    pub time: Duration,
    /// The number of servers.
    pub peers: usize,
    /// Requests given to the network, delivered or not. Replies do not count.
    pub rpcs: u64,
    /// Bytes of all requests, and of the replies that were delivered.
    pub bytes: u64,
    /// How far the highest applied index rose.
    pub commits: u64,
}

impl fmt::Display for Figures {
    /// As the lab prints them: `3.5 3 58 16840 0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.time.as_secs_f64();
        let Figures {
            peers,
            rpcs,
            bytes,
            commits,
            ..
        } = self;
        write!(f, "{seconds:.1} {peers} {rpcs} {bytes} {commits}")
    }
}
