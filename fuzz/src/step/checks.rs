//! What must hold after each step: for the node's state, its log, its actions and its messages.

use super::start::NODE;
use super::world::World;
use raft_proto::wire::{self, Envelope, Limits};
use raft_proto::*;

impl World {
    /// Whether the node must have a deadline: a voter has one that does not lead alone. A follower
    /// that was told of its removal has none, unless it has received a later configuration since.
    pub(super) fn needs_timer(&self) -> bool {
        let voters: Vec<NodeId> = self.raft.membership().voters().collect();
        let leads_alone = self.raft.role() == RoleKind::Leader && voters == [NODE];
        let has_timer = self.raft.membership().is_voter(NODE) && !leads_alone;
        let is_silent = self.told_of_removal && self.raft.role() == RoleKind::Follower;
        has_timer && !is_silent && self.raft.fault().is_none() && self.now < Time(u64::MAX / 2)
    }

    pub(super) fn check_state(&self, before: &Raft) {
        let raft = &self.raft;
        assert!(raft.term() >= before.term(), "currentTerm fell");
        if raft.term() == before.term() {
            let (old, new) = (before.voted_for(), raft.voted_for());
            assert!(
                old.is_none() || old == new,
                "votedFor changed within a term"
            );
        }
        assert!(
            raft.commit_index() >= before.commit_index(),
            "commitIndex fell"
        );
        assert!(raft.commit_index() <= raft.last_log().index);
        assert!(raft.durable_index() <= raft.last_log().index);
        assert!(raft.log_base().index <= raft.commit_index());
        let reachable = raft.commit_index().min(raft.durable_index());
        assert!(raft.handed_out_index() <= reachable.max(before.handed_out_index()));
        assert!(raft.applied_index() <= raft.handed_out_index());
        self.check_committed(before);
        self.check_log();
    }

    /// Committed entries never change.
    fn check_committed(&self, before: &Raft) {
        let from = last_not_in_memory(&self.raft).max(last_not_in_memory(before));
        let committed = before.commit_index();
        if from < committed {
            let old = before.entries(from.next(), committed);
            assert_eq!(self.raft.entries(from.next(), committed), old);
        }
    }

    /// The log has no gaps, its terms never fall, and it is on disk up to its durable index.
    fn check_log(&self) {
        let raft = &self.raft;
        let index = last_not_in_memory(raft);
        let term = raft.term_at(index).expect("the log knows its terms");
        let mut last = EntryId { index, term };
        for entry in &raft.entries(last.index.next(), raft.last_log().index) {
            assert_eq!(entry.index(), last.index.next());
            assert!(entry.term() >= last.term, "terms fall at {}", entry.id());
            last = entry.id();
            if entry.index() <= raft.durable_index() {
                let stored = self.disk.term_at(entry.index());
                let in_snapshot = entry.index() <= self.disk.snapshot_end().index;
                let there = stored == Some(entry.term()) || (stored.is_none() && in_snapshot);
                assert!(there, "{} is not on disk", entry.id());
            }
        }
        assert_eq!(last, raft.last_log());
        assert!(last.term <= raft.term(), "an entry of a later term");
    }

    /// A rejected message and a refused input change nothing, and a faulted node does nothing.
    pub(super) fn check_unchanged(&self, before: &Raft, actions: &[Action]) {
        let turned_down = |action: &Action| match action {
            // It counts as a failed read, which may change the peer's progress.
            Action::Refused {
                reason: Refusal::OtherEntries { .. },
            } => false,
            Action::Rejected { .. } | Action::Refused { .. } => true,
            Action::Proposed { outcome, .. } => outcome.is_err(),
            Action::ChangeProposed { outcome, .. } => outcome.is_err(),
            Action::Campaigning { outcome, .. } => outcome.is_err(),
            Action::SteppedDown { outcome, .. } => outcome.is_err(),
            Action::Reconfigured { outcome, .. } => outcome.is_err(),
            _ => false,
        };
        if before.fault().is_some() {
            let after_fault = |action: &Action| {
                turned_down(action)
                    || matches!(action, Action::Read { .. } | Action::Transferred { .. })
            };
            assert!(actions.iter().all(after_fault), "{actions:?}");
        }
        if !actions.iter().any(turned_down) {
            return;
        }
        // A leader is told that its snapshot arrived with a wrong checksum.
        let says_damaged = |action: &Action| match action {
            Action::Send {
                message: Message::InstallSnapshotReply(reply),
                ..
            } => reply.outcome == SnapshotOutcome::Damaged,
            _ => false,
        };
        // A founder that was given another list is told so.
        let dismisses = |action: &Action| match action {
            Action::Send {
                message: Message::PreVoteReply(reply),
                ..
            } => reply.dismissal.is_some(),
            _ => false,
        };
        let harmless = |action: &Action| {
            let concerns_driver = matches!(action, Action::WakeAt(_) | Action::Overdue(_));
            turned_down(action) || says_damaged(action) || dismisses(action) || concerns_driver
        };
        assert!(actions.iter().all(harmless), "rejected, but {actions:?}");
        let without_counters = |raft: &Raft| {
            let mut status = raft.status();
            (status.rejected, status.safety_violations) = (0, 0);
            status
        };
        assert_eq!(without_counters(&self.raft), without_counters(before));
    }

