//! What administrators ask of a server: RAFT ….

use super::connection::Connection;
use super::info;
use crate::kv::resp::Admin;
use crate::kv::state::{Answer, Backup, Body, Machine, Reply};
use bytes::Bytes;
use raft_proto::{
    ChangeError, EntryId, Member, MemberRole, MembershipChange, NodeChange, NodeId, RoleKind,
    Status,
};

/// How much of a backup travels at once.
const PIECE: usize = 1 << 20;

impl Connection {
    pub(super) async fn admin(&mut self, request: Admin, arguments: &[Bytes]) -> Reply {
        match request {
            Admin::Status => match info::status(&self.shared).await {
                Ok(status) => match serde_json::to_string(&status) {
                    Ok(text) => Reply::text(text),
                    Err(error) => Reply::error("ERR", error),
                },
                Err(error) => error,
            },
            Admin::Snapshot => {
                self.shared.gateway.node().snapshot();
                Reply::Ok
            }
            Admin::BackupOpen => self.open_backup().await,
            Admin::BackupRead => self.read_backup(),
            Admin::Forward(body) => self.forwarded(&body).await,
            Admin::Load(body) => self.load(&body).await,
            Admin::Join { node, peers } => match self.elsewhere(arguments).await {
                Some(reply) => reply,
                None => self.join(NodeId(node), peers).await,
            },
            Admin::Promote(node) => match self.elsewhere(arguments).await {
                Some(reply) => reply,
                None => self.promote(NodeId(node)).await,
            },
            Admin::Leave(node) => {
                self.hand_over_before_leaving(NodeId(node)).await;
                match self.elsewhere(arguments).await {
                    Some(reply) => reply,
                    None => self.leave(NodeId(node)).await,
                }
            }
            Admin::Transfer(target) => match self.elsewhere(arguments).await {
                Some(reply) => reply,
                None => self.transfer(target.map(NodeId)).await,
            },
        }
    }

    /// What the leader answers; `None` if this server is that.
    async fn elsewhere(&self, arguments: &[Bytes]) -> Option<Reply> {
        self.shared.gateway.hand_to_leader(arguments).await
    }

    async fn forwarded(&mut self, body: &[u8]) -> Reply {
        let Some(body) = Body::decode(body) else {
            return Reply::error("NEVER", "the request is of another release");
        };
        match self.shared.gateway.forwarded(&body).await {
            Ok(answer) => Reply::Bulk(answer.encode()),
            Err(error) => error,
        }
    }

    async fn load(&mut self, body: &[u8]) -> Reply {
        let Some(body @ Body::Load(_)) = Body::decode(body) else {
            return Reply::error("ERR", "this is no piece of a backup");
        };
        match self.shared.gateway.propose(&body).await {
            Ok(Answer::Done) => Reply::Ok,
            Ok(answer) => Reply::error("ERR", format!("the cluster answered {answer:?}")),
            Err(error) => error.into(),
        }
    }

    async fn change(&self, change: impl Into<MembershipChange>) -> Result<(), Reply> {
        let ticket = self.shared.gateway.node().change_membership(change.into());
        let limit = self.shared.settings.request_timeout;
        let changed = tokio::time::timeout(limit, ticket).await;
        let late = |_| Reply::error("UNKNOWN", "the change did not enter the log in time");
        match changed.map_err(late)? {
            Ok(entry) => self.settle(entry).await,
            Err(crate::RequestError::Refused(ChangeError::NothingChanges)) => {
                self.settle_all().await
            }
            Err(error) => Err(Reply::error("ERR", error)),
        }
    }

    /// Waits until an entry is committed that this server, as the leader, has put into its log: until
    /// then another leader may know nothing of it.
    async fn settle(&self, entry: EntryId) -> Result<(), Reply> {
        let gateway = &self.shared.gateway;
        let deadline = gateway.deadline();
        loop {
            // Who led in a term has its log overwritten by nobody in that term.
            let state = gateway.node().state();
            if state.term == entry.term && state.commit_index >= entry.index {
                return Ok(());
            }
            if state.term != entry.term || !gateway.pause(deadline).await {
                let what = "it is not known whether the change will be in force: ask again";
                return Err(Reply::error("UNKNOWN", what));
            }
        }
    }

