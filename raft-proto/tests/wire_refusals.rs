//! Bytes that are no message, and messages for another node, are refused with the right error.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use bytes::Bytes;
use raft_proto::wire::{self, DecodeError, Envelope, Limits, ReceiveError, Received, Receiver};
use raft_proto::*;
use support::frames::*;

#[test]
fn a_frame_of_another_version_is_refused() {
    let mut frame = frame(&heartbeat());
    frame[0] = 2;
    let error = decode_error(frame.clone());
    assert_eq!(error, DecodeError::UnknownVersion { found: 2 });
    let text = error.to_string();
    assert!(text.contains("reads version 1"), "{text}");
    assert_eq!(wire::decode_envelope(&frame), Err(error));
}

#[test]
fn a_frame_over_the_limit_is_refused() {
    let limits = Limits {
        max_frame_bytes: 10,
        ..LIMITS
    };
    let frame = wire::encode(&envelope(), &heartbeat());
    let size = frame.len() as u64;
    let error = wire::decode(frame, &limits).unwrap_err();
    assert_eq!(error, DecodeError::FrameTooLarge { size, limit: 10 });
}

#[test]
fn an_empty_or_broken_envelope_is_refused() {
    let truncated = |field| DecodeError::Truncated { field };
    assert_eq!(decode_error(vec![]), truncated("version"));
    assert_eq!(decode_error(vec![1, 7, 0]), truncated("envelope"));
    assert_eq!(decode_error(raw(&[])), truncated("message kind"));
    assert_eq!(decode_error(raw(&[2, 3])), truncated("AppendEntries"));
}

#[test]
fn a_number_beyond_64_bits_is_refused() {
    let too_long = [&[1, 0xff][..], &[0xff; 9], &[0x7f]].concat();
    let field = "envelope";
    assert_eq!(
        decode_error(too_long),
        DecodeError::NumberOutOfRange { field }
    );
    let checksum_of_33_bits = [4, 9, 0, 0, 100, 8, 0, 0xff, 0xff, 0xff, 0xff, 0x1f, 0];
    let field = "snapshot id";
    let expected = DecodeError::NumberOutOfRange { field };
    assert_eq!(decode_error(raw(&checksum_of_33_bits)), expected);
}

#[test]
fn a_message_of_an_unknown_kind_is_no_reason_to_close_the_connection() {
    for kind in [11, 0x0f, 0x13, 0x20, 0xff_u8] {
        let error = decode_error(raw(&[kind, 1, 2, 3]));
        assert_eq!(error, DecodeError::UnknownMessage { kind });
        assert!(error.is_newer());
        let received = Receiver::new(&config(2)).accept(raw(&[kind]).into());
        assert!(received.unwrap_err().is_newer());
    }
    let of_another_version = [&[2][..], &raw(&[11])[1..]].concat();
    assert!(!decode_error(of_another_version).is_newer());
}

#[test]
fn an_unknown_variant_or_kind_of_entry_is_refused() {
    let unknown = |field| DecodeError::UnknownKind { field };
    assert_eq!(decode_error(raw(&[1, 3, 2])), unknown("RequestVoteReply"));
    assert_eq!(
        decode_error(raw(&[3, 3, 4, 0])),
        unknown("AppendEntriesReply")
    );
    assert_eq!(
        decode_error(raw(&[5, 3, 5, 4, 4])),
        unknown("InstallSnapshotReply")
    );
    let entry = [2, 3, 6, 2, 6, 0, 0, 0, 1, 2, 3, 1, 0];
    assert_eq!(decode_error(raw(&entry)), unknown("run"));
}

/// `u64::MAX` as a varint.
const GREATEST: [u8; 10] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];

#[test]
fn a_count_beyond_the_frame_is_refused() {
    let beyond = |what, remaining| DecodeError::CountBeyondFrame {
        what,
        claimed: u64::MAX,
        remaining,
    };
    let region = [&[2, 3, 6, 2, 6, 0, 0][..], &GREATEST, &[0]].concat();
    assert_eq!(decode_error(raw(&region)), beyond("bytes of payload", 1));
    let runs = [&[2, 3, 6, 2, 6, 0, 0, 0][..], &GREATEST, &[2, 0, 1, 0]].concat();
    assert_eq!(decode_error(raw(&runs)), beyond("runs", 4));
    let entries = [&[2, 3, 6, 2, 6, 0, 0, 0, 1, 2, 0][..], &GREATEST, &[0]].concat();
    assert_eq!(decode_error(raw(&entries)), beyond("entries", 1));
    let data = [&[4, 9][..], &GREATEST, &[0, 9]].concat();
    assert_eq!(decode_error(raw(&data)), beyond("bytes of payload", 1));
    let members = [&[4, 9, 0, 0, 100, 8, 0, 0][..], &GREATEST, &[1]].concat();
    // The remaining bytes are counted before the number of members is read.
    assert_eq!(decode_error(raw(&members)), beyond("members", 11));
}

#[test]
fn too_many_entries_are_refused() {
    let limits = Limits {
        max_entries: 2,
        ..LIMITS
    };
    let three = append(
        EntryId::new(6, 2),
        entries(7, &[(2, "a"), (3, "b"), (3, "c")]),
    );
    let error = wire::decode(wire::encode(&envelope(), &three), &limits).unwrap_err();
    let (claimed, limit) = (3, 2);
    assert_eq!(error, DecodeError::TooManyEntries { claimed, limit });
}

