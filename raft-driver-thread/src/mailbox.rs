//! Unbounded queues between a node's threads. A receiver sleeps at once, without spinning: a thread
//! that waits for the disk gains nothing by spinning, and takes time from the threads that work.

use crate::waker::Waker;
use crossbeam_channel::{SendError, Sender, TryRecvError, unbounded};
use std::time::{Duration, Instant};

/// The sending end. Sending never waits.
pub(crate) struct Mailbox<T> {
    /// `None` only while it is dropped.
    queue: Option<Sender<T>>,
    waker: Waker,
}

/// The receiving end, for one thread. Dropping it drops the messages that are left.
pub(crate) struct Receiver<T> {
    queue: crossbeam_channel::Receiver<T>,
    waker: Waker,
}

/// Both ends of a queue. `waker` wakes the receiver's thread.
pub(crate) fn mailbox<T>(waker: Waker) -> (Mailbox<T>, Receiver<T>) {
    let (sender, queue) = unbounded();
    let mailbox = Mailbox {
        queue: Some(sender),
        waker: waker.clone(),
    };
    (mailbox, Receiver { queue, waker })
}

impl<T> Mailbox<T> {
    /// An error, with the message, if the receiver is gone.
    pub(crate) fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.enqueue(message)?;
        self.waker.wake();
        Ok(())
    }

    /// As [`send`](Mailbox::send), but [helps](Mailbox::help) instead of waking the receiver.
    pub(crate) fn send_and_help(&self, message: T) -> Result<(), SendError<T>> {
        self.enqueue(message)?;
        self.help();
        Ok(())
    }

    /// Sends several messages, and wakes the receiver once.
    pub(crate) fn send_all(&self, messages: impl Iterator<Item = T>) -> Result<(), SendError<T>> {
        for message in messages {
            self.enqueue(message)?;
        }
        self.waker.wake();
        Ok(())
    }

    /// Does the receiver's work in this thread, if that is possible and no other thread is doing
    /// it.
    pub(crate) fn help(&self) {
        self.waker.run_or_wake();
    }

    /// Sends without waking the receiver: [`help`](Mailbox::help) has to follow.
    pub(crate) fn enqueue(&self, message: T) -> Result<(), SendError<T>> {
        match &self.queue {
            None => Err(SendError(message)),
            Some(queue) => queue.send(message),
        }
    }
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Mailbox<T> {
        let (queue, waker) = (self.queue.clone(), self.waker.clone());
        Mailbox { queue, waker }
    }
}

impl<T> std::fmt::Debug for Mailbox<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailbox").finish_non_exhaustive()
    }
}

impl<T> Drop for Mailbox<T> {
    fn drop(&mut self) {
        self.queue = None;
        // If this was the last sender, the receiver has to notice.
        self.waker.wake();
    }
}

impl<T> Receiver<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The next message, if one is there.
    pub(crate) fn try_recv(&self) -> Result<T, TryRecvError> {
        self.queue.try_recv()
    }

    /// Waits for the next message; `None` once all senders are gone.
    pub(crate) fn recv(&self) -> Option<T> {
        self.waker.register();
        loop {
            match self.try_recv() {
                Ok(message) => return Some(message),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => self.waker.wait(None),
            }
        }
    }

    /// Waits for the next message, but not longer than `timeout`: [`TryRecvError::Empty`] then.
    pub(crate) fn recv_timeout(&self, timeout: Duration) -> Result<T, TryRecvError> {
        self.waker.register();
        let deadline = Instant::now() + timeout;
        loop {
            let message = self.try_recv();
            if !matches!(message, Err(TryRecvError::Empty)) || Instant::now() >= deadline {
                return message;
            }
            self.waker.wait(Some(deadline));
        }
    }
}
