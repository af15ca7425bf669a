//! Many keys that expire at the same entry hold up nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use raft_driver_thread::raft_proto::Entries;
use raft_driver_thread::{Commands, StateMachine};
use raft_kv::state::{Command, Condition, Expiry, Set, SetReply};
use raft_kv::state::{Machine, Operation, Payload, Reply};

#[path = "support/state.rs"]
mod state;

use state::{b, restored, snapshot};

/// How many keys expire.
const KEYS: u64 = 3000;

/// How many others there are.
const OTHERS: u64 = 10;

const BEGIN: u64 = 1_700_000_000_000;

/// Applies an operation as the entry at `index`; no key is removed with it.
fn apply(machine: &mut Machine, index: u64, unix_millis: u64, operation: Operation) {
    let payload = Payload {
        unix_millis,
        operation,
    };
    machine.apply_one(index, &payload.encode());
}

fn commands(commands: Vec<Command>) -> Operation {
    let origin = None;
    Operation::Commands { origin, commands }
}

fn set(name: String, expiry: Expiry) -> Command {
    Command::Set(Set {
        key: b(&name),
        value: b("v"),
        condition: Condition::Always,
        expiry,
        reply: SetReply::Ok,
    })
}

/// A turn of a node without entries: some of the keys that have expired are removed.
fn step(machine: &mut Machine) {
    machine.apply(Commands::new(&Entries::default()), &mut Vec::new());
}

fn others() -> Vec<Command> {
    let names = (0..OTHERS).map(|key| format!("other {key}"));
    names.map(|name| set(name, Expiry::Never)).collect()
}

/// All that shows of the keys.
fn shown(machine: &mut Machine) -> (u64, u64, Vec<Reply>, Vec<u8>) {
    let scan = Command::Scan {
        cursor: 0,
        pattern: None,
        count: KEYS,
        value_type: raft_kv::state::ValueType::String,
    };
    let asked = [
        Command::Keys(b("*")),
        scan,
        Command::Size,
        Command::Get(b("key 7")),
        Command::Exists(vec![b("key 8"), b("other 1")]),
    ];
    let replies = machine.view().query_all(&asked);
    assert_eq!(machine.query_all(&asked), replies);
    let figures = (machine.key_count(), machine.used_bytes());
    (figures.0, figures.1, replies, snapshot(machine))
}

#[test]
fn keys_that_expire_together_are_gone_at_one_entry_and_are_removed_in_steps() {
    let mut machine = Machine::new();
    let keys = (0..KEYS).map(|key| set(format!("key {key}"), Expiry::In(100)));
    apply(&mut machine, 1, BEGIN, commands(keys.collect()));
    apply(&mut machine, 2, BEGIN, commands(others()));
    // What was given an expiry since the last step lets that remove more.
    step(&mut machine);
    apply(&mut machine, 3, BEGIN + 100, Operation::AdvanceTime);

    let mut alone = Machine::new();
    apply(&mut alone, 1, BEGIN + 100, commands(others()));
    let wanted = shown(&mut alone);
    assert_eq!(machine.expired_key_count(), KEYS);
    let mut unremoved = KEYS;
    while unremoved > 0 {
        assert_eq!(machine.unremoved_key_count(), unremoved);
        assert_eq!(shown(&mut machine), wanted);
        assert_eq!(machine.digest(), alone.digest());
        step(&mut machine);
        let left = machine.unremoved_key_count();
        assert!(
            left < unremoved && unremoved - left <= 1024,
            "{left} of {unremoved}"
        );
        unremoved = left;
    }
    assert_eq!(shown(&mut machine), wanted);
    let again = restored(&snapshot(&mut machine)).unwrap();
    assert_eq!(machine.digest(), again.digest());
}

#[test]
fn a_key_that_has_expired_and_is_still_in_memory_is_set_anew_as_if_it_were_not_there() {
    let mut machine = Machine::new();
    let key = || "key".to_owned();
    apply(
        &mut machine,
        1,
        BEGIN,
        commands(vec![set(key(), Expiry::In(5))]),
    );
    step(&mut machine);
    let once = Set {
        key: b("key"),
        value: b("new"),
        condition: Condition::Absent,
        expiry: Expiry::Keep,
        reply: SetReply::Ok,
    };
    let later = commands(vec![Command::Set(once), Command::Delete(vec![b("none")])]);
    apply(&mut machine, 2, BEGIN + 5, later);
    assert_eq!((machine.key_count(), machine.unremoved_key_count()), (1, 0));
    let ttl = Command::TimeToLive {
        key: b("key"),
        unit: raft_kv::state::TimeUnit::Millis,
    };
    assert_eq!(machine.query(&ttl), Reply::Integer(-1));
    step(&mut machine);
    assert_eq!(
        machine.query(&Command::Get(b("key"))),
        Reply::Bulk(b("new"))
    );
}

#[test]
fn removing_does_not_fall_behind_however_many_keys_expire() {
    let mut machine = Machine::new();
    let mut worst = 0;
    for turn in 0..10_u64 {
        // Each turn sets more keys than a step removes at least, and those of the turn before expire.
        let keys = (0..2000).map(|key| set(format!("{turn} {key}"), Expiry::In(1)));
        apply(
            &mut machine,
            turn + 1,
            BEGIN + turn,
            commands(keys.collect()),
        );
        step(&mut machine);
        worst = worst.max(machine.unremoved_key_count());
    }
    assert!(worst <= 2000, "{worst}");
}
