//! What a seed draws for a run of the kit.

use crate::availability::Condition;
use crate::draw::Draft;
use crate::intensity::{FaultKind, Override, Overrides};
use crate::random::Random;
use crate::request::{Faults, Request};
use crate::schedule::{
    ClientOperation, MachineOperation, NemesisOperation, OperationKind, Place, Schedule, Target,
};
use crate::shrink::default_limits;
use core::time::Duration;
use raft_proto::Time;

/// What the user fixes of all runs.
#[derive(Clone, Debug)]
pub(super) struct Fixed {
    /// How many servers; `None`: 3 or 5.
    pub(super) nodes: Option<u32>,
    pub(super) time: Duration,
    pub(super) faults: Faults,
    /// Commands in a second; `None`: it is drawn.
    pub(super) rate: Option<u32>,
    pub(super) overrides: Overrides,
}

/// Numbers from which commands are drawn are below this one: short enough to read.
const NUMBERS: u64 = 1_000_000;

/// A snapshot after so many entries, at most.
const MOST_ENTRIES: u64 = 30;

/// The schedule of a seed. `faults` is how many faults of the user's own there are.
pub(super) fn schedule(fixed: &Fixed, faults: usize, seed: u64) -> Schedule {
    let mut random = Random::new(seed, "kit");
    let drawn = random.choose(&[3, 5]).copied().unwrap_or(3);
    let mut request = Request {
        rate: fixed.rate,
        condition: Some(Condition::None),
        ..Request::new(seed, fixed.nodes.unwrap_or(drawn), fixed.time, fixed.faults)
    };
    request.overrides = overrides(fixed.overrides);
    let mut schedule = Draft::new(request).schedule();
    let settings = &mut schedule.settings;
    // Tiny limits find mistakes of the core, and keep the service's commands out.
    default_limits(settings);
    settings.limits.clear();
    settings.core.trailing_entries = random.below(2) * random.below(20);
    settings.core.snapshot_chunk_bytes = random.between(512, 16_384);
    settings.service.snapshot_every = random.between(1, MOST_ENTRIES);
    // The kit's state machines are in memory.
    settings.service.saves_every = None;
    for (_, operation) in &mut schedule.operations {
        operation.kind = OperationKind::Call(random.below(NUMBERS));
    }
    strike(&mut schedule, faults, &mut random);
    schedule
}

/// Two releases, and limits that differ, concern the core alone.
fn overrides(given: Overrides) -> Overrides {
    let off = [FaultKind::Upgrade, FaultKind::Limits];
    let off = off.into_iter().filter(|kind| given.get(*kind).is_none());
    off.fold(given, |overrides, kind| {
        overrides.with(Override { kind, intensity: 0 })
    })
}

/// Adds strikes of the user's own faults: each kind in half of the seeds.
fn strike(schedule: &mut Schedule, faults: usize, random: &mut Random) {
    let servers = u64::from(schedule.settings.servers());
    let faults = u32::try_from(faults).unwrap_or(u32::MAX);
    for fault in 0..faults {
        let mut random = random.fork("strikes");
        if random.chance(500) {
            continue;
        }
        let most = Duration::from_millis(random.between(100, 4_000));
        let mut at = Time::ZERO;
        loop {
            at = at.after(random.duration(Duration::ZERO, most));
            at = Time(at.0 / 1_000 * 1_000); // As files write it.
            if at >= Time::from_epoch(schedule.time) {
                break;
            }
            let place = Place(random.below(servers) as usize); // There are a few.
            let of = if random.chance(300) {
                Target::Leader
            } else {
                Target::Node(place)
            };
            let operation = NemesisOperation::at(of, MachineOperation::Strike { fault });
            schedule.nemesis.push((at, operation));
        }
    }
    schedule.nemesis.sort_by_key(|(at, _)| *at);
}

/// The run made harder: a snapshot after each entry or two, and nothing kept behind it. What goes
/// wrong because of snapshots then needs fewer commands.
pub(super) fn with_more_snapshots(schedule: &Schedule) -> impl Iterator<Item = Schedule> {
    const EVERY: [u64; 3] = [1, 2, 4];
    const SEEDS: u64 = 4;
    let every = EVERY.into_iter();
    let every = every.filter(|every| *every < schedule.settings.service.snapshot_every);
    every.flat_map(move |every| {
        (0..SEEDS).map(move |at| {
            let mut harder = schedule.clone();
            harder.seed = harder.seed.wrapping_add(at);
            harder.settings.service.snapshot_every = every;
            harder.settings.core.trailing_entries = 0;
            harder
        })
    })
}

/// Whether the schedule has commands of a service of the user's own.
pub(super) fn is_of_kit(schedule: &Schedule) -> bool {
    let is_call = |operation: &ClientOperation| matches!(operation.kind, OperationKind::Call(_));
    schedule.operations.iter().all(|(_, it)| is_call(it))
}
