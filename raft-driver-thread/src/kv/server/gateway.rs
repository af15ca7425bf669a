//! The way from a client's commands to the cluster and back: to this server's own node if it leads,
//! else to the server that does, and once more if that is over in between.
//!
//! Clients of Redis that know nothing of clusters do not follow redirections, and all of them know how to
//! wait for an answer: so a server that does not lead forwards. Writes carry this server's session and a
//! number (thesis 6.3), so that one that is tried again, by another leader perhaps, runs once.

use super::forward::{ForwardError, Forwarder};
use crate::error::RequestError;
use crate::kv::settings::Settings;
use crate::kv::state::{Answer, Body, Command, Entry, Machine, Origin, Reply};
use crate::node::Node;
use bytes::Bytes;
use raft_proto::{NodeId, ProposeError, ReadError, ReadMode, RoleKind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

/// How long at most until a request that found no leader tries again.
const PAUSE: Duration = Duration::from_millis(20);

/// Why a request was not, or may not have been, done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GatewayError {
    /// Nothing was done, and nothing will be.
    #[error("CLUSTERDOWN nothing was done: {0}")]
    Unavailable(String),
    /// It may have been done, or may yet be.
    #[error("UNKNOWN it is not known whether it was done: {0}")]
    Unknown(String),
    /// It cannot be done.
    #[error("ERR {0}")]
    Refused(String),
    /// The session is not there.
    #[error(
        "NOSESSION there is no such session: it was never opened, was closed, or too many others were used since; open one"
    )]
    NoSession,
    /// The session has gone on.
    #[error(
        "FORGOTTEN the request was left behind by a later one of its session, and its answer is forgotten"
    )]
    Forgotten,
}

impl From<GatewayError> for Reply {
    fn from(error: GatewayError) -> Reply {
        Reply::Error(error.to_string())
    }
}

/// How one try ended without an answer.
enum Miss {
    /// Nothing was done.
    NotDone(String),
    /// It may have been.
    Unknown(String),
    /// It never can be.
    Never(String),
}

/// What this server's own session has under way.
#[derive(Default)]
struct Requests {
    next: u64,
    open: BTreeSet<u64>,
}

/// See the [module](self).
pub(crate) struct Gateway {
    node: Node<Machine>,
    forwarder: Forwarder,
    limit: Duration,
    has_lease: bool,
    session: tokio::sync::Mutex<Option<u64>>,
    requests: Mutex<Requests>,
    /// Where clients reach each server.
    servers: Mutex<BTreeMap<u64, String>>,
    /// Changes whenever there is news of who leads.
    leadership: watch::Receiver<u64>,
}

