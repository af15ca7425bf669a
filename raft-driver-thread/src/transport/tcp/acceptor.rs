//! The threads that accept connections and read from them.

use super::connections::{ConnectionId, Connections, Earlier};
use super::entries;
use super::frame::{self, FrameReader};
use super::hello::{ACCEPTED, Hello, Refusal, StreamKind};
use super::links::Links;
use super::newer::NewerPeer;
use super::service::{PeerStream, StreamService};
use super::socket::Stream;
use super::stream::StreamSettings;
use crate::inbox::Inbox;
use crate::transport::EntrySource;
use raft_proto::wire::Envelope;
use raft_proto::{Config, Message, NodeId};
use std::fmt;
use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How much one read of a connection takes at most.
const READ_BYTES: usize = 64 << 10;

pub(super) struct Acceptor {
    config: Config,
    inbox: Inbox,
    settings: Arc<StreamSettings>,
    links: Arc<Links>,
    service: Option<Arc<dyn StreamService>>,
    source: Option<Arc<dyn EntrySource>>,
    connections: Connections,
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Acceptor");
        debug
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

impl Acceptor {
    pub(super) fn new(
        config: Config,
        inbox: Inbox,
        settings: Arc<StreamSettings>,
        links: Arc<Links>,
        service: Option<Arc<dyn StreamService>>,
        source: Option<Arc<dyn EntrySource>>,
    ) -> Acceptor {
        Acceptor {
            config,
            inbox,
            links,
            service,
            source,
            connections: Connections::new(settings.options.max_connections),
            settings,
        }
    }

    /// The members, whose connections have places of their own.
    pub(super) fn set_members(&self, members: impl Iterator<Item = NodeId>) {
        self.connections.set_members(members);
    }

    /// See [`Connections::answer`].
    pub(super) fn answer(&self, peer: NodeId, message: &Message) {
        self.connections.answer(peer, message);
    }

    /// Closes all connections. [`run`](Acceptor::run) ends when it accepts the next one.
    pub(super) fn stop(&self) {
        self.connections.stop();
    }

    /// Accepts connections until it is stopped, and joins their threads.
    pub(super) fn run(self: &Arc<Self>, listener: &TcpListener) {
        let mut threads: Vec<JoinHandle<()>> = Vec::new();
        loop {
            let accepted = listener.accept();
            if self.connections.is_stopped() {
                break;
            }
            threads.retain(|thread| !thread.is_finished());
            let started = accepted.and_then(|(tcp, address)| self.start_reader(tcp, address));
            match started {
                Ok(Some(thread)) => threads.push(thread),
                Ok(None) => tracing::warn!("too many connections: one was closed"),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    // Most likely the process is out of descriptors. Connections that end free
                    // some.
                    std::thread::park_timeout(Duration::from_millis(10));
                }
            }
        }
        // A connection may have been added while the others were closed.
        self.connections.stop();
        for thread in threads {
            let _ = thread.join(); // Its failure changes nothing.
        }
    }

    fn start_reader(
        self: &Arc<Self>,
        tcp: TcpStream,
        address: SocketAddr,
    ) -> io::Result<Option<JoinHandle<()>>> {
        let Some(id) = self.connections.add(&tcp, address.ip())? else {
            return Ok(None);
        };
        let own = self.clone();
        let builder = std::thread::Builder::new().name("raft-from".into());
        let thread = builder.spawn(move || own.read_connection(id, tcp, address));
        if thread.is_err() {
            self.connections.remove(id);
        }
        thread.map(Some)
    }

    /// Reads one connection until it ends.
    fn read_connection(self: &Arc<Self>, id: ConnectionId, tcp: TcpStream, address: SocketAddr) {
        match self.handshake(id, tcp) {
            Ok((stream, hello)) if hello.kind.is_dialogue() => {
                self.serve_stream(id, stream, &hello);
            }
            Ok((stream, hello)) => {
                let peer = hello.from;
                let result = self.read_frames(stream, id, peer);
                self.inbox.help(); // With what came before the end.
                self.end_connection(id, peer, address, result);
            }
            Err(error) => {
                tracing::warn!(%address, %error, "a connection was refused");
                self.connections.remove(id);
            }
        }
    }

