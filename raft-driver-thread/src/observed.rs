//! What callers can observe of a node without a turn of its core: its state, and events.

use crate::error::StopReason;
use crossbeam_channel::{Receiver, Sender, TrySendError};
use raft_proto::{
    Action, EntryId, ForeignIncarnation, Incarnation, Index, Level, Membership, NodeId, Raft,
    Rejection, RoleKind, Term,
};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many events a subscriber may leave unread.
const MAX_UNREAD: usize = 1024;

/// The state of a node at the end of its core's last turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeState {
    /// currentTerm.
    pub term: Term,
    /// The node's role.
    pub role: RoleKind,
    /// The leader of `term`, as far as the node knows.
    pub leader: Option<NodeId>,
    /// commitIndex.
    pub commit_index: Index,
    /// lastApplied.
    pub applied_index: Index,
    /// The level in force: what all members read ([`Raft::level`]).
    pub level: Level,
}

/// Something that changed at a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeEvent {
    /// The node has another role, or another term.
    Role {
        /// The role that it has now.
        role: RoleKind,
        /// The term that it is in now.
        term: Term,
    },
    /// The node knows of another leader, or of none.
    Leader {
        /// The leader.
        leader: Option<NodeId>,
        /// The term.
        term: Term,
    },
    /// Another configuration is in force (section 6).
    Membership {
        /// The index of the entry that holds it.
        index: Index,
        /// All members.
        membership: Membership,
    },
    /// A follower lost entries that it had acknowledged: remove it, and let it join under a new id.
    LostState {
        /// The follower.
        peer: NodeId,
    },
    /// Another storage spoke under a member's number; it does not count. Comes once for each.
    ForeignIncarnation(ForeignIncarnation),
    /// Another storage has this node's number: this node does not count.
    Replaced {
        /// The incarnation that the configuration names.
        named: Incarnation,
    },
    /// A node was refused that was given another list of founders under the same cluster id. Comes
    /// with each of its messages.
    OtherFounders {
        /// The node.
        peer: NodeId,
    },
    /// A node was refused whose log began with another founding of the cluster. Comes with each of
    /// its messages.
    OtherHistory {
        /// The node.
        peer: NodeId,
    },
    /// A majority of the voters holds the same state as each other, and another one than this node:
    /// its state is set aside until it is replaced by theirs.
    Diverged {
        /// After this entry.
        after: EntryId,
        /// Those of the majority that have answered.
        majority: Vec<NodeId>,
    },
    /// A state that was set aside is replaced by that of a majority.
    StateReplaced {
        /// The last entry of the snapshot that has taken its place.
        last: EntryId,
    },
    /// Other members hold another state than this node.
    ReplicasDiffer {
        /// Who.
        differing: Vec<NodeId>,
        /// This node holds the state of a majority. If not, no majority holds the same, as far as
        /// they have answered, and nobody knows which state is right.
        is_decided: bool,
    },
    /// The node stopped. This is the last event.
    Stopped(StopReason),
}

#[derive(Debug)]
pub(crate) struct Observed(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    state: NodeState,
    stopped: Option<StopReason>,
    subscribers: Vec<Sender<NodeEvent>>,
}

impl Observed {
    pub(crate) fn new(raft: &Raft) -> Observed {
        Observed(Mutex::new(Inner {
            state: state_of(raft),
            stopped: None,
            subscribers: Vec::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No code of others runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn update(&self, raft: &Raft) {
        self.lock().state = state_of(raft);
    }

    pub(crate) fn state(&self) -> NodeState {
        self.lock().state
    }

    pub(crate) fn stop_reason(&self) -> Option<StopReason> {
        self.lock().stopped.clone()
    }

    /// The first reason stays.
    pub(crate) fn set_stopped(&self, reason: StopReason) {
        let mut inner = self.lock();
        if inner.stopped.is_none() {
            inner.stopped = Some(reason.clone());
            inner.notify(&NodeEvent::Stopped(reason));
            inner.subscribers.clear();
        }
    }

    pub(crate) fn subscribe(&self) -> Receiver<NodeEvent> {
        let (sender, events) = crossbeam_channel::bounded(MAX_UNREAD);
        let mut inner = self.lock();
        match &inner.stopped {
            // There is room: it is the first event.
            Some(reason) => drop(sender.try_send(NodeEvent::Stopped(reason.clone()))),
            None => inner.subscribers.push(sender),
        }
        events
    }

    pub(crate) fn publish(&self, event: &NodeEvent) {
        self.lock().notify(event);
    }
}

impl Inner {
    /// Drops subscribers that have gone, and those that have left too many events unread.
    fn notify(&mut self, event: &NodeEvent) {
        self.subscribers
            .retain(|subscriber| match subscriber.try_send(event.clone()) {
                Ok(()) => true,
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
            });
    }
}

/// The event that subscribers get for an action, if any.
pub(crate) fn event_of(action: &Action) -> Option<NodeEvent> {
    match action {
        Action::RoleChanged { role, term } => Some(NodeEvent::Role {
            role: *role,
            term: *term,
        }),
        Action::LeaderChanged { leader, term } => Some(NodeEvent::Leader {
            leader: *leader,
            term: *term,
        }),
        Action::MembershipChanged { index, membership } => Some(NodeEvent::Membership {
            index: *index,
            membership: membership.clone(),
        }),
        Action::LostState { peer, .. } => Some(NodeEvent::LostState { peer: *peer }),
        Action::ForeignIncarnation(found) => Some(NodeEvent::ForeignIncarnation(*found)),
        Action::Replaced { named, .. } => Some(NodeEvent::Replaced { named: *named }),
        Action::Rejected { from, reason } => rejection(*from, reason),
        Action::Send { .. }
        | Action::Persist(_)
        | Action::Apply { .. }
        | Action::Restore { .. }
        | Action::ReadSnapshot { .. }
        | Action::WriteSnapshot { .. }
        | Action::ReleaseSnapshot { .. }
        | Action::SnapshotDamaged { .. }
        | Action::WakeAt(_)
        | Action::Proposed { .. }
        | Action::Read { .. }
        | Action::Transferred { .. }
        | Action::ChangeProposed { .. }
        | Action::Campaigning { .. }
        | Action::SteppedDown { .. }
        | Action::Reconfigured { .. }
        | Action::Overdue(_)
        | Action::ReadEntries { .. }
        | Action::Refused { .. }
        | Action::EntryRefused { .. }
        | Action::Removed { .. }
        | Action::Faulted { .. } => None,
    }
}

/// Most of what is rejected is told by logs and metrics alone: a peer decides how much of it there
/// is.
fn rejection(peer: NodeId, reason: &Rejection) -> Option<NodeEvent> {
    if *reason == Rejection::OtherFounders {
        Some(NodeEvent::OtherFounders { peer })
    } else if matches!(reason, Rejection::OtherHistory { .. }) {
        Some(NodeEvent::OtherHistory { peer })
    } else {
        None
    }
}

fn state_of(raft: &Raft) -> NodeState {
    NodeState {
        term: raft.term(),
        role: raft.role(),
        leader: raft.leader(),
        commit_index: raft.commit_index(),
        applied_index: raft.applied_index(),
        level: raft.level(),
    }
}
