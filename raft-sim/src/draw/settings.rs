//! The settings that a seed draws.

use crate::availability::Condition;
use crate::duration::{DurationRange, HumanDuration};
use crate::features::{CoreFeatures, Features};
use crate::intensity::{FaultKind, Intensities};
use crate::random::Random;
use crate::release::Releases;
use crate::request::{Faults, Request};
use crate::settings::{
    ClientSettings, CoreSettings, DiskSettings, Heal, NetworkSettings, ServiceSettings, Settings,
};
use core::time::Duration;
use raft_proto::{ClusterId, Config, ENTRY_OVERHEAD, NodeId, Start};

/// A value in `wild` runs, another in all others.
fn by<T>(faults: Faults, ordinary: T, wild: T) -> T {
    match faults {
        Faults::None | Faults::Mild => ordinary,
        Faults::Wild => wild,
    }
}

/// `value` in half of the runs of a kind, else 0.
fn sometimes(random: &mut Random, value: u64) -> u64 {
    if random.chance(500) { value } else { 0 }
}

/// Draws the settings. Leases may rely on clocks that do not jump, so a seed that draws both leases
/// and jumps gets only one of them.
pub(super) fn draw(
    request: &Request,
    intensities: &mut Intensities,
    random: &mut Random,
) -> Settings {
    let faults = request.faults;
    let churns = [FaultKind::Change, FaultKind::Return];
    let has_churn = churns.iter().any(|kind| intensities.get(*kind) > 0);
    let mut features =
        CoreFeatures::draw(request.features, has_churn, &mut random.fork("features"));
    if features.lease_max_drift_ppm.is_some() && request.overrides.get(FaultKind::Jump).is_none() {
        intensities.set(FaultKind::Jump, 0);
    }
    if features.lease_max_drift_ppm.is_some() && request.features == Features::Drawn {
        let insists = request
            .overrides
            .get(FaultKind::Jump)
            .is_some_and(|jump| jump > 0);
        features.lease_max_drift_ppm = features.lease_max_drift_ppm.filter(|_| !insists);
    }
    // One spare for a member that is replaced, and one for an additional member.
    let spares = if has_churn { 2 } else { 0 };
    let heal = if faults != Faults::None && random.chance(500) {
        Heal::Quorum
    } else {
        Heal::All
    };
    let servers = u64::from(request.nodes + spares);
    let mut clocks = random.fork("clocks");
    let drift = drift_bound(&features, intensities.get(FaultKind::Drift));
    let drift = (0..servers).map(|_| clocks.between(0, 2 * drift) as i32 - drift as i32);
    let priorities = (0..request.nodes).map(|_| {
        if features.has_priorities {
            random.between(0, 2) as u8 // at most 2
        } else {
            0
        }
    });
    Settings {
        nodes: request.nodes,
        spares,
        heal,
        condition: Condition::None, // Drawn when all else is known.
        checks: request.checks,
        priorities: priorities.collect(),
        drift_ppm: drift.collect(),
        limits: Vec::new(),
        releases: Releases::default(),
        core: core(faults, &features, &mut random.fork("core")),
        network: NetworkSettings {
            delay: DurationRange::micros(random.between(50, 2_000), random.between(2_000, 10_000)),
            reports_loss: 0,
            reports_ends: 0,
        },
        disk: DiskSettings {
            sync: DurationRange::micros(random.between(20, 500), random.between(500, 5_000)),
            parallel_syncs: random.between(1, 4) as u32, // at most 4
            read: DurationRange::micros(0, sometimes(random, by(faults, 2_000, 40_000))),
        },
        service: service(faults, intensities, &mut random.fork("service")),
        clients: clients(&mut random.fork("clients")),
    }
}

/// The bound on clocks' drift, in parts per million. Leases hold as long as clocks keep to the
/// configured bound; everything else holds whatever clocks do.
fn drift_bound(features: &CoreFeatures, intensity: u8) -> u64 {
    /// A twentieth: no clock that works is as bad.
    const BAD: u64 = 50_000;
    let bound = features.lease_max_drift_ppm.map_or(BAD, u64::from);
    bound * u64::from(intensity) / 100
}

