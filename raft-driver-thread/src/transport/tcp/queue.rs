//! The messages that wait to be sent to one peer.
//!
//! They leave in the order in which they came, but for those that need not wait for a long one
//! ([`take_urgent`](SendQueue::take_urgent)).

use raft_proto::{Index, Message, Term, wire};
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a message counts in addition to its payloads.
const OVERHEAD: u64 = 128;

/// What one payload counts in addition to its bytes.
const PAYLOAD_OVERHEAD: u64 = 16;

/// How many bytes of messages are written at once, at most; a message that is longer alone is
/// written in pieces of as many. On a link of a megabyte a second they take a tenth of the default
/// election timeout.
pub(super) const PIECE_BYTES: u64 = 64 << 10;

#[derive(Debug)]
pub(super) struct SendQueue {
    max_bytes: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Message>,
    bytes: u64,
    /// The latest term in which entries, or a heartbeat, were pushed.
    append_term: Term,
    is_stopped: bool,
    /// The link's thread has a connection, has written all that it took, and waits for more.
    is_idle: bool,
    /// Another thread has written since the link's thread went idle, or last woke up.
    was_claimed: bool,
    /// The end of frames whose beginning is written already.
    unwritten: Vec<u8>,
}

/// What a message counts.
pub(super) fn size(message: &Message) -> u64 {
    let payloads = wire::payloads(message).map(|payload| payload.len() as u64 + PAYLOAD_OVERHEAD);
    OVERHEAD + payloads.sum::<u64>()
}

/// Whether a later message of the same kind says all that this one does.
fn can_be_superseded(message: &Message) -> bool {
    wire::payloads(message).next().is_none()
}

/// Whether two messages in a row are empty AppendEntries of which the later one asks what the
/// earlier one asks.
fn repeats(later: &Message, earlier: &Message) -> bool {
    let (Message::AppendEntries(later), Message::AppendEntries(earlier)) = (later, earlier) else {
        return false;
    };
    let are_empty = later.entries.is_empty() && earlier.entries.is_empty();
    are_empty && later.term == earlier.term && later.prev_log == earlier.prev_log
}

/// Whether `message` need not wait until entries after `before` have been written.
///
/// An AppendEntries that asks for entries which are still to be written would be rejected, and they
/// would be sent again: it stays behind them. A leader whose appends take long also asks about the
/// entry before them. All other messages without payloads may come in any order.
fn is_urgent(message: &Message, before: Index) -> bool {
    if let Message::AppendEntries(append) = message {
        append.entries.is_empty() && append.prev_log.index <= before
    } else {
        can_be_superseded(message)
    }
}

/// What the entries of this message follow, if it has any.
fn entries_after(message: &Message) -> Option<Index> {
    if let Message::AppendEntries(append) = message {
        (!append.entries.is_empty()).then_some(append.prev_log.index)
    } else {
        None
    }
}

