//! Where a transport delivers the messages of peers.

use crate::waker::Waker;
use crossbeam_channel::{Receiver, Sender, TrySendError};
use raft_proto::wire::Received;
use raft_proto::{Message, NodeId};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many deliveries may wait, whatever their size.
const MAX_WAITING: usize = 4096;

/// What a message counts in addition to its payloads.
const OVERHEAD: u64 = 256;

/// The transport's end of a node's queue of messages. Cheap to clone, for any thread of a
/// transport.
///
/// The messages that wait are bounded in bytes ([`Options::max_inbox_bytes`](crate::Options)) and
/// in number. [`deliver`](Inbox::deliver) blocks while there is no room, so that a connection's
/// reader stops reading and the sender's window fills.
///
/// A transport that reads messages on threads of its own saves wake-ups, which take longer than
/// most of the core's turns, with [`enqueue`](Inbox::enqueue) and [`help`](Inbox::help).
#[derive(Clone, Debug)]
pub struct Inbox {
    deliveries: Sender<Delivery>,
    room: Arc<Room>,
    waker: Waker,
}

/// The receiving end of an [`Inbox`]: the core's, or that of a transport's tests.
#[derive(Debug)]
pub struct Deliveries {
    queue: Receiver<Delivery>,
    room: Arc<Room>,
}

/// What a transport delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// A message arrived. The transport vouches for its sender.
    Message(Received),
    /// What was last sent to `peer` will not arrive.
    Unreachable {
        /// The peer.
        peer: NodeId,
    },
}

/// The node has stopped: the transport's thread can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node has stopped")]
pub struct InboxClosed;

/// An inbox in which at most about `max_bytes` wait, and its receiving end. For tests of a
/// transport: a node makes its own.
pub fn inbox(max_bytes: u64) -> (Inbox, Deliveries) {
    inbox_with(max_bytes, Waker::default())
}

/// As [`inbox`]; `waker` wakes the receiver.
pub(crate) fn inbox_with(max_bytes: u64, waker: Waker) -> (Inbox, Deliveries) {
    let (deliveries, queue) = crossbeam_channel::bounded(MAX_WAITING);
    let room = Arc::new(Room {
        max_bytes,
        state: Mutex::new(RoomState::default()),
        freed: Condvar::new(),
    });
    let inbox = Inbox {
        deliveries,
        room: room.clone(),
        waker,
    };
    (inbox, Deliveries { queue, room })
}

impl Inbox {
    /// Delivers a message. Waits while there is no room.
    ///
    /// # Errors
    ///
    /// [`InboxClosed`] if the node has stopped.
    pub fn deliver(&self, received: Received) -> Result<(), InboxClosed> {
        self.room.acquire(size_of(&received.message))?;
        let delivery = Delivery::Message(received);
        self.deliveries.send(delivery).map_err(|_| InboxClosed)?;
        self.waker.wake();
        Ok(())
    }

    /// As [`deliver`](Inbox::deliver), but does not wake the core if there is room. The caller has
    /// to call [`help`](Inbox::help) when it has enqueued what it has, and before it waits for
    /// more.
    ///
    /// # Errors
    ///
    /// [`InboxClosed`] if the node has stopped.
    pub fn enqueue(&self, received: Received) -> Result<(), InboxClosed> {
        let size = size_of(&received.message);
        if !self.room.try_acquire(size)? {
            self.waker.wake(); // Only the core makes room.
            self.room.acquire(size)?;
        }
        let delivery = Delivery::Message(received);
        match self.deliveries.try_send(delivery) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(delivery)) => {
                self.waker.wake();
                self.deliveries.send(delivery).map_err(|_| InboxClosed)
            }
            Err(TrySendError::Disconnected(_)) => Err(InboxClosed),
        }
    }

    /// Takes the core's turn in this thread, unless another thread takes one: that thread then sees
    /// what was enqueued.
    ///
    /// The core may call any of the transport's methods in its turn. So the caller must hold no
    /// lock that one of them takes.
    pub fn help(&self) {
        self.waker.run_or_wake();
    }

    /// Delivers a message if there is room for it now. Returns whether there was; if
    /// not, the message is dropped.
    ///
    /// # Errors
    ///
    /// [`InboxClosed`] if the node has stopped.
    pub fn try_deliver(&self, received: Received) -> Result<bool, InboxClosed> {
        let size = size_of(&received.message);
        if !self.room.try_acquire(size)? {
            return Ok(false);
        }
        match self.deliveries.try_send(Delivery::Message(received)) {
            Ok(()) => {
                self.waker.wake();
                Ok(true)
            }
            Err(TrySendError::Full(_)) => {
                self.room.release(size);
                Ok(false)
            }
            Err(TrySendError::Disconnected(_)) => Err(InboxClosed),
        }
    }

    /// Reports that what was last sent to `peer` will not arrive. A hint: dropped if there is no
    /// room.
    pub fn report_unreachable(&self, peer: NodeId) {
        // If the queue is full or the node has stopped, the hint is not needed.
        let _ = self.deliveries.try_send(Delivery::Unreachable { peer });
        self.waker.wake();
    }
}

