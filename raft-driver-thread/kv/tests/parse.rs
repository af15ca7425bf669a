//! Requests are understood, and those that are malformed get the errors of Redis.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/parse.rs"]
mod support;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use raft_kv::resp::table::{self, KeyPositions};
use raft_kv::resp::{
    Addressee, AdminCommand, ClientCommand, ClientFilter, CommandCommand, Credentials, Join,
    LibraryAttribute, LocalCommand, Move, Replace, Request, parse,
};
use raft_kv::state::{Command, Expiry, Reply, Set};
use support::{LIMITS, b, error, parsed};

fn local(line: &str) -> LocalCommand {
    match parsed(line) {
        Ok(Request::Local(command)) => command,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn malformed_requests_get_the_errors_of_redis() {
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
        ("scan +".into(), "ERR invalid cursor".into()),
        (
            "scan 99999999999999999999".into(),
            "ERR invalid cursor".into(),
        ),
        ("scan 0 count 0".into(), "ERR syntax error".into()),
        ("scan 0 count -1".into(), "ERR syntax error".into()),
        (
            "scan 0 count x".into(),
            "ERR value is not an integer or out of range".into(),
        ),
        ("scan 0 match".into(), "ERR syntax error".into()),
        ("flushdb now".into(), "ERR syntax error".into()),
        ("flushdb sync sync".into(), "ERR syntax error".into()),
        (
            "select 2147483648".into(),
            "ERR value is out of range, value must between -2147483648 and 2147483647".into(),
        ),
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
fn unsupported_commands_are_refused_with_a_reason() {
    for (line, part) in [
        ("watch k", "CAS"),
        ("client reply off", "every request"),
        ("client kill 1.2.3.4:5", "end their connections"),
        ("config set a c", "when the server starts"),
        (
            "client tracking on",
            "unknown subcommand 'tracking'. Try CLIENT HELP.",
        ),
        (
            "raft tracking on",
            "unknown subcommand 'tracking'. RAFT has BACKUP, ",
        ),
        ("once 1 1 ping", "'ping' is not"),
        ("once 1 1 once 2 2 get k", "'once' is not"),
        ("once 1 1 client id", "'client' is not"),
        (
            "raft join 1 nowhere",
            "'nowhere' is not an address: give host:port",
        ),
        ("raft join 1 a:1 xyz", "no incarnation"),
        ("raft join 1 a:1 10000000000000000", "no incarnation"),
        ("raft join 1 a:1 1f again", "syntax"),
        ("raft join 1 a:1 1f replace 1", "syntax"),
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
fn long_values_and_keys_are_refused_but_not_arguments_that_hold_several() {
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
    let operation = Bytes::from(long.clone());
    let forward = Request::Admin(AdminCommand::Forward { to, operation });
    assert_eq!(parsed(&format!("raft forward 77 2 {long}")), Ok(forward));
}

#[test]
fn commands_about_the_connection_are_understood() {
    let hello = |version, auth, name| LocalCommand::Hello {
        version,
        auth,
        name,
    };
    let info = |attribute, value| LocalCommand::Client(ClientCommand::SetInfo { attribute, value });
    let cases = [
        ("ping", LocalCommand::Ping(None)),
        ("PING a", LocalCommand::Ping(Some(b("a")))),
        ("echo a", LocalCommand::Echo(b("a"))),
        ("select 0", LocalCommand::Select(0)),
        ("select -1", LocalCommand::Select(-1)),
        ("quit", LocalCommand::Quit),
        ("reset", LocalCommand::Reset),
        ("hello", hello(None, None, None)),
        ("hello 2", hello(Some(2), None, None)),
        (
            "hello 3 setname n AUTH u p",
            hello(
                Some(3),
                Some(Credentials {
                    user: b("u"),
                    password: b("p"),
                }),
                Some(b("n")),
            ),
        ),
        (
            "auth p",
            LocalCommand::Auth {
                user: None,
                password: b("p"),
            },
        ),
        (
            "auth u p",
            LocalCommand::Auth {
                user: Some(b("u")),
                password: b("p"),
            },
        ),
        ("client id", LocalCommand::Client(ClientCommand::Id)),
        (
            "client getname",
            LocalCommand::Client(ClientCommand::GetName),
        ),
        (
            "client setname n",
            LocalCommand::Client(ClientCommand::SetName(b("n"))),
        ),
        (
            "client setname ",
            LocalCommand::Client(ClientCommand::SetName(b(""))),
        ),
        (
            "client setinfo LIB-NAME x",
            info(LibraryAttribute::Name, b("x")),
        ),
        (
            "client setinfo lib-ver 1",
            info(LibraryAttribute::Version, b("1")),
        ),
        ("client info", LocalCommand::Client(ClientCommand::Info)),
        (
            "client list",
            LocalCommand::Client(ClientCommand::List(ClientFilter::All)),
        ),
        (
            "client list type NORMAL",
            LocalCommand::Client(ClientCommand::List(ClientFilter::All)),
        ),
        (
            "client list type replica",
            LocalCommand::Client(ClientCommand::List(ClientFilter::Nobody)),
        ),
        (
            "client list id 3 4",
            LocalCommand::Client(ClientCommand::List(ClientFilter::Ids(vec![3, 4]))),
        ),
        (
            "client no-evict on",
            LocalCommand::Client(ClientCommand::NoEvict),
        ),
        (
            "client no-touch OFF",
            LocalCommand::Client(ClientCommand::NoTouch),
        ),
        ("info", LocalCommand::Info(vec![])),
        ("info server", LocalCommand::Info(vec![b("server")])),
        ("command", LocalCommand::Command(CommandCommand::All)),
        (
            "command count",
            LocalCommand::Command(CommandCommand::Count),
        ),
        (
            "command docs get",
            LocalCommand::Command(CommandCommand::Docs(vec![b("get")])),
        ),
        (
            "command info",
            LocalCommand::Command(CommandCommand::Info(vec![])),
        ),
        ("command list", LocalCommand::Command(CommandCommand::List)),
        ("config get save", LocalCommand::ConfigGet(vec![b("save")])),
        ("readonly", LocalCommand::ReadOnly),
        ("readwrite", LocalCommand::ReadWrite),
        ("multi", LocalCommand::Multi),
        ("exec", LocalCommand::Exec),
        ("discard", LocalCommand::Discard),
        ("unwatch", LocalCommand::Unwatch),
    ];
    for (line, expected) in cases {
        assert_eq!(local(line), expected, "{line}");
    }
    let names = parse(vec![b("client"), b("setname"), b("a b")], &LIMITS);
    let expected = "ERR Client names cannot contain spaces, newlines or special characters.";
    assert_eq!(names, Err(Reply::Error(expected.into())));
}

fn joined(incarnation: Option<u64>, replace: Replace) -> Request {
    Request::Admin(AdminCommand::Join(Join {
        node: 4,
        peers: "[::1]:70".into(),
        incarnation,
        replace,
    }))
}

#[test]
fn commands_about_sessions_and_the_cluster_are_understood() {
    let once = Request::Once {
        session: 7,
        sequence: u64::MAX,
        command: Command::Get(b("k")),
    };
    let cases = [
        ("once 7 18446744073709551615 GET k", once),
        ("session open", Request::OpenSession),
        ("session close 7", Request::CloseSession(7)),
        ("raft status", Request::Admin(AdminCommand::Status)),
        ("raft join 4 [::1]:70", joined(None, Replace::Lost)),
        (
            "raft join 4 [::1]:70 fedcba9876543210",
            joined(Some(0xfedc_ba98_7654_3210), Replace::Lost),
        ),
        (
            "raft join 4 [::1]:70 1f replace",
            joined(Some(0x1f), Replace::Any),
        ),
        ("raft leave 4", Request::Admin(AdminCommand::Leave(4))),
        (
            "raft transfer",
            Request::Admin(AdminCommand::Transfer(None)),
        ),
        (
            "raft transfer 4",
            Request::Admin(AdminCommand::Transfer(Some(4))),
        ),
        (
            "raft move 4 [::1]:70",
            Request::Admin(AdminCommand::Move(Move {
                node: 4,
                peers: "[::1]:70".into(),
            })),
        ),
        ("raft campaign", Request::Admin(AdminCommand::Campaign)),
        ("raft stepdown", Request::Admin(AdminCommand::StepDown)),
        ("raft snapshot", Request::Admin(AdminCommand::Snapshot)),
        ("raft backup open", Request::Admin(AdminCommand::BackupOpen)),
        ("RAFT BACKUP READ", Request::Admin(AdminCommand::BackupRead)),
        ("raft load x", Request::Admin(AdminCommand::Load(b("x")))),
        (
            "raft here 77 2 RAFT leave 4",
            Request::Admin(AdminCommand::Here {
                to: Addressee {
                    cluster: 77,
                    node: 2,
                },
                request: Box::new(AdminCommand::Leave(4)),
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

/// Words, some of which are commands, options and numbers.
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
    fn no_words_break_the_parser_and_each_refused_request_gets_an_error(words in words()) {
        match parse(words.clone(), &LIMITS) {
            Ok(request) => {
                let spec = table::find(&words[0]).unwrap();
                if let Request::Command(_) = request {
                    prop_assert!(spec.keys != KeyPositions::NoKeys || spec.group != "string");
                }
                if let Request::Command(Command::Set(Set { expiry: Expiry::In(millis), .. })) = request {
                    prop_assert!((1..=i64::MAX as u64).contains(&millis));
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
