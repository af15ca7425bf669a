//! Requests that were given to the core, and whose outcome it has not said yet.

use crate::state_machine::StateMachine;
use crate::tasks::{CommandPromise, PendingRead};
use crate::ticket::Promise;
use raft_proto::{
    CampaignError, ChangeError, EntryId, NodeId, ReconfigureError, RequestId, StepDownError, Term,
    TransferError,
};
use std::collections::{BTreeMap, VecDeque};

/// By the id under which the core was given each.
pub(super) struct PendingRequests<M: StateMachine> {
    last_id: u64,
    /// Of the newest proposal. Its outcome comes in the very step that proposes it.
    proposal: VecDeque<CommandPromise<M>>,
    reads: BTreeMap<RequestId, PendingRead<M>>,
    transfers: BTreeMap<RequestId, Promise<NodeId, TransferError>>,
    changes: BTreeMap<RequestId, Promise<EntryId, ChangeError>>,
    /// The newest of each, whose outcome comes in the very step, too.
    campaign: Option<Promise<Term, CampaignError>>,
    step_down: Option<Promise<Term, StepDownError>>,
    reconfigure: Option<Promise<(), ReconfigureError>>,
    /// The transfer that a shutdown waits for.
    shutdown: Option<RequestId>,
}

impl<M: StateMachine> PendingRequests<M> {
    pub(super) fn new() -> PendingRequests<M> {
        PendingRequests {
            last_id: 0,
            proposal: VecDeque::new(),
            reads: BTreeMap::new(),
            transfers: BTreeMap::new(),
            changes: BTreeMap::new(),
            campaign: None,
            step_down: None,
            reconfigure: None,
            shutdown: None,
        }
    }

    fn next_id(&mut self) -> RequestId {
        self.last_id += 1;
        RequestId(self.last_id)
    }

    pub(super) fn set_proposal(&mut self, promises: VecDeque<CommandPromise<M>>) -> RequestId {
        self.proposal = promises;
        self.next_id()
    }

    pub(super) fn take_proposal(&mut self) -> VecDeque<CommandPromise<M>> {
        std::mem::take(&mut self.proposal)
    }

    pub(super) fn insert_read(&mut self, read: PendingRead<M>) -> RequestId {
        let id = self.next_id();
        self.reads.insert(id, read);
        id
    }

    pub(super) fn take_read(&mut self, id: RequestId) -> Option<PendingRead<M>> {
        self.reads.remove(&id)
    }

    pub(super) fn insert_transfer(&mut self, promise: Promise<NodeId, TransferError>) -> RequestId {
        let id = self.next_id();
        self.transfers.insert(id, promise);
        id
    }

    pub(super) fn take_transfer(
        &mut self,
        id: RequestId,
    ) -> Option<Promise<NodeId, TransferError>> {
        self.transfers.remove(&id)
    }

    pub(super) fn insert_change(&mut self, promise: Promise<EntryId, ChangeError>) -> RequestId {
        let id = self.next_id();
        self.changes.insert(id, promise);
        id
    }

    pub(super) fn set_campaign(&mut self, promise: Promise<Term, CampaignError>) -> RequestId {
        self.campaign = Some(promise);
        self.next_id()
    }

    pub(super) fn take_campaign(&mut self) -> Option<Promise<Term, CampaignError>> {
        self.campaign.take()
    }

    pub(super) fn set_step_down(&mut self, promise: Promise<Term, StepDownError>) -> RequestId {
        self.step_down = Some(promise);
        self.next_id()
    }

    pub(super) fn take_step_down(&mut self) -> Option<Promise<Term, StepDownError>> {
        self.step_down.take()
    }

    pub(super) fn set_reconfigure(&mut self, promise: Promise<(), ReconfigureError>) -> RequestId {
        self.reconfigure = Some(promise);
        self.next_id()
    }

    pub(super) fn take_reconfigure(&mut self) -> Option<Promise<(), ReconfigureError>> {
        self.reconfigure.take()
    }

    pub(super) fn take_change(&mut self, id: RequestId) -> Option<Promise<EntryId, ChangeError>> {
        self.changes.remove(&id)
    }

    /// The id of the transfer that the shutdown waits for.
    pub(super) fn begin_shutdown(&mut self) -> RequestId {
        let id = self.next_id();
        self.shutdown = Some(id);
        id
    }

    /// The id of a transfer that nobody waits for.
    pub(super) fn begin_retreat(&mut self) -> RequestId {
        self.next_id()
    }

    /// Whether a shutdown waits for this transfer.
    pub(super) fn is_shutdown(&self, id: RequestId) -> bool {
        self.shutdown == Some(id)
    }
}
