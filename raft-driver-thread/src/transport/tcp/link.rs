//! The thread that connects to one peer and writes to it.

use super::hello::{Hello, StreamKind};
use super::queue::{self, PIECE_BYTES, SendQueue};
use super::socket::Stream;
use super::stream::StreamSettings;
use super::{answers, dial, direct, frame};
use crate::inbox::Inbox;
use raft_proto::wire::Envelope;
use raft_proto::{Message, NodeId};
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The pause before the first attempt to reconnect. It doubles with each failure, up to the
/// maximum, which is shorter where silence is noticed sooner.
const BACKOFF_MIN: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// How many times in the time after which silence is noticed a sender with nothing to say writes.
const SIGNS_OF_LIFE: u32 = 3;

/// The peer closed the connection while no message was being written.
const CLOSED: io::ErrorKind = io::ErrorKind::UnexpectedEof;

/// A connection to the peer.
struct Connection {
    stream: Box<dyn Stream>,
    /// Whether the peer takes long messages in pieces.
    in_pieces: bool,
}

/// Whether the peer has closed the connection.
fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}

/// What a peer has written to a connection on which it only reads.
enum Heard {
    Nothing,
    Answer,
    Closed,
}

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
    /// When the last connection was opened.
    connected: Instant,
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
                connected: Instant::now(),
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

    /// Gives up the connection, unless it is young: the other direction of the traffic with this
    /// peer has fallen silent, or the peer has opened it anew. Where one connection has gone dead
    /// unnoticed, in a firewall that forgot it for example, the others most likely have too. A
    /// young one is spared, so that two nodes do not make each other connect again and again.
    pub(super) fn reconnect(&self) {
        let mut target = self.target();
        if target.connected.elapsed() >= self.settings.silence {
            target.disconnect();
            drop(target);
            self.queue.wake();
        }
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
                Ok(connection) => {
                    tracing::info!(%peer, "connected");
                    attempts = 0;
                    let error = self.write_messages(connection, &mut messages);
                    tracing::info!(%peer, %error, "disconnected");
                    if error.kind() == CLOSED {
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
            let longest = BACKOFF_MAX.min(self.settings.silence / 2);
            if self
                .queue
                .pause(backoff(attempts, longest, self.hello))
                .is_none()
            {
                return;
            }
        }
    }

    /// Writes messages until the connection fails; returns why.
    fn write_messages(&self, connection: Connection, messages: &mut Vec<Message>) -> io::Error {
        let Connection {
            mut stream,
            in_pieces,
        } = connection;
        let envelope = self.envelope();
        let mut buffer = Vec::new();
        let interval = self.settings.silence / SIGNS_OF_LIFE;
        loop {
            let written = if in_pieces {
                self.write_batch(&mut *stream, &envelope, messages, &mut buffer)
            } else {
                frame::write_all(&mut *stream, &envelope, messages, &mut buffer)
            };
            messages.clear();
            if let Err(error) = written {
                return error;
            }
            let Some(mut unwritten) = self.queue.take_idle(messages, interval) else {
                return io::Error::other("the node stops");
            };
            match self.read_answer(&mut *stream) {
                Ok(Heard::Closed) if unwritten.is_empty() => return CLOSED.into(),
                Ok(Heard::Nothing | Heard::Answer | Heard::Closed) => {}
                Err(error) => return error,
            }
            if messages.is_empty() && unwritten.is_empty() {
                unwritten.extend_from_slice(&frame::STILL_HERE);
            }
            if let Err(error) = stream.write_all(&unwritten) {
                return error;
            }
        }
    }

    /// Writes the messages that were taken. One that is long goes in pieces, between which those
    /// leave that need not wait for it: a heartbeat is not later than a piece of it, however long
    /// an entry is.
    fn write_batch(
        &self,
        stream: &mut dyn Stream,
        envelope: &Envelope,
        messages: &[Message],
        buffer: &mut Vec<u8>,
    ) -> io::Result<()> {
        let [message] = messages else {
            return frame::write_all(stream, envelope, messages, buffer);
        };
        if queue::size(message) <= PIECE_BYTES {
            return frame::write_all(stream, envelope, messages, buffer);
        }
        let mut urgent = Vec::new();
        let piece_bytes = PIECE_BYTES as usize;
        frame::write_in_pieces(stream, envelope, message, piece_bytes, |stream| {
            let goes_on = self.queue.take_urgent(message, &mut urgent);
            if !urgent.is_empty() {
                frame::write_all(stream, envelope, &urgent, buffer)?;
                urgent.clear();
            }
            Ok(goes_on)
        })
    }

    /// The peer may have answered, or closed the connection.
    fn read_answer(&self, stream: &mut dyn Stream) -> io::Result<Heard> {
        match &self.target().connection {
            None => return Ok(Heard::Closed),
            Some(connection) if !direct::has_input(connection) => return Ok(Heard::Nothing),
            Some(_) => {}
        }
        let Some(answer) = answers::read(stream, self.peer(), &self.settings)? else {
            return Ok(Heard::Closed);
        };
        // There may be no room for it; then the node is busy, and asks again. Or the node stops.
        let _ = self.inbox.try_deliver(answer);
        Ok(Heard::Answer)
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

    /// Opens a connection on which long messages go in pieces; or, if the peer closes that one
    /// without an answer, one on which they do not.
    fn connect(&self) -> io::Result<Connection> {
        let address = self.target().address.clone();
        let in_pieces = self.hello.kind == StreamKind::Messages;
        let hello = Hello {
            in_pieces,
            ..self.hello
        };
        match dial::dial(&self.settings, &hello, address.clone(), self) {
            Err(error) if in_pieces && is_closed(&error) => {
                let stream = dial::dial(&self.settings, &self.hello, address, self)?;
                let in_pieces = false;
                Ok(Connection { stream, in_pieces })
            }
            stream => stream.map(|stream| Connection { stream, in_pieces }),
        }
    }
}

impl dial::Caller for Link {
    fn is_stopped(&self) -> bool {
        self.target().is_stopped
    }

    fn connected(&self, tcp: &TcpStream) -> io::Result<()> {
        let mut target = self.target();
        if target.is_stopped {
            return Err(io::Error::other("the node stops"));
        }
        target.connection = Some(tcp.try_clone()?);
        target.connected = Instant::now();
        Ok(())
    }
}

/// How long to wait before connecting again: longer with each failure, and not the same in all
/// nodes.
fn backoff(attempts: u32, longest: Duration, hello: Hello) -> Duration {
    let longest = longest.min(BACKOFF_MIN * (1 << attempts.min(6)));
    // A jitter of up to a half, drawn from the two nodes, the kind and the number of failures.
    let kind = match hello.kind {
        StreamKind::Messages => 1,
        StreamKind::Snapshots => 2,
        StreamKind::Service => 3,
        StreamKind::Entries => 4,
    };
    let mut mixed = u64::from(attempts) ^ (hello.from.0 << 20) ^ (hello.to.0 << 40) ^ (kind << 60);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let jitter = u32::try_from(mixed >> 54).unwrap_or(0); // Below 1,024.
    longest - longest / 2 * jitter / 1024
}
