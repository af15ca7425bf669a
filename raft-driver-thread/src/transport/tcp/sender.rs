//! The thread that speaks to one peer.

use super::hello::{Hello, StreamKind, WELCOME};
use super::queue::Queue;
use super::{Shared, Stream, direct, frame};
use crate::inbox::Inbox;
use crate::timer::deadline_after;
use raft_proto::wire::Envelope;
use raft_proto::{Message, NodeId};
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Reconnecting is tried again after this, then after twice as long, and so on.
const BACK_OFF_MIN: Duration = Duration::from_millis(20);
const BACK_OFF_MAX: Duration = Duration::from_secs(1);

/// No more than so much is written in the core's turn at once.
const DIRECT_BYTES: u64 = 64 << 10;

/// After so long a silence it is looked whether the other end is still there.
const QUIET: Duration = Duration::from_millis(50);

/// How long a peer may read nothing before its connection is given up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// The other end closed the connection while there was nothing to say.
const ENDED: io::ErrorKind = io::ErrorKind::UnexpectedEof;

/// Speaks to one peer. Dropped, it has ended.
#[derive(Debug)]
pub(super) struct Sender {
    link: Arc<Link>,
    is_dirty: bool,
    /// For what is written from here.
    direct: (Vec<Message>, Vec<u8>),
    /// When something was written from here last.
    spoke: Instant,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Link {
    hello: Hello,
    queue: Queue,
    target: Mutex<Target>,
    inbox: Inbox,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Target {
    address: String,
    /// To be shut down from outside.
    connection: Option<TcpStream>,
    is_stopped: bool,
    /// Whether frames go to the connection as they are.
    is_plain: bool,
}

impl Sender {
    pub(super) fn start(
        hello: Hello,
        address: &str,
        inbox: Inbox,
        shared: Arc<Shared>,
    ) -> io::Result<Sender> {
        let link = Arc::new(Link {
            hello,
            queue: Queue::new(shared.options.max_queue_bytes),
            target: Mutex::new(Target {
                address: address.to_owned(),
                connection: None,
                is_stopped: false,
                is_plain: shared.is_plain(),
            }),
            inbox,
            shared,
        });
        let own = link.clone();
        let builder = std::thread::Builder::new().name(format!("raft-to-{}", hello.to));
        let thread = builder.spawn(move || own.run())?;
        Ok(Sender {
            link,
            is_dirty: false,
            direct: (Vec::new(), Vec::new()),
            spoke: Instant::now(),
            thread: Some(thread),
        })
    }

    pub(super) fn push(&mut self, message: Message) {
        self.link.queue.push(message);
        self.is_dirty = true;
    }

    pub(super) fn flush(&mut self) {
        if std::mem::take(&mut self.is_dirty) && !self.speak_directly() {
            self.link.queue.wake();
        }
    }

    /// Where the thread is idle, the connection plain and the messages few, they are written from
    /// here, without waiting: that saves the thread's waking up, twice in a round trip. The thread
    /// writes what the system does not take at once, and hears of a connection that has failed.
    fn speak_directly(&mut self) -> bool {
        let mut target = self.link.target();
        let Some(connection) = target.plain() else {
            return false;
        };
        let now = Instant::now();
        let was_quiet = now.duration_since(self.spoke) > QUIET;
        if was_quiet && direct::has_ended(connection) {
            return false; // The thread connects anew.
        }
        self.spoke = now;
        let (messages, buffer) = &mut self.direct;
        if !self.link.queue.claim(DIRECT_BYTES, messages) {
            return false;
        }
        buffer.clear();
        let encoded = frame::encode_all(&self.link.envelope(), messages, buffer);
        messages.clear();
        if encoded.is_err() {
            buffer.clear(); // Cannot be: so few bytes have a length.
        }
        let sent = direct::send(connection, buffer);
        self.link.queue.wrote(buffer.get(sent..).unwrap_or(&[]));
        true
    }

    /// The peer is there now; a connection to where it was ends.
    pub(super) fn redirect(&self, address: &str) {
        let mut target = self.link.target();
        if target.address != address {
            address.clone_into(&mut target.address);
            target.disconnect();
        }
    }

    /// Whether dropping it waits for nothing.
    pub(super) fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    pub(super) fn stop(&self) {
        self.link.queue.stop();
        let mut target = self.link.target();
        target.is_stopped = true;
        target.disconnect();
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // It has nothing to say.
        }
    }
}

impl Target {
    fn plain(&mut self) -> Option<&TcpStream> {
        let is_plain = self.is_plain && direct::IS_POSSIBLE;
        self.connection.as_ref().filter(|_| is_plain)
    }

