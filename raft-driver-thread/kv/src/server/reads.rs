//! Reads, which leave no entry in the log.

use super::coalesce::{Executor, Outcome, Waiters};
use super::outcome::CommandError;
use super::router::Router;
use crate::state::{Command, Machine, Operation, Reply};
use raft_driver_thread::raft_proto::{ReadError, ReadMode};
use raft_driver_thread::{RequestError, Unknown};
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

/// By how much a key may have expired that the leader has not removed yet: it proposes the time
/// more often. After all servers were down, it has not done so yet, and the keys that expired
/// meanwhile must not be served.
const OVERDUE: u64 = 500;

/// Whether a read looks for keys that have expired and are still there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    First,
    /// They were removed just now.
    Again,
}

/// What a read found.
enum Read<T> {
    Current(T),
    /// A key has expired and is still there: time has to pass in the state first.
    Overdue,
}

/// Answers reads from this server's own state, once it is known to be as new as anything that was
/// acknowledged before (thesis 6.4).
pub(crate) struct Reads {
    router: Arc<Router>,
    /// Leases are switched on.
    has_lease: bool,
}

impl Executor for Reads {
    async fn execute(
        &self,
        commands: Vec<Command>,
        waiters: &Waiters,
        deadline: Instant,
    ) -> Outcome {
        let queries = Queries::new(commands, waiters.command_counts());
        let answer = move |machine: &Machine| queries.answer(machine);
        self.read(answer, deadline).await
    }
}

impl Reads {
    pub(crate) fn new(router: Arc<Router>, has_lease: bool) -> Reads {
        Reads { router, has_lease }
    }

    /// What `answer` finds in this server's state, once it holds all that was acknowledged before.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        answer: impl Fn(&Machine) -> T + Clone + Send + 'static,
        deadline: Instant,
    ) -> Result<T, CommandError> {
        let mut look = Look::First;
        loop {
            let mode = if self.has_lease && self.router.leads() {
                ReadMode::Lease
            } else {
                ReadMode::Quorum
            };
            let mut read = self.read_once(&answer, mode, look, deadline).await;
            if mode == ReadMode::Lease
                && let Err(RequestError::Refused(_)) = read
            {
                read = (self.read_once(&answer, ReadMode::Quorum, look, deadline)).await;
            }
            let error = match read {
                Ok(Read::Current(found)) => return Ok(found),
                Ok(Read::Overdue) => {
                    look = Look::Again;
                    let advance = Operation::AdvanceTime;
                    self.router.propose(&advance, deadline).await?;
                    continue;
                }
                Err(error) => error,
            };
            if !self.router.wait_to_retry(deadline).await {
                let reason = if let RequestError::Unknown(why) = error {
                    why.to_string() // A read does nothing.
                } else {
                    error.to_string()
                };
                return Err(CommandError::Unavailable(reason));
            }
        }
    }

    async fn read_once<T: Send + 'static>(
        &self,
        answer: &(impl Fn(&Machine) -> T + Clone + Send + 'static),
        mode: ReadMode,
        look: Look,
        deadline: Instant,
    ) -> Result<Read<T>, RequestError<ReadError>> {
        let answer = answer.clone();
        // Once only: this server's guess may be wrong, and the leader knows.
        let now = self.router.clock().latest().filter(|_| look == Look::First);
        let query = move |machine: &Machine| {
            let is_overdue =
                |expiry: u64| now.is_some_and(|now| expiry.saturating_add(OVERDUE) < now);
            if machine.next_expiry().is_some_and(is_overdue) {
                return Read::Overdue;
            }
            Read::Current(answer(machine))
        };
        let timed_out = RequestError::Unknown(Unknown::TimedOut);
        // A statement of its own: the core hears of the read when the group is dropped, at its end.
        let ticket = self.router.node().group().read(mode, query);
        timeout_at(deadline, ticket).await.unwrap_or(Err(timed_out))
    }
}

/// Answers from this server's state as it is now, which may be stale, but not wrong.
pub(crate) async fn read_stale(router: &Router, commands: Vec<Command>) -> Outcome {
    inspect_stale(router, move |machine| machine.query_all(&commands)).await
}

/// What `answer` finds in this server's state as it is now.
pub(crate) async fn inspect_stale<T: Send + 'static>(
    router: &Router,
    answer: impl FnOnce(&Machine) -> T + Send + 'static,
) -> Result<T, CommandError> {
    if router.node().comparison().diverged_after.is_some() {
        let what = "the state differs from that of the majority, and is being replaced";
        return Err(CommandError::Unavailable(what.into()));
    }
    let read = timeout_at(router.deadline(), router.node().inspect(answer)).await;
    let late = |_| CommandError::Unavailable("the state is being restored".into());
    let read = read.map_err(late)?;
    read.map_err(|error| unavailable(&error))
}

/// Nothing was done, for this reason.
pub(crate) fn unavailable(reason: &dyn std::fmt::Display) -> CommandError {
    CommandError::Unavailable(reason.to_string())
}

/// The reads of several clients. Cheap to clone, for another attempt.
#[derive(Clone)]
struct Queries {
    commands: Arc<[Command]>,
    /// How many of them each client has.
    counts: Arc<[usize]>,
}

impl Queries {
    fn new(commands: Vec<Command>, counts: Vec<usize>) -> Queries {
        let (commands, counts) = (commands.into(), counts.into());
        Queries { commands, counts }
    }

    fn answer(&self, machine: &Machine) -> Vec<Reply> {
        let mut replies = Vec::with_capacity(self.commands.len());
        let mut rest = &*self.commands;
        for count in self.counts.iter() {
            let (own, others) = rest.split_at((*count).min(rest.len()));
            replies.extend(machine.query_all(own));
            rest = others;
        }
        replies
    }
}
