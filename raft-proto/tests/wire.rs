//! The wire format: a message decodes to itself, takes little space, and its payloads are not
//! copied.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use raft_proto::wire::{self, DecodeError, Envelope, Receiver};
use raft_proto::*;
use support::frames::*;

fn id() -> impl Strategy<Value = EntryId> {
    (any_number(), any_number()).prop_map(|(index, term)| EntryId::new(index, term))
}

fn any_number() -> impl Strategy<Value = u64> {
    prop_oneof![0..10u64, any::<u64>(), Just(u64::MAX)]
}

fn some_entries() -> impl Strategy<Value = (EntryId, Entries)> {
    let kind = prop_oneof![
        4 => Just(EntryKind::Command),
        1 => Just(EntryKind::Noop),
        1 => Just(EntryKind::Membership)
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
        (any_number(), id()).prop_map(|(prev, hint)| AppendOutcome::Lost {
            prev_log_index: Index(prev),
            hint,
        }),
    ]
}

fn level() -> impl Strategy<Value = Level> {
    let level = prop_oneof![Just((0, 0)), any::<(u32, u32)>()];
    level.prop_map(|(core, service)| Level { core, service })
}

fn limits() -> impl Strategy<Value = Option<MessageLimits>> {
    let limits = (any_number(), any_number(), level()).prop_map(
        |(max_entry_bytes, max_payload_bytes, level)| MessageLimits {
            max_entry_bytes,
            max_payload_bytes,
            level,
        },
    );
    option::of(limits)
}

fn snapshot_outcome() -> impl Strategy<Value = SnapshotOutcome> {
    prop_oneof![
        any_number().prop_map(|offset| SnapshotOutcome::Wants { offset }),
        Just(SnapshotOutcome::Installed),
        Just(SnapshotOutcome::Stale),
        Just(SnapshotOutcome::Damaged),
    ]
}

fn read_outcome() -> impl Strategy<Value = ReadOutcome> {
    prop_oneof![
        any_number().prop_map(|index| ReadOutcome::Ready {
            index: Index(index)
        }),
        Just(ReadOutcome::Refused),
    ]
}

fn member() -> impl Strategy<Value = Member> {
    const ROLES: [MemberRole; 5] = [
        MemberRole::Voter,
        MemberRole::Learner,
        MemberRole::Incoming,
        MemberRole::Outgoing,
        MemberRole::Demoted,
    ];
    let context = vec(any::<u8>(), 0..9);
    (
        any_number(),
        prop::sample::select(&ROLES[..]),
        any::<u8>(),
        context,
        option::of(any_number()),
    )
        .prop_map(|(id, role, priority, context, incarnation)| {
            let mut member = Member::voter(NodeId(id))
                .with_role(role)
                .with_priority(priority)
                .with_context(context);
            member.incarnation = incarnation.map(Incarnation);
            member
        })
}

fn install_snapshot() -> impl Strategy<Value = Message> {
    let numbers = (any_number(), any_number(), any_number(), any::<u32>());
    let members = (vec(member(), 0..9), option::of(any_number()));
    (numbers, id(), members, level(), vec(any::<u8>(), 0..200)).prop_map(
        |((term, offset, size, checksum), last, (members, history), level, data)| {
            let membership = Membership::of(members).with_level(level);
            let membership = match history {
                Some(history) => membership.with_history(HistoryId(history)),
                None => membership,
            };
            let id = SnapshotId {
                last,
                size,
                checksum,
            };
            Message::InstallSnapshot(Box::new(InstallSnapshot {
                term: Term(term),
                snapshot: SnapshotMeta { id, membership },
                offset,
                data: Bytes::from(data),
            }))
        },
    )
}

fn lineage() -> impl Strategy<Value = Lineage> {
    prop_oneof![
        Just(Lineage::Unknown),
        any::<u32>().prop_map(|founders| Lineage::Founding { founders }),
        any_number().prop_map(|history| Lineage::Of(HistoryId(history))),
    ]
}

