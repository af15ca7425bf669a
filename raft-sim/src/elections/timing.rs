//! How long everything takes between and in the servers.

use crate::options::Span;
use core::time::Duration;

/// How long messages, writes and timers take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The time that a message takes one way.
    pub delay: Span,
    /// The time that a synchronous write takes: of a candidate's term and vote, or of a voter's.
    pub write: Span,
    /// How late a timer fires.
    pub lateness: Span,
}

impl Timing {
    /// Where a broadcast takes `broadcast`.
    pub fn new(broadcast: Duration) -> Timing {
        let env = |name: &str, d: u32| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(d);
        let us = |a, b| Span { min: broadcast * a / 15000, max: broadcast * b / 15000 };
        Timing {
            delay: us(env("D0", 1000), env("D1", 4000)),
            write: us(env("W0", 3000), env("W1", 7000)),
            lateness: us(env("L0", 0), env("L1", 1000)),
        }
    }
}
