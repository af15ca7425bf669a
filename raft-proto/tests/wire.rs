//! Messages as bytes: what is encoded decodes to the same, in little space and without a copy,
//! and what is no message is refused for the right reason.
#![allow(clippy::unwrap_used, clippy::panic)]

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use raft_proto::wire::{self, DecodeError, Envelope, Limits, ReceiveError, Receiver};
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

// What is sent arrives.

fn id() -> impl Strategy<Value = EntryId> {
    (any_number(), any_number()).prop_map(|(index, term)| EntryId::new(index, term))
}

fn any_number() -> impl Strategy<Value = u64> {
    prop_oneof![0..10u64, any::<u64>(), Just(u64::MAX)]
}

fn some_entries() -> impl Strategy<Value = (EntryId, Entries)> {
    let kind = prop_oneof![
        4 => Just(EntryKind::Command),
        1 => Just(EntryKind::Noop)
    ];
    let entry = (0..2u64, kind, vec(any::<u8>(), 0..20));
    (0..1u64 << 62, 0..1u64 << 60, vec(entry, 0..40)).prop_map(|(index, term, all)| {
        let prev = EntryId::new(index, term);
        let mut last = prev;
        let mut builder = EntriesBuilder::new();
        for (rise, kind, payload) in all {
            last = EntryId::new(last.index.0 + 1, last.term.0 + rise);
            builder.push(last, kind, Bytes::from(payload)).unwrap();
        }
        (prev, builder.finish())
    })
}

fn append_outcome() -> impl Strategy<Value = AppendOutcome> {
    prop_oneof![
        (any_number(), any_number()).prop_map(|(durable, received)| AppendOutcome::Accepted {
            match_index: Index(durable),
            received: Index(received),
        }),
        (any_number(), id()).prop_map(|(prev, hint)| AppendOutcome::Rejected {
            prev_log_index: Index(prev),
            hint,
        }),
        Just(AppendOutcome::Stale),
    ]
}

fn snapshot_outcome() -> impl Strategy<Value = SnapshotOutcome> {
    prop_oneof![
        any_number().prop_map(|offset| SnapshotOutcome::Wants { offset }),
        Just(SnapshotOutcome::Installed),
        Just(SnapshotOutcome::Stale),
    ]
}

fn install_snapshot() -> impl Strategy<Value = Message> {
    let numbers = (any_number(), any_number(), any_number(), any::<u32>());
    let voters = vec(any_number().prop_map(NodeId), 0..9);
    (numbers, id(), voters, vec(any::<u8>(), 0..200)).prop_map(
        |((term, offset, size, checksum), last, voters, data)| {
            let id = SnapshotId {
                last,
                size,
                checksum,
            };
            Message::InstallSnapshot(Box::new(InstallSnapshot {
                term: Term(term),
                snapshot: SnapshotMeta {
                    id,
                    membership: Membership::new(voters),
                },
                offset,
                data: Bytes::from(data),
            }))
        },
    )
}

fn message() -> impl Strategy<Value = Message> {
    let term = || any_number().prop_map(Term);
    let vote = prop_oneof![Just(Vote::Granted), Just(Vote::Refused)];
    prop_oneof![
        (term(), id())
            .prop_map(|(term, last_log)| Message::RequestVote(RequestVote { term, last_log })),
        (term(), vote)
            .prop_map(|(term, vote)| Message::RequestVoteReply(RequestVoteReply { term, vote })),
        (term(), any_number(), some_entries()).prop_map(|(term, commit, (prev_log, entries))| {
            Message::AppendEntries(AppendEntries {
                term,
                prev_log,
                leader_commit: Index(commit),
                entries,
            })
        }),
        (term(), append_outcome()).prop_map(|(term, outcome)| {
            Message::AppendEntriesReply(AppendEntriesReply { term, outcome })
        }),
        install_snapshot(),
        (term(), id(), snapshot_outcome()).prop_map(|(term, last, outcome)| {
            Message::InstallSnapshotReply(InstallSnapshotReply {
                term,
                last,
                outcome,
            })
        }),
    ]
}

