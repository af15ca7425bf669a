//! What a node measures of itself, with the `metrics` crate (feature `metrics`; without it nothing
//! is measured).
//!
//! The names follow the convention of Prometheus. Every metric has a label `node`, with a value
//! like `n1`. Install a recorder (an exporter) before [`Node::start`](crate::Node::start): a node
//! measures for the recorder that it finds then.
//!
//! | name | type | unit | meaning |
//! |---|---|---|---|
//! | `raft_term` | gauge | | currentTerm |
//! | `raft_is_leader` | gauge | | 1 if the node leads, else 0 |
//! | `raft_commit_index` | gauge | | commitIndex |
//! | `raft_apply_lag_entries` | gauge | entries | committed and not yet applied |
//! | `raft_peer_lag_entries` | gauge | entries | that a peer is not known to have (1) |
//! | `raft_uncommitted_bytes` | gauge | bytes | in a leader's log, not both committed and on its disk |
//! | `raft_resident_log_bytes` | gauge | bytes | of the log in memory |
//! | `raft_log_entries` | gauge | entries | in the log, those before the snapshot's end included |
//! | `raft_snapshot_bytes` | gauge | bytes | of the newest snapshot |
//! | `raft_waiting_reads` | gauge | reads | that wait for their index |
//! | `raft_has_lease` | gauge | | 1 if the node serves reads under a lease, else 0 |
//! | `raft_proposals_total` | counter | commands | given to the core, refused ones included |
//! | `raft_elections_total` | counter | elections | that the node started as a candidate |
//! | `raft_rejected_messages_total` | counter | messages | that no correct peer sends |
//! | `raft_foreign_incarnations` | gauge | members | under whose number another storage spoke (3) |
//! | `raft_replaced` | gauge | | 1 if another storage has the node's number, else 0 (4) |
//! | `raft_impaired` | gauge | | 1 if its storage has lost entries that the leader has yet to send, else 0 |
//! | `raft_mended_entries_total` | counter | entries | that the disk had lost at a start, and peers have sent |
//! | `raft_scrubbed_bytes_total` | counter | bytes | read to find what has decayed |
//! | `raft_decayed_files` | gauge | files | found not to be what was written; 0 once they are replaced |
//! | `raft_diverged` | gauge | | 1 if the state is set aside as another one than the majority's, else 0 (5) |
//! | `raft_differing_replicas` | gauge | members | whose state differs from this node's, as of the last comparison (5) |
//! | `raft_same_state_index` | gauge | | the last entry after which the state was found to be that of the others (5) |
//! | `raft_snapshot_sent_bytes_total` | counter | bytes | of snapshots that were sent to peers |
//! | `raft_snapshot_transfers` | gauge | peers | that are being sent a snapshot; only on a leader |
//! | `raft_missing_founders` | gauge | founders | that take no part in the founding; 0 once founded |
//! | `raft_sync_duration_seconds` | histogram | seconds | that a write of the storage took (2) |
//! | `raft_sync_writes` | histogram | writes | of the core that shared one sync |
//!
//! 1. Only on a leader, with a further label `peer`; updated at most ten times a second. 0 for a
//!    peer that was removed, and after the node has lost leadership.
//! 2. Until the write was durable, or had failed.
//! 3. Since the node was started, and until a configuration names that storage. It does not count.
//! 4. The node does not count then: stop it, or replace the member's disk by its own.
//! 5. [`Options::compare`](crate::Options::compare). Alert on the first two: a state that differs
//!    is a defect of the state machine, or of the machine that it runs on.
//!
//! # Histograms
//!
//! An exporter for Prometheus has to know the buckets of a histogram; without them
//! `metrics-exporter-prometheus` renders a summary, which cannot be aggregated. Give it those of
//! [`HISTOGRAMS`]:
//!
//! ```text
//! for histogram in raft_driver_thread::metrics::HISTOGRAMS {
//!     let name = Matcher::Full(histogram.name.into());
//!     builder = builder.set_buckets_for_metric(name, histogram.buckets)?;
//! }
//! ```

#[cfg(feature = "metrics")]
mod descriptions;
mod histograms;

pub use histograms::{HISTOGRAMS, HistogramBuckets};

#[cfg(feature = "metrics")]
use histograms::{SYNC_DURATION, SYNC_WRITES};
#[cfg(feature = "metrics")]
use raft_proto::LeaseStatus;
use raft_proto::{Index, NodeId, Raft, RoleKind};
use std::time::Duration;

#[cfg(feature = "metrics")]
use ::metrics::{Counter, Gauge, Histogram};

