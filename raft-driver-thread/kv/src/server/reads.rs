//! Reads, which leave no entry in the log.

use super::combine::Batch;
use super::company::Seen;
use super::gateway::Gateway;
use super::outcome::GatewayError;
use crate::state::{Command, Machine, Reply};
use raft_driver_thread::raft_proto::{ReadError, ReadMode};
use raft_driver_thread::{RequestError, Unknown};
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

impl Gateway {
    /// Answers commands that only read from this server's own state, when it is known to be as new as
    /// anything that was acknowledged before (thesis 6.4).
    pub(crate) async fn read(
        self: &Arc<Self>,
        batch: Batch,
        client: &mut Seen,
    ) -> Result<Vec<Reply>, GatewayError> {
        let (waiter, is_first) = self.reads.enter(batch, client, self.deadline());
        if is_first {
            let gateway = self.clone();
            tokio::spawn(async move {
                while let Some((commands, deadline, together)) = gateway.reads.next().await {
                    let reads = Reads::new(commands, together.counts());
                    together.end(gateway.read_together(reads, deadline).await);
                }
            });
        }
        waiter.wait().await
    }

    async fn read_together(
        &self,
        reads: Reads,
        deadline: Instant,
    ) -> Result<Vec<Reply>, GatewayError> {
        loop {
            let mode = match self.has_lease && self.leads() {
                true => ReadMode::Lease,
                false => ReadMode::Quorum,
            };
            let mut read = self.read_once(&reads, mode, deadline).await;
            if mode == ReadMode::Lease
                && let Err(RequestError::Refused(_)) = read
            {
                read = self.read_once(&reads, ReadMode::Quorum, deadline).await;
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
        reads: &Reads,
        mode: ReadMode,
        deadline: Instant,
    ) -> Result<Vec<Reply>, RequestError<ReadError>> {
        let reads = reads.clone();
        let ask = move |machine: &Machine| reads.ask(machine);
        let timed_out = RequestError::Unknown(Unknown::TimedOut);
        let read = timeout_at(deadline, self.node.group().read(mode, ask)).await;
        read.unwrap_or(Err(timed_out))
    }

    /// Answers from this server's state as it is, which may be stale.
    pub(crate) async fn read_stale(
        &self,
        commands: Vec<Command>,
    ) -> Result<Vec<Reply>, GatewayError> {
        let ask = move |machine: &Machine| machine.query_all(&commands);
        let read = timeout_at(self.deadline(), self.node.inspect(ask)).await;
        let late = |_| GatewayError::Unavailable("the state is being restored".into());
        let read = read.map_err(late)?;
        read.map_err(|error| GatewayError::Unavailable(error.to_string()))
    }
}

/// Reads of several clients, and how many each of them has.
#[derive(Clone)]
struct Reads {
    commands: Arc<[Command]>,
    counts: Arc<[usize]>,
}

impl Reads {
    fn new(commands: Vec<Command>, counts: Vec<usize>) -> Reads {
        let (commands, counts) = (commands.into(), counts.into());
        Reads { commands, counts }
    }

    fn ask(&self, machine: &Machine) -> Vec<Reply> {
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
