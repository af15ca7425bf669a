//! The options of the node and its transport, as the server's settings have them.

use crate::settings::{Founder, Identity, Settings};
use raft_driver_thread::raft_proto::{
    ClusterId, Config, ENTRY_OVERHEAD, Lease, Level, Member, NodeId, Start,
};
use raft_driver_thread::transport::tcp::{Security, TcpOptions, TlsOptions};
use raft_driver_thread::{Options, fresh_incarnation, fresh_seed};
use std::time::Duration;

/// How long followers hear of a commit by the next append only. Under load that is soon enough, and
/// saves a message and its reply for each commit.
const COMMIT_NOTICE: Duration = Duration::from_millis(1);

/// For how many heartbeat intervals a voter promises a leader that it elects nobody else.
const LEASE_HEARTBEATS: u32 = 3;

/// How long an entry may be: a batch whose last key and value are both as long as is allowed, or a
/// transaction, with what an entry says besides.
pub(super) fn largest_entry(settings: &Settings) -> usize {
    let batch = 2 * settings.max_value_bytes + (2 << 20);
    batch.max(settings.max_transaction_bytes + (1 << 10))
}

/// The transport's options.
pub(super) fn tcp_options(settings: &Settings) -> TcpOptions {
    let mut options = TcpOptions::new(match &settings.tls {
        None => Security::PlaintextUnauthenticated,
        Some(tls) => Security::Tls(TlsOptions {
            authority: tls.authority.clone(),
            certificate: tls.certificate.clone(),
            key: tls.key.clone(),
        }),
    });
    let members = settings.members.iter();
    let members = members.map(|member| (NodeId(member.node), member.peers.clone()));
    options.initial_addresses = members.collect();
    options
}

/// The node's options.
pub(super) fn node_options(settings: &Settings, identity: &Identity) -> Options {
    let founder =
        |founder: &Founder| Member::voter(NodeId(founder.node)).with_context(founder.peers.clone());
    let start = if identity.founders.is_empty() {
        Start::Join
    } else {
        Start::Bootstrap {
            members: identity.founders.iter().map(founder).collect(),
        }
    };
    let (cluster, node) = (ClusterId(identity.cluster), NodeId(identity.node));
    let mut config = Config::new(cluster, node, start, fresh_seed());
    config.incarnation = Some(fresh_incarnation());
    config.level = Level::of_service(settings.release_level);
    config.heartbeat_interval = settings.heartbeat_interval;
    config.election_timeout_min = settings.election_timeout;
    config.election_timeout_max = settings.election_timeout * 3 / 2;
    config.commit_notice_delay = COMMIT_NOTICE;
    config.lease = match settings.max_drift_ppm {
        None => Lease::Off,
        Some(max_drift_ppm) => Lease::On { max_drift_ppm },
    };
    // Two heartbeats may be lost before a lease ends; after a leader's failure, nobody is elected
    // for as long.
    let promise = settings.heartbeat_interval * LEASE_HEARTBEATS;
    config.lease_promise = Some(promise.min(settings.election_timeout));
    let largest = largest_entry(settings) as u64;
    config.max_entry_bytes = largest;
    config.max_append_bytes = largest + ENTRY_OVERHEAD;
    config.max_inflight_bytes = config.max_inflight_bytes.max(2 * config.max_append_bytes);
    config.max_uncommitted_bytes = config
        .max_uncommitted_bytes
        .max(4 * config.max_append_bytes);
    config.max_unapplied_bytes = config.max_unapplied_bytes.max(2 * config.max_append_bytes);
    let mut options = Options::new(config);
    options.snapshots.every_bytes = Some(settings.snapshot_every_bytes);
    options.snapshot_sending = settings.snapshot_sending;
    options.scrub = settings.scrub;
    options.compare = settings.compare;
    options.recorder = settings.recordings.clone();
    options
}
