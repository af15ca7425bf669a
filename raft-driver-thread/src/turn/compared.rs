//! A state that is not that of the other nodes: what the core has to do with it.

use super::Core;
use crate::observed::NodeEvent;
use crate::state_machine::StateMachine;
use crate::tasks::{ApplyTask, SetAside};
use crate::transport::Transport;
use raft_proto::mending::FetchReply;
use raft_proto::{Index, Input, SnapshotId, SnapshotMeta, Time};

impl<M: StateMachine, T: Transport> Core<M, T> {
    /// The snapshot that a peer may have, of the state after `at_least` or later. It is kept as long
    /// as the peer fetches it. If there is none, one is made, and the peer asks again.
    pub(super) fn offer_snapshot(&mut self, at_least: Index) -> FetchReply {
        let snapshot = self.raft.snapshot();
        let is_sound = |meta: &&SnapshotMeta| Some(meta.id) != self.state.doubtful_snapshot;
        let newest = snapshot.filter(is_sound);
        let is_there = newest.is_some_and(|meta| meta.id.last.index >= at_least);
        if let Some(meta) = self.offers.offer(newest, at_least) {
            return FetchReply::Snapshot(meta);
        }
        // If there is one, as many as may be are kept for others: the peer waits for its turn.
        if !is_there && self.raft.applied_index() >= at_least {
            self.queue_apply(ApplyTask::MakeSnapshot);
        }
        FetchReply::Unreachable
    }

    /// Nothing more is applied to the state.
    pub(super) fn set_state_aside(&mut self, task: SetAside) {
        self.offers.withdraw();
        self.queue_apply(ApplyTask::SetAside(task));
        self.state.retreats_at = Time::ZERO;
    }

    /// A leader whose state is set aside answers no commands: it hands over leadership. It may have
    /// been elected after its state was set aside, and an attempt may fail, as nobody who could take
    /// over was heard yet. So it tries again, a heartbeat interval later; a leader takes a turn at
    /// least that often.
    pub(super) fn retreat(&mut self) {
        if self.raft.leader() != Some(self.raft.id()) {
            return;
        }
        let now = self.clock.now();
        if now < self.state.retreats_at {
            return;
        }
        self.state.retreats_at = now.after(self.raft.config().heartbeat_interval);
        if self.replica.is_set_aside() {
            let id = self.state.pending.begin_retreat();
            self.step(Input::TransferLeadership { id, target: None });
        }
    }

    /// The state is that of this snapshot and of what was applied since. Stored, the snapshot takes
    /// the place of the one before, in which the wrong state may be.
    pub(super) fn state_replaced(&mut self, snapshot: SnapshotId) {
        let (node, last) = (self.raft.id(), snapshot.last);
        tracing::warn!(%node, %last, "the state of this node was replaced by that of the majority");
        self.step(Input::Compact { snapshot });
        // If it ends at the same entry, it stays until the next one.
        let stored = self.raft.snapshot().map(|meta| meta.id);
        let is_doubtful = |id: &SnapshotId| *id != snapshot && id.last == last;
        self.state.doubtful_snapshot = stored.filter(is_doubtful);
        self.observed.publish(&NodeEvent::StateReplaced { last });
    }

    /// A snapshot was fetched, and the leader's came first. It may be the same one, which is in use
    /// then: so nothing but the core's own rules releases it. One of a state that this node has not
    /// come to yet stays until the next start.
    pub(super) fn replacement_unused(&mut self, snapshot: SnapshotId) {
        if snapshot.last.index <= self.raft.applied_index() {
            self.step(Input::Compact { snapshot });
        }
    }
}
