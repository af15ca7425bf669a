//! Background tasks: the leader proposes the time, so that keys expire; a server registers its
//! address, and logs what `status` warns of; the node's events are passed on.

use super::info;
use super::refused::RefusedServers;
use super::router::Router;
use crate::state::{Machine, Operation, ServerAddress};
use crate::status::AgreedSettings;
use raft_driver_thread::Node;
use raft_driver_thread::NodeEvent;
use raft_driver_thread::StopReason;
use raft_driver_thread::raft_proto::{RoleKind, Status};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

/// How often at most the leader proposes the time.
const TIME_INTERVAL: Duration = Duration::from_millis(100);

/// After how many of those intervals a server saves the time.
const SAVE_TICKS: u32 = 10;

/// How often a server looks for what is to be warned of, and whether the others know its address.
const CHECK_INTERVAL: Duration = Duration::from_millis(1_100);

/// For how many of those checks a founding may lack founders before that is logged: servers are
/// started one after the other.
const FOUNDING_CHECKS: u32 = 5;

/// The node's events, for tasks to wait for.
pub(crate) struct NodeEvents {
    /// How many events there have been.
    pub(crate) count: watch::Receiver<u64>,
    /// Why the node stopped, once it has.
    pub(crate) stopped: watch::Receiver<Option<StopReason>>,
    /// Those that the node refuses.
    pub(crate) refused: Arc<RefusedServers>,
}

impl NodeEvents {
    pub(crate) fn watch(node: &Node<Machine>) -> std::io::Result<NodeEvents> {
        let events = node.subscribe();
        let (counter, count) = watch::channel(0);
        let refused = Arc::new(RefusedServers::default());
        let noted = refused.clone();
        let (reason, stopped) = watch::channel(node.stop_reason());
        std::thread::Builder::new()
            .name("kv-events".into())
            .spawn(move || {
                for event in events {
                    noted.note(&event);
                    if let NodeEvent::Stopped(why) = event {
                        reason.send_replace(Some(why));
                    }
                    counter.send_modify(|count| *count += 1);
                }
            })?;
        Ok(NodeEvents {
            count,
            stopped,
            refused,
        })
    }
}

/// What a server does in the background, beside its clients' requests.
pub(crate) struct Background {
    pub(crate) router: Arc<Router>,
    pub(crate) refused: Arc<RefusedServers>,
    /// What the others are to know of this server.
    pub(crate) own: ServerAddress,
    /// The settings of this server that the others must share.
    pub(crate) agreed: AgreedSettings,
    /// Gets a text if they do not.
    pub(crate) conflict: watch::Sender<Option<String>>,
}

impl Background {
    /// Runs until the node stops. Introducing itself waits for a leader, however long there is
    /// none: neither the time nor a warning waits for it.
    pub(crate) async fn run(self) {
        tokio::join!(self.keep_time(), self.warn(), self.introduce());
    }

    fn has_stopped(&self) -> bool {
        self.router.node().stop_reason().is_some()
    }