fn any_envelope() -> impl Strategy<Value = Envelope> {
    (any_number(), any_number(), any_number(), any_number()).prop_map(
        |(cluster, group, from, to)| Envelope {
            cluster_id: ClusterId(cluster),
            group_id: GroupId(group),
            from: NodeId(from),
            to: NodeId(to),
        },
    )
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_the_same(envelope in any_envelope(), message in message()) {
        let frame = wire::encode(&envelope, &message);
        prop_assert_eq!(wire::decode_envelope(&frame), Ok(envelope));
        prop_assert_eq!(wire::decode(frame, &LIMITS), Ok((envelope, message)));
    }

    #[test]
    fn header_and_payloads_apart_are_the_frame(message in message()) {
        let mut apart = Vec::new();
        wire::encode_header_into(&mut apart, &envelope(), &message);
        for payload in wire::payloads(&message) {
            apart.extend_from_slice(payload);
        }
        prop_assert_eq!(apart, frame(&message));
    }

    #[test]
    fn every_truncation_is_refused(message in message(), cut in any::<prop::sample::Index>()) {
        let frame = frame(&message);
        let cut = cut.index(frame.len());
        let error = refused(frame[..cut].to_vec());
        let expected = matches!(
            error,
            DecodeError::Truncated { .. } | DecodeError::CountBeyondFrame { .. }
        );
        prop_assert!(expected, "{error:?}");
    }

    #[test]
    fn every_appended_byte_is_refused(message in message(), extra in vec(any::<u8>(), 1..9)) {
        let count = extra.len() as u64;
        let frame = [frame(&message), extra].concat();
        prop_assert_eq!(refused(frame), DecodeError::TrailingBytes { count });
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..80), version in any::<bool>()) {
        let bytes = if version { raw(&bytes) } else { bytes };
        let _ = wire::decode(Bytes::from(bytes), &LIMITS);
    }
}

#[test]
fn payloads_are_slices_of_the_frame() {
    let append = append(
        EntryId::new(6, 2),
        entries(7, &[(2, "one"), (2, ""), (3, "three")]),
    );
    for message in [append, chunk(b"a piece of a snapshot")] {
        let frame = wire::encode(&envelope(), &message);
        let memory = frame.as_ptr_range();
        let (_, decoded) = wire::decode(frame.clone(), &LIMITS).unwrap();
        let mut payload_bytes = 0;
        for payload in wire::payloads(&decoded).filter(|payload| !payload.is_empty()) {
            payload_bytes += payload.len();
            let within = payload.as_ptr_range();
            assert!(memory.start <= within.start && within.end <= memory.end);
        }
        assert!(payload_bytes > 0);
    }
}

#[test]
fn commands_proposed_one_by_one_travel_as_one_run() {
    let one_run = frame(&append(
        EntryId::new(6, 2),
        entries(7, &[(2, "a"), (2, "b")]),
    ));
    // term 3, prev 6@2, commit 6, region of 2, one run: term 2, command, 2 entries of 1 and 1
    let expected = raw(&[2, 3, 6, 2, 6, 2, 1, 2, 0, 2, 1, 1, b'a', b'b']);
    assert_eq!(one_run, expected);
}

#[test]
fn small_messages_are_small() {
    let heartbeat = frame(&heartbeat());
    assert!(heartbeat.len() <= 24, "{} bytes", heartbeat.len());
    let reply = frame(&Message::AppendEntriesReply(AppendEntriesReply {
        term: Term(3),
        outcome: AppendOutcome::Accepted {
            match_index: Index(1000),
            received: Index(1000),
        },
    }));
    assert!(reply.len() <= 16, "{} bytes", reply.len());
}

