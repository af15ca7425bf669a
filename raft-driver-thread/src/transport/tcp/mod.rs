//! TCP between nodes, with TLS by which they prove who they are.
//!
//! # Connections
//!
//! Each connection carries messages in one direction: the sender opens it, and after the handshake
//! only the sender writes, but for one kind of answer (`answers`). So every connection has one
//! thread on either side, and a blocking stream suffices for TLS. Between two nodes there are two
//! connections, one each way. While a snapshot is sent there is a third one for its chunks, which
//! therefore never delay a heartbeat.
//!
//! A connection begins with a hello and its answer:
//!
//! | bytes | hello |
//! |---|---|
//! | 4 | `RAFT` |
//! | 1 | the version of this layout: 1 |
//! | 8 each, little-endian | cluster id, group id, the sender's node id, the receiver's |
//! | 1 | what follows: 0 messages, 1 snapshots; both ways: 2 bytes of the service's own, 3 a request for entries and the reply; 4 messages, long ones in pieces |
//!
//! The answer is one byte: 0 if the receiver accepts the connection. Any other value says why it
//! does not, and the connection is closed. Then come frames: four bytes of length, little-endian,
//! and a frame as [`wire`](raft_proto::wire) describes it. A frame of length 0 only says that the
//! sender is still there.
//!
//! # Long messages
//!
//! An entry of megabytes takes longer than an election timeout on a slow link. So a message of more
//! than 64 KiB is written in pieces: each has bit 31 set in its length, and the last one bit 30,
//! too. Between them go frames that need not wait for it: votes, replies, and heartbeats about an
//! entry before those that it brings. A heartbeat behind it would be rejected if it overtook it,
//! and stays. If the node has sent something in a later term meanwhile, the rest is not written,
//! and a piece of no bytes takes back what was.
//!
//! A peer of a release that does not know of pieces closes a connection that says 4. It is dialled
//! again with 0 at once, and gets each message whole.
//!
//! # Silence
//!
//! A network may lose all packets without a word, and a firewall may forget a connection. TCP alone
//! notices that after a quarter of an hour, and once packets get through again it goes on waiting
//! for as long as they did not. So a sender with nothing to say writes an empty frame now and then.
//! A connection whose bytes are not acknowledged for [`TcpOptions::silence_timeout`], or that
//! brings nothing for as long, is closed. Then the connection in the other direction is given up
//! too, and opened anew; the peer sees that, and does the same with its own. So it is enough that
//! one of four ends notices.
//!
//! # What is dropped
//!
//! Sending never waits. For each peer [`TcpOptions::max_queue_bytes`] bytes may wait. Beyond that,
//! superseded messages are dropped first (heartbeats and replies for which newer ones wait), then
//! the oldest. Raft repeats what matters.
//!
//! # Files
//!
//! | file | what |
//! |---|---|
//! | `options`, `tls`, `stream` | settings; streams with and without TLS |
//! | `hello`, `frame` | what is on the wire |
//! | `listener`, `acceptor`, `connections`, `newer` | receiving |
//! | `answers` | what goes back over the connection that another node opened |
//! | `sender`, `queue`, `link`, `links`, `dial`, `direct` | sending |
//! | `service` | streams of the service's own |
//! | `entries` | requests for entries that a disk has lost |

mod acceptor;
mod answers;
mod connections;
mod dial;
mod direct;
mod entries;
mod frame;
mod hello;
mod link;
mod links;
mod listener;
mod newer;
mod options;
mod queue;
mod sender;
mod service;
mod socket;
mod stream;
#[cfg(feature = "tls")]
mod tls;

pub use options::{Security, TcpOptions};
pub use service::{Dialer, PeerStream, StreamService};
#[cfg(feature = "tls")]
pub use tls::TlsOptions;

