//! The settings of a run: the cluster, its disks and network without faults, its service and its
//! clients. A schedule file holds the same fields.

use crate::availability::Condition;
use crate::duration::{DurationRange, HumanDuration};
use crate::release::Releases;
use crate::request::Checks;
use core::time::Duration;
use raft_proto::{
    CheckQuorum, ClusterId, Config, Incarnation, LeaderNoop, Lease, Level, Member, NodeId,
    PreVoting, Start,
};
use serde::{Deserialize, Serialize};

/// All of a run except the operations of its nemesis and its clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How many servers the cluster begins with.
    pub nodes: u32,
    /// Spare servers, which may become members.
    pub spares: u32,
    /// Which machines heal once all faults are over.
    pub heal: Heal,
    /// What stays in a phase between the faults and the recovery. Left out: there is none.
    #[serde(default, skip_serializing_if = "is_none")]
    pub condition: Condition,
    /// Which checks judge the run. Left out: the checkers.
    #[serde(default, skip_serializing_if = "Checks::are_usual")]
    pub checks: Checks,
    /// The priorities of the first members, in the order of their ids; 0 for those left out.
    pub priorities: Vec<u8>,
    /// By how many parts in a million each server's clock is too fast; 0 for those left out.
    pub drift_ppm: Vec<i32>,
    /// The limits of each server, where they differ from those of `core`, as during a rolling
    /// change of the config; those left out have those of `core`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<NodeLimits>,
    /// Which releases the servers run. Left out: one.
    #[serde(default, skip_serializing_if = "Releases::are_equal")]
    pub releases: Releases,
    /// The cores' config, where it differs from the defaults.
    pub core: CoreSettings,
    /// How messages travel.
    pub network: NetworkSettings,
    /// How storage behaves.
    pub disk: DiskSettings,
    /// The replicated service.
    pub service: ServiceSettings,
    /// The clients of the service.
    pub clients: ClientSettings,
}

/// The limits of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each is a field of Config, which says what it is"
)]
pub struct NodeLimits {
    pub max_entry_bytes: u64,
    pub max_append_bytes: u64,
}

/// Which machines heal once all faults are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Heal {
    /// Every machine.
    All,
    /// As few as a quorum needs, at random: the others stay down or cut off.
    Quorum,
}

/// The fields of [`Config`] that a run sets, under their own names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each is a field of Config, which says what it is"
)]
pub struct CoreSettings {
    pub max_entry_bytes: u64,
    pub max_append_bytes: u64,
    pub max_inflight_appends: u32,
    pub max_inflight_bytes: u64,
    pub max_uncommitted_bytes: u64,
    pub max_unapplied_bytes: u64,
    pub trailing_entries: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub trailing_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_trailing_bytes: Option<u64>,
    pub snapshot_chunk_bytes: u64,
    pub commit_notice_delay: HumanDuration,
    pub max_promotion_lag: u64,
    /// Left out: all of the log stays in memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_resident_bytes: Option<u64>,
    pub leader_noop: bool,
    pub pre_vote: bool,
    pub check_quorum: bool,
    /// The bound on clocks' drift in parts per million where leases are on; left out: they are off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_max_drift_ppm: Option<u32>,
    /// What leaders with leases ask voters to promise; left out: `election_timeout_min`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_promise: Option<HumanDuration>,
    #[serde(default = "usual::max_waiting_reads")]
    pub max_waiting_reads: u32,
    #[serde(default = "usual::election_timeout_min")]
    pub election_timeout_min: HumanDuration,
    #[serde(default = "usual::election_timeout_max")]
    pub election_timeout_max: HumanDuration,
    #[serde(default = "usual::heartbeat_interval")]
    pub heartbeat_interval: HumanDuration,
    #[serde(default = "usual::append_timeout")]
    pub append_timeout: HumanDuration,
    #[serde(default = "usual::max_transfer_log_bytes")]
    pub max_transfer_log_bytes: u64,
    /// Of a thousand restarts, so many have the `seed` of the start before.
    #[serde(default)]
    pub same_seeds: u32,
    /// Whether each disk has an incarnation.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub incarnations: bool,
    /// Whether the founders' lists name the incarnations of their disks. Otherwise the founding
    /// leader names them, as their votes carry them.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub named_founders: bool,
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// The defaults of the core, for files of earlier releases.
mod usual {
    use crate::duration::HumanDuration;
    use raft_proto::{ClusterId, Config, NodeId, Start};

