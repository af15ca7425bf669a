//! The handshake: how a connection begins.

use raft_proto::{ClusterId, Config, GroupId, Incarnation, Message, MessageKind, NodeId};
use std::io::{self, Read};

const MAGIC: &[u8; 4] = b"RAFT";
const VERSION: u8 = 1;
const BYTES: usize = 38;

/// Messages, of which long ones come in pieces.
const IN_PIECES: u8 = 4;

/// The answer to a hello: messages may follow. Any other answer is the code of a [`Refusal`].
pub(super) const ACCEPTED: u8 = 0;

/// What a connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StreamKind {
    Messages,
    Snapshots,
    /// Bytes of the service's own, both ways.
    Service,
    /// A request for entries that a disk has lost, and the reply.
    Entries,
}

impl StreamKind {
    /// Whether both ends speak. Each node may have several of these with a peer.
    pub(super) fn is_dialogue(self) -> bool {
        matches!(self, StreamKind::Service | StreamKind::Entries)
    }

    pub(super) fn of(message: &Message) -> StreamKind {
        if message.kind() == MessageKind::InstallSnapshot {
            StreamKind::Snapshots
        } else {
            StreamKind::Messages
        }
    }
}

/// The first bytes of a connection. The [module above](super) describes their layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) cluster_id: ClusterId,
    pub(super) group_id: GroupId,
    pub(super) from: NodeId,
    pub(super) to: NodeId,
    pub(super) kind: StreamKind,
    /// Whether long messages come in pieces. A peer of an earlier release does not know that, and
    /// closes the connection without an answer.
    pub(super) in_pieces: bool,
    /// The sender's storage. Each message carries it; the hello does not, and one that was read has
    /// none.
    pub(super) incarnation: Option<Incarnation>,
}

impl Hello {
    /// A hello from this node. The caller sets `to` and `kind`.
    pub(super) fn of(config: &Config) -> Hello {
        Hello {
            cluster_id: config.cluster_id,
            group_id: config.group_id,
            from: config.node_id,
            to: config.node_id,
            kind: StreamKind::Messages,
            in_pieces: false,
            incarnation: config.incarnation,
        }
    }

    pub(super) fn encode(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4] = VERSION;
        let ids = [self.cluster_id.0, self.group_id.0, self.from.0, self.to.0];
        for (slot, id) in bytes[5..37].chunks_exact_mut(8).zip(ids) {
            slot.copy_from_slice(&id.to_le_bytes());
        }
        bytes[37] = match self.kind {
            StreamKind::Messages if self.in_pieces => IN_PIECES,
            StreamKind::Messages => 0,
            StreamKind::Snapshots => 1,
            StreamKind::Service => 2,
            StreamKind::Entries => 3,
        };
        bytes
    }

    pub(super) fn read(stream: &mut impl Read) -> io::Result<Hello> {
        let invalid = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidData, what));
        // The first five bytes by themselves: another protocol may send fewer than a hello has.
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        if !head.starts_with(MAGIC) {
            return invalid("it does not begin as a node does");
        }
        if head[4] != VERSION {
            return invalid("it speaks another version: upgrade one release at a time");
        }
        let mut rest = [0; BYTES - 5];
        stream.read_exact(&mut rest)?;
        let mut ids = [0; 4];
        for (id, bytes) in ids.iter_mut().zip(rest.chunks_exact(8)) {
            let mut number = [0; 8];
            number.copy_from_slice(bytes);
            *id = u64::from_le_bytes(number);
        }
        let [cluster, group, from, to] = ids;
        let kind = match rest[32] {
            0 | IN_PIECES => StreamKind::Messages,
            1 => StreamKind::Snapshots,
            2 => StreamKind::Service,
            3 => StreamKind::Entries,
            _ => return invalid("it wants to send something that this node does not know"),
        };
        Ok(Hello {
            cluster_id: ClusterId(cluster),
            group_id: GroupId(group),
            from: NodeId(from),
            to: NodeId(to),
            kind,
            in_pieces: rest[32] == IN_PIECES,
            incarnation: None,
        })
    }

    /// Whether the node with this config accepts the connection.
    pub(super) fn check(&self, config: &Config) -> Result<(), Refusal> {
        if self.cluster_id != config.cluster_id {
            Err(Refusal::OtherCluster)
        } else if self.group_id != config.group_id {
            Err(Refusal::OtherGroup)
        } else if self.to != config.node_id {
            Err(Refusal::OtherReceiver)
        } else if self.from == config.node_id {
            Err(Refusal::SameNode)
        } else {
            Ok(())
        }
    }
}

/// Why a node does not accept a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    OtherCluster,
    OtherGroup,
    OtherReceiver,
    SameNode,
    /// It wants a stream on which both ends speak, and is no member, has too many, or there is no
    /// service.
    NoService,
}

impl Refusal {
    /// The answer to the sender.
    pub(super) fn code(self) -> u8 {
        match self {
            Refusal::OtherCluster => 1,
            Refusal::OtherGroup => 2,
            Refusal::OtherReceiver => 3,
            Refusal::SameNode => 4,
            Refusal::NoService => 5,
        }
    }

    /// For the log of the node that refuses.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Refusal::OtherCluster => "it is of another cluster",
            Refusal::OtherGroup => "it is of another group",
            Refusal::OtherReceiver => "it wants to reach another node: is an address wrong?",
            Refusal::SameNode => "it claims to be this node",
            Refusal::NoService => "it wants a stream that is not served, and cannot have one",
        }
    }

    /// For the log of the node that is refused with this code.
    pub(super) fn explain(code: u8) -> &'static str {
        match code {
            1 => "it is of another cluster",
            2 => "it is of another group",
            3 => "its address is that of another node",
            5 => "it serves this node no stream now: none is served, or too many are open",
            _ => "it refuses this node: see its log",
        }
    }
}
