//! Commands have the effects and the replies that they have in Redis.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

#[path = "support/state.rs"]
mod support;

use bytes::Bytes;
use proptest::prelude::*;
use raft_kv::state::{
    Command, Condition, Expiry, MAX_APPENDED_BYTES, Machine, Operation, Origin, Payload, Reply,
    ServerAddress, Set, SetReply, Store, TimeUnit, ValueType,
};
use std::collections::BTreeMap;
use support::{b, stored};

const NOW: u64 = 1_700_000_000_000;

fn bulk(text: &str) -> Reply {
    Reply::Bulk(b(text))
}

fn error(text: &str) -> Reply {
    Reply::Error(text.into())
}

fn store() -> Store {
    let mut store = Store::new();
    store.advance_to(NOW);
    store
}

fn plain(key: &str, value: &str) -> Set {
    Set {
        key: b(key),
        value: b(value),
        condition: Condition::Always,
        expiry: Expiry::Never,
        reply: SetReply::Ok,
    }
}

fn set(store: &mut Store, key: &str, value: &str) {
    assert_eq!(store.execute(Command::Set(plain(key, value))), Reply::Ok);
}

fn set_for(store: &mut Store, key: &str, value: &str, millis: u64) {
    let expiry = Expiry::In(millis);
    let set = Set {
        expiry,
        ..plain(key, value)
    };
    assert_eq!(store.execute(Command::Set(set)), Reply::Ok);
}

fn get(store: &Store, key: &str) -> Reply {
    store.query(&Command::Get(b(key)))
}

fn ttl(store: &Store, key: &str) -> Reply {
    store.query(&Command::TimeToLive {
        key: b(key),
        unit: TimeUnit::Millis,
    })
}

fn increment(store: &mut Store, key: &str, by: i64) -> Reply {
    store.execute(Command::Increment { key: b(key), by })
}

fn append(store: &mut Store, key: &str, value: &str) -> Reply {
    store.execute(Command::Append {
        key: b(key),
        value: b(value),
    })
}

fn expire(store: &mut Store, key: &str, millis: i64) -> Reply {
    store.execute(Command::Expire {
        key: b(key),
        millis,
    })
}

fn cas(store: &mut Store, key: &str, old: Option<&str>, new: &str) -> Reply {
    store.execute(Command::CompareAndSet {
        key: b(key),
        old: old.map(b),
        new: b(new),
    })
}

#[test]
fn a_value_is_returned_until_its_key_is_deleted() {
    let mut store = store();
    assert_eq!(get(&store, "a"), Reply::Nil);
    set(&mut store, "a", "1");
    set(&mut store, "b", "");
    assert_eq!(get(&store, "a"), bulk("1"));
    assert_eq!(get(&store, "b"), bulk(""));
    let names = vec![b("a"), b("a"), b("b"), b("c")];
    let exists = Command::Exists(names.clone());
    assert_eq!(store.query(&exists), Reply::Integer(3));
    assert_eq!(store.query(&Command::Size), Reply::Integer(2));
    let lengths = ["a", "b", "c"].map(|name| store.query(&Command::Length(b(name))));
    assert_eq!(lengths, [1, 0, 0].map(Reply::Integer));
    let kinds = ["a", "c"].map(|name| store.query(&Command::Type(b(name))));
    assert_eq!(kinds, ["string", "none"].map(|it| Reply::Simple(it.into())));
    let deleted = store.execute(Command::Delete(names));
    assert_eq!(deleted, Reply::Integer(2));
    assert!(store.is_empty());
}

#[test]
fn getdel_returns_what_it_removes() {
    let mut store = store();
    let get_delete = |store: &mut Store| store.execute(Command::GetDelete(b("a")));
    assert_eq!(get_delete(&mut store), Reply::Nil);
    set(&mut store, "a", "1");
    assert_eq!(get_delete(&mut store), bulk("1"));
    assert_eq!(get_delete(&mut store), Reply::Nil);
    assert!(store.is_empty());
}

