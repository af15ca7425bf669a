//! Sends messages to one peer, from the core's turn.

use super::hello::Hello;
use super::link::Link;
use super::stream::StreamSettings;
use super::{direct, frame};
use crate::inbox::Inbox;
use raft_proto::Message;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How much is written in the core's turn at once, at most.
const DIRECT_BYTES: u64 = 64 << 10;

/// How often it checks, before it writes, whether the other end is still there or has answered.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Sends to one peer. Dropping it stops its thread and waits for it.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) link: Arc<Link>,
    /// Whether messages were pushed since the last flush.
    is_dirty: bool,
    buffers: DirectBuffers,
    checked: Instant,
    thread: Option<JoinHandle<()>>,
}

/// For direct writes. Kept for their memory.
#[derive(Debug, Default)]
struct DirectBuffers {
    messages: Vec<Message>,
    bytes: Vec<u8>,
}

impl Sender {
    pub(super) fn start(
        hello: Hello,
        address: &str,
        inbox: Inbox,
        settings: Arc<StreamSettings>,
    ) -> io::Result<Sender> {
        let link = Arc::new(Link::new(hello, address, inbox, settings));
        let own = link.clone();
        let builder = std::thread::Builder::new().name(format!("raft-to-{}", hello.to));
        let thread = builder.spawn(move || own.run())?;
        Ok(Sender {
            link,
            is_dirty: false,
            buffers: DirectBuffers::default(),
            checked: Instant::now(),
            thread: Some(thread),
        })
    }

    pub(super) fn push(&mut self, message: Message) {
        self.link.queue.push(message);
        self.is_dirty = true;
    }

    pub(super) fn flush(&mut self) {
        if std::mem::take(&mut self.is_dirty) && !self.write_directly() {
            self.link.queue.wake();
        }
    }

    /// Writes what waits to the connection from this thread, without waiting. Possible where the
    /// link's thread is idle, the connection is plaintext and the messages are few. It saves waking
    /// that thread, twice in a round trip. The thread writes what the system does not take at once,
    /// and notices a connection that has failed.
    fn write_directly(&mut self) -> bool {
        let target = self.link.target();
        let Some(connection) = target.plaintext() else {
            return false;
        };
        let now = Instant::now();
        if now.duration_since(self.checked) > CHECK_INTERVAL {
            if direct::has_input(connection) {
                return false; // The link's thread reads the answer, or connects anew.
            }
            self.checked = now;
        }
        let DirectBuffers { messages, bytes } = &mut self.buffers;
        if !self.link.queue.claim(DIRECT_BYTES, messages) {
            return false;
        }
        bytes.clear();
        let encoded = frame::encode_all(&self.link.envelope(), messages, bytes);
        messages.clear();
        if encoded.is_err() {
            bytes.clear(); // Impossible: so few bytes have a length that fits.
        }
        let written = direct::write(connection, bytes);
        let unwritten = bytes.get(written..).unwrap_or(&[]);
        self.link.queue.finish_claim(unwritten);
        true
    }

    /// The peer has this address now. A connection to another address ends.
    pub(super) fn set_address(&self, address: &str) {
        let mut target = self.link.target();
        if target.address != address {
            address.clone_into(&mut target.address);
            target.disconnect();
        }
    }

    /// Whether its thread has ended, so that dropping it does not wait.
    pub(super) fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    pub(super) fn stop(&self) {
        self.link.stop();
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // Its failure changes nothing.
        }
    }
}