    /// Likewise for all that stands in the log now.
    async fn settle_all(&self) -> Result<(), Reply> {
        match self.status().await {
            Some(status) if status.role == RoleKind::Leader => {
                let (term, index) = (status.term, status.last_log.index);
                self.settle(EntryId { term, index }).await
            }
            Some(_) | None => {
                let what = "the lead was lost in between: ask again";
                Err(Reply::error("UNKNOWN", what))
            }
        }
    }

    async fn status(&self) -> Option<Status> {
        let handle = self.shared.gateway.node().clone();
        let status = tokio::task::spawn_blocking(move || handle.status()).await;
        status.ok()?.ok()
    }

    async fn member(&self, node: NodeId) -> Option<Member> {
        let status = self.status().await?;
        let mut members = status.membership.members().iter();
        members.find(|member| member.id == node).cloned()
    }

    /// A new server becomes a learner; it asks to be promoted by itself.
    async fn join(&self, node: NodeId, peers: String) -> Reply {
        if let Some(member) = self.member(node).await {
            return match member.context == peers.as_bytes() {
                true => self
                    .settle_all()
                    .await
                    .map_or_else(|error| error, |()| Reply::Ok),
                false => {
                    let known = String::from_utf8_lossy(&member.context).into_owned();
                    let what = format!("{node} is a member already, at {known}: take another id");
                    Reply::error("ERR", what)
                }
            };
        }
        let member = Member::learner(node).with_context(peers);
        match self.change(NodeChange::Set(member)).await {
            Ok(()) => Reply::Ok,
            Err(error) => error,
        }
    }

    async fn promote(&self, node: NodeId) -> Reply {
        match self.member(node).await.map(|member| member.role) {
            None => Reply::error("ERR", format!("{node} is no member")),
            Some(MemberRole::Learner) => match self.change(NodeChange::Promote(node)).await {
                Ok(()) => Reply::Ok,
                Err(error) => error,
            },
            Some(_) => Reply::Ok,
        }
    }

    async fn leave(&self, node: NodeId) -> Reply {
        if self.member(node).await.is_none() {
            return match self.settle_all().await {
                Ok(()) => Reply::error("ERR", format!("{node} is no member")),
                Err(error) => error,
            };
        }
        if let Err(error) = self.change(NodeChange::Remove(node)).await {
            return error;
        }
        // Where it was reached is of no use any more, and does no harm.
        let gateway = self.shared.gateway.clone();
        tokio::spawn(async move { gateway.forwarded(&Body::ServerLeft(node.0)).await });
        Reply::Ok
    }

    /// A leader that is to leave lets another one see to it, who can tell how it ended.
    async fn hand_over_before_leaving(&self, node: NodeId) {
        let gateway = &self.shared.gateway;
        if node == gateway.node().id() && gateway.leads() {
            // With nobody to take over it sees to it itself.
            let _ = gateway.node().transfer_leadership(None).await;
        }
    }

    async fn transfer(&self, target: Option<NodeId>) -> Reply {
        match self.shared.gateway.node().transfer_leadership(target).await {
            Ok(leader) => super::local::number(leader.0),
            Err(error) => Reply::error("ERR", error),
        }
    }

    /// Holds the state as it is now, until it is read to its end.
    async fn open_backup(&mut self) -> Reply {
        // What was acknowledged before is in it.
        if let Err(error) = self.shared.gateway.read(Vec::new()).await {
            return error.into();
        }
        let view = self.shared.gateway.node().inspect(Machine::view).await;
        let view = match view {
            Ok(view) => view,
            Err(error) => return Reply::error("ERR", error),
        };
        self.backup = Some(Backup::new(view));
        Reply::Ok
    }

    fn read_backup(&mut self) -> Reply {
        let Some(backup) = &mut self.backup else {
            return Reply::error("ERR", "no backup is open: RAFT BACKUP OPEN comes first");
        };
        match backup.piece(PIECE) {
            Some(piece) => Reply::Bulk(piece),
            None => {
                self.backup = None;
                Reply::Nil
            }
        }
    }
}
