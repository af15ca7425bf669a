//! Reads that do not go through the log (thesis 6.4).

use super::World;
use crate::coverage::CoverageMark;
use crate::failure::Failure;
use core::time::Duration;
use raft_proto::{Index, Input, ReadError, ReadMode, RequestId, RoleKind, Time};
use std::collections::BTreeMap;

/// A read that waits for its answer.
#[derive(Clone, Copy, Debug)]
struct PendingRead {
    client: u32,
    attempt: u64,
    key: u64,
    place: usize,
    mode: ReadMode,
    since: Time,
    /// The commitIndex of the cluster when the read began: the answer must not be older.
    committed: Index,
    /// The core has allowed it. It waits until the service has applied enough.
    is_allowed: bool,
}

/// All reads that wait for their answers.
#[derive(Debug, Default)]
pub(super) struct PendingReads(BTreeMap<RequestId, PendingRead>);

impl PendingReads {
    /// The process in this place has ended: it will answer nothing.
    pub(super) fn stopped(&mut self, place: usize) {
        self.0.retain(|_, read| read.place != place);
    }
}

impl World {
    /// A client's read arrives at a node.
    pub(super) fn begin_read(
        &mut self,
        place: usize,
        client: u32,
        attempt: u64,
        key: u64,
        mode: ReadMode,
    ) {
        let id = self.new_request_id();
        let read = PendingRead {
            client,
            attempt,
            key,
            place,
            mode,
            since: self.now,
            committed: self.judge.commit_index(),
            is_allowed: false,
        };
        self.reads.0.insert(id, read);
        self.give(place, Input::Read { id, mode });
    }

    /// A core allows or refuses a read.
    pub(super) fn read_outcome(
        &mut self,
        at: usize,
        id: RequestId,
        outcome: Result<Index, ReadError>,
    ) {
        let read = self.reads.0.get_mut(&id).filter(|read| !read.is_allowed);
        let Some(read) = read else {
            let node = self.machines[at].id();
            return self.fail(Failure::UnexpectedAnswer { node });
        };
        match outcome {
            Ok(index) => {
                read.is_allowed = true;
                let read = *read;
                self.read_allowed(at, id, read, index);
            }
            Err(reason) => {
                let (client, attempt) = (read.client, read.attempt);
                self.reads.0.remove(&id);
                self.read_refused(at, client, attempt, &reason);
            }
        }
    }

    fn read_allowed(&mut self, at: usize, id: RequestId, read: PendingRead, index: Index) {
        let machine = &mut self.machines[at];
        let role = machine.raft().map(|raft| raft.role());
        let counts = &mut self.operator.counts;
        match read.mode {
            ReadMode::Lease => counts.lease_reads += 1,
            ReadMode::Quorum if role == Some(RoleKind::Leader) => counts.quorum_reads += 1,
            ReadMode::Quorum => counts.follower_reads += 1,
        }
        if self.judge.read_allowed(machine.id(), index, read.committed) {
            machine.allowed_reads.push((index, id));
            let applied = machine.service.last.index;
            self.answer_reads(at, applied);
        }
    }

    fn read_refused(&mut self, at: usize, client: u32, attempt: u64, reason: &ReadError) {
        self.operator.counts.reads_refused += 1;
        let node = self.machines[at].id();
        let leader = match reason {
            ReadError::NotLeader { leader } => *leader,
            ReadError::NoLease => {
                self.recorder.coverage.hit(CoverageMark::LeaseExpired);
                Some(node)
            }
            ReadError::TooManyReads { .. } => {
                self.recorder.coverage.hit(CoverageMark::ReadBoundReached);
                // Where a node is cut off, those that wait there may keep all others out for ever.
                self.machines[at].raft().and_then(|raft| raft.leader())
            }
            ReadError::LeaseOff => Some(node),
            ReadError::NothingStored { leader } => Some(*leader),
            ReadError::NoLeader
            | ReadError::LeaderChanged
            | ReadError::TimedOut
            | ReadError::NoCommitInTerm
            | ReadError::Faulted(_) => None,
            _ => None, // A reason that is newer than this simulator.
        };
        self.redirect(client, attempt, leader);
    }

    /// The service of a node has applied all up to here: it answers the reads that waited for that.
    pub(super) fn answer_reads(&mut self, at: usize, applied: Index) {
        let mut next = 0;
        while let Some((index, id)) = self.machines[at].allowed_reads.get(next).copied() {
            if index > applied {
                next += 1;
                continue;
            }
            self.machines[at].allowed_reads.swap_remove(next);
            let Some(read) = self.reads.0.remove(&id) else {
                continue;
            };
            let value = self.machines[at].service.get(read.key);
            let history = self.judge.client_history();
            let next_attempt =
                self.clients
                    .read_answered(self.now, read.client, read.attempt, value, history);
            match next_attempt {
                Ok(attempt) => self.schedule_next_attempt(read.client, attempt),
                Err(failure) => self.fail(failure),
            }
        }
    }

    /// A read that a core which runs has not answered within `limit`.
    pub fn unanswered_read(&self, limit: Duration) -> Option<RequestId> {
        let is_late = |read: &PendingRead| !read.is_allowed && read.since.after(limit) < self.now;
        let mut reads = self.reads.0.iter();
        let late = reads.find(|(_, read)| is_late(read) && !self.gone[read.place]);
        late.map(|(id, _)| *id)
    }
}