/// The wall clock.
pub(crate) fn millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gateway {
    pub(crate) fn new(
        node: Node<Machine>,
        forwarder: Forwarder,
        settings: &Settings,
        leadership: watch::Receiver<u64>,
    ) -> Gateway {
        Gateway {
            node,
            forwarder,
            limit: settings.request_timeout,
            has_lease: settings.max_drift_ppm.is_some(),
            session: tokio::sync::Mutex::default(),
            requests: Mutex::default(),
            servers: Mutex::default(),
            leadership,
        }
    }

    pub(crate) fn node(&self) -> &Node<Machine> {
        &self.node
    }

    pub(crate) fn leads(&self) -> bool {
        self.node.state().role == RoleKind::Leader
    }

    /// Until when a request that begins now may take.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.limit
    }

    /// Runs commands, in order and with nothing in between, exactly once.
    pub(crate) async fn write(&self, commands: Vec<Command>) -> Result<Vec<Reply>, GatewayError> {
        let deadline = self.deadline();
        let mut commands = commands;
        loop {
            let session = self.session(deadline).await?;
            let request = self.begin(session);
            let body = Body::Commands {
                origin: Some(request.origin),
                commands,
            };
            let (answer, tries) = self.propose_counted(&body, deadline).await?;
            if answer != Answer::NoSession {
                return replies(answer);
            }
            self.forget_session(session).await;
            let Body::Commands { commands: same, .. } = body else {
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
        replies(self.propose(&Body::Commands { origin, commands }).await?)
    }

    /// Has an entry applied, perhaps more than once if it has no origin.
    pub(crate) async fn propose(&self, body: &Body) -> Result<Answer, GatewayError> {
        let (answer, _) = self.propose_counted(body, self.deadline()).await?;
        Ok(answer)
    }

    /// Likewise; says how many tries may have reached a log.
    async fn propose_counted(
        &self,
        body: &Body,
        deadline: Instant,
    ) -> Result<(Answer, u32), GatewayError> {
        let mut encoded = None;
        let mut unknown = None;
        let mut tries = 1;
        loop {
            let tried = match self.node.state() {
                state if state.role == RoleKind::Leader => self.propose_here(body, deadline).await,
                state => match state.leader {
                    None => Err(Miss::NotDone("there is no leader".into())),
                    Some(leader) => {
                        let bytes = encoded.get_or_insert_with(|| body.encode()).clone();
                        self.propose_there(leader, bytes, deadline).await
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
    pub(crate) async fn forwarded(&self, body: &Body) -> Result<Answer, Reply> {
        match self.propose_here(body, self.deadline()).await {
            Ok(answer) => Ok(answer),
            Err(Miss::NotDone(reason)) => Err(Reply::error("NOTDONE", reason)),
            Err(Miss::Unknown(reason)) => Err(Reply::error("UNKNOWN", reason)),
            Err(Miss::Never(reason)) => Err(Reply::error("NEVER", reason)),
        }
    }

    async fn propose_here(&self, body: &Body, deadline: Instant) -> Result<Answer, Miss> {
        let payload = Entry::encode_parts(millis(), body);
        let ended = timeout_at(deadline, self.node.submit(payload)).await;
        match ended {
            Err(_) => Err(Miss::Unknown("no majority stored it in time".into())),
            Ok(Ok(applied)) => Ok(applied.answer),
            Ok(Err(error)) => Err(miss(error)),
        }
    }

    async fn propose_there(
        &self,
        leader: NodeId,
        body: Bytes,
        deadline: Instant,
    ) -> Result<Answer, Miss> {
        let arguments = [Bytes::from("RAFT"), Bytes::from("FORWARD"), body];
        let reply = self.ask_leader(leader, &arguments, deadline).await?;
        if let Reply::Error(error) = &reply {
            return Err(match error.split_once(' ') {
                Some(("UNKNOWN", reason)) => Miss::Unknown(reason.into()),
                Some(("NEVER", reason)) => Miss::Never(reason.into()),
                Some(("NOTDONE", reason)) => Miss::NotDone(reason.into()),
                // It did not get so far: a wrong password, too many clients.
                _ => Miss::NotDone(format!("the leader says {error}")),
            });
        }
        let Reply::Bulk(answer) = reply else {
            return Err(Miss::Unknown(format!("the leader says {reply:?}")));
        };
        let unreadable = || Miss::Unknown("the leader is of another release".into());
        Answer::decode(&answer).ok_or_else(unreadable)
    }

    async fn ask_leader(
        &self,
        leader: NodeId,
        arguments: &[Bytes],
        deadline: Instant,
    ) -> Result<Reply, Miss> {
        let Some(address) = self.address_of(leader).await else {
            let reason = format!("{leader} leads, and has not yet said where clients reach it");
            return Err(Miss::NotDone(reason));
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let asked = self.forwarder.ask((leader.0, &address), arguments, left);
        asked.await.map_err(|error| {
            lock(&self.servers).remove(&leader.0); // it may have moved
            match error {
                ForwardError::NotAsked { .. } => Miss::NotDone(error.to_string()),
                ForwardError::NoAnswer { .. } => Miss::Unknown(error.to_string()),
            }
        })
    }

    /// Has an administrator's request done by the leader; `None` if that is this server.
    pub(crate) async fn hand_to_leader(&self, arguments: &[Bytes]) -> Option<Reply> {
        let deadline = self.deadline();
        loop {
            let state = self.node.state();
            if state.role == RoleKind::Leader {
                return None;
            }
            let tried = match state.leader {
                None => Err(Miss::NotDone("there is no leader".into())),
                Some(leader) => self.ask_leader(leader, arguments, deadline).await,
            };
            match tried {
                Ok(reply) => return Some(reply),
                Err(Miss::Unknown(reason)) => return Some(GatewayError::Unknown(reason).into()),
                Err(Miss::Never(reason)) => return Some(GatewayError::Refused(reason).into()),
                Err(Miss::NotDone(reason)) if !self.pause(deadline).await => {
                    return Some(GatewayError::Unavailable(reason).into());
                }
                Err(Miss::NotDone(_)) => {}
            }
        }
    }

    /// Where clients reach a server.
    async fn address_of(&self, node: NodeId) -> Option<String> {
        if let Some(address) = lock(&self.servers).get(&node.0) {
            return Some(address.clone());
        }
        let known = |machine: &Machine| -> BTreeMap<u64, String> {
            let servers = machine.servers();
            servers
                .map(|server| (server.node, server.clients.clone()))
                .collect()
        };
        let known = self.node.inspect(known).await.ok()?;
        let address = known.get(&node.0).cloned();
        *lock(&self.servers) = known;
        address
    }

    /// Answers commands that only read from this server's own state, when it is known to be as new as
    /// anything that was acknowledged before (thesis 6.4).
    pub(crate) async fn read(&self, commands: Vec<Command>) -> Result<Vec<Reply>, GatewayError> {
        let deadline = self.deadline();
        let commands: Arc<[Command]> = commands.into();
        loop {
            let mode = match self.has_lease && self.leads() {
                true => ReadMode::Lease,
                false => ReadMode::Quorum,
            };
            let mut read = self.read_once(&commands, mode, deadline).await;
            if mode == ReadMode::Lease
                && let Err(RequestError::Refused(_)) = read
            {
                read = self.read_once(&commands, ReadMode::Quorum, deadline).await;
            }
            let error = match read {
                Ok(replies) => return Ok(replies),
                Err(error) => error,
            };
            if !self.pause(deadline).await {
                return Err(GatewayError::Unavailable(error.to_string()));
            }
        }
    }

    async fn read_once(
        &self,
        commands: &Arc<[Command]>,
        mode: ReadMode,
        deadline: Instant,
    ) -> Result<Vec<Reply>, RequestError<ReadError>> {
        let commands = commands.clone();
        let ask = move |machine: &Machine| commands.iter().map(|one| machine.query(one)).collect();
        let timed_out = RequestError::Unknown(crate::error::Unknown::TimedOut);
        let read = timeout_at(deadline, self.node.read(mode, ask)).await;
        read.unwrap_or(Err(timed_out))
    }

    /// Answers from this server's state as it is, which may be stale.
    pub(crate) async fn read_stale(
        &self,
        commands: Vec<Command>,
    ) -> Result<Vec<Reply>, GatewayError> {
        let ask = move |machine: &Machine| commands.iter().map(|one| machine.query(one)).collect();
        let read = self.node.inspect(ask).await;
        read.map_err(|error| GatewayError::Unavailable(error.to_string()))
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
        let answer = self.propose_counted(&Body::OpenSession, deadline).await?.0;
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

fn replies(answer: Answer) -> Result<Vec<Reply>, GatewayError> {
    match answer {
        Answer::Replies(replies) => Ok(replies),
        Answer::NoSession
        | Answer::Forgotten
        | Answer::Unreadable
        | Answer::Session(_)
        | Answer::Done => Err(unexpected(&answer)),
    }
}

fn unexpected(answer: &Answer) -> GatewayError {
    match answer {
        Answer::NoSession => GatewayError::NoSession,
        Answer::Forgotten => GatewayError::Forgotten,
        Answer::Unreadable => GatewayError::Refused("the entry is of another release".into()),
        Answer::Replies(_) | Answer::Session(_) | Answer::Done => {
            GatewayError::Unknown(format!("the cluster answered {answer:?}"))
        }
    }
}

fn miss(error: RequestError<ProposeError>) -> Miss {
    let reason = error.to_string();
    match error {
        RequestError::Refused(refusal) => match refusal {
            ProposeError::NotLeader { .. }
            | ProposeError::Transferring { .. }
            | ProposeError::TooManyUncommitted { .. }
            | ProposeError::Faulted(_) => Miss::NotDone(reason),
            ProposeError::Empty
            | ProposeError::TooLarge { .. }
            | ProposeError::BatchTooLarge { .. }
            | ProposeError::LogFull => Miss::Never(reason),
        },
        RequestError::NotApplied { .. } | RequestError::Overloaded | RequestError::Stopped => {
            Miss::NotDone(reason)
        }
        RequestError::Unknown(_) => Miss::Unknown(reason),
    }
}
