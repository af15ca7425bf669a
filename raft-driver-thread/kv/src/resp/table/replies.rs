//! What COMMAND answers.

use super::{CommandSpec, Flag, KeyPositions, Subcommand, all, find, takes};
use crate::resp::parse::CommandCommand;
use crate::state::Reply;
use bytes::Bytes;

/// The release in which all of them came.
const SINCE: &str = "0.1.0";

impl CommandCommand {
    /// The answer.
    pub fn reply(&self) -> Reply {
        match self {
            CommandCommand::All => Reply::Array(all().iter().map(described).collect()),
            CommandCommand::Count => count(all().len()),
            CommandCommand::Docs(names) => Reply::Map(named(names).flatten().map(docs).collect()),
            CommandCommand::GetKeys(words) => keys_of(words),
            CommandCommand::Info(names) => {
                let nil_or = |spec: Option<_>| spec.map_or(Reply::Nil, described);
                Reply::Array(named(names).map(nil_or).collect())
            }
            CommandCommand::List => {
                Reply::Array(all().iter().map(|spec| Reply::text(spec.name)).collect())
            }
        }
    }
}

/// The commands of these names, `None` for names of none; all if there are no names.
fn named(names: &[Bytes]) -> impl Iterator<Item = Option<&'static CommandSpec>> {
    let all = if names.is_empty() { all() } else { &[] };
    let named = names.iter().map(|name| find(name));
    all.iter().map(Some).chain(named)
}

/// Those of a request's words that are keys.
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
        KeyPositions::None => return Reply::error("ERR", "The command has no key arguments"),
        KeyPositions::One => (1, 1),
        KeyPositions::All => (usize::MAX, 1),
        KeyPositions::EverySecond => (usize::MAX, 2),
    };
    if !takes(spec.arity, words.len()) {
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

/// Ten facts, as since Redis 7: name, arity, flags, the first and last key and the step between
/// them, categories, tips, specifications of keys, subcommands.
fn described(spec: &CommandSpec) -> Reply {
    let subcommands = spec.subcommands.iter().map(|subcommand| {
        let keys = KeyPositions::None;
        facts(
            subcommand.full_name,
            subcommand.arity,
            spec,
            keys,
            Vec::new(),
        )
    });
    facts(
        spec.name,
        spec.arity,
        spec,
        spec.keys,
        subcommands.collect(),
    )
}

fn facts(
    name: &str,
    arity: i32,
    spec: &CommandSpec,
    keys: KeyPositions,
    subcommands: Vec<Reply>,
) -> Reply {
    let (first, last, step) = match keys {
        KeyPositions::None => (0, 0, 0),
        KeyPositions::One => (1, 1, 1),
        KeyPositions::All => (1, -1, 1),
        KeyPositions::EverySecond => (1, -1, 2),
    };
    Reply::Array(vec![
        Reply::text(name),
        Reply::Integer(arity.into()),
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

impl Flag {
    /// What Redis calls it.
    pub fn name(self) -> &'static str {
        match self {
            Flag::Write => "write",
            Flag::ReadOnly => "readonly",
            Flag::Fast => "fast",
            Flag::Admin => "admin",
            Flag::NoAuth => "no_auth",
        }
    }
}

fn categories(spec: &CommandSpec) -> Vec<&'static str> {
    let mut categories = Vec::new();
    let by_flag = [
        (Flag::Write, "@write"),
        (Flag::ReadOnly, "@read"),
        (Flag::Admin, "@admin"),
    ];
    categories.extend(
        by_flag
            .iter()
            .filter(|(flag, _)| spec.has(*flag))
            .map(|(_, name)| *name),
    );
    categories.extend(match spec.group {
        "string" => Some("@string"),
        "generic" => Some("@keyspace"),
        "connection" => Some("@connection"),
        "transactions" => Some("@transaction"),
        _ => None,
    });
    categories.push(if spec.has(Flag::Fast) {
        "@fast"
    } else {
        "@slow"
    });
    categories
}

fn docs(spec: &CommandSpec) -> (Reply, Reply) {
    let mut docs = documented(spec.summary, spec.group);
    if !spec.subcommands.is_empty() {
        let subcommand = |subcommand: &Subcommand| {
            let docs = documented(subcommand.summary, spec.group);
            (Reply::text(subcommand.full_name), Reply::Map(docs))
        };
        let subcommands = spec.subcommands.iter().map(subcommand).collect();
        docs.push((Reply::text("subcommands"), Reply::Map(subcommands)));
    }
    (Reply::text(spec.name), Reply::Map(docs))
}

fn documented(summary: &str, group: &str) -> Vec<(Reply, Reply)> {
    let pair = |name: &str, text: &str| (Reply::text(name), Reply::text(text));
    vec![
        pair("summary", summary),
        pair("since", SINCE),
        pair("group", group),
    ]
}
