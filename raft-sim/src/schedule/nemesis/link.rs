//! What the nemesis does to links between machines.

use super::{Place, Target};
use core::time::Duration;

/// The links that a cut concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Links {
    /// All links between one machine and the others.
    Around(Target),
    /// All links between these machines and the others.
    Between(Vec<Place>),
    /// One link, in one direction.
    One(Place, Place),
    /// All links between the first machine and the others, except those with the second one: a
    /// partial partition, in which the second machine reaches all and the first only that one.
    AllBut(Place, Place),
}

/// An operation of the nemesis on links.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "`time` is how long it lasts")]
pub enum LinkOperation {
    /// So many of a thousand messages, on any link, are lost, arrive twice, are delayed by up to
    /// `by`, or have bytes changed.
    Noise {
        loss: u32,
        duplicate: u32,
        late: u32,
        corrupt: u32,
        by: Duration,
        time: Duration,
    },
    /// Links carry nothing.
    Cut { links: Links, time: Duration },
    /// A link loses `loss` of a thousand messages.
    Flaky {
        from: Place,
        to: Place,
        loss: u32,
        time: Duration,
    },
    /// Messages on a link take longer by `by`.
    SlowLink {
        from: Place,
        to: Place,
        by: Duration,
        time: Duration,
    },
    /// The transport of the first machine says so many times that its messages for the second one
    /// are lost, evenly over `time`, whether they are or not.
    Unreachable {
        from: Place,
        to: Place,
        times: u32,
        time: Duration,
    },
}

impl LinkOperation {
    /// How long the operation lasts.
    pub fn lasts(&mut self) -> &mut Duration {
        match self {
            LinkOperation::Noise { time, .. }
            | LinkOperation::Cut { time, .. }
            | LinkOperation::Flaky { time, .. }
            | LinkOperation::SlowLink { time, .. }
            | LinkOperation::Unreachable { time, .. } => time,
        }
    }

    /// By how much the operation delays messages.
    pub fn delays(&mut self) -> Option<&mut Duration> {
        match self {
            LinkOperation::Noise { by, .. } | LinkOperation::SlowLink { by, .. } => Some(by),
            LinkOperation::Cut { .. }
            | LinkOperation::Flaky { .. }
            | LinkOperation::Unreachable { .. } => None,
        }
    }
}
