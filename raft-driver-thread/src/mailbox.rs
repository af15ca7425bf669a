//! Queues between a node's threads: of any length, and without spinning. Whoever waits for disks has
//! nothing to win by that, and takes the time of those that work.

use crate::bell::Bell;
use crossbeam_channel::{Receiver, SendError, Sender, TryRecvError, unbounded};
use std::time::{Duration, Instant};

/// Where letters are put in; never waits.
pub(crate) struct Mailbox<T> {
    /// There is one until it is dropped.
    queue: Option<Sender<T>>,
    bell: Bell,
}

/// Where they are taken out, by one thread. Dropped, it drops those that are left.
pub(crate) struct Letters<T> {
    queue: Receiver<T>,
    bell: Bell,
}

/// A mailbox, and its other end, whose thread the bell wakes.
pub(crate) fn mailbox<T>(bell: Bell) -> (Mailbox<T>, Letters<T>) {
    let (sender, queue) = unbounded();
    let mailbox = Mailbox {
        queue: Some(sender),
        bell: bell.clone(),
    };
    (mailbox, Letters { queue, bell })
}

impl<T> Mailbox<T> {
    /// An error, with the letter, if nobody takes it any more.
    pub(crate) fn send(&self, letter: T) -> Result<(), SendError<T>> {
        self.put(letter)?;
        self.bell.ring();
        Ok(())
    }

    /// As [`send`](Mailbox::send); this thread does what is to be done then, if it can and no other does.
    pub(crate) fn send_and_help(&self, letter: T) -> Result<(), SendError<T>> {
        self.put(letter)?;
        self.help();
        Ok(())
    }

    /// Sends several together.
    pub(crate) fn send_all(&self, letters: impl Iterator<Item = T>) -> Result<(), SendError<T>> {
        for letter in letters {
            self.put(letter)?;
        }
        self.bell.ring();
        Ok(())
    }

    /// Does what is to be done with the letters that are there, if this thread can and no other does.
    pub(crate) fn help(&self) {
        self.bell.answer();
    }

    /// Sends it without a word about it: [`help`](Mailbox::help) has to follow.
    pub(crate) fn put(&self, letter: T) -> Result<(), SendError<T>> {
        match &self.queue {
            None => Err(SendError(letter)),
            Some(queue) => queue.send(letter),
        }
    }
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Mailbox<T> {
        let (queue, bell) = (self.queue.clone(), self.bell.clone());
        Mailbox { queue, bell }
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
        // It may have been the last one, which whoever waits has to see.
        self.bell.ring();
    }
}

impl<T> Letters<T> {
    /// Whether none is there now.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The next letter, if one is there.
    pub(crate) fn try_next(&self) -> Result<T, TryRecvError> {
        self.queue.try_recv()
    }

    /// Waits for the next letter; `None` if there will never be one.
    pub(crate) fn next(&self) -> Option<T> {
        self.bell.hang();
        loop {
            match self.try_next() {
                Ok(letter) => return Some(letter),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => self.bell.wait(None),
            }
        }
    }

    /// Likewise, but not for longer than this, after which none is there.
    pub(crate) fn next_within(&self, limit: Duration) -> Result<T, TryRecvError> {
        self.bell.hang();
        let deadline = Instant::now() + limit;
        loop {
            let letter = self.try_next();
            if !matches!(letter, Err(TryRecvError::Empty)) || Instant::now() >= deadline {
                return letter;
            }
            self.bell.wait(Some(deadline));
        }
    }
}