    async fn keep_time(&self) {
        let mut ticks = interval(TIME_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tick = 0;
        while !self.has_stopped() {
            ticks.tick().await;
            keep_time(&self.router, tick == 0).await;
            tick = (tick + 1) % SAVE_TICKS;
        }
    }

    async fn warn(&self) {
        let mut checks = interval(CHECK_INTERVAL);
        let mut warnings = Warnings::default();
        while !self.has_stopped() {
            checks.tick().await;
            if let Some(status) = status(&self.router).await {
                warnings.log(&status, &self.refused);
            }
        }
    }

    async fn introduce(&self) {
        let router = &self.router;
        let mut checks = interval(CHECK_INTERVAL);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_compared = false;
        while !self.has_stopped() {
            checks.tick().await;
            is_compared = is_compared || compare(router, &self.agreed, &self.conflict).await;
            register(router, &self.own).await;
        }
    }
}

/// The clock follows the state's time, and goes into the log while keys may expire. It is saved if
/// that is due.
async fn keep_time(router: &Arc<Router>, is_save_due: bool) {
    let mut has_expiries = false;
    if let Ok(times) = router.node().inspect(Times::of).await {
        router.clock().observe(times.state);
        has_expiries = times.has_expiries;
    }
    let state = router.node().state();
    if state.role != RoleKind::Leader && state.leader.is_some() {
        router.clock().other_leader();
    }
    // Before that, what was saved at the last run may still be needed at the next.
    if has_expiries && router.clock().has_begun() && is_save_due {
        let router = router.clone();
        // If the thread fails, so does saving.
        let _ = tokio::task::spawn_blocking(move || router.clock().save()).await;
    }
    // Of keys that have expired together, each entry removes some.
    let mut is_due = has_expiries;
    while is_due && router.leads() && propose_time(router).await {
        let times = router.node().inspect(Times::of).await;
        is_due = times.is_ok_and(|times| times.has_unremoved);
    }
}

/// What the state says of its time.
struct Times {
    /// Milliseconds since 1970.
    state: u64,
    has_expiries: bool,
    /// Keys that have expired are still in memory.
    has_unremoved: bool,
}

impl Times {
    fn of(machine: &Machine) -> Times {
        let has_unremoved = machine.unremoved_key_count() > 0;
        Times {
            state: machine.time(),
            has_expiries: machine.next_expiry().is_some() || has_unremoved,
            has_unremoved,
        }
    }
}

/// What was warned of at the last check. Each warning is logged once, as long as it holds.
#[derive(Default)]
struct Warnings(BTreeMap<String, Warning>);

#[derive(Clone, Copy, Default)]
struct Warning {
    checks: u32,
    is_logged: bool,
}

impl Warnings {
    fn log(&mut self, status: &Status, refused: &RefusedServers) {
        let disks = info::disks(status, 0, refused);
        let members = info::members(status, &BTreeMap::new());
        let leader = status.leader.map(|leader| leader.0);
        let current = disks.warnings(status.id.0, leader, &members);
        let due = if disks.missing_founders.is_empty() {
            1
        } else {
            FOUNDING_CHECKS
        };
        let mut checked = BTreeMap::new();
        for text in current {
            let mut warning = self.0.get(&text).copied().unwrap_or_default();
            warning.checks += 1;
            if warning.checks >= due && !warning.is_logged {
                tracing::error!(node = %status.id, "{text}");
                warning.is_logged = true;
            }
            checked.insert(text, warning);
        }
        self.0 = checked;
    }
}

/// Proposes the time, which the leader does while there are keys that will expire. Returns whether
/// that was applied: if leadership was lost meanwhile, the next leader does it.
async fn propose_time(router: &Router) -> bool {
    let group = Arc::new(router.node().group());
    let proposed = router.propose_here(&Operation::AdvanceTime, group, router.deadline());
    proposed.await.is_ok()
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
        return false; // Its own are those to compare with, as long as it leads.
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

async fn status(router: &Router) -> Option<Status> {
    let node = router.node().clone();
    let status = tokio::task::spawn_blocking(move || node.status()).await;
    status.ok()?.ok()
}

/// Whether this server is a member: not if its number belongs to another disk, which registers its
/// own address.
async fn is_member(router: &Router) -> bool {
    let status = status(router).await;
    status.is_some_and(|status| {
        status.replaced_by.is_none() && status.membership.get(status.id).is_some()
    })
}

/// Registers this server's address in the replicated state, unless it stands there already.
async fn register(router: &Router, own: &ServerAddress) {
    let wanted = own.clone();
    let is_known = move |machine: &Machine| machine.addresses().any(|server| *server == wanted);
    let is_known = router.node().inspect(is_known).await;
    if is_known == Ok(false) && is_member(router).await {
        let operation = Operation::SetAddress(own.clone());
        if let Err(error) = router.propose(&operation, router.deadline()).await {
            tracing::debug!(%error, "this server's address is not registered yet");
        }
    }
}
