//! The clients of the replicated service.
//!
//! Each client runs one operation at a time, in a session that it opens (thesis 6.3). If no answer
//! comes, it asks another node. In the end it gives up, and then does not know what became of its
//! operation. What all clients saw goes into the judge's [`ClientHistory`], which must be
//! linearizable.

mod messages;
mod outcomes;
mod task;

pub use messages::{
    AnsweredCommand, ClientRequest, NumberedCommand, Reaction, RequestBody, Resized, TimerOutcome,
};

use crate::failure::Failure;
use crate::judge::ClientHistory;
use crate::linearizability::OperationId;
use crate::random::Random;
use crate::schedule::{ClientOperation, OperationKind, ReadKind};
use crate::service::{CustomService, SessionId};
use crate::settings::ClientSettings;
use bytes::Bytes;
use core::time::Duration;
use raft_proto::{ReadMode, Time};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use task::{Task, Work};

#[derive(Debug)]
struct Client {
    /// The place of the node that it believes to lead.
    believed_leader: usize,
    session: Option<SessionId>,
    /// The number of its next command.
    sequence: u64,
    /// Operations that it begins when the present one is done.
    backlog: VecDeque<OperationKind>,
    task: Option<Task>,
    /// The number of its latest attempt, for whichever task.
    attempt: u64,
    /// When it will have waited long enough.
    deadline: Time,
    has_timer: bool,
    /// Operations that it gave up and that may still take effect: no later command of the session
    /// has been answered since.
    doubtful: Vec<OperationId>,
    /// The server that it asks next if nobody names a leader, while it drains.
    next_server: usize,
    /// The values that it saw last, for compare-and-set. The last answer of a service of the user's
    /// own stands under [`task::CALLS`].
    seen: BTreeMap<u64, Option<Bytes>>,
}

/// How often things happened to clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientCounts {
    /// Operations begun.
    pub begun: u64,
    /// Operations answered.
    pub answered: u64,
    /// Operations given up: their outcome is not known.
    pub unknown: u64,
    /// Operations sent again, to another node or the same.
    pub retries: u64,
    /// Sessions opened.
    pub sessions: u64,
    /// Sessions that turned out to be closed.
    pub evicted: u64,
    /// Operations that were never begun: their client was too far behind.
    pub skipped: u64,
    /// Keys whose history was too hard to check to its end.
    pub unchecked_keys: u64,
}

/// All clients.
#[derive(Debug)]
pub struct Clients {
    settings: ClientSettings,
    random: Random,
    servers: usize,
    clients: Vec<Client>,
    /// Draws commands, if the service is one of the user's own.
    custom: Option<Arc<dyn CustomService>>,
    /// How many values were written.
    values: u64,
    /// Clients begin nothing new, and do not give up what they have begun.
    is_draining: bool,
    /// How often things happened.
    pub counts: ClientCounts,
}

impl Clients {
    /// How many operations wait for one client at most.
    const BACKLOG: usize = 8;
    /// How long a client waits before it turns to the leader that a node named.
    const REDIRECT: Duration = Duration::from_millis(2);
    /// How long it waits, the first time, when no leader was named; then twice as long each time.
    const REFUSED: Duration = Duration::from_millis(15);
    /// How often that doubles.
    const DOUBLINGS: u32 = 4;
    /// How many servers it asks for a read at a follower, before it turns to the leader: most may be
    /// cut off for good.
    const FOLLOWERS: u32 = 8;

    /// Clients that have begun nothing.
    pub fn new(servers: usize, settings: ClientSettings, mut random: Random) -> Clients {
        let client = |_| Client {
            believed_leader: random.below(servers as u64) as usize,
            session: None,
            sequence: 1,
            backlog: VecDeque::new(),
            task: None,
            attempt: 0,
            deadline: Time::ZERO,
            has_timer: false,
            doubtful: Vec::new(),
            next_server: 0,
            seen: BTreeMap::new(),
        };
        let clients = (0..settings.clients).map(client).collect();
        Clients {
            servers,
            clients,
            custom: None,
            values: 0,
            is_draining: false,
            counts: ClientCounts::default(),
            settings,
            random,
        }
    }

