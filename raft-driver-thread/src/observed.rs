//! What callers see of a node without asking its core.

use crate::error::StopReason;
use crossbeam_channel::{Receiver, Sender, TrySendError};
use raft_proto::{Action, Index, Membership, NodeId, Raft, RoleKind, Term};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many pieces of news a subscriber may leave unread.
const MAX_UNREAD: usize = 1024;

/// A node at the end of its core's last turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeState {
    /// currentTerm.
    pub term: Term,
    /// What the node is.
    pub role: RoleKind,
    /// Who leads in `term`, as far as the node knows.
    pub leader: Option<NodeId>,
    /// commitIndex.
    pub commit_index: Index,
    /// lastApplied.
    pub applied_index: Index,
}

/// Something that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeEvent {
    /// The node's role.
    Role {
        /// What it is now.
        role: RoleKind,
        /// In which term.
        term: Term,
    },
    /// Who leads, as far as the node knows.
    Leader {
        /// Who it is.
        leader: Option<NodeId>,
        /// In which term.
        term: Term,
    },
    /// The configuration in force.
    Membership {
        /// The entry that holds it.
        index: Index,
        /// All members.
        membership: Membership,
    },
    /// A follower lost what it had acknowledged: remove it, and let it join under a new id.
    LostState {
        /// The follower.
        peer: NodeId,
    },
    /// The node stopped; nothing follows.
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
            // There is room: it is the first.
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
    /// Who does not read, or has gone, hears no more.
    fn notify(&mut self, event: &NodeEvent) {
        self.subscribers
            .retain(|subscriber| match subscriber.try_send(event.clone()) {
                Ok(()) => true,
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
            });
    }
}

/// What subscribers hear of an action, if anything.
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
        Action::Send { .. }
        | Action::Persist(_)
        | Action::Apply { .. }
        | Action::Restore { .. }
        | Action::ReadSnapshot { .. }
        | Action::WriteSnapshot { .. }
        | Action::ReleaseSnapshot { .. }
        | Action::WakeAt(_)
        | Action::Proposed { .. }
        | Action::Read { .. }
        | Action::Transferred { .. }
        | Action::ChangeProposed { .. }
        | Action::ReadEntries { .. }
        | Action::Rejected { .. }
        | Action::Refused { .. }
        | Action::Faulted { .. } => None,
    }
}

fn state_of(raft: &Raft) -> NodeState {
    NodeState {
        term: raft.term(),
        role: raft.role(),
        leader: raft.leader(),
        commit_index: raft.commit_index(),
        applied_index: raft.applied_index(),
    }
}