    /// A peer's connection has ended. If the peer has closed it, and opened no other since, its
    /// process most likely has ended, too.
    fn end_connection(
        &self,
        id: ConnectionId,
        peer: NodeId,
        address: SocketAddr,
        result: io::Result<()>,
    ) {
        let newest = self.connections.remove(id);
        let is_closed = result.as_ref().map_or_else(is_end, |()| true);
        match result {
            Ok(()) => {}
            Err(error) if is_silence(&error) => {
                tracing::info!(%peer, %address, "a connection fell silent: it is closed");
                self.links.reconnect(peer);
            }
            Err(error) => tracing::warn!(%peer, %address, %error, "a connection was closed"),
        }
        if is_closed && newest == Some(peer) && !self.connections.is_stopped() {
            self.inbox.report_unreachable(peer);
        }
    }

    /// Gives a stream to the service, in a thread that nobody waits for: what it waits for itself may
    /// come only after the transport has stopped. Stopping closes its stream.
    fn serve_stream(self: &Arc<Self>, id: ConnectionId, stream: Box<dyn Stream>, hello: &Hello) {
        let (peer, kind) = (hello.from, hello.kind);
        let own = self.clone();
        let builder = std::thread::Builder::new().name("raft-service".into());
        let started = builder.spawn(move || {
            let mut stream = PeerStream::new(stream);
            match (kind, &own.service, &own.source) {
                (StreamKind::Service, Some(service), _) => service.serve(peer, stream),
                (StreamKind::Entries, _, Some(source)) => {
                    // If it fails, the peer asks again.
                    let _ = entries::serve(&mut stream, &**source);
                }
                _ => {} // It was refused.
            }
            own.connections.remove(id);
        });
        if let Err(error) = started {
            tracing::warn!(%peer, %error, "no thread could be started to serve a peer");
            self.connections.remove(id);
        }
    }

    /// Whether this node accepts the connection.
    fn check(&self, hello: &Hello) -> Result<(), Refusal> {
        hello.check(&self.config)?;
        let is_served = match hello.kind {
            StreamKind::Messages | StreamKind::Snapshots => return Ok(()),
            StreamKind::Service => self.service.is_some(),
            StreamKind::Entries => self.source.is_some(),
        };
        if !is_served {
            return Err(Refusal::NoService);
        }
        self.connections.check_service(hello)
    }

    fn handshake(&self, id: ConnectionId, tcp: TcpStream) -> io::Result<(Box<dyn Stream>, Hello)> {
        let (mut stream, hello) = self.settings.server(tcp)?;
        let checked = self.check(&hello);
        let answer = checked.map_or_else(Refusal::code, |()| ACCEPTED);
        stream.write_all(&[answer])?;
        stream.flush()?;
        if let Err(refusal) = checked {
            let what = format!("{}: {}", hello.from, refusal.reason());
            return Err(io::Error::other(what));
        }
        let (silence, limit) = (
            self.settings.silence,
            self.settings.options.handshake_timeout,
        );
        stream.socket().end_handshake(silence, limit)?; // It writes nothing.
        if self.connections.set_peer(id, &hello) == Earlier::Replaced {
            self.links.reconnect(hello.from);
        }
        Ok((stream, hello))
    }

    fn read_frames(
        &self,
        stream: Box<dyn Stream>,
        id: ConnectionId,
        peer: NodeId,
    ) -> io::Result<()> {
        let receiver = &self.settings.receiver;
        let answer = self.connections.answer_of(id);
        let envelope = Envelope::new(&self.config, peer);
        let mut frames = FrameReader::new(receiver.limits().max_frame_bytes);
        let mut stream = BufReader::with_capacity(READ_BYTES, stream);
        let mut newer = NewerPeer::new(peer);
        while let Some(frame) = frames.read(&mut stream)? {
            let received = match receiver.accept(frame) {
                Err(error) if error.is_newer() => {
                    newer.note(&error);
                    continue;
                }
                received => received.map_err(io::Error::other)?,
            };
            if received.unknown_bytes > 0 {
                newer.note(&"some of its messages have fields that this release does not know");
            }
            if received.from != peer {
                let what = format!("it sent a message in the name of {}", received.from);
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            if self.inbox.enqueue(received).is_err() {
                return Ok(()); // The node stops.
            }
            if !frame::is_complete(stream.buffer()) {
                self.inbox.help();
                answer.write(&mut **stream.get_mut(), &envelope)?;
            }
        }
        Ok(())
    }
}

/// Whether the other end closed the connection, as the system does when a process ends.
fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::UnexpectedEof
    )
}

/// Whether nothing came for longer than a peer keeps silent.
fn is_silence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}
