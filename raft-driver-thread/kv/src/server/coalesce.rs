//! Requests of many clients that are executed together.
//!
//! A request is executed at once if no other is under way. Requests that arrive meanwhile wait, and
//! are coalesced into one entry of the log, or one read. So many clients together cost the log, the
//! network and the disks about as much as one client.
//!
//! Where several clients were active lately, the coalescer waits for them before it begins: see
//! [`group_commit`](super::group_commit).

use super::group_commit::{ActiveClients, COMMIT_SIBLINGS, CommitDelay, LastActive};
use super::outcome::CommandError;
use crate::state::{Command, Reply};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

/// About how many bytes of arguments are coalesced at most.
const MAX_BYTES: usize = 1 << 20;

/// How many commands are coalesced at most.
const MAX_COMMANDS: usize = 8192;

/// Extra time for a batch to report its own, more precise, error before its waiters time out.
const GRACE: Duration = Duration::from_millis(100);

/// A client's commands, which run with no other command in between.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) commands: Vec<Command>,
    /// About how long their arguments are.
    pub(crate) bytes: usize,
    /// The batch must not share the room that an entry's replies have (see
    /// [`MAX_ANSWER_BYTES`](crate::state::MAX_ANSWER_BYTES)) with other batches.
    pub(crate) goes_alone: bool,
}

impl Batch {
    /// Commands whose arguments have about this many bytes.
    pub(crate) fn new(commands: Vec<Command>, bytes: usize) -> Batch {
        let writes = commands.iter().filter(|command| command.writes()).count();
        Batch {
            goes_alone: writes > 0 && writes < commands.len(),
            commands,
            bytes,
        }
    }
}

/// One reply for each command, or why there is none.
pub(crate) type Outcome = Result<Vec<Reply>, CommandError>;

/// Executes the commands of all batches that were coalesced, in order.
pub(crate) trait Executor: Send + Sync + 'static {
    fn execute(
        &self,
        commands: Vec<Command>,
        waiters: &Waiters,
        deadline: Instant,
    ) -> impl Future<Output = Outcome> + Send;
}

/// See the [module](self).
pub(crate) struct Coalescer<E> {
    executor: E,
    request_timeout: Duration,
    queue: Mutex<Queue>,
    delay: CommitDelay,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<QueuedBatch>,
    /// A task executes batches until the queue is empty.
    is_draining: bool,
    active: ActiveClients,
    /// The delay ends early when this many batches are queued.
    expected: Option<usize>,
}

struct QueuedBatch {
    batch: Batch,
    deadline: Instant,
    reply_to: oneshot::Sender<Outcome>,
}

/// Batches that are executed together.
struct Coalesced {
    commands: Vec<Command>,
    waiters: Waiters,
    deadline: Instant,
}

/// The clients whose batches were coalesced, in the order of their commands.
pub(crate) struct Waiters(Vec<Waiter>);

struct Waiter {
    /// How many of the commands are this client's.
    commands: usize,
    reply_to: oneshot::Sender<Outcome>,
}

impl<E: Executor> Coalescer<E> {
    pub(crate) fn new(executor: E, request_timeout: Duration) -> Coalescer<E> {
        Coalescer {
            executor,
            request_timeout,
            queue: Mutex::default(),
            delay: CommitDelay::default(),
        }
    }

    /// What executes the batches.
    pub(crate) fn executor(&self) -> &E {
        &self.executor
    }