#[test]
fn set_obeys_nx_xx_and_get() {
    use Condition::{Absent, Always, Present};
    use SetReply::{Ok, OldValue};
    let mut store = store();
    let mut run = |condition, reply, value| {
        store.execute(Command::Set(Set {
            condition,
            reply,
            ..plain("a", value)
        }))
    };
    assert_eq!(run(Present, Ok, "0"), Reply::Nil);
    assert_eq!(run(Present, OldValue, "0"), Reply::Nil);
    assert_eq!(run(Absent, OldValue, "1"), Reply::Nil);
    assert_eq!(run(Absent, Ok, "2"), Reply::Nil);
    assert_eq!(run(Absent, OldValue, "2"), bulk("1"));
    assert_eq!(run(Present, OldValue, "3"), bulk("1"));
    assert_eq!(run(Present, Ok, "4"), Reply::Ok);
    assert_eq!(run(Always, OldValue, "5"), bulk("4"));
    assert_eq!(get(&store, "a"), bulk("5"));
    let absent = Set {
        condition: Absent,
        ..plain("b", "1")
    };
    assert_eq!(store.execute(Command::Set(absent)), Reply::Ok);
}

#[test]
fn each_write_keeps_or_clears_the_expiry_as_in_redis() {
    type Write = fn(&mut Store);
    let writes: [(&str, bool, Write); 8] = [
        ("SET", false, |store| set(store, "a", "2")),
        ("SET KEEPTTL", true, |store| {
            let expiry = Expiry::Keep;
            store.execute(Command::Set(Set {
                expiry,
                ..plain("a", "2")
            }));
        }),
        ("GETSET", false, |store| {
            let (key, value) = (b("a"), b("2"));
            let before = store.execute(Command::GetSet { key, value });
            assert_eq!(before, bulk("1"));
        }),
        ("MSET", false, |store| {
            let pairs = vec![(b("a"), b("2"))];
            assert_eq!(store.execute(Command::SetMany(pairs)), Reply::Ok);
        }),
        ("INCRBY", true, |store| {
            assert_eq!(increment(store, "a", 1), Reply::Integer(2));
        }),
        ("APPEND", true, |store| {
            assert_eq!(append(store, "a", "2"), Reply::Integer(2));
        }),
        ("CAS", true, |store| {
            assert_eq!(cas(store, "a", Some("1"), "2"), Reply::Integer(1));
        }),
        ("PERSIST", false, |store| {
            assert_eq!(store.execute(Command::Persist(b("a"))), Reply::Integer(1));
            assert_eq!(store.execute(Command::Persist(b("a"))), Reply::Integer(0));
        }),
    ];
    for (name, keeps, write) in writes {
        let mut store = store();
        set_for(&mut store, "a", "1", 1_000);
        write(&mut store);
        let left = Reply::Integer(if keeps { 1_000 } else { -1 });
        assert_eq!(ttl(&store, "a"), left, "{name}");
        store.advance_to(NOW + 1_000);
        assert_eq!(store.len(), u64::from(!keeps), "{name}");
    }
}

#[test]
fn numbers_are_incremented_and_other_values_are_refused() {
    let mut store = store();
    assert_eq!(increment(&mut store, "a", 5), Reply::Integer(5));
    assert_eq!(increment(&mut store, "a", -7), Reply::Integer(-2));
    assert_eq!(get(&store, "a"), bulk("-2"));
    let other = [
        "",
        " 1",
        "1 ",
        "+1",
        "01",
        "-0",
        "1.0",
        "9223372036854775808",
        "x",
        "--1",
        "-",
        "１",
    ];
    for text in other {
        set(&mut store, "a", text);
        let refused = error("ERR value is not an integer or out of range");
        assert_eq!(increment(&mut store, "a", 1), refused, "{text:?}");
        assert_eq!(get(&store, "a"), bulk(text));
    }
    let overflow = error("ERR increment or decrement would overflow");
    set(&mut store, "a", "9223372036854775807");
    assert_eq!(increment(&mut store, "a", 1), overflow);
    set(&mut store, "a", "-9223372036854775808");
    assert_eq!(increment(&mut store, "a", -1), overflow);
    assert_eq!(get(&store, "a"), bulk("-9223372036854775808"));
}