    pub(super) fn check_message(&self, to: NodeId, message: &Message) {
        assert_ne!(to, NODE, "sent to itself");
        let config = self.raft.config();
        let envelope = Envelope::new(config, to);
        let frame = wire::encode(&envelope, message);
        let decoded = wire::decode(frame, &Limits::for_config(config));
        assert_eq!(decoded, Ok((envelope, message.clone())));
        let stored = self.disk.stored.hard_state;
        let own_vote = HardState {
            term: message.term(),
            voted_for: Some(NODE),
        };
        match message {
            Message::RequestVote(_) => assert_eq!(
                stored, own_vote,
                "requested a vote before its own was on disk"
            ),
            Message::RequestVoteReply(reply) => {
                if reply.vote == Vote::Granted {
                    let vote = HardState {
                        term: reply.term,
                        voted_for: Some(to),
                    };
                    assert_eq!(stored, vote, "a granted vote that is not on disk");
                }
            }
            // These promise nothing that must be on disk.
            Message::PreVote(_)
            | Message::PreVoteReply(_)
            | Message::ReadIndex(_)
            | Message::ReadIndexReply(_) => {}
            Message::TimeoutNow(_) => {
                assert_eq!(stored, own_vote, "leads, but its own vote is not on disk");
            }
            Message::AppendEntries(append) => {
                assert_eq!(stored, own_vote, "leads, but its own vote is not on disk");
                self.check_append(append);
            }
            Message::AppendEntriesReply(reply) => {
                if let AppendOutcome::Accepted { match_index, .. } = reply.outcome {
                    assert!(match_index <= self.on_disk, "acknowledged, not on disk");
                }
            }
            Message::InstallSnapshot(_) => assert_eq!(stored, own_vote),
            Message::InstallSnapshotReply(reply) => {
                if reply.outcome == SnapshotOutcome::Installed {
                    assert!(reply.last.index <= self.on_disk, "installed, not on disk");
                }
            }
        }
    }

    fn check_append(&self, append: &AppendEntries) {
        let raft = &self.raft;
        assert!(append.leader_commit <= raft.commit_index());
        // prevLog is in the log, or is the last entry of an older snapshot that is being sent.
        let in_snapshot_sent = raft
            .status()
            .peers
            .into_iter()
            .any(|peer| match peer.state {
                PeerState::Snapshot { snapshot, .. } => snapshot.last == append.prev_log,
                PeerState::Probe | PeerState::Replicate { .. } => false,
            });
        let known = raft.term_at(append.prev_log.index);
        assert!(in_snapshot_sent || known == Some(append.prev_log.term));
        let Some(last) = append.entries.last_id() else {
            return;
        };
        // Entries that are no longer in memory were read from the disk. Their terms are the log's.
        for entry in &append.entries {
            assert_eq!(raft.term_at(entry.index()), Some(entry.term()));
        }
        let first = append.prev_log.index.next();
        if first > last_not_in_memory(raft) {
            let held = raft.entries(first, last.index);
            assert_eq!(
                held, append.entries,
                "sent entries that the log does not hold"
            );
        }
        let limit = raft.config().max_append_bytes;
        assert!(append.entries.bytes() <= limit, "an append over the limit");
    }

    /// A checkpoint restores the whole state.
    pub(super) fn check_checkpoint(&self) {
        let restored = Raft::from_checkpoint(&self.raft.checkpoint());
        assert_eq!(restored.as_ref(), Ok(&self.raft));
    }
}

/// The last entry whose payload is not in memory.
fn last_not_in_memory(raft: &Raft) -> Index {
    let last = raft.last_log().index;
    let first = raft.entries(Index(0), last).first_index();
    first.map_or(last, Index::previous)
}