#[test]
fn an_entry_over_the_limit_is_refused() {
    let limits = Limits {
        max_entry_bytes: 3,
        ..LIMITS
    };
    let long = append(EntryId::new(6, 2), entries(7, &[(2, "1234")]));
    let error = wire::decode(wire::encode(&envelope(), &long), &limits).unwrap_err();
    let (size, limit) = (4, 3);
    assert_eq!(error, DecodeError::EntryTooLarge { size, limit });
    let claimed = [&[2, 3, 6, 2, 6, 0, 0, 0, 1, 2, 0, 1][..], &GREATEST].concat();
    let (size, limit) = (u64::MAX, LIMITS.max_entry_bytes);
    let expected = DecodeError::EntryTooLarge { size, limit };
    assert_eq!(decode_error(raw(&claimed)), expected);
}

#[test]
fn lengths_that_do_not_sum_to_the_region_are_refused() {
    let sums = |sum, region| DecodeError::LengthsDoNotSum { sum, region };
    let too_little = [2, 3, 6, 2, 6, 0, 0, 2, 1, 2, 0, 1, 1, b'a', b'b'];
    assert_eq!(decode_error(raw(&too_little)), sums(1, 2));
    let too_much = [
        2, 3, 6, 2, 6, 0, 0, 2, 2, 2, 0, 1, 1, 3, 0, 1, 2, b'a', b'b',
    ];
    assert_eq!(decode_error(raw(&too_much)), sums(3, 2));
    let no_entries = [2, 3, 6, 2, 6, 0, 0, 2, 0, b'a', b'b'];
    assert_eq!(decode_error(raw(&no_entries)), sums(0, 2));
    // A sum that, if it wrapped around, would be the length of the region.
    let limits = Limits {
        max_entry_bytes: u64::MAX,
        ..LIMITS
    };
    let all = [
        &[2, 3, 6, 2, 6, 0, 0, 1, 1, 2, 0, 2, 1][..],
        &GREATEST,
        b"a",
    ]
    .concat();
    let error = wire::decode(Bytes::from(raw(&all)), &limits).unwrap_err();
    assert_eq!(error, sums(u64::MAX, 1));
}

#[test]
fn an_empty_run_is_refused() {
    let empty = [2, 3, 6, 2, 6, 0, 0, 0, 1, 2, 0, 0, 0];
    assert_eq!(decode_error(raw(&empty)), DecodeError::EmptyRun);
}

#[test]
fn indexes_beyond_the_greatest_number_are_refused() {
    let prev = u64::MAX;
    let body = [&[2, 3][..], &GREATEST, &[2, 6, 0, 0, 0, 1, 2, 0, 1, 0]].concat();
    let count = 1;
    let expected = DecodeError::IndexOverflow { prev, count };
    assert_eq!(decode_error(raw(&body)), expected);
}

#[test]
fn a_message_for_this_node_is_accepted() {
    let frame = wire::encode(&envelope(), &heartbeat());
    let accepted = Receiver::new(&config(2)).accept(frame);
    let received = Received {
        from: NodeId(1),
        incarnation: None,
        message: heartbeat(),
        unknown_bytes: 0,
    };
    assert_eq!(accepted, Ok(received));
}

#[test]
fn a_message_for_another_cluster_group_or_node_is_refused() {
    let from = NodeId(1);
    let receiver = Receiver::new(&config(2));
    let refused = |envelope: Envelope| {
        let mut frame = wire::encode(&envelope, &heartbeat()).to_vec();
        frame.truncate(frame.len() - 1); // No message either, but the addressee is checked first.
        receiver.accept(Bytes::from(frame)).unwrap_err()
    };
    let error = refused(Envelope {
        cluster_id: ClusterId(8),
        ..envelope()
    });
    let (found, ours) = (ClusterId(8), ClusterId(7));
    assert_eq!(error, ReceiveError::OtherCluster { from, found, ours });
    let error = refused(Envelope {
        group_id: GroupId(5),
        ..envelope()
    });
    let (found, ours) = (GroupId(5), GroupId(0));
    assert_eq!(error, ReceiveError::OtherGroup { from, found, ours });
    let error = refused(Envelope {
        to: NodeId(3),
        ..envelope()
    });
    let (addressee, ours) = (NodeId(3), NodeId(2));
    let expected = ReceiveError::OtherAddressee {
        from,
        addressee,
        ours,
    };
    assert_eq!(error, expected);
    let text = error.to_string();
    assert!(text.contains("from n1 to n3 reached n2"), "{text}");
    let error = refused(envelope());
    assert_eq!(
        error,
        ReceiveError::Decode(DecodeError::Truncated {
            field: "number of runs"
        })
    );
}

/// The frame of entries with these payloads, each in a term of its own.
fn append_of(payloads: Vec<Bytes>) -> Bytes {
    let mut builder = EntriesBuilder::new();
    for (at, payload) in payloads.into_iter().enumerate() {
        let id = EntryId::new(at as u64 + 1, at as u64 + (1 << 40));
        builder.push(id, EntryKind::Command, payload).unwrap();
    }
    wire::encode(&envelope(), &append(EntryId::ZERO, builder.finish()))
}

#[test]
fn the_limits_of_a_config_admit_all_that_it_sends() {
    let mut config = config(1);
    let many_small = vec![Bytes::new(); (config.max_append_bytes / ENTRY_OVERHEAD) as usize];
    let header_bytes = 1 << 16;
    assert!(append_of(many_small).len() as u64 <= config.max_append_bytes + header_bytes);

    config.max_append_bytes = 32 << 20;
    config.max_entry_bytes = config.max_append_bytes - ENTRY_OVERHEAD;
    let limits = Limits::for_config(&config);
    let one_large = append_of(vec![Bytes::from(vec![0; config.max_entry_bytes as usize])]);
    assert!(wire::decode(one_large, &limits).is_ok());
    let beyond = Bytes::from(vec![1; limits.max_frame_bytes as usize + 1]);
    let error = wire::decode(beyond, &limits).unwrap_err();
    assert!(matches!(error, DecodeError::FrameTooLarge { .. }));
}
