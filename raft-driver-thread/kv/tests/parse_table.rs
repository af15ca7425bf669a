//! The table of all commands, and the answers of COMMAND.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/parse.rs"]
mod support;

use raft_kv::resp::{CommandCommand, LocalCommand, Request, table};
use raft_kv::state::Reply;
use support::{b, error, parsed};

#[test]
fn the_table_is_ordered_and_each_name_is_found_in_any_case() {
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
fn command_describes_all_commands() {
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

/// The answer of COMMAND GETKEYS for a request.
fn keys_of(line: &str) -> Reply {
    match parsed(&format!("command getkeys {line}")) {
        Ok(Request::Local(LocalCommand::Command(command))) => command.reply(),
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn getkeys_returns_the_keys_of_a_request() {
    let arity = "ERR wrong number of arguments for 'command|getkeys' command";
    assert_eq!(error("command getkeys get"), arity);
    for (line, keys) in [
        ("get a", &["a"][..]),
        ("SET a v EX 1", &["a"]),
        ("cas a b c", &["a"]),
        ("mset a 1 b 2", &["a", "b"]),
        ("del a a c", &["a", "a", "c"]),
    ] {
        let keys = keys.iter().copied().map(Reply::text).collect();
        assert_eq!(keys_of(line), Reply::Array(keys), "{line}");
    }
    for (line, expected) in [
        ("nosuch a", "ERR Invalid command specified"),
        ("client nosuch", "ERR Invalid command specified"),
        ("client id", "ERR The command has no key arguments"),
        ("keys *", "ERR The command has no key arguments"),
        (
            "get a b",
            "ERR Invalid number of arguments specified for command",
        ),
    ] {
        assert_eq!(keys_of(line), Reply::Error(expected.into()), "{line}");
    }
}
