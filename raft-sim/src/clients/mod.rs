//! The clients of the replicated service. Each does one thing at a time, in a session that it
//! opens (thesis 6.3); asks another server when it is not answered; and in the end gives up, and
//! then does not know what became of what it asked. What all of them saw is the history that has
//! to be linearizable.

mod task;

use crate::failure::Failure;
use crate::linearizability::{Checker, CheckerError, KeyValue, Limits, OperationId, Verdict};
use crate::pending_commands::{ClientCommand, CommandOutcome};
use crate::random::Random;
use crate::schedule::{ClientOperation, OperationKind, ReadKind};
use crate::service::{Answer, SessionId};
use crate::settings::ClientSettings;
use bytes::Bytes;
use core::time::Duration;
use raft_proto::{EntryId, ReadMode, Time};
use std::collections::{BTreeMap, VecDeque};
use task::{Task, Work};

/// The checker of what clients saw.
type History = Checker<KeyValue<u64>>;

/// A sequence number that stands for the opening of a session.
const OPENING: u64 = u64::MAX;

/// What a client sends to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who asks.
    pub client: u32,
    /// The number of its attempt.
    pub attempt: u64,
    /// The server, by its place.
    pub place: usize,
    /// What it asks.
    pub what: What,
}

/// What can be asked of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// These commands are to be committed.
    Commands(Vec<(u64, Bytes)>),
    /// The value of a key.
    Read(u64, ReadMode),
}

#[derive(Debug)]
struct Client {
    /// Whom it believes to lead.
    believed: usize,
    session: Option<SessionId>,
    /// What it calls its next command.
    sequence: u64,
    /// What it will ask when it is done with what it asks now.
    backlog: VecDeque<OperationKind>,
    task: Option<Task>,
    /// The number of its latest attempt, of whatever task.
    attempt: u64,
    /// When it will have waited long enough, and whether a timer of its is set.
    deadline: Time,
    has_timer: bool,
    /// What it gave up, and may still take effect: nothing of the session has been answered since.
    doubtful: Vec<OperationId>,
    /// The values that it saw last, to swap them.
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
    /// Operations asked again, of another server or the same.
    pub retries: u64,
    /// Sessions opened.
    pub sessions: u64,
    /// Sessions that turned out to be gone.
    pub evicted: u64,
    /// Operations that nobody took up: the client was too far behind.
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
    history: History,
    /// How many values were written.
    values: u64,
    /// Whether they may give up.
    is_patient: bool,
    /// How often things happened.
    pub counts: ClientCounts,
}

impl Clients {
    /// How many operations wait for one client at most.
    const BACKLOG: usize = 8;
    /// How long a client waits before it turns to the server that it was sent to.
    const REDIRECT: Duration = Duration::from_millis(2);
    /// How long it waits, the first time, when it was sent nowhere; then twice as long each time.
    const REFUSED: Duration = Duration::from_millis(15);
    /// How often that doubles.
    const DOUBLINGS: u32 = 4;

    /// Clients that have asked nothing.
    pub fn new(servers: usize, settings: ClientSettings, mut random: Random) -> Clients {
        let client = |_| Client {
            believed: random.below(servers as u64) as usize,
            session: None,
            sequence: 1,
            backlog: VecDeque::new(),
            task: None,
            attempt: 0,
            deadline: Time::ZERO,
            has_timer: false,
            doubtful: Vec::new(),
            seen: BTreeMap::new(),
        };
        let clients = (0..settings.clients).map(client).collect();
        Clients {
            servers,
            clients,
            history: Checker::new(Limits {
                stretch: 160,
                states: 1 << 11,
                unknown: 128,
            }),
            values: 0,
            is_patient: false,
            counts: ClientCounts::default(),
            settings,
            random,
        }
    }

    /// From now on nobody asks for anything new, and nobody gives up.
    pub fn rest(&mut self) {
        self.is_patient = true;
        for client in &mut self.clients {
            client.backlog.clear();
        }
    }

    /// A client that still waits for an answer.
    pub fn waiting(&self) -> Option<u32> {
        let at = self.clients.iter().position(|client| client.task.is_some());
        at.map(|at| at as u32) // There are a few.
    }

    /// A client is to ask for something. Returns the attempt to begin with, if it is idle.
    pub fn wants(&mut self, operation: ClientOperation) -> Option<u64> {
        let client = self.clients.get_mut(operation.client as usize)?;
        if client.backlog.len() >= Self::BACKLOG {
            self.counts.skipped += 1;
            return None;
        }
        client.backlog.push_back(operation.kind);
        client.task.is_none().then_some(client.attempt)
    }

