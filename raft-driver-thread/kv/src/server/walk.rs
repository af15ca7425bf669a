//! KEYS, and long scans: they look at so many keys that nobody should wait for them.
//!
//! The thread that applies entries takes a view of the state, which costs almost nothing. Another
//! thread looks at the keys of the view, while this server goes on. So the answer is of one moment:
//! that at which the view was taken, as a read.

use super::coalesce::Outcome;
use super::context::ServerContext;
use super::outcome::CommandError;
use super::reads::{inspect_stale, unavailable};
use crate::state::{Command, Machine};
use tokio::time::timeout_at;

/// Which state a read may be answered from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    /// One that has all that was acknowledged before.
    Linearizable,
    /// This server's own.
    Any,
}

/// Runs commands that only read, all on the same view.
pub(super) async fn walk(
    context: &ServerContext,
    commands: Vec<Command>,
    freshness: Freshness,
) -> Outcome {
    let deadline = context.router.deadline();
    let permit = timeout_at(deadline, context.walks.clone().acquire_owned()).await;
    let Ok(Ok(permit)) = permit else {
        let what = "other commands that look at all keys took too long";
        return Err(CommandError::Unavailable(what.into()));
    };
    let view = match freshness {
        Freshness::Linearizable => {
            let reads = context.reads.executor();
            reads.read(Machine::view, deadline).await?
        }
        Freshness::Any => inspect_stale(&context.router, Machine::view).await?,
    };
    let walked = tokio::task::spawn_blocking(move || {
        let replies = view.query_all(&commands);
        // If the keys were flushed meanwhile, this frees them.
        drop((view, permit));
        replies
    });
    walked.await.map_err(|error| unavailable(&error))
}
