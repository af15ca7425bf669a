//! Settings that make rare inputs frequent: timeouts other than the defaults, bounds that are
//! reached, services that are slow or durable by themselves, long transfers, equal seeds, differing
//! limits, two releases. Each is drawn from a stream of its own.

use crate::duration::{DurationRange, HumanDuration};
use crate::intensity::{FaultKind, Intensities};
use crate::random::Random;
use crate::release::Releases;
use crate::request::{Faults, Request};
use crate::settings::{CoreSettings, NodeLimits, ServiceSettings, Settings};
use core::time::Duration;
use raft_proto::ENTRY_OVERHEAD;

/// Draws them, in place of what `settings` hold.
pub(super) fn draw(settings: &mut Settings, request: &Request, intensities: &Intensities) {
    let stream = |label| Random::new(request.seed, label);
    let is_wild = request.faults == Faults::Wild;
    timeouts(&mut settings.core, &mut stream("timeouts"));
    durable_service(&mut settings.service, &mut stream("durable service"));
    if is_wild {
        let value = settings.clients.max_value;
        bounds(&mut settings.core, value, &mut stream("bounds"));
        long_transfers(settings, &mut stream("transfers"));
    }
    slow_network(settings, &mut stream("slow network"));
    let lost_leaders = &mut stream("lost leaders");
    lease_promise(&mut settings.core, lost_leaders);
    settings.network.reports_ends = if lost_leaders.chance(500) { 900 } else { 0 };
    let per_mille = |kind, most| u32::from(intensities.get(kind)) * most / 100;
    settings.network.reports_loss = per_mille(FaultKind::Unreachable, 500);
    let restore = u64::from(intensities.get(FaultKind::SlowRestore));
    if restore > 0 {
        slow_restores(settings, restore, &mut stream("restores"));
    }
    settings.core.same_seeds = per_mille(FaultKind::Seeds, 1_000);
    if intensities.get(FaultKind::Limits) > 0 {
        differing_limits(settings, &mut stream("limits"));
    }
    let upgrades = u64::from(intensities.get(FaultKind::Upgrade));
    if upgrades > 0 {
        two_releases(settings, upgrades, &mut stream("releases"));
    }
}

fn millis(millis: u64) -> HumanDuration {
    HumanDuration(Duration::from_millis(millis))
}

/// The timeouts of the core, within its rules.
fn timeouts(core: &mut CoreSettings, random: &mut Random) {
    if !random.chance(500) {
        return;
    }
    let least = random.between(150, 1_200);
    let most = least + random.between(least / 5, 2 * least);
    core.election_timeout_min = millis(least);
    core.election_timeout_max = millis(most.min(2_500));
    core.heartbeat_interval = millis(random.between((least / 20).max(15), least / 3));
    core.append_timeout = millis(random.between(5, 2 * least));
}

/// In some runs a message takes longer than a heartbeat interval to come back. Elections must still
/// be possible: their timeouts are greater than a round trip.
fn slow_network(settings: &mut Settings, random: &mut Random) {
    if !random.chance(100) {
        return;
    }
    let (least, most) = (random.between(10, 60), random.between(60, 150));
    settings.network.delay = DurationRange::micros(least * 1_000, most * 1_000);
    let core = &mut settings.core;
    let election = core.election_timeout_min.0.max(millis(5 * most).0);
    core.election_timeout_min = HumanDuration(election);
    core.election_timeout_max = HumanDuration(core.election_timeout_max.0.max(election * 2));
    core.heartbeat_interval = millis(random.between(least, most));
    // Chunks go one by one: a snapshot must not take longer than the cluster has to recover.
    let chunk = (settings.service.snapshot_bytes + 4_096) / 16;
    core.snapshot_chunk_bytes = core.snapshot_chunk_bytes.max(chunk);
    // A request takes three round trips until its answer comes.
    settings.clients.attempt = settings.clients.attempt.max(millis(10 * most));
    settings.clients.give_up_after = settings.clients.give_up_after.max(millis(30 * most));
}

