//! What COMMAND answers.

use super::spec::{Arity, CommandSpec, Flag, KeyPositions, Subcommand};
use super::{all, find};
use crate::resp::request::CommandCommand;
use crate::state::Reply;
use bytes::Bytes;

/// The release in which all of the commands came.
const SINCE: &str = "0.1.0";

impl CommandCommand {
    /// The answer.
    pub fn reply(&self) -> Reply {
        match self {
            CommandCommand::All => Reply::Array(all().iter().map(description).collect()),
            CommandCommand::Count => count(all().len()),
            CommandCommand::Docs(names) => Reply::Map(named(names).flatten().map(docs).collect()),
            CommandCommand::GetKeys(words) => keys_of(words),
            CommandCommand::Info(names) => {
                let nil_or = |spec: Option<_>| spec.map_or(Reply::Nil, description);
                Reply::Array(named(names).map(nil_or).collect())
            }
            CommandCommand::List => {
                Reply::Array(all().iter().map(|spec| Reply::text(spec.name)).collect())
            }
        }
    }
}

/// The commands with these names, `None` for a name that no command has; all commands if there
/// are no names.
fn named(names: &[Bytes]) -> impl Iterator<Item = Option<&'static CommandSpec>> {
    let all = if names.is_empty() { all() } else { &[] };
    let named = names.iter().map(|name| find(name));
    all.iter().map(Some).chain(named)
}

/// The keys among a request's words.
fn keys_of(words: &[Bytes]) -> Reply {
    let spec = words.first().and_then(|name| find(name));
    let is_known = |spec: &&CommandSpec| match words.get(1) {
        Some(name) if !spec.subcommands.is_empty() => spec.subcommand(name).is_some(),
        Some(_) | None => true,
    };
    let Some(spec) = spec.filter(is_known) else {
        return Reply::error("ERR", "Invalid command specified");
    };
    let (most, step) = match spec.keys {
        KeyPositions::NoKeys => {
            return Reply::error("ERR", "The command has no key arguments");
        }
        KeyPositions::FirstWord => (1, 1),
        KeyPositions::AllWords => (usize::MAX, 1),
        KeyPositions::EverySecondWord => (usize::MAX, 2),
    };
    if !spec.arity.accepts(words.len()) {
        return Reply::error("ERR", "Invalid number of arguments specified for command");
    }
    let keys = words.iter().skip(1).step_by(step).take(most);
    Reply::Array(keys.cloned().map(Reply::Bulk).collect())
}

fn count(number: usize) -> Reply {
    Reply::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Reply {
    let words = words.into_iter().map(|word| Reply::Simple(word.into()));
    Reply::Array(words.collect())
}

fn description(spec: &CommandSpec) -> Reply {
    let subcommands = spec.subcommands.iter().map(|subcommand| {
        let keys = KeyPositions::NoKeys;
        let (name, arity) = (subcommand.full_name, subcommand.arity);
        fields(name, arity, spec, keys, Vec::new())
    });
    let subcommands = subcommands.collect();
    fields(spec.name, spec.arity, spec, spec.keys, subcommands)
}

/// Ten fields, as since Redis 7: name, arity, flags, the first and last key and the step between
/// them, categories, tips, specifications of keys, subcommands.
fn fields(
    name: &str,
    arity: Arity,
    spec: &CommandSpec,
    keys: KeyPositions,
    subcommands: Vec<Reply>,
) -> Reply {
    let (first, last, step) = match keys {
        KeyPositions::NoKeys => (0, 0, 0),
        KeyPositions::FirstWord => (1, 1, 1),
        KeyPositions::AllWords => (1, -1, 1),
        KeyPositions::EverySecondWord => (1, -1, 2),
    };
    Reply::Array(vec![
        Reply::text(name),
        Reply::Integer(arity.0.into()),
        words(spec.flags.iter().map(|flag| flag.name())),
        Reply::Integer(first),
        Reply::Integer(last),
        Reply::Integer(step),
        words(categories(spec)),
        Reply::Array(Vec::new()),
        Reply::Array(Vec::new()),
        Reply::Array(subcommands),
    ])
}

/// The categories by which access lists of Redis name commands.
fn categories(spec: &CommandSpec) -> Vec<&'static str> {
    let has = |flag, category| spec.has(flag).then_some(category);
    let by_flag = [
        has(Flag::Write, "@write"),
        has(Flag::ReadOnly, "@read"),
        has(Flag::Admin, "@admin"),
    ];
    let by_group = match spec.group {
        "string" => Some("@string"),
        "generic" => Some("@keyspace"),
        "connection" => Some("@connection"),
        "transactions" => Some("@transaction"),
        _ => None,
    };
    let by_speed = if spec.has(Flag::Fast) {
        "@fast"
    } else {
        "@slow"
    };
    let categories = by_flag.into_iter().chain([by_group, Some(by_speed)]);
    categories.flatten().collect()
}

fn docs(spec: &CommandSpec) -> (Reply, Reply) {
    let mut docs = documentation(spec.summary, spec.group);
    if !spec.subcommands.is_empty() {
        let subcommand = |subcommand: &Subcommand| {
            let docs = documentation(subcommand.summary, spec.group);
            (Reply::text(subcommand.full_name), Reply::Map(docs))
        };
        let subcommands = spec.subcommands.iter().map(subcommand).collect();
        docs.push((Reply::text("subcommands"), Reply::Map(subcommands)));
    }
    (Reply::text(spec.name), Reply::Map(docs))
}

fn documentation(summary: &str, group: &str) -> Vec<(Reply, Reply)> {
    let pair = |name: &str, text: &str| (Reply::text(name), Reply::text(text));
    vec![
        pair("summary", summary),
        pair("since", SINCE),
        pair("group", group),
    ]
}
