//! TCP between nodes, with TLS by which they prove who they are.
//!
//! # Connections
//!
//! Each connection carries messages in one direction: who has something to say connects, and
//! from then on only writes. So every connection has one thread, on either side, and TLS needs no
//! more than a blocking stream. Between two nodes there are two connections, one each way; and while
//! a snapshot is sent, another one for its pieces, which therefore never delay a heartbeat.
//!
//! A connection begins with a hello and its answer:
//!
//! | bytes | hello |
//! |---|---|
//! | 4 | `RAFT` |
//! | 1 | the version of this layout: 1 |
//! | 8 each, little-endian | cluster id, group id, the sender's node id, the receiver's |
//! | 1 | what follows: 0 messages, 1 snapshots |
//!
//! The answer is one byte: 0 if it is welcome, else why not, and the connection is closed. Then come
//! frames: four bytes of length, little-endian, and a frame as
//! [`wire`](raft_proto::wire) describes it.
//!
//! # What is dropped
//!
//! Sending never waits. For each peer so many bytes are kept ([`TcpOptions::max_queue_bytes`]);
//! beyond that what has been superseded is dropped first (heartbeats and replies of which newer
//! ones wait), then the oldest. Raft repeats what matters.

mod direct;
mod frame;
mod hello;
mod listener;
mod queue;
mod sender;
#[cfg(feature = "tls")]
mod tls;

#[cfg(feature = "tls")]
pub use tls::TlsOptions;

use super::{Transport, TransportError};
use crate::inbox::Inbox;
use hello::{Hello, StreamKind};
use listener::Listener;
use raft_proto::{Config, Membership, Message, NodeId};
use sender::Sender;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How a node is reached, and reaches others.
#[derive(Clone, Debug)]
pub struct TcpOptions {
    /// Whether peers prove who they are.
    pub security: Security,
    /// How many bytes may wait for one peer. Default 32 MiB.
    pub max_queue_bytes: u64,
    /// How many connections may be open that others began; more are closed at once. Default 256.
    pub max_connections: usize,
    /// How long a connection may take to be made, and to say who it is. Default 5 s.
    pub handshake_timeout: Duration,
    /// How long after the last message to it the connection to a node is kept that is no member
    /// any more. Default 10 s.
    pub removed_peer_timeout: Duration,
    /// Where nodes are that this one may have to answer before it knows any member: one that joins
    /// is spoken to by a leader that no log has told it of yet. Not used any more once it knows
    /// members. Default none.
    pub initial_addresses: Vec<(NodeId, String)>,
}

/// Whether peers prove who they are, and nobody else can read what they say. There is no default.
#[derive(Clone, Debug)]
pub enum Security {
    /// Anybody who can reach the port can read the log and write to it. For tests, and for
    /// networks that are secured by other means.
    PlaintextUnauthenticated,
    /// TLS, in which both sides show a certificate.
    #[cfg(feature = "tls")]
    Tls(TlsOptions),
}

impl TcpOptions {
    /// The defaults.
    pub fn new(security: Security) -> TcpOptions {
        TcpOptions {
            security,
            max_queue_bytes: 32 << 20,
            max_connections: 256,
            handshake_timeout: Duration::from_secs(5),
            removed_peer_timeout: Duration::from_secs(10),
            initial_addresses: Vec::new(),
        }
    }
}

/// A [`Transport`] over TCP. The members' contexts are their addresses: `host:port`, as UTF-8.
#[derive(Debug)]
pub struct TcpTransport {
    listener: Option<TcpListener>,
    address: SocketAddr,
    options: TcpOptions,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    hello: Hello,
    inbox: Inbox,
    shared: Arc<Shared>,
    listener: Listener,
    addresses: BTreeMap<NodeId, String>,
    senders: BTreeMap<(NodeId, StreamKind), Sender>,
    /// Members no more, and when they were last spoken to.
    leaving: BTreeMap<NodeId, Instant>,
    /// Stopped, and not yet at their ends.
    ending: Vec<Sender>,
}

/// What all threads share.
#[derive(Debug)]
struct Shared {
    options: TcpOptions,
    #[cfg(feature = "tls")]
    tls: Option<tls::Tls>,
}

/// A connection, plain or not.
trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

impl Shared {
    fn new(options: TcpOptions) -> Result<Shared, TransportError> {
        #[cfg(feature = "tls")]
        let tls = match &options.security {
            Security::PlaintextUnauthenticated => None,
            Security::Tls(tls) => Some(tls::Tls::new(tls)?),
        };
        Ok(Shared {
            options,
            #[cfg(feature = "tls")]
            tls,
        })
    }

    fn is_plain(&self) -> bool {
        matches!(self.options.security, Security::PlaintextUnauthenticated)
    }

    /// The stream on which to speak to `peer`, which has to be that node.
    fn client(&self, tcp: TcpStream, peer: NodeId) -> io::Result<Box<dyn Stream>> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return tls.client(tcp, peer);
        }
        let _ = peer; // Without TLS nobody can tell.
        Ok(Box::new(tcp))
    }

    /// The stream on which `tcp` speaks, and the hello that it begins with.
    fn server(&self, mut tcp: TcpStream) -> io::Result<(Box<dyn Stream>, Hello)> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return tls.server(tcp);
        }
        let hello = Hello::read(&mut tcp)?;
        Ok((Box::new(tcp), hello))
    }
}

