//! The threads that listen to peers.

use super::hello::{Hello, StreamKind, WELCOME};
use super::{Shared, Stream, frame};
use crate::inbox::Inbox;
use raft_proto::wire::Receiver;
use raft_proto::{Config, NodeId};
use std::collections::BTreeMap;
use std::io::{self, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// What one read of a connection takes at most.
const READ_BYTES: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Listener {
    hall: Arc<Hall>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

/// Where connections are known by.
#[derive(Debug)]
struct Hall {
    config: Config,
    inbox: Inbox,
    shared: Arc<Shared>,
    guests: Mutex<Guests>,
}

#[derive(Debug, Default)]
struct Guests {
    is_stopped: bool,
    next: u64,
    connections: BTreeMap<u64, TcpStream>,
    /// The newest connection of each peer: it has given up the one before.
    peers: BTreeMap<(NodeId, StreamKind), u64>,
}

impl Listener {
    pub(super) fn start(
        listener: TcpListener,
        config: &Config,
        inbox: Inbox,
        shared: Arc<Shared>,
    ) -> io::Result<Listener> {
        let address = listener.local_addr()?;
        let hall = Arc::new(Hall {
            config: config.clone(),
            inbox,
            shared,
            guests: Mutex::new(Guests::default()),
        });
        let own = hall.clone();
        let builder = std::thread::Builder::new().name("raft-listen".into());
        let thread = builder.spawn(move || accept_all(&listener, &own))?;
        Ok(Listener {
            hall,
            address,
            thread: Some(thread),
        })
    }

    /// Closes all that is open, and waits for the threads.
    pub(super) fn stop(&mut self) {
        {
            let mut guests = self.hall.guests();
            guests.is_stopped = true;
            for connection in guests.connections.values() {
                let _ = connection.shutdown(Shutdown::Both); // It may be closed already.
            }
        }
        let Some(thread) = self.thread.take() else {
            return;
        };
        // Lets the thread see that it is to end.
        let mut own = self.address;
        if own.ip().is_unspecified() {
            own.set_ip(match own.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        match TcpStream::connect_timeout(&own, Duration::from_secs(5)) {
            Ok(_) => drop(thread.join()), // It has nothing to say.
            Err(error) => tracing::error!(%error, "the listening thread could not be woken"),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Hall {
    fn guests(&self) -> MutexGuard<'_, Guests> {
        // No code of others runs under the lock.
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a new connection, if there is one.
    fn enter(&self, tcp: &TcpStream) -> io::Result<Option<u64>> {
        let mut guests = self.guests();
        if guests.connections.len() >= self.shared.options.max_connections {
            return Ok(None);
        }
        let number = guests.next;
        guests.next += 1;
        guests.connections.insert(number, tcp.try_clone()?);
        Ok(Some(number))
    }

    /// It has said who it is. Of several connections of one peer the newest counts.
    fn introduce(&self, number: u64, hello: &Hello) {
        let mut guests = self.guests();
        let before = guests.peers.insert((hello.from, hello.kind), number);
        if let Some(connection) = before.and_then(|before| guests.connections.get(&before)) {
            let _ = connection.shutdown(Shutdown::Both); // It may be closed already.
        }
    }

    fn leave(&self, number: u64) {
        let mut guests = self.guests();
        guests.connections.remove(&number);
        guests.peers.retain(|_, newest| *newest != number);
    }

    /// Listens to one connection until it ends.
    fn listen(&self, number: u64, tcp: TcpStream, address: SocketAddr) {
        match self.welcome(number, tcp) {
            Ok((stream, hello)) => {
                let peer = hello.from;
                if let Err(error) = self.hear(stream, peer) {
                    tracing::warn!(%peer, %address, %error, "a connection was closed");
                }
            }
            Err(error) => tracing::warn!(%address, %error, "a connection was refused"),
        }
        self.leave(number);
    }

    fn welcome(&self, number: u64, tcp: TcpStream) -> io::Result<(Box<dyn Stream>, Hello)> {
        let timeout = Some(self.shared.options.handshake_timeout);
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(timeout)?;
        tcp.set_write_timeout(timeout)?;
        let control = tcp.try_clone()?;
        let (mut stream, hello) = self.shared.server(tcp)?;
        let refusal = hello.refusal(&self.config);
        let code = refusal.map_or(WELCOME, |(code, _)| code);
        stream.write_all(&[code])?;
        stream.flush()?;
        if let Some((_, reason)) = refusal {
            return Err(io::Error::other(format!("{}: {reason}", hello.from)));
        }
        control.set_read_timeout(None)?;
        self.introduce(number, &hello);
        Ok((stream, hello))
    }

    fn hear(&self, stream: Box<dyn Stream>, peer: NodeId) -> io::Result<()> {
        let heard = self.hear_all(stream, peer);
        self.inbox.help(); // With what came before the end.
        heard
    }

    fn hear_all(&self, stream: Box<dyn Stream>, peer: NodeId) -> io::Result<()> {
        let receiver = Receiver::new(&self.config);
        let max_bytes = receiver.limits().max_frame_bytes;
        let mut stream = BufReader::with_capacity(READ_BYTES, stream);
        while let Some(frame) = frame::read(&mut stream, max_bytes)? {
            let (from, message) = receiver.accept(frame).map_err(io::Error::other)?;
            if from != peer {
                let what = format!("it speaks as {from}");
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            if self.inbox.enqueue(from, message).is_err() {
                return Ok(()); // The node stops.
            }
            if !frame::is_whole(stream.buffer()) {
                self.inbox.help();
            }
        }
        Ok(())
    }
}

fn accept_all(listener: &TcpListener, hall: &Arc<Hall>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    loop {
        let accepted = listener.accept();
        if hall.guests().is_stopped {
            break;
        }
        threads.retain(|thread| !thread.is_finished());
        let begun = accepted.and_then(|(tcp, address)| receive(hall, tcp, address));
        match begun {
            Ok(Some(thread)) => threads.push(thread),
            Ok(None) => tracing::warn!("too many connections: one was closed"),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                // Out of descriptors, most likely: those that end make room.
                std::thread::park_timeout(Duration::from_millis(10));
            }
        }
    }
    // A connection may have come in beside the stop.
    for connection in hall.guests().connections.values() {
        let _ = connection.shutdown(Shutdown::Both);
    }
    for thread in threads {
        let _ = thread.join(); // It has nothing to say.
    }
}

fn receive(
    hall: &Arc<Hall>,
    tcp: TcpStream,
    address: SocketAddr,
) -> io::Result<Option<JoinHandle<()>>> {
    let Some(number) = hall.enter(&tcp)? else {
        return Ok(None);
    };
    let own = hall.clone();
    let builder = std::thread::Builder::new().name("raft-from".into());
    let thread = builder.spawn(move || own.listen(number, tcp, address));
    if thread.is_err() {
        hall.leave(number);
    }
    thread.map(Some)
}
