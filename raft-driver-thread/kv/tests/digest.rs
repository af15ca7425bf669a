//! The digest of the state follows from what the state is, and from nothing else.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

#[path = "support/state.rs"]
mod support;

use bytes::Bytes;
use proptest::prelude::*;
use raft_driver_thread::StateMachine;
use raft_kv::state::{
    Command, Condition, Expiry, Machine, Operation, Origin, Payload, Reply, ServerAddress, Set,
    SetReply,
};
use std::collections::BTreeSet;
use support::{b, restored, snapshot};

fn digest(machine: &Machine) -> u128 {
    machine.digest().unwrap().value
}

fn apply(machine: &mut Machine, index: u64, unix_millis: u64, operation: Operation) {
    machine.apply_one(index, &Payload::encode_parts(unix_millis, &operation));
}

fn run(commands: Vec<Command>) -> Operation {
    let origin = None;
    Operation::Commands { origin, commands }
}

fn set(key: &str, value: impl Into<Bytes>, expiry: Expiry) -> Command {
    Command::Set(Set {
        key: b(key),
        value: value.into(),
        condition: Condition::Always,
        expiry,
        reply: SetReply::Ok,
    })
}

fn append(key: &str, value: impl Into<Bytes>) -> Command {
    let (key, value) = (b(key), value.into());
    Command::Append { key, value }
}

fn machine(commands: Vec<Command>) -> Machine {
    let mut machine = Machine::new();
    apply(&mut machine, 1, 5, run(commands));
    machine
}

#[test]
fn every_part_of_the_state_counts() {
    let plain = |value: &'static str| set("k", value, Expiry::Never);
    let with = |operation: Operation| {
        let mut machine = machine(vec![plain("v")]);
        apply(&mut machine, 2, 5, operation);
        machine
    };
    let address = |clients: &str| {
        let (node, clients, release) = (1, clients.into(), "1".into());
        Operation::SetAddress(ServerAddress {
            node,
            clients,
            release,
        })
    };
    let once = |sequence, command: Command| {
        let origin = Some(Origin {
            session: 7,
            sequence,
            floor: 1,
        });
        let mut machine = with(Operation::OpenSession(7));
        let commands = vec![command];
        apply(&mut machine, 3, 5, Operation::Commands { origin, commands });
        machine
    };
    let states = [
        Machine::new(),
        machine(vec![plain("v")]),
        machine(vec![plain("w")]),
        machine(vec![set("k", "v", Expiry::In(10))]),
        machine(vec![set("k", "v", Expiry::In(11))]),
        machine(vec![set("l", "v", Expiry::Never)]),
        machine(vec![set("k", vec![1; 8192], Expiry::Never)]),
        machine(vec![set(
            "k",
            [[1; 4096], [2; 4096]].concat(),
            Expiry::Never,
        )]),
        machine(vec![set(
            "k",
            [[2; 4096], [1; 4096]].concat(),
            Expiry::Never,
        )]),
        with(Operation::OpenSession(7)),
        with(Operation::OpenSession(8)),
        with(address("a:1")),
        with(address("a:2")),
        once(1, Command::Get(b("k"))),
        once(2, Command::Get(b("k"))),
        once(1, Command::Length(b("k"))),
    ];
    let mut later = machine(vec![plain("v")]);
    apply(&mut later, 2, 6, Operation::AdvanceTime);
    let digests: BTreeSet<u128> = states.iter().chain([&later]).map(digest).collect();
    assert_eq!(digests.len(), states.len() + 1);
}

#[test]
fn the_words_of_an_error_do_not_count() {
    // Another release may have better ones.
    let kept = |replies: &[Reply]| {
        let mut machine = Machine::new();
        apply(&mut machine, 1, 5, Operation::OpenSession(7));
        let bytes = snapshot(&mut machine);
        assert!(replies.len() == 1 && restored(&bytes).is_ok());
        let commands = vec![append("k", "x"), Command::Increment { key: b("k"), by: 1 }];
        let origin = Some(Origin {
            session: 7,
            sequence: 1,
            floor: 1,
        });
        apply(&mut machine, 2, 5, Operation::Commands { origin, commands });
        let mut bytes = snapshot(&mut machine);
        let text = b"not an integer";
        let at = bytes.windows(text.len()).position(|it| it == text).unwrap();
        if let Reply::Error(words) = &replies[0] {
            bytes[at..at + text.len()].copy_from_slice(words.as_bytes());
        }
        let end = bytes.len() - 4;
        let sum = raft_driver_thread::raft_proto::Checksum::of(&bytes[..end]);
        bytes[end..].copy_from_slice(&sum.to_le_bytes());
        digest(&restored(&bytes).unwrap())
    };
    let one = kept(&[Reply::Error("not an integer".into())]);
    let other = kept(&[Reply::Error("no whole number".chars().take(14).collect())]);
    assert_eq!(one, other);
}

/// A command over few keys, with values around the length of a block.
fn command() -> impl Strategy<Value = Command> {
    let key = || prop::sample::select(vec!["a", "b", "c"]);
    let length = || prop::sample::select(vec![0_usize, 1, 100, 4095, 4096, 4097, 9000]);
    let value = || (length(), any::<u8>()).prop_map(|(length, byte)| vec![byte; length]);
    let expiry = prop_oneof![
        Just(Expiry::Never),
        Just(Expiry::Keep),
        (1_u64..20).prop_map(Expiry::In),
    ];
    prop_oneof![
        4 => (key(), value(), expiry).prop_map(|(key, value, expiry)| set(key, value, expiry)),
        4 => (key(), value()).prop_map(|(key, value)| append(key, value)),
        1 => key().prop_map(|key| Command::Delete(vec![b(key)])),
        1 => key().prop_map(|key| Command::Persist(b(key))),
        1 => (key(), 1_i64..20).prop_map(|(key, millis)| Command::Expire { key: b(key), millis }),
        1 => (key(), any::<u8>()).prop_map(|(key, by)| {
            Command::Increment { key: b(key), by: by.into() }
        }),
        1 => Just(Command::Flush),
    ]
}

/// An operation, with or without a session.
fn operation() -> impl Strategy<Value = Operation> {
    let origin = (1_u64..4, 1_u64..12, 0_u64..12).prop_map(|(session, sequence, floor)| Origin {
        session,
        sequence,
        floor: floor.min(sequence),
    });
    let commands = prop::collection::vec(command(), 1..4);
    prop_oneof![
        6 => (prop::option::of(origin), commands)
            .prop_map(|(origin, commands)| Operation::Commands { origin, commands }),
        1 => (1_u64..4).prop_map(Operation::OpenSession),
        1 => (1_u64..4).prop_map(Operation::CloseSession),
        1 => Just(Operation::AdvanceTime),
    ]
}

proptest! {
    /// A machine that was kept up step by step, and one that was restored, agree.
    #[test]
    fn a_restored_state_has_the_digest_of_the_one_that_was_written(
        steps in prop::collection::vec((operation(), 0_u64..6), 1..60),
    ) {
        let mut machine = Machine::new();
        let (mut time, mut index) = (1, 0);
        for (operation, passed) in steps {
            time += passed;
            index += 1;
            apply(&mut machine, index, time, operation);
            let again = restored(&snapshot(&mut machine)).unwrap();
            prop_assert_eq!(digest(&machine), digest(&again));
        }
    }
}