/// The layout of version 1 must never change: these bytes may be on their way from an older
/// release. If this fails, give the new layout a new version.
#[test]
fn the_bytes_of_version_1() {
    let last = EntryId::new(5, 4);
    let vote = Message::RequestVote(RequestVote {
        term: Term(300),
        last_log: last,
    });
    assert_eq!(frame(&vote), raw(&[0, 0xac, 2, 5, 4]));

    for (vote, byte) in [(Vote::Granted, 0), (Vote::Refused, 1)] {
        let term = Term(3);
        let reply = Message::RequestVoteReply(RequestVoteReply { term, vote });
        assert_eq!(frame(&reply), raw(&[1, 3, byte]));
    }

    let mut builder = EntriesBuilder::new();
    builder
        .push(EntryId::new(6, 4), EntryKind::Command, "ab".into())
        .unwrap();
    builder
        .push(EntryId::new(7, 9), EntryKind::Noop, Bytes::new())
        .unwrap();
    let two_runs = append(last, builder.finish());
    let runs = [4, 0, 1, 2, 9, 1, 1, 0];
    let expected = [&[2, 3, 5, 4, 6, 2, 2], &runs[..], b"ab"].concat();
    assert_eq!(frame(&two_runs), raw(&expected));

    let outcomes = [
        (
            AppendOutcome::Accepted {
                match_index: Index(1),
                received: Index(2),
            },
            &[3, 3, 0, 1, 2][..],
        ),
        (
            AppendOutcome::Rejected {
                prev_log_index: Index(8),
                hint: last,
            },
            &[3, 3, 1, 8, 5, 4],
        ),
        (AppendOutcome::Stale, &[3, 3, 2]),
    ];
    for (outcome, expected) in outcomes {
        let term = Term(3);
        let reply = Message::AppendEntriesReply(AppendEntriesReply { term, outcome });
        assert_eq!(frame(&reply), raw(expected));
    }

    let checksum = [0xef, 0xfd, 0xb6, 0xf5, 0x0d];
    let expected = [
        &[4, 9, 2, 0x80, 1, 100, 8, 0xac, 2][..],
        &checksum,
        &[2, 1, 2],
        b"ab",
    ];
    assert_eq!(frame(&chunk(b"ab")), raw(&expected.concat()));

    let outcomes = [
        (
            SnapshotOutcome::Wants { offset: 7 },
            &[5, 3, 5, 4, 0, 7][..],
        ),
        (SnapshotOutcome::Installed, &[5, 3, 5, 4, 1]),
        (SnapshotOutcome::Stale, &[5, 3, 5, 4, 2]),
    ];
    for (outcome, expected) in outcomes {
        let reply = Message::InstallSnapshotReply(InstallSnapshotReply {
            term: Term(3),
            last,
            outcome,
        });
        assert_eq!(frame(&reply), raw(expected));
    }
}

// What is no message is refused.

#[test]
fn another_version_is_refused() {
    let mut frame = frame(&heartbeat());
    frame[0] = 2;
    let error = refused(frame.clone());
    assert_eq!(error, DecodeError::UnknownVersion { found: 2 });
    let told = error.to_string();
    assert!(told.contains("reads version 1"), "{told}");
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
    assert_eq!(refused(vec![]), truncated("version"));
    assert_eq!(refused(vec![1, 7, 0]), truncated("envelope"));
    assert_eq!(refused(raw(&[])), truncated("message kind"));
    assert_eq!(refused(raw(&[2, 3])), truncated("AppendEntries"));
}

#[test]
fn a_number_beyond_64_bits_is_refused() {
    let too_long = [&[1, 0xff][..], &[0xff; 9], &[0x7f]].concat();
    let field = "envelope";
    assert_eq!(refused(too_long), DecodeError::NumberOutOfRange { field });
    let checksum_of_33_bits = [4, 9, 0, 0, 100, 8, 0, 0xff, 0xff, 0xff, 0xff, 0x1f, 0];
    let field = "snapshot id";
    let expected = DecodeError::NumberOutOfRange { field };
    assert_eq!(refused(raw(&checksum_of_33_bits)), expected);
}

#[test]
fn unknown_kinds_are_refused() {
    let unknown = |field| DecodeError::UnknownKind { field };
    assert_eq!(refused(raw(&[6])), unknown("message kind"));
    assert_eq!(refused(raw(&[1, 3, 2])), unknown("RequestVoteReply"));
    assert_eq!(refused(raw(&[3, 3, 3])), unknown("AppendEntriesReply"));
    assert_eq!(
        refused(raw(&[5, 3, 5, 4, 3])),
        unknown("InstallSnapshotReply")
    );
    let entry = [2, 3, 6, 2, 6, 0, 1, 2, 2, 1, 0];
    assert_eq!(refused(raw(&entry)), unknown("run"));
}

/// u64::MAX as a varint.
const GREATEST: [u8; 10] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];

