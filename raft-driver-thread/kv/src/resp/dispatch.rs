//! From the words of a request to what it means: finds the command, checks what holds for all
//! commands, and calls the parser of its arguments.
//!
//! A command that holds another one, ONCE and RAFT HERE, is parsed here, because it needs the
//! table again. Errors have the texts of Redis.

use super::parse::{self, Arguments, Parsed};
use super::request::{AdminCommand, Request};
use super::table::{self, CommandSpec, Flag, Parser};
use crate::state::Reply;
use bytes::Bytes;

/// What requests may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseLimits {
    /// The bytes of a key and of a value. The subcommands of RAFT take longer words, which hold
    /// several values.
    pub max_value_bytes: usize,
}

/// A request whose command is known, and whose words are of the right number and length.
struct Resolved {
    spec: &'static CommandSpec,
    parser: Parser,
    arguments: Arguments,
}

/// What a request means: the name of a command, in any case, and its arguments.
///
/// # Errors
///
/// The reply that says what is wrong with the request, to be sent to the client.
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
pub fn parse(words: Vec<Bytes>, limits: &ParseLimits) -> Result<Request, Reply> {
    let understood = parse_for_queue(words, limits).map_err(Refusal::into_reply);
    understood.map(|understood| understood.request)
}

/// Why a request is refused. In a transaction it matters when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such command, or not with so many arguments: a transaction does not queue it,
    /// and will not run.
    AtOnce {
        /// The command's name, as in [`Understood`]; `None` if there is no such command.
        name: Option<&'static str>,
        /// What is wrong.
        error: Reply,
    },
    /// The arguments make no sense: Redis finds that when it runs the command, so a transaction
    /// queues it, and has this error among its replies.
    WhenRun {
        /// The command's name.
        name: &'static str,
        /// What is wrong.
        error: Reply,
    },
}

impl Refusal {
    /// The reply that says what is wrong.
    pub fn into_reply(self) -> Reply {
        match self {
            Refusal::AtOnce { error, .. } | Refusal::WhenRun { error, .. } => error,
        }
    }
}

/// A request that was understood, and its command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Understood {
    /// The command's name in lower case, with its subcommand behind a bar: `client|list`.
    pub name: &'static str,
    /// What it asks for.
    pub request: Request,
}

/// As [`parse`]; tells what Redis finds when.
///
/// # Errors
///
/// [`Refusal`].
pub fn parse_for_queue(words: Vec<Bytes>, limits: &ParseLimits) -> Result<Understood, Refusal> {
    let resolved = resolve(words, limits)?;
    let name = resolved.arguments.command;
    match parse_arguments(resolved, limits) {
        Ok(request) => Ok(Understood { name, request }),
        Err(error) => Err(Refusal::WhenRun { name, error }),
    }
}

fn parse_arguments(resolved: Resolved, limits: &ParseLimits) -> Result<Request, Reply> {
    match resolved.parser {
        Parser::Command(parse) => parse(resolved.arguments).map(Request::Command),
        Parser::Request(parse) => parse(resolved.arguments),
        Parser::Once => once(resolved.arguments, limits),
        Parser::Here => here(resolved.arguments, limits),
        // Its arity asks for a second word, and a second word that is no subcommand is refused.
        Parser::Subcommands => Err(parse::wrong_number(resolved.spec.name)),
    }
}

/// Finds the command, or the subcommand, that these words begin with.
fn resolve(words: Vec<Bytes>, limits: &ParseLimits) -> Result<Resolved, Refusal> {
    let unknown = |error| Refusal::AtOnce { name: None, error };
    let Some(spec) = words.first().and_then(|name| table::find(name)) else {
        return Err(unknown(unknown_command(&words)));
    };
    let subcommand = match words.get(1) {
        Some(name) if !spec.subcommands.is_empty() => {
            let found = spec.subcommand(name);
            Some(found.ok_or_else(|| unknown(unknown_subcommand(spec, name)))?)
        }
        Some(_) | None => None,
    };
    let full_name = subcommand.map_or(spec.name, |subcommand| subcommand.full_name);
    let arity = subcommand.map_or(spec.arity, |subcommand| subcommand.arity);
    let refused = |error| Refusal::AtOnce {
        name: Some(full_name),
        error,
    };
    if !arity.accepts(words.len()) {
        return Err(refused(parse::wrong_number(full_name)));
    }
    let max = limits.max_value_bytes;
    if !spec.has(Flag::Admin) && words.iter().any(|word| word.len() > max) {
        let message = format_args!("value is longer than the {max} bytes that this server takes");
        return Err(refused(Reply::error("ERR", message)));
    }
    let mut words = words.into_iter();
    words.next();
    if subcommand.is_some() {
        words.next();
    }
    Ok(Resolved {
        spec,
        parser: subcommand.map_or(spec.parser, |subcommand| subcommand.parser),
        arguments: Arguments::new(full_name, words),
    })
}