fn dismissal() -> impl Strategy<Value = Dismissal> {
    prop_oneof![
        any_number().prop_map(|index| Dismissal::Removed {
            index: Index(index)
        }),
        (any_number(), any_number()).prop_map(|(index, named)| Dismissal::OtherIncarnation {
            index: Index(index),
            named: Incarnation(named),
        }),
        Just(Dismissal::OtherFounders),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let term = || any_number().prop_map(Term);
    let vote = || prop_oneof![Just(Vote::Granted), Just(Vote::Refused)];
    let campaign = || {
        prop_oneof![
            Just(Campaign::Election),
            any_number().prop_map(|number| Campaign::Transfer { number })
        ]
    };
    prop_oneof![
        (term(), id(), campaign(), lineage()).prop_map(|(term, last_log, campaign, lineage)| {
            Message::RequestVote(RequestVote {
                term,
                last_log,
                campaign,
                lineage,
            })
        }),
        (term(), vote())
            .prop_map(|(term, vote)| Message::RequestVoteReply(RequestVoteReply { term, vote })),
        (
            term(),
            any_number(),
            some_entries(),
            (any_number(), any_number(), any::<u32>()),
            lineage()
        )
            .prop_map(
                |(term, commit, (prev_log, entries), (round, revoked, promise_millis), lineage)| {
                    Message::AppendEntries(AppendEntries {
                        term,
                        prev_log,
                        leader_commit: Index(commit),
                        entries,
                        round,
                        revoked,
                        promise_millis,
                        lineage,
                    })
                }
            ),
        (term(), append_outcome(), any_number(), limits()).prop_map(
            |(term, outcome, round, limits)| {
                Message::AppendEntriesReply(AppendEntriesReply {
                    term,
                    outcome,
                    round,
                    limits,
                })
            }
        ),
        (term(), id(), campaign(), lineage()).prop_map(|(term, last_log, campaign, lineage)| {
            Message::PreVote(PreVote {
                term,
                last_log,
                campaign,
                lineage,
            })
        }),
        (term(), term(), vote(), option::of(dismissal()), lineage()).prop_map(
            |(term, asked, vote, dismissal, lineage)| {
                Message::PreVoteReply(PreVoteReply {
                    term,
                    asked,
                    vote,
                    dismissal,
                    lineage,
                })
            }
        ),
        (term(), any_number())
            .prop_map(|(term, transfer)| Message::TimeoutNow(TimeoutNow { term, transfer })),
        (term(), any_number(), any_number()).prop_map(|(term, number, stored)| {
            Message::ReadIndex(ReadIndex {
                term,
                number,
                stored: Index(stored),
            })
        }),
        (term(), any_number(), read_outcome(), any_number()).prop_map(
            |(term, number, outcome, stored)| {
                Message::ReadIndexReply(ReadIndexReply {
                    term,
                    number,
                    outcome,
                    stored: Index(stored),
                })
            }
        ),
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
    let ids = (any_number(), any_number(), any_number(), any_number());
    (ids, option::of(any_number())).prop_map(|((cluster, group, from, to), incarnation)| Envelope {
        cluster_id: ClusterId(cluster),
        group_id: GroupId(group),
        from: NodeId(from),
        to: NodeId(to),
        incarnation: incarnation.map(Incarnation),
    })
}

proptest! {
    #[test]
    fn an_encoded_message_decodes_to_itself(envelope in any_envelope(), message in message()) {
        let frame = wire::encode(&envelope, &message);
        prop_assert_eq!(wire::decode_envelope(&frame), Ok(envelope));
        prop_assert_eq!(wire::decode(frame, &LIMITS), Ok((envelope, message)));
    }

    #[test]
    fn the_header_and_the_payloads_make_up_the_frame(message in message()) {
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
        let error = decode_error(frame[..cut].to_vec());
        let expected = matches!(
            error,
            DecodeError::Truncated { .. } | DecodeError::CountBeyondFrame { .. }
        );
        prop_assert!(expected, "{error:?}");
    }

    #[test]
    fn fields_that_a_later_release_adds_are_left_unread(
        message in message(),
        extra in vec(any::<u8>(), 1..9),
    ) {
        let mut frame = Vec::new();
        wire::encode_header_into(&mut frame, &envelope(), &message);
        frame.extend_from_slice(&extra);
        for payload in wire::payloads(&message) {
            frame.extend_from_slice(payload);
        }
        let received = Receiver::new(&config(2)).accept(frame.into()).unwrap();
        prop_assert_eq!(received.message, message);
        prop_assert_eq!(received.unknown_bytes, extra.len() as u64);
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(
        body in vec(any::<u8>(), 0..80),
        has_envelope in any::<bool>(),
    ) {
        let bytes = if has_envelope { raw(&body) } else { body };
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
    // Term 3, prevLog 6@2, leaderCommit 6, round 0, revoked 0, 2 bytes of payload, and one run:
    // term 2, kind command, 2 entries of 1 byte each.
    let expected = raw(&[2, 3, 6, 2, 6, 0, 0, 2, 1, 2, 0, 2, 1, 1, b'a', b'b']);
    assert_eq!(one_run, expected);
}

#[test]
fn a_heartbeat_takes_at_most_24_bytes_and_its_reply_16() {
    let heartbeat = frame(&heartbeat());
    assert!(heartbeat.len() <= 24, "{} bytes", heartbeat.len());
    let reply = frame(&Message::AppendEntriesReply(AppendEntriesReply {
        round: 0,
        term: Term(3),
        outcome: AppendOutcome::Accepted {
            match_index: Index(1000),
            received: Index(1000),
        },
        limits: None,
    }));
    assert!(reply.len() <= 16, "{} bytes", reply.len());
}

// The layout of version 1 must never change, since an older release may send these bytes. If this
// fails, give the new layout a new version.
#[test]
fn the_bytes_of_version_1_for_votes_and_appends_never_change() {
    let last = EntryId::new(5, 4);
    let vote = Message::RequestVote(RequestVote {
        campaign: Campaign::Election,
        term: Term(300),
        last_log: last,
        lineage: Lineage::Unknown,
    });
    assert_eq!(frame(&vote), raw(&[0, 0xac, 2, 5, 4, 0]));

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
    let expected = [&[2, 3, 5, 4, 6, 0, 0, 2, 2], &runs[..], b"ab"].concat();
    assert_eq!(frame(&two_runs), raw(&expected));
    let Message::AppendEntries(with_lease) = two_runs else {
        panic!("{two_runs:?}");
    };
    let with_promise = Message::AppendEntries(AppendEntries {
        promise_millis: 300,
        ..with_lease
    });
    let expected = [&[0x22, 0xac, 2, 3, 5, 4, 6, 0, 0, 2, 2], &runs[..], b"ab"].concat();
    assert_eq!(frame(&with_promise), raw(&expected));

    let outcomes = [
        (
            AppendOutcome::Accepted {
                match_index: Index(1),
                received: Index(2),
            },
            &[3, 3, 0, 1, 2, 9][..],
        ),
        (
            AppendOutcome::Rejected {
                prev_log_index: Index(8),
                hint: last,
            },
            &[3, 3, 1, 8, 5, 4, 9],
        ),
        (AppendOutcome::Stale, &[3, 3, 2, 9]),
        (
            AppendOutcome::Lost {
                prev_log_index: Index(8),
                hint: last,
            },
            &[3, 3, 3, 8, 5, 4, 9],
        ),
    ];
    for (outcome, expected) in outcomes {
        let term = Term(3);
        let reply = Message::AppendEntriesReply(AppendEntriesReply {
            term,
            outcome,
            round: 9,
            limits: None,
        });
        assert_eq!(frame(&reply), raw(&[expected, &[0]].concat()));
    }
    let reply = Message::AppendEntriesReply(AppendEntriesReply {
        term: Term(3),
        outcome: AppendOutcome::Stale,
        round: 9,
        limits: Some(MessageLimits {
            max_entry_bytes: 300,
            max_payload_bytes: 7,
            level: Level::ZERO,
        }),
    });
    assert_eq!(frame(&reply), raw(&[3, 3, 2, 9, 1, 0xac, 2, 7]));
    let reply = Message::AppendEntriesReply(AppendEntriesReply {
        term: Term(3),
        outcome: AppendOutcome::Stale,
        round: 9,
        limits: Some(MessageLimits {
            max_entry_bytes: 300,
            max_payload_bytes: 7,
            level: Level {
                core: 1,
                service: 300,
            },
        }),
    });
    assert_eq!(frame(&reply), raw(&[3, 3, 2, 9, 3, 0xac, 2, 7, 1, 0xac, 2]));
}

#[test]
fn an_incarnation_follows_the_addresses_of_the_envelope() {
    let envelope = Envelope {
        incarnation: Some(Incarnation(300)),
        ..envelope()
    };
    let message = Message::TimeoutNow(TimeoutNow {
        term: Term(3),
        transfer: 4,
    });
    let frame = wire::encode(&envelope, &message);
    assert_eq!(frame[..], [0x81, 7, 0, 1, 2, 0xac, 2, 8, 3, 4]);
    assert_eq!(wire::decode_envelope(&frame), Ok(envelope));
}

#[test]
fn the_bytes_of_version_1_for_snapshots_never_change() {
    let last = EntryId::new(5, 4);
    let checksum = [0xef, 0xfd, 0xb6, 0xf5, 0x0d];
    let expected = [
        &[4, 9, 2, 0x80, 1, 100, 8, 0xac, 2][..],
        &checksum,
        // Two members: id, role, incarnation, priority, length of the context. No history.
        &[2, 1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0],
        b"ab",
    ];
    assert_eq!(frame(&chunk(b"ab")), raw(&expected.concat()));
    let Message::InstallSnapshot(mut chunk) = chunk(b"ab") else {
        panic!("a chunk");
    };
    let membership = chunk.snapshot.membership;
    let with_level = membership.clone().with_level(Level::of_service(300));
    chunk.snapshot.membership = with_level.clone();
    let more = [
        &expected[..2].concat()[..],
        &[2, 1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0, 0xac, 2],
        b"ab",
    ];
    let message = Message::InstallSnapshot(chunk.clone());
    assert_eq!(frame(&message), raw(&more.concat()));
    chunk.snapshot.membership = with_level.with_history(HistoryId(9));
    let more = [
        &expected[..2].concat()[..],
        &[2, 1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 3, 9, 0, 0xac, 2],
        b"ab",
    ];
    let message = Message::InstallSnapshot(chunk);
    assert_eq!(frame(&message), raw(&more.concat()));

    let outcomes = [
        (
            SnapshotOutcome::Wants { offset: 7 },
            &[5, 3, 5, 4, 0, 7][..],
        ),
        (SnapshotOutcome::Installed, &[5, 3, 5, 4, 1]),
        (SnapshotOutcome::Stale, &[5, 3, 5, 4, 2]),
        (SnapshotOutcome::Damaged, &[5, 3, 5, 4, 3]),
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

#[test]
fn the_bytes_of_version_1_for_pre_votes_transfers_and_reads_never_change() {
    let term = Term(3);
    let last_log = EntryId::new(5, 2);
    let transfer = Message::RequestVote(RequestVote {
        term,
        last_log,
        campaign: Campaign::Transfer { number: 4 },
        lineage: Lineage::Unknown,
    });
    assert_eq!(frame(&transfer), raw(&[0, 3, 5, 2, 1, 4]));
    let campaigns = [
        (Campaign::Election, &[6, 3, 5, 2, 0][..]),
        (Campaign::Transfer { number: 4 }, &[6, 3, 5, 2, 1, 4]),
    ];
    for (campaign, expected) in campaigns {
        let pre_vote = Message::PreVote(PreVote {
            term,
            last_log,
            campaign,
            lineage: Lineage::Unknown,
        });
        assert_eq!(frame(&pre_vote), raw(expected));
    }
    let lineages = [
        (Lineage::Founding { founders: 9 }, &[0x16, 1, 9][..]),
        (Lineage::Of(HistoryId(300)), &[0x16, 2, 0xac, 2]),
    ];
    for (lineage, expected) in lineages {
        let pre_vote = Message::PreVote(PreVote {
            term,
            last_log,
            campaign: Campaign::Election,
            lineage,
        });
        let expected = [expected, &[3, 5, 2, 0]].concat();
        assert_eq!(frame(&pre_vote), raw(&expected));
    }
    let reply = Message::PreVoteReply(PreVoteReply {
        term: Term(0),
        asked: term,
        vote: Vote::Granted,
        dismissal: None,
        lineage: Lineage::Unknown,
    });
    assert_eq!(frame(&reply), raw(&[7, 0, 3, 0, 0]));
    let removed = Message::PreVoteReply(PreVoteReply {
        term,
        asked: Term(4),
        vote: Vote::Refused,
        dismissal: Some(Dismissal::Removed { index: Index(300) }),
        lineage: Lineage::Unknown,
    });
    assert_eq!(frame(&removed), raw(&[7, 3, 4, 1, 1, 0, 0xac, 2]));
    let replaced = Message::PreVoteReply(PreVoteReply {
        term,
        asked: Term(4),
        vote: Vote::Refused,
        dismissal: Some(Dismissal::OtherIncarnation {
            index: Index(5),
            named: Incarnation(300),
        }),
        lineage: Lineage::Unknown,
    });
    assert_eq!(frame(&replaced), raw(&[7, 3, 4, 1, 1, 1, 5, 0xac, 2]));
    let of_history = Message::PreVoteReply(PreVoteReply {
        term: Term(0),
        asked: term,
        vote: Vote::Granted,
        dismissal: None,
        lineage: Lineage::Of(HistoryId(300)),
    });
    assert_eq!(frame(&of_history), raw(&[0x17, 2, 0xac, 2, 0, 3, 0, 0]));
    let transfer = 4;
    let timeout_now = Message::TimeoutNow(TimeoutNow { term, transfer });
    assert_eq!(frame(&timeout_now), raw(&[8, 3, 4]));
    let (number, stored) = (300, Index(6));
    let read = Message::ReadIndex(ReadIndex {
        term,
        number,
        stored,
    });
    assert_eq!(frame(&read), raw(&[9, 3, 0xac, 2, 6]));
    let outcomes = [
        (
            ReadOutcome::Ready { index: Index(7) },
            &[10, 3, 0xac, 2, 0, 7, 6][..],
        ),
        (ReadOutcome::Refused, &[10, 3, 0xac, 2, 1, 6]),
    ];
    for (outcome, expected) in outcomes {
        let reply = Message::ReadIndexReply(ReadIndexReply {
            term,
            number,
            outcome,
            stored,
        });
        assert_eq!(frame(&reply), raw(expected));
    }
}
