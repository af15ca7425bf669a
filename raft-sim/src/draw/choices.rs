//! What the operations of the nemesis have in common: which machines they strike, and for how long.

use super::rounded;
use crate::duration::DurationRange;
use crate::intensity::{FaultKind, Intensities};
use crate::random::Random;
use crate::schedule::{Place, Target};
use core::time::Duration;

/// Draws machines, kinds of faults and durations.
pub(super) struct Choices {
    pub(super) random: Random,
    pub(super) servers: u64,
    pub(super) intensities: Intensities,
}

impl Choices {
    pub(super) fn any(&mut self) -> Place {
        Place(self.random.below(self.servers) as usize)
    }

    /// The leader in so many of a thousand cases, else any machine.
    pub(super) fn target(&mut self, leader: u64) -> Target {
        let any = self.any();
        if self.random.chance(leader) {
            Target::Leader
        } else {
            Target::Node(any)
        }
    }

    /// Two different machines, if there are two.
    pub(super) fn link(&mut self) -> (Place, Place) {
        let from = self.any();
        let others = self.servers.saturating_sub(1).max(1);
        let other = self.random.between(1, others);
        let to = (from.0 as u64 + other) % self.servers;
        (from, Place(to as usize))
    }

    /// A duration from `least` to at most `most` more, which is longer the harder a kind strikes.
    pub(super) fn duration(&mut self, kind: FaultKind, least: u64, most: u64) -> Duration {
        let most = least + most * u64::from(self.intensities.get(kind)) / 100;
        rounded(DurationRange::micros(least, most.max(least + 10)).draw(&mut self.random))
    }

    /// One of `kinds`, the harder ones more often.
    pub(super) fn kind(&mut self, kinds: &[FaultKind]) -> Option<FaultKind> {
        let intensities = self.intensities;
        let weight = |kind: &FaultKind| u64::from(intensities.get(*kind));
        let mut draw = self.random.below(kinds.iter().map(weight).sum());
        kinds.iter().copied().find(|kind| {
            let is_hit = draw < weight(kind);
            draw = draw.saturating_sub(weight(kind));
            is_hit
        })
    }
}
