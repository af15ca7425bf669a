//! What requests mean, and what is said of those that mean nothing.
#![cfg(feature = "kv")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use raft_driver_thread::kv::resp::table::{self, Flag, Keys};
use raft_driver_thread::kv::resp::{
    Addressee, Admin, ClientCommand, CommandCommand, Connection, LibraryFact, ParseLimits, Request,
    parse,
};
use raft_driver_thread::kv::state::{Command, Condition, Expiry, Reply, Set};

const LIMITS: ParseLimits = ParseLimits {
    max_value_bytes: 100,
};

/// Parses a line of words with blanks in between.
fn parsed(line: &str) -> Result<Request, Reply> {
    let words = line
        .split(' ')
        .map(|word| Bytes::copy_from_slice(word.as_bytes()));
    parse(words.collect(), &LIMITS)
}

fn state(line: &str) -> Command {
    match parsed(line) {
        Ok(Request::State(command)) => command,
        other => panic!("{line}: {other:?}"),
    }
}

fn connection(line: &str) -> Connection {
    match parsed(line) {
        Ok(Request::Connection(connection)) => connection,
        other => panic!("{line}: {other:?}"),
    }
}

fn error(line: &str) -> String {
    match parsed(line) {
        Err(Reply::Error(error)) => error,
        other => panic!("{line}: {other:?}"),
    }
}