    /// The client makes an attempt, if `attempt` is still its latest. Returns what it sends.
    ///
    /// # Errors
    ///
    /// [`Failure::NotLinearizable`].
    pub fn act(&mut self, now: Time, at: u32, attempt: u64) -> Result<Option<Request>, Failure> {
        let Some(client) = self.clients.get(at as usize) else {
            return Ok(None);
        };
        if client.attempt != attempt {
            return Ok(None); // It has been answered, or was sent elsewhere.
        }
        let since = client.task.as_ref().map(|task| task.since);
        let patience = self.settings.give_up_after.0;
        if !self.is_patient && since.is_some_and(|since| since.after(patience) <= now) {
            self.give_up(at)?;
        }
        self.begin(now, at)?;
        let Some(client) = self.clients.get_mut(at as usize) else {
            return Ok(None);
        };
        client.attempt += 1;
        let Some(task) = &mut client.task else {
            return Ok(None);
        };
        self.counts.retries += u64::from(task.tries > 0);
        task.tries += 1;
        let attempt = client.attempt;
        let (place, what) = match (&task.work, client.session) {
            (Work::Read { key, kind, .. }, _) => {
                let mode = match *kind {
                    // Where no lease can be proven, a majority is asked.
                    ReadKind::Lease if task.tries == 1 => ReadMode::Lease,
                    ReadKind::Lease | ReadKind::Quorum | ReadKind::Follower => ReadMode::Quorum,
                };
                let place = match kind {
                    ReadKind::Follower => self.random.below(self.servers as u64) as usize,
                    ReadKind::Quorum | ReadKind::Lease => client.believed,
                };
                (place, What::Read(*key, mode))
            }
            (Work::Commands(_), None) => (client.believed, What::Commands(vec![task.open()])),
            (Work::Commands(wanted), Some(session)) => {
                let commands = task::commands(wanted, session);
                (client.believed, What::Commands(commands))
            }
        };
        Ok(Some(Request {
            client: at,
            attempt,
            place,
            what,
        }))
    }

    /// The client was sent to another server, or found nobody. How long it waits until it goes
    /// on; `None` if that was not its latest attempt.
    pub fn sent_elsewhere(
        &mut self,
        at: u32,
        attempt: u64,
        leader: Option<usize>,
    ) -> Option<Duration> {
        let servers = self.servers;
        let client = self.clients.get_mut(at as usize)?;
        let task = client.task.as_ref()?;
        if client.attempt != attempt {
            return None;
        }
        // Any other: whoever goes round in order may be sent in circles by servers that are wrong.
        let any = self.random.below(servers as u64) as usize;
        client.believed = leader.unwrap_or(any) % servers;
        // A leader that is named again and again is none.
        let doublings = task.tries.saturating_sub(1).min(Self::DOUBLINGS);
        Some(match leader {
            Some(_) if doublings < Self::DOUBLINGS => Self::REDIRECT,
            Some(_) | None => Self::REFUSED * 2_u32.pow(doublings),
        })
    }

    /// An attempt begins: when the client will have waited long enough, if it has no timer yet.
    pub fn set_timer(&mut self, now: Time, at: u32) -> Option<Time> {
        let deadline = now.after(self.settings.attempt.0);
        let client = self.clients.get_mut(at as usize)?;
        client.deadline = deadline;
        let is_new = !core::mem::replace(&mut client.has_timer, true);
        is_new.then_some(deadline)
    }

    /// The client's timer goes off.
    pub fn timer(&mut self, now: Time, at: u32) -> Patience {
        let Some(client) = self.clients.get_mut(at as usize) else {
            return Patience::HasNothingToWaitFor;
        };
        if client.deadline > now {
            return Patience::Waits(client.deadline);
        }
        client.has_timer = false;
        let attempt = client.attempt;
        match self.sent_elsewhere(at, attempt, None) {
            Some(_) => Patience::IsOver(attempt),
            None => Patience::HasNothingToWaitFor,
        }
    }

    fn begin(&mut self, now: Time, at: u32) -> Result<(), Failure> {
        let Some(client) = self.clients.get_mut(at as usize) else {
            return Ok(());
        };
        if client.task.is_some() {
            return Ok(());
        }
        let Some(ask) = client.backlog.pop_front() else {
            return Ok(());
        };
        let mut making = task::Making {
            values: &mut self.values,
            random: &mut self.random,
            max_value: self.settings.max_value,
            history: &mut self.history,
            now,
            at,
        };
        let work = making.work(ask, &client.seen, &mut client.sequence)?;
        self.counts.begun += work.len() as u64;
        client.task = Some(Task {
            since: now,
            tries: 0,
            nonce: client.attempt,
            work,
        });
        Ok(())
    }

    /// What became of what the client asked will never be known.
    fn give_up(&mut self, at: u32) -> Result<(), Failure> {
        let Some(client) = self.clients.get_mut(at as usize) else {
            return Ok(());
        };
        let Some(task) = client.task.take() else {
            return Ok(());
        };
        client.attempt += 1;
        for id in task.work.open() {
            self.counts.unknown += 1;
            self.history.unknown(id).map_err(judged)?;
            client.doubtful.push(id);
        }
        Ok(())
    }

    /// A later command of the session has been answered, or the session is known to be closed:
    /// the service runs nothing any more that the client gave up before.
    fn settle_doubts(&mut self, now: Time, at: u32) {
        if let Some(client) = self.clients.get_mut(at as usize) {
            for id in client.doubtful.drain(..) {
                self.history.expire(id, now.0);
            }
        }
    }

