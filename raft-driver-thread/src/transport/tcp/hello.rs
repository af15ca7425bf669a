//! Who a connection is from, and what it is for.

use raft_proto::{ClusterId, Config, GroupId, Message, MessageKind, NodeId};
use std::io::{self, Read};

const MAGIC: &[u8; 4] = b"RAFT";
const VERSION: u8 = 1;
const BYTES: usize = 38;

/// The answer to a hello that is welcome.
pub(super) const WELCOME: u8 = 0;

/// What a connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StreamKind {
    Messages,
    Snapshots,
}

impl StreamKind {
    pub(super) fn of(message: &Message) -> StreamKind {
        match message.kind() == MessageKind::InstallSnapshot {
            true => StreamKind::Snapshots,
            false => StreamKind::Messages,
        }
    }
}

/// What a connection begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) cluster_id: ClusterId,
    pub(super) group_id: GroupId,
    pub(super) from: NodeId,
    pub(super) to: NodeId,
    pub(super) kind: StreamKind,
}

impl Hello {
    /// What this node says of itself; whom it speaks to is filled in.
    pub(super) fn of(config: &Config) -> Hello {
        Hello {
            cluster_id: config.cluster_id,
            group_id: config.group_id,
            from: config.node_id,
            to: config.node_id,
            kind: StreamKind::Messages,
        }
    }

    pub(super) fn encode(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4] = VERSION;
        let ids = [self.cluster_id.0, self.group_id.0, self.from.0, self.to.0];
        for (place, id) in bytes[5..37].chunks_exact_mut(8).zip(ids) {
            place.copy_from_slice(&id.to_le_bytes());
        }
        bytes[37] = match self.kind {
            StreamKind::Messages => 0,
            StreamKind::Snapshots => 1,
        };
        bytes
    }

    pub(super) fn read(stream: &mut impl Read) -> io::Result<Hello> {
        let refuse = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidData, what));
        // The beginning by itself: what is something else may be shorter.
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        if !head.starts_with(MAGIC) {
            return refuse("it does not begin as a node does");
        }
        if head[4] != VERSION {
            return refuse("it speaks another version: upgrade one release at a time");
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
            0 => StreamKind::Messages,
            1 => StreamKind::Snapshots,
            _ => return refuse("it wants to send what is not known here"),
        };
        Ok(Hello {
            cluster_id: ClusterId(cluster),
            group_id: GroupId(group),
            from: NodeId(from),
            to: NodeId(to),
            kind,
        })
    }

    /// Why this node does not listen to it: a code for the peer, and a reason for the log.
    pub(super) fn refusal(&self, config: &Config) -> Option<(u8, &'static str)> {
        if self.cluster_id != config.cluster_id {
            Some((1, "it is of another cluster"))
        } else if self.group_id != config.group_id {
            Some((2, "it is of another group"))
        } else if self.to != config.node_id {
            Some((3, "it wants to speak to another node: is an address wrong?"))
        } else if self.from == config.node_id {
            Some((4, "it claims to be this node"))
        } else {
            None
        }
    }
}
