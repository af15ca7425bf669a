//! What a node answers peers that fetch entries.

use crate::state_machine::StateMachine;
use crate::tasks::{CoreMailbox, CoreTask, EntriesLost};
use crate::transport::EntrySource;
use raft_proto::Entries;
use raft_proto::mending::{Fetch, FetchReply, serve};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long the disk may take for a peer's request.
const LIMIT: Duration = Duration::from_secs(5);

type Ask = Arc<dyn Fn(&Fetch) -> FetchReply + Send + Sync>;

/// Answers peers with what this node has.
#[derive(Default)]
pub(crate) struct Source(Mutex<State>);

#[derive(Default)]
enum State {
    /// It is not known yet what the node has.
    #[default]
    Starting,
    /// The node is incomplete itself, and has these.
    Incomplete(Vec<Entries>),
    /// The node runs.
    Running(Ask),
}

impl Source {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of others runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The node has these entries.
    pub(crate) fn serve(&self, whole: Vec<Entries>) {
        *self.lock() = State::Incomplete(whole);
    }

    /// From now on, the node's disk is asked.
    pub(crate) fn run<M: StateMachine>(&self, core: CoreMailbox<M>) {
        *self.lock() = State::Running(Arc::new(move |fetch| ask(&core, fetch)));
    }
}

impl EntrySource for Source {
    fn fetch(&self, fetch: &Fetch) -> FetchReply {
        let ask = match &*self.lock() {
            State::Starting => return FetchReply::Unreachable,
            State::Incomplete(whole) => return serve(whole, fetch),
            State::Running(ask) => ask.clone(),
        };
        ask(fetch)
    }
}

fn ask<M: StateMachine>(core: &CoreMailbox<M>, fetch: &Fetch) -> FetchReply {
    let (reply, replied) = crossbeam_channel::bounded(1);
    let fetch = *fetch;
    let lost = EntriesLost { fetch, reply };
    if core.send(CoreTask::FetchEntries(lost)).is_err() {
        return FetchReply::Unreachable; // The node has stopped.
    }
    let reply = replied.recv_timeout(LIMIT);
    reply.unwrap_or(FetchReply::Unreachable)
}
