//! Rules for leaders (Figure 2; sections 5.3, 5.4.2 and 8).

use crate::action::{Action, Proposal};
use crate::config::LeaderNoop;
use crate::entries::{Commands, EntryKind};
use crate::error::ProposeError;
use crate::progress::Peer;
use crate::raft::Raft;
use crate::reads::LeaderReads;
use crate::role::Role;
use crate::run::{Payloads, Run, Segment};
use crate::transfer::Handover;
use crate::types::{EntryId, Index, NodeId, RequestId, Time};
use alloc::vec::Vec;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What only a leader has.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Leader {
    /// The index of its first entry: all from here on are of its own term.
    pub(crate) term_start: Index,
    /// When it became it.
    pub(crate) since: Time,
    /// The other members, and those that leave until that is committed, in the order of their ids.
    pub(crate) peers: Vec<Peer>,
    /// Bytes in the log above `settled`: what `max_uncommitted_bytes` limits.
    pub(crate) uncommitted: u64,
    /// Up to here the log is committed and on this leader's disk. Both, since a leader whose
    /// disk stalls must not take in more and more while its followers commit.
    pub(crate) settled: Index,
    /// The entry of the latest configuration, until what follows from its commit is done.
    pub(crate) open_change: Option<Index>,
    /// When it looks next whether a majority is heard.
    pub(crate) quorum_check_at: Time,
    /// The stall of its own disk, known by its beginning, that it has tried to hand over for.
    pub(crate) stall_handled: Option<Time>,
    pub(crate) handover: Option<Handover>,
    /// When it may hand over to a voter of greater priority again.
    pub(crate) favour_at: Time,
    pub(crate) reads: LeaderReads,
}

impl Leader {
    /// Where in `peers` a node is.
    pub(crate) fn slot(&self, id: NodeId) -> Option<usize> {
        self.peers.iter().position(|peer| peer.id == id)
    }

    pub(crate) fn peer_mut(&mut self, id: NodeId) -> Option<&mut Peer> {
        self.peers.iter_mut().find(|peer| peer.id == id)
    }

    /// The first time that a peer needs attention.
    pub(crate) fn deadline(&self) -> Time {
        let deadlines = self.peers.iter().map(Peer::deadline);
        deadlines.min().unwrap_or(Time::NEVER)
    }
}

impl Raft {
    /// "Upon election: send initial empty AppendEntries RPCs (heartbeat) to each server"; and,
    /// if so configured, append an empty entry, without which the entries of earlier terms
    /// cannot be committed until a command comes (section 8).
    pub(crate) fn begin_term(&mut self, actions: &mut Vec<Action>) {
        // A change of the membership is to be finished, and can only be by an entry of this term.
        let (index, membership) = self.configurations.latest();
        let open = *index > self.commit_index || membership.is_joint();
        let noop = match open {
            true => LeaderNoop::On,
            false => self.config.leader_noop,
        };
        match noop {
            // In a log that is full it leads without one, and refuses proposals.
            LeaderNoop::On if self.log.last().index < Index::MAX => {
                self.append(EntryKind::Noop, Payloads::One(Bytes::new()));
            }
            LeaderNoop::On | LeaderNoop::Off => {}
        }
        self.replicate_to_all(actions);
        self.advance_commit(actions);
        self.finish_change(actions);
    }

    /// "If command received from client: append entry to local log" (Figure 2, Leaders). The
    /// entries go to the followers in this same step; our own write runs beside them.
    pub(crate) fn propose(&mut self, id: RequestId, commands: Commands, actions: &mut Vec<Action>) {
        let outcome = self.admit_proposal(&commands).map(|()| {
            let first = EntryId {
                index: self.log.last().index.next(),
                term: self.hard_state.term,
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
        let limit = self.config.max_entry_bytes;
        let mut wanted = 0;
        for command in commands.iter() {
            let size = command.len() as u64;
            if size > limit {
                return Err(ProposeError::TooLarge { size, limit });
            }
            wanted += size + crate::ENTRY_OVERHEAD;
        }
        let limit = self.config.max_uncommitted_bytes;
        if wanted > limit {
            return Err(ProposeError::BatchTooLarge { wanted, limit });
        }
        // What earlier terms left can only be committed with an entry of this one (5.4.2): the
        // first is never refused for it.
        let begun = self.log.last().index >= leader.term_start;
        let waiting = if begun { leader.uncommitted } else { 0 };
        if wanted > limit.saturating_sub(waiting) {
            return Err(ProposeError::TooManyUncommitted {
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

    /// Appends entries of the current term. A leader never overwrites or deletes an entry of
    /// its own (Leader Append-Only, section 5.3).
    pub(crate) fn append(&mut self, kind: EntryKind, payloads: Payloads) {
        let first = self.log.last().index.next();
        let run = Segment::new(first, Run::new(self.hard_state.term, kind, payloads));
        if let Role::Leader(leader) = &mut self.role {
            leader.uncommitted += run.bytes();
        }
        self.log.append(run);
        self.writes.stage_entries(first);
    }

    /// Applies the commit rule (`commit.rs`), and tells the followers.
    pub(crate) fn advance_commit(&mut self, actions: &mut Vec<Action>) {
        let Role::Leader(leader) = &mut self.role else {
            return;
        };
        let durable = self.writes.durable_index;
        let own = (self.config.node_id, durable);
        let committed = leader.committed(self.configurations.membership(), own);
        let news = committed.filter(|index| *index > self.commit_index);
        self.commit_index = news.unwrap_or(self.commit_index);
        let settled = self.commit_index.min(durable);
        if settled > leader.settled {
            leader.uncommitted -= self.log.bytes_between(leader.settled, settled);
            leader.settled = settled;
        }
        if news.is_some() {
            let reads = leader.reads.wait_for_commit();
            let closes = leader.open_change.is_some_and(|at| at <= self.commit_index);
            if reads {
                self.serve_reads(actions);
            }
            self.replicate_to_all(actions);
            if closes {
                self.finish_change(actions);
            }
        }
    }
}
