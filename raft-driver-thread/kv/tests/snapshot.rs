//! Snapshots and backups hold all of the state, are the same on every server, and are refused if
//! anything is wrong with them.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use bytes::Bytes;
use proptest::prelude::*;
use raft_driver_thread::StateMachine;
use raft_kv::state::{
    Answer, BackupEncoder, BackupSummary, Command, Condition, Expiry, Machine, Operation, Origin,
    Payload, Reply, ServerAddress, Set, read_backup, write_backup,
};
use std::io::{self, ErrorKind, Write};

type Key = (Bytes, Bytes, Option<u64>);

fn snapshot(machine: &mut Machine) -> Vec<u8> {
    let mut bytes = Vec::new();
    Machine::write_snapshot(machine.snapshot(), &mut bytes).unwrap();
    bytes
}

fn restored(bytes: &[u8]) -> io::Result<Machine> {
    let mut machine = Machine::new();
    machine.restore(&mut &*bytes)?;
    Ok(machine)
}

fn backup(machine: &Machine) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_backup(machine.view(), &mut bytes).unwrap();
    bytes
}

fn read(mut bytes: &[u8]) -> io::Result<(BackupSummary, Vec<Key>)> {
    let mut keys = Vec::new();
    let backed_up = read_backup(&mut bytes, |key, value, expiry| {
        keys.push((key, value, expiry));
        Ok(())
    })?;
    Ok((backed_up, keys))
}

fn apply(machine: &mut Machine, index: u64, unix_millis: u64, operation: Operation) -> Answer {
    machine.apply_one(
        index,
        &Payload {
            unix_millis,
            operation,
        }
        .encode(),
    )
}