#[test]
fn counts_beyond_the_frame_are_refused() {
    let beyond = |what, remaining| DecodeError::CountBeyondFrame {
        what,
        claimed: u64::MAX,
        remaining,
    };
    let region = [&[2, 3, 6, 2, 6][..], &GREATEST, &[0]].concat();
    assert_eq!(refused(raw(&region)), beyond("bytes of payload", 1));
    let runs = [&[2, 3, 6, 2, 6, 0][..], &GREATEST, &[2, 0, 1, 0]].concat();
    assert_eq!(refused(raw(&runs)), beyond("runs", 4));
    let entries = [&[2, 3, 6, 2, 6, 0, 1, 2, 0][..], &GREATEST, &[0]].concat();
    assert_eq!(refused(raw(&entries)), beyond("entries", 1));
    let data = [&[4, 9][..], &GREATEST, &[0, 9]].concat();
    assert_eq!(refused(raw(&data)), beyond("bytes of payload", 1));
    let voters = [&[4, 9, 0, 0, 100, 8, 0, 0][..], &GREATEST, &[1]].concat();
    // What remains is counted before the number of voters.
    assert_eq!(refused(raw(&voters)), beyond("voters", 11));
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
    let claimed = [&[2, 3, 6, 2, 6, 0, 1, 2, 0, 1][..], &GREATEST].concat();
    let (size, limit) = (u64::MAX, LIMITS.max_entry_bytes);
    let expected = DecodeError::EntryTooLarge { size, limit };
    assert_eq!(refused(raw(&claimed)), expected);
}

#[test]
fn lengths_that_do_not_sum_to_the_region_are_refused() {
    let sums = |sum, region| DecodeError::LengthsDoNotSum { sum, region };
    let too_little = [2, 3, 6, 2, 6, 2, 1, 2, 0, 1, 1, b'a', b'b'];
    assert_eq!(refused(raw(&too_little)), sums(1, 2));
    let too_much = [2, 3, 6, 2, 6, 2, 2, 2, 0, 1, 1, 3, 0, 1, 2, b'a', b'b'];
    assert_eq!(refused(raw(&too_much)), sums(3, 2));
    let no_entries = [2, 3, 6, 2, 6, 2, 0, b'a', b'b'];
    assert_eq!(refused(raw(&no_entries)), sums(0, 2));
    // A sum that comes round to the region's length again.
    let limits = Limits {
        max_entry_bytes: u64::MAX,
        ..LIMITS
    };
    let all = [&[2, 3, 6, 2, 6, 1, 1, 2, 0, 2, 1][..], &GREATEST, b"a"].concat();
    let error = wire::decode(Bytes::from(raw(&all)), &limits).unwrap_err();
    assert_eq!(error, sums(u64::MAX, 1));
}

#[test]
fn an_empty_run_is_refused() {
    let empty = [2, 3, 6, 2, 6, 0, 1, 2, 0, 0, 0];
    assert_eq!(refused(raw(&empty)), DecodeError::EmptyRun);
}

#[test]
fn indexes_beyond_the_greatest_number_are_refused() {
    let prev = u64::MAX;
    let body = [&[2, 3][..], &GREATEST, &[2, 6, 0, 1, 2, 0, 1, 0]].concat();
    let count = 1;
    let expected = DecodeError::IndexOverflow { prev, count };
    assert_eq!(refused(raw(&body)), expected);
}

// A node's ear.

#[test]
fn what_is_for_this_node_is_accepted() {
    let frame = wire::encode(&envelope(), &heartbeat());
    let accepted = Receiver::new(&config(2)).accept(frame);
    assert_eq!(accepted, Ok((NodeId(1), heartbeat())));
}

#[test]
fn what_is_for_others_is_refused() {
    let from = NodeId(1);
    let receiver = Receiver::new(&config(2));
    let refused = |envelope: Envelope| {
        let mut frame = wire::encode(&envelope, &heartbeat()).to_vec();
        frame.push(0); // not even a message, but that comes second
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
    let told = error.to_string();
    assert!(told.contains("from n1 to n3 reached n2"), "{told}");
    let error = refused(envelope());
    assert_eq!(
        error,
        ReceiveError::Decode(DecodeError::TrailingBytes { count: 1 })
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
