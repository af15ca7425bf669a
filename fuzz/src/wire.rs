//! Any bytes as a frame: no panic, memory in proportion to the frame, and what decodes means
//! the same when it is encoded and decoded again.

use bytes::Bytes;
use raft_proto::wire::{self, DecodeError, Envelope, Limits};
use raft_proto::{ClusterId, Config, Message, NodeId, Start};

/// Runs `data` through the decoder, as it is and as the rest of a frame with a good beginning.
pub fn run(data: &[u8]) {
    let config = Config::new(ClusterId(7), NodeId(1), Start::Join, 0);
    let limits = Limits::for_config(&config);
    let _ = check(Bytes::copy_from_slice(data), &limits);
    let behind_an_envelope = [&[wire::VERSION, 7, 0, 2, 1], data].concat();
    let _ = check(Bytes::from(behind_an_envelope), &limits);
    // Limits that such short frames can reach.
    let tight = Limits {
        max_frame_bytes: 200,
        max_entries: 3,
        max_entry_bytes: 8,
    };
    if let Ok((_, message)) = check(Bytes::copy_from_slice(data), &tight) {
        within(&message, &tight);
    }
}

fn check(frame: Bytes, limits: &Limits) -> Result<(Envelope, Message), DecodeError> {
    let envelope = wire::decode_envelope(&frame);
    let decoded = wire::decode(frame.clone(), limits);
    let Ok((found, message)) = &decoded else {
        return decoded;
    };
    assert_eq!(Ok(*found), envelope, "the envelope alone says the same");
    let memory = frame.as_ptr_range();
    for payload in wire::payloads(message).filter(|payload| !payload.is_empty()) {
        let within = payload.as_ptr_range();
        let shared = memory.start <= within.start && within.end <= memory.end;
        assert!(shared, "a payload was copied");
    }
    let again = wire::encode(found, message);
    assert!(again.len() <= frame.len(), "the encoder writes no more");
    let second = wire::decode(again.clone(), limits);
    assert_eq!(second, decoded, "it means the same");
    if let Ok((found, message)) = &second {
        let twice = wire::encode(found, message);
        assert_eq!(again, twice, "one meaning has one encoding");
    }
    decoded
}

fn within(message: &Message, limits: &Limits) {
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