/// Handles to the metrics; empty without the feature.
#[derive(Clone)]
pub(crate) struct Metrics {
    #[cfg(feature = "metrics")]
    handles: std::sync::Arc<Handles>,
    #[cfg(feature = "metrics")]
    peers: PeerLags,
}

/// The lag of each peer.
#[cfg(feature = "metrics")]
#[derive(Clone, Default)]
struct PeerLags {
    gauges: std::collections::BTreeMap<NodeId, Gauge>,
    last_update: Option<std::time::Instant>,
}

#[cfg(feature = "metrics")]
impl PeerLags {
    const INTERVAL: Duration = Duration::from_millis(100);

    fn turn(&mut self, raft: &Raft) {
        let is_recent = |last: std::time::Instant| last.elapsed() < PeerLags::INTERVAL;
        if self.last_update.is_some_and(is_recent) {
            return;
        }
        self.last_update = Some(std::time::Instant::now());
        if raft.role() != RoleKind::Leader {
            // Only the leader knows.
            for (_, gauge) in std::mem::take(&mut self.gauges) {
                gauge.set(0);
            }
            return;
        }
        let status = raft.status();
        let is_peer = |node: &NodeId| status.peers.iter().any(|peer| peer.id == *node);
        self.gauges.retain(|node, gauge| {
            let stays = is_peer(node);
            if !stays {
                gauge.set(0);
            }
            stays
        });
        for peer in &status.peers {
            let gauge = self.gauges.entry(peer.id).or_insert_with(|| {
                let (node, peer) = (status.id.to_string(), peer.id.to_string());
                ::metrics::gauge!("raft_peer_lag_entries", "node" => node, "peer" => peer)
            });
            let lag = status.last_log.index.0.saturating_sub(peer.match_index.0);
            gauge.set(lag as f64);
        }
    }
}

#[cfg(feature = "metrics")]
struct Handles {
    term: Gauge,
    is_leader: Gauge,
    commit_index: Gauge,
    apply_lag: Gauge,
    uncommitted_bytes: Gauge,
    resident_log_bytes: Gauge,
    log_entries: Gauge,
    snapshot_bytes: Gauge,
    waiting_reads: Gauge,
    has_lease: Gauge,
    foreign_incarnations: Gauge,
    replaced: Gauge,
    impaired: Gauge,
    diverged: Gauge,
    differing_replicas: Gauge,
    same_state_index: Gauge,
    missing_founders: Gauge,
    mended_entries: Counter,
    scrubbed_bytes: Counter,
    decayed_files: Gauge,
    snapshot_sent_bytes: Counter,
    snapshot_transfers: Gauge,
    proposals: Counter,
    elections: Counter,
    rejected_messages: Counter,
    sync_duration: Histogram,
    sync_writes: Histogram,
}

#[cfg(feature = "metrics")]
impl Metrics {
    pub(crate) fn new(node: NodeId) -> Metrics {
        use ::metrics::{counter, gauge, histogram};
        descriptions::describe_all();
        let node = node.to_string();
        let label = || node.clone();
        let handles = Handles {
            term: gauge!("raft_term", "node" => label()),
            is_leader: gauge!("raft_is_leader", "node" => label()),
            commit_index: gauge!("raft_commit_index", "node" => label()),
            apply_lag: gauge!("raft_apply_lag_entries", "node" => label()),
            uncommitted_bytes: gauge!("raft_uncommitted_bytes", "node" => label()),
            resident_log_bytes: gauge!("raft_resident_log_bytes", "node" => label()),
            log_entries: gauge!("raft_log_entries", "node" => label()),
            snapshot_bytes: gauge!("raft_snapshot_bytes", "node" => label()),
            waiting_reads: gauge!("raft_waiting_reads", "node" => label()),
            has_lease: gauge!("raft_has_lease", "node" => label()),
            foreign_incarnations: gauge!("raft_foreign_incarnations", "node" => label()),
            replaced: gauge!("raft_replaced", "node" => label()),
            impaired: gauge!("raft_impaired", "node" => label()),
            diverged: gauge!("raft_diverged", "node" => label()),
            differing_replicas: gauge!("raft_differing_replicas", "node" => label()),
            same_state_index: gauge!("raft_same_state_index", "node" => label()),
            missing_founders: gauge!("raft_missing_founders", "node" => label()),
            mended_entries: counter!("raft_mended_entries_total", "node" => label()),
            scrubbed_bytes: counter!("raft_scrubbed_bytes_total", "node" => label()),
            decayed_files: gauge!("raft_decayed_files", "node" => label()),
            snapshot_sent_bytes: counter!("raft_snapshot_sent_bytes_total", "node" => label()),
            snapshot_transfers: gauge!("raft_snapshot_transfers", "node" => label()),
            proposals: counter!("raft_proposals_total", "node" => label()),
            elections: counter!("raft_elections_total", "node" => label()),
            rejected_messages: counter!("raft_rejected_messages_total", "node" => label()),
            sync_duration: histogram!(SYNC_DURATION, "node" => label()),
            sync_writes: histogram!(SYNC_WRITES, "node" => label()),
        };
        Metrics {
            handles: std::sync::Arc::new(handles),
            peers: PeerLags::default(),
        }
    }

