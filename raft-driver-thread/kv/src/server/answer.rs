//! What a client has asked for is run and counted: commands over the keys in batches, the rest one
//! by one.

use super::coalesce::{Batch, Outcome};
use super::connection::{Connection, Item};
use super::outcome::integer;
use super::reads::read_stale;
use super::session;
use super::stats::Asked;
use super::walk::{Freshness, walk};
use crate::resp::Request;
use crate::state::{Command, Reply};
use bytes::Bytes;
use std::time::Instant;

impl Connection {
    /// Answers a request that goes in no batch.
    pub(super) async fn answer(&mut self, request: Request, arguments: &[Bytes]) -> Reply {
        let router = &self.context.router;
        match request {
            Request::Command(command) => match self.try_run(Batch::new(vec![command], 0)).await {
                Ok(replies) => first(replies),
                Err(error) => error.into(),
            },
            Request::Once {
                session,
                sequence,
                command,
            } => match session::execute_once(router, session, sequence, command).await {
                Ok(replies) => first(replies),
                Err(error) => error.into(),
            },
            Request::OpenSession => match session::open(router, router.deadline()).await {
                Ok(session) => integer(session),
                Err(error) => error.into(),
            },
            Request::CloseSession(session) => match session::close(router, session).await {
                Ok(()) => Reply::Ok,
                Err(error) => error.into(),
            },
            Request::Local(local) => self.local(local).await,
            Request::Admin(admin) => self.admin(admin, arguments).await,
        }
    }

    /// Runs the commands that were collected, and writes all replies to the buffer.
    pub(super) async fn flush(&mut self) {
        if self.items.is_empty() {
            return;
        }
        self.show();
        let commands = std::mem::take(&mut self.commands);
        let asked = std::mem::take(&mut self.asked);
        let bytes = std::mem::take(&mut self.bytes);
        let ran = self.run(Batch::new(commands, bytes), &asked).await;
        let mut replies = ran
            .unwrap_or_else(|error| vec![error; asked.len()])
            .into_iter();
        for item in self.items.drain(..) {
            let reply = match item {
                Item::Ready(reply) => Some(reply),
                Item::OfBatch => replies.next(),
            };
            // There is one for each command.
            let reply = reply.unwrap_or_else(no_reply);
            self.out.push(reply, self.version);
        }
        self.show();
    }

    /// Runs commands with no other command in between, and counts them. Each gets a reply, or all
    /// get the same error.
    pub(super) async fn run(&mut self, batch: Batch, asked: &[Asked]) -> Result<Vec<Reply>, Reply> {
        let Ok(count @ 1..) = u32::try_from(asked.len()) else {
            return Ok(Vec::new());
        };
        let begun = Instant::now();
        let ran = self.try_run(batch).await.map_err(Reply::from);
        // They have waited together.
        let each = begun.elapsed() / count;
        let reply = |at: usize| match &ran {
            Ok(replies) => replies.get(at),
            Err(error) => Some(error),
        };
        for (at, asked) in asked.iter().enumerate() {
            if let Some(reply) = reply(at) {
                (self.context.stats).answered_from_keys(*asked, reply, each);
            }
        }
        ran
    }

    async fn try_run(&mut self, batch: Batch) -> Outcome {
        if batch.commands.iter().any(Command::writes) {
            let writes = &self.context.writes;
            writes.submit(batch, &mut self.activity.writes).await
        } else if batch.commands.iter().any(Command::looks_at_many_keys) {
            let freshness = if self.reads_stale {
                Freshness::Any
            } else {
                Freshness::Linearizable
            };
            walk(&self.context, batch.commands, freshness).await
        } else if self.reads_stale {
            read_stale(&self.context.router, batch.commands).await
        } else {
            let reads = &self.context.reads;
            reads.submit(batch, &mut self.activity.reads).await
        }
    }
}

fn first(replies: Vec<Reply>) -> Reply {
    replies.into_iter().next().unwrap_or_else(no_reply)
}

/// There is one for each command.
pub(super) fn no_reply() -> Reply {
    Reply::error("ERR", "no reply")
}
