//! Every message between a node's threads: what each thread is asked to do, and how a thread
//! reports that it has failed.

use crate::error::RequestError;
use crate::mailbox::Mailbox;
use crate::state_machine::StateMachine;
use crate::storage::StorageError;
use crate::ticket::{Applied, Promise};
use bytes::Bytes;
use raft_proto::mending::{Fetch, FetchReply};
use raft_proto::{
    CampaignError, ChangeError, Config, Entries, EntryId, Index, Input, Membership,
    MembershipChange, NodeId, ProposeError, ReadError, ReadMode, ReconfigureError, Seq, SnapshotId,
    SnapshotMeta, Status, StepDownError, Term, Time, TransferError, Write,
};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

/// For the core: from callers, and from the node's other threads.
pub(crate) enum CoreTask<M: StateMachine> {
    Propose {
        command: Bytes,
        promise: CommandPromise<M>,
        /// When the caller gave it, if that is measured.
        given: Option<Time>,
    },
    Read {
        mode: ReadMode,
        read: PendingRead<M>,
    },
    TransferLeadership {
        target: Option<NodeId>,
        promise: Promise<NodeId, TransferError>,
    },
    ChangeMembership {
        change: MembershipChange,
        promise: Promise<EntryId, ChangeError>,
    },
    Campaign(Promise<Term, CampaignError>),
    StepDown(Promise<Term, StepDownError>),
    Reconfigure {
        config: Box<Config>,
        promise: Promise<(), ReconfigureError>,
    },
    Status(Promise<Status, Infallible>),
    /// Ask the state machine as it is, without waiting for an index.
    Inspect(Query<M>),
    MakeSnapshot,
    /// For a peer: passed on to the disk thread.
    FetchEntries(EntriesLost),
    /// For a peer that wants a snapshot of the state after this entry or a later one.
    OfferSnapshot {
        at_least: Index,
        reply: crossbeam_channel::Sender<FetchReply>,
    },
    /// Who the members are now.
    Membership(crossbeam_channel::Sender<Membership>),
    /// The state is not that of the majority.
    SetStateAside(SetAside),
    /// This snapshot, which is stored, takes the place of the state that was set aside.
    ReplaceState {
        snapshot: SnapshotMeta,
        done: crossbeam_channel::Sender<()>,
    },
    /// It has taken its place.
    StateReplaced(SnapshotId),
    /// The leader's snapshot has taken the place instead, and this one is not needed.
    ReplacementUnused(SnapshotId),
    /// A thread's answer to one of the core's actions.
    Input(Input),
    /// The snapshot that was being made is durable; `None` if it could not be made.
    SnapshotMade(Option<SnapshotId>),
    StorageFailed(StorageFailed),
    StateMachineFailed(StateMachineFailed),
    ThreadPanicked {
        thread: &'static str,
    },
    /// Hand over leadership, then stop.
    Shutdown,
    /// Stop at once.
    Kill,
}

pub(crate) type CoreMailbox<M> = Mailbox<CoreTask<M>>;

/// For the disk thread: the log on disk.
#[derive(Debug)]
pub(crate) enum DiskTask {
    Write(Write),
    Read(EntriesWanted),
    Fetch(EntriesLost),
}

/// Entries that the disk of a peer has lost. If the reply is dropped, the peer asks again.
#[derive(Debug)]
pub(crate) struct EntriesLost {
    pub(crate) fetch: Fetch,
    pub(crate) reply: crossbeam_channel::Sender<FetchReply>,
}

/// Nothing more is to be applied to the state.
#[derive(Debug)]
pub(crate) struct SetAside {
    /// Told the last entry that was applied.
    pub(crate) reached: crossbeam_channel::Sender<EntryId>,
}

/// Entries that are no longer in memory, and that `peer` needs.
#[derive(Debug)]
pub(crate) struct EntriesWanted {
    pub(crate) peer: NodeId,
    pub(crate) from: EntryId,
    pub(crate) to: EntryId,
    pub(crate) max_bytes: u64,
}

/// For the apply thread: the state machine. Performed in the order in which they are sent.
pub(crate) enum ApplyTask<M: StateMachine> {
    Apply(Entries),
    Restore(SnapshotMeta),
    /// Commands that were proposed on this node, and that stand in the log from `first` on.
    Proposed {
        first: EntryId,
        promises: VecDeque<CommandPromise<M>>,
    },
    /// To be asked once everything up to `index` is applied.
    Query {
        index: Index,
        query: Query<M>,
    },
    MakeSnapshot,
    SetAside(SetAside),
    Replace {
        snapshot: SnapshotMeta,
        done: crossbeam_channel::Sender<()>,
    },
    /// The snapshot thread has ended, with a snapshot or without.
    SnapshotMade(Option<SnapshotId>),
}

/// For the chunk thread: the files of snapshots that are sent and received.
#[derive(Debug)]
pub(crate) enum ChunkTask {
    Read(ChunkWanted),
    Write {
        snapshot: SnapshotId,
        offset: u64,
        data: Bytes,
    },
    Release(SnapshotId),
}

/// A chunk of a snapshot, to be sent to a peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChunkWanted {
    pub(crate) peer: NodeId,
    pub(crate) snapshot: SnapshotId,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// The disk thread has ended because its storage failed.
#[derive(Debug)]
pub(crate) struct StorageFailed {
    /// The first write that may not be durable; `None` if a read failed.
    pub(crate) seq: Option<Seq>,
    pub(crate) error: StorageError,
}

/// The apply thread has ended because the state machine panicked or broke its contract: why.
#[derive(Debug)]
pub(crate) struct StateMachineFailed(pub(crate) String);

impl StateMachineFailed {
    /// Runs the user's code. A panic in it stops the node, not the process.
    pub(crate) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, StateMachineFailed> {
        catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
            let text = panic.downcast_ref::<&str>().copied();
            let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            StateMachineFailed(format!("panic: {}", text.unwrap_or("of unknown reason")))
        })
    }
}

/// A question to the state machine, with the promise of its answer inside.
pub(crate) type Query<M> = Box<dyn FnOnce(&M) + Send>;

pub(crate) type CommandPromise<M> = Promise<Applied<<M as StateMachine>::Answer>, ProposeError>;

/// A read that waits for its index. Exactly one of the two is called.
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
