//! The way from a client's commands to the cluster and back: to this server's own node if it leads,
//! else to the server that does, and once more if that is over in between.
//!
//! Clients of Redis that know nothing of clusters do not follow redirections, and all of them know how to
//! wait for an answer: so a server that does not lead forwards. Writes carry this server's session and a
//! number (thesis 6.3), so that one that is tried again, by another leader perhaps, runs once.

use super::clock::Clock;
use super::combine::{Batch, Combiner};
use super::company::{Gate, Party, Seen};
use super::forward::{ForwardError, Forwarder};
use super::outcome::{GatewayError, Miss, own_replies, replies, unexpected};
use crate::settings::Settings;
use crate::state::{Answer, Command, Machine, Operation, Origin, Payload, Reply};
use bytes::Bytes;
use raft_driver_thread::Node;
use raft_driver_thread::raft_proto::{NodeId, RoleKind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// How long at most until a request that found no leader tries again.
const PAUSE: Duration = Duration::from_millis(20);

/// How long an answer of one that leads no more is waited for.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// What this server's own session has under way.
#[derive(Default)]
struct Requests {
    next: u64,
    open: BTreeSet<u64>,
}

/// See the [module](self).
pub(crate) struct Gateway {
    pub(super) node: Node<Machine>,
    forwarder: Forwarder,
    limit: Duration,
    cluster: u64,
    largest_entry: usize,
    clock: Clock,
    pub(super) has_lease: bool,
    writes: Combiner,
    pub(super) reads: Combiner,
    gate: Gate,
    last_write: Mutex<Seen>,
    session: tokio::sync::Mutex<Option<u64>>,
    requests: Mutex<Requests>,
    /// Where clients reach each server.
    servers: Mutex<BTreeMap<u64, String>>,
    /// Changes whenever there is news of who leads.
    leadership: watch::Receiver<u64>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gateway {
    pub(crate) fn new(
        node: Node<Machine>,
        forwarder: Forwarder,
        settings: &Settings,
        cluster: u64,
        leadership: watch::Receiver<u64>,
    ) -> Gateway {
        Gateway {
            node,
            forwarder,
            limit: settings.request_timeout,
            cluster,
            largest_entry: super::largest_entry(settings),
            clock: Clock::default(),
            has_lease: settings.max_drift_ppm.is_some(),
            writes: Combiner::default(),
            reads: Combiner::default(),
            gate: Gate::default(),
            last_write: Mutex::default(),
            session: tokio::sync::Mutex::default(),
            requests: Mutex::default(),
            servers: Mutex::default(),
            leadership,
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

    /// Until when a request that begins now may take.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.limit
    }

    /// Runs commands, in order and with nothing in between, exactly once.
    pub(crate) async fn write(
        self: &Arc<Self>,
        batch: Batch,
        client: &mut Seen,
    ) -> Result<Vec<Reply>, GatewayError> {
        let (waiter, is_first) = self.writes.enter(batch, client, self.deadline());
        if is_first {
            let gateway = self.clone();
            tokio::spawn(async move {
                while let Some((commands, deadline, together)) = gateway.writes.next().await {
                    let outcome = gateway.write_together(commands, deadline).await;
                    together.end(outcome);
                }
            });
        }
        waiter.wait().await
    }

    async fn write_together(
        &self,
        mut commands: Vec<Command>,
        deadline: Instant,
    ) -> Result<Vec<Reply>, GatewayError> {
        loop {
            let (session, count) = (self.session(deadline).await?, commands.len());
            let request = self.begin(session);
            let operation = Operation::Commands {
                origin: Some(request.origin),
                commands,
            };
            let (answer, tries) = self.propose_counted(&operation, deadline).await?;
            if answer != Answer::NoSession {
                return own_replies(answer, count);
            }
            self.forget_session(session).await;
            let Operation::Commands { commands: same, .. } = operation else {
                return Err(GatewayError::NoSession); // it was made above
            };
            if tries > 1 {
                let what = "this server's session was evicted in between";
                return Err(GatewayError::Unknown(what.into()));
            }
            commands = same;
        }
    }

    /// Runs commands for a client that has a session of its own.
    pub(crate) async fn write_once(
        &self,
        origin: Origin,
        commands: Vec<Command>,
    ) -> Result<Vec<Reply>, GatewayError> {
        let origin = Some(origin);
        replies(
            self.propose(&Operation::Commands { origin, commands })
                .await?,
        )
    }

    /// Has an entry applied, perhaps more than once if it has no origin.
    pub(crate) async fn propose(&self, operation: &Operation) -> Result<Answer, GatewayError> {
        let (answer, _) = self.propose_counted(operation, self.deadline()).await?;
        Ok(answer)
    }

    /// Likewise; says how many tries may have reached a log.
    async fn propose_counted(
        &self,
        operation: &Operation,
        deadline: Instant,
    ) -> Result<(Answer, u32), GatewayError> {
        let mut encoded = None;
        let mut unknown = None;
        let mut tries = 1;
        loop {
            let tried = match self.node.state() {
                state if state.role == RoleKind::Leader => {
                    let mut last = *lock(&self.last_write);
                    let party = self.wait_for_others(operation, &mut last).await;
                    *lock(&self.last_write) = last;
                    self.propose_here(operation, party, deadline).await
                }
                state => match state.leader {
                    None => Err(Miss::NotDone("there is no leader".into())),
                    Some(leader) => {
                        let bytes = encoded.get_or_insert_with(|| operation.encode()).clone();
                        match bytes.len() > self.largest_entry {
                            true => {
                                Err(Miss::Never("what was asked for at once is too long".into()))
                            }
                            false => self.propose_there(leader, bytes, deadline).await,
                        }
                    }
                },
            };
            let reason = match tried {
                Ok(answer) => return Ok((answer, tries)),
                Err(Miss::Never(reason)) => return Err(GatewayError::Refused(reason)),
                Err(Miss::NotDone(reason)) => reason,
                Err(Miss::Unknown(reason)) => {
                    tries += 1;
                    unknown.insert(reason).clone()
                }
            };
            if !self.pause(deadline).await {
                return Err(match unknown {
                    Some(reason) => GatewayError::Unknown(reason),
                    None => GatewayError::Unavailable(reason),
                });
            }
        }
    }

    /// What a leader does with what another server forwards: one try, here.
    pub(crate) async fn forwarded(
        &self,
        operation: &Operation,
        party: Party,
    ) -> Result<Answer, Reply> {
        let proposed = self.propose_here(operation, party, self.deadline()).await;
        proposed.map_err(Reply::from)
    }

    /// Lets the batches of all servers go to the disks together.
    pub(crate) async fn wait_for_others(&self, operation: &Operation, client: &mut Seen) -> Party {
        match operation {
            Operation::Commands { .. } => self.gate.pass(&self.node, client).await,
            Operation::AdvanceTime
            | Operation::OpenSession(_)
            | Operation::CloseSession(_)
            | Operation::SetAddress(_)
            | Operation::RemoveAddress(_)
            | Operation::Load(_) => Arc::new(self.node.group()),
        }
    }

    async fn propose_here(
        &self,
        operation: &Operation,
        party: Party,
        deadline: Instant,
    ) -> Result<Answer, Miss> {
        let payload = Payload::encode_parts(self.clock.now(), operation);
        let ticket = party.submit(payload);
        drop(party);
        let ended = timeout_at(deadline, ticket).await;
        match ended {
            Err(_) => Err(Miss::Unknown("no majority stored it in time".into())),
            Ok(Ok(applied)) => Ok(applied.answer),
            Ok(Err(error)) => Err(error.into()),
        }
    }

    async fn propose_there(
        &self,
        leader: NodeId,
        operation: Bytes,
        deadline: Instant,
    ) -> Result<Answer, Miss> {
        let reply = self
            .ask_leader(leader, "FORWARD", &[operation], deadline)
            .await?;
        if let Reply::Error(error) = &reply {
            self.forget_address(leader);
            // Else it did not get so far: a wrong password, too many clients.
            let refused = || Miss::NotDone(format!("the leader says {error}"));
            return Err(Miss::of(error).unwrap_or_else(refused));
        }
        let Reply::Bulk(answer) = reply else {
            return Err(Miss::Unknown(format!("the leader says {reply:?}")));
        };
        let unreadable = || Miss::Unknown("the leader is of another release".into());
        Answer::decode(&answer).ok_or_else(unreadable)
    }

    /// The request says whom it is for: an address may belong to another server by now.
    async fn ask_leader(
        &self,
        leader: NodeId,
        request: &'static str,
        arguments: &[Bytes],
        deadline: Instant,
    ) -> Result<Reply, Miss> {
        let Some(address) = self.address_of(leader, deadline).await else {
            let reason = format!("{leader} leads, and has not yet said where clients reach it");
            return Err(Miss::NotDone(reason));
        };
        let numbers = [self.cluster, leader.0].map(|number| Bytes::from(number.to_string()));
        let words = ["RAFT", request].map(Bytes::from).into_iter();
        let words = words.chain(numbers).chain(arguments.iter().cloned());
        let words: Vec<_> = words.collect();
        let left = deadline.saturating_duration_since(Instant::now());
        let asked = self.forwarder.ask((leader.0, &address), &words, left);
        tokio::select! {
            answered = asked => answered.map_err(|error| {
                self.forget_address(leader);
                match error {
                    ForwardError::NotAsked { .. } => Miss::NotDone(error.to_string()),
                    ForwardError::NoAnswer { .. } => Miss::Unknown(error.to_string()),
                }
            }),
            () = self.is_led_otherwise(leader) => {
                Err(Miss::Unknown("the leader was lost before it answered".into()))
            }
        }
    }

    /// Waits until this server knows that `leader` leads no more, and a moment: one that handed over has
    /// an answer on its way, another may never have one.
    async fn is_led_otherwise(&self, leader: NodeId) {
        let mut leadership = self.leadership.clone();
        while self.node.state().leader == Some(leader) {
            if leadership.changed().await.is_err() {
                return; // the node has stopped
            }
        }
        sleep(LAST_WORDS).await;
    }

    /// It may have moved.
    fn forget_address(&self, node: NodeId) {
        lock(&self.servers).remove(&node.0);
    }

    /// Has another server, the leader, do something about the cluster: one try.
    pub(crate) async fn have_done(
        &self,
        leader: NodeId,
        arguments: &[Bytes],
        deadline: Instant,
    ) -> Result<Reply, Miss> {
        let reply = self.ask_leader(leader, "HERE", arguments, deadline).await?;
        if let Reply::Error(error) = &reply
            && let Some(miss) = Miss::of(error)
        {
            self.forget_address(leader);
            return Err(miss);
        }
        Ok(reply)
    }

    /// Where clients reach a server.
    async fn address_of(&self, node: NodeId, deadline: Instant) -> Option<String> {
        if let Some(address) = lock(&self.servers).get(&node.0) {
            return Some(address.clone());
        }
        let known = |machine: &Machine| -> BTreeMap<u64, String> {
            let servers = machine.addresses();
            servers
                .map(|server| (server.node, server.clients.clone()))
                .collect()
        };
        let known = timeout_at(deadline, self.node.inspect(known)).await;
        let known = known.ok()?.ok()?;
        let address = known.get(&node.0).cloned();
        *lock(&self.servers) = known;
        address
    }

    /// Waits for news, or a little; false when the deadline has passed.
    pub(crate) async fn pause(&self, deadline: Instant) -> bool {
        if Instant::now() >= deadline {
            return false;
        }
        let mut leadership = self.leadership.clone();
        leadership.mark_unchanged();
        let _ = timeout(PAUSE, leadership.changed()).await;
        true
    }

    /// This server's session, opened if there is none.
    async fn session(&self, deadline: Instant) -> Result<u64, GatewayError> {
        let mut session = self.session.lock().await;
        if let Some(session) = *session {
            return Ok(session);
        }
        let open = Operation::OpenSession(super::local::draw());
        let answered = self.propose_counted(&open, deadline).await;
        // Whether there is a session now or not: what it is for was not done.
        let answer = match answered {
            Err(GatewayError::Unknown(reason)) => return Err(GatewayError::Unavailable(reason)),
            answered => answered?.0,
        };
        let Answer::Session(opened) = answer else {
            return Err(unexpected(&answer));
        };
        Ok(*session.insert(opened))
    }

    async fn forget_session(&self, lost: u64) {
        let mut session = self.session.lock().await;
        if *session == Some(lost) {
            *session = None;
        }
    }

    fn begin(&self, session: u64) -> Request<'_> {
        let mut requests = lock(&self.requests);
        requests.next += 1;
        let sequence = requests.next;
        requests.open.insert(sequence);
        let floor = requests.open.first().copied().unwrap_or(sequence);
        Request {
            requests: &self.requests,
            origin: Origin {
                session,
                sequence,
                floor,
            },
        }
    }
}

/// A numbered request. When it ends, it will not be repeated.
struct Request<'a> {
    requests: &'a Mutex<Requests>,
    origin: Origin,
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        lock(self.requests).open.remove(&self.origin.sequence);
    }
}