    fn config() -> Config {
        Config::new(ClusterId(7), NodeId(1), Start::Join, 0)
    }

    pub(super) fn max_waiting_reads() -> u32 {
        config().max_waiting_reads
    }

    pub(super) fn max_transfer_log_bytes() -> u64 {
        config().max_transfer_log_bytes
    }

    pub(super) fn election_timeout_min() -> HumanDuration {
        HumanDuration(config().election_timeout_min)
    }

    pub(super) fn election_timeout_max() -> HumanDuration {
        HumanDuration(config().election_timeout_max)
    }

    pub(super) fn heartbeat_interval() -> HumanDuration {
        HumanDuration(config().heartbeat_interval)
    }

    pub(super) fn append_timeout() -> HumanDuration {
        HumanDuration(config().append_timeout)
    }
}

/// How messages travel without faults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSettings {
    /// The time that a message takes.
    pub delay: DurationRange,
    /// Of a thousand messages that a link drops, the sender's transport notices so many, and says
    /// that the peer is [`Unreachable`](raft_proto::Input::Unreachable).
    #[serde(default)]
    pub reports_loss: u32,
    /// When a process ends, its connections are closed. Of a thousand peers, so many notice, and say
    /// that it is unreachable. Where the power fails, nobody notices.
    #[serde(default)]
    pub reports_ends: u32,
}

/// How storage behaves without faults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskSettings {
    /// The time that a sync takes.
    pub sync: DurationRange,
    /// The time that it takes to read entries, and to read or write a chunk of a snapshot. Zero:
    /// the disk answers at once.
    pub read: DurationRange,
    /// How many syncs run at the same time. Writes issued meanwhile share the next sync.
    pub parallel_syncs: u32,
}

/// The replicated service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSettings {
    /// How many sessions are open at once. If one more is opened, the least recently used is
    /// closed.
    pub max_sessions: u32,
    /// After how many entries a server makes a snapshot.
    pub snapshot_every: u64,
    /// The least length of a snapshot in bytes.
    pub snapshot_bytes: u64,
    /// How long a snapshot takes to write, while the server goes on.
    pub snapshot_time: DurationRange,
    /// How long it takes to apply the entries that were handed out. Zero: at once. Whatever is
    /// handed out meanwhile waits, and is then applied together.
    pub apply_time: DurationRange,
    /// How long it takes to open a snapshot that was installed, and to take over its state.
    #[serde(default = "DurationRange::zero")]
    pub restore_time: DurationRange,
    /// The service is durable by itself: it saves its state each time when it has applied so many
    /// entries, and a process starts with what was saved. Left out: it is not, and a process starts
    /// with the last snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saves_every: Option<u64>,
}

/// The clients of the service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientSettings {
    /// How many there are. Each runs one operation at a time.
    pub clients: u32,
    /// The longest value in bytes, at least 8.
    pub max_value: u64,
    /// How long a client waits for an answer before it asks another server.
    pub attempt: HumanDuration,
    /// How long a client keeps trying before it gives up. Files of earlier releases say `patience`.
    #[serde(alias = "patience")]
    pub give_up_after: HumanDuration,
}

fn is_none(condition: &Condition) -> bool {
    *condition == Condition::None
}

impl Settings {
    /// More clients would only wait for each other.
    const MAX_CLIENTS: u32 = 1_000;
    /// How much longer than a client's longest value an entry must be allowed to be: a swap carries
    /// a long value and a new one.
    pub const BESIDE_VALUE: u64 = 600;

    /// All servers, spares included.
    pub fn servers(&self) -> u32 {
        self.nodes.saturating_add(self.spares)
    }

    /// The members with which the cluster begins.
    pub fn first_members(&self) -> Start {
        Start::Bootstrap {
            members: self.founders(),
        }
    }

    /// The same, with the disks that `draw` gives them, where the settings say so.
    pub fn first_members_on(&self, mut draw: impl FnMut() -> Incarnation) -> Start {
        let mut members = self.founders();
        if self.core.named_founders {
            for member in &mut members {
                member.incarnation = Some(draw());
            }
        }
        Start::Bootstrap { members }
    }

    fn founders(&self) -> Vec<Member> {
        let priority = |at: u64| self.priorities.get(at as usize).copied().unwrap_or(0);
        let member = |at| Member::voter(NodeId(at + 1)).with_priority(priority(at));
        (0..u64::from(self.nodes)).map(member).collect()
    }

    fn place_of(&self, id: NodeId) -> usize {
        place_of(id, self.servers().max(1) as usize)
    }

