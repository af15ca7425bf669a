//! Scans find every key, and their cursors are the same on every machine.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

#[path = "support/state.rs"]
mod support;

use bytes::Bytes;
use proptest::prelude::*;
use raft_kv::state::{Command, Reply, Store, ValueType};
use std::collections::BTreeSet;
use support::b;

fn set(store: &mut Store, key: &str) {
    store.execute(Command::SetMany(vec![(b(key), b("1"))]));
}

#[test]
fn keys_returns_the_keys_that_match_a_pattern() {
    let mut store = Store::new();
    for key in ["one", "two", "three"] {
        set(&mut store, key);
    }
    let found = |pattern| names_of(&store.query(&Command::Keys(b(pattern)))).len();
    assert_eq!((found("*"), found("t*"), found("x*")), (3, 2, 0));
    assert_eq!(
        store.query(&Command::Keys(b("?n?"))),
        Reply::Array(vec![Reply::text("one")])
    );
}

/// One step of a scan. Returns the next cursor and the keys.
fn scan(store: &Store, cursor: u64, pattern: Option<&str>, count: u64) -> (u64, Vec<Bytes>) {
    let pattern = pattern.map(b);
    let reply = store.query(&Command::Scan {
        cursor,
        pattern,
        count,
        value_type: ValueType::String,
    });
    let Reply::Array(parts) = reply else {
        panic!("{reply:?}");
    };
    let [Reply::Bulk(next), names] = parts.as_slice() else {
        panic!("{parts:?}");
    };
    let next = std::str::from_utf8(next).unwrap().parse().unwrap();
    (next, names_of(names))
}

fn names_of(reply: &Reply) -> Vec<Bytes> {
    let Reply::Array(names) = reply else {
        panic!("{reply:?}");
    };
    let names = names.iter().map(|name| {
        let Reply::Bulk(name) = name else {
            panic!("{name:?}");
        };
        name.clone()
    });
    names.collect()
}

#[test]
fn a_cursor_is_the_same_number_on_every_machine_and_exact_as_a_floating_point_number() {
    let mut store = Store::new();
    let mut cursors = BTreeSet::new();
    for number in 0..100 {
        set(&mut store, &format!("key:{number}"));
    }
    let (mut cursor, mut seen) = (0, 0);
    loop {
        let (next, names) = scan(&store, cursor, None, 1);
        seen += names.len();
        cursor = next;
        if cursor == 0 {
            break;
        }
        assert!(cursor < 1 << 53);
        assert!(cursors.insert(cursor));
    }
    assert_eq!(seen, 100);
    // FNV-1a of the names, folded.
    assert_eq!(cursors.first(), Some(&FIRST_CURSOR));
}

/// Computed in Python: the second lowest of (hash >> 53) ^ (hash & (1 << 53) - 1) over key:0 to
/// key:99.
const FIRST_CURSOR: u64 = 2_427_503_365_977;

#[test]
fn a_scan_for_another_type_finds_nothing_and_a_scan_from_any_cursor_ends() {
    let mut store = Store::new();
    set(&mut store, "a");
    let none = store.query(&Command::Scan {
        cursor: 0,
        pattern: None,
        count: 10,
        value_type: ValueType::Other,
    });
    let nothing = Reply::Array(vec![Reply::text("0"), Reply::Array(Vec::new())]);
    assert_eq!(none, nothing);
    assert_eq!(scan(&store, u64::MAX, None, 0), (0, Vec::new()));
    assert_eq!(scan(&store, 0, None, u64::MAX), (0, vec![b("a")]));
    assert_eq!(scan(&store, 0, Some("b*"), 1), (0, Vec::new()));
}

#[test]
fn keys_of_one_hash_are_scanned_together_in_the_order_of_their_names() {
    // Found by a search over "key" and a number.
    let twins = ["key76373987", "key88875698"];
    for order in [twins, [twins[1], twins[0]]] {
        let mut store = Store::new();
        for name in order {
            set(&mut store, name);
        }
        assert_eq!(scan(&store, 0, None, 1), (0, twins.map(b).to_vec()));
        for (gone, left) in [(twins[0], twins[1]), (twins[1], twins[0])] {
            let mut store = store.clone();
            let deleted = store.execute(Command::Delete(vec![b(gone)]));
            assert_eq!(deleted, Reply::Integer(1));
            assert_eq!(scan(&store, 0, None, 1), (0, vec![b(left)]));
        }
        // Only the copies changed.
        assert_eq!(store.len(), 2);
        assert_eq!(scan(&store, 0, None, 9), (0, twins.map(b).to_vec()));
    }
}

proptest! {
    #[test]
    fn a_full_scan_finds_every_key_that_stays_exactly_once_while_others_come_and_go(
        stay in proptest::collection::btree_set("s[a-z]{0,3}", 0..60),
        changes in proptest::collection::vec(("c[a-z]{0,1}", any::<bool>()), 0..120),
        count in 1..9_u64,
    ) {
        let mut store = Store::new();
        for name in &stay {
            set(&mut store, name);
        }
        let mut changes = changes.iter();
        let (mut cursor, mut found) = (0, Vec::new());
        loop {
            for (name, is_set) in changes.by_ref().take(3) {
                if *is_set {
                    set(&mut store, name);
                } else {
                    store.execute(Command::Delete(vec![b(name)]));
                }
            }
            let (next, names) = scan(&store, cursor, Some("s*"), count);
            found.extend(names);
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        found.sort();
        let stay: Vec<Bytes> = stay.iter().map(|name| b(name)).collect();
        prop_assert_eq!(found, stay);
    }
}
