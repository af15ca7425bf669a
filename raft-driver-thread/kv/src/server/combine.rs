//! Requests of many clients that travel together.
//!
//! A request goes at once if none is under way; those that come meanwhile wait, and make one entry of
//! the log, or one read. So what many clients pay together for the log, the network and the disks is
//! about what one pays.
//!
//! Clients that are answered together come back one by one, within a moment; the first of them would go
//! alone, and the others would have to wait for it. So where several asked lately, the first waits for
//! the others, for a part of a millisecond at most. A lone client never waits for company.

use super::company::{Active, Company, Seen};
use super::outcome::GatewayError;
use crate::state::{Command, Reply};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

/// About how many bytes of arguments go together.
const BYTES: usize = 1 << 20;

/// How many commands go together.
const COMMANDS: usize = 8192;

/// By how much what is under way may be later than who waits for it, and know better why.
const GRACE: Duration = Duration::from_millis(100);

/// With fewer clients than this there is no waiting for each other.
const SEVERAL: usize = 4;

/// A client's commands, which run with nothing in between.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) commands: Vec<Command>,
    /// About how long their arguments are.
    pub(crate) bytes: usize,
    /// They are not to share the room that an entry's replies have (see
    /// [`MAX_ANSWER_BYTES`](crate::state::MAX_ANSWER_BYTES)) with those of others.
    pub(crate) goes_alone: bool,
}

impl Batch {
    /// Commands whose arguments are about so long.
    pub(crate) fn new(commands: Vec<Command>, bytes: usize) -> Batch {
        let writes = commands.iter().filter(|command| command.writes()).count();
        Batch {
            goes_alone: writes > 0 && writes < commands.len(),
            commands,
            bytes,
        }
    }
}

type Outcome = Result<Vec<Reply>, GatewayError>;

struct Waiting {
    batch: Batch,
    deadline: Instant,
    ended: oneshot::Sender<Outcome>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    is_under_way: bool,
    active: Active,
    /// How many are waited for now.
    gathering: Option<usize>,
}

/// See the [module](self).
#[derive(Default)]
pub(crate) struct Combiner {
    queue: Mutex<Queue>,
    company: Company,
}

/// The end of a batch, for who waits for it.
pub(crate) struct Waiter {
    ended: oneshot::Receiver<Outcome>,
    deadline: Instant,
}

/// Who waits for what is under way: how many commands each has.
pub(crate) struct Together(Vec<(usize, oneshot::Sender<Outcome>)>);

impl Combiner {
    /// Queues a batch; whether the caller has to see to it that [`next`](Combiner::next) is taken, and
    /// done, until there is none.
    pub(crate) fn enter(
        &self,
        batch: Batch,
        client: &mut Seen,
        deadline: Instant,
    ) -> (Waiter, bool) {
        let (sender, ended) = oneshot::channel();
        let mut queue = self.lock();
        queue.active.see(client);
        queue.waiting.push_back(Waiting {
            batch,
            deadline,
            ended: sender,
        });
        let is_first = !std::mem::replace(&mut queue.is_under_way, true);
        let count = queue.waiting.len();
        if queue.gathering.take_if(|wanted| count >= *wanted).is_some() {
            self.company.is_complete();
        }
        (Waiter { ended, deadline }, is_first)
    }

    /// What goes together next, and until when. `None` ends what [`enter`](Combiner::enter) began.
    pub(crate) async fn next(&self) -> Option<(Vec<Command>, Instant, Together)> {
        if self.expects_company() {
            self.company.wait().await;
        }
        if self.lock().active.count() > 1 {
            // Requests that have arrived already, and were not looked at yet, come along.
            tokio::task::yield_now().await;
        }
        self.take()
    }

    /// Whether others should be waited for.
    fn expects_company(&self) -> bool {
        let mut queue = self.lock();
        let (active, there) = (queue.active.count(), queue.waiting.len());
        let expects = active >= SEVERAL && there > 0 && there < active;
        queue.gathering = expects.then_some(active);
        expects
    }

    fn take(&self) -> Option<(Vec<Command>, Instant, Together)> {
        let now = Instant::now();
        let mut queue = self.lock();
        queue.gathering = None;
        let (mut commands, mut bytes, mut deadline) = (Vec::new(), 0, now);
        let (mut together, mut goes_alone) = (Vec::new(), false);
        while let Some(first) = queue.waiting.front() {
            let (size, count) = (first.batch.bytes, first.batch.commands.len());
            let is_full = bytes + size > BYTES || commands.len() + count > COMMANDS;
            let is_alone = first.batch.goes_alone || goes_alone;
            if !together.is_empty() && (is_full || is_alone) {
                break;
            }
            goes_alone = first.batch.goes_alone;
            let Some(first) = queue.waiting.pop_front() else {
                break; // there was one
            };
            if first.deadline <= now {
                let what = "those before it took all the time".into();
                // Or the client is gone.
                let _ = first.ended.send(Err(GatewayError::Unavailable(what)));
                continue;
            }
            bytes += size;
            deadline = deadline.max(first.deadline);
            together.push((count, first.ended));
            match commands.is_empty() {
                true => commands = first.batch.commands,
                false => commands.extend(first.batch.commands),
            }
        }
        if together.is_empty() {
            queue.is_under_way = false;
            return None;
        }
        Some((commands, deadline, Together(together)))
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Together {
    /// How many commands each has.
    pub(crate) fn counts(&self) -> Vec<usize> {
        self.0.iter().map(|(count, _)| *count).collect()
    }

    /// Gives everybody his part.
    pub(crate) fn end(self, outcome: Outcome) {
        let mut outcome = outcome.map(Vec::into_iter);
        for (count, waiter) in self.0 {
            let part = match &mut outcome {
                Ok(replies) => Ok(replies.take(count).collect()),
                Err(error) => Err(error.clone()),
            };
            let _ = waiter.send(part); // or the client is gone
        }
    }
}

impl Waiter {
    pub(crate) async fn wait(self) -> Outcome {
        let lost = |what: &str| Err(GatewayError::Unknown(what.into()));
        match timeout_at(self.deadline + GRACE, self.ended).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => lost("the server stops"),
            Err(_) => lost("it was under way for too long"),
        }
    }
}