    /// Executes a batch, together with those of other clients, and waits for its replies.
    pub(crate) async fn submit(self: &Arc<Self>, batch: Batch, client: &mut LastActive) -> Outcome {
        let deadline = Instant::now() + self.request_timeout;
        let (reply_to, replied) = oneshot::channel();
        let queued = QueuedBatch {
            batch,
            deadline,
            reply_to,
        };
        if self.enqueue(queued, client) == Drain::Needed {
            tokio::spawn(self.clone().drain());
        }
        let unknown = |what: &str| Err(CommandError::Unknown(what.into()));
        match timeout_at(deadline + GRACE, replied).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => unknown("the server is stopping"),
            Err(_) => unknown("it did not end in time"),
        }
    }

    fn enqueue(&self, queued: QueuedBatch, client: &mut LastActive) -> Drain {
        let mut queue = self.lock();
        queue.active.record(client);
        queue.waiting.push_back(queued);
        let was_draining = std::mem::replace(&mut queue.is_draining, true);
        let count = queue.waiting.len();
        if queue
            .expected
            .take_if(|expected| count >= *expected)
            .is_some()
        {
            self.delay.end();
        }
        if was_draining {
            Drain::Running
        } else {
            Drain::Needed
        }
    }

    /// Executes batches until none is queued.
    async fn drain(self: Arc<Self>) {
        while let Some(coalesced) = self.next().await {
            let Coalesced {
                commands,
                waiters,
                deadline,
            } = coalesced;
            let outcome = self.executor.execute(commands, &waiters, deadline).await;
            waiters.reply(outcome);
        }
    }

    async fn next(&self) -> Option<Coalesced> {
        if self.expects_more() {
            self.delay.wait().await;
        }
        if self.lock().active.count() > 1 {
            // Requests that have arrived, and that their connections have not read yet, come along.
            tokio::task::yield_now().await;
        }
        self.take()
    }

    /// Whether to wait for the batches of other clients.
    fn expects_more(&self) -> bool {
        let mut queue = self.lock();
        let (active, queued) = (queue.active.count(), queue.waiting.len());
        let expects = active >= COMMIT_SIBLINGS && queued > 0 && queued < active;
        queue.expected = expects.then_some(active);
        expects
    }

    /// Takes as many batches as go together. If there is none, draining ends.
    fn take(&self) -> Option<Coalesced> {
        let now = Instant::now();
        let mut queue = self.lock();
        queue.expected = None;
        let (mut commands, mut bytes, mut deadline) = (Vec::new(), 0, now);
        let (mut waiters, mut last_goes_alone) = (Vec::new(), false);
        while let Some(queued) = queue.waiting.pop_front() {
            let batch = &queued.batch;
            let is_full = bytes + batch.bytes > MAX_BYTES
                || commands.len() + batch.commands.len() > MAX_COMMANDS;
            if !waiters.is_empty() && (is_full || batch.goes_alone || last_goes_alone) {
                queue.waiting.push_front(queued);
                break;
            }
            last_goes_alone = batch.goes_alone;
            if queued.deadline <= now {
                let what = "the requests before it took all of its time".into();
                // If this fails, the client is gone.
                let _ = queued.reply_to.send(Err(CommandError::Unavailable(what)));
                continue;
            }
            bytes += batch.bytes;
            deadline = deadline.max(queued.deadline);
            waiters.push(Waiter {
                commands: batch.commands.len(),
                reply_to: queued.reply_to,
            });
            if commands.is_empty() {
                commands = queued.batch.commands;
            } else {
                commands.extend(queued.batch.commands);
            }
        }
        if waiters.is_empty() {
            queue.is_draining = false;
            return None;
        }
        Some(Coalesced {
            commands,
            waiters: Waiters(waiters),
            deadline,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a task drains the queue, or the caller has to start one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Drain {
    Running,
    Needed,
}

impl Waiters {
    /// How many commands each client has.
    pub(crate) fn command_counts(&self) -> Vec<usize> {
        self.0.iter().map(|waiter| waiter.commands).collect()
    }

    /// Sends each client its part of the replies.
    fn reply(self, outcome: Outcome) {
        let mut outcome = outcome.map(Vec::into_iter);
        for waiter in self.0 {
            let part = match &mut outcome {
                Ok(replies) => Ok(replies.take(waiter.commands).collect()),
                Err(error) => Err(error.clone()),
            };
            // If this fails, the client is gone.
            let _ = waiter.reply_to.send(part);
        }
    }
}
