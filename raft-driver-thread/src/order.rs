//! What the core is asked for.

use crate::apply_thread::{CommandPromise, Query};
use crate::disk_thread::StorageFailed;
use crate::error::RequestError;
use crate::mailbox::Mailbox;
use crate::state_machine::StateMachine;
use crate::ticket::Promise;
use bytes::Bytes;
use raft_proto::{
    ChangeError, EntryId, Input, MembershipChange, NodeId, ReadError, ReadMode, SnapshotId, Status,
    TransferError,
};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

/// What callers and this node's other threads want of the core.
pub(crate) enum Order<M: StateMachine> {
    Propose(Bytes, CommandPromise<M>),
    Read(ReadMode, PendingRead<M>),
    Transfer(Option<NodeId>, Promise<NodeId, TransferError>),
    Change(MembershipChange, Promise<EntryId, ChangeError>),
    Status(Promise<Status, Infallible>),
    /// To be asked of the state as it is.
    Inspect(Query<M>),
    Snapshot,
    /// From the threads: the answer to an action.
    Input(Input),
    SnapshotMade(Option<SnapshotId>),
    StorageFailed(StorageFailed),
    MachineFailed(String),
    ThreadPanicked(&'static str),
    /// Hand over the lead, then stop.
    Shutdown,
    /// Stop.
    Kill,
}

/// Where orders for the core are put.
pub(crate) type Orders<M> = Mailbox<Order<M>>;

/// A read that waits for its index: what to ask then, or whom to tell that there is none.
pub(crate) struct PendingRead<M> {
    pub(crate) query: Query<M>,
    pub(crate) refuse: Box<dyn FnOnce(RequestError<ReadError>) + Send>,
}

impl<M: StateMachine> PendingRead<M> {
    pub(crate) fn new<A: Send + 'static>(
        query: impl FnOnce(&M) -> A + Send + 'static,
        promise: Promise<A, ReadError>,
    ) -> PendingRead<M> {
        let promise = Arc::new(Mutex::new(Some(promise)));
        let take = |promise: &Mutex<Option<_>>| {
            promise
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take()
        };
        let refused = promise.clone();
        let query = Box::new(move |machine: &M| {
            if let Some(promise) = take(&promise) {
                promise.end(Ok(query(machine)));
            }
        });
        let refuse = Box::new(move |error| {
            if let Some(promise) = take(&refused) {
                promise.end(Err(error));
            }
        });
        PendingRead { query, refuse }
    }
}
