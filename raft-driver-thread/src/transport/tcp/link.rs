//! The thread that connects to one peer and writes to it.

use super::hello::{ACCEPTED, Hello, Refusal, StreamKind};
use super::queue::SendQueue;
use super::stream::{Stream, StreamSettings};
use super::{direct, frame};
use crate::clock::deadline_after;
use crate::inbox::Inbox;
use raft_proto::wire::Envelope;
use raft_proto::{Message, NodeId};
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The pause before the first attempt to reconnect. It doubles with each failure, up to the
/// maximum.
const BACKOFF_MIN: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// How long a peer may read nothing before its connection is given up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// The peer closed the connection while no message was being written.
const CLOSED: io::ErrorKind = io::ErrorKind::UnexpectedEof;

/// One direction of the traffic with one peer: its queue, and its connection if there is one.
#[derive(Debug)]
pub(super) struct Link {
    hello: Hello,
    pub(super) queue: SendQueue,
    target: Mutex<Target>,
    inbox: Inbox,
    settings: Arc<StreamSettings>,
}

/// Where the peer is.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) address: String,
    /// The connection that stands, so that other threads can write to it or close it.
    connection: Option<TcpStream>,
    is_stopped: bool,
    is_plaintext: bool,
}

impl Target {
    /// The connection, if frames can be written to it directly.
    pub(super) fn plaintext(&self) -> Option<&TcpStream> {
        let is_possible = self.is_plaintext && direct::IS_SUPPORTED;
        self.connection.as_ref().filter(|_| is_possible)
    }

    pub(super) fn disconnect(&mut self) {
        if let Some(connection) = self.connection.take() {
            let _ = connection.shutdown(Shutdown::Both); // It may be closed already.
        }
    }
}

impl Link {
    pub(super) fn new(
        hello: Hello,
        address: &str,
        inbox: Inbox,
        settings: Arc<StreamSettings>,
    ) -> Link {
        Link {
            hello,
            queue: SendQueue::new(settings.options.max_queue_bytes),
            target: Mutex::new(Target {
                address: address.to_owned(),
                connection: None,
                is_stopped: false,
                is_plaintext: settings.is_plaintext(),
            }),
            inbox,
            settings,
        }
    }

    pub(super) fn target(&self) -> MutexGuard<'_, Target> {
        // No code of others runs under the lock.
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn peer(&self) -> NodeId {
        self.hello.to
    }

    /// Ends [`run`](Link::run).
    pub(super) fn stop(&self) {
        self.queue.stop();
        let mut target = self.target();
        target.is_stopped = true;
        target.disconnect();
    }

    /// Connects when messages wait, and writes them, until it is stopped.
    pub(super) fn run(&self) {
        let peer = self.peer();
        let mut messages = Vec::new();
        let mut attempts = 0_u32;
        while self.queue.take(&mut messages).is_some() {
            match self.connect() {
                Ok(stream) => {
                    tracing::info!(%peer, "connected");
                    attempts = 0;
                    let error = self.write_messages(stream, &mut messages);
                    tracing::info!(%peer, %error, "disconnected");
                    if error.kind() == CLOSED && !messages.is_empty() {
                        // Nothing of them was written. The peer's new process gets them.
                        self.target().disconnect();
                        self.queue.put_back(&mut messages);
                        continue;
                    }
                }
                Err(error) => {
                    // Only the first failure in a row is worth a line.
                    if attempts == 0 {
                        tracing::warn!(%peer, %error, "a peer cannot be reached");
                    }
                    attempts = attempts.saturating_add(1);
                }
            }
            self.target().disconnect();
            messages.clear();
            self.queue.clear();
            self.inbox.report_unreachable(peer);
            if self.queue.pause(backoff(attempts, self.hello)).is_none() {
                return;
            }
        }
    }

    /// Writes messages until the connection fails; returns why.
    fn write_messages(
        &self,
        mut stream: Box<dyn Stream>,
        messages: &mut Vec<Message>,
    ) -> io::Error {
        let envelope = self.envelope();
        let mut buffer = Vec::new();
        loop {
            let written = frame::write_all(&mut *stream, &envelope, messages, &mut buffer);
            messages.clear();
            if let Err(error) = written {
                return error;
            }
            let Some(unwritten) = self.queue.take_idle(messages) else {
                return io::Error::other("the node stops");
            };
            let is_closed = self
                .target()
                .connection
                .as_ref()
                .is_none_or(direct::is_closed);
            if is_closed {
                return CLOSED.into();
            }
            if let Err(error) = stream.write_all(&unwritten) {
                return error;
            }
        }
    }

    pub(super) fn envelope(&self) -> Envelope {
        Envelope {
            cluster_id: self.hello.cluster_id,
            group_id: self.hello.group_id,
            from: self.hello.from,
            to: self.hello.to,
            incarnation: self.hello.incarnation,
        }
    }

    fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let timeout = self.settings.options.handshake_timeout;
        let address = self.target().address.clone();
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in self.resolve(address, timeout)? {
            match TcpStream::connect_timeout(&address, timeout) {
                Ok(tcp) => return self.handshake(tcp),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Looks up the address, which may be a name. A lookup cannot be interrupted, and may take
    /// longer than a node may take to stop. It is abandoned then, in a thread of its own.
    fn resolve(&self, address: String, timeout: Duration) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = address.parse() {
            return Ok(vec![address]);
        }
        let (answer, answered) = crossbeam_channel::bounded(1);
        let builder = std::thread::Builder::new().name("raft-resolve".into());
        builder.spawn(move || {
            let found = address.to_socket_addrs().map(Iterator::collect);
            let _ = answer.send(found); // The lookup may have been abandoned.
        })?;
        let deadline = deadline_after(timeout);
        loop {
            match answered.recv_timeout(Duration::from_millis(50)) {
                Ok(found) => return found,
                Err(_) if self.target().is_stopped => {
                    return Err(io::Error::other("the node stops"));
                }
                Err(_) if deadline.is_some_and(|deadline| Instant::now() > deadline) => {
                    let what = "the name was not resolved in time";
                    return Err(io::Error::new(io::ErrorKind::TimedOut, what));
                }
                Err(_) => {}
            }
        }
    }

    fn handshake(&self, tcp: TcpStream) -> io::Result<Box<dyn Stream>> {
        {
            let mut target = self.target();
            if target.is_stopped {
                return Err(io::Error::other("the node stops"));
            }
            target.connection = Some(tcp.try_clone()?);
        }
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(self.settings.options.handshake_timeout))?;
        tcp.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let mut stream = self.settings.client(tcp, self.peer())?;
        stream.write_all(&self.hello.encode())?;
        stream.flush()?;
        let mut answer = [0];
        stream.read_exact(&mut answer)?;
        match answer[0] {
            ACCEPTED => Ok(stream),
            code => Err(io::Error::other(Refusal::explain(code))),
        }
    }
}

/// How long to wait before connecting again: longer with each failure, and not the same in all
/// nodes.
fn backoff(attempts: u32, hello: Hello) -> Duration {
    let longest = BACKOFF_MIN * (1 << attempts.min(6));
    let longest = longest.min(BACKOFF_MAX);
    // A jitter of up to a half, drawn from the two nodes, the kind and the number of failures.
    let kind = match hello.kind {
        StreamKind::Messages => 1,
        StreamKind::Snapshots => 2,
    };
    let mut mixed = u64::from(attempts) ^ (hello.from.0 << 20) ^ (hello.to.0 << 40) ^ (kind << 60);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let jitter = u32::try_from(mixed >> 54).unwrap_or(0); // Below 1,024.
    longest - longest / 2 * jitter / 1024
}
