//! Servers that this one refuses, as long as they go on asking: those with another list of
//! founders, and those with another history.

use raft_driver_thread::NodeEvent;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A server that is refused asks again after each election timeout. One that has not asked for so
/// long has been mended, or stopped.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

/// Why a server is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RefusedFor {
    OtherFounders,
    OtherHistory,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct RefusedServers(Mutex<BTreeMap<(RefusedFor, u64), Instant>>);

impl RefusedServers {
    /// The node has reported an event.
    pub(crate) fn note(&self, event: &NodeEvent) {
        let refused = match event {
            NodeEvent::OtherFounders { peer } => (RefusedFor::OtherFounders, peer.0),
            NodeEvent::OtherHistory { peer } => (RefusedFor::OtherHistory, peer.0),
            NodeEvent::Role { .. }
            | NodeEvent::Leader { .. }
            | NodeEvent::Membership { .. }
            | NodeEvent::LostState { .. }
            | NodeEvent::ForeignIncarnation(_)
            | NodeEvent::Replaced { .. }
            | NodeEvent::Diverged { .. }
            | NodeEvent::StateReplaced { .. }
            | NodeEvent::ReplicasDiffer { .. }
            | NodeEvent::Stopped(_) => return,
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, at| at.elapsed() < FORGOTTEN_AFTER);
        all.insert(refused, Instant::now());
    }

    /// The servers that have been refused for this reason a short time ago.
    pub(crate) fn for_reason(&self, reason: RefusedFor) -> Vec<u64> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = all
            .iter()
            .filter(|((why, _), at)| *why == reason && at.elapsed() < FORGOTTEN_AFTER);
        recent.map(|((_, node), _)| *node).collect()
    }
}