use super::{EntrySource, Fetcher, Transport, TransportError};
use crate::inbox::Inbox;
use acceptor::Acceptor;
use hello::{Hello, StreamKind};
use links::Links;
use listener::Listener;
use raft_proto::mending::{Fetch, FetchReply, Request};
use raft_proto::wire::Limits;
use raft_proto::{Config, Membership, Message, NodeId};
use sender::Sender;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Instant;
use stream::StreamSettings;

/// A [`Transport`] over TCP. The context of each member is its address: `host:port`, as UTF-8.
pub struct TcpTransport {
    listener: Option<TcpListener>,
    address: SocketAddr,
    options: TcpOptions,
    service: Option<Arc<dyn StreamService>>,
    source: Option<Arc<dyn EntrySource>>,
    dialer: Dialer,
    running: Option<Running>,
}

impl fmt::Debug for TcpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("TcpTransport");
        debug
            .field("address", &self.address)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Running {
    hello: Hello,
    limits: Limits,
    inbox: Inbox,
    settings: Arc<StreamSettings>,
    listener: Listener,
    links: Arc<Links>,
    dialer: Dialer,
    addresses: BTreeMap<NodeId, String>,
    senders: BTreeMap<(NodeId, StreamKind), Sender>,
    /// Nodes that were removed from the cluster, and when the last message was sent to each.
    removed: BTreeMap<NodeId, Instant>,
    /// Senders that were stopped, and whose threads have not ended yet.
    stopping: Vec<Sender>,
}

impl TcpTransport {
    /// Listens on `address`. Port 0 lets the system choose one. Connections are accepted once the
    /// node has started.
    ///
    /// # Errors
    ///
    /// [`TransportError::Io`] if it cannot listen on this address.
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
            service: None,
            source: None,
            dialer: Dialer::default(),
            running: None,
        })
    }

    /// Lets `service` serve the streams that other members open with their [dialers](Dialer), up to
    /// 64 of each member. Without it, and after the start, they are refused.
    pub fn serve_streams(&mut self, service: Arc<dyn StreamService>) {
        self.service = Some(service);
    }

    /// Opens streams to the other members' services, once the node has started.
    pub fn dialer(&self) -> Dialer {
        self.dialer.clone()
    }

    /// The address that it listens on, with the port that the system chose.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }
}

impl Transport for TcpTransport {
    fn start(&mut self, config: &Config, inbox: Inbox) -> Result<(), TransportError> {
        let Some(listener) = self.listener.take() else {
            let what = "this transport was started before: bind a new one";
            return Err(TransportError::Settings(what.into()));
        };
        let hello = Hello::of(config);
        let settings = Arc::new(StreamSettings::new(self.options.clone(), config)?);
        let links = Arc::new(Links::default());
        let acceptor = Acceptor::new(
            config.clone(),
            inbox.clone(),
            settings.clone(),
            links.clone(),
            self.service.take(),
            self.source.take(),
        );
        let listener = Listener::start(listener, acceptor);
        let listener = listener.map_err(|source| TransportError::Io {
            what: "begin to listen".into(),
            source,
        })?;
        self.dialer.start(hello, settings.clone());
        let addresses = self.options.initial_addresses.iter().cloned().collect();
        let running = Running {
            hello,
            limits: Limits::for_config(config),
            inbox,
            settings,
            listener,
            links,
            addresses,
            dialer: self.dialer.clone(),
            senders: BTreeMap::new(),
            removed: BTreeMap::new(),
            stopping: Vec::new(),
        };
        running.share_addresses();
        self.running = Some(running);
        Ok(())
    }

