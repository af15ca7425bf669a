//! The loss of a majority of the disks, late in some runs. No algorithm survives it: what was
//! acknowledged may be lost. But the servers that are left must not follow a cluster that the new
//! disks found, and must say what they miss.

use super::{Draft, later, rounded};
use crate::duration::DurationRange;
use crate::intensity::FaultKind;
use crate::random::Random;
use crate::schedule::{MachineOperation, NemesisOperation, Place, ReplacementDisk, Target};
use core::time::Duration;
use raft_proto::Time;

/// In one of so many runs whose disks have incarnations and are lost.
const ONE_OF: u64 = 10;

/// The operations, in the order of their times.
pub(super) fn draw(draft: &Draft) -> Vec<(Time, NemesisOperation)> {
    let (request, nodes) = (&draft.request, u64::from(draft.settings.nodes));
    let mut random = Random::new(request.seed, "majority");
    let is_drawn = random.below(ONE_OF) == 0;
    let are_lost = draft.intensities.get(FaultKind::Replace) > 0;
    if !is_drawn || !are_lost || !draft.settings.core.incarnations || nodes < 3 {
        return Vec::new();
    }
    // Late, since little happens afterwards.
    let time = request.time;
    let mut at = later(Time::ZERO, random.duration(time / 2, time * 9 / 10));
    let first = random.below(nodes);
    // At least one is left.
    let lost = random.between(nodes / 2 + 1, nodes - 1);
    let mut operations = Vec::new();
    for offset in 0..lost {
        let place = Place(((first + offset) % nodes) as usize); // below the number of nodes
        let outage = DurationRange::micros(1_000, 2_000_000).draw(&mut random);
        let operation = NemesisOperation::at(
            Target::Node(place),
            MachineOperation::Replace {
                with: ReplacementDisk::EmptyAnyway,
                time: rounded(outage),
            },
        );
        operations.push((at, operation));
        at = later(
            at,
            random.duration(Duration::ZERO, Duration::from_millis(300)),
        );
    }
    operations
}