    /// At the end of each turn.
    pub(crate) fn turn(&mut self, raft: &Raft) {
        self.peers.turn(raft);
        let handles = &self.handles;
        let leads = raft.role() == RoleKind::Leader;
        let lag = raft.commit_index().since(raft.applied_index());
        handles.term.set(raft.term().0 as f64);
        handles.is_leader.set(f64::from(u8::from(leads)));
        handles.commit_index.set(raft.commit_index().0 as f64);
        handles.apply_lag.set(lag as f64);
        let uncommitted = raft.uncommitted_bytes();
        handles.uncommitted_bytes.set(uncommitted as f64);
        let resident = raft.resident_bytes();
        handles.resident_log_bytes.set(resident as f64);
        let entries = raft.last_log().index.since(raft.log_base().index);
        handles.log_entries.set(entries as f64);
        let snapshot = raft.snapshot().map_or(0, |meta| meta.id.size);
        handles.snapshot_bytes.set(snapshot as f64);
        handles.waiting_reads.set(raft.waiting_reads() as f64);
        let has_lease = matches!(raft.lease(), LeaseStatus::Until(_));
        handles.has_lease.set(f64::from(u8::from(has_lease)));
        let foreign = raft.foreign_incarnations().len();
        handles.foreign_incarnations.set(foreign as f64);
        let is_replaced = raft.replaced_by().is_some();
        handles.replaced.set(f64::from(u8::from(is_replaced)));
        handles
            .impaired
            .set(f64::from(u8::from(raft.is_impaired())));
        let missing = raft.missing_founders().count();
        handles.missing_founders.set(missing as f64);
    }

    pub(crate) fn mended(&self, entries: u64) {
        self.handles.mended_entries.increment(entries);
    }

    pub(crate) fn scrubbed(&self, bytes: u64) {
        self.handles.scrubbed_bytes.increment(bytes);
    }

    pub(crate) fn decayed(&self, files: usize) {
        self.handles.decayed_files.set(files as f64);
    }

    pub(crate) fn diverged(&self, is_diverged: bool) {
        let value = f64::from(u8::from(is_diverged));
        self.handles.diverged.set(value);
    }

    /// The state is that of others after `same_after`, and differs from those of so many.
    pub(crate) fn compared(&self, same_after: Option<Index>, differing: usize) {
        if let Some(index) = same_after {
            self.handles.same_state_index.set(index.0 as f64);
        }
        self.handles.differing_replicas.set(differing as f64);
    }

    pub(crate) fn snapshot_sent(&self, bytes: u64) {
        self.handles.snapshot_sent_bytes.increment(bytes);
    }

    pub(crate) fn snapshot_transfers(&self, peers: usize) {
        self.handles.snapshot_transfers.set(peers as f64);
    }

    pub(crate) fn proposed(&self, commands: usize) {
        self.handles.proposals.increment(commands as u64);
    }

    pub(crate) fn role_changed(&self, role: RoleKind) {
        if role == RoleKind::Candidate {
            self.handles.elections.increment(1);
        }
    }

    pub(crate) fn message_rejected(&self) {
        self.handles.rejected_messages.increment(1);
    }

    pub(crate) fn synced(&self, writes: usize, took: Duration) {
        self.handles.sync_writes.record(writes as f64);
        self.handles.sync_duration.record(took);
    }
}

#[cfg(not(feature = "metrics"))]
impl Metrics {
    pub(crate) fn new(_: NodeId) -> Metrics {
        Metrics {}
    }

    pub(crate) fn turn(&mut self, _: &Raft) {}

    pub(crate) fn mended(&self, _: u64) {}

    pub(crate) fn scrubbed(&self, _: u64) {}

    pub(crate) fn decayed(&self, _: usize) {}

    pub(crate) fn diverged(&self, _: bool) {}

    pub(crate) fn compared(&self, _: Option<Index>, _: usize) {}

    pub(crate) fn snapshot_sent(&self, _: u64) {}

    pub(crate) fn snapshot_transfers(&self, _: usize) {}

    pub(crate) fn proposed(&self, _: usize) {}

    pub(crate) fn role_changed(&self, _: RoleKind) {}

    pub(crate) fn message_rejected(&self) {}

    pub(crate) fn synced(&self, _: usize, _: Duration) {}
}