    /// A server tells what became of a command. Returns the attempt to go on with, if the client
    /// is to go on at once, and the session and sequence number of a command that has been
    /// answered.
    ///
    /// # Errors
    ///
    /// [`Failure::NotLinearizable`], [`Failure::AnswerForgotten`].
    pub fn learns(&mut self, now: Time, learnt: &CommandOutcome) -> Result<Learned, Failure> {
        let ClientCommand {
            client: at,
            attempt,
            sequence,
        } = learnt.asked;
        let nothing = Learned::default();
        let Some(client) = self.clients.get_mut(at as usize) else {
            return Ok(nothing);
        };
        let Some((entry, answer)) = &learnt.answer else {
            // Another leader's entry stands there: asked again at once, if nobody else is asked.
            let go_on = (client.attempt == attempt && client.task.is_some()).then_some(attempt);
            return Ok(Learned { go_on, ..nothing });
        };
        if sequence == OPENING {
            if let (Answer::Opened(session), true) = (answer, client.attempt == attempt) {
                client.session = Some(*session);
                self.counts.sessions += 1;
                let go_on = Some(attempt);
                return Ok(Learned { go_on, ..nothing });
            }
            return Ok(nothing);
        }
        let wanted = client.task.as_mut().and_then(|task| task.wanted(sequence));
        let Some(wanted) = wanted else {
            return Ok(nothing); // Answered before, or given up.
        };
        match answer {
            Answer::UnknownSession => {
                client.session = None;
                self.counts.evicted += 1;
                // An earlier attempt may have run before the session was closed.
                self.give_up(at)?;
                self.settle_doubts(now, at);
                return Ok(Learned {
                    go_on: self.latest(at),
                    ..nothing
                });
            }
            Answer::Forgotten => return Err(Failure::AnswerForgotten { entry: *entry }),
            Answer::Opened(_) | Answer::Value(_) | Answer::Done | Answer::Swapped(_) => {}
        }
        wanted.is_answered = true;
        let (id, key) = (wanted.id, wanted.key);
        let saw = task::saw(&wanted.operation, answer);
        let session = client.session;
        if let Some(saw) = saw {
            client.seen.insert(key, saw);
        }
        self.counts.answered += 1;
        let output = task::output(answer);
        self.history.complete(id, output, now.0).map_err(judged)?;
        self.settle_doubts(now, at);
        Ok(Learned {
            go_on: self.end_task(at),
            answered: session.map(|session| (session, sequence, *entry)),
        })
    }

    /// A server answers a read. Returns the attempt to go on with.
    ///
    /// # Errors
    ///
    /// [`Failure::NotLinearizable`].
    pub fn reads(
        &mut self,
        now: Time,
        at: u32,
        attempt: u64,
        value: Option<&Bytes>,
    ) -> Result<Option<u64>, Failure> {
        let Some(client) = self.clients.get_mut(at as usize) else {
            return Ok(None);
        };
        let Some(Task {
            work: Work::Read { id, key, .. },
            ..
        }) = client.task
        else {
            return Ok(None);
        };
        if client.attempt != attempt {
            return Ok(None); // It asked again since then, or asks for something else.
        }
        client.task = None;
        client.attempt += 1;
        client.seen.insert(key, value.cloned());
        self.counts.answered += 1;
        let output = task::output(&Answer::Value(value.cloned()));
        self.history.complete(id, output, now.0).map_err(judged)?;
        Ok(self.latest(at))
    }

    /// Ends the client's task if all of it is answered. Returns the attempt to go on with.
    fn end_task(&mut self, at: u32) -> Option<u64> {
        let client = self.clients.get_mut(at as usize)?;
        let task = client.task.as_ref()?;
        if task.work.open().next().is_some() {
            return None;
        }
        client.task = None;
        client.attempt += 1;
        self.latest(at)
    }

    /// The attempt with which the client goes on, if it has something to do.
    fn latest(&self, at: u32) -> Option<u64> {
        let client = self.clients.get(at as usize)?;
        (!client.backlog.is_empty()).then_some(client.attempt)
    }

    /// The run is over: what all clients saw is judged.
    ///
    /// # Errors
    ///
    /// [`Failure::NotLinearizable`].
    pub fn finish(&mut self) -> Result<(), Failure> {
        match core::mem::take(&mut self.history).finish() {
            Verdict::Linearizable => Ok(()),
            Verdict::NotLinearizable(why) => Err(Failure::NotLinearizable(why.to_string())),
            Verdict::Unknown(keys) => {
                self.counts.unchecked_keys += keys.len() as u64;
                Ok(())
            }
        }
    }
}

/// Whether a client waits on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Until then.
    Waits(Time),
    /// It makes another attempt after this one.
    IsOver(u64),
    /// It has been answered.
    HasNothingToWaitFor,
}

/// What follows from an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Learned {
    /// The client goes on at once, with this attempt.
    pub go_on: Option<u64>,
    /// A command has been answered: its session, its sequence number, its entry.
    pub answered: Option<(SessionId, u64, EntryId)>,
}

fn judged(error: CheckerError<KeyValue<u64>>) -> Failure {
    Failure::NotLinearizable(error.to_string())
}
