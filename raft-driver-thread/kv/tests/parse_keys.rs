//! Commands over the keys are understood.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/parse.rs"]
mod support;

use raft_kv::resp::table::{self, Flag};
use raft_kv::state::{Command, Condition, Expiry, Set, SetReply, TimeUnit, ValueType};
use support::{b, command, error};

fn set(condition: Condition, expiry: Expiry, reply: SetReply) -> Command {
    Command::Set(Set {
        key: b("k"),
        value: b("v"),
        condition,
        expiry,
        reply,
    })
}

#[test]
fn set_takes_its_options_in_any_order_and_case() {
    use Condition::{Absent, Always, Present};
    use SetReply::{Ok, OldValue};
    let cases = [
        ("SET k v", set(Always, Expiry::Never, Ok)),
        ("set k v nx", set(Absent, Expiry::Never, Ok)),
        ("set k v NX NX", set(Absent, Expiry::Never, Ok)),
        ("set k v px 7 XX get", set(Present, Expiry::In(7), OldValue)),
        ("set k v GET Ex 7", set(Always, Expiry::In(7000), OldValue)),
        (
            "set k v KEEPTTL NX GET",
            set(Absent, Expiry::Keep, OldValue),
        ),
        ("set k v KEEPTTL keepttl", set(Always, Expiry::Keep, Ok)),
        ("set k v EX x NX EX 7", set(Absent, Expiry::In(7000), Ok)),
        ("setex k 2 v", set(Always, Expiry::In(2000), Ok)),
        ("psetex k 2 v", set(Always, Expiry::In(2), Ok)),
    ];
    for (line, expected) in cases {
        assert_eq!(command(line), expected, "{line}");
    }
}

#[test]
fn unknown_and_contradicting_options_of_set_are_refused() {
    for options in [
        "NX XX",
        "XX NX",
        "EX 1 PX 1",
        "EX 1 PX 1 EX 1",
        "EX 1 KEEPTTL",
        "KEEPTTL EX 1",
        "EX",
        "PX",
        "EXAT 1",
        "PXAT 1",
        "WAIT",
        "EX 1 2",
    ] {
        assert_eq!(
            error(&format!("set k v {options}")),
            "ERR syntax error",
            "{options}"
        );
    }
}

#[test]
fn expiries_are_whole_numbers_within_their_limits() {
    for (line, command) in [
        ("set k v ex N", "set"),
        ("setex k N v", "setex"),
        ("psetex k N v", "psetex"),
    ] {
        for number in ["0", "-1", "9223372036854775807"] {
            let expected = format!("ERR invalid expire time in '{command}' command");
            assert_eq!(
                error(&line.replace('N', number)),
                expected,
                "{line} {number}"
            );
        }
        for number in ["x", "1.5", "+1", "01", "", "9223372036854775808"] {
            let expected = "ERR value is not an integer or out of range";
            assert_eq!(
                error(&line.replace('N', number)),
                expected,
                "{line} {number}"
            );
        }
    }
    let invalid = "ERR invalid expire time in 'expire' command";
    assert_eq!(error("expire k 9223372036854775"), invalid);
    assert_eq!(error("expire k -9223372036854776"), invalid);
    let invalid = "ERR invalid expire time in 'pexpire' command";
    assert_eq!(error("pexpire k 9223372036854775807"), invalid);
    assert_eq!(error("expire k 1 NX"), "ERR Unsupported option NX");
    assert_eq!(error("expire k x NX"), "ERR Unsupported option NX");
    for (line, millis) in [
        ("pexpire k 5", 5),
        ("expire k -1", -1000),
        ("expire k -9223372036854775", -9_223_372_036_854_775_000),
        ("pexpire k -9223372036854775808", i64::MIN),
        // About the latest expiry that Redis accepts, until the year 2109.
        ("pexpire k 9223367638808264703", i64::MAX - (1 << 42)),
    ] {
        let key = b("k");
        assert_eq!(command(line), Command::Expire { key, millis }, "{line}");
    }
    let latest = set(
        Condition::Always,
        Expiry::In(i64::MAX as u64 - (1 << 42)),
        SetReply::Ok,
    );
    assert_eq!(command("set k v px 9223367638808264703"), latest);
}

#[test]
fn commands_over_the_keys_are_understood() {
    let increment = |by| Command::Increment { key: b("k"), by };
    let scan = |cursor, pattern, count, value_type| Command::Scan {
        cursor,
        pattern,
        count,
        value_type,
    };
    let cases = [
        ("get k", Command::Get(b("k"))),
        (
            "cas k a c",
            Command::CompareAndSet {
                key: b("k"),
                old: Some(b("a")),
                new: b("c"),
            },
        ),
        (
            "setnx k c",
            Command::CompareAndSet {
                key: b("k"),
                old: None,
                new: b("c"),
            },
        ),
        ("del a c", Command::Delete(vec![b("a"), b("c")])),
        ("unlink a", Command::Delete(vec![b("a")])),
        ("exists a a", Command::Exists(vec![b("a"), b("a")])),
        ("incr k", increment(1)),
        ("decr k", increment(-1)),
        ("incrby k -9223372036854775808", increment(i64::MIN)),
        ("decrby k 3", increment(-3)),
        (
            "append k v",
            Command::Append {
                key: b("k"),
                value: b("v"),
            },
        ),
        ("strlen k", Command::Length(b("k"))),
        ("mget a c", Command::GetMany(vec![b("a"), b("c")])),
        (
            "mset a c a d",
            Command::SetMany(vec![(b("a"), b("c")), (b("a"), b("d"))]),
        ),
        (
            "getset k v",
            Command::GetSet {
                key: b("k"),
                value: b("v"),
            },
        ),
        ("getdel k", Command::GetDelete(b("k"))),
        (
            "ttl k",
            Command::TimeToLive {
                key: b("k"),
                unit: TimeUnit::Seconds,
            },
        ),
        (
            "pttl k",
            Command::TimeToLive {
                key: b("k"),
                unit: TimeUnit::Millis,
            },
        ),
        ("persist k", Command::Persist(b("k"))),
        ("keys *", Command::Keys(b("*"))),
        ("scan 0", scan(0, None, 10, ValueType::String)),
        (
            "scan 18446744073709551615 match a* count 1 type STRING",
            scan(u64::MAX, Some(b("a*")), 1, ValueType::String),
        ),
        ("scan 5 type list", scan(5, None, 10, ValueType::Other)),
        ("dbsize", Command::Size),
        ("flushdb", Command::Flush),
        ("flushall async", Command::Flush),
        ("FLUSHDB SYNC", Command::Flush),
        ("type k", Command::Type(b("k"))),
    ];
    for (line, expected) in cases {
        let command = command(line);
        let spec = table::find(line.split(' ').next().unwrap().as_bytes()).unwrap();
        assert_eq!(command.writes(), spec.has(Flag::Write), "{line}");
        assert_ne!(command.writes(), spec.has(Flag::ReadOnly), "{line}");
        assert_eq!(command, expected, "{line}");
    }
}