fn core(faults: Faults, features: &CoreFeatures, random: &mut Random) -> CoreSettings {
    const MIB: u64 = 1 << 20;
    let usual = Config::new(ClusterId(7), NodeId(1), Start::Join, 0);
    let mut core = CoreSettings {
        max_entry_bytes: MIB,
        max_append_bytes: MIB + ENTRY_OVERHEAD,
        max_inflight_appends: random.between(1, 64) as u32, // at most 64
        max_inflight_bytes: 8 * MIB,
        max_uncommitted_bytes: 64 * MIB,
        max_unapplied_bytes: 16 * MIB,
        trailing_entries: random.between(0, 500),
        trailing_bytes: 0,
        max_trailing_bytes: None,
        snapshot_chunk_bytes: random.between(256, 4096),
        commit_notice_delay: HumanDuration::default(),
        max_promotion_lag: random.between(0, 200),
        max_resident_bytes: features.max_resident_bytes,
        // Without it, the entries of earlier terms wait for a command (Figure 8).
        leader_noop: !random.chance(200),
        pre_vote: features.pre_vote,
        check_quorum: features.check_quorum,
        lease_max_drift_ppm: features.lease_max_drift_ppm,
        lease_promise: None,
        max_waiting_reads: usual.max_waiting_reads,
        election_timeout_min: HumanDuration(usual.election_timeout_min),
        election_timeout_max: HumanDuration(usual.election_timeout_max),
        heartbeat_interval: HumanDuration(usual.heartbeat_interval),
        append_timeout: HumanDuration(usual.append_timeout),
        max_transfer_log_bytes: usual.max_transfer_log_bytes,
        same_seeds: 0,
        incarnations: features.incarnations,
        named_founders: features.named_founders,
    };
    if faults == Faults::Wild {
        core.max_entry_bytes = random.between(1024, 4096);
        let entry = core.max_entry_bytes + ENTRY_OVERHEAD;
        core.max_append_bytes = entry + random.below(4096);
        core.max_inflight_appends = random.between(1, 8) as u32; // at most 8
        core.max_inflight_bytes = core.max_append_bytes + random.below(1 << 16);
        core.max_uncommitted_bytes = 32 * entry + random.below(1 << 18);
        core.max_unapplied_bytes = entry + random.below(1 << 16);
        core.trailing_entries = sometimes(random, 50);
        core.snapshot_chunk_bytes = random.between(32, 1024);
        core.commit_notice_delay = HumanDuration(Duration::from_millis(sometimes(random, 20)));
    }
    let mut tail = random.fork("tail");
    core.trailing_bytes = sometimes(&mut tail, by(faults, 100_000, 2_000));
    if tail.chance(300) {
        core.max_trailing_bytes = Some(tail.below(by(faults, 200_000, 4_000)));
    }
    core
}

fn service(faults: Faults, intensities: &Intensities, random: &mut Random) -> ServiceSettings {
    let every = random.between(by(faults, 500, 20), by(faults, 5_000, 500));
    let often = random.between(5, 40);
    ServiceSettings {
        // Sometimes fewer than there are clients, so that sessions are evicted.
        max_sessions: random.between(2, 10) as u32, // at most 10
        snapshot_every: if intensities.get(FaultKind::Snapshot) > 0 {
            often
        } else {
            every
        },
        snapshot_bytes: random.between(32, by(faults, 16_384, 4_096)),
        snapshot_time: DurationRange::micros(0, 50_000),
        apply_time: DurationRange::micros(0, sometimes(random, by(faults, 1_000, 50_000))),
        restore_time: DurationRange::zero(),
        saves_every: None,
    }
}

fn clients(random: &mut Random) -> ClientSettings {
    let millis = |from, to, random: &mut Random| {
        HumanDuration(Duration::from_millis(random.between(from, to) / 10 * 10))
    };
    ClientSettings {
        clients: random.between(2, 8) as u32, // at most 8
        max_value: random.between(8, 200),
        attempt: millis(150, 1_500, random),
        give_up_after: millis(2_000, 10_000, random),
    }
}
