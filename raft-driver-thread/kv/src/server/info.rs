//! What a server reports of itself: INFO for clients, RAFT STATUS for administrators.

use super::context::ServerContext;
use super::process::{self, ProcessFigures};
use super::refused::{RefusedFor, RefusedServers};
use crate::config::ByteSize;
use crate::data_dir::disk_bytes;
use crate::state::{Machine, Reply};
use crate::status::{
    AgreedSettings, DiskStatus, ForeignDisk, LevelStatus, LoadStatus, MemberStatus, NodeStatus,
    StateStatus,
};
use bytes::Bytes;
use raft_driver_thread::raft_proto::{LeaseStatus, Member, MemberRole, RoleKind, Status};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The release of Redis that clients are told, for those that look at it.
pub(super) const COMPATIBLE: &str = "7.0.0";

/// The release of raft-kv.
pub(crate) const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// Figures of the state machine.
#[derive(Default)]
struct StateFigures {
    keys: u64,
    used_bytes: u64,
    peak_bytes: u64,
    sessions: u64,
    expires: u64,
    expired: u64,
    servers: BTreeMap<u64, String>,
}

fn figures(machine: &Machine) -> StateFigures {
    let servers = machine.addresses();
    StateFigures {
        keys: machine.key_count(),
        used_bytes: machine.used_bytes(),
        peak_bytes: machine.peak_used_bytes(),
        sessions: machine.session_count(),
        expires: machine.expiring_key_count(),
        expired: machine.expired_key_count(),
        servers: servers
            .map(|server| (server.node, server.clients.clone()))
            .collect(),
    }
}

/// RAFT STATUS, as JSON.
pub(super) async fn status_reply(context: &ServerContext) -> Reply {
    let text = match status(context).await {
        Ok(status) => serde_json::to_string(&status),
        Err(error) => return error,
    };
    text.map_or_else(|error| Reply::error("ERR", error), Reply::text)
}

/// The status of this server.
pub(super) async fn status(context: &ServerContext) -> Result<NodeStatus, Reply> {
    let stopped = |error: &dyn std::fmt::Display| Reply::error("ERR", error);
    let node = context.router.node().clone();
    let figures = node
        .inspect(figures)
        .await
        .map_err(|error| stopped(&error))?;
    let data = context.settings.data.clone();
    let in_force = node.state().level;
    let asked = tokio::task::spawn_blocking(move || (node.status(), disk_bytes(&data))).await;
    let (status, disk_bytes) = asked.map_err(|error| stopped(&error))?;
    let status = status.map_err(|error| stopped(&error))?;
    let decayed = context.router.node().decayed();
    Ok(NodeStatus {
        node: status.id.0,
        cluster: context.identity.cluster,
        release: RELEASE.into(),
        role: role(&status),
        term: status.term.0,
        leader: status.leader.map(|leader| leader.0),
        last_index: status.last_log.index.0,
        commit_index: status.commit_index.0,
        applied_index: status.applied_index.0,
        snapshot_index: status.snapshot.map_or(0, |snapshot| snapshot.last.index.0),
        disk_bytes,
        keys: figures.keys,
        used_bytes: figures.used_bytes,
        sessions: figures.sessions,
        connections: context.clients.count() as u64,
        uptime_seconds: context.started.elapsed().as_secs(),
        agreed: AgreedSettings::of(&context.settings),
        members: members(&status, &figures.servers),
        disks: DiskStatus {
            decayed: decayed.iter().map(ToString::to_string).collect(),
            ..disks(
                &status,
                context.router.node().mended_entries(),
                &context.refused,
            )
        },
        states: StateStatus::of(&context.router.node().comparison()),
        load: load(&status),
        levels: levels(&status, in_force.service, context.settings.release_level),
    })
}

/// What waits, and by what this server serves reads.
fn load(status: &Status) -> LoadStatus {
    LoadStatus {
        uncommitted_bytes: status.uncommitted_bytes,
        waiting_reads: status.waiting_reads as u64,
        has_lease: matches!(status.lease, LeaseStatus::Until(_)),
        transferring_to: status.handover.map(|handover| handover.target.0),
    }
}

