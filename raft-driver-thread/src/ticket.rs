//! The outcome of a request, for threads that wait and for futures.

use crate::clock::deadline_after;
use crate::error::{RequestError, Unknown};
use raft_proto::{EntryId, ProposeError};
use std::error::Error;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// The outcome of a request, which comes later. Every ticket ends: with the result, or with the
/// reason why there is none. Wait for it in a thread with [`wait`](Ticket::wait), or await it as a
/// future in any runtime. Dropping a ticket does not cancel the request.
#[derive(Debug)]
#[must_use = "whether the request was done is only known from its ticket"]
pub struct Ticket<T, R: Error>(Arc<Shared<T, R>>);

/// The ticket of a command.
pub type Proposed<A> = Ticket<Applied<A>, ProposeError>;

/// A command that was applied on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Applied<A> {
    /// The command's entry.
    pub id: EntryId,
    /// The state machine's answer.
    pub answer: A,
}

/// The other end of a ticket. Dropped without an outcome, it ends the ticket as unknown.
#[derive(Debug)]
pub(crate) struct Promise<T, R: Error> {
    shared: Arc<Shared<T, R>>,
    /// Given back when the promise is dropped.
    _permit: Permit,
}

#[derive(Debug)]
struct Shared<T, R: Error> {
    state: Mutex<State<T, R>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T, R: Error> {
    accepted: Option<EntryId>,
    outcome: Outcome<T, R>,
    waker: Option<Waker>,
}

#[derive(Debug)]
enum Outcome<T, R: Error> {
    Awaited,
    Ready(Result<T, RequestError<R>>),
    Taken,
}

impl<T, R: Error> Shared<T, R> {
    fn lock(&self) -> MutexGuard<'_, State<T, R>> {
        // No code of others runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change; `None` if `deadline` passes first.
    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State<T, R>>,
        deadline: Option<Instant>,
    ) -> Option<MutexGuard<'a, State<T, R>>> {
        let Some(deadline) = deadline else {
            let woken = self.changed.wait(state);
            return Some(woken.unwrap_or_else(PoisonError::into_inner));
        };
        let left = deadline.checked_duration_since(Instant::now())?;
        let woken = self.changed.wait_timeout(state, left);
        Some(woken.unwrap_or_else(PoisonError::into_inner).0)
    }
}

/// A promise and its ticket.
pub(crate) fn ticket<T, R: Error>(permit: Permit) -> (Promise<T, R>, Ticket<T, R>) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            accepted: None,
            outcome: Outcome::Awaited,
            waker: None,
        }),
        changed: Condvar::new(),
    });
    let promise = Promise {
        shared: shared.clone(),
        _permit: permit,
    };
    (promise, Ticket(shared))
}

impl<T, R: Error> Ticket<T, R> {
    /// A ticket that has ended already.
    pub(crate) fn ended(error: RequestError<R>) -> Ticket<T, R> {
        let state = State {
            accepted: None,
            outcome: Outcome::Ready(Err(error)),
            waker: None,
        };
        Ticket(Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }))
    }

    /// Waits for the outcome.
    ///
    /// # Errors
    ///
    /// [`RequestError`]: why there is no result.
    pub fn wait(self) -> Result<T, RequestError<R>> {
        self.wait_until(None)
    }

    /// Waits for the outcome, but not longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`RequestError`]; [`Unknown::TimedOut`] if the time passes first: the request may still be
    /// done.
    pub fn wait_timeout(self, timeout: Duration) -> Result<T, RequestError<R>> {
        self.wait_until(deadline_after(timeout))
    }

    fn wait_until(self, deadline: Option<Instant>) -> Result<T, RequestError<R>> {
        let mut state = self.0.lock();
        loop {
            if let Some(outcome) = state.take() {
                return outcome;
            }
            match self.0.wait(state, deadline) {
                Some(woken) => state = woken,
                None => return Err(RequestError::Unknown(Unknown::TimedOut)),
            }
        }
    }

    /// Whether the outcome is known, so that [`wait`](Ticket::wait) returns at once.
    pub fn is_ended(&self) -> bool {
        !matches!(self.0.lock().outcome, Outcome::Awaited)
    }

    /// Waits until this node's core has appended the command to its log, which takes no longer than
    /// the core's turn. Returns the command's index and term, or `None` if the ticket has ended
    /// without them. Only for commands: the ticket of another request waits for its end.
    pub fn accepted(&self) -> Option<EntryId> {
        let mut state = self.0.lock();
        loop {
            if state.accepted.is_some() || !matches!(state.outcome, Outcome::Awaited) {
                return state.accepted;
            }
            state = self.0.wait(state, None)?;
        }
    }
}

impl<T, R: Error> State<T, R> {
    fn take(&mut self) -> Option<Result<T, RequestError<R>>> {
        match std::mem::replace(&mut self.outcome, Outcome::Taken) {
            Outcome::Ready(outcome) => Some(outcome),
            Outcome::Awaited => {
                self.outcome = Outcome::Awaited;
                None
            }
            // The future was polled after it had ended.
            Outcome::Taken => Some(Err(RequestError::Unknown(Unknown::Stopped))),
        }
    }
}

impl<T, R: Error> Future for Ticket<T, R> {
    type Output = Result<T, RequestError<R>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.lock();
        match state.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                match &mut state.waker {
                    Some(waker) => waker.clone_from(context.waker()),
                    none => *none = Some(context.waker().clone()),
                }
                Poll::Pending
            }
        }
    }
}

impl<T, R: Error> Promise<T, R> {
    /// The command stands in the log at this index and term.
    pub(crate) fn accept(&self, id: EntryId) {
        self.shared.lock().accepted = Some(id);
        self.shared.changed.notify_all();
    }

    pub(crate) fn end(self, outcome: Result<T, RequestError<R>>) {
        self.set_outcome(outcome);
    }

    fn set_outcome(&self, outcome: Result<T, RequestError<R>>) {
        let mut state = self.shared.lock();
        if !matches!(state.outcome, Outcome::Awaited) {
            return;
        }
        state.outcome = Outcome::Ready(outcome);
        let waker = state.waker.take();
        drop(state);
        self.shared.changed.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T, R: Error> Drop for Promise<T, R> {
    fn drop(&mut self) {
        self.set_outcome(Err(RequestError::Unknown(Unknown::Stopped)));
    }
}

/// Allows one request to be outstanding; their number is bounded. Dropping the permit gives it
/// back.
#[derive(Debug)]
pub(crate) struct Permit(Arc<AtomicUsize>);

impl Permit {
    /// A permit, if fewer than `max` are taken; `count` is how many are.
    pub(crate) fn acquire(count: &Arc<AtomicUsize>, max: usize) -> Option<Permit> {
        if count.fetch_add(1, Ordering::Relaxed) >= max {
            count.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Permit(count.clone()))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