/// ONCE session sequence command: the words behind the sequence are a whole request.
fn once(mut arguments: Arguments, limits: &ParseLimits) -> Parsed {
    let (session, sequence) = (arguments.unsigned()?, arguments.unsigned()?);
    let inner = resolve(arguments.rest(), limits).map_err(Refusal::into_reply)?;
    match inner.parser {
        Parser::Command(parse) => Ok(Request::Once {
            session,
            sequence,
            command: parse(inner.arguments)?,
        }),
        Parser::Request(_) | Parser::Once | Parser::Here | Parser::Subcommands => {
            let name = inner.spec.name;
            let message = format_args!("ONCE takes a command over keys, which '{name}' is not");
            Err(Reply::error("ERR", message))
        }
    }
}

/// RAFT HERE cluster node request: the words behind the addressee are a whole request.
fn here(mut arguments: Arguments, limits: &ParseLimits) -> Parsed {
    let to = parse::addressee(&mut arguments)?;
    let inner = resolve(arguments.rest(), limits).map_err(Refusal::into_reply)?;
    let request = match inner.parser {
        Parser::Request(parse) => parse(inner.arguments)?,
        Parser::Command(_) | Parser::Once | Parser::Here | Parser::Subcommands => {
            return Err(parse::syntax_error());
        }
    };
    let Request::Admin(request) = request else {
        return Err(parse::syntax_error());
    };
    match request {
        AdminCommand::Join(_)
        | AdminCommand::Leave(_)
        | AdminCommand::Promote(_)
        | AdminCommand::Move(_)
        | AdminCommand::Transfer(_) => {
            let request = Box::new(request);
            Ok(Request::Admin(AdminCommand::Here { to, request }))
        }
        AdminCommand::Status
        | AdminCommand::Campaign
        | AdminCommand::StepDown
        | AdminCommand::Snapshot
        | AdminCommand::BackupOpen
        | AdminCommand::BackupRead
        | AdminCommand::Forward { .. }
        | AdminCommand::Load(_)
        | AdminCommand::Here { .. } => Err(parse::syntax_error()),
    }
}

fn unknown_command(words: &[Bytes]) -> Reply {
    let (name, arguments) = match words.split_first() {
        Some((name, arguments)) => (parse::shown(name, parse::SHOWN_BYTES), arguments),
        None => (String::new(), words),
    };
    let mut beginning = String::new();
    for argument in arguments {
        let left = parse::SHOWN_BYTES.saturating_sub(beginning.len());
        if left == 0 {
            break;
        }
        beginning.push_str(&format!("'{}' ", parse::shown(argument, left)));
    }
    let message = format_args!("unknown command '{name}', with args beginning with: {beginning}");
    Reply::error("ERR", message)
}

fn unknown_subcommand(spec: &CommandSpec, name: &[u8]) -> Reply {
    let name = parse::shown(name, parse::SHOWN_BYTES);
    let command = spec.name.to_uppercase();
    // Redis has neither, and so no text for them.
    if ["raft", "session"].contains(&spec.name) {
        let known: Vec<_> = spec.subcommands.iter().map(|known| known.name).collect();
        let known = known.join(", ").to_uppercase();
        let message = format_args!("unknown subcommand '{name}'. {command} has {known}.");
        return Reply::error("ERR", message);
    }
    let message = format_args!("unknown subcommand '{name}'. Try {command} HELP.");
    Reply::error("ERR", message)
}
