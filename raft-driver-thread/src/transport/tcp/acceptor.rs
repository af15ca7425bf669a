//! The threads that accept connections and read from them.

use super::connections::{ConnectionId, Connections};
use super::frame;
use super::hello::{ACCEPTED, Hello, Refusal};
use super::stream::{Stream, StreamSettings};
use crate::inbox::Inbox;
use raft_proto::wire::Receiver;
use raft_proto::{Config, NodeId};
use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How much one read of a connection takes at most.
const READ_BYTES: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Acceptor {
    config: Config,
    inbox: Inbox,
    settings: Arc<StreamSettings>,
    connections: Connections,
}

impl Acceptor {
    pub(super) fn new(config: Config, inbox: Inbox, settings: Arc<StreamSettings>) -> Acceptor {
        Acceptor {
            config,
            inbox,
            connections: Connections::new(settings.options.max_connections),
            settings,
        }
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
        let Some(id) = self.connections.add(&tcp)? else {
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
    fn read_connection(&self, id: ConnectionId, tcp: TcpStream, address: SocketAddr) {
        match self.handshake(id, tcp) {
            Ok((stream, hello)) => {
                let peer = hello.from;
                let result = self.read_frames(stream, peer);
                self.inbox.help(); // With what came before the end.
                if let Err(error) = result {
                    tracing::warn!(%peer, %address, %error, "a connection was closed");
                }
            }
            Err(error) => tracing::warn!(%address, %error, "a connection was refused"),
        }
        self.connections.remove(id);
    }

    fn handshake(&self, id: ConnectionId, tcp: TcpStream) -> io::Result<(Box<dyn Stream>, Hello)> {
        let timeout = Some(self.settings.options.handshake_timeout);
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(timeout)?;
        tcp.set_write_timeout(timeout)?;
        let control = tcp.try_clone()?;
        let (mut stream, hello) = self.settings.server(tcp)?;
        let checked = hello.check(&self.config);
        let answer = checked.map_or_else(Refusal::code, |()| ACCEPTED);
        stream.write_all(&[answer])?;
        stream.flush()?;
        if let Err(refusal) = checked {
            let what = format!("{}: {}", hello.from, refusal.reason());
            return Err(io::Error::other(what));
        }
        control.set_read_timeout(None)?;
        self.connections.set_peer(id, &hello);
        Ok((stream, hello))
    }

    fn read_frames(&self, stream: Box<dyn Stream>, peer: NodeId) -> io::Result<()> {
        let receiver = Receiver::new(&self.config);
        let max_bytes = receiver.limits().max_frame_bytes;
        let mut stream = BufReader::with_capacity(READ_BYTES, stream);
        while let Some(frame) = frame::read(&mut stream, max_bytes)? {
            let received = receiver.accept(frame).map_err(io::Error::other)?;
            if received.from != peer {
                let what = format!("it sent a message in the name of {}", received.from);
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            if self.inbox.enqueue(received).is_err() {
                return Ok(()); // The node stops.
            }
            if !frame::is_complete(stream.buffer()) {
                self.inbox.help();
            }
        }
        Ok(())
    }
}