/// Which release level is in force, and who keeps it from rising.
fn levels(status: &Status, in_force: u32, own: u32) -> LevelStatus {
    let reads = |member: &Member| {
        let peer = status.peers.iter().find(|peer| peer.id == member.id);
        let limits = peer.and_then(|peer| peer.limits);
        limits.is_some_and(|limits| limits.level.service >= own)
    };
    let others = status.membership.members().iter();
    let others = others.filter(|it| it.id != status.id && status.role == RoleKind::Leader);
    LevelStatus {
        own,
        in_force,
        held_back_by: others
            .filter(|member| in_force < own && !reads(member))
            .map(|member| member.id.0)
            .collect(),
    }
}

/// Which disks speak under the members' numbers.
pub(super) fn disks(status: &Status, mended: u64, refused: &RefusedServers) -> DiskStatus {
    let foreign = status.foreign_incarnations.iter();
    let foreign = foreign.map(|found| ForeignDisk {
        node: found.node.0,
        named: found.named.to_string(),
        spoken: found.spoken.map(|spoken| spoken.to_string()),
    });
    DiskStatus {
        incarnation: status.incarnation.map(|it| it.to_string()),
        replaced_by: status.replaced_by.map(|named| named.to_string()),
        removed_at: status.removed_at.map(|index| index.0),
        lost: status.impaired.map(|lost| lost.index.0),
        mended,
        decayed: Vec::new(),
        foreign: foreign.collect(),
        missing_founders: status.missing_founders.iter().map(|node| node.0).collect(),
        other_founders: refused.for_reason(RefusedFor::OtherFounders),
        other_histories: refused.for_reason(RefusedFor::OtherHistory),
    }
}

fn role(status: &Status) -> String {
    let own = |member: &&Member| member.id == status.id;
    let member = status.membership.members().iter().find(own);
    let is_learner = member.is_some_and(|member| !member.role.has_vote());
    if status.replaced_by.is_some() {
        return "replaced".into();
    }
    if status.removed_at.is_some() {
        return "removed".into();
    }
    match status.role {
        RoleKind::Leader => "leader",
        RoleKind::Candidate => "candidate",
        RoleKind::PreCandidate => "pre-candidate",
        RoleKind::Follower if is_learner => "learner",
        RoleKind::Follower => "follower",
    }
    .into()
}

pub(super) fn members(status: &Status, servers: &BTreeMap<u64, String>) -> Vec<MemberStatus> {
    let describe = |member: &Member| {
        let peer = status.peers.iter().find(|peer| peer.id == member.id);
        let is_own_leader = member.id == status.id && status.role == RoleKind::Leader;
        let own = is_own_leader.then_some(status.last_log.index.0);
        MemberStatus {
            node: member.id.0,
            role: match member.role {
                MemberRole::Voter => "voter",
                MemberRole::Learner => "learner",
                MemberRole::Incoming => "incoming",
                MemberRole::Outgoing => "outgoing",
                MemberRole::Demoted => "demoted",
                MemberRole::Staging => "staging",
            }
            .into(),
            peers: String::from_utf8_lossy(&member.context).into_owned(),
            clients: servers.get(&member.id.0).cloned(),
            match_index: own.or_else(|| peer.map(|peer| peer.match_index.0)),
            incarnation: member.incarnation.map(|it| it.to_string()),
            is_active: peer
                .map(|peer| peer.is_active)
                .or(is_own_leader.then_some(true)),
        }
    };
    status.membership.members().iter().map(describe).collect()
}