impl SendQueue {
    pub(super) fn new(max_bytes: u64) -> SendQueue {
        SendQueue {
            max_bytes,
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of others runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a message, and drops others if there is no room for it. Does not wake the link's
    /// thread.
    pub(super) fn push(&self, message: Message) {
        let mut state = self.lock();
        let size = size(&message);
        while state.bytes + size > self.max_bytes && !state.messages.is_empty() {
            state.drop_one(&message);
        }
        if let Message::AppendEntries(append) = &message {
            state.append_term = state.append_term.max(append.term);
        }
        // While a long message is written, heartbeats behind it would pile up.
        if let Some(last) = state.messages.back_mut()
            && repeats(&message, last)
        {
            *last = message;
            return;
        }
        state.bytes += size;
        state.messages.push_back(message);
    }

    /// Takes those of the first messages that need not wait until `message`, which is being
    /// written, has been written as a whole. Returns whether it is still of any use: entries of a
    /// leader's earlier term are not.
    pub(super) fn take_urgent(&self, message: &Message, into: &mut Vec<Message>) -> bool {
        let Message::AppendEntries(append) = message else {
            return true;
        };
        let mut state = self.lock();
        if append.term < state.append_term {
            return false;
        }
        state.take_urgent(append.prev_log.index, into);
        true
    }

    pub(super) fn wake(&self) {
        self.changed.notify_all();
    }

    /// Waits for messages and takes the first ones, up to [`PIECE_BYTES`], or one that is longer;
    /// `None` once the queue is stopped.
    pub(super) fn take(&self, into: &mut Vec<Message>) -> Option<()> {
        self.wait(self.lock(), into, None).map(drop)
    }

    /// As [`take`](SendQueue::take), for a thread that has a connection and has written all that it
    /// took. Meanwhile another thread may [claim](SendQueue::claim) messages and write to the
    /// connection. Returns the bytes that are left of that write: they have to be written first.
    /// Takes nothing after an interval in which nobody wrote anything.
    pub(super) fn take_idle(&self, into: &mut Vec<Message>, interval: Duration) -> Option<Vec<u8>> {
        let mut state = self.lock();
        (state.is_idle, state.was_claimed) = (true, false);
        let mut state = self.wait(state, into, Some(interval))?;
        state.is_idle = false;
        Some(std::mem::take(&mut state.unwritten))
    }

    /// Returns messages that were taken, and that were not written, to the front.
    pub(super) fn put_back(&self, messages: &mut Vec<Message>) {
        let mut state = self.lock();
        for message in messages.drain(..).rev() {
            state.bytes += size(&message);
            state.messages.push_front(message);
        }
    }

    fn wait<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        into: &mut Vec<Message>,
        interval: Option<Duration>,
    ) -> Option<MutexGuard<'a, State>> {
        while state.messages.is_empty() && state.unwritten.is_empty() && !state.is_stopped {
            let Some(interval) = interval else {
                let woken = self.changed.wait(state);
                state = woken.unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let woken = self.changed.wait_timeout(state, interval);
            let (woken, timeout) = woken.unwrap_or_else(PoisonError::into_inner);
            state = woken;
            // While another thread writes, the thread is not idle.
            if timeout.timed_out() && !std::mem::take(&mut state.was_claimed) && state.is_idle {
                break;
            }
        }
        if state.is_stopped {
            return None;
        }
        state.take_first(into);
        Some(state)
    }

    /// If the link's thread is idle and no more than `max_bytes` wait, takes all messages, which
    /// the caller then writes itself. [`finish_claim`](SendQueue::finish_claim) has to follow.
    pub(super) fn claim(&self, max_bytes: u64, into: &mut Vec<Message>) -> bool {
        let mut state = self.lock();
        if !state.is_idle || state.bytes > max_bytes || state.is_stopped {
            return false;
        }
        // The thread goes on waiting: there are neither messages nor unwritten bytes.
        (state.is_idle, state.was_claimed) = (false, true);
        state.bytes = 0;
        into.extend(state.messages.drain(..));
        true
    }

    /// The claimed messages are written, except for these bytes.
    pub(super) fn finish_claim(&self, unwritten: &[u8]) {
        let mut state = self.lock();
        if unwritten.is_empty() {
            state.is_idle = true;
        } else {
            state.unwritten.extend_from_slice(unwritten);
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Waits for this time; `None` once the queue is stopped.
    pub(super) fn pause(&self, time: Duration) -> Option<()> {
        let state = self.lock();
        let waited = self
            .changed
            .wait_timeout_while(state, time, |state| !state.is_stopped);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (!state.is_stopped).then_some(())
    }

    /// Drops all that waits: the peer cannot be reached.
    pub(super) fn clear(&self) {
        let mut state = self.lock();
        state.messages.clear();
        state.unwritten.clear();
        state.is_idle = false;
        state.bytes = 0;
    }

    pub(super) fn stop(&self) {
        self.lock().is_stopped = true;
        self.changed.notify_all();
    }
}

impl State {
    /// Takes the first messages, or if many bytes wait, those that need not wait for them.
    fn take_first(&mut self, into: &mut Vec<Message>) {
        if self.bytes > PIECE_BYTES {
            self.take_urgent(Index(u64::MAX), into);
            if !into.is_empty() {
                return;
            }
        }
        let mut taken = 0;
        while let Some(message) = self.messages.front() {
            let size = size(message);
            if taken > 0 && taken + size > PIECE_BYTES {
                break;
            }
            taken += size;
            into.extend(self.messages.pop_front());
        }
        self.bytes -= taken;
    }

    /// Takes those that need not wait for entries after `before`, nor for those that wait here.
    fn take_urgent(&mut self, mut before: Index, into: &mut Vec<Message>) {
        if self.messages.is_empty() {
            return;
        }
        for message in std::mem::take(&mut self.messages) {
            if is_urgent(&message, before) {
                self.bytes -= size(&message);
                into.push(message);
                continue;
            }
            before = entries_after(&message).map_or(before, |prev| prev.min(before));
            self.messages.push_back(message);
        }
    }

    /// Drops a message that `next`, or another that waits, supersedes; if there is none, the
    /// oldest.
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
