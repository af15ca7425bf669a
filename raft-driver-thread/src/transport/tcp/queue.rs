//! What waits for one peer.

use raft_proto::{Message, wire};
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a message counts beside its payloads.
const OVERHEAD: u64 = 128;

#[derive(Debug)]
pub(super) struct Queue {
    max_bytes: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Message>,
    bytes: u64,
    is_stopped: bool,
    /// The connection stands, all before is written, and its thread waits for more.
    is_idle: bool,
    /// What is left of frames of which the beginning is written.
    rest: Vec<u8>,
}

fn size(message: &Message) -> u64 {
    let payloads = wire::payloads(message).map(|payload| payload.len() as u64 + 16);
    OVERHEAD + payloads.sum::<u64>()
}

/// Whether a later message of the same kind says all that this one does.
fn can_be_superseded(message: &Message) -> bool {
    wire::payloads(message).next().is_none()
}

impl Queue {
    pub(super) fn new(max_bytes: u64) -> Queue {
        Queue {
            max_bytes,
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of others runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a message; makes room for it if need be. Wakes nobody.
    pub(super) fn push(&self, message: Message) {
        let mut state = self.lock();
        let size = size(&message);
        while state.bytes + size > self.max_bytes && !state.messages.is_empty() {
            state.drop_one(&message);
        }
        state.bytes += size;
        state.messages.push_back(message);
    }

    pub(super) fn wake(&self) {
        self.changed.notify_all();
    }

    /// Waits for messages and takes all of them; `None` once it is stopped.
    pub(super) fn take(&self, into: &mut Vec<Message>) -> Option<()> {
        self.wait(self.lock(), into).map(drop)
    }

    /// The same, for a thread whose connection stands and has taken all before: others may write to
    /// it meanwhile. What is left of their last frames is returned, and has to be written first.
    pub(super) fn take_idle(&self, into: &mut Vec<Message>) -> Option<Vec<u8>> {
        let mut state = self.lock();
        state.is_idle = true;
        let mut state = self.wait(state, into)?;
        state.is_idle = false;
        Some(std::mem::take(&mut state.rest))
    }

    /// What was taken, and not written, is the first again.
    pub(super) fn put_back(&self, messages: &mut Vec<Message>) {
        let mut state = self.lock();
        for message in messages.drain(..).rev() {
            state.messages.push_front(message);
        }
    }

    fn wait<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        into: &mut Vec<Message>,
    ) -> Option<MutexGuard<'a, State>> {
        while state.messages.is_empty() && state.rest.is_empty() && !state.is_stopped {
            let woken = self.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_stopped {
            return None;
        }
        state.bytes = 0;
        into.extend(state.messages.drain(..));
        Some(state)
    }

    /// Takes all that waits, if it is no more than so much and its thread is idle, to be written by
    /// the caller; [`wrote`](Queue::wrote) has to follow.
    pub(super) fn claim(&self, max_bytes: u64, into: &mut Vec<Message>) -> bool {
        let mut state = self.lock();
        if !state.is_idle || state.bytes > max_bytes || state.is_stopped {
            return false;
        }
        // The thread goes on waiting: it finds neither messages nor a rest.
        state.is_idle = false;
        state.bytes = 0;
        into.extend(state.messages.drain(..));
        true
    }

    /// What was claimed is written but for this.
    pub(super) fn wrote(&self, rest: &[u8]) {
        let mut state = self.lock();
        if rest.is_empty() {
            state.is_idle = true;
        } else {
            state.rest.extend_from_slice(rest);
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Lets time pass, unless it is stopped; `None` then.
    pub(super) fn pause(&self, time: Duration) -> Option<()> {
        let state = self.lock();
        let waited = self
            .changed
            .wait_timeout_while(state, time, |state| !state.is_stopped);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (!state.is_stopped).then_some(())
    }

    /// What waits has no one to go to.
    pub(super) fn clear(&self) {
        let mut state = self.lock();
        state.messages.clear();
        state.rest.clear();
        state.is_idle = false;
        state.bytes = 0;
    }

    pub(super) fn stop(&self) {
        self.lock().is_stopped = true;
        self.changed.notify_all();
    }
}

impl State {
    /// First one that `next` or another that waits supersedes, else the oldest.
    fn drop_one(&mut self, next: &Message) {
        let superseded = self.messages.iter().enumerate().position(|(at, message)| {
            let mut later = self.messages.iter().skip(at + 1).chain([next]);
            can_be_superseded(message)
                && later.any(|later| later.kind() == message.kind() && can_be_superseded(later))
        });
        if let Some(dropped) = self.messages.remove(superseded.unwrap_or(0)) {
            self.bytes -= size(&dropped);
        }
    }
}
