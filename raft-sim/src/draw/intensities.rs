//! How hard each kind of fault strikes, drawn.

use crate::features::Features;
use crate::intensity::{FaultKind, Intensities, WORST};
use crate::random::Random;
use crate::request::{Faults, Request};

/// The intensities that a seed draws. Those that the request gives are not drawn.
pub(super) fn draw(request: &Request, random: &mut Random) -> Intensities {
    let most = match request.faults {
        Faults::None => 0,
        Faults::Mild => 5,
        Faults::Wild => u64::from(WORST),
    };
    let mut drawn = Intensities::default();
    for kind in FaultKind::ALL {
        // Both numbers are drawn in any case: the dice for one kind decide nothing about another.
        let (on, hard) = (random.chance(500), random.between(1, u64::from(WORST)));
        let intensity = match kind {
            // The operator has to take a node out before it may come back.
            FaultKind::Return if drawn.get(FaultKind::Change) == 0 => 0,
            FaultKind::Change | FaultKind::Transfer | FaultKind::Return => match request.features {
                Features::None => 0,
                Features::Drawn => u64::from(on) * hard,
                Features::All => hard,
            },
            // In one run of seven.
            FaultKind::ByHand => match request.features {
                Features::None => 0,
                Features::Drawn => u64::from(on && hard > 70) * hard,
                Features::All => hard,
            },
            // In one run of four.
            FaultKind::Reconfigure => u64::from(on && hard > 50) * (hard * most).div_ceil(100),
            FaultKind::Snapshot if most > 0 => u64::from(on) * hard,
            FaultKind::Loss
            | FaultKind::Late
            | FaultKind::Duplicate
            | FaultKind::Corrupt
            | FaultKind::Split
            | FaultKind::OneWay
            | FaultKind::Flaky
            | FaultKind::SlowLink
            | FaultKind::Pause
            | FaultKind::SlowNode
            | FaultKind::Crash
            | FaultKind::CrashAll
            | FaultKind::Kill
            | FaultKind::SlowDisk
            | FaultKind::FailWrite
            | FaultKind::FailRead
            | FaultKind::Rot
            | FaultKind::Damage
            | FaultKind::Replace
            | FaultKind::Drift
            | FaultKind::Jump
            | FaultKind::Snapshot
            | FaultKind::Unreachable
            | FaultKind::SlowRead
            | FaultKind::FlakyDisk
            | FaultKind::SlowService
            | FaultKind::SlowRestore
            | FaultKind::Compact
            | FaultKind::Partial
            | FaultKind::Seeds
            | FaultKind::Decay
            | FaultKind::Limits
            | FaultKind::Upgrade => u64::from(on) * (hard * most).div_ceil(100),
        };
        drawn.set(kind, intensity as u8); // at most 100
    }
    for kind in FaultKind::ALL {
        if let Some(given) = request.overrides.get(kind) {
            drawn.set(kind, given);
        }
    }
    drawn
}
