//! Messages as bytes: what is encoded decodes to the same, in little space and without a copy,
//! and what is no message is refused for the right reason.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "wire/arrives.rs"]
mod arrives;
#[path = "wire/receiver.rs"]
mod receiver;
#[path = "wire/refused.rs"]
mod refused;

use bytes::Bytes;
use raft_proto::wire::{self, DecodeError, Envelope, Limits};
use raft_proto::*;

const LIMITS: Limits = Limits {
    max_frame_bytes: 1 << 20,
    max_entries: 1 << 12,
    max_entry_bytes: 1 << 16,
};

fn envelope() -> Envelope {
    Envelope {
        cluster_id: ClusterId(7),
        group_id: GroupId(0),
        from: NodeId(1),
        to: NodeId(2),
    }
}

fn config(node_id: u64) -> Config {
    let voters = vec![NodeId(1), NodeId(2), NodeId(3)];
    Config::new(
        ClusterId(7),
        NodeId(node_id),
        Start::Bootstrap { voters },
        0,
    )
}

fn append(prev_log: EntryId, entries: Entries) -> Message {
    Message::AppendEntries(AppendEntries {
        term: Term(3),
        prev_log,
        leader_commit: Index(6),
        entries,
    })
}

fn entries(first: u64, payloads: &[(u64, &'static str)]) -> Entries {
    let mut builder = EntriesBuilder::new();
    for (at, (term, payload)) in payloads.iter().enumerate() {
        let id = EntryId::new(first + at as u64, *term);
        builder
            .push(
                id,
                EntryKind::Command,
                Bytes::from_static(payload.as_bytes()),
            )
            .unwrap();
    }
    builder.finish()
}

fn chunk(data: &'static [u8]) -> Message {
    Message::InstallSnapshot(Box::new(InstallSnapshot {
        term: Term(9),
        snapshot: SnapshotMeta {
            id: SnapshotId {
                last: EntryId::new(100, 8),
                size: 300,
                checksum: 0xdead_beef,
            },
            membership: Membership::new([NodeId(1), NodeId(2)]),
        },
        offset: 128,
        data: Bytes::from_static(data),
    }))
}

fn heartbeat() -> Message {
    append(EntryId::new(1000, 3), Entries::EMPTY)
}

fn frame(message: &Message) -> Vec<u8> {
    wire::encode(&envelope(), message).to_vec()
}

fn refused(frame: Vec<u8>) -> DecodeError {
    wire::decode(Bytes::from(frame), &LIMITS).unwrap_err()
}

/// A frame from raw bytes after the envelope; numbers below 128 are a byte each.
fn raw(body: &[u8]) -> Vec<u8> {
    [&[wire::VERSION, 7, 0, 1, 2], body].concat()
}