/// INFO.
pub(super) async fn info(context: &ServerContext, sections: &[Bytes]) -> Reply {
    let status = match status(context).await {
        Ok(status) => status,
        Err(error) => return error,
    };
    let process = process::figures();
    let figures = context.router.node().inspect(figures).await;
    let figures = figures.unwrap_or_default();
    context.stats.expired.observe(figures.expired);
    let all = [
        ("Server", server(context, &status)),
        ("Clients", clients(context, &status)),
        (
            "Memory",
            memory(context, &status, figures.peak_bytes, &process),
        ),
        // The log is what the append-only file is in Redis. A server that has not read it yet answers
        // no client.
        (
            "Persistence",
            lines(&[("loading", &0), ("async_loading", &0), ("aof_enabled", &1)]),
        ),
        ("Stats", stats(context)),
        ("Replication", replication(&status)),
        ("CPU", cpu(&process)),
        ("Commandstats", context.stats.command_lines()),
        ("Raft", raft(&status)),
        // Clients that know of Redis Cluster are not to look for slots.
        ("Cluster", lines(&[("cluster_enabled", &0)])),
        ("Keyspace", keyspace(&status, figures.expires)),
    ];
    let is_wanted = |name: &str| {
        let is_default = name != "Commandstats";
        let names = |section: &Bytes| match &section.to_ascii_lowercase()[..] {
            b"all" | b"everything" => true,
            b"default" => is_default,
            section => section == name.to_ascii_lowercase().as_bytes(),
        };
        (sections.is_empty() && is_default) || sections.iter().any(names)
    };
    let mut text = String::new();
    for (name, lines) in all.iter().filter(|(name, _)| is_wanted(name)) {
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        // Writing to a string does not fail.
        let _ = write!(text, "# {name}\r\n{lines}");
    }
    Reply::text(text)
}

fn lines(pairs: &[(&str, &dyn std::fmt::Display)]) -> String {
    let line = |(key, value): &(&str, &dyn std::fmt::Display)| format!("{key}:{value}\r\n");
    pairs.iter().map(line).collect()
}

fn server(context: &ServerContext, status: &NodeStatus) -> String {
    lines(&[
        ("redis_version", &COMPATIBLE),
        ("raft_kv_version", &RELEASE),
        ("redis_mode", &"standalone"),
        ("os", &std::env::consts::OS),
        ("arch_bits", &usize::BITS),
        ("process_id", &std::process::id()),
        ("tcp_port", &context.clients_port),
        ("uptime_in_seconds", &status.uptime_seconds),
        ("uptime_in_days", &(status.uptime_seconds / 86_400)),
    ])
}

fn clients(context: &ServerContext, status: &NodeStatus) -> String {
    lines(&[
        ("connected_clients", &status.connections),
        ("maxclients", &context.clients.max_connections()),
        ("blocked_clients", &0),
    ])
}

fn memory(
    context: &ServerContext,
    status: &NodeStatus,
    peak: u64,
    process: &ProcessFigures,
) -> String {
    let resident = process.resident_bytes;
    lines(&[
        ("used_memory", &status.used_bytes),
        ("used_memory_human", &ByteSize(status.used_bytes).rounded()),
        ("used_memory_peak", &peak),
        ("used_memory_peak_human", &ByteSize(peak).rounded()),
        ("used_memory_rss", &resident),
        ("used_memory_rss_human", &ByteSize(resident).rounded()),
        ("maxmemory", &context.settings.max_memory.unwrap_or(0)),
        ("maxmemory_policy", &"noeviction"),
        ("mem_clients_normal", &context.output_limits.waiting()),
    ])
}

fn cpu(process: &ProcessFigures) -> String {
    let seconds = |seconds: f64| format!("{seconds:.6}");
    lines(&[
        ("used_cpu_sys", &seconds(process.system_seconds)),
        ("used_cpu_user", &seconds(process.user_seconds)),
    ])
}

fn stats(context: &ServerContext) -> String {
    let (clients, stats) = (&context.clients, &context.stats);
    let rejected = clients.rejected.since_reset();
    lines(&[
        (
            "total_connections_received",
            &(clients.accepted.since_reset() + rejected),
        ),
        ("total_commands_processed", &clients.commands.since_reset()),
        ("rejected_connections", &rejected),
        ("expired_keys", &stats.expired.since_reset()),
        ("evicted_keys", &0),
        ("keyspace_hits", &stats.hits.since_reset()),
        ("keyspace_misses", &stats.misses.since_reset()),
    ])
}

