//! The way of an entry to the leader's log and back: to this server's own node if it leads, else to
//! the server that does, and again if leadership changes in between.
//!
//! Clients of Redis that know nothing of clusters do not follow redirections, and all of them can
//! wait for a reply. So a server that does not lead forwards. An entry that is attempted again may
//! enter the log twice; the numbers of a [session](super::session) make it run once.

use super::clock::Clock;
use super::forward::{ForwardError, Forwarder};
use super::group_commit::{BatchBarrier, LastActive, SubmitGroup};
use super::node_options::largest_entry;
use super::outcome::{AttemptError, CommandError};
use crate::settings::Settings;
use crate::state::{Answer, Limits, Machine, Operation, Payload, Reply};
use crate::status::NodeStatus;
use bytes::Bytes;
use raft_driver_thread::Node;
use raft_driver_thread::raft_proto::{NodeId, ReadMode, RoleKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// The longest pause before another attempt.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// How long to wait for the reply of a server that leads no more.
const FORMER_LEADER_GRACE: Duration = Duration::from_millis(100);

/// See the [module](self).
pub(crate) struct Router {
    node: Node<Machine>,
    cluster: u64,
    request_timeout: Duration,
    election_timeout: Duration,
    largest_entry: usize,
    clock: Clock,
    /// What the commands of entries that this server proposes must not exceed.
    limits: Limits,
    barrier: BatchBarrier,
    /// This server's mark at its own barrier; other servers have one for each connection.
    own_mark: Mutex<LastActive>,
    forwarder: Forwarder,
    /// Changes whenever the node reports an event.
    events: watch::Receiver<u64>,
}

/// An entry's answer.
pub(crate) struct Proposed {
    pub(crate) answer: Answer,
    /// How many attempts may have reached a log.
    pub(crate) attempts: u32,
}

impl Router {
    pub(crate) fn new(
        node: Node<Machine>,
        forwarder: Forwarder,
        settings: &Settings,
        cluster: u64,
        events: watch::Receiver<u64>,
    ) -> Router {
        Router {
            node,
            cluster,
            request_timeout: settings.request_timeout,
            election_timeout: settings.election_timeout,
            largest_entry: largest_entry(settings),
            clock: Clock::new(&settings.data),
            limits: Limits {
                max_memory: settings.max_memory,
                max_value_bytes: settings.max_value_bytes as u64,
            },
            barrier: BatchBarrier::default(),
            own_mark: Mutex::default(),
            forwarder,
            events,
        }
    }

    pub(crate) fn node(&self) -> &Node<Machine> {
        &self.node
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn leads(&self) -> bool {
        self.node.state().role == RoleKind::Leader
    }

    pub(crate) fn election_timeout(&self) -> Duration {
        self.election_timeout
    }

    /// When a request that begins now times out.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.request_timeout
    }

    /// Has an entry applied. Without an origin it may be applied more than once.
    pub(crate) async fn propose(
        &self,
        operation: &Operation,
        deadline: Instant,
    ) -> Result<Proposed, CommandError> {
        let mut encoded = None;
        let mut unknown = None;
        let mut attempts = 1;
        loop {
            let state = self.node.state();
            let attempt = if state.role == RoleKind::Leader {
                self.propose_own(operation, deadline).await
            } else if let Some(leader) = state.leader {
                let bytes = encoded.get_or_insert_with(|| operation.encode()).clone();
                self.propose_at(leader, bytes, deadline).await
            } else {
                Err(AttemptError::NotDone("there is no leader".into()))
            };
            let reason = match attempt {
                Ok(answer) => return Ok(Proposed { answer, attempts }),
                Err(AttemptError::Never(reason)) => return Err(CommandError::Refused(reason)),
                Err(AttemptError::NotDone(reason)) => reason,
                Err(AttemptError::Unknown(reason)) => {
                    attempts += 1;
                    unknown.insert(reason).clone()
                }
            };
            if !self.wait_to_retry(deadline).await {
                return Err(match unknown {
                    Some(reason) => CommandError::Unknown(reason),
                    None => CommandError::Unavailable(reason),
                });
            }
        }
    }

    /// One attempt at this node, with an entry of this server.
    async fn propose_own(
        &self,
        operation: &Operation,
        deadline: Instant,
    ) -> Result<Answer, AttemptError> {
        let mut mark = *self.own_mark();
        let group = self.join_group(operation, &mut mark).await;
        *self.own_mark() = mark;
        self.propose_here(operation, group, deadline).await
    }

    fn own_mark(&self) -> MutexGuard<'_, LastActive> {
        self.own_mark.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits at the barrier, so that the batches of all servers are written together. Other entries
    /// do not wait.
    pub(crate) async fn join_group(
        &self,
        operation: &Operation,
        sender: &mut LastActive,
    ) -> SubmitGroup {
        match operation {
            Operation::Commands { .. } => self.barrier.pass(&self.node, sender).await,
            Operation::AdvanceTime
            | Operation::OpenSession(_)
            | Operation::CloseSession(_)
            | Operation::SetAddress(_)
            | Operation::RemoveAddress(_)
            | Operation::Load(_)
            | Operation::Within { .. } => Arc::new(self.node.group()),
        }
    }

    /// One attempt at this node.
    pub(crate) async fn propose_here(
        &self,
        operation: &Operation,
        group: SubmitGroup,
        deadline: Instant,
    ) -> Result<Answer, AttemptError> {
        self.check_level_here(operation)?;
        let now = self.now(deadline).await?;
        let payload = if matches!(operation, Operation::Commands { .. }) {
            Payload::encode_within(now, self.limits, operation)
        } else {
            Payload::encode_parts(now, operation)
        };
        let ticket = group.submit(payload);
        drop(group);
        match timeout_at(deadline, ticket).await {
            Err(_) => Err(AttemptError::Unknown(
                "no majority stored it in time".into(),
            )),
            Ok(Ok(applied)) => Ok(applied.answer),
            Ok(Err(error)) => Err(error.into()),
        }
    }

    /// The state's time, for an entry of this server as the leader.
    async fn now(&self, deadline: Instant) -> Result<u64, AttemptError> {
        if let Some(now) = self.clock.now().filter(|_| self.clock.has_begun()) {
            return Ok(now);
        }
        // The state has to hold all committed entries: they may say what time it is.
        let ticket = self.node.group().read(ReadMode::Quorum, Machine::time);
        let not_done = |reason: &dyn std::fmt::Display| AttemptError::NotDone(reason.to_string());
        let state = timeout_at(deadline, ticket).await;
        let state = state.map_err(|_| not_done(&"the leader could not read its state in time"))?;
        self.clock.begin(state.map_err(|error| not_done(&error))?);
        Ok(self.clock.now().unwrap_or(0))
    }

    /// One attempt at another server, the leader (RAFT FORWARD).
    async fn propose_at(
        &self,
        leader: NodeId,
        operation: Bytes,
        deadline: Instant,
    ) -> Result<Answer, AttemptError> {
        if operation.len() > self.largest_entry {
            let what = "the commands of this request are too long together";
            return Err(AttemptError::Never(what.into()));
        }
        let reply = self
            .request(leader, "FORWARD", &[operation], deadline)
            .await?;
        if let Reply::Error(error) = &reply {
            // Any other error came before the attempt.
            let refused = || AttemptError::NotDone(format!("the leader replied: {error}"));
            return Err(AttemptError::parse(error).unwrap_or_else(refused));
        }
        let Reply::Bulk(answer) = reply else {
            let what = format!("the leader gave an unexpected reply: {reply:?}");
            return Err(AttemptError::Unknown(what));
        };
        let unreadable = || AttemptError::Unknown("the leader runs another release".into());
        Answer::decode(&answer).ok_or_else(unreadable)
    }

    /// One attempt to have the leader execute an administrator's request (RAFT HERE).
    pub(crate) async fn execute_at(
        &self,
        leader: NodeId,
        arguments: &[Bytes],
        deadline: Instant,
    ) -> Result<Reply, AttemptError> {
        let reply = self.request(leader, "HERE", arguments, deadline).await?;
        if let Reply::Error(error) = &reply
            && let Some(error) = AttemptError::parse(error)
        {
            return Err(error);
        }
        Ok(reply)
    }

    /// The leader's status (RAFT STATUS).
    pub(crate) async fn leader_status(
        &self,
        leader: NodeId,
        deadline: Instant,
    ) -> Result<NodeStatus, AttemptError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let words = ["RAFT", "STATUS"].map(Bytes::from).to_vec();
        let reply = self.forwarder.request(leader, words, left).await;
        let not_done = |what: &dyn std::fmt::Display| AttemptError::NotDone(what.to_string());
        let reply = reply.map_err(|error| not_done(&error))?;
        let Reply::Bulk(json) = reply else {
            return Err(not_done(&format_args!("an unexpected reply: {reply:?}")));
        };
        serde_json::from_slice(&json).map_err(|error| not_done(&error))
    }

    /// Sends a request to the leader. The request names the server that it is for, because its
    /// address may belong to another server by now.
    async fn request(
        &self,
        leader: NodeId,
        request: &'static str,
        arguments: &[Bytes],
        deadline: Instant,
    ) -> Result<Reply, AttemptError> {
        let numbers = [self.cluster, leader.0].map(|number| Bytes::from(number.to_string()));
        let words = ["RAFT", request].map(Bytes::from).into_iter();
        let words = words.chain(numbers).chain(arguments.iter().cloned());
        let words: Vec<_> = words.collect();
        let left = deadline.saturating_duration_since(Instant::now());
        tokio::select! {
            replied = self.forwarder.request(leader, words, left) => replied.map_err(|error| {
                match error {
                    ForwardError::NotSent { .. } => AttemptError::NotDone(error.to_string()),
                    ForwardError::NoReply { .. } => AttemptError::Unknown(error.to_string()),
                }
            }),
            () = self.wait_for_leadership_change(leader) => {
                Err(AttemptError::Unknown("the leader changed before it replied".into()))
            }
        }
    }

    /// Waits until this server knows that `leader` leads no more, and a moment longer: a leader
    /// that handed leadership over has its reply on the way. One that was cut off may never reply.
    async fn wait_for_leadership_change(&self, leader: NodeId) {
        let mut events = self.events.clone();
        while self.node.state().leader == Some(leader) {
            if events.changed().await.is_err() {
                return; // The node has stopped.
            }
        }
        sleep(FORMER_LEADER_GRACE).await;
    }

    /// Waits before another attempt: until the node reports an event, but not for long. Returns
    /// false when the deadline has passed.
    pub(crate) async fn wait_to_retry(&self, deadline: Instant) -> bool {
        if Instant::now() >= deadline {
            return false;
        }
        let mut events = self.events.clone();
        events.mark_unchanged();
        let _ = timeout(RETRY_PAUSE, events.changed()).await;
        true
    }
}
