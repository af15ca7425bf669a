//! All commands: what they are called, how many arguments they take, what they are for.

mod commands;
mod replies;

use crate::resp::parse::{Arguments, ParseLimits, Request};
use crate::state::{Command, Reply};

/// A command, as COMMAND describes it.
#[derive(Clone, Copy, Debug)]
pub struct CommandSpec {
    /// Its name, in small letters.
    pub name: &'static str,
    /// How many words a request has, the name among them; at least so many, if negative.
    pub arity: i32,
    /// What kind of command it is.
    pub flags: &'static [Flag],
    /// Which of its words are keys.
    pub keys: KeyPositions,
    /// With which others it belongs, in the words of Redis.
    pub group: &'static str,
    /// What it is for.
    pub summary: &'static str,
    /// Those that its second word chooses among.
    pub subcommands: &'static [Subcommand],
    pub(crate) parser: Parser,
}

/// A command that takes two words to name.
#[derive(Clone, Copy, Debug)]
pub struct Subcommand {
    /// Its second word, in small letters.
    pub name: &'static str,
    /// Both words, with a bar in between.
    pub full_name: &'static str,
    /// Like [`CommandSpec::arity`]; both words count.
    pub arity: i32,
    /// What it is for.
    pub summary: &'static str,
    pub(crate) parser: Parser,
}

/// What kind of command it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// It may write.
    Write,
    /// It reads keys.
    ReadOnly,
    /// It takes no longer with more keys.
    Fast,
    /// It is for operators. What it carries may be longer than a value.
    Admin,
    /// It needs no password.
    NoAuth,
}

/// Which words of a request are keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPositions {
    /// None.
    None,
    /// The one behind the name.
    One,
    /// All behind the name.
    All,
    /// Every second one, from the one behind the name on.
    EverySecond,
}

/// Who parses a command's arguments.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Parser {
    /// It is about keys.
    State(fn(Arguments) -> Result<Command, Reply>),
    /// It is about something else.
    Other(fn(Arguments) -> Result<Request, Reply>),
    /// It holds another command.
    Nested(fn(Arguments, &ParseLimits) -> Result<Request, Reply>),
    /// Those of its subcommands.
    Subcommands,
}

impl CommandSpec {
    /// Whether it is of that kind.
    pub fn has(&self, flag: Flag) -> bool {
        self.flags.contains(&flag)
    }

    /// The subcommand of that name, in any case.
    pub fn subcommand(&self, name: &[u8]) -> Option<&'static Subcommand> {
        let subcommands = self.subcommands.iter();
        subcommands
            .into_iter()
            .find(|known| name.eq_ignore_ascii_case(known.name.as_bytes()))
    }
}

/// All commands, by their names in order.
pub fn all() -> &'static [CommandSpec] {
    commands::COMMANDS
}

/// No name is longer.
const MAX_NAME_BYTES: usize = 16;

/// The command of that name, in any case.
pub fn find(name: &[u8]) -> Option<&'static CommandSpec> {
    let mut small = [0; MAX_NAME_BYTES];
    let small = small.get_mut(..name.len())?;
    small.copy_from_slice(name);
    small.make_ascii_lowercase();
    let place = all().binary_search_by(|spec| spec.name.as_bytes().cmp(small));
    all().get(place.ok()?)
}

/// Whether a command of that arity takes so many words.
pub(crate) fn takes(arity: i32, words: usize) -> bool {
    let least = usize::try_from(arity.unsigned_abs()).unwrap_or(usize::MAX);
    words == least || (arity < 0 && words > least)
}