impl Deliveries {
    /// The next delivery, if there is one.
    pub(crate) fn take(&self) -> Option<Delivery> {
        let delivery = self.queue.try_recv().ok()?;
        self.release(&delivery);
        Some(delivery)
    }

    /// Waits for the next delivery; `None` if none comes within `timeout`.
    pub fn next(&self, timeout: Duration) -> Option<Delivery> {
        let delivery = self.queue.recv_timeout(timeout).ok()?;
        self.release(&delivery);
        Some(delivery)
    }

    /// This delivery has left the queue.
    fn release(&self, delivery: &Delivery) {
        if let Delivery::Message(received) = delivery {
            self.room.release(size_of(&received.message));
        }
    }
}

impl Drop for Deliveries {
    fn drop(&mut self) {
        self.room.close();
    }
}

/// What a message counts: mainly its payloads, which are the only part that can be large.
fn size_of(message: &Message) -> u64 {
    let payload = match message {
        Message::AppendEntries(append) => append.entries.bytes(),
        Message::InstallSnapshot(install) => install.data.len() as u64,
        Message::RequestVote(_)
        | Message::RequestVoteReply(_)
        | Message::AppendEntriesReply(_)
        | Message::InstallSnapshotReply(_)
        | Message::PreVote(_)
        | Message::PreVoteReply(_)
        | Message::TimeoutNow(_)
        | Message::ReadIndex(_)
        | Message::ReadIndexReply(_) => 0,
    };
    payload + OVERHEAD
}

/// Counts the bytes that wait: a semaphore.
#[derive(Debug)]
struct Room {
    max_bytes: u64,
    state: Mutex<RoomState>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct RoomState {
    bytes: u64,
    is_closed: bool,
    /// How many threads wait for room. While there are none, nobody is notified.
    waiters: u64,
}

impl Room {
    fn lock(&self) -> MutexGuard<'_, RoomState> {
        // None of the code under the lock panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message of any size fits into an empty inbox.
    fn has_room(&self, state: &RoomState, size: u64) -> bool {
        state.bytes == 0 || state.bytes + size <= self.max_bytes
    }

    fn try_acquire(&self, size: u64) -> Result<bool, InboxClosed> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(InboxClosed);
        }
        let has_room = self.has_room(&state, size);
        if has_room {
            state.bytes += size;
        }
        Ok(has_room)
    }

    /// Waits until there is room.
    fn acquire(&self, size: u64) -> Result<(), InboxClosed> {
        let mut state = self.lock();
        while !state.is_closed && !self.has_room(&state, size) {
            state.waiters += 1;
            let waited = self.freed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
            state.waiters -= 1;
        }
        if state.is_closed {
            return Err(InboxClosed);
        }
        state.bytes += size;
        Ok(())
    }

    fn release(&self, size: u64) {
        let mut state = self.lock();
        state.bytes = state.bytes.saturating_sub(size);
        if state.waiters > 0 {
            self.freed.notify_all();
        }
    }

    fn close(&self) {
        self.lock().is_closed = true;
        self.freed.notify_all();
    }
}