#[test]
fn appending_changes_the_value_but_no_earlier_reply() {
    let mut store = store();
    assert_eq!(append(&mut store, "a", "x"), Reply::Integer(1));
    let before = get(&store, "a");
    assert_eq!(append(&mut store, "a", "yz"), Reply::Integer(3));
    assert_eq!(append(&mut store, "a", ""), Reply::Integer(3));
    assert_eq!((before, get(&store, "a")), (bulk("x"), bulk("xyz")));
}

#[test]
fn appending_beyond_the_limit_is_refused() {
    let mut store = store();
    let half = Bytes::from(vec![0; MAX_APPENDED_BYTES / 2]);
    let mut add = |value: Bytes| {
        let key = b("a");
        store.execute(Command::Append { key, value })
    };
    add(half.clone());
    let full = Reply::Integer(MAX_APPENDED_BYTES as i64);
    assert_eq!(add(half), full);
    let refused = error("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    assert_eq!(add(b("x")), refused);
    let length = store.query(&Command::Length(b("a")));
    assert_eq!(length, full);
}

#[test]
fn compare_and_set_sets_only_if_the_old_value_is_as_expected() {
    let mut store = store();
    assert_eq!(cas(&mut store, "a", Some(""), "1"), Reply::Integer(0));
    assert_eq!(get(&store, "a"), Reply::Nil);
    assert_eq!(cas(&mut store, "a", None, "1"), Reply::Integer(1));
    assert_eq!(cas(&mut store, "a", None, "2"), Reply::Integer(0));
    assert_eq!(cas(&mut store, "a", Some("2"), "2"), Reply::Integer(0));
    assert_eq!(cas(&mut store, "a", Some("1"), "2"), Reply::Integer(1));
    assert_eq!(get(&store, "a"), bulk("2"));
}

#[test]
fn many_keys_are_set_and_read_in_order_and_the_last_value_of_a_key_counts() {
    let mut store = store();
    let pairs = [("a", "1"), ("b", "2"), ("a", "3")].map(|(key, value)| (b(key), b(value)));
    assert_eq!(store.execute(Command::SetMany(pairs.into())), Reply::Ok);
    let names = ["b", "x", "a", "a"].map(b).to_vec();
    let values = vec![bulk("2"), Reply::Nil, bulk("3"), bulk("3")];
    assert_eq!(store.query(&Command::GetMany(names)), Reply::Array(values));
    assert_eq!(store.execute(Command::Flush), Reply::Ok);
    assert_eq!(store.query(&Command::Size), Reply::Integer(0));
}

#[test]
fn keys_expire_when_the_time_of_the_log_reaches_their_expiry() {
    let mut store = store();
    set_for(&mut store, "a", "1", 1_500);
    set(&mut store, "b", "1");
    assert_eq!(expire(&mut store, "b", 2_500), Reply::Integer(1));
    assert_eq!(store.next_expiry(), Some(NOW + 1_500));
    let in_seconds = |store: &Store, key| {
        store.query(&Command::TimeToLive {
            key: b(key),
            unit: TimeUnit::Seconds,
        })
    };
    assert_eq!(in_seconds(&store, "a"), Reply::Integer(2));
    store.advance_to(NOW + 1_001);
    assert_eq!(in_seconds(&store, "a"), Reply::Integer(0));
    assert_eq!(ttl(&store, "a"), Reply::Integer(499));
    store.advance_to(NOW);
    assert_eq!(store.time(), NOW + 1_001);
    store.advance_to(NOW + 1_499);
    assert_eq!(get(&store, "a"), bulk("1"));
    store.advance_to(NOW + 1_500);
    assert_eq!(get(&store, "a"), Reply::Nil);
    assert_eq!(ttl(&store, "a"), Reply::Integer(-2));
    assert_eq!(in_seconds(&store, "b"), Reply::Integer(1));
    store.advance_to(u64::MAX);
    assert!(store.is_empty());
    assert_eq!(store.next_expiry(), None);
}

#[test]
fn an_expiry_in_the_past_deletes_the_key_and_an_expiry_without_a_key_does_nothing() {
    let mut store = store();
    for millis in [0, -1, i64::MIN] {
        set(&mut store, "a", "1");
        assert_eq!(expire(&mut store, "a", millis), Reply::Integer(1));
        assert_eq!(get(&store, "a"), Reply::Nil);
        assert_eq!(expire(&mut store, "a", millis), Reply::Integer(0));
    }
    assert_eq!(expire(&mut store, "a", 5), Reply::Integer(0));
    assert_eq!(store.next_expiry(), None);
}

#[test]
fn an_expiry_that_overflows_is_an_error() {
    let mut store = store();
    set(&mut store, "a", "1");
    let refused = error("ERR invalid expire time in 'expire' command");
    assert_eq!(expire(&mut store, "a", i64::MAX), refused);
    let latest = (i64::MAX as u64 - NOW) as i64;
    assert_eq!(expire(&mut store, "a", latest + 1), refused);
    assert_eq!(expire(&mut store, "a", latest), Reply::Integer(1));
    assert_eq!(ttl(&store, "a"), Reply::Integer(latest));
    for millis in [0, i64::MAX as u64, u64::MAX] {
        let expiry = Expiry::In(millis);
        let set = Set {
            expiry,
            ..plain("a", "2")
        };
        let refused = error("ERR invalid expire time in 'set' command");
        assert_eq!(store.execute(Command::Set(set)), refused);
    }
    assert_eq!(get(&store, "a"), bulk("1"));
}

#[test]
fn a_write_that_is_sent_as_a_read_is_refused() {
    let mut store = store();
    set(&mut store, "a", "1");
    let refused = store.query(&Command::Flush);
    assert!(matches!(refused, Reply::Error(_)), "{refused:?}");
    assert_eq!(store.len(), 1);
}

#[test]
fn stored_keys_and_values_do_not_keep_the_payload_in_memory() {
    let entry = Payload {
        unix_millis: NOW,
        operation: Operation::Commands {
            origin: None,
            commands: vec![Command::Set(plain("key", "value"))],
        },
    };
    let payload = entry.encode();
    let mut machine = Machine::new();
    machine.apply_one(1, &payload);
    let replies = [Command::Get(b("key")), Command::Keys(b("*"))].map(|it| machine.query(&it));
    let [Reply::Bulk(value), names] = &replies else {
        panic!("{replies:?}");
    };
    let Reply::Array(names) = names else {
        panic!("{names:?}");
    };
    let [Reply::Bulk(name)] = names.as_slice() else {
        panic!("{names:?}");
    };
    for stored in [value, name] {
        assert!(!payload.as_ptr_range().contains(&stored.as_ptr()));
    }
}

/// The bytes are in the logs of servers that run.
#[test]
fn the_layout_of_a_payload_does_not_change() {
    let commands = vec![
        Command::Set(Set {
            condition: Condition::Absent,
            expiry: Expiry::In(9),
            reply: SetReply::OldValue,
            ..plain("k", "v")
        }),
        Command::TimeToLive {
            key: b("k"),
            unit: TimeUnit::Millis,
        },
        Command::Scan {
            cursor: 1,
            pattern: None,
            count: 3,
            value_type: ValueType::String,
        },
    ];
    let origin = Some(Origin {
        session: 2,
        sequence: 4,
        floor: 3,
    });
    let address = ServerAddress {
        node: 7,
        clients: "a:1".into(),
        release: "0.1".into(),
    };
    let cases: [(Operation, &[u8]); 3] = [
        (
            Operation::Commands { origin, commands },
            b"\x01\x05\x01\x01\x02\x04\x03\x03\x01\x01k\x01v\x01\x01\x09\x01\x0c\x01k\x01\x0f\x01\x00\x03\x01",
        ),
        (
            Operation::SetAddress(address),
            b"\x01\x05\x04\x07\x03a:1\x030.1",
        ),
        (
            Operation::Load(vec![stored("k", b("v"), Some(7))]),
            b"\x01\x05\x06\x01\x01k\x01v\x01\x07",
        ),
    ];
    for (operation, bytes) in cases {
        assert_eq!(Payload::encode_parts(5, &operation), bytes, "{operation:?}");
    }
}

/// The name of a key. The first two have the same hash.
fn name(key: &u8) -> String {
    match key {
        0 => "key76373987".into(),
        1 => "key88875698".into(),
        _ => format!("k{key}"),
    }
}

/// An operation on one of a few keys, so that several meet the same key.
#[derive(Clone, Debug)]
enum Step {
    Set(u8, Option<u64>),
    Delete(u8),
    Expire(u8, i64),
    Persist(u8),
    Append(u8),
    Load(u8, Option<i64>),
    Flush,
    Advance(u64),
    RemoveExpired,
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0..12_u8;
    prop_oneof![
        4 => (key(), proptest::option::of(1..50_u64)).prop_map(|(key, expiry)| Step::Set(key, expiry)),
        2 => key().prop_map(Step::Delete),
        3 => (key(), -2..50_i64).prop_map(|(key, millis)| Step::Expire(key, millis)),
        2 => key().prop_map(Step::Persist),
        2 => key().prop_map(Step::Append),
        2 => (key(), proptest::option::of(-20..50_i64)).prop_map(|(key, at)| Step::Load(key, at)),
        1 => Just(Step::Flush),
        4 => (0..30_u64).prop_map(Step::Advance),
        1 => Just(Step::RemoveExpired),
    ]
}

/// The keys as a plain map.
type Model = BTreeMap<String, ModelValue>;

#[derive(Default)]
struct ModelValue {
    text: String,
    expiry: Option<u64>,
}

impl ModelValue {
    fn new(text: &str, expiry: Option<u64>) -> ModelValue {
        let text = text.to_owned();
        ModelValue { text, expiry }
    }
}

fn run(step: &Step, store: &mut Store, model: &mut Model) {
    let now = store.time();
    match step {
        Step::Set(key, expiry) => {
            match expiry {
                Some(millis) => set_for(store, &name(key), "v", *millis),
                None => set(store, &name(key), "v"),
            }
            let expiry = expiry.map(|millis| now + millis);
            model.insert(name(key), ModelValue::new("v", expiry));
        }
        Step::Delete(key) => {
            store.execute(Command::Delete(vec![b(&name(key))]));
            model.remove(&name(key));
        }
        Step::Expire(key, millis) => {
            expire(store, &name(key), *millis);
            let expiry = now.saturating_add_signed(*millis);
            model
                .entry(name(key))
                .and_modify(|it| it.expiry = Some(expiry));
        }
        Step::Persist(key) => {
            store.execute(Command::Persist(b(&name(key))));
            model.entry(name(key)).and_modify(|it| it.expiry = None);
        }
        Step::Append(key) => {
            append(store, &name(key), "w");
            model.entry(name(key)).or_default().text.push('w');
        }
        Step::Load(key, at) => {
            let expiry = at.map(|at| now.saturating_add_signed(at));
            store.load(stored(&name(key), b("l"), expiry));
            model.insert(name(key), ModelValue::new("l", expiry));
        }
        Step::Flush => {
            store.execute(Command::Flush);
            model.clear();
        }
        Step::Advance(millis) => store.advance_to(now + millis),
        // It shows in nothing.
        Step::RemoveExpired => store.remove_expired(),
    }
    let now = store.time();
    model.retain(|_, it| it.expiry.is_none_or(|expiry| expiry > now));
}

proptest! {
    #[test]
    fn the_store_holds_the_same_keys_as_a_plain_map_and_no_expired_key(
        steps in proptest::collection::vec(step(), 0..80),
    ) {
        let (mut store, mut model) = (store(), Model::new());
        for step in &steps {
            run(step, &mut store, &mut model);
            prop_assert_eq!(store.len(), model.len() as u64);
            let keys = store.query(&Command::Keys(b("*")));
            prop_assert!(matches!(keys, Reply::Array(keys) if keys.len() == model.len()));
            let next = model.values().filter_map(|it| it.expiry).min();
            prop_assert_eq!(store.next_expiry(), next);
            for (name, value) in &model {
                prop_assert_eq!(get(&store, name), bulk(&value.text));
                let left = value.expiry.map_or(-1, |expiry| (expiry - store.time()) as i64);
                prop_assert_eq!(ttl(&store, name), Reply::Integer(left));
            }
        }
    }
}