    fn disconnect(&mut self) {
        if let Some(connection) = self.connection.take() {
            let _ = connection.shutdown(Shutdown::Both); // It may be closed already.
        }
    }
}

impl Link {
    fn target(&self) -> MutexGuard<'_, Target> {
        // No code of others runs under the lock.
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn peer(&self) -> NodeId {
        self.hello.to
    }

    /// Connects when there is something to say, and says it, until it is stopped.
    fn run(&self) {
        let peer = self.peer();
        let mut messages = Vec::new();
        let mut attempts = 0_u32;
        while self.queue.take(&mut messages).is_some() {
            match self.connect() {
                Ok(stream) => {
                    tracing::info!(%peer, "connected");
                    attempts = 0;
                    let error = self.speak(stream, &mut messages);
                    tracing::info!(%peer, %error, "disconnected");
                    if error.kind() == ENDED && !messages.is_empty() {
                        // Nothing of them was written. A process that was started anew hears them.
                        self.target().disconnect();
                        self.queue.put_back(&mut messages);
                        continue;
                    }
                }
                Err(error) => {
                    // The first of a row; the others would only repeat it.
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
            if self.queue.pause(back_off(attempts, self.hello)).is_none() {
                return;
            }
        }
    }

    /// Speaks until that fails; says why.
    fn speak(&self, mut stream: Box<dyn Stream>, messages: &mut Vec<Message>) -> io::Error {
        let envelope = self.envelope();
        let mut buffer = Vec::new();
        loop {
            let written = frame::write_all(&mut *stream, &envelope, messages, &mut buffer);
            messages.clear();
            if let Err(error) = written {
                return error;
            }
            let Some(rest) = self.queue.take_idle(messages) else {
                return io::Error::other("the node stops");
            };
            let has_ended = self
                .target()
                .connection
                .as_ref()
                .is_none_or(direct::has_ended);
            if has_ended {
                return ENDED.into();
            }
            if let Err(error) = stream.write_all(&rest) {
                return error;
            }
        }
    }

    fn envelope(&self) -> Envelope {
        Envelope {
            cluster_id: self.hello.cluster_id,
            group_id: self.hello.group_id,
            from: self.hello.from,
            to: self.hello.to,
        }
    }

    fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let timeout = self.shared.options.handshake_timeout;
        let address = self.target().address.clone();
        let mut last = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
        for address in self.resolve(address, timeout)? {
            match TcpStream::connect_timeout(&address, timeout) {
                Ok(tcp) => return self.greet(tcp),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Looks up a name. That may take longer than a node may take to stop, and cannot be
    /// interrupted: it is left to itself then.
    fn resolve(&self, address: String, timeout: Duration) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = address.parse() {
            return Ok(vec![address]);
        }
        let (answer, answered) = crossbeam_channel::bounded(1);
        let builder = std::thread::Builder::new().name("raft-resolve".into());
        builder.spawn(move || {
            let found = address.to_socket_addrs().map(Iterator::collect);
            let _ = answer.send(found); // Too late, perhaps.
        })?;
        let deadline = deadline_after(timeout);
        loop {
            match answered.recv_timeout(Duration::from_millis(50)) {
                Ok(found) => return found,
                Err(_) if self.target().is_stopped => {
                    return Err(io::Error::other("the node stops"));
                }
                Err(_) if deadline.is_some_and(|deadline| Instant::now() > deadline) => {
                    let what = "its name was not resolved in time";
                    return Err(io::Error::new(io::ErrorKind::TimedOut, what));
                }
                Err(_) => {}
            }
        }
    }

    fn greet(&self, tcp: TcpStream) -> io::Result<Box<dyn Stream>> {
        {
            let mut target = self.target();
            if target.is_stopped {
                return Err(io::Error::other("the node stops"));
            }
            target.connection = Some(tcp.try_clone()?);
        }
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(self.shared.options.handshake_timeout))?;
        tcp.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let mut stream = self.shared.client(tcp, self.peer())?;
        stream.write_all(&self.hello.encode())?;
        stream.flush()?;
        let mut answer = [0];
        stream.read_exact(&mut answer)?;
        match answer[0] {
            WELCOME => Ok(stream),
            1 => Err(io::Error::other("it is of another cluster")),
            2 => Err(io::Error::other("it is of another group")),
            3 => Err(io::Error::other("its address is that of another node")),
            _ => Err(io::Error::other("it refuses this node: see its log")),
        }
    }
}

/// Longer from time to time, and not at the same moment in all nodes.
fn back_off(attempts: u32, hello: Hello) -> Duration {
    let longest = BACK_OFF_MIN * (1 << attempts.min(6));
    let longest = longest.min(BACK_OFF_MAX);
    // A jitter of up to a half, from who speaks to whom and how often it failed.
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