/// CONFIG RESETSTAT.
pub(super) async fn reset(context: &ServerContext) -> Reply {
    let expired = context.router.node().inspect(Machine::expired_key_count);
    match expired.await {
        Ok(expired) => context.stats.expired.observe(expired),
        Err(error) => return Reply::error("ERR", error),
    }
    let clients = &context.clients;
    for counter in [&clients.accepted, &clients.commands, &clients.rejected] {
        counter.reset();
    }
    context.stats.reset();
    Reply::Ok
}

/// Every server accepts writes, so clients are told that each is a master.
fn replication(status: &NodeStatus) -> String {
    let others = status.members.len().saturating_sub(1);
    lines(&[("role", &"master"), ("connected_slaves", &others)])
}

fn raft(status: &NodeStatus) -> String {
    let leader = status
        .leader
        .map_or("none".into(), |leader| leader.to_string());
    let mut text = lines(&[
        ("raft_cluster_id", &status.cluster),
        ("raft_node_id", &status.node),
        ("raft_role", &status.role),
        ("raft_leader_id", &leader),
        ("raft_term", &status.term),
        ("raft_last_index", &status.last_index),
        ("raft_commit_index", &status.commit_index),
        ("raft_applied_index", &status.applied_index),
        ("raft_snapshot_index", &status.snapshot_index),
        ("raft_disk_bytes", &status.disk_bytes),
        ("raft_uncommitted_bytes", &status.load.uncommitted_bytes),
        ("raft_waiting_reads", &status.load.waiting_reads),
        ("raft_has_lease", &u8::from(status.load.has_lease)),
        ("raft_sessions", &status.sessions),
    ]);
    text.push_str(&disk_lines(&status.disks));
    text.push_str(&state_lines(&status.states));
    for member in &status.members {
        let clients = member.clients.as_deref().unwrap_or("unknown");
        let (node, role, peers) = (member.node, &member.role, &member.peers);
        let _ = write!(
            text,
            "raft_member_{node}:role={role},peers={peers},clients={clients}\r\n"
        );
    }
    text
}

fn state_lines(states: &StateStatus) -> String {
    lines(&[
        ("raft_same_state_index", &states.same_after.unwrap_or(0)),
        ("raft_differing_replicas", &states.differing.len()),
        ("raft_diverged_after", &states.diverged_after.unwrap_or(0)),
        ("raft_replaced_states", &states.replaced),
    ])
}

fn disk_lines(disks: &DiskStatus) -> String {
    let or_none = |text: &Option<String>| text.clone().unwrap_or("none".into());
    let list = |nodes: &mut dyn Iterator<Item = u64>| {
        let nodes: Vec<_> = nodes.map(|node| node.to_string()).collect();
        if nodes.is_empty() {
            "none".into()
        } else {
            nodes.join(",")
        }
    };
    let foreign = disks.foreign.iter().map(|disk| disk.node);
    let (missing, founders) = (&disks.missing_founders, &disks.other_founders);
    lines(&[
        ("raft_incarnation", &or_none(&disks.incarnation)),
        ("raft_replaced_by", &or_none(&disks.replaced_by)),
        ("raft_removed_at", &disks.removed_at.unwrap_or(0)),
        ("raft_lost_entries_up_to", &disks.lost.unwrap_or(0)),
        ("raft_mended_entries", &disks.mended),
        ("raft_decayed", &disks.decayed.len()),
        ("raft_foreign_incarnations", &list(&mut { foreign })),
        ("raft_missing_founders", &list(&mut missing.iter().copied())),
        ("raft_other_founders", &list(&mut founders.iter().copied())),
        (
            "raft_other_histories",
            &list(&mut disks.other_histories.iter().copied()),
        ),
    ])
}

fn keyspace(status: &NodeStatus, expires: u64) -> String {
    match status.keys {
        0 => String::new(),
        keys => format!("db0:keys={keys},expires={expires},avg_ttl=0\r\n"),
    }
}
