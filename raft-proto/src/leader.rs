//! Rules for leaders (Figure 2; sections 5.3, 5.4.2 and 8).

use crate::action::{Action, Proposal};
use crate::config::LeaderNoop;
use crate::entries::Commands;
use crate::error::ProposeError;
use crate::raft::Raft;
use crate::role::Role;
use crate::run::{ENTRY_OVERHEAD, Payloads, Run, Segment};
use crate::types::{EntryId, EntryKind, Index, RequestId};
use alloc::vec::Vec;
use bytes::Bytes;

impl Raft {
    /// "Upon election: send initial empty AppendEntries RPCs (heartbeat) to each server." With
    /// `leader_noop`, it also appends an empty entry, without which the entries of earlier terms
    /// cannot be committed until a command comes (section 8).
    pub(crate) fn begin_term(&mut self, actions: &mut Vec<Action>) {
        if let Some(membership) = self.founding_membership() {
            self.put_membership(membership, actions);
            self.replicate_to_all(actions);
            return self.advance_commit(actions);
        }
        // A change of the membership under way can only be finished by an entry of this term.
        let latest = self.configurations.latest();
        let change_open = latest.index > self.commit_index() || latest.membership.is_joint();
        let wants_noop = change_open || self.config.leader_noop == LeaderNoop::On;
        // With a full log it leads without a no-op, and refuses proposals.
        if wants_noop && self.log.last().index < Index::MAX {
            self.append(EntryKind::Noop, Payloads::One(Bytes::new()));
        }
        self.replicate_to_all(actions);
        self.advance_commit(actions);
        self.finish_change(actions);
    }

    /// "If command received from client: append entry to local log" (Figure 2, Leaders). The
    /// entries go to the followers in this same step, while this node's own write runs.
    pub(crate) fn propose(&mut self, id: RequestId, commands: Commands, actions: &mut Vec<Action>) {
        let outcome = self.admit_proposal(&commands).map(|()| {
            let first = EntryId {
                index: self.log.last().index.next(),
                term: self.hard_state.term(),
            };
            let count = commands.len() as u64;
            self.append(EntryKind::Command, commands.0);
            Proposal { first, count }
        });
        actions.push(Action::Proposed { id, outcome });
        if outcome.is_ok() {
            self.replicate_to_all(actions);
        }
    }

    fn admit_proposal(&self, commands: &Commands) -> Result<(), ProposeError> {
        let Role::Leader(leader) = &self.role else {
            let leader = self.leader();
            return Err(ProposeError::NotLeader { leader });
        };
        if let Some(handover) = &leader.handover {
            let target = handover.target;
            return Err(ProposeError::Transferring { target });
        }
        if commands.is_empty() {
            return Err(ProposeError::Empty);
        }
        let limit = leader.command_limit.bytes;
        let mut wanted = 0;
        for command in commands.iter() {
            let size = command.len() as u64;
            if size > limit {
                return Err(match leader.command_limit.node {
                    None => ProposeError::TooLarge { size, limit },
                    Some(node) => ProposeError::TooLargeFor { node, size, limit },
                });
            }
            wanted += size + ENTRY_OVERHEAD;
        }
        let limit = self.config.max_uncommitted_bytes;
        if wanted > limit {
            return Err(ProposeError::BatchTooLarge { wanted, limit });
        }
        // What earlier terms left is only committed with an entry of this term (5.4.2). So the
        // first command of a term is never refused because of them.
        let begun = self.log.last().index >= leader.term_start;
        let waiting = if begun { leader.uncommitted } else { 0 };
        if wanted > limit.saturating_sub(waiting) {
            return Err(ProposeError::TooManyUncommitted {
                waiting,
                wanted,
                limit,
            });
        }
        let limit = limit.max(self.config.max_backlog_bytes);
        let waiting = if begun { leader.unapplied } else { 0 };
        if wanted > limit.saturating_sub(waiting) {
            return Err(ProposeError::TooManyUnapplied {
                waiting,
                wanted,
                limit,
            });
        }
        if Index::MAX.since(self.log.last().index) < commands.len() as u64 {
            return Err(ProposeError::LogFull);
        }
        Ok(())
    }

    /// Bytes in the log above what this node's service has applied.
    pub(crate) fn unapplied_bytes(&self) -> u64 {
        let (handed_out, last) = (self.applier.handed_out(), self.log.last().index);
        self.applier.outstanding_bytes() + self.log.bytes_between(handed_out, last)
    }

    /// Appends entries of the current term. A leader never overwrites or deletes an entry of
    /// its own (Leader Append-Only, section 5.3).
    pub(crate) fn append(&mut self, kind: EntryKind, payloads: Payloads) {
        let first = self.log.last().index.next();
        let run = Segment::new(first, Run::new(self.hard_state.term(), kind, payloads));
        if let Role::Leader(leader) = &mut self.role {
            let bytes = run.bytes();
            leader.uncommitted += bytes;
            leader.appended_bytes += bytes;
            leader.unapplied += bytes;
        }
        self.log.append(run);
        self.writes.stage_entries(first);
    }

    /// Applies the commit rule (`commit.rs`), and tells the followers.
    pub(crate) fn advance_commit(&mut self, actions: &mut Vec<Action>) {
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        let (before, durable) = (self.commit_index.get(), self.writes.durable_index());
        let own = (self.config.node_id, durable);
        let membership = self.configurations.membership();
        if leader.may_commit_after(before, membership, own.0)
            && let Some(committed) = leader.committed(membership, own)
        {
            self.commit_index.raise_to(committed);
        }
        let commit_index = self.commit_index.get();
        let committed_and_durable = commit_index.min(durable);
        if committed_and_durable > leader.committed_and_durable {
            leader.uncommitted = if committed_and_durable == self.log.last().index {
                0
            } else {
                let before = leader.committed_and_durable;
                leader.uncommitted - self.log.bytes_between(before, committed_and_durable)
            };
            leader.committed_and_durable = committed_and_durable;
        }
        if commit_index > before {
            let ends_change = leader.open_change.is_some_and(|at| at <= commit_index);
            if leader.reads.wait_for_first_commit() {
                self.serve_reads(actions);
            }
            self.replicate_to_all(actions);
            if ends_change {
                self.finish_change(actions);
            }
        }
    }
}
