//! How a [`TcpTransport`](super::TcpTransport) is set up.

#[cfg(feature = "tls")]
use super::tls::TlsOptions;
use raft_proto::NodeId;
use std::time::Duration;

/// How a node is reached, and how it reaches others.
#[derive(Clone, Debug)]
pub struct TcpOptions {
    /// Whether peers prove who they are.
    pub security: Security,
    /// How many bytes of messages may wait to be sent to one peer. Default 32 MiB.
    pub max_queue_bytes: u64,
    /// How many connections that others opened may be open at once. A quarter of them may be of
    /// others than members, or of those that have not said yet who they are: a further one of them
    /// closes the oldest one of the address that has most. Default 256.
    pub max_connections: usize,
    /// How long the handshake of a connection may take, all of it together. Default 5 s.
    pub handshake_timeout: Duration,
    /// After how long a silence the connections with a peer are closed and opened anew. A peer that
    /// has nothing to say says so three times as often. The same on all nodes. Default: twice the
    /// longest election timeout, and at least 1 s.
    pub silence_timeout: Option<Duration>,
    /// How long the connection to a node that was removed from the cluster stays open after the
    /// last message to it. Default 10 s.
    pub removed_peer_timeout: Duration,
    /// The addresses, as `host:port`, of nodes that this node may have to answer before it knows
    /// any member. A node that joins needs them: the leader that sends to it stands in no
    /// log that it has received. Ignored as soon as the node knows members. Default none.
    pub initial_addresses: Vec<(NodeId, String)>,
}

/// Whether peers prove who they are, and whether others can read what is sent. There is no default.
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
            silence_timeout: None,
            removed_peer_timeout: Duration::from_secs(10),
            initial_addresses: Vec::new(),
        }
    }
}