/// In some runs leases are shorter than the election timeout, down to a heartbeat interval.
fn lease_promise(core: &mut CoreSettings, random: &mut Random) {
    let (is_short, part) = (random.chance(500), random.between(1, 1_000));
    let (least, most) = (core.heartbeat_interval.0, core.election_timeout_min.0);
    if is_short && core.lease_max_drift_ppm.is_some() {
        let beyond = (most - least).as_millis() as u64; // timeouts are at most some seconds
        let promise = least + Duration::from_millis((beyond * part / 1_000).max(1));
        core.lease_promise = Some(HumanDuration(promise));
    }
}

/// In some runs the service saves its state by itself: after each entry, or now and then.
fn durable_service(service: &mut ServiceSettings, random: &mut Random) {
    let (is_durable, saves_all) = (random.chance(400), random.chance(400));
    let every = random.between(2, 60);
    service.saves_every = is_durable.then_some(if saves_all { 1 } else { every });
}

/// Limits so small that a few clients, whose values have up to `value` bytes, reach them.
fn bounds(core: &mut CoreSettings, value: u64, random: &mut Random) {
    let (has_few, reads) = (random.chance(300), random.between(1, 6));
    let (is_short, uncommitted) = (random.chance(300), random.below(1_000));
    let (is_tight, unapplied) = (random.chance(300), random.below(256));
    if has_few {
        core.max_waiting_reads = reads as u32; // at most 6
    }
    if is_short {
        core.max_entry_bytes = value + Settings::BESIDE_VALUE;
        core.max_uncommitted_bytes = core.max_entry_bytes + ENTRY_OVERHEAD + uncommitted;
    }
    if is_tight {
        core.max_unapplied_bytes = core.max_entry_bytes + ENTRY_OVERHEAD + unapplied;
    }
}

/// Snapshots of many chunks: much happens while one is sent.
fn long_transfers(settings: &mut Settings, random: &mut Random) {
    let (is_long, size) = (random.chance(150), random.between(4_096, 16_384));
    let chunk = random.between(128, 512);
    if is_long {
        settings.service.snapshot_bytes = size;
        settings.core.snapshot_chunk_bytes = chunk;
    }
}

/// Services take long to open a snapshot. In half of these runs the leader keeps no log for a
/// follower that is sent one: it soon needs another one, while its service opens the first.
fn slow_restores(settings: &mut Settings, intensity: u64, random: &mut Random) {
    settings.service.restore_time = DurationRange::micros(0, intensity * 20_000);
    if random.chance(500) {
        settings.core.max_transfer_log_bytes = 0;
    }
}

/// Servers of two releases, which restarts change.
fn two_releases(settings: &mut Settings, intensity: u64, random: &mut Random) {
    let newer = random.between(0, 1_000);
    let servers = 0..settings.nodes + settings.spares;
    settings.releases = Releases {
        first: servers.map(|_| u32::from(random.chance(newer))).collect(),
        changes: random.between(0, intensity * 10) as u32, // at most 1,000
    };
}

/// Some servers take less than others: commands that those take may be too long for these.
fn differing_limits(settings: &mut Settings, random: &mut Random) {
    let core = &mut settings.core;
    // A change of the members is an entry, too, and must fit.
    let least = 100 + settings.clients.max_value / 2;
    let limits = (0..settings.nodes + settings.spares).map(|_| {
        let (is_small, small) = (random.chance(500), random.between(least, least + 100));
        let usual = core.max_entry_bytes;
        let max_entry_bytes = if is_small { small.min(usual) } else { usual };
        NodeLimits {
            max_entry_bytes,
            max_append_bytes: max_entry_bytes + ENTRY_OVERHEAD + random.below(4_096),
        }
    });
    settings.limits = limits.collect();
    let appends = settings.limits.iter().map(|node| node.max_append_bytes);
    let most = appends.max().unwrap_or(0);
    core.max_inflight_bytes = core.max_inflight_bytes.max(most);
}