fn b(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn set(condition: Condition, expiry: Expiry, get: bool) -> Command {
    Command::Set(Set {
        key: b("k"),
        value: b("v"),
        condition,
        expiry,
        get,
    })
}

#[test]
fn set_takes_its_options_in_any_order_and_case() {
    use Condition::{Absent, Always, Present};
    let cases = [
        ("SET k v", set(Always, Expiry::Never, false)),
        ("set k v nx", set(Absent, Expiry::Never, false)),
        ("set k v NX NX", set(Absent, Expiry::Never, false)),
        ("set k v px 7 XX get", set(Present, Expiry::In(7), true)),
        ("set k v GET Ex 7", set(Always, Expiry::In(7000), true)),
        ("set k v KEEPTTL NX GET", set(Absent, Expiry::Keep, true)),
        ("setex k 2 v", set(Always, Expiry::In(2000), false)),
        ("psetex k 2 v", set(Always, Expiry::In(2), false)),
    ];
    for (line, expected) in cases {
        assert_eq!(state(line), expected, "{line}");
    }
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    for options in [
        "NX XX",
        "XX NX",
        "EX 1 PX 1",
        "EX 1 EX 1",
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
fn expiries_are_whole_and_positive_and_do_not_overflow() {
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
    assert_eq!(error("expire k 1 NX"), "ERR Unsupported option NX");
    let at_once = Command::Expire {
        key: b("k"),
        millis: -1000,
    };
    assert_eq!(state("expire k -1"), at_once);
    assert_eq!(
        state("pexpire k 5"),
        Command::Expire {
            key: b("k"),
            millis: 5
        }
    );
}

#[test]
fn commands_over_the_keys_are_understood() {
    let increment = |by| Command::Increment { key: b("k"), by };
    let scan = |cursor, pattern, count, of_strings| Command::Scan {
        cursor,
        pattern,
        count,
        of_strings,
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
        (
            "ttl k",
            Command::TimeToLive {
                key: b("k"),
                in_millis: false,
            },
        ),
        (
            "pttl k",
            Command::TimeToLive {
                key: b("k"),
                in_millis: true,
            },
        ),
        ("persist k", Command::Persist(b("k"))),
        ("keys *", Command::Keys(b("*"))),
        ("scan 0", scan(0, None, 10, true)),
        (
            "scan 18446744073709551615 match a* count 1 type STRING",
            scan(u64::MAX, Some(b("a*")), 1, true),
        ),
        ("scan 5 type list", scan(5, None, 10, false)),
        ("dbsize", Command::Size),
        ("flushdb", Command::Flush),
        ("flushall async", Command::Flush),
        ("FLUSHDB SYNC", Command::Flush),
        ("type k", Command::Type(b("k"))),
    ];
    for (line, expected) in cases {
        let command = state(line);
        let spec = table::find(line.split(' ').next().unwrap().as_bytes()).unwrap();
        assert_eq!(command.writes(), spec.has(Flag::Write), "{line}");
        assert_ne!(command.writes(), spec.has(Flag::ReadOnly), "{line}");
        assert_eq!(command, expected, "{line}");
    }
}

#[test]
fn what_is_wrong_is_said_in_the_words_of_redis() {
    let long = "x".repeat(200);
    let cases = [
        (
            "FOO a c".to_owned(),
            "ERR unknown command 'FOO', with args beginning with: 'a' 'c' ".to_owned(),
        ),
        (
            "foo".into(),
            "ERR unknown command 'foo', with args beginning with: ".into(),
        ),
        (
            format!("{long} a {long} c"),
            format!(
                "ERR unknown command '{}', with args beginning with: 'a' '{}' ",
                &long[..128],
                &long[..124]
            ),
        ),
        (
            "get".into(),
            "ERR wrong number of arguments for 'get' command".into(),
        ),
        (
            "GET a c".into(),
            "ERR wrong number of arguments for 'get' command".into(),
        ),
        (
            "mset a c d".into(),
            "ERR wrong number of arguments for 'mset' command".into(),
        ),
        (
            "ping a c".into(),
            "ERR wrong number of arguments for 'ping' command".into(),
        ),
        (
            "client".into(),
            "ERR wrong number of arguments for 'client' command".into(),
        ),
        (
            "client setname".into(),
            "ERR wrong number of arguments for 'client|setname' command".into(),
        ),
        (
            "incrby k x".into(),
            "ERR value is not an integer or out of range".into(),
        ),
        (
            "decrby k -9223372036854775808".into(),
            "ERR decrement would overflow".into(),
        ),
        ("scan x".into(), "ERR invalid cursor".into()),
        ("scan -1".into(), "ERR invalid cursor".into()),
        ("scan 0 count 0".into(), "ERR syntax error".into()),
        ("scan 0 count -1".into(), "ERR syntax error".into()),
        (
            "scan 0 count x".into(),
            "ERR value is not an integer or out of range".into(),
        ),
        ("scan 0 match".into(), "ERR syntax error".into()),
        ("flushdb now".into(), "ERR syntax error".into()),
        ("flushdb sync sync".into(), "ERR syntax error".into()),
        ("select 1".into(), "ERR DB index is out of range".into()),
        ("select -1".into(), "ERR DB index is out of range".into()),
        (
            "select x".into(),
            "ERR value is not an integer or out of range".into(),
        ),
        (
            "hello 4".into(),
            "NOPROTO unsupported protocol version".into(),
        ),
        (
            "hello 1".into(),
            "NOPROTO unsupported protocol version".into(),
        ),
        (
            "hello 258".into(),
            "NOPROTO unsupported protocol version".into(),
        ),
        (
            "hello x".into(),
            "ERR Protocol version is not an integer or out of range".into(),
        ),
        (
            "hello 3 auth a".into(),
            "ERR Syntax error in HELLO option 'auth'".into(),
        ),
        (
            "hello 3 setname".into(),
            "ERR Syntax error in HELLO option 'setname'".into(),
        ),
        ("auth a c d".into(), "ERR syntax error".into()),
        (
            "client setinfo x y".into(),
            "ERR Unrecognized option 'x'".into(),
        ),
        ("client no-evict maybe".into(), "ERR syntax error".into()),
    ];
    for (line, expected) in cases {
        assert_eq!(error(&line), expected, "{line}");
    }
}

#[test]
fn what_this_server_does_not_do_is_refused_with_the_reason() {
    for (line, part) in [
        ("watch k", "CAS"),
        ("client reply off", "every request"),
        ("client kill 1.2.3.4:5", "end their connections"),
        ("config set a c", "when the server starts"),
        (
            "client tracking on",
            "unknown subcommand 'tracking'. CLIENT has GETNAME, ID, ",
        ),
        ("once 1 1 ping", "'ping' is not"),
        ("once 1 1 once 2 2 get k", "'once' is not"),
        ("once 1 1 client id", "'client' is not"),
        (
            "raft join 1 nowhere",
            "'nowhere' is not an address: give host:port",
        ),
        ("raft join 1 a:0", "not an address"),
        ("raft join 1 a:65536", "not an address"),
    ] {
        let error = error(line);
        assert!(
            error.starts_with("ERR ") && error.contains(part),
            "{line}: {error}"
        );
    }
    for name in [
        "debug",
        "shutdown",
        "save",
        "replicaof",
        "eval",
        "lpush",
        "subscribe",
    ] {
        assert!(error(name).starts_with("ERR unknown command"), "{name}");
    }
}

#[test]
fn long_values_and_keys_are_refused_but_not_what_holds_several() {
    let long = "x".repeat(101);
    let expected = "ERR value is longer than the 100 bytes that this server takes";
    for line in [
        "get L",
        "set L v",
        "set k L",
        "mset a c d L",
        "once 1 1 set k L",
        "echo L",
    ] {
        assert_eq!(error(&line.replace('L', &long)), expected, "{line}");
    }
    assert!(parsed(&format!("set k {}", &long[1..])).is_ok());
    let to = Addressee {
        cluster: 77,
        node: 2,
    };
    let body = Bytes::from(long.clone());
    let forward = Request::Admin(Admin::Forward { to, body });
    assert_eq!(parsed(&format!("raft forward 77 2 {long}")), Ok(forward));
}

#[test]
fn requests_about_the_connection_are_understood() {
    let hello = |version, auth, name| Connection::Hello {
        version,
        auth,
        name,
    };
    let info = |fact, value| Connection::Client(ClientCommand::SetInfo { fact, value });
    let cases = [
        ("ping", Connection::Ping(None)),
        ("PING a", Connection::Ping(Some(b("a")))),
        ("echo a", Connection::Echo(b("a"))),
        ("select 0", Connection::Select(0)),
        ("quit", Connection::Quit),
        ("reset", Connection::Reset),
        ("hello", hello(None, None, None)),
        ("hello 2", hello(Some(2), None, None)),
        (
            "hello 3 setname n AUTH u p",
            hello(Some(3), Some((b("u"), b("p"))), Some(b("n"))),
        ),
        (
            "auth p",
            Connection::Auth {
                user: None,
                password: b("p"),
            },
        ),
        (
            "auth u p",
            Connection::Auth {
                user: Some(b("u")),
                password: b("p"),
            },
        ),
        ("client id", Connection::Client(ClientCommand::Id)),
        ("client getname", Connection::Client(ClientCommand::GetName)),
        (
            "client setname n",
            Connection::Client(ClientCommand::SetName(b("n"))),
        ),
        (
            "client setname ",
            Connection::Client(ClientCommand::SetName(b(""))),
        ),
        ("client setinfo LIB-NAME x", info(LibraryFact::Name, b("x"))),
        (
            "client setinfo lib-ver 1",
            info(LibraryFact::Version, b("1")),
        ),
        ("client info", Connection::Client(ClientCommand::Info)),
        ("client list", Connection::Client(ClientCommand::List)),
        (
            "client no-evict on",
            Connection::Client(ClientCommand::NoEvict),
        ),
        (
            "client no-touch OFF",
            Connection::Client(ClientCommand::NoTouch),
        ),
        ("info", Connection::Info(vec![])),
        ("info server", Connection::Info(vec![b("server")])),
        ("command", Connection::Command(CommandCommand::All)),
        ("command count", Connection::Command(CommandCommand::Count)),
        (
            "command docs get",
            Connection::Command(CommandCommand::Docs(vec![b("get")])),
        ),
        (
            "command info",
            Connection::Command(CommandCommand::Info(vec![])),
        ),
        ("command list", Connection::Command(CommandCommand::List)),
        ("config get save", Connection::ConfigGet(vec![b("save")])),
        ("readonly", Connection::ReadOnly),
        ("readwrite", Connection::ReadWrite),
        ("multi", Connection::Multi),
        ("exec", Connection::Exec),
        ("discard", Connection::Discard),
        ("unwatch", Connection::Unwatch),
    ];
    for (line, expected) in cases {
        assert_eq!(connection(line), expected, "{line}");
    }
    let names = parse(vec![b("client"), b("setname"), b("a b")], &LIMITS);
    let expected = "ERR Client names cannot contain spaces, newlines or special characters.";
    assert_eq!(names, Err(Reply::Error(expected.into())));
}

#[test]
fn requests_about_sessions_and_the_cluster_are_understood() {
    let once = Request::Once {
        session: 7,
        sequence: u64::MAX,
        command: Command::Get(b("k")),
    };
    let cases = [
        ("once 7 18446744073709551615 GET k", once),
        ("session open", Request::OpenSession),
        ("session close 7", Request::CloseSession(7)),
        ("raft status", Request::Admin(Admin::Status)),
        (
            "raft join 4 [::1]:70",
            Request::Admin(Admin::Join {
                node: 4,
                peers: "[::1]:70".into(),
            }),
        ),
        ("raft leave 4", Request::Admin(Admin::Leave(4))),
        ("raft transfer", Request::Admin(Admin::Transfer(None))),
        ("raft transfer 4", Request::Admin(Admin::Transfer(Some(4)))),
        ("raft snapshot", Request::Admin(Admin::Snapshot)),
        ("raft backup open", Request::Admin(Admin::BackupOpen)),
        ("RAFT BACKUP READ", Request::Admin(Admin::BackupRead)),
        ("raft load x", Request::Admin(Admin::Load(b("x")))),
        (
            "raft here 77 2 RAFT leave 4",
            Request::Admin(Admin::Here {
                to: Addressee {
                    cluster: 77,
                    node: 2,
                },
                request: Box::new(Admin::Leave(4)),
            }),
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(parsed(line), Ok(expected), "{line}");
    }
    let syntax = Err(Reply::Error("ERR syntax error".into()));
    for line in [
        "raft here 77 2 get k",
        "raft here 77 2 raft status",
        "raft here 77 2 raft here 77 2 raft leave 4",
    ] {
        assert_eq!(parsed(line), syntax, "{line}");
    }
}

#[test]
fn the_table_is_in_order_and_each_name_is_found_in_any_case() {
    let names: Vec<_> = table::all().iter().map(|spec| spec.name).collect();
    assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
    for name in names {
        assert_eq!(table::find(name.as_bytes()).unwrap().name, name);
        assert_eq!(
            table::find(name.to_uppercase().as_bytes()).unwrap().name,
            name
        );
    }
    assert!(table::find(b"").is_none() && table::find(&[b'g'; 17]).is_none());
    for spec in table::all() {
        for subcommand in spec.subcommands {
            assert_eq!(
                subcommand.full_name,
                format!("{}|{}", spec.name, subcommand.name)
            );
            let found = spec.subcommand(subcommand.name.to_uppercase().as_bytes());
            assert_eq!(found.unwrap().name, subcommand.name);
        }
    }
}

#[test]
fn commands_describe_themselves() {
    let Reply::Array(all) = CommandCommand::All.reply() else {
        panic!("no array")
    };
    let count = i64::try_from(all.len()).unwrap();
    assert_eq!(CommandCommand::Count.reply(), Reply::Integer(count));
    let Reply::Array(found) = CommandCommand::Info(vec![b("MSET"), b("no")]).reply() else {
        panic!("no array")
    };
    assert_eq!(found[1], Reply::Nil);
    let Reply::Array(mset) = &found[0] else {
        panic!("no array")
    };
    assert_eq!((mset.len(), &mset[0]), (10, &Reply::text("mset")));
    assert_eq!(mset[1..2], [Reply::Integer(-3)]);
    assert_eq!(mset[3..6], [1, -1, 2].map(Reply::Integer));
    let Reply::Map(docs) = CommandCommand::Docs(vec![b("get"), b("no")]).reply() else {
        panic!("no map")
    };
    assert_eq!((docs.len(), &docs[0].0), (1, &Reply::text("get")));
    let Reply::Array(names) = CommandCommand::List.reply() else {
        panic!("no array")
    };
    assert_eq!(names.len(), all.len());
}

/// Words of which some are commands, options and numbers.
fn words() -> impl Strategy<Value = Vec<Bytes>> {
    let names = table::all().iter().flat_map(|spec| {
        let subcommands = spec.subcommands.iter().map(|subcommand| subcommand.name);
        std::iter::once(spec.name).chain(subcommands)
    });
    let names: Vec<_> = names.collect();
    let other = [
        "NX",
        "XX",
        "GET",
        "KEEPTTL",
        "EX",
        "PX",
        "MATCH",
        "COUNT",
        "TYPE",
        "0",
        "1",
        "-1",
        "2",
        "3",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615",
        "AUTH",
        "SETNAME",
        "OPEN",
        "READ",
        "ON",
        "lib-name",
        "a:1",
        "",
    ];
    let known = prop::sample::select([names.clone(), other.to_vec()].concat());
    let any = vec(any::<u8>(), 0..8).prop_map(Bytes::from);
    let word = prop_oneof![4 => known.prop_map(Bytes::from), 1 => any];
    let first = prop::sample::select(names).prop_map(Bytes::from);
    (first, vec(word, 0..7)).prop_map(|(first, rest)| [vec![first], rest].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn no_words_break_the_parser_and_what_is_refused_gets_an_error(words in words()) {
        match parse(words.clone(), &LIMITS) {
            Ok(request) => {
                let spec = table::find(&words[0]).unwrap();
                if let Request::State(_) = request {
                    prop_assert!(spec.keys != Keys::None || spec.group != "string");
                }
                if let Request::State(Command::Set(Set { expiry: Expiry::In(millis), .. })) = request {
                    prop_assert!((1..=1 << 62).contains(&millis));
                }
            }
            Err(Reply::Error(error)) => {
                let code = error.split(' ').next().unwrap();
                prop_assert!(code == "ERR" || code == "NOPROTO", "{}", error);
            }
            Err(other) => prop_assert!(false, "{:?}", other),
        }
    }
}
