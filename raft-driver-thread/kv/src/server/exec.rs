//! EXEC: the commands of a transaction run as one batch.

use super::answer::no_reply;
use super::coalesce::Batch;
use super::connection::Connection;
use super::multi::{self, Queued, Task, Transaction};
use super::stats::Asked;
use crate::state::{Reply, ReplyBudget, too_long};
use std::time::Instant;

impl Connection {
    /// EXEC. The commands over the keys run as one batch; what concerns this connection is done in
    /// the order in which it was sent.
    pub(super) async fn exec(&mut self) -> Reply {
        let Transaction { queue, bytes, .. } = match multi::take(&mut self.transaction) {
            Ok(transaction) => transaction,
            Err(reply) => return reply,
        };
        let (mut commands, mut asked) = (Vec::new(), Vec::new());
        let mut others = Vec::with_capacity(queue.len());
        for Queued { name, task } in queue {
            if let Task::Command(command) = task {
                asked.push(Asked::new(name, &command));
                commands.push(command);
                others.push(None);
            } else {
                others.push(Some(Queued { name, task }));
            }
        }
        let mut ran = match self.run(Batch::new(commands, bytes), &asked).await {
            Ok(replies) => replies.into_iter(),
            Err(error) => return error,
        };
        let mut replies = Vec::with_capacity(others.len());
        // The commands over the keys have one of their own.
        let mut budget = ReplyBudget::default();
        for other in others {
            replies.push(match other {
                // There is one for each command.
                None => ran.next().unwrap_or_else(no_reply),
                Some(queued) => self.run_other(queued, &mut budget).await,
            });
        }
        Reply::Array(replies)
    }

    /// Runs what is in no batch.
    async fn run_other(&mut self, queued: Queued, budget: &mut ReplyBudget) -> Reply {
        let begun = Instant::now();
        let reply = match queued.task {
            Task::Local(_) if budget.is_spent() => too_long(),
            // None of these runs a transaction, so the recursion ends.
            Task::Local(local) => budget.spend(Box::pin(self.local(local)).await),
            Task::Error(error) => error,
            Task::Command(_) => no_reply(),
        };
        let stats = &self.context.stats;
        stats.answered(queued.name, &reply, begun.elapsed());
        reply
    }
}
