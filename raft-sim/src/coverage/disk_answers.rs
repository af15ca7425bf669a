//! The disk's answers: late, failed, or of no use any more.

use super::CoverageMark;
use raft_proto::{
    Action, EntryId, Input, NodeId, Raft, SnapshotId, SnapshotReadFailed, SnapshotWriteFailed, Time,
};
use std::collections::BTreeMap;

/// What a core has asked its disk for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    /// Entries for a peer.
    Entries { peer: NodeId, from: EntryId },
    /// A chunk of a snapshot for a peer.
    Chunk {
        peer: NodeId,
        snapshot: SnapshotId,
        offset: u64,
    },
    /// That a chunk be written.
    Write { snapshot: SnapshotId, offset: u64 },
}

impl Request {
    /// The request that an action is.
    #[expect(clippy::wildcard_enum_match_arm, reason = "only three ask the disk")]
    fn of_action(action: &Action) -> Option<Request> {
        Some(match *action {
            Action::ReadEntries { peer, from, .. } => Request::Entries { peer, from },
            Action::ReadSnapshot {
                peer,
                snapshot,
                offset,
                ..
            } => Request::Chunk {
                peer,
                snapshot,
                offset,
            },
            Action::WriteSnapshot {
                snapshot, offset, ..
            } => Request::Write { snapshot, offset },
            _ => return None,
        })
    }

    /// The request that an input answers.
    #[expect(clippy::wildcard_enum_match_arm, reason = "only three are answers")]
    fn of_answer(input: &Input) -> Option<Request> {
        Some(match *input {
            Input::EntriesRead { peer, from, .. } => Request::Entries { peer, from },
            Input::SnapshotRead {
                peer,
                snapshot,
                offset,
                ..
            } => Request::Chunk {
                peer,
                snapshot,
                offset,
            },
            Input::SnapshotWritten {
                snapshot, offset, ..
            } => Request::Write { snapshot, offset },
            _ => return None,
        })
    }

    /// The peer that what is read will be sent to.
    fn peer(&self) -> Option<NodeId> {
        match self {
            Request::Entries { peer, .. } | Request::Chunk { peer, .. } => Some(*peer),
            Request::Write { .. } => None,
        }
    }
}

/// A request that has not been answered.
#[derive(Clone, Copy, Debug)]
struct Pending {
    request: Request,
    since: Time,
    /// Something else was asked for the same peer since.
    is_outlived: bool,
}

/// The requests of each node that have not been answered. There are few at a time.
#[derive(Clone, Debug, Default)]
pub(super) struct DiskAnswers(BTreeMap<NodeId, Vec<Pending>>);

impl DiskAnswers {
    /// A process has ended: nothing is answered any more.
    pub(super) fn stopped(&mut self, node: NodeId) {
        self.0.remove(&node);
    }

    /// A core may ask its disk for something.
    pub(super) fn action(&mut self, now: Time, node: NodeId, action: &Action) {
        let Some(request) = Request::of_action(action) else {
            return;
        };
        let all = self.0.entry(node).or_default();
        let peer = request.peer();
        for pending in all.iter_mut() {
            let is_read = matches!(pending.request, Request::Entries { .. });
            pending.is_outlived |= is_read && pending.request.peer() == peer;
        }
        all.push(Pending {
            request,
            since: now,
            is_outlived: false,
        });
    }

    /// A core is about to take an input, which may be an answer. Returns the marks that it hits.
    pub(super) fn input(
        &mut self,
        now: Time,
        raft: &Raft,
        input: &Input,
    ) -> impl Iterator<Item = CoverageMark> + use<> {
        let answered = Request::of_answer(input).and_then(|request| {
            let all = self.0.get_mut(&raft.id())?;
            let at = all.iter().position(|pending| pending.request == request)?;
            Some(all.swap_remove(at))
        });
        let timeout = raft.config().election_timeout_min;
        let is_late = answered.is_some_and(|pending| pending.since.after(timeout) < now);
        let is_outlived = answered.is_some_and(|pending| pending.is_outlived);
        let is_gone = matches!(
            input,
            Input::SnapshotRead {
                result: Err(SnapshotReadFailed::Gone),
                ..
            }
        );
        let is_unwritten = matches!(
            input,
            Input::SnapshotWritten {
                result: Err(SnapshotWriteFailed),
                ..
            }
        );
        let marks = [
            is_late.then_some(CoverageMark::ReadOverdue),
            is_outlived.then_some(CoverageMark::ReadOutlivedFlow),
            is_gone.then_some(CoverageMark::SnapshotGone),
            is_unwritten.then_some(CoverageMark::ChunkWriteFailed),
        ];
        marks.into_iter().flatten()
    }
}