    fn set_members(&mut self, membership: &Membership) {
        if let Some(running) = &mut self.running {
            running.set_members(membership);
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

    fn serve_entries(&mut self, source: Arc<dyn EntrySource>) {
        self.source = Some(source);
    }

    fn fetch_entries(&mut self, peer: NodeId, fetch: &Fetch) -> FetchReply {
        let fetcher = self.fetcher();
        let reply = fetcher.map(|it| it.fetch(peer, &Request::Entries(*fetch)));
        reply.unwrap_or(FetchReply::Unreachable)
    }

    fn fetcher(&self) -> Option<Arc<dyn Fetcher>> {
        let running = self.running.as_ref()?;
        Some(Arc::new(entries::TcpFetcher {
            dialer: self.dialer.clone(),
            limits: running.limits,
            silence: running.settings.silence,
        }))
    }

    fn stop(&mut self) {
        self.listener = None;
        self.dialer.stop();
        if let Some(mut running) = self.running.take() {
            running.senders.values().for_each(Sender::stop);
            running.listener.stop();
        } // Dropping the senders waits for their threads.
    }
}

impl Drop for TcpTransport {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Running {
    /// Tells the threads that accept and open connections who the members are.
    fn share_addresses(&self) {
        self.listener.set_members(self.addresses.keys().copied());
        self.dialer.set_addresses(&self.addresses);
    }

    fn set_members(&mut self, membership: &Membership) {
        if membership.is_empty() {
            return; // The initial addresses are all that it knows.
        }
        let known = std::mem::take(&mut self.addresses);
        for member in membership.members() {
            match std::str::from_utf8(&member.context) {
                Ok(address) if !address.is_empty() => {
                    self.addresses.insert(member.id, address.to_owned());
                }
                Ok(_) | Err(_) => {
                    let node = member.id;
                    tracing::warn!(%node, "a member's context is no address: nothing is sent to it");
                }
            }
        }
        // A removed node may have to be told so. Its address stays as long as messages go to it.
        for (node, address) in known {
            let has_sender = self.senders.keys().any(|(peer, _)| *peer == node);
            if has_sender && !self.addresses.contains_key(&node) {
                self.addresses.insert(node, address);
                self.removed.entry(node).or_insert_with(Instant::now);
            }
        }
        let is_member = |node: &NodeId| membership.members().iter().any(|it| it.id == *node);
        self.removed.retain(|node, _| !is_member(node));
        for ((peer, _), sender) in &self.senders {
            if let Some(address) = self.addresses.get(peer) {
                sender.set_address(address);
            }
        }
        self.share_addresses();
    }

    fn flush(&mut self) {
        self.senders.values_mut().for_each(Sender::flush);
        if self.removed.is_empty() && self.stopping.is_empty() {
            return;
        }
        let timeout = self.settings.options.removed_peer_timeout;
        let is_over = |last: &Instant| last.elapsed() > timeout;
        while let Some(node) =
            (self.removed.iter()).find_map(|(node, last)| is_over(last).then_some(*node))
        {
            self.removed.remove(&node);
            self.addresses.remove(&node);
            for kind in [StreamKind::Messages, StreamKind::Snapshots] {
                if let Some(sender) = self.senders.remove(&(node, kind)) {
                    self.links.remove(node, kind);
                    sender.stop();
                    self.stopping.push(sender);
                }
            }
        }
        // Dropping a sender before its thread has ended would wait for it.
        self.stopping.retain(|sender| !sender.has_ended());
    }

    fn send(&mut self, to: NodeId, message: Message) {
        let kind = StreamKind::of(&message);
        if answers::is_answer(&message) {
            self.listener.answer(to, &message);
        }
        if let Some(last) = self.removed.get_mut(&to) {
            *last = Instant::now();
        }
        if let Some(sender) = self.senders.get_mut(&(to, kind)) {
            sender.push(message);
            return;
        }
        let Some(address) = self.addresses.get(&to) else {
            return; // Its address is not known.
        };
        let hello = Hello {
            to,
            kind,
            ..self.hello
        };
        match Sender::start(hello, address, self.inbox.clone(), self.settings.clone()) {
            Ok(mut sender) => {
                sender.push(message);
                self.links.add(to, kind, sender.link.clone());
                self.senders.insert((to, kind), sender);
            }
            Err(error) => {
                tracing::warn!(peer = %to, %error, "no thread could be started to send to a peer")
            }
        }
    }
}
