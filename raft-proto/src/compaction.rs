//! Log compaction (section 7; thesis chapter 5): a snapshot of the service replaces the beginning
//! of the log. The core never holds a snapshot, only its id and the membership in it.

use crate::action::{Action, Compaction};
use crate::error::Refusal;
use crate::message::{SnapshotId, SnapshotMeta};
use crate::outbox::Withheld;
use crate::progress::Peer;
use crate::raft::Raft;
use crate::role::{Leader, Role};
use crate::types::{EntryId, Index};
use alloc::vec::Vec;

impl Raft {
    /// The service has a durable snapshot: the beginning of the log can go.
    #[cold]
    pub(crate) fn compact(&mut self, id: SnapshotId, actions: &mut Vec<Action>) {
        let (index, last) = (id.last.index, self.applier.handed_out());
        if index > last {
            let reason = Refusal::NotHandedOut { index, last };
            return actions.push(Action::Refused { reason });
        }
        let current = self.snapshot.as_ref().map(|snapshot| snapshot.id);
        let damaged = self.damaged_snapshot();
        if damaged == Some(id) {
            // Made anew, with the same bytes: it is in use again.
            return self.forget_damage();
        }
        let replaces = |current: SnapshotId| {
            index > current.last.index || index == current.last.index && damaged == Some(current)
        };
        if !current.is_none_or(replaces) || index == Index::ZERO {
            // It is not newer than the one in use, or empty.
            if current != Some(id) && !self.is_kept(id) {
                actions.push(Action::ReleaseSnapshot { snapshot: id });
            }
            return;
        }
        if let Some(term) = self.log.term_at(index)
            && term != id.last.term
        {
            let found = EntryId { index, term };
            let claimed = id.last;
            let reason = Refusal::OtherEntry { claimed, found };
            return actions.push(Action::Refused { reason });
        }
        let membership = self.configurations.as_of(index).clone();
        if membership.is_empty() {
            let reason = Refusal::NoConfiguration;
            return actions.push(Action::Refused { reason });
        }
        self.configurations.drop_through(index);
        let snapshot = SnapshotMeta { id, membership };
        let drop_through = self.spared(index);
        self.log.drop_through(drop_through);
        self.writes.stage_compact(Compaction {
            snapshot: snapshot.clone(),
            drop_through,
        });
        self.replace_snapshot(snapshot);
    }

    /// How much of the log a snapshot that ends at `index` replaces: a tail stays for followers
    /// that are only a little behind, and what follows a snapshot that is being sent.
    fn spared(&self, index: Index) -> Index {
        let tail = Index(index.0.saturating_sub(self.config.trailing_entries));
        let tail = tail.min(self.log.start_of_tail(index, self.config.trailing_bytes));
        let most = self.config.max_trailing_bytes;
        let least = most.map_or(Index::ZERO, |most| self.log.start_of_tail(index, most));
        let tail = tail.max(least);
        let held = match &self.role {
            Role::Leader(leader) => {
                let held = leader
                    .peers
                    .iter()
                    .filter_map(|peer| self.held_for(leader, peer));
                held.min().unwrap_or(tail)
            }
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => tail,
        };
        tail.min(held).max(self.log.base().index)
    }

    /// The entries after this one stay for `peer`, which is sent a snapshot or catches up after
    /// one. Not for ever: as long as it answers, and only up to `max_transfer_log_bytes`.
    fn held_for(&self, leader: &Leader, peer: &Peer) -> Option<Index> {
        let hold = peer.hold?;
        let bytes = leader.appended_bytes.saturating_sub(hold.appended_at);
        let answers = peer.heard_within(10 * self.config.election_timeout_max, self.now);
        let held = answers && bytes <= self.config.max_transfer_log_bytes;
        held.then_some(hold.after.max(peer.match_index))
    }

    /// The newest snapshot, if this leader found it damaged.
    fn damaged_snapshot(&self) -> Option<SnapshotId> {
        match &self.role {
            Role::Leader(leader) => leader.damaged_snapshot.as_deref().copied(),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => None,
        }
    }

    fn forget_damage(&mut self) {
        if let Some(leader) = self.leader_mut() {
            leader.damaged_snapshot = None;
        }
    }

    /// `snapshot` is from now on the one that a restart recovers. The one before is released when
    /// that is durable and no transfer reads it any more.
    pub(crate) fn replace_snapshot(&mut self, snapshot: SnapshotMeta) {
        let id = snapshot.id;
        if let Some(old) = self.snapshot.replace(snapshot)
            && old.id != id
        {
            self.retired_snapshots.push(old.id);
        }
        self.forget_damage();
        self.release_unused_snapshots();
    }

    /// Whether a snapshot that was replaced is still read, or waits for its release: nothing that
    /// the driver says of it again releases it early.
    fn is_kept(&self, id: SnapshotId) -> bool {
        self.retired_snapshots.contains(&id) || self.outbox.releases(id)
    }

    /// Releases the snapshots that were replaced, once that is durable, and that nobody reads: no
    /// transfer to a peer, and not the service, which reads the one that it was handed by `Restore`
    /// until it reports `Applied`.
    pub(crate) fn release_unused_snapshots(&mut self) {
        if self.retired_snapshots.is_empty() {
            return;
        }
        let peers = match &self.role {
            Role::Leader(leader) => leader.peers.as_slice(),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => &[],
        };
        let (outbox, applier) = (&mut self.outbox, &self.applier);
        let seq = self.writes.latest();
        self.retired_snapshots.retain(|id| {
            let mut transfers = peers.iter().filter_map(|peer| peer.transfer());
            let in_use = transfers.any(|transfer| transfer.snapshot.id == *id)
                || applier.may_read_snapshot(id.last.index);
            if !in_use {
                outbox.withhold(seq, Withheld::ReleaseSnapshot { snapshot: *id });
            }
            in_use
        });
    }
}