impl TcpTransport {
    /// Listens on `address`; port 0 lets the system choose one. Connections are taken once the
    /// node has started.
    ///
    /// # Errors
    ///
    /// [`TransportError::Io`] if the address cannot be had.
    pub fn bind(address: &str, options: TcpOptions) -> Result<TcpTransport, TransportError> {
        let bound = TcpListener::bind(address).and_then(|listener| {
            let address = listener.local_addr()?;
            Ok((listener, address))
        });
        let (listener, address) = bound.map_err(|source| TransportError::Io {
            what: format!("listen on {address}"),
            source,
        })?;
        Ok(TcpTransport {
            listener: Some(listener),
            address,
            options,
            running: None,
        })
    }

    /// Where it listens.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }
}

impl Transport for TcpTransport {
    fn start(&mut self, config: &Config, inbox: Inbox) -> Result<(), TransportError> {
        let Some(listener) = self.listener.take() else {
            let what = "it was started before: bind another one";
            return Err(TransportError::Settings(what.into()));
        };
        let hello = Hello::of(config);
        let shared = Arc::new(Shared::new(self.options.clone())?);
        let listener = Listener::start(listener, config, inbox.clone(), shared.clone());
        let listener = listener.map_err(|source| TransportError::Io {
            what: "begin to listen".into(),
            source,
        })?;
        self.running = Some(Running {
            hello,
            inbox,
            shared,
            listener,
            addresses: self.options.initial_addresses.iter().cloned().collect(),
            senders: BTreeMap::new(),
            leaving: BTreeMap::new(),
            ending: Vec::new(),
        });
        Ok(())
    }

    fn members(&mut self, membership: &Membership) {
        if let Some(running) = &mut self.running {
            running.members(membership);
        }
    }

    fn send(&mut self, to: NodeId, message: Message) {
        if let Some(running) = &mut self.running {
            running.send(to, message);
        }
    }

    fn flush(&mut self) {
        if let Some(running) = &mut self.running {
            running.flush();
        }
    }

    fn stop(&mut self) {
        self.listener = None;
        if let Some(mut running) = self.running.take() {
            running.senders.values().for_each(Sender::stop);
            running.listener.stop();
        } // Dropped, they are waited for.
    }
}

impl Drop for TcpTransport {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Running {
    fn members(&mut self, membership: &Membership) {
        if membership.is_empty() {
            return; // Those that it was introduced to are all that it knows.
        }
        let known = std::mem::take(&mut self.addresses);
        for member in membership.members() {
            match std::str::from_utf8(&member.context) {
                Ok(address) if !address.is_empty() => {
                    self.addresses.insert(member.id, address.to_owned());
                }
                Ok(_) | Err(_) => {
                    let node = member.id;
                    tracing::warn!(%node, "a member's context is no address: it is not spoken to");
                }
            }
        }
        // Who was removed may have to be told so: its address stays as long as it is spoken to.
        for (node, address) in known {
            let speaks = self.senders.keys().any(|(peer, _)| *peer == node);
            if speaks && !self.addresses.contains_key(&node) {
                self.addresses.insert(node, address);
                self.leaving.entry(node).or_insert_with(Instant::now);
            }
        }
        let is_member = |node: &NodeId| membership.members().iter().any(|it| it.id == *node);
        self.leaving.retain(|node, _| !is_member(node));
        for ((peer, _), sender) in &self.senders {
            if let Some(address) = self.addresses.get(peer) {
                sender.redirect(address);
            }
        }
    }

    fn flush(&mut self) {
        self.senders.values_mut().for_each(Sender::flush);
        if self.leaving.is_empty() && self.ending.is_empty() {
            return;
        }
        let removed_peer_timeout = self.shared.options.removed_peer_timeout;
        let gone = |last: &Instant| last.elapsed() > removed_peer_timeout;
        while let Some(node) =
            (self.leaving.iter()).find_map(|(node, last)| gone(last).then_some(*node))
        {
            self.leaving.remove(&node);
            self.addresses.remove(&node);
            for kind in [StreamKind::Messages, StreamKind::Snapshots] {
                if let Some(sender) = self.senders.remove(&(node, kind)) {
                    sender.stop();
                    self.ending.push(sender);
                }
            }
        }
        // Dropped before its end, one would be waited for.
        self.ending.retain(|sender| !sender.has_ended());
    }

    fn send(&mut self, to: NodeId, message: Message) {
        let kind = StreamKind::of(&message);
        if let Some(last) = self.leaving.get_mut(&to) {
            *last = Instant::now();
        }
        if let Some(sender) = self.senders.get_mut(&(to, kind)) {
            sender.push(message);
            return;
        }
        let Some(address) = self.addresses.get(&to) else {
            return; // Nobody knows where it is.
        };
        let hello = Hello {
            to,
            kind,
            ..self.hello
        };
        match Sender::start(hello, address, self.inbox.clone(), self.shared.clone()) {
            Ok(mut sender) => {
                sender.push(message);
                self.senders.insert((to, kind), sender);
            }
            Err(error) => tracing::warn!(peer = %to, %error, "no thread to speak to a peer in"),
        }
    }
}
