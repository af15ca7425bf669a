//! What a node answers peers that fetch what is no part of the protocol.

use crate::shared::Shared;
use crate::state_machine::StateMachine;
use crate::storage::Snapshots;
use crate::tasks::{CoreMailbox, CoreTask, EntriesLost};
use crate::transport::EntrySource;
use bytes::Bytes;
use crossbeam_channel::Sender;
use raft_proto::SnapshotReadFailed;
use raft_proto::mending::{Fetch, FetchReply, Request, serve};
use raft_proto::{Entries, SnapshotMeta};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long the disk may take for a peer's request.
const LIMIT: Duration = Duration::from_secs(5);

type Answer = Arc<dyn Fn(&Request) -> FetchReply + Send + Sync>;

/// So much of what a node had to set aside is kept for peers.
const KEPT_BYTES: u64 = 64 << 20;

/// Answers peers with what this node has.
#[derive(Default)]
pub(crate) struct Source {
    state: Mutex<State>,
    /// Entries that the node had, and had to set aside.
    aside: Arc<Mutex<Vec<Entries>>>,
}

/// What a node has that is incomplete.
pub(crate) struct Held {
    /// Entries, in order and with gaps.
    pub(crate) whole: Vec<Entries>,
    pub(crate) snapshot: Option<SnapshotMeta>,
    pub(crate) snapshots: Arc<dyn Snapshots>,
}

impl Held {
    fn answer(&self, request: &Request) -> FetchReply {
        match request {
            Request::Entries(fetch) => serve(&self.whole, fetch),
            Request::Digests | Request::Noted => FetchReply::HaveNot,
            Request::Snapshot { at_least } => {
                let reaches = |meta: &&SnapshotMeta| meta.id.last.index >= *at_least;
                let meta = self.snapshot.as_ref().filter(reaches);
                // It makes none before it is complete.
                meta.map_or(FetchReply::HaveNot, |meta| {
                    FetchReply::Snapshot(meta.clone())
                })
            }
            Request::Chunk {
                snapshot,
                offset,
                length,
            } => chunk(self.snapshots.read(*snapshot, *offset, *length)),
        }
    }
}

#[derive(Default)]
enum State {
    /// It is not known yet what the node has.
    #[default]
    Starting,
    /// The node is incomplete itself, and has this.
    Incomplete(Arc<Held>),
    /// The node runs.
    Running(Answer),
}

impl Source {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of others runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The node has this.
    pub(crate) fn serve(&self, held: Held) {
        *self.lock() = State::Incomplete(Arc::new(held));
    }

    /// The node could not be mended, and starts with the beginning of what it has. What is behind
    /// it may be what another damaged node lacks: it is kept for those until the next start.
    pub(crate) fn keep_aside(&self) {
        let State::Incomplete(held) = &*self.lock() else {
            return;
        };
        let mut left = KEPT_BYTES;
        let mut runs = held.whole.clone();
        // The newest are those that peers have not compacted.
        runs.reverse();
        runs.retain(|run| {
            let fits = run.bytes() <= left;
            left = left.saturating_sub(run.bytes());
            fits
        });
        runs.reverse();
        *self.aside.lock().unwrap_or_else(PoisonError::into_inner) = runs;
    }

    /// From now on, the node's disk and its core are asked.
    pub(crate) fn run<M: StateMachine>(&self, shared: Shared<M>) {
        let aside = self.aside.clone();
        let answer = move |request: &Request| match request {
            Request::Entries(fetch) => {
                let fetch = *fetch;
                let reply = ask(&shared.core, |reply| {
                    CoreTask::FetchEntries(EntriesLost { fetch, reply })
                });
                if reply == FetchReply::HaveNot {
                    let aside = aside.lock().unwrap_or_else(PoisonError::into_inner);
                    return serve(&aside, &fetch);
                }
                reply
            }
            Request::Digests => {
                let noted = shared.replica.own_work();
                noted.map_or(FetchReply::HaveNot, FetchReply::Digests)
            }
            Request::Noted => {
                let noted = shared.replica.noted();
                noted.map_or(FetchReply::HaveNot, FetchReply::Noted)
            }
            // One that is set aside is nothing that anybody should take, or go on to take.
            Request::Snapshot { .. } | Request::Chunk { .. } if shared.replica.is_set_aside() => {
                FetchReply::HaveNot
            }
            Request::Snapshot { at_least } => {
                let at_least = *at_least;
                ask(&shared.core, |reply| CoreTask::OfferSnapshot {
                    at_least,
                    reply,
                })
            }
            Request::Chunk {
                snapshot,
                offset,
                length,
            } => {
                shared
                    .offers
                    .asked(*snapshot, offset.saturating_add(*length));
                chunk(shared.snapshots.read(*snapshot, *offset, *length))
            }
        };
        *self.lock() = State::Running(Arc::new(answer));
    }
}

impl EntrySource for Source {
    fn fetch(&self, fetch: &Fetch) -> FetchReply {
        self.answer(&Request::Entries(*fetch))
    }

    fn answer(&self, request: &Request) -> FetchReply {
        let answer: Answer = match &*self.lock() {
            State::Starting => return FetchReply::Unreachable,
            State::Incomplete(held) => {
                let held = held.clone();
                Arc::new(move |request: &Request| held.answer(request))
            }
            State::Running(answer) => answer.clone(),
        };
        answer(request)
    }
}

fn chunk(read: Result<Bytes, SnapshotReadFailed>) -> FetchReply {
    read.map_or(FetchReply::HaveNot, FetchReply::Chunk)
}

fn ask<M: StateMachine>(
    core: &CoreMailbox<M>,
    task: impl FnOnce(Sender<FetchReply>) -> CoreTask<M>,
) -> FetchReply {
    let (reply, replied) = crossbeam_channel::bounded(1);
    if core.send(task(reply)).is_err() {
        return FetchReply::Unreachable; // The node has stopped.
    }
    let reply = replied.recv_timeout(LIMIT);
    reply.unwrap_or(FetchReply::Unreachable)
}
