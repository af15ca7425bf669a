//! Snapshots and backups hold the state completely, are the same bytes on every server, and are
//! refused if they are damaged.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

#[path = "support/state.rs"]
mod support;

use bytes::Bytes;
use proptest::prelude::*;
use raft_driver_thread::StateMachine;
use raft_kv::state::{
    Answer, BackupEncoder, BackupSummary, Command, Condition, Expiry, Machine, Operation, Origin,
    Payload, Reply, ServerAddress, Set, SetReply, StoredKey, ValueType, read_backup, write_backup,
};
use std::io::{self, ErrorKind, Write};
use support::{b, restored, snapshot, stored};

fn backup(machine: &Machine) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_backup(machine.view(), &mut bytes).unwrap();
    bytes
}

/// What a backup holds.
struct ReadBackup {
    summary: BackupSummary,
    keys: Vec<StoredKey>,
}

fn read(mut bytes: &[u8]) -> io::Result<ReadBackup> {
    let mut keys = Vec::new();
    let summary = read_backup(&mut bytes, |key| {
        keys.push(key);
        Ok(())
    })?;
    Ok(ReadBackup { summary, keys })
}

fn read_error(bytes: &[u8]) -> io::Error {
    read(bytes).map(|_| ()).unwrap_err()
}

fn restore_error(bytes: &[u8]) -> io::Error {
    restored(bytes).map(|_| ()).unwrap_err()
}

/// The two kinds of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileKind {
    Snapshot,
    Backup,
}

fn file_kind() -> impl Strategy<Value = FileKind> {
    proptest::sample::select(vec![FileKind::Snapshot, FileKind::Backup])
}

fn apply(machine: &mut Machine, index: u64, unix_millis: u64, operation: Operation) -> Answer {
    machine.apply_one(index, &Payload::encode_parts(unix_millis, &operation))
}

fn name() -> impl Strategy<Value = Bytes> {
    // Two of the names have the same hash.
    let twins = proptest::sample::select(vec!["key76373987", "key88875698"]);
    prop_oneof![
        1 => twins.prop_map(Bytes::from),
        8 => "[a-e]{0,2}".prop_map(Bytes::from),
        1 => proptest::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from),
    ]
}

fn value() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        4 => (0..100_i64).prop_map(|number| Bytes::from(number.to_string())),
        1 => proptest::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from),
    ]
}

fn set() -> impl Strategy<Value = Command> {
    let condition = proptest::sample::select(vec![
        Condition::Always,
        Condition::Always,
        Condition::Absent,
        Condition::Present,
    ]);
    let expiry = prop_oneof![
        Just(Expiry::Never),
        Just(Expiry::Keep),
        (1..200_u64).prop_map(Expiry::In),
    ];
    let reply = proptest::sample::select(vec![SetReply::Ok, SetReply::OldValue]);
    let parts = (name(), value(), condition, expiry, reply);
    parts.prop_map(|(key, value, condition, expiry, reply)| {
        Command::Set(Set {
            key,
            value,
            condition,
            expiry,
            reply,
        })
    })
}

