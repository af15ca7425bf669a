//! What the threads of a node share.

use crate::comparing::Replica;
use crate::metrics::Metrics;
use crate::observed::Observed;
use crate::offers::Offers;
use crate::state_machine::StateMachine;
use crate::storage::Snapshots;
use crate::tasks::CoreMailbox;
use crate::timings::Timings;
use raft_proto::NodeId;
use std::sync::Arc;

/// Handles that a node's threads, and the node's own handles, have each a copy of.
pub(crate) struct Shared<M: StateMachine> {
    pub(crate) id: NodeId,
    /// Bounded by the requests that may be outstanding, and by what the core has asked of its
    /// threads. This kind of queue drops its messages with its receiver, and so ends the tickets.
    pub(crate) core: CoreMailbox<M>,
    pub(crate) snapshots: Arc<dyn Snapshots>,
    pub(crate) offers: Offers,
    pub(crate) replica: Replica,
    pub(crate) observed: Arc<Observed>,
    pub(crate) metrics: Metrics,
    /// For the recorder.
    pub(crate) timings: Timings,
}

impl<M: StateMachine> Clone for Shared<M> {
    fn clone(&self) -> Shared<M> {
        Shared {
            id: self.id,
            core: self.core.clone(),
            snapshots: self.snapshots.clone(),
            offers: self.offers.clone(),
            replica: self.replica.clone(),
            observed: self.observed.clone(),
            metrics: self.metrics.clone(),
            timings: self.timings.clone(),
        }
    }
}
