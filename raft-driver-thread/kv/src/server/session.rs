//! Sessions, which make a write that is repeated run once (thesis 6.3).
//!
//! Each server has a session of its own. It numbers the writes of its clients, so that a write that
//! is attempted again, by another leader perhaps, runs once. A client may open a session too, and
//! number its requests itself: then it may repeat them at any server.

use super::coalesce::{Executor, Outcome, Waiters};
use super::outcome::{CommandError, replies, unexpected};
use super::router::Router;
use crate::state::{Answer, Command, Operation, Origin, Reply};
use raft_driver_thread::sessions::RequestNumbers;
use std::hash::BuildHasher;
use std::sync::Arc;
use tokio::time::Instant;

/// This server's own session: executes the writes of its clients, each exactly once.
pub(crate) struct Session {
    router: Arc<Router>,
    /// The session's number, while one is open.
    id: tokio::sync::Mutex<Option<u64>>,
    requests: RequestNumbers,
}

impl Executor for Session {
    async fn execute(&self, mut commands: Vec<Command>, _: &Waiters, deadline: Instant) -> Outcome {
        loop {
            let (session, count) = (self.id(deadline).await?, commands.len());
            // Until it is dropped, the request may be attempted again.
            let request = self.requests.begin(session);
            let operation = Operation::Commands {
                origin: Some(request.origin()),
                commands,
            };
            let proposed = self.router.propose(&operation, deadline).await?;
            if proposed.answer != Answer::NoSession {
                return own_replies(proposed.answer, count);
            }
            self.forget(session).await;
            let Operation::Commands {
                commands: unchanged,
                ..
            } = operation
            else {
                return Err(CommandError::NoSession); // It was made above.
            };
            if proposed.attempts > 1 {
                let what = "this server's session was evicted between two attempts";
                return Err(CommandError::Unknown(what.into()));
            }
            commands = unchanged;
        }
    }
}

impl Session {
    pub(crate) fn new(router: Arc<Router>) -> Session {
        Session {
            router,
            id: tokio::sync::Mutex::default(),
            requests: RequestNumbers::default(),
        }
    }

    /// The session's number. Opens a session if there is none.
    async fn id(&self, deadline: Instant) -> Result<u64, CommandError> {
        let mut id = self.id.lock().await;
        if let Some(id) = *id {
            return Ok(id);
        }
        match open(&self.router, deadline).await {
            Ok(opened) => Ok(*id.insert(opened)),
            // Whether a session was opened or not: the write that needs it was not done.
            Err(CommandError::Unknown(reason)) => Err(CommandError::Unavailable(reason)),
            Err(error) => Err(error),
        }
    }

    async fn forget(&self, evicted: u64) {
        let mut id = self.id.lock().await;
        if *id == Some(evicted) {
            *id = None;
        }
    }
}

/// The replies to the commands of one request of this server's own session.
fn own_replies(answer: Answer, commands: usize) -> Outcome {
    if answer == Answer::Forgotten {
        let what = "its answer is not kept: it is too long, or too many came before it".into();
        return Err(CommandError::Unknown(what));
    }
    let replies = replies(answer)?;
    if replies.len() != commands {
        let what = "the cluster's answer does not fit the commands".into();
        return Err(CommandError::Unknown(what));
    }
    Ok(replies)
}

/// Opens a session: for this server, or for a client (SESSION OPEN).
pub(super) async fn open(router: &Router, deadline: Instant) -> Result<u64, CommandError> {
    let operation = Operation::OpenSession(draw_id());
    match router.propose(&operation, deadline).await?.answer {
        Answer::Session(opened) => Ok(opened),
        answer @ (Answer::Replies(_)
        | Answer::NoSession
        | Answer::Forgotten
        | Answer::Unreadable
        | Answer::Done) => Err(unexpected(&answer)),
    }
}

/// SESSION CLOSE.
pub(super) async fn close(router: &Router, session: u64) -> Result<(), CommandError> {
    let operation = Operation::CloseSession(session);
    router
        .propose(&operation, router.deadline())
        .await
        .map(|_| ())
}

/// Executes a command for a client that has a session of its own (ONCE).
pub(super) async fn execute_once(
    router: &Router,
    session: u64,
    sequence: u64,
    command: Command,
) -> Result<Vec<Reply>, CommandError> {
    let origin = Some(Origin {
        session,
        sequence,
        floor: sequence,
    });
    let commands = vec![command];
    let operation = Operation::Commands { origin, commands };
    replies(router.propose(&operation, router.deadline()).await?.answer)
}

/// A number for a session that nobody can guess. It has 53 bits, because clients in JavaScript take
/// numbers for floating-point ones.
fn draw_id() -> u64 {
    // Its keys are random, as those of the standard library's maps are.
    let keys = std::collections::hash_map::RandomState::new();
    (keys.hash_one(super::clock::millis()) >> 11).max(1)
}