fn command() -> impl Strategy<Value = Command> {
    let pair = || (name(), value());
    prop_oneof![
        6 => set(),
        1 => (name(), proptest::option::of(value()), value())
            .prop_map(|(key, old, new)| Command::CompareAndSet { key, old, new }),
        2 => proptest::collection::vec(name(), 0..3).prop_map(Command::Delete),
        2 => (name(), any::<i8>()).prop_map(|(key, by)| Command::Increment { key, by: by.into() }),
        2 => pair().prop_map(|(key, value)| Command::Append { key, value }),
        1 => proptest::collection::vec(pair(), 0..4).prop_map(Command::SetMany),
        1 => pair().prop_map(|(key, value)| Command::GetSet { key, value }),
        1 => name().prop_map(Command::GetDelete),
        2 => (name(), -5..200_i64).prop_map(|(key, millis)| Command::Expire { key, millis }),
        1 => name().prop_map(Command::Persist),
        1 => proptest::collection::vec(name(), 0..4).prop_map(Command::GetMany),
        1 => Just(Command::Keys(Bytes::from_static(b"*"))),
        1 => Just(Command::Scan { cursor: 0, pattern: None, count: 3, value_type: ValueType::String }),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    // Sessions are opened by one of the first entries, if at all.
    let session = 1..12_u64;
    let origin = (session.clone(), 0..20_u64, 0..20_u64);
    let origin = origin.prop_map(|(session, sequence, floor)| Origin {
        session,
        sequence,
        floor,
    });
    let commands = proptest::collection::vec(command(), 0..4);
    let server = (0..4_u64, "[a-z]{1,9}:[0-9]{4}").prop_map(|(node, clients)| ServerAddress {
        node,
        clients,
        release: "0.1.0".into(),
    });
    let load = (name(), value(), proptest::option::of(0..2_000_u64));
    let load = load.prop_map(|(name, value, expiry)| StoredKey {
        name,
        value,
        expiry,
    });
    prop_oneof![
        1 => Just(Operation::AdvanceTime),
        8 => (proptest::option::of(origin), commands)
            .prop_map(|(origin, commands)| Operation::Commands { origin, commands }),
        3 => (0..60_u64).prop_map(Operation::OpenSession),
        1 => session.prop_map(Operation::CloseSession),
        1 => server.prop_map(Operation::SetAddress),
        1 => (0..4_u64).prop_map(Operation::RemoveAddress),
        1 => proptest::collection::vec(load, 0..4).prop_map(Operation::Load),
    ]
}

/// The payloads of a log. Their times go back. One that cannot be decoded would stop the server,
/// which then makes no snapshot any more.
fn log() -> impl Strategy<Value = Vec<Bytes>> {
    let entry = (0..1_000_u64, operation()).prop_map(|(unix_millis, operation)| {
        Payload {
            unix_millis,
            operation,
        }
        .encode()
    });
    proptest::collection::vec(entry, 0..60)
}

fn replay<'a>(machine: &mut Machine, log: impl Iterator<Item = (usize, &'a Bytes)>) -> Vec<Answer> {
    log.map(|(index, payload)| machine.apply_one(index as u64 + 1, payload))
        .collect()
}

/// A state with a part of each kind.
fn example() -> Machine {
    let mut machine = Machine::new();
    let address = ServerAddress {
        node: 7,
        clients: "localhost:1".into(),
        release: "0.1.0".into(),
    };
    apply(&mut machine, 1, 5, Operation::SetAddress(address));
    apply(&mut machine, 2, 5, Operation::OpenSession(2));
    let load = vec![
        stored("a", b("1"), None),
        stored("b", b("x"), Some(9_000)),
        stored("", b(""), None),
    ];
    apply(&mut machine, 3, 6, Operation::Load(load));
    let commands = vec![
        Command::Keys(b("*")),
        Command::Increment { key: b("b"), by: 1 },
        Command::Get(b("a")),
        Command::Get(b("none")),
        Command::Type(b("a")),
        Command::Flush,
        Command::SetMany(vec![(b("c"), b("1")), (b("d"), b("2"))]),
        Command::Expire {
            key: b("c"),
            millis: 50,
        },
    ];
    let origin = Some(Origin {
        session: 2,
        sequence: 4,
        floor: 3,
    });
    apply(&mut machine, 4, 7, Operation::Commands { origin, commands });
    machine
}

