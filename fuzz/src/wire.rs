//! Any bytes as a frame. The decoder does not panic and copies no payload, and a decoded message
//! keeps its meaning when it is encoded and decoded again.

use bytes::Bytes;
use raft_proto::wire::{self, DecodeError, Envelope, Limits};
use raft_proto::{ClusterId, Config, Message, NodeId, Start};

/// Decodes `data` as a whole frame, and as the rest of a frame after a valid envelope.
pub fn run(data: &[u8]) {
    let config = Config::new(ClusterId(7), NodeId(1), Start::Join, 0);
    let limits = Limits::for_config(&config);
    let _ = check(Bytes::copy_from_slice(data), &limits);
    let after_an_envelope = [&[wire::VERSION, 7, 0, 2, 1], data].concat();
    let _ = check(Bytes::from(after_an_envelope), &limits);
    // Limits that short frames can reach.
    let tight = Limits {
        max_frame_bytes: 200,
        max_entries: 3,
        max_entry_bytes: 8,
    };
    if let Ok((_, message)) = check(Bytes::copy_from_slice(data), &tight) {
        check_limits(&message, &tight);
    }
}

fn check(frame: Bytes, limits: &Limits) -> Result<(Envelope, Message), DecodeError> {
    let envelope = wire::decode_envelope(&frame);
    let decoded = wire::decode(frame.clone(), limits);
    let Ok((found, message)) = &decoded else {
        return decoded;
    };
    assert_eq!(
        Ok(*found),
        envelope,
        "the envelope alone decodes to the same"
    );
    let memory = frame.as_ptr_range();
    for payload in wire::payloads(message).filter(|payload| !payload.is_empty()) {
        let place = payload.as_ptr_range();
        let shared = memory.start <= place.start && place.end <= memory.end;
        assert!(shared, "a payload was copied");
    }
    let again = wire::encode(found, message);
    assert!(
        again.len() <= frame.len(),
        "the encoder writes no more bytes than the frame has"
    );
    let second = wire::decode(again.clone(), limits);
    assert_eq!(second, decoded, "a message decodes to itself");
    if let Ok((found, message)) = &second {
        let twice = wire::encode(found, message);
        assert_eq!(again, twice, "a message has one encoding");
    }
    decoded
}

fn check_limits(message: &Message, limits: &Limits) {
    match message {
        Message::AppendEntries(message) => {
            assert!(message.entries.len() as u64 <= limits.max_entries);
            for entry in &message.entries {
                assert!(entry.payload().len() as u64 <= limits.max_entry_bytes);
            }
        }
        Message::RequestVote(_)
        | Message::RequestVoteReply(_)
        | Message::AppendEntriesReply(_)
        | Message::InstallSnapshot(_)
        | Message::InstallSnapshotReply(_)
        | Message::PreVote(_)
        | Message::PreVoteReply(_)
        | Message::TimeoutNow(_)
        | Message::ReadIndex(_)
        | Message::ReadIndexReply(_) => {}
    }
}
