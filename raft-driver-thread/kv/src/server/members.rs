//! Changes of the membership and of leadership, which only the leader can make.
//!
//! A repeated request does no harm. So a server that gets one makes attempts until the request
//! times out: here if it leads, else at the leader (RAFT HERE). That one makes one attempt, and
//! never forwards.

use super::outcome::{AttemptError, CommandError, integer};
use super::router::Router;
use crate::resp::{AdminCommand, Join, Move, Replace};
use crate::state::{Operation, Reply};
use bytes::Bytes;
use raft_driver_thread::RequestError;
use raft_driver_thread::raft_proto::{
    ChangeError, EntryId, Incarnation, Member, MemberRole, MembershipChange, NodeChange, NodeId,
    RoleKind, Status, Time, TransferError,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// The code of the error for a node that is not a member.
const NOT_A_MEMBER: &str = "NOMEMBER";

/// The pause before the leader is asked again whether it hears a member.
const LISTENING_PAUSE: Duration = Duration::from_millis(20);

/// Has a request executed by the leader.
pub(super) async fn execute(
    router: &Arc<Router>,
    request: &AdminCommand,
    arguments: &[Bytes],
) -> Reply {
    let deadline = router.deadline();
    let mut unknown = None;
    loop {
        let state = router.node().state();
        let attempt = match (state.role, state.leader) {
            (RoleKind::Leader, _) => execute_here(router, request).await,
            (_, Some(leader)) => router.execute_at(leader, arguments, deadline).await,
            (_, None) => Err(AttemptError::NotDone("there is no leader".into())),
        };
        let reason = match attempt {
            // An earlier attempt has removed it.
            Ok(Reply::Error(error))
                if unknown.is_some()
                    && matches!(request, AdminCommand::Leave(_))
                    && error.starts_with(NOT_A_MEMBER) =>
            {
                return Reply::Ok;
            }
            Ok(reply) => return reply,
            Err(AttemptError::Never(reason)) => return CommandError::Refused(reason).into(),
            Err(AttemptError::NotDone(reason)) => reason,
            // A second transfer would take leadership away from its new holder.
            Err(AttemptError::Unknown(reason))
                if matches!(request, AdminCommand::Transfer(None)) =>
            {
                return CommandError::Unknown(reason).into();
            }
            Err(AttemptError::Unknown(reason)) => unknown.insert(reason).clone(),
        };
        if !router.wait_to_retry(deadline).await {
            return match unknown {
                Some(reason) => CommandError::Unknown(reason).into(),
                None => CommandError::Unavailable(reason).into(),
            };
        }
    }
}

/// Executes a request if this server leads: one attempt.
pub(super) async fn execute_here(
    router: &Arc<Router>,
    request: &AdminCommand,
) -> Result<Reply, AttemptError> {
    if !router.leads() {
        return Err(lost_leadership());
    }
    match request {
        AdminCommand::Join(request) => join(router, request).await,
        AdminCommand::Promote(node) => promote(router, NodeId(*node)).await,
        AdminCommand::Move(request) => move_member(router, request).await,
        AdminCommand::Leave(node) => leave(router, NodeId(*node)).await,
        AdminCommand::Transfer(target) => transfer(router, target.map(NodeId)).await,
        AdminCommand::Status
        | AdminCommand::Campaign
        | AdminCommand::StepDown
        | AdminCommand::Snapshot
        | AdminCommand::BackupOpen
        | AdminCommand::BackupRead
        | AdminCommand::Forward { .. }
        | AdminCommand::Load(_)
        | AdminCommand::Here { .. } => {
            let what = "this request is not one for the leader".into();
            Err(AttemptError::Never(what))
        }
    }
}

/// A new server becomes a learner, and a voter once it has caught up. One whose number a member has
/// takes that member's place, if its disk is lost.
async fn join(router: &Router, request: &Join) -> Result<Reply, AttemptError> {
    let node = NodeId(request.node);
    let incarnation = request.incarnation.map(Incarnation);
    let mut wanted = Member::staging(node).with_context(request.peers.clone());
    wanted.incarnation = incarnation;
    if let Some(refusal) = address_is_taken(router, node, &request.peers).await? {
        return Ok(refusal);
    }
    let Some(known) = member(router, node).await? else {
        change(router, NodeChange::Set(wanted)).await?;
        return Ok(Reply::Ok);
    };
    let is_learner = !known.role.has_vote();
    let is_unnamed = known.incarnation.is_none() && is_learner;
    let is_same_disk = incarnation.is_none() || known.incarnation == incarnation || is_unnamed;
    let is_same_address = known.context == request.peers.as_bytes();
    if !is_same_disk {
        return replace(router, request.replace, &known, wanted).await;
    }
    if !is_same_address {
        let known = String::from_utf8_lossy(&known.context).into_owned();
        let what = format!("{node} is a member already, at {known}: take another id");
        return Ok(Reply::error("ERR", what));
    }
    if is_learner {
        change(router, NodeChange::Set(wanted)).await?;
    } else {
        wait_for_all(router).await?;
    }
    Ok(Reply::Ok)
}

/// Another disk takes the place of a member's: as a learner, since it has none of the votes and
/// entries that the lost one acknowledged.
async fn replace(
    router: &Router,
    allowed: Replace,
    known: &Member,
    wanted: Member,
) -> Result<Reply, AttemptError> {
    let node = known.id;
    if allowed == Replace::Lost && is_active(router, node).await? {
        let named = known
            .incarnation
            .map_or("unknown".into(), |it| it.to_string());
        let what = format!(
            "{node} is a member and is well, with the disk {named}: take another id; or, if it is \
             to lose its place to the new disk, stop it, or join with --replace"
        );
        return Ok(Reply::error("ERR", what));
    }
    if node == router.node().id() {
        return match router.node().transfer_leadership(None).await {
            Ok(_) => {
                let what = "leadership was handed over first".into();
                Err(AttemptError::NotDone(what))
            }
            Err(error) => {
                let what = format!("{node} leads, and nobody can take over: {error}");
                Ok(Reply::error("ERR", what))
            }
        };
    }
    change(router, NodeChange::Set(wanted)).await?;
    Ok(Reply::Ok)
}

/// Whether the leader hears the disk that the configuration names for this node, from now on: a
/// leader that was elected a moment ago has heard nobody yet, and a server that was stopped a
/// moment ago was heard just before.
async fn is_active(router: &Router, node: NodeId) -> Result<bool, AttemptError> {
    // As long as CheckQuorum waits for a sign of life. Heartbeats come more often.
    let until = Instant::now() + router.election_timeout() * 3 / 2;
    let before = heard_at(router, node).await?;
    loop {
        let heard = heard_at(router, node).await?;
        if node == router.node().id() || heard > before {
            return Ok(true);
        }
        if Instant::now() >= until {
            return Ok(false);
        }
        sleep(LISTENING_PAUSE).await;
    }
}

/// When this leader heard the disk that the configuration names for `node`.
async fn heard_at(router: &Router, node: NodeId) -> Result<Option<Time>, AttemptError> {
    let status = status(router).await?;
    if status.role != RoleKind::Leader {
        return Err(lost_leadership());
    }
    let peer = status.peers.iter().find(|peer| peer.id == node);
    Ok(peer.and_then(|peer| peer.heard_at))
}

/// The refusal, if another member has this address.
async fn address_is_taken(
    router: &Router,
    node: NodeId,
    peers: &str,
) -> Result<Option<Reply>, AttemptError> {
    let members = status(router).await?.membership;
    let mut others = members.members().iter().filter(|other| other.id != node);
    let other = others.find(|other| other.context == peers.as_bytes());
    Ok(other.map(|other| {
        let what = format!(
            "{peers} is the address of {}: give the one at which {node} is reached, and start it \
             there",
            other.id
        );
        Reply::error("ERR", what)
    }))
}

/// A member is reached elsewhere from now on. It need not run: as long as a majority does.
async fn move_member(router: &Router, request: &Move) -> Result<Reply, AttemptError> {
    let node = NodeId(request.node);
    if member(router, node).await?.is_none() {
        return Ok(not_a_member(node));
    }
    if let Some(refusal) = address_is_taken(router, node, &request.peers).await? {
        return Ok(refusal);
    }
    let context = Some(request.peers.clone().into());
    let update = NodeChange::Update {
        node,
        priority: None,
        context,
    };
    change(router, update).await?;
    Ok(Reply::Ok)
}

async fn promote(router: &Router, node: NodeId) -> Result<Reply, AttemptError> {
    match member(router, node).await?.map(|member| member.role) {
        None => return Ok(not_a_member(node)),
        Some(MemberRole::Learner | MemberRole::Staging) => {
            change(router, NodeChange::Promote(node)).await?;
        }
        Some(
            MemberRole::Voter | MemberRole::Incoming | MemberRole::Outgoing | MemberRole::Demoted,
        ) => wait_for_all(router).await?,
    }
    Ok(Reply::Ok)
}

async fn leave(router: &Arc<Router>, node: NodeId) -> Result<Reply, AttemptError> {
    if member(router, node).await?.is_none() {
        wait_for_all(router).await?;
        return Ok(not_a_member(node));
    }
    if node == router.node().id() && router.node().transfer_leadership(None).await.is_ok() {
        // The next leader can tell how the removal ended. If nobody can take over, this one does
        // it.
        let what = "leadership was handed over first".into();
        return Err(AttemptError::NotDone(what));
    }
    change(router, NodeChange::Remove(node)).await?;
    // Its address is of no use any more. If this entry is lost, the address does no harm.
    let router = router.clone();
    let group = Arc::new(router.node().group());
    tokio::spawn(async move {
        let operation = Operation::RemoveAddress(node.0);
        router
            .propose_here(&operation, group, router.deadline())
            .await
    });
    Ok(Reply::Ok)
}

async fn transfer(router: &Router, target: Option<NodeId>) -> Result<Reply, AttemptError> {
    let node = router.node();
    if target == Some(node.id()) {
        return Ok(integer(node.id().0)); // It leads already.
    }
    match node.transfer_leadership(target).await {
        Ok(leader) => Ok(integer(leader.0)),
        Err(RequestError::Refused(error @ TransferError::NotLeader { .. })) => {
            Err(AttemptError::NotDone(error.to_string()))
        }
        Err(error) => Ok(Reply::error("ERR", error)),
    }
}

/// Makes a change, and waits until it is committed.
async fn change(router: &Router, change: impl Into<MembershipChange>) -> Result<(), AttemptError> {
    let ticket = router.node().change_membership(change.into());
    let changed = timeout_at(router.deadline(), ticket).await;
    let late = |_| AttemptError::Unknown("the change did not enter the log in time".into());
    match changed.map_err(late)? {
        Ok(entry) => wait_for_commit(router, entry).await,
        Err(RequestError::Refused(ChangeError::NothingChanges)) => wait_for_all(router).await,
        Err(error) => Err(attempt_error(error)),
    }
}

/// Waits until an entry is committed that this server has put into its log as the leader. Before
/// that, another leader may know nothing of it.
async fn wait_for_commit(router: &Router, entry: EntryId) -> Result<(), AttemptError> {
    let deadline = router.deadline();
    loop {
        // While the term is unchanged, nobody can overwrite this leader's log.
        let state = router.node().state();
        if state.term == entry.term && state.commit_index >= entry.index {
            return Ok(());
        }
        if state.term != entry.term || !router.wait_to_retry(deadline).await {
            let what = "the leader changed, or no majority stored it in time: try again";
            return Err(AttemptError::Unknown(what.into()));
        }
    }
}

/// Waits until every entry that is in the log now is committed.
async fn wait_for_all(router: &Router) -> Result<(), AttemptError> {
    let status = status(router).await?;
    if status.role != RoleKind::Leader {
        return Err(lost_leadership());
    }
    let (term, index) = (status.term, status.last_log.index);
    wait_for_commit(router, EntryId { term, index }).await
}

async fn status(router: &Router) -> Result<Status, AttemptError> {
    let node = router.node().clone();
    let status = tokio::task::spawn_blocking(move || node.status()).await;
    let stopped = || AttemptError::NotDone("the node has stopped".into());
    status.ok().and_then(Result::ok).ok_or_else(stopped)
}

async fn member(router: &Router, node: NodeId) -> Result<Option<Member>, AttemptError> {
    let status = status(router).await?;
    let mut members = status.membership.members().iter();
    Ok(members.find(|member| member.id == node).cloned())
}

fn lost_leadership() -> AttemptError {
    AttemptError::NotDone("leadership was lost in between".into())
}

fn not_a_member(node: NodeId) -> Reply {
    Reply::error(NOT_A_MEMBER, format!("{node} is no member"))
}

fn attempt_error(error: RequestError<ChangeError>) -> AttemptError {
    let reason = error.to_string();
    match error {
        RequestError::Refused(refusal) => match refusal {
            // These pass.
            ChangeError::NotLeader { .. }
            | ChangeError::InProgress { .. }
            | ChangeError::NoCommitInTerm
            | ChangeError::Changed { .. }
            | ChangeError::NotCaughtUp { .. }
            | ChangeError::UnknownIncarnation(_)
            | ChangeError::Transferring { .. }
            | ChangeError::Faulted(_) => AttemptError::NotDone(reason),
            ChangeError::NoVoters
            | ChangeError::NamedTwice(_)
            | ChangeError::UnknownNode(_)
            | ChangeError::InvalidRole(_)
            | ChangeError::OtherIncarnation { .. }
            | ChangeError::StagingVoter(_)
            | ChangeError::LevelTooLow { .. }
            | ChangeError::NothingChanges
            | ChangeError::TooLarge { .. }
            | ChangeError::LogFull => AttemptError::Never(reason),
            // A reason that this release does not know: nothing was done.
            _ => AttemptError::NotDone(reason),
        },
        RequestError::NotApplied { .. } | RequestError::Overloaded | RequestError::Stopped => {
            AttemptError::NotDone(reason)
        }
        RequestError::Unknown(_) => AttemptError::Unknown(reason),
    }
}
