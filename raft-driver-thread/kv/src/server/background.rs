//! Background tasks: the leader proposes the time, so that keys expire; a server registers its
//! address, and asks to become a voter once it has caught up; the node's events are passed on.

use super::router::Router;
use crate::settings::Identity;
use crate::state::{Machine, Operation, ServerAddress};
use crate::status::AgreedSettings;
use bytes::Bytes;
use raft_driver_thread::Node;
use raft_driver_thread::NodeEvent;
use raft_driver_thread::StopReason;
use raft_driver_thread::raft_proto::{MemberRole, RoleKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

/// How often at most the leader proposes the time.
const TIME_INTERVAL: Duration = Duration::from_millis(100);

/// After how many of those intervals a server checks that the others know its address.
const REGISTRATION_TICKS: u32 = 11;

/// After how many of those intervals a server saves the time.
const SAVE_TICKS: u32 = 10;

/// The node's events, for tasks to wait for.
pub(crate) struct NodeEvents {
    /// How many events there have been.
    pub(crate) count: watch::Receiver<u64>,
    /// Why the node stopped, once it has.
    pub(crate) stopped: watch::Receiver<Option<StopReason>>,
}

impl NodeEvents {
    pub(crate) fn watch(node: &Node<Machine>) -> std::io::Result<NodeEvents> {
        let events = node.subscribe();
        let (counter, count) = watch::channel(0);
        let (reason, stopped) = watch::channel(node.stop_reason());
        std::thread::Builder::new()
            .name("kv-events".into())
            .spawn(move || {
                for event in events {
                    if let NodeEvent::Stopped(why) = event {
                        reason.send_replace(Some(why));
                    }
                    counter.send_modify(|count| *count += 1);
                }
            })?;
        Ok(NodeEvents { count, stopped })
    }
}

/// What a server does in the background.
pub(crate) struct Background {
    pub(crate) router: Arc<Router>,
    pub(crate) identity: Identity,
    /// What the others are to know of this server.
    pub(crate) record: ServerAddress,
    /// The settings of this server that the others must share.
    pub(crate) agreed: AgreedSettings,
    /// Gets a text if they do not.
    pub(crate) conflict: watch::Sender<Option<String>>,
}

/// Runs until the node stops.
pub(crate) async fn run(background: Background) {
    let Background {
        router,
        identity,
        record: own,
        agreed,
        conflict,
    } = background;
    let mut is_compared = false;
    let mut ticks = interval(TIME_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tick = 0;
    while router.node().stop_reason().is_none() {
        ticks.tick().await;
        let times = |machine: &Machine| (machine.time(), machine.next_expiry().is_some());
        let mut has_expiries = false;
        if let Ok((time, any)) = router.node().inspect(times).await {
            router.clock().observe(time);
            has_expiries = any;
        }
        let state = router.node().state();
        if state.role != RoleKind::Leader && state.leader.is_some() {
            router.clock().other_leader();
        }
        // Before that, what was saved at the last run may still be needed at the next.
        if has_expiries && router.clock().has_begun() && tick % SAVE_TICKS == 0 {
            let router = router.clone();
            // If the thread fails, so does saving.
            let _ = tokio::task::spawn_blocking(move || router.clock().save()).await;
        }
        if has_expiries && router.leads() {
            propose_time(&router).await;
        }
        if tick % REGISTRATION_TICKS == 0 {
            is_compared = is_compared || compare(&router, &agreed, &conflict).await;
            register(&router, &own).await;
            if identity.founders.is_empty() {
                ask_for_promotion(&router, &own).await;
            }
        }
        tick = (tick + 1) % (REGISTRATION_TICKS * SAVE_TICKS);
    }
}

/// Proposes the time, which the leader does while there are keys that will expire.
async fn propose_time(router: &Router) {
    let group = Arc::new(router.node().group());
    // If leadership was lost meanwhile, the next leader does it.
    let _ = router
        .propose_here(&Operation::AdvanceTime, group, router.deadline())
        .await;
}

/// Compares this server's settings with the leader's, as `raft-kv join` does. Returns whether that
/// is done.
async fn compare(
    router: &Router,
    own: &AgreedSettings,
    conflict: &watch::Sender<Option<String>>,
) -> bool {
    let state = router.node().state();
    if state.role == RoleKind::Leader {
        return true; // The others compare theirs.
    }
    let Some(leader) = state.leader else {
        return false;
    };
    let Ok(status) = router.leader_status(leader, router.deadline()).await else {
        return false;
    };
    if let Some((option, theirs)) = own.difference(&status.agreed) {
        let what = format!(
            "{option} is {theirs} at {leader}, which leads, and has to be the same on all servers: \
             give this server the same value; to change it, stop all servers first"
        );
        tracing::error!("{what}");
        conflict.send_replace(Some(what));
    }
    true
}

/// This server's role in the membership, if it is a member.
async fn own_role(router: &Router) -> Option<MemberRole> {
    let node = router.node().clone();
    let status = tokio::task::spawn_blocking(move || node.status()).await;
    let status = status.ok()?.ok()?;
    let mut members = status.membership.members().iter();
    Some(members.find(|member| member.id == status.id)?.role)
}

/// Registers this server's address in the replicated state, unless it stands there already.
async fn register(router: &Router, own: &ServerAddress) {
    let wanted = own.clone();
    let is_known = move |machine: &Machine| machine.addresses().any(|server| *server == wanted);
    let is_known = router.node().inspect(is_known).await;
    if is_known == Ok(false) && own_role(router).await.is_some() {
        let operation = Operation::SetAddress(own.clone());
        if let Err(error) = router.propose(&operation, router.deadline()).await {
            tracing::debug!(%error, "this server's address is not registered yet");
        }
    }
}

/// A server that joined as a learner asks to be made a voter, until it is one.
async fn ask_for_promotion(router: &Router, own: &ServerAddress) {
    if own_role(router).await != Some(MemberRole::Learner) {
        return;
    }
    let state = router.node().state();
    let (RoleKind::Follower, Some(leader)) = (state.role, state.leader) else {
        return; // A learner leads only until the entry that made it a learner is complete.
    };
    let node = own.node.to_string();
    let arguments = ["RAFT", "PROMOTE", &node].map(|word| Bytes::from(word.to_owned()));
    let reply = router
        .execute_at(leader, &arguments, router.deadline())
        .await;
    tracing::debug!(?reply, "asked to become a voter");
}