proptest! {
    #[test]
    fn servers_with_the_same_log_have_the_same_bytes_even_if_one_was_restored_midway(
        log in log(),
        at in any::<prop::sample::Index>(),
    ) {
        let at = at.index(log.len() + 1);
        let mut whole = Machine::new();
        let answers = replay(&mut whole, log.iter().enumerate());

        let mut first = Machine::new();
        let mut answers_of_both = replay(&mut first, log.iter().enumerate().take(at));
        let bytes = snapshot(&mut first);
        let mut second = restored(&bytes).unwrap();
        prop_assert_eq!(&snapshot(&mut second), &bytes);
        prop_assert_eq!(second.next_expiry(), first.next_expiry());
        answers_of_both.extend(replay(&mut second, log.iter().enumerate().skip(at)));

        prop_assert_eq!(answers_of_both, answers);
        prop_assert_eq!(snapshot(&mut second), snapshot(&mut whole));
        prop_assert_eq!(backup(&second), backup(&whole));
    }

    #[test]
    fn a_view_does_not_change_while_entries_are_applied(log in log(), at in any::<prop::sample::Index>()) {
        let at = at.index(log.len() + 1);
        let mut machine = Machine::new();
        replay(&mut machine, log.iter().enumerate().take(at));
        let (view, before) = (machine.view(), snapshot(&mut machine));
        replay(&mut machine, log.iter().enumerate().skip(at));
        let mut after = Vec::new();
        Machine::write_snapshot(view, &mut after).unwrap();
        prop_assert_eq!(after, before);
    }

    #[test]
    fn a_backup_in_chunks_of_any_length_gives_back_the_keys(log in log(), length in 0..500_usize) {
        let mut machine = Machine::new();
        replay(&mut machine, log.iter().enumerate());
        let mut encoder = BackupEncoder::new(machine.view());
        let mut bytes = Vec::new();
        while let Some(chunk) = encoder.next_chunk(length) {
            prop_assert!(!chunk.is_empty());
            bytes.extend_from_slice(&chunk);
        }
        prop_assert!(encoder.next_chunk(length).is_none());
        prop_assert_eq!(&bytes, &backup(&machine));

        let ReadBackup { summary, keys } = read(&bytes).unwrap();
        prop_assert_eq!((summary.time, summary.keys), (machine.time(), machine.key_count()));
        let mut other = Machine::new();
        apply(&mut other, 1, summary.time, Operation::Load(keys));
        prop_assert_eq!(backup(&other), bytes);
    }

    #[test]
    fn a_changed_file_is_refused_and_never_panics(
        kind in file_kind(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), 1..=255_u8), 1..4),
    ) {
        let mut machine = example();
        let whole = match kind {
            FileKind::Snapshot => snapshot(&mut machine),
            FileKind::Backup => backup(&machine),
        };
        let mut bytes = whole.clone();
        for (at, change) in changes {
            bytes[at.index(whole.len())] ^= change;
        }
        prop_assume!(bytes != whole);
        let error = match kind {
            FileKind::Snapshot => restore_error(&bytes),
            FileKind::Backup => read_error(&bytes),
        };
        prop_assert_eq!(error.kind(), ErrorKind::InvalidData);
    }

    #[test]
    fn forged_records_are_refused_or_mean_what_they_say(
        kind in file_kind(),
        time in 0..3_u64,
        records in proptest::collection::vec(record(), 0..7),
    ) {
        // The beginning, the counts and the checksum are right.
        let mut bytes = vec![2, 0, time as u8];
        for record in &records {
            bytes.extend(&record.bytes);
        }
        let count = |tag| records.iter().filter(|record| record.tag == tag).count() as u8;
        bytes.extend([5, 6, count(1), count(2), count(3), count(5)]);
        let bytes = file(kind, &bytes);
        if let Ok(mut machine) = restored(&bytes) {
            prop_assert_eq!(snapshot(&mut machine), &bytes[..]);
        }
        if let Ok(ReadBackup { summary, keys }) = read(&bytes) {
            prop_assert_eq!(summary.keys, keys.len() as u64);
        }
    }
}

/// A record as an attacker would write it.
#[derive(Clone, Debug)]
struct Forged {
    tag: u8,
    bytes: Vec<u8>,
}

/// Records of any numbers, mostly small ones, often with as many bytes of content as they say.
fn record() -> impl Strategy<Value = Forged> {
    let number = || prop_oneof![12 => 0..4_u64, 1 => any::<u64>()];
    let tag = (
        proptest::sample::select(vec![1, 2, 2, 3, 3, 4, 5, 5]),
        0..9_u8,
    );
    (tag, number(), number(), number(), 0..40_u8).prop_map(|((tag, shape), a, b, c, tail)| {
        let (numbers, length) = match (tag, shape) {
            (1, _) => (vec![a, b, c], b.saturating_add(c)),
            (2, _) => (vec![a, a.saturating_add(b), c], 0),
            (3, _) => (vec![a, b], 0),
            (4, 0 | 5) => (vec![shape.into()], 0),
            (4, 1 | 2 | 4) => (vec![shape.into(), a], a),
            (4, _) => (vec![shape.into(), a], 0),
            (_, 0..5) => (vec![a, b, 0], a.saturating_add(b)),
            (_, _) => (vec![a, b, 1, c], a.saturating_add(b)),
        };
        let mut header = vec![tag];
        for number in numbers {
            header.extend(postcard::to_allocvec(&number).unwrap());
        }
        let mut bytes = vec![header.len() as u8];
        bytes.extend(header);
        let wrong = u64::from(tail == 0);
        let length = length.saturating_add(wrong).min(9);
        bytes.extend((0..length).map(|at| at as u8 ^ tail));
        Forged { tag, bytes }
    })
}

/// A file with these records, and the right beginning and checksum.
fn file(kind: FileKind, records: &[u8]) -> Vec<u8> {
    let magic = match kind {
        FileKind::Snapshot => b"raftkv-s",
        FileKind::Backup => b"raftkv-b",
    };
    let mut bytes = magic.to_vec();
    bytes.push(1);
    bytes.extend_from_slice(records);
    let sum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes
}

