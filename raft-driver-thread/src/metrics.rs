//! What a node measures of itself, for whichever recorder the process has installed by the time
//! that the node starts (feature `metrics`; without it nothing is measured).
//!
//! Every name has a label `node`.
//!
//! | name | kind | what |
//! |---|---|---|
//! | `raft_term` | gauge | currentTerm |
//! | `raft_is_leader` | gauge | 1 where it leads, else 0 |
//! | `raft_commit_index` | gauge | commitIndex |
//! | `raft_apply_lag` | gauge | entries that are committed and not yet applied |
//! | `raft_peer_lag` | gauge | of a leader, with a label `peer`: entries that the peer is not known to have; brought up to date ten times a second |
//! | `raft_proposals_total` | counter | commands given to the core |
//! | `raft_elections_total` | counter | times that the node became a candidate |
//! | `raft_rejected_total` | counter | messages that no correct peer sends |
//! | `raft_sync_seconds` | histogram | how long a write of the storage took |
//! | `raft_sync_writes` | histogram | how many of the core's writes one of those covered |

use raft_proto::{NodeId, Raft, RoleKind};
use std::time::Duration;

#[cfg(feature = "metrics")]
use ::metrics::{Counter, Gauge, Histogram};

/// Handles to what is measured; without the feature there are none.
#[derive(Clone)]
pub(crate) struct Metrics {
    #[cfg(feature = "metrics")]
    handles: std::sync::Arc<Handles>,
    #[cfg(feature = "metrics")]
    peers: Peers,
}

/// Of each peer, and how long ago they were brought up to date.
#[cfg(feature = "metrics")]
#[derive(Clone, Default)]
struct Peers {
    lags: std::collections::BTreeMap<NodeId, Gauge>,
    at: Option<std::time::Instant>,
}

#[cfg(feature = "metrics")]
impl Peers {
    const PAUSE: Duration = Duration::from_millis(100);

    fn turn(&mut self, raft: &Raft) {
        if self.at.is_some_and(|at| at.elapsed() < Peers::PAUSE) {
            return;
        }
        self.at = Some(std::time::Instant::now());
        if raft.role() != RoleKind::Leader {
            // Whoever leads now knows better.
            for (_, lag) in std::mem::take(&mut self.lags) {
                lag.set(0);
            }
            return;
        }
        let status = raft.status();
        let is_peer = |node: &NodeId| status.peers.iter().any(|peer| peer.id == *node);
        self.lags.retain(|node, lag| {
            let stays = is_peer(node);
            if !stays {
                lag.set(0);
            }
            stays
        });
        for peer in &status.peers {
            let lag = self.lags.entry(peer.id).or_insert_with(|| {
                let (node, peer) = (status.id.to_string(), peer.id.to_string());
                ::metrics::gauge!("raft_peer_lag", "node" => node, "peer" => peer)
            });
            let behind = status.last_log.index.0.saturating_sub(peer.match_index.0);
            lag.set(behind as f64);
        }
    }
}

#[cfg(feature = "metrics")]
struct Handles {
    term: Gauge,
    is_leader: Gauge,
    commit_index: Gauge,
    apply_lag: Gauge,
    proposals: Counter,
    elections: Counter,
    rejected: Counter,
    sync_seconds: Histogram,
    sync_writes: Histogram,
}

#[cfg(feature = "metrics")]
impl Metrics {
    pub(crate) fn new(node: NodeId) -> Metrics {
        use ::metrics::{counter, gauge, histogram};
        let node = node.to_string();
        let label = || node.clone();
        let handles = Handles {
            term: gauge!("raft_term", "node" => label()),
            is_leader: gauge!("raft_is_leader", "node" => label()),
            commit_index: gauge!("raft_commit_index", "node" => label()),
            apply_lag: gauge!("raft_apply_lag", "node" => label()),
            proposals: counter!("raft_proposals_total", "node" => label()),
            elections: counter!("raft_elections_total", "node" => label()),
            rejected: counter!("raft_rejected_total", "node" => label()),
            sync_seconds: histogram!("raft_sync_seconds", "node" => label()),
            sync_writes: histogram!("raft_sync_writes", "node" => label()),
        };
        Metrics {
            handles: std::sync::Arc::new(handles),
            peers: Peers::default(),
        }
    }

    pub(crate) fn turn(&mut self, raft: &Raft) {
        self.peers.turn(raft);
        let handles = &self.handles;
        let leads = raft.role() == RoleKind::Leader;
        let lag = raft.commit_index().since(raft.applied_index());
        handles.term.set(raft.term().0 as f64);
        handles.is_leader.set(f64::from(u8::from(leads)));
        handles.commit_index.set(raft.commit_index().0 as f64);
        handles.apply_lag.set(lag as f64);
    }

    pub(crate) fn proposed(&self, commands: usize) {
        self.handles.proposals.increment(commands as u64);
    }

    pub(crate) fn role(&self, role: RoleKind) {
        if role == RoleKind::Candidate {
            self.handles.elections.increment(1);
        }
    }

    pub(crate) fn rejected(&self) {
        self.handles.rejected.increment(1);
    }

    pub(crate) fn synced(&self, writes: usize, took: Duration) {
        self.handles.sync_writes.record(writes as f64);
        self.handles.sync_seconds.record(took);
    }
}

#[cfg(not(feature = "metrics"))]
impl Metrics {
    pub(crate) fn new(_: NodeId) -> Metrics {
        Metrics {}
    }

    pub(crate) fn turn(&mut self, _: &Raft) {}

    pub(crate) fn proposed(&self, _: usize) {}

    pub(crate) fn role(&self, _: RoleKind) {}

    pub(crate) fn rejected(&self) {}

    pub(crate) fn synced(&self, _: usize, _: Duration) {}
}
