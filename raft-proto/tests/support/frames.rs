//! Messages and their frames, for the tests of the wire format.

use bytes::Bytes;
use raft_proto::wire::{self, DecodeError, Envelope, Limits};
use raft_proto::*;

pub const LIMITS: Limits = Limits {
    max_frame_bytes: 1 << 20,
    max_entries: 1 << 12,
    max_entry_bytes: 1 << 16,
};

pub fn envelope() -> Envelope {
    Envelope {
        cluster_id: ClusterId(7),
        group_id: GroupId(0),
        from: NodeId(1),
        to: NodeId(2),
        incarnation: None,
    }
}

pub fn config(node_id: u64) -> Config {
    let voters = vec![NodeId(1), NodeId(2), NodeId(3)];
    Config::new(ClusterId(7), NodeId(node_id), Start::voters(voters), 0)
}

pub fn append(prev_log: EntryId, entries: Entries) -> Message {
    Message::AppendEntries(AppendEntries {
        round: 0,
        revoked: 0,
        promise_millis: 0,
        term: Term(3),
        prev_log,
        leader_commit: Index(6),
        entries,
        lineage: Lineage::Unknown,
    })
}

pub fn entries(first: u64, payloads: &[(u64, &'static str)]) -> Entries {
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

pub fn chunk(data: &'static [u8]) -> Message {
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

pub fn heartbeat() -> Message {
    append(EntryId::new(1000, 3), Entries::EMPTY)
}

pub fn frame(message: &Message) -> Vec<u8> {
    wire::encode(&envelope(), message).to_vec()
}

/// The error with which the decoder refuses a frame.
pub fn decode_error(frame: Vec<u8>) -> DecodeError {
    wire::decode(Bytes::from(frame), &LIMITS).unwrap_err()
}

/// A frame whose bytes after the envelope are `body`. A number below 128 takes one byte.
pub fn raw(body: &[u8]) -> Vec<u8> {
    [&[wire::VERSION, 7, 0, 1, 2], body].concat()
}
