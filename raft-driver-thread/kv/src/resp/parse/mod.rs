//! Requests to what they mean. What is wrong with one is said in the words of Redis.

mod admin;
mod arguments;
mod connection;
mod keys;
mod types;

pub(crate) use admin::*;
pub(crate) use arguments::Arguments;
pub(crate) use connection::*;
pub(crate) use keys::*;
pub use types::{
    Addressee, AdminCommand, ClientCommand, CommandCommand, Credentials, LibraryAttribute,
    LocalCommand, Request,
};

use super::table::{self, CommandSpec, Flag, Parser};
use crate::state::Reply;
use bytes::Bytes;

/// What requests may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseLimits {
    /// How long a key and a value may be. RAFT takes longer ones: they hold several values.
    pub max_value_bytes: usize,
}

/// What a request means: the name of a command, in any case, and its arguments.
///
/// # Errors
///
/// The reply that says what is wrong with it, to be sent to the client. Nothing is to be done.
///
/// ```
/// use raft_kv::resp::{ParseLimits, Request, parse};
/// use raft_kv::state::{Command, Reply};
///
/// let limits = ParseLimits { max_value_bytes: 1024 };
/// let request = parse(vec!["get".into(), "a".into()], &limits);
/// assert_eq!(request, Ok(Request::Command(Command::Get("a".into()))));
/// let request = parse(vec!["get".into()], &limits);
/// let error = "ERR wrong number of arguments for 'get' command";
/// assert_eq!(request, Err(Reply::Error(error.into())));
/// ```
pub fn parse(arguments: Vec<Bytes>, limits: &ParseLimits) -> Result<Request, Reply> {
    let (spec, parser, arguments) = resolve(arguments, limits)?;
    match parser {
        Parser::State(parse) => parse(arguments).map(Request::Command),
        Parser::Other(parse) => parse(arguments),
        Parser::Nested(parse) => parse(arguments, limits),
        // The table has subcommands for those, and more words than one are there.
        Parser::Subcommands => Err(arguments::wrong_number(spec.name)),
    }
}

/// Who is to parse these words: the number of them is right, and none is too long.
fn resolve(
    words: Vec<Bytes>,
    limits: &ParseLimits,
) -> Result<(&'static CommandSpec, Parser, Arguments), Reply> {
    let Some(spec) = words.first().and_then(|name| table::find(name)) else {
        return Err(unknown_command(&words));
    };
    let (full_name, arity, parser, names) = match words.get(1) {
        Some(name) if !spec.subcommands.is_empty() => {
            let Some(subcommand) = spec.subcommand(name) else {
                return Err(unknown_subcommand(spec, name));
            };
            (subcommand.full_name, subcommand.arity, subcommand.parser, 2)
        }
        _ => (spec.name, spec.arity, spec.parser, 1),
    };
    if !table::takes(arity, words.len()) {
        return Err(arguments::wrong_number(full_name));
    }
    let max = limits.max_value_bytes;
    if !spec.has(Flag::Admin) && words.iter().any(|word| word.len() > max) {
        let message = format_args!("value is longer than the {max} bytes that this server takes");
        return Err(Reply::error("ERR", message));
    }
    let mut words = words.into_iter();
    for _ in 0..names {
        words.next();
    }
    Ok((spec, parser, Arguments::new(full_name, words)))
}

/// How much of a request an error shows.
const SHOWN_BYTES: usize = 128;

fn unknown_command(words: &[Bytes]) -> Reply {
    let (name, arguments) = match words.split_first() {
        Some((name, arguments)) => (shown(name, SHOWN_BYTES), arguments),
        None => (String::new(), words),
    };
    let mut beginning = String::new();
    for argument in arguments {
        let left = SHOWN_BYTES.saturating_sub(beginning.len());
        if left == 0 {
            break;
        }
        beginning.push_str(&format!("'{}' ", shown(argument, left)));
    }
    let message = format_args!("unknown command '{name}', with args beginning with: {beginning}");
    Reply::error("ERR", message)
}

fn unknown_subcommand(spec: &CommandSpec, name: &[u8]) -> Reply {
    let known: Vec<_> = spec.subcommands.iter().map(|known| known.name).collect();
    let known = known.join(", ").to_uppercase();
    let name = shown(name, SHOWN_BYTES);
    let command = spec.name.to_uppercase();
    let message = format_args!("unknown subcommand '{name}'. {command} has {known}.");
    Reply::error("ERR", message)
}

/// The beginning of what a client sent, fit to be shown to it.
pub(crate) fn shown(text: &[u8], max_bytes: usize) -> String {
    let beginning = text.get(..max_bytes).unwrap_or(text);
    String::from_utf8_lossy(beginning).into_owned()
}
