//! What a server does without being asked: lets time pass so that keys expire, says where clients
//! reach it, asks to become a voter once it has caught up, and passes on news of who leads.

use super::gateway::Gateway;
use crate::settings::Identity;
use crate::state::{Body, Machine, Server};
use bytes::Bytes;
use raft_driver_thread::NodeEvent;
use raft_driver_thread::Node;
use raft_driver_thread::StopReason;
use raft_driver_thread::raft_proto::{MemberRole, RoleKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

/// How often at most the time is proposed.
const TIME: Duration = Duration::from_millis(100);

/// How often it is looked whether the others know of this server.
const REGISTRY: u32 = 10;

/// Passes news on to a watch: a number that rises, and why the node stopped if it did.
pub(crate) fn watch_leadership(
    node: &Node<Machine>,
) -> std::io::Result<(watch::Receiver<u64>, watch::Receiver<Option<StopReason>>)> {
    let news = node.subscribe();
    let (leadership, leads) = watch::channel(0);
    let (stopped, stop) = watch::channel(node.stop_reason());
    std::thread::Builder::new()
        .name("kv-news".into())
        .spawn(move || {
            for news in news {
                if let NodeEvent::Stopped(reason) = news {
                    stopped.send_replace(Some(reason));
                }
                leadership.send_modify(|count| *count += 1);
            }
        })?;
    Ok((leads, stop))
}

/// Runs until the node stops.
pub(crate) async fn keep(gateway: Arc<Gateway>, identity: Identity, me: Server) {
    let mut ticks = interval(TIME);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut until_registry = 0;
    while gateway.node().stop_reason().is_none() {
        ticks.tick().await;
        if let Ok(time) = gateway.node().inspect(Machine::time).await {
            gateway.clock().see(time);
        }
        if gateway.leads() {
            pass_time(&gateway).await;
        }
        until_registry = match until_registry {
            0 => {
                register(&gateway, &me).await;
                if identity.founders.is_empty() {
                    ask_for_vote(&gateway, &me).await;
                }
                REGISTRY
            }
            left => left - 1,
        };
    }
}

/// Proposes the time while there are keys that will expire.
async fn pass_time(gateway: &Gateway) {
    let has_expiries = |machine: &Machine| machine.next_expiry().is_some();
    if gateway.node().inspect(has_expiries).await == Ok(true) {
        // A leader that is none any more leaves it to the next.
        let party = Arc::new(gateway.node().group());
        let _ = gateway.forwarded(&Body::Time, party).await;
    }
}

/// Whether this server is a member, and as what.
async fn role(gateway: &Gateway) -> Option<MemberRole> {
    let node = gateway.node().clone();
    let status = tokio::task::spawn_blocking(move || node.status()).await;
    let status = status.ok()?.ok()?;
    let me = |member: &&raft_driver_thread::raft_proto::Member| member.id == status.id;
    let member = status.membership.members().iter().find(me)?;
    Some(member.role)
}

/// Says where clients reach this server, if the state says something else.
async fn register(gateway: &Gateway, me: &Server) {
    let wanted = me.clone();
    let is_known = move |machine: &Machine| machine.servers().any(|server| *server == wanted);
    let is_known = gateway.node().inspect(is_known).await;
    if is_known == Ok(false) && role(gateway).await.is_some() {
        let said = gateway.propose(&Body::Server(me.clone())).await;
        if let Err(error) = said {
            tracing::debug!(%error, "the others do not know yet where this server is");
        }
    }
}

/// A server that joined as a learner asks to be made a voter, until it is one.
async fn ask_for_vote(gateway: &Gateway, me: &Server) {
    if role(gateway).await != Some(MemberRole::Learner) {
        return;
    }
    let state = gateway.node().state();
    let (RoleKind::Follower, Some(leader)) = (state.role, state.leader) else {
        return; // A learner leads only until the entry that made it one is complete.
    };
    let node = me.node.to_string();
    let arguments = ["RAFT", "PROMOTE", &node].map(|word| Bytes::from(word.to_owned()));
    let deadline = gateway.deadline();
    let reply = gateway.have_done(leader, &arguments, deadline).await;
    tracing::debug!(?reply, "asked to become a voter");
}
