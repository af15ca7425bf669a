//! How long messages, writes and timers take.

use crate::duration::DurationRange;
use core::fmt;
use core::time::Duration;
use serde::Serialize;

/// How long messages, writes and timers take.
///
/// The broadcast time (section 5.6) is the time in which a server sends requests in parallel to all
/// others and receives their answers. A vote takes a message, a synchronous write of the vote, and
/// a message back: in the mean a fifth, three fifths, and a fifth of the broadcast time. Each is
/// drawn uniformly, messages from half to one and a half of their mean, writes from two thirds to
/// four thirds. Every write has a sync of its own.
///
/// The paper gives only the sum. Its division, and the lateness of timers, decide how often votes
/// split where timeouts have little randomness. A few divisions were tried. With this one
/// [`OwnVote::Overlapped`] comes near the paper's figures, so those rows test no more than that
/// there is such a division.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Timing {
    /// The mean broadcast time, of which messages and writes take their shares.
    pub broadcast_time: Duration,
    /// The time that a message takes one way.
    pub delay: DurationRange,
    /// The time that a synchronous write takes: of a candidate's term and vote, or of a voter's.
    pub write: DurationRange,
    /// How late a timer fires. With exact timers, servers whose timeouts are all equal would repeat
    /// the same split vote for ever. No real machine is that exact.
    pub lateness: DurationRange,
}

impl Timing {
    /// The broadcast time of the paper's cluster: "roughly 15 ms".
    pub const PAPER: Duration = Duration::from_millis(15);

    /// Where a broadcast takes `broadcast_time` in the mean.
    pub fn new(broadcast_time: Duration) -> Timing {
        let tenths = |min, max| DurationRange {
            min: broadcast_time * min / 10,
            max: broadcast_time * max / 10,
        };
        Timing {
            broadcast_time,
            delay: tenths(1, 3),
            write: tenths(4, 8),
            lateness: DurationRange {
                min: Duration::ZERO,
                max: Duration::from_micros(500),
            },
        }
    }
}

/// Whether a candidate's requests wait until its own term and vote are on its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum OwnVote {
    /// They wait, as the core asks. A candidacy takes a write and a broadcast.
    Awaited,
    /// They leave at once, and the candidate leads when its own write and the votes are there, as
    /// in an implementation that overlaps the two. The core is told that the write is durable
    /// before it is, which no driver may do. Here that changes only the time, because no server
    /// crashes any more.
    Overlapped,
}

impl fmt::Display for OwnVote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OwnVote::Awaited => "awaited",
            OwnVote::Overlapped => "overlapped",
        })
    }
}
