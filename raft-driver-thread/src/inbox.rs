//! Where a transport delivers what peers say.

use crate::waker::Waker;
use crossbeam_channel::{Receiver, Sender, TrySendError};
use raft_proto::{Message, NodeId};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// How many deliveries may wait, whatever their size.
const MAX_WAITING: usize = 4096;

/// A node's ear: cheap to clone, for any thread of a transport.
///
/// What waits is bounded in bytes and in number: [`deliver`](Inbox::deliver) blocks while the
/// core has not caught up, so that a connection's reader stops reading and the sender's window
/// fills.
#[derive(Clone, Debug)]
pub struct Inbox {
    deliveries: Sender<Delivery>,
    room: Arc<Room>,
    waker: Waker,
}

/// The other end of an [`Inbox`]: the core's, or that of a transport's tests.
#[derive(Debug)]
pub struct Deliveries {
    queue: Receiver<Delivery>,
    room: Arc<Room>,
}

/// What a transport has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// `from` said this.
    Message {
        /// The sender: the transport vouches for it.
        from: NodeId,
        /// What it said.
        message: Message,
    },
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

/// An inbox in which at most about `max_bytes` wait, and the end that it is emptied from.
pub fn inbox(max_bytes: u64) -> (Inbox, Deliveries) {
    inbox_with(max_bytes, Waker::default())
}

/// Likewise; rings whenever something has come.
pub(crate) fn inbox_with(max_bytes: u64, waker: Waker) -> (Inbox, Deliveries) {
    let (deliveries, queue) = crossbeam_channel::bounded(MAX_WAITING);
    let room = Arc::new(Room {
        max_bytes,
        state: Mutex::new(Waiting::default()),
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
    /// Hands over a message from `from`; waits while there is no room.
    ///
    /// # Errors
    ///
    /// [`InboxClosed`] if the node has stopped.
    pub fn deliver(&self, from: NodeId, message: Message) -> Result<(), InboxClosed> {
        self.room.enter(size_of(&message))?;
        let delivery = Delivery::Message { from, message };
        self.deliveries.send(delivery).map_err(|_| InboxClosed)?;
        self.waker.wake();
        Ok(())
    }

    /// Hands over a message from `from` without a word about it: [`help`](Inbox::help) has to follow soon.
    /// Waits while there is no room.
    #[cfg(feature = "tcp")]
    pub(crate) fn enqueue(&self, from: NodeId, message: Message) -> Result<(), InboxClosed> {
        let size = size_of(&message);
        if !self.room.try_enter(size)? {
            self.waker.wake(); // Only the core makes room.
            self.room.enter(size)?;
        }
        let delivery = Delivery::Message { from, message };
        match self.deliveries.try_send(delivery) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(delivery)) => {
                self.waker.wake();
                self.deliveries.send(delivery).map_err(|_| InboxClosed)
            }
            Err(TrySendError::Disconnected(_)) => Err(InboxClosed),
        }
    }

    /// Takes the core's turn in this thread, if no other is at it. Not to be called with locks held that
    /// the transport's methods take.
    #[cfg(feature = "tcp")]
    pub(crate) fn help(&self) {
        self.waker.run_or_wake();
    }

    /// Hands over a message from `from` if there is room for it now; says whether there was.
    ///
    /// # Errors
    ///
    /// [`InboxClosed`] if the node has stopped.
    pub fn try_deliver(&self, from: NodeId, message: Message) -> Result<bool, InboxClosed> {
        let size = size_of(&message);
        if !self.room.try_enter(size)? {
            return Ok(false);
        }
        match self
            .deliveries
            .try_send(Delivery::Message { from, message })
        {
            Ok(()) => {
                self.waker.wake();
                Ok(true)
            }
            Err(TrySendError::Full(_)) => {
                self.room.leave(size);
                Ok(false)
            }
            Err(TrySendError::Disconnected(_)) => Err(InboxClosed),
        }
    }

    /// What was last sent to `peer` will not arrive: a hint, dropped where there is no room.
    pub fn report_unreachable(&self, peer: NodeId) {
        // A full queue or a stopped node: nobody misses a hint.
        let _ = self.deliveries.try_send(Delivery::Unreachable { peer });
        self.waker.wake();
    }
}

impl Deliveries {
    /// The next delivery, if there is one.
    pub(crate) fn take(&self) -> Option<Delivery> {
        let delivery = self.queue.try_recv().ok()?;
        self.taken(&delivery);
        Some(delivery)
    }

    /// This delivery has left the queue: there is room again.
    fn taken(&self, delivery: &Delivery) {
        if let Delivery::Message { message, .. } = delivery {
            self.room.leave(size_of(message));
        }
    }

    /// The next delivery, or `None` if none comes before `timeout`.
    pub fn next(&self, timeout: std::time::Duration) -> Option<Delivery> {
        let delivery = self.queue.recv_timeout(timeout).ok()?;
        self.taken(&delivery);
        Some(delivery)
    }
}

impl Drop for Deliveries {
    fn drop(&mut self) {
        self.room.close();
    }
}

/// What a message weighs: its payloads, which are what can be large.
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
    payload + 256
}

/// Counts the bytes that wait.
#[derive(Debug)]
struct Room {
    max_bytes: u64,
    state: Mutex<Waiting>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: u64,
    closed: bool,
    /// Who waits for room: nobody is woken where nobody sleeps.
    sleepers: u64,
}

impl Room {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing in these few lines can panic half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_room(&self, state: &Waiting, size: u64) -> bool {
        state.bytes == 0 || state.bytes + size <= self.max_bytes
    }

    fn try_enter(&self, size: u64) -> Result<bool, InboxClosed> {
        let mut state = self.lock();
        if state.closed {
            return Err(InboxClosed);
        }
        let room = self.has_room(&state, size);
        if room {
            state.bytes += size;
        }
        Ok(room)
    }

    /// Waits until there is room; a message of any size enters an empty inbox.
    fn enter(&self, size: u64) -> Result<(), InboxClosed> {
        let mut state = self.lock();
        while !state.closed && !self.has_room(&state, size) {
            state.sleepers += 1;
            let waited = self.freed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
            state.sleepers -= 1;
        }
        match state.closed {
            true => Err(InboxClosed),
            false => {
                state.bytes += size;
                Ok(())
            }
        }
    }

    fn leave(&self, size: u64) {
        let mut state = self.lock();
        state.bytes = state.bytes.saturating_sub(size);
        if state.sleepers > 0 {
            self.freed.notify_all();
        }
    }

    fn close(&self) {
        self.lock().closed = true;
        self.freed.notify_all();
    }
}
