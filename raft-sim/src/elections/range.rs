//! The ranges that election timeouts are drawn from.

use core::fmt;
use core::time::Duration;

/// A range of election timeouts, in whole milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeoutRange {
    min: u32,
    max: u32,
}

impl TimeoutRange {
    /// The ranges of the top graph: the same shortest timeout, with more and more randomness.
    pub const TOP: [TimeoutRange; 6] = [
        TimeoutRange::new(150, 150),
        TimeoutRange::new(150, 151),
        TimeoutRange::new(150, 155),
        TimeoutRange::new(150, 175),
        TimeoutRange::new(150, 200),
        TimeoutRange::new(150, 300),
    ];
    /// The ranges of the bottom graph: the longest timeout is twice the shortest, and both become
    /// shorter and shorter.
    pub const BOTTOM: [TimeoutRange; 5] = [
        TimeoutRange::new(12, 24),
        TimeoutRange::new(25, 50),
        TimeoutRange::new(50, 100),
        TimeoutRange::new(100, 200),
        TimeoutRange::new(150, 300),
    ];

    const fn new(min: u32, max: u32) -> TimeoutRange {
        TimeoutRange { min, max }
    }

    /// All ranges, each once, in the order of the graphs.
    pub fn all() -> Vec<TimeoutRange> {
        let mut all = TimeoutRange::TOP.to_vec();
        let more = TimeoutRange::BOTTOM.into_iter();
        all.extend(more.filter(|range| !TimeoutRange::TOP.contains(range)));
        all
    }

    /// The shortest timeout.
    pub fn min(self) -> Duration {
        Duration::from_millis(u64::from(self.min))
    }

    /// The end of the range, which no timeout reaches. A core requires a range that is not empty:
    /// where both timeouts are equal it is one nanosecond long, and every timeout that is drawn is
    /// the shortest one.
    pub fn end(self) -> Duration {
        let max = Duration::from_millis(u64::from(self.max));
        max.max(self.min() + Duration::from_nanos(1))
    }

    /// Whether all timeouts are equal.
    pub fn is_fixed(self) -> bool {
        self.min == self.max
    }

    /// How often the leader sends a heartbeat: "its heartbeat interval, which was half of the
    /// minimum election timeout for all tests" (section 9.3).
    pub fn leader_heartbeat(self) -> Duration {
        self.min() / 2
    }
}

impl fmt::Display for TimeoutRange {
    /// As in the figure: `150-300`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}-{}", self.min, self.max))
    }
}