#[test]
fn a_snapshot_holds_the_addresses_and_the_sessions_with_their_answers() {
    let mut machine = example();
    let mut copy = restored(&snapshot(&mut machine)).unwrap();
    assert_eq!(
        (copy.time(), copy.key_count(), copy.session_count()),
        (7, 2, 1)
    );
    assert_eq!(copy.next_expiry(), Some(57));
    assert!(copy.addresses().eq(machine.addresses()));
    let again = |machine: &mut Machine| {
        let origin = Some(Origin {
            session: 2,
            sequence: 4,
            floor: 3,
        });
        let commands = Vec::new();
        apply(machine, 5, 7, Operation::Commands { origin, commands })
    };
    let answer = again(&mut machine);
    assert!(matches!(&answer, Answer::Replies(replies) if replies.len() == 8));
    assert_eq!(again(&mut copy), answer);
}

#[test]
fn a_file_without_its_end_is_refused() {
    let mut machine = example();
    let whole = snapshot(&mut machine);
    for length in 0..whole.len() {
        let error = restore_error(&whole[..length]);
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{length}");
    }
    let whole = backup(&machine);
    for length in 0..whole.len() {
        let error = read_error(&whole[..length]);
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{length}");
    }
}

#[test]
fn a_file_of_another_kind_is_named() {
    let mut machine = example();
    let (snapshot, backup) = (snapshot(&mut machine), backup(&machine));
    let said = [
        read_error(&snapshot).to_string(),
        restore_error(&backup).to_string(),
        restore_error(b"something completely different").to_string(),
    ];
    assert_eq!(
        said,
        [
            "not a backup of raft-kv: it is a snapshot of raft-kv",
            "not a snapshot of raft-kv: it is a backup of raft-kv",
            "not a snapshot of raft-kv: it is something else",
        ]
    );
    let longer = [&backup[..], b"x"].concat();
    let error = read_error(&longer).to_string();
    assert_eq!(
        error,
        "not a backup of raft-kv: there are bytes after its end"
    );
}

#[test]
fn a_snapshot_that_is_refused_changes_nothing() {
    let mut machine = example();
    let before = snapshot(&mut machine);
    let mut bytes = before.clone();
    *bytes.last_mut().unwrap() ^= 1;
    machine.restore(&mut &bytes[..]).unwrap_err();
    assert_eq!(snapshot(&mut machine), before);
}

#[test]
fn false_lengths_take_no_memory() {
    // A time, then a key whose name has 2^62 bytes.
    let mut records = vec![2, 0, 5, 12, 5];
    records.extend(postcard::to_allocvec(&(1_u64 << 62)).unwrap());
    records.extend([0, 0]);
    let error = restore_error(&file(FileKind::Snapshot, &records));
    let said = "not a whole snapshot of raft-kv: its end is missing";
    assert_eq!(error.to_string(), said);
}

#[test]
fn deeply_nested_replies_do_not_exhaust_the_stack() {
    // A time, a session, an answer of one reply, which is an array of one reply, and so on.
    let mut records = vec![2, 0, 5, 4, 2, 1, 1, 0, 3, 3, 0, 1];
    for _ in 0..1_000_000 {
        records.extend([3, 4, 6, 1]);
    }
    let error = restore_error(&file(FileKind::Snapshot, &records));
    let said = "not a snapshot of raft-kv: one of its replies is nested too deeply";
    assert_eq!(error.to_string(), said);
}

/// Notes the longest write.
struct Longest(usize);

impl Write for Longest {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.max(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_large_state_is_written_in_small_chunks() {
    let mut machine = Machine::new();
    let value = Bytes::from(vec![0; 1_000]);
    let keys = (0..5_000).map(|number| stored(&number.to_string(), value.clone(), None));
    apply(&mut machine, 1, 1, Operation::Load(keys.collect()));
    let mut longest = Longest(0);
    Machine::write_snapshot(machine.snapshot(), &mut longest).unwrap();
    write_backup(machine.view(), &mut longest).unwrap();
    assert!(longest.0 < 70_000, "{}", longest.0);
    assert_eq!(machine.query(&Command::Size), Reply::Integer(5_000));
}

#[test]
fn a_long_value_is_restored_completely() {
    let mut machine = Machine::new();
    let value: Vec<u8> = (0..3_000_001_u32).map(|number| number as u8).collect();
    let key = stored("a", value, None);
    apply(&mut machine, 1, 1, Operation::Load(vec![key]));
    let get = Command::Get(b("a"));
    let copy = restored(&snapshot(&mut machine)).unwrap();
    assert_eq!(copy.query(&get), machine.query(&get));
}

#[test]
fn the_reader_of_a_backup_can_stop_it() {
    let bytes = backup(&example());
    let stopped = read_backup(&mut &bytes[..], |_| Err(io::Error::other("enough")));
    assert_eq!(stopped.unwrap_err().to_string(), "enough");
}