fn name() -> impl Strategy<Value = Bytes> {
    // Two that have the same hash among them.
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
    let parts = (name(), value(), condition, expiry, any::<bool>());
    parts.prop_map(|(key, value, condition, expiry, get)| {
        Command::Set(Set {
            key,
            value,
            condition,
            expiry,
            get,
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
        2 => (name(), -5..200_i64).prop_map(|(key, millis)| Command::Expire { key, millis }),
        1 => name().prop_map(Command::Persist),
        1 => proptest::collection::vec(name(), 0..4).prop_map(Command::GetMany),
        1 => Just(Command::Keys(Bytes::from_static(b"*"))),
        1 => Just(Command::Scan { cursor: 0, pattern: None, count: 3, of_strings: true }),
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

/// What a log holds: encoded entries, not all of which can be read, and whose time goes back.
fn log() -> impl Strategy<Value = Vec<Bytes>> {
    let entry = (0..1_000_u64, operation()).prop_map(|(unix_millis, operation)| {
        Payload {
            unix_millis,
            operation,
        }
        .encode()
    });
    let nonsense = proptest::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from);
    proptest::collection::vec(prop_oneof![20 => entry, 1 => nonsense], 0..60)
}

fn replay<'a>(machine: &mut Machine, log: impl Iterator<Item = (usize, &'a Bytes)>) -> Vec<Answer> {
    log.map(|(index, payload)| machine.apply_one(index as u64 + 1, payload))
        .collect()
}

/// A state with something of everything.
fn example() -> Machine {
    let mut machine = Machine::new();
    let key = |name: &str| Bytes::from(name.to_owned());
    let server = ServerAddress {
        node: 7,
        clients: "localhost:1".into(),
        release: "0.1.0".into(),
    };
    apply(&mut machine, 1, 5, Operation::SetAddress(server));
    apply(&mut machine, 2, 5, Operation::OpenSession(2));
    let load = vec![
        (key("a"), key("1"), None),
        (key("b"), key("x"), Some(9_000)),
        (key(""), key(""), None),
    ];
    apply(&mut machine, 3, 6, Operation::Load(load));
    let commands = vec![
        Command::Keys(key("*")),
        Command::Increment {
            key: key("b"),
            by: 1,
        },
        Command::Get(key("a")),
        Command::Get(key("none")),
        Command::Type(key("a")),
        Command::Flush,
        Command::SetMany(vec![(key("c"), key("1")), (key("d"), key("2"))]),
        Command::Expire {
            key: key("c"),
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
    fn servers_with_the_same_log_have_the_same_bytes_wherever_one_was_restored(
        log in log(),
        at in any::<prop::sample::Index>(),
    ) {
        let at = at.index(log.len() + 1);
        let mut whole = Machine::new();
        let answers = replay(&mut whole, log.iter().enumerate());

        let mut first = Machine::new();
        let mut parts = replay(&mut first, log.iter().enumerate().take(at));
        let bytes = snapshot(&mut first);
        let mut second = restored(&bytes).unwrap();
        prop_assert_eq!(&snapshot(&mut second), &bytes);
        prop_assert_eq!(second.next_expiry(), first.next_expiry());
        parts.extend(replay(&mut second, log.iter().enumerate().skip(at)));

        prop_assert_eq!(parts, answers);
        prop_assert_eq!(snapshot(&mut second), snapshot(&mut whole));
        prop_assert_eq!(backup(&second), backup(&whole));
    }

    #[test]
    fn a_view_stays_as_it_is_while_entries_are_applied(log in log(), at in any::<prop::sample::Index>()) {
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
    fn a_backup_gives_back_the_keys_in_pieces_of_any_length(log in log(), length in 0..500_usize) {
        let mut machine = Machine::new();
        replay(&mut machine, log.iter().enumerate());
        let mut pieces = BackupEncoder::new(machine.view());
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.next_chunk(length) {
            prop_assert!(!piece.is_empty());
            bytes.extend_from_slice(&piece);
        }
        prop_assert!(pieces.next_chunk(length).is_none());
        prop_assert_eq!(&bytes, &backup(&machine));

        let (backed_up, keys) = read(&bytes).unwrap();
        prop_assert_eq!((backed_up.time, backed_up.keys), (machine.time(), machine.key_count()));
        let mut other = Machine::new();
        apply(&mut other, 1, backed_up.time, Operation::Load(keys));
        prop_assert_eq!(backup(&other), bytes);
    }

    #[test]
    fn what_was_changed_is_refused_and_nothing_panics(
        is_snapshot in any::<bool>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), 1..=255_u8), 1..4),
    ) {
        let mut machine = example();
        let whole = if is_snapshot { snapshot(&mut machine) } else { backup(&machine) };
        let mut bytes = whole.clone();
        for (at, change) in changes {
            bytes[at.index(whole.len())] ^= change;
        }
        prop_assume!(bytes != whole);
        let error = if is_snapshot {
            restored(&bytes).map(|_| ()).unwrap_err()
        } else {
            read(&bytes).map(|_| ()).unwrap_err()
        };
        prop_assert_eq!(error.kind(), ErrorKind::InvalidData);
    }

    #[test]
    fn records_that_nobody_wrote_are_refused_or_mean_what_they_say(
        is_snapshot in any::<bool>(),
        time in 0..3_u64,
        records in proptest::collection::vec(record(), 0..7),
    ) {
        // All is right but the records themselves: the beginning, the counts, the checksum.
        let mut bytes = vec![2, 0, time as u8];
        for (_, record) in &records {
            bytes.extend(record);
        }
        let count = |tag| records.iter().filter(|(is, _)| *is == tag).count() as u8;
        bytes.extend([5, 6, count(1), count(2), count(3), count(5)]);
        let bytes = file(is_snapshot, &bytes);
        if let Ok(mut machine) = restored(&bytes) {
            prop_assert_eq!(snapshot(&mut machine), &bytes[..]);
        }
        if let Ok((backed_up, keys)) = read(&bytes) {
            prop_assert_eq!(backed_up.keys, keys.len() as u64);
        }
    }
}

/// A record as an attacker would write it, and its tag: any numbers, small ones mostly, often
/// with as many bytes behind them as they say.
fn record() -> impl Strategy<Value = (u8, Vec<u8>)> {
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
        let mut head = vec![tag];
        for number in numbers {
            head.extend(postcard::to_allocvec(&number).unwrap());
        }
        let mut record = vec![head.len() as u8];
        record.extend(head);
        let wrong = u64::from(tail == 0);
        let length = length.saturating_add(wrong).min(9);
        record.extend((0..length).map(|at| at as u8 ^ tail));
        (tag, record)
    })
}

