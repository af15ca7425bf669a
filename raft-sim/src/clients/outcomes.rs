//! The outcomes of clients' requests.

use super::Clients;
use super::messages::{AnsweredCommand, OPENING, Reaction};
use super::task::{self, Task, Work};
use crate::failure::Failure;
use crate::judge::ClientHistory;
use crate::linearizability::OperationId;
use crate::pending_commands::{ClientCommand, CommandOutcome, CommandResult};
use crate::service::Answer;
use bytes::Bytes;
use raft_proto::Time;

/// A client learns the answer to its command.
fn complete(
    history: &mut ClientHistory,
    id: OperationId,
    answer: &Answer,
    now: Time,
) -> Result<(), Failure> {
    if let Answer::Called(answer) = answer {
        history.called(id, answer, now)
    } else {
        history.complete(id, task::output(answer), now)
    }
}

impl Clients {
    /// A node tells the outcome of a command.
    ///
    /// # Errors
    ///
    /// [`Failure::NotLinearizable`], [`Failure::AnswerForgotten`].
    pub fn command_outcome(
        &mut self,
        now: Time,
        outcome: &CommandOutcome,
        history: &mut ClientHistory,
    ) -> Result<Reaction, Failure> {
        let ClientCommand {
            client: at,
            attempt,
            sequence,
        } = outcome.command;
        let go_on_with = |next_attempt| {
            Ok(Reaction {
                next_attempt,
                answered: None,
            })
        };
        let Some(client) = self.clients.get_mut(at as usize) else {
            return Ok(Reaction::default());
        };
        let (entry, answer) = match &outcome.result {
            CommandResult::Applied { entry, answer } => (*entry, answer),
            CommandResult::Replaced => {
                // Sent again at once, unless a later attempt is under way.
                let is_latest = client.attempt == attempt && client.task.is_some();
                return go_on_with(is_latest.then_some(attempt));
            }
        };
        if sequence == OPENING {
            return go_on_with(self.opened(at, attempt, answer));
        }
        let command = client.task.as_mut().and_then(|task| task.command(sequence));
        let Some(command) = command else {
            return Ok(Reaction::default()); // Answered before, or given up.
        };
        match answer {
            Answer::UnknownSession => {
                client.session = None;
                self.counts.evicted += 1;
                // An earlier attempt may have run before the session was closed.
                self.give_up(now, at, history)?;
                self.expire_doubtful(now, at, history);
                return go_on_with(self.next_attempt(at));
            }
            Answer::Forgotten => return Err(Failure::AnswerForgotten { entry }),
            Answer::Opened(_)
            | Answer::Value(_)
            | Answer::Done
            | Answer::Swapped(_)
            | Answer::Called(_)
            | Answer::NotServed => {}
        }
        command.is_answered = true;
        let (id, key) = (command.id, command.key);
        if let Some(value) = task::value_after(&command.operation, answer) {
            client.seen.insert(key, value);
        }
        let session = client.session;
        self.counts.answered += 1;
        complete(history, id, answer, now)?;
        self.expire_doubtful(now, at, history);
        Ok(Reaction {
            next_attempt: self.end_task(at),
            answered: session.map(|session| AnsweredCommand {
                session,
                sequence,
                entry,
            }),
        })
    }

    /// A session was opened for the client, if `attempt` is its latest. Returns the attempt to go on
    /// with.
    fn opened(&mut self, at: u32, attempt: u64, answer: &Answer) -> Option<u64> {
        let client = self.clients.get_mut(at as usize)?;
        let Answer::Opened(session) = answer else {
            return None;
        };
        if client.attempt != attempt {
            return None;
        }
        client.session = Some(*session);
        self.counts.sessions += 1;
        Some(attempt)
    }

    /// A node answers a read. Returns the number of the client's latest attempt, if it goes on at
    /// once.
    ///
    /// # Errors
    ///
    /// [`Failure::NotLinearizable`].
    pub fn read_answered(
        &mut self,
        now: Time,
        at: u32,
        attempt: u64,
        value: Option<&Bytes>,
        history: &mut ClientHistory,
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
            return Ok(None); // A later attempt is under way, or another operation.
        }
        client.task = None;
        client.attempt += 1;
        client.seen.insert(key, value.cloned());
        self.counts.answered += 1;
        let output = task::output(&Answer::Value(value.cloned()));
        history.complete(id, output, now)?;
        Ok(self.next_attempt(at))
    }

    /// Ends the client's task if all of it is answered. Returns the attempt to go on with.
    fn end_task(&mut self, at: u32) -> Option<u64> {
        let client = self.clients.get_mut(at as usize)?;
        let task = client.task.as_ref()?;
        let left = task.work.unanswered().count();
        if left > 0 {
            // What was too much for one proposal goes into the next one.
            let is_partial = task.most < task.work.len();
            let answered = task.work.len() - left;
            let goes_on = is_partial && answered.is_multiple_of(task.most);
            return goes_on.then_some(client.attempt);
        }
        client.task = None;
        client.attempt += 1;
        self.next_attempt(at)
    }

    /// The attempt with which the client goes on, if it has something to do.
    pub(super) fn next_attempt(&self, at: u32) -> Option<u64> {
        let client = self.clients.get(at as usize)?;
        (!client.backlog.is_empty()).then_some(client.attempt)
    }
}
