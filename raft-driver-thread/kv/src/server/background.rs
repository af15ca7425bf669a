//! Background tasks: the leader proposes the time, so that keys expire; a server registers its
//! address, and asks to become a voter once it has caught up; the node's events are passed on.

use super::router::Router;
use crate::settings::Identity;
use crate::state::{Machine, Operation, ServerAddress};
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

/// Runs until the node stops.
pub(crate) async fn run(router: Arc<Router>, identity: Identity, own: ServerAddress) {
    let mut ticks = interval(TIME_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tick = 0;
    while router.node().stop_reason().is_none() {
        ticks.tick().await;
        if let Ok(time) = router.node().inspect(Machine::time).await {
            router.clock().catch_up(time);
        }
        if router.leads() {
            propose_time(&router).await;
        }
        if tick == 0 {
            register(&router, &own).await;
            if identity.founders.is_empty() {
                ask_for_promotion(&router, &own).await;
            }
        }
        tick = (tick + 1) % REGISTRATION_TICKS;
    }
}

/// Proposes the time while there are keys that will expire.
async fn propose_time(router: &Router) {
    let has_expiries = |machine: &Machine| machine.next_expiry().is_some();
    if router.node().inspect(has_expiries).await == Ok(true) {
        let group = Arc::new(router.node().group());
        // If leadership was lost meanwhile, the next leader does it.
        let _ = router
            .propose_here(&Operation::AdvanceTime, group, router.deadline())
            .await;
    }
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
