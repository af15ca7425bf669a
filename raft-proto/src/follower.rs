//! Rules for followers (Figure 2; section 5.2).

use crate::reads::ForwardedReads;
use crate::snapshot::Incoming;
use crate::types::{NodeId, Time};
use alloc::boxed::Box;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// What only a follower has.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Follower {
    leader: Option<NodeId>,
    deadline: Time,
    timeout: Duration,
    /// The snapshot that the leader is sending, as far as it has come.
    pub(crate) incoming: Option<Box<Incoming>>,
    /// What its clients want to read.
    pub(crate) reads: ForwardedReads,
}

impl Follower {
    pub(crate) fn new(leader: Option<NodeId>, deadline: Time, timeout: Duration) -> Follower {
        Follower {
            leader,
            deadline,
            timeout,
            incoming: None,
            reads: ForwardedReads::default(),
        }
    }

    /// Who leads in this term, as far as is known.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// Follows another leader, or nobody: what an earlier one was sending is void.
    pub(crate) fn follow(&mut self, leader: Option<NodeId>) {
        if self.leader != leader {
            self.leader = leader;
            self.incoming = None;
        }
    }

    /// When it campaigns: "if election timeout elapses without receiving AppendEntries RPC from
    /// current leader or granting vote to candidate: convert to candidate".
    pub(crate) fn deadline(&self) -> Time {
        self.deadline
    }

    /// Its election timeout is another one from the next time on that it hears the leader.
    pub(crate) fn be_patient_for(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// It has heard the leader, or granted its vote.
    pub(crate) fn put_off_election(&mut self, now: Time) {
        self.deadline = now.after(self.timeout);
    }
}