    /// The service is one of the user's own.
    pub(crate) fn call(&mut self, custom: Arc<dyn CustomService>) {
        self.custom = Some(custom);
    }

    /// From now on no client begins anything new, and none gives up.
    pub fn drain(&mut self) {
        self.is_draining = true;
        for client in &mut self.clients {
            client.backlog.clear();
        }
    }

    /// A client that still waits for an answer.
    pub fn waiting(&self) -> Option<u32> {
        let at = self.clients.iter().position(|client| client.task.is_some());
        at.map(|at| at as u32) // There are a few.
    }

    /// A client is to run an operation. Returns the number of the attempt to begin with, if the
    /// client is idle.
    pub fn enqueue(&mut self, operation: ClientOperation) -> Option<u64> {
        let client = self.clients.get_mut(operation.client as usize)?;
        if client.backlog.len() >= Self::BACKLOG {
            self.counts.skipped += 1;
            return None;
        }
        client.backlog.push_back(operation.kind);
        client.task.is_none().then_some(client.attempt)
    }

    /// The client makes its next attempt, if `attempt` is still its latest. Returns its request.
    ///
    /// # Errors
    ///
    /// [`Failure::NotLinearizable`].
    pub fn attempt(
        &mut self,
        now: Time,
        at: u32,
        attempt: u64,
        history: &mut ClientHistory,
    ) -> Result<Option<ClientRequest>, Failure> {
        let Some(client) = self.clients.get(at as usize) else {
            return Ok(None);
        };
        if client.attempt != attempt {
            return Ok(None); // It has been answered, or was redirected.
        }
        let since = client.task.as_ref().map(|task| task.since);
        let limit = self.settings.give_up_after.0;
        if !self.is_draining && since.is_some_and(|since| since.after(limit) <= now) {
            self.give_up(now, at, history)?;
        }
        self.begin(now, at, history)?;
        Ok(self.request(at))
    }

    /// The request of the client's next attempt, if it has a task.
    fn request(&mut self, at: u32) -> Option<ClientRequest> {
        let client = self.clients.get_mut(at as usize)?;
        client.attempt += 1;
        let task = client.task.as_mut()?;
        self.counts.retries += u64::from(task.tries > 0);
        task.tries += 1;
        let mut place = client.believed_leader;
        let body = match (&task.work, client.session) {
            (Work::Read { key, kind, .. }, _) => {
                let mode = match *kind {
                    // Where no lease can be proven, a majority is asked.
                    ReadKind::Lease if task.tries == 1 => ReadMode::Lease,
                    ReadKind::Lease | ReadKind::Quorum | ReadKind::Follower => ReadMode::Quorum,
                };
                if *kind == ReadKind::Follower && task.tries <= Self::FOLLOWERS {
                    place = self.random.below(self.servers as u64) as usize;
                }
                RequestBody::Read { key: *key, mode }
            }
            (Work::Commands(_), None) => RequestBody::Commands(vec![task.open_session()]),
            (Work::Commands(commands), Some(session)) => {
                RequestBody::Commands(task::unanswered(commands, session, task.most))
            }
        };
        if place == client.next_server {
            client.next_server = (place + 1) % self.servers;
        }
        Some(ClientRequest {
            client: at,
            attempt: client.attempt,
            place,
            body,
        })
    }

    /// The node that the client asked does not lead, or does not run. Returns how long the client
    /// waits until its next attempt; `None` if `attempt` was not its latest.
    pub fn redirect(&mut self, at: u32, attempt: u64, leader: Option<usize>) -> Option<Duration> {
        let servers = self.servers;
        let client = self.clients.get_mut(at as usize)?;
        let task = client.task.as_ref()?;
        if client.attempt != attempt {
            return None;
        }
        // Any other node: a client that asks them in order may be sent in circles by nodes whose
        // belief is wrong.
        let mut any = self.random.below(servers as u64) as usize;
        if self.is_draining && leader.is_none() {
            // Each in its turn, wherever others send it in between: most may be cut off for good,
            // and the answer has to come within a bounded time.
            any = client.next_server;
        }
        client.believed_leader = leader.unwrap_or(any) % servers;
        // A leader that is named again and again does not lead.
        let doublings = task.tries.saturating_sub(1).min(Self::DOUBLINGS);
        Some(match leader {
            Some(_) if doublings < Self::DOUBLINGS => Self::REDIRECT,
            Some(_) | None => Self::REFUSED * 2_u32.pow(doublings),
        })
    }

