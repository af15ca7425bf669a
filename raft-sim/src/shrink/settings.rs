//! Simpler settings: defaults, fixed values, or features switched off.

use crate::availability::Condition;
use crate::duration::{DurationRange, HumanDuration};
use crate::release::Releases;
use crate::schedule::{MachineOperation, NemesisOperation, Schedule};
use crate::settings::{CoreSettings, Heal, Settings};
use core::time::Duration;
use raft_proto::{Config, NodeId, Start};

type Change = fn(&mut Settings);

/// Changes of the rules of a run.
const RULES: [Change; 24] = [
    |settings| settings.heal = Heal::All,
    |settings| settings.condition = Condition::None,
    |settings| settings.drift_ppm.clear(),
    |settings| settings.priorities.clear(),
    |settings| settings.core.max_resident_bytes = None,
    |settings| settings.core.lease_max_drift_ppm = None,
    |settings| {
        settings.core.check_quorum = false;
        settings.core.lease_max_drift_ppm = None;
    },
    |settings| settings.core.pre_vote = false,
    |settings| {
        settings.core.incarnations = false;
        settings.core.named_founders = false;
    },
    |settings| settings.core.named_founders = false,
    |settings| settings.limits.clear(),
    |settings| settings.releases = Releases::default(),
    |settings| settings.releases.changes = 0,
    |settings| settings.core.max_waiting_reads = defaults().max_waiting_reads,
    |settings| settings.core.max_transfer_log_bytes = defaults().max_transfer_log_bytes,
    |settings| default_times(settings),
    |settings| settings.core.same_seeds = 0,
    |settings| settings.network.reports_loss = 0,
    |settings| settings.network.reports_ends = 0,
    |settings| settings.core.lease_promise = None,
    |settings| settings.service.saves_every = None,
    |settings| settings.service.restore_time = DurationRange::micros(0, 0),
    |settings| settings.service.apply_time = DurationRange::micros(0, 0),
    |settings| settings.service.snapshot_time = DurationRange::micros(0, 0),
];

/// Changes that make a schedule easier to read.
const DETAILS: [Change; 18] = [
    |settings| default_limits(settings),
    |settings| settings.core.max_entry_bytes = defaults().max_entry_bytes,
    |settings| settings.core.max_append_bytes = defaults().max_append_bytes,
    |settings| settings.core.max_inflight_appends = defaults().max_inflight_appends,
    |settings| settings.core.max_inflight_bytes = defaults().max_inflight_bytes,
    |settings| settings.core.max_uncommitted_bytes = defaults().max_uncommitted_bytes,
    |settings| settings.core.max_unapplied_bytes = defaults().max_unapplied_bytes,
    |settings| default_tail(&mut settings.core),
    |settings| settings.core.snapshot_chunk_bytes = defaults().snapshot_chunk_bytes,
    |settings| settings.core.commit_notice_delay = HumanDuration::default(),
    |settings| settings.core.max_promotion_lag = defaults().max_promotion_lag,
    |settings| settings.network.delay = DurationRange::micros(1_000, 1_000),
    |settings| settings.disk.sync = DurationRange::micros(1_000, 1_000),
    |settings| settings.disk.parallel_syncs = 1,
    |settings| settings.service.max_sessions = 10,
    |settings| settings.service.snapshot_every = 1_000,
    |settings| settings.service.snapshot_bytes = 32,
    |settings| {
        settings.clients.max_value = 8;
        settings.clients.attempt = HumanDuration(Duration::from_millis(500));
        settings.clients.give_up_after = HumanDuration(Duration::from_secs(5));
    },
];

/// The number of rules.
pub(super) const fn rules() -> usize {
    RULES.len()
}

/// The number of details.
pub(super) const fn details() -> usize {
    DETAILS.len()
}

/// The schedule with one rule changed; `None` if that changes nothing.
pub(super) fn rule(schedule: &Schedule, which: usize) -> Option<Schedule> {
    changed(schedule, RULES.get(which)?)
}

/// The schedule with one detail changed; `None` if that changes nothing.
pub(super) fn detail(schedule: &Schedule, which: usize) -> Option<Schedule> {
    changed(schedule, DETAILS.get(which)?)
}

fn changed(schedule: &Schedule, change: &Change) -> Option<Schedule> {
    let mut settings = schedule.settings.clone();
    change(&mut settings);
    if settings == schedule.settings || settings.validate().is_err() {
        return None;
    }
    // Without Pre-Vote, a server that was removed and does not know it would disturb the others for
    // ever.
    let changes = |operation: &NemesisOperation| {
        matches!(
            operation,
            NemesisOperation::Change { .. }
                | NemesisOperation::AtMachine {
                    operation: MachineOperation::Replace { .. },
                    ..
                }
        )
    };
    let has_churn = schedule
        .nemesis
        .iter()
        .any(|(_, operation)| changes(operation));
    if has_churn && settings.core.pre_vote != schedule.settings.core.pre_vote {
        return None;
    }
    Some(Schedule {
        settings,
        ..schedule.clone()
    })
}

fn defaults() -> Config {
    use raft_proto::ClusterId;
    Config::new(ClusterId(7), NodeId(1), Start::Join, 0)
}

fn default_times(settings: &mut Settings) {
    let (core, usual) = (&mut settings.core, defaults());
    core.election_timeout_min = HumanDuration(usual.election_timeout_min);
    core.election_timeout_max = HumanDuration(usual.election_timeout_max);
    core.heartbeat_interval = HumanDuration(usual.heartbeat_interval);
    core.append_timeout = HumanDuration(usual.append_timeout);
}

/// What stays of the log before a snapshot's end.
fn default_tail(core: &mut CoreSettings) {
    let usual = defaults();
    core.trailing_entries = usual.trailing_entries;
    core.trailing_bytes = usual.trailing_bytes;
    core.max_trailing_bytes = usual.max_trailing_bytes;
}

/// The limits of the core's defaults.
pub(crate) fn default_limits(settings: &mut Settings) {
    let (core, usual) = (&mut settings.core, defaults());
    core.max_entry_bytes = usual.max_entry_bytes;
    core.max_append_bytes = usual.max_append_bytes;
    core.max_inflight_appends = usual.max_inflight_appends;
    core.max_inflight_bytes = usual.max_inflight_bytes;
    core.max_uncommitted_bytes = usual.max_uncommitted_bytes;
    core.max_unapplied_bytes = usual.max_unapplied_bytes;
    default_tail(core);
    core.snapshot_chunk_bytes = usual.snapshot_chunk_bytes;
    core.commit_notice_delay = HumanDuration::default();
    core.max_promotion_lag = usual.max_promotion_lag;
}
