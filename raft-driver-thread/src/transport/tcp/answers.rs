//! Answers over the connection that the asking node has opened.
//!
//! A node that could never win an election is told so (`dismissal.rs` of the core), and that is an
//! answer to a node which the configuration does not name: it was removed, and its address is
//! forgotten, or another disk has its number, and the address is that disk's. So a dismissal leaves
//! twice: for the address of the number, if there is one, and back over the newest connection that
//! a node of that number has opened. Which disk is meant stands in the dismissal itself.
//!
//! It is the only thing that is ever written to an accepted connection after the handshake. The
//! thread that reads the connection writes it, before it reads the next frame. So an answer that
//! another thread's turn brings waits until the node asks again, and only the latest waits.
//!
//! The node that opened the connection reads an answer when it is about to write, or finds that it
//! has had nothing to write for a while. Where the system does not tell whether a connection can be
//! read (`direct.rs`), answers are not read.

use super::frame;
use super::socket::Stream;
use super::stream::StreamSettings;
use raft_proto::wire::{Envelope, Received};
use raft_proto::{Message, NodeId};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// The longest frame of an answer. A later release may add fields to it.
const MAX_BYTES: u64 = 4 << 10;

/// What waits to be answered on one connection.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// So that a connection's reader takes no lock for each message.
    waits: AtomicBool,
    message: Mutex<Option<Message>>,
}

impl Answer {
    /// Replaces what waits.
    pub(super) fn put(&self, message: Message) {
        // No code of others runs under the lock.
        *self.message.lock().unwrap_or_else(PoisonError::into_inner) = Some(message);
        self.waits.store(true, Ordering::Release);
    }

    fn take(&self) -> Option<Message> {
        if !self.waits.swap(false, Ordering::Acquire) {
            return None;
        }
        let mut message = self.message.lock().unwrap_or_else(PoisonError::into_inner);
        message.take()
    }

    /// Writes what waits, if anything does, to the connection.
    pub(super) fn write(&self, stream: &mut dyn Stream, envelope: &Envelope) -> io::Result<()> {
        if !self.waits.load(Ordering::Relaxed) {
            return Ok(());
        }
        match self.take() {
            Some(message) => frame::write_all(stream, envelope, &[message], &mut Vec::new()),
            None => Ok(()),
        }
    }
}

/// Whether this is an answer to a node that may be at another address than its number's.
pub(super) fn is_answer(message: &Message) -> bool {
    matches!(message, Message::PreVoteReply(reply) if reply.dismissal.is_some())
}

/// Reads an answer of `peer` from the connection that this node has opened, which can be read;
/// `None` at its end.
pub(super) fn read(
    stream: &mut dyn Stream,
    peer: NodeId,
    settings: &StreamSettings,
) -> io::Result<Option<Received>> {
    let Some(frame) = frame::read(stream, MAX_BYTES)? else {
        return Ok(None);
    };
    let received = settings.receiver.accept(frame).map_err(io::Error::other)?;
    if received.from != peer || !is_answer(&received.message) {
        let what = "it sent something else than an answer";
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok(Some(received))
}
