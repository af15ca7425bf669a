//! EXEC: the commands of a transaction run as one batch.

use super::coalesce::Batch;
use super::connection::Connection;
use super::multi::{self, Queued, Transaction};
use crate::state::{Reply, ReplyBudget, too_long};

impl Connection {
    /// EXEC. The commands over the keys run as one batch; what concerns this connection is done in
    /// the order in which it was sent.
    pub(super) async fn exec(&mut self) -> Reply {
        let Transaction { queue, bytes, .. } = match multi::take(&mut self.transaction) {
            Ok(transaction) => transaction,
            Err(reply) => return reply,
        };
        let (mut commands, mut others) = (Vec::new(), Vec::new());
        for queued in queue {
            match queued {
                Queued::Command(command) => {
                    commands.push(command);
                    others.push(None);
                }
                Queued::Local(_) | Queued::Error(_) => others.push(Some(queued)),
            }
        }
        let ran = if commands.is_empty() {
            Ok(Vec::new())
        } else {
            self.try_run(Batch::new(commands, bytes)).await
        };
        let mut ran = match ran {
            Ok(replies) => replies.into_iter(),
            Err(error) => return error.into(),
        };
        let mut replies = Vec::with_capacity(others.len());
        // The commands over the keys have one of their own.
        let mut budget = ReplyBudget::default();
        for other in others {
            replies.push(match other {
                // There is one for each command.
                None | Some(Queued::Command(_)) => ran
                    .next()
                    .unwrap_or_else(|| Reply::error("ERR", "no reply")),
                Some(Queued::Local(_)) if budget.is_spent() => too_long(),
                // None of these runs a transaction, so the recursion ends.
                Some(Queued::Local(local)) => budget.spend(Box::pin(self.local(local)).await),
                Some(Queued::Error(error)) => error,
            });
        }
        Reply::Array(replies)
    }
}
