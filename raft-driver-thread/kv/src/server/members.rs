//! Who belongs to the cluster, and who leads it: what is asked of whichever server leads.
//!
//! To ask again does no harm, so a server that is asked tries until the request's time is over: here if it
//! leads, else at the server that does (RAFT HERE), which tries once and never hands on.

use super::connection::Connection;
use super::outcome::{GatewayError, Miss};
use crate::resp::AdminCommand;
use crate::state::{Operation, Reply};
use bytes::Bytes;
use raft_driver_thread::RequestError;
use raft_driver_thread::raft_proto::{
    ChangeError, EntryId, Member, MemberRole, MembershipChange, NodeChange, NodeId, RoleKind,
    Status, TransferError,
};
use std::sync::Arc;

/// The code of the error that a node is no member.
const NO_MEMBER: &str = "NOMEMBER";

impl Connection {
    /// Has something done by the server that leads.
    pub(super) async fn by_leader(&self, request: &AdminCommand, arguments: &[Bytes]) -> Reply {
        let gateway = &self.shared.gateway;
        let deadline = gateway.deadline();
        let mut unknown = None;
        loop {
            let state = gateway.node().state();
            let tried = match (state.role, state.leader) {
                (RoleKind::Leader, _) => self.here(request).await,
                (_, Some(leader)) => gateway.have_done(leader, arguments, deadline).await,
                (_, None) => Err(Miss::NotDone("there is no leader".into())),
            };
            let reason = match tried {
                // An earlier try has removed it.
                Ok(Reply::Error(error))
                    if unknown.is_some()
                        && matches!(request, AdminCommand::Leave(_))
                        && error.starts_with(NO_MEMBER) =>
                {
                    return Reply::Ok;
                }
                Ok(reply) => return reply,
                Err(Miss::Never(reason)) => return GatewayError::Refused(reason).into(),
                Err(Miss::NotDone(reason)) => reason,
                // To hand over again would take the lead from whoever has it now.
                Err(Miss::Unknown(reason)) if matches!(request, AdminCommand::Transfer(None)) => {
                    return GatewayError::Unknown(reason).into();
                }
                Err(Miss::Unknown(reason)) => unknown.insert(reason).clone(),
            };
            if !gateway.pause(deadline).await {
                return match unknown {
                    Some(reason) => GatewayError::Unknown(reason).into(),
                    None => GatewayError::Unavailable(reason).into(),
                };
            }
        }
    }

    /// Does it, if this server leads: one try.
    pub(super) async fn here(&self, request: &AdminCommand) -> Result<Reply, Miss> {
        if !self.shared.gateway.leads() {
            return Err(Miss::NotDone("the lead was lost in between".into()));
        }
        match request {
            AdminCommand::Join { node, peers } => self.join(NodeId(*node), peers).await,
            AdminCommand::Promote(node) => self.promote(NodeId(*node)).await,
            AdminCommand::Leave(node) => self.leave(NodeId(*node)).await,
            AdminCommand::Transfer(target) => self.transfer(target.map(NodeId)).await,
            AdminCommand::Status
            | AdminCommand::Snapshot
            | AdminCommand::BackupOpen
            | AdminCommand::BackupRead
            | AdminCommand::Forward { .. }
            | AdminCommand::Load(_)
            | AdminCommand::Here { .. } => {
                Err(Miss::Never("the leader is not needed for this".into()))
            }
        }
    }

    /// A new server becomes a learner; it asks to be promoted by itself.
    async fn join(&self, node: NodeId, peers: &str) -> Result<Reply, Miss> {
        match self.member(node).await? {
            None => {
                let member = Member::learner(node).with_context(peers.to_owned());
                self.change(NodeChange::Set(member)).await?;
            }
            Some(member) if member.context == peers.as_bytes() => self.settle_all().await?,
            Some(member) => {
                let known = String::from_utf8_lossy(&member.context).into_owned();
                let what = format!("{node} is a member already, at {known}: take another id");
                return Ok(Reply::error("ERR", what));
            }
        }
        Ok(Reply::Ok)
    }

    async fn promote(&self, node: NodeId) -> Result<Reply, Miss> {
        match self.member(node).await?.map(|member| member.role) {
            None => return Ok(no_member(node)),
            Some(MemberRole::Learner) => self.change(NodeChange::Promote(node)).await?,
            Some(_) => self.settle_all().await?,
        }
        Ok(Reply::Ok)
    }