    fn limits_of(&self, id: NodeId) -> NodeLimits {
        self.limits
            .get(self.place_of(id))
            .copied()
            .unwrap_or(NodeLimits {
                max_entry_bytes: self.core.max_entry_bytes,
                max_append_bytes: self.core.max_append_bytes,
            })
    }

    /// The config of the node `id` as it starts.
    pub fn config(&self, id: NodeId, start: Start) -> Config {
        let core = &self.core;
        let mut config = Config::new(ClusterId(7), id, start, 0);
        let limits = self.limits_of(id);
        config.max_entry_bytes = limits.max_entry_bytes;
        config.max_append_bytes = limits.max_append_bytes;
        config.level = Level::of_service(self.releases.first_in(self.place_of(id)));
        config.max_waiting_reads = core.max_waiting_reads;
        config.max_transfer_log_bytes = core.max_transfer_log_bytes;
        config.election_timeout_min = core.election_timeout_min.0;
        config.election_timeout_max = core.election_timeout_max.0;
        config.heartbeat_interval = core.heartbeat_interval.0;
        config.append_timeout = core.append_timeout.0;
        config.max_inflight_appends = core.max_inflight_appends;
        config.max_inflight_bytes = core.max_inflight_bytes;
        config.max_uncommitted_bytes = core.max_uncommitted_bytes;
        config.max_unapplied_bytes = core.max_unapplied_bytes;
        config.trailing_entries = core.trailing_entries;
        config.trailing_bytes = core.trailing_bytes;
        config.max_trailing_bytes = core.max_trailing_bytes;
        config.snapshot_chunk_bytes = core.snapshot_chunk_bytes;
        config.commit_notice_delay = core.commit_notice_delay.0;
        config.max_promotion_lag = core.max_promotion_lag;
        config.max_resident_bytes = core.max_resident_bytes;
        config.leader_noop = if core.leader_noop {
            LeaderNoop::On
        } else {
            LeaderNoop::Off
        };
        config.pre_vote = if core.pre_vote {
            PreVoting::On
        } else {
            PreVoting::Off
        };
        config.check_quorum = if core.check_quorum {
            CheckQuorum::On
        } else {
            CheckQuorum::Off
        };
        config.lease = match core.lease_max_drift_ppm {
            Some(max_drift_ppm) => Lease::On { max_drift_ppm },
            None => Lease::Off,
        };
        config.lease_promise = core.lease_promise.map(|promise| promise.0);
        config
    }

    /// Whether a run with these settings is possible, and its config valid.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub fn validate(&self) -> Result<(), String> {
        let most = crate::request::Request::MAX_NODES;
        if self.nodes == 0 || self.nodes > most || self.spares > 2 {
            return Err(format!("nodes: from 1 to {most}, with at most two spares"));
        }
        if !(1..=Self::MAX_CLIENTS).contains(&self.clients.clients) || self.clients.max_value < 8 {
            let most = Self::MAX_CLIENTS;
            return Err(format!(
                "clients: from 1 to {most}, and values of at least 8 bytes"
            ));
        }
        if self.service.max_sessions == 0 || self.service.snapshot_every == 0 {
            return Err("service: at least one session, and a snapshot after an entry".into());
        }
        if self.disk.parallel_syncs == 0 {
            return Err("disk: at least one sync at a time".into());
        }
        if self.releases.first.iter().any(|it| *it > Releases::NEWER) {
            return Err("releases: each is 0, the older one, or 1, the newer".into());
        }
        if self.service.saves_every == Some(0) {
            return Err("service: it saves its state after at least one entry".into());
        }
        if self.clients.attempt.0 < Duration::from_millis(1) {
            return Err("clients: an attempt of at least 1ms".into());
        }
        if self.core.max_entry_bytes < self.clients.max_value + Self::BESIDE_VALUE {
            return Err("core: entries of at least 600 bytes more than clients' max_value".into());
        }
        if self.core.named_founders && !self.core.incarnations {
            return Err("core: named_founders needs incarnations".into());
        }
        for id in 1..=u64::from(self.servers()) {
            let config = self.config(NodeId(id), self.first_members());
            config
                .validate()
                .map_err(|error| format!("core: {error}"))?;
        }
        Ok(())
    }
}

/// The place of a node among so many machines, whatever its identity: each new identity is greater
/// than the one before by the number of machines.
pub fn place_of(id: NodeId, machines: usize) -> usize {
    let at = id.0.saturating_sub(1) % machines as u64;
    at as usize
}
