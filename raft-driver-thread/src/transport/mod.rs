//! How messages reach other nodes.
//!
//! Raft asks little of a network: messages may be lost, delayed, repeated and reordered. What it
//! does ask is that a message arrives as it was sent, and from whom it says: the implementation
//! vouches for that.

pub mod channel;
#[cfg(feature = "tcp")]
pub mod tcp;

use crate::inbox::Inbox;
use raft_proto::{Config, Membership, Message, NodeId};
use std::io;

/// Carries messages to peers and delivers theirs.
///
/// All methods are called by the thread that has the core's turn, which may be any of the node's, one at a
/// time. None may wait for a peer, a connection or a disk: a transport has threads and bounded queues of its
/// own, and drops what does not fit.
pub trait Transport: Send + 'static {
    /// Begins to listen and to deliver to `inbox`, for the node with this config. Called once,
    /// first.
    ///
    /// # Errors
    ///
    /// [`TransportError`] if it cannot: the node does not start.
    fn start(&mut self, config: &Config, inbox: Inbox) -> Result<(), TransportError>;

    /// These are the members now; a context is what the cluster's administrator gave to each,
    /// for this transport an address. Called after `start` and whenever they change. Nodes that
    /// are no members any more may still be sent to for a while: a leader tells them that they
    /// are removed.
    fn members(&mut self, membership: &Membership);

    /// Sends `message` to `to`, or drops it.
    fn send(&mut self, to: NodeId, message: Message);

    /// The end of a turn: what was sent can leave now, together.
    fn flush(&mut self);

    /// Ends: closes what is open, frees the port, joins the threads. No message is delivered
    /// afterwards. Called once; a transport that is dropped without it does the same.
    fn stop(&mut self);
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn start(&mut self, config: &Config, inbox: Inbox) -> Result<(), TransportError> {
        (**self).start(config, inbox)
    }

    fn members(&mut self, membership: &Membership) {
        (**self).members(membership);
    }

    fn send(&mut self, to: NodeId, message: Message) {
        (**self).send(to, message);
    }

    fn flush(&mut self) {
        (**self).flush();
    }

    fn stop(&mut self) {
        (**self).stop();
    }
}

/// Why a transport could not begin.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The operating system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, and with which address.
        what: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A setting makes no sense, or certificates do not fit each other.
    #[error("the transport's settings: {0}")]
    Settings(String),
}