    async fn leave(&self, node: NodeId) -> Result<Reply, Miss> {
        if self.member(node).await?.is_none() {
            self.settle_all().await?;
            return Ok(no_member(node));
        }
        let gateway = &self.shared.gateway;
        if node == gateway.node().id() && gateway.node().transfer_leadership(None).await.is_ok() {
            // Another one can tell how it ended. With nobody to take over this one sees to it.
            return Err(Miss::NotDone("the lead was handed over first".into()));
        }
        self.change(NodeChange::Remove(node)).await?;
        // Where it was reached is of no use any more, and does no harm.
        let gateway = gateway.clone();
        let party = Arc::new(gateway.node().group());
        tokio::spawn(async move {
            gateway
                .forwarded(&Operation::RemoveAddress(node.0), party)
                .await
        });
        Ok(Reply::Ok)
    }

    async fn transfer(&self, target: Option<NodeId>) -> Result<Reply, Miss> {
        let node = self.shared.gateway.node();
        if target == Some(node.id()) {
            return Ok(super::local::number(node.id().0)); // It leads, as was asked for.
        }
        let ended = node.transfer_leadership(target).await;
        match ended {
            Ok(leader) => Ok(super::local::number(leader.0)),
            Err(RequestError::Refused(error @ TransferError::NotLeader { .. })) => {
                Err(Miss::NotDone(error.to_string()))
            }
            Err(error) => Ok(Reply::error("ERR", error)),
        }
    }

    /// Makes a change, and waits until it is committed.
    async fn change(&self, change: impl Into<MembershipChange>) -> Result<(), Miss> {
        let gateway = &self.shared.gateway;
        let ticket = gateway.node().change_membership(change.into());
        let changed = tokio::time::timeout_at(gateway.deadline(), ticket).await;
        let late = |_| Miss::Unknown("the change did not enter the log in time".into());
        match changed.map_err(late)? {
            Ok(entry) => self.settle(entry).await,
            Err(RequestError::Refused(ChangeError::NothingChanges)) => self.settle_all().await,
            Err(error) => Err(miss(error)),
        }
    }

    /// Waits until an entry is committed that this server, as the leader, has put into its log: until
    /// then another leader may know nothing of it.
    async fn settle(&self, entry: EntryId) -> Result<(), Miss> {
        let gateway = &self.shared.gateway;
        let deadline = gateway.deadline();
        loop {
            // Who led in a term has its log overwritten by nobody in that term.
            let state = gateway.node().state();
            if state.term == entry.term && state.commit_index >= entry.index {
                return Ok(());
            }
            if state.term != entry.term || !gateway.pause(deadline).await {
                let what = "the leader changed, or no majority stored it in time: ask again";
                return Err(Miss::Unknown(what.into()));
            }
        }
    }

    /// Likewise for all that stands in the log now.
    async fn settle_all(&self) -> Result<(), Miss> {
        let status = self.status().await?;
        if status.role != RoleKind::Leader {
            return Err(Miss::NotDone("the lead was lost in between".into()));
        }
        let (term, index) = (status.term, status.last_log.index);
        self.settle(EntryId { term, index }).await
    }

    async fn status(&self) -> Result<Status, Miss> {
        let handle = self.shared.gateway.node().clone();
        let status = tokio::task::spawn_blocking(move || handle.status()).await;
        let stopped = || Miss::NotDone("the node has stopped".into());
        status.ok().and_then(Result::ok).ok_or_else(stopped)
    }

    async fn member(&self, node: NodeId) -> Result<Option<Member>, Miss> {
        let status = self.status().await?;
        let mut members = status.membership.members().iter();
        Ok(members.find(|member| member.id == node).cloned())
    }
}

fn no_member(node: NodeId) -> Reply {
    Reply::error(NO_MEMBER, format!("{node} is no member"))
}

fn miss(error: RequestError<ChangeError>) -> Miss {
    let reason = error.to_string();
    match error {
        RequestError::Refused(refusal) => match refusal {
            // Over soon.
            ChangeError::NotLeader { .. }
            | ChangeError::InProgress { .. }
            | ChangeError::NoCommitInTerm
            | ChangeError::NotCaughtUp { .. }
            | ChangeError::Transferring { .. }
            | ChangeError::Faulted(_) => Miss::NotDone(reason),
            ChangeError::NoVoters
            | ChangeError::NamedTwice(_)
            | ChangeError::UnknownNode(_)
            | ChangeError::InvalidRole(_)
            | ChangeError::NothingChanges
            | ChangeError::TooLarge { .. }
            | ChangeError::LogFull => Miss::Never(reason),
        },
        RequestError::NotApplied { .. } | RequestError::Overloaded | RequestError::Stopped => {
            Miss::NotDone(reason)
        }
        RequestError::Unknown(_) => Miss::Unknown(reason),
    }
}