/// Records with the beginning and the checksum that they should have.
fn file(is_snapshot: bool, records: &[u8]) -> Vec<u8> {
    let mut bytes = if is_snapshot {
        b"raftkv-s"
    } else {
        b"raftkv-b"
    }
    .to_vec();
    bytes.push(1);
    bytes.extend_from_slice(records);
    let sum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes
}

#[test]
fn a_snapshot_holds_the_servers_the_sessions_and_their_answers() {
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
fn whatever_is_missing_at_the_end_is_noticed() {
    let mut machine = example();
    let whole = snapshot(&mut machine);
    for length in 0..whole.len() {
        let error = restored(&whole[..length]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{length}");
    }
    let whole = backup(&machine);
    for length in 0..whole.len() {
        let error = read(&whole[..length]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{length}");
    }
}

#[test]
fn what_is_something_else_is_told_apart() {
    let mut machine = example();
    let (snapshot, backup) = (snapshot(&mut machine), backup(&machine));
    let said = [
        read(&snapshot).unwrap_err().to_string(),
        restored(&backup).unwrap_err().to_string(),
        restored(b"something completely different")
            .unwrap_err()
            .to_string(),
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
    let error = read(&longer).unwrap_err().to_string();
    assert_eq!(
        error,
        "not a backup of raft-kv: there is something behind its end"
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
fn lengths_that_are_not_true_take_no_memory() {
    // A time, then a key whose name has 2^62 bytes.
    let mut records = vec![2, 0, 5, 12, 5];
    records.extend(postcard::to_allocvec(&(1_u64 << 62)).unwrap());
    records.extend([0, 0]);
    let error = restored(&file(true, &records)).unwrap_err();
    let said = "not a whole snapshot of raft-kv: its end is missing";
    assert_eq!(error.to_string(), said);
}

#[test]
fn replies_in_replies_in_replies_do_not_use_up_the_stack() {
    // A time, a session, an answer of one reply, which is an array of one, and so on.
    let mut records = vec![2, 0, 5, 4, 2, 1, 1, 0, 3, 3, 0, 1];
    for _ in 0..1_000_000 {
        records.extend([3, 4, 6, 1]);
    }
    let error = restored(&file(true, &records)).unwrap_err();
    let said = "not a snapshot of raft-kv: one of its replies is nested too deeply";
    assert_eq!(error.to_string(), said);
}

/// Notes the longest piece.
struct Longest(usize);

impl Write for Longest {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.0 = self.0.max(piece.len());
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_large_state_is_written_in_small_pieces() {
    let mut machine = Machine::new();
    let value = Bytes::from(vec![0; 1_000]);
    let keys = (0..5_000).map(|number| (Bytes::from(number.to_string()), value.clone(), None));
    apply(&mut machine, 1, 1, Operation::Load(keys.collect()));
    let mut longest = Longest(0);
    Machine::write_snapshot(machine.snapshot(), &mut longest).unwrap();
    write_backup(machine.view(), &mut longest).unwrap();
    assert!(longest.0 < 70_000, "{}", longest.0);
    assert_eq!(machine.query(&Command::Size), Reply::Integer(5_000));
}

#[test]
fn a_long_value_comes_back_whole() {
    let mut machine = Machine::new();
    let value: Vec<u8> = (0..3_000_001_u32).map(|number| number as u8).collect();
    let key = (Bytes::from_static(b"a"), Bytes::from(value), None);
    apply(&mut machine, 1, 1, Operation::Load(vec![key]));
    let get = Command::Get(Bytes::from_static(b"a"));
    let copy = restored(&snapshot(&mut machine)).unwrap();
    assert_eq!(copy.query(&get), machine.query(&get));
}

#[test]
fn the_one_who_reads_a_backup_can_stop() {
    let bytes = backup(&example());
    let stopped = read_backup(&mut &bytes[..], |_, _, _| Err(io::Error::other("enough")));
    assert_eq!(stopped.unwrap_err().to_string(), "enough");
}
