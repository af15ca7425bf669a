//! How messages reach other nodes.
//!
//! Raft asks little of a network: messages may be lost, delayed, repeated and reordered. But a
//! message that arrives has to be unchanged, and its sender has to be the node that it names. The
//! implementation vouches for both.

pub mod channel;
#[cfg(feature = "tcp")]
pub mod tcp;

use crate::inbox::Inbox;
use raft_proto::mending::{Fetch, FetchReply, Request};
use raft_proto::{Config, Membership, Message, NodeId};
use std::io;
use std::sync::Arc;

/// Sends messages to peers, and delivers those of peers to an [`Inbox`].
///
/// All methods but [`start`](Transport::start) and those about entries are called by the thread
/// that takes the core's turn: any of the node's threads, one at a time. No method may wait for a
/// peer, a connection or a disk. A transport has threads and bounded queues of its own, and drops
/// messages that do not fit.
pub trait Transport: Send + 'static {
    /// Starts to listen, and to deliver to `inbox`, for the node with this config, whose
    /// [`incarnation`](Config::incarnation) each message has to carry to its receiver. Called once,
    /// and before the other methods.
    ///
    /// # Errors
    ///
    /// [`TransportError`]: the node does not start.
    fn start(&mut self, config: &Config, inbox: Inbox) -> Result<(), TransportError>;

    /// Sets the current members. The administrator gave each a context, from which the transport
    /// knows the member's address. Called after `start`, and whenever the members change. Messages
    /// to a node that was removed may follow for a while: a leader tells it that it is removed.
    fn set_members(&mut self, membership: &Membership);

    /// Sends `message` to `to`, or drops it.
    fn send(&mut self, to: NodeId, message: Message);

    /// The turn has ended: the messages that were sent in it can leave now, together.
    fn flush(&mut self);

    /// Lets `source` answer peers that fetch entries which their disks have lost
    /// ([`mending`](raft_proto::mending)). Called before `start`, if at all. Each request comes from
    /// a member of the cluster, and under its identity. By default nobody is answered.
    fn serve_entries(&mut self, source: Arc<dyn EntrySource>) {
        let _ = source;
    }

    /// Asks a peer's [source](EntrySource) for entries, and waits for the reply, not longer than
    /// the transport's timeouts: called after `start`, before this node takes part in the protocol.
    /// By default nobody has any.
    fn fetch_entries(&mut self, peer: NodeId, fetch: &Fetch) -> FetchReply {
        let _ = (peer, fetch);
        FetchReply::HaveNot
    }

    /// What asks peers' [sources](EntrySource) while the node runs, from any thread. Asked for after
    /// `start`. By default there is nothing, and the node does not compare its state with others'.
    fn fetcher(&self) -> Option<Arc<dyn Fetcher>> {
        None
    }

    /// Stops: closes the connections, frees the port, joins the threads. No message is delivered
    /// afterwards. Called at most once. A transport that is dropped has to do the same.
    fn stop(&mut self);
}

/// Has entries for peers whose disks have lost them.
pub trait EntrySource: Send + Sync + 'static {
    /// The reply to a peer. It may wait for the disk.
    fn fetch(&self, fetch: &Fetch) -> FetchReply;

    /// The reply to anything that a peer may ask. By default entries are all that there is.
    fn answer(&self, request: &Request) -> FetchReply {
        match request {
            Request::Entries(fetch) => self.fetch(fetch),
            Request::Digests
            | Request::Noted
            | Request::Snapshot { .. }
            | Request::Chunk { .. } => FetchReply::HaveNot,
        }
    }
}

/// Asks peers' [sources](EntrySource), while the node runs.
pub trait Fetcher: Send + Sync + 'static {
    /// Asks a peer, and waits for the reply, not longer than the transport's timeouts.
    fn fetch(&self, peer: NodeId, request: &Request) -> FetchReply;
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn start(&mut self, config: &Config, inbox: Inbox) -> Result<(), TransportError> {
        (**self).start(config, inbox)
    }

    fn set_members(&mut self, membership: &Membership) {
        (**self).set_members(membership);
    }

    fn send(&mut self, to: NodeId, message: Message) {
        (**self).send(to, message);
    }

    fn flush(&mut self) {
        (**self).flush();
    }

    fn serve_entries(&mut self, source: Arc<dyn EntrySource>) {
        (**self).serve_entries(source);
    }

    fn fetch_entries(&mut self, peer: NodeId, fetch: &Fetch) -> FetchReply {
        (**self).fetch_entries(peer, fetch)
    }

    fn fetcher(&self) -> Option<Arc<dyn Fetcher>> {
        (**self).fetcher()
    }

    fn stop(&mut self) {
        (**self).stop();
    }
}

/// Why a transport could not start.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The operating system refused.
    #[error("{what}: {source}")]
    Io {
        /// What the transport was doing, and with which address.
        what: String,
        /// The operating system's error.
        source: io::Error,
    },
    /// A setting is invalid, or the certificates do not belong together.
    #[error("the transport's settings: {0}")]
    Settings(String),
}