    /// An attempt begins. Returns when the client will have waited long enough, if it has no timer
    /// yet.
    pub fn set_timer(&mut self, now: Time, at: u32) -> Option<Time> {
        let deadline = now.after(self.settings.attempt.0);
        let client = self.clients.get_mut(at as usize)?;
        client.deadline = deadline;
        let is_new = !core::mem::replace(&mut client.has_timer, true);
        is_new.then_some(deadline)
    }

    /// The client's timer fires.
    pub fn timer(&mut self, now: Time, at: u32) -> TimerOutcome {
        let Some(client) = self.clients.get_mut(at as usize) else {
            return TimerOutcome::Idle;
        };
        if client.deadline > now {
            return TimerOutcome::Wait(client.deadline);
        }
        client.has_timer = false;
        let attempt = client.attempt;
        match self.redirect(at, attempt, None) {
            Some(_) => TimerOutcome::Retry { attempt },
            None => TimerOutcome::Idle,
        }
    }

    /// The client begins its next operation, if it is idle and has one.
    fn begin(&mut self, now: Time, at: u32, history: &mut ClientHistory) -> Result<(), Failure> {
        let Some(client) = self.clients.get_mut(at as usize) else {
            return Ok(());
        };
        if client.task.is_some() {
            return Ok(());
        }
        let Some(kind) = client.backlog.pop_front() else {
            return Ok(());
        };
        let mut builder = task::WorkBuilder {
            values: &mut self.values,
            random: &mut self.random,
            max_value: self.settings.max_value,
            history,
            now,
            client: at,
            custom: self.custom.as_deref(),
        };
        let work = builder.build(kind, &client.seen, &mut client.sequence)?;
        self.counts.begun += work.len() as u64;
        client.task = Some(Task {
            since: now,
            tries: 0,
            most: usize::MAX,
            nonce: client.attempt,
            work,
        });
        Ok(())
    }

    /// A node says that the client's commands are over its limits. The client halves what it sends
    /// at once. If it sent only one command, it gives up.
    ///
    /// # Errors
    ///
    /// [`Failure::NotLinearizable`].
    pub fn commands_too_large(
        &mut self,
        now: Time,
        at: u32,
        attempt: u64,
        history: &mut ClientHistory,
    ) -> Result<Resized, Failure> {
        let client = self.clients.get_mut(at as usize);
        let client = client.filter(|client| client.attempt == attempt);
        let Some(task) = client.and_then(|client| client.task.as_mut()) else {
            return Ok(Resized::GivenUp { next_attempt: None }); // A later attempt is under way.
        };
        let sent = task.work.unanswered().count().min(task.most);
        task.most = (sent / 2).max(1);
        if sent > 1 {
            return Ok(Resized::Smaller);
        }
        self.give_up(now, at, history)?;
        let next_attempt = self.next_attempt(at);
        Ok(Resized::GivenUp { next_attempt })
    }

    /// The client will never know what became of its operation.
    fn give_up(&mut self, now: Time, at: u32, history: &mut ClientHistory) -> Result<(), Failure> {
        let Some(client) = self.clients.get_mut(at as usize) else {
            return Ok(());
        };
        let Some(task) = client.task.take() else {
            return Ok(());
        };
        client.attempt += 1;
        for id in task.work.unanswered() {
            self.counts.unknown += 1;
            history.give_up(id, now)?;
            client.doubtful.push(id);
        }
        Ok(())
    }

    /// A later command of the session has been answered, or the session is known to be closed. The
    /// service runs nothing any more that the client gave up before.
    fn expire_doubtful(&mut self, now: Time, at: u32, history: &mut ClientHistory) {
        if let Some(client) = self.clients.get_mut(at as usize) {
            for id in client.doubtful.drain(..) {
                history.expire(id, now);
            }
        }
    }
}
