//! What the table says of one command.

use crate::resp::parse::{Arguments, Parsed};
use crate::state::{Command, Reply};

/// A command, as COMMAND describes it.
#[derive(Clone, Copy, Debug)]
pub struct CommandSpec {
    /// Its name, in lower case.
    pub name: &'static str,
    /// How many words a request has, the name among them.
    pub arity: Arity,
    /// The properties that clients and this server go by.
    pub flags: &'static [Flag],
    /// Which words of a request are keys.
    pub keys: KeyPositions,
    /// The group of commands it belongs to, as Redis names them.
    pub group: &'static str,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// The commands that its second word chooses among.
    pub subcommands: &'static [Subcommand],
    pub(crate) parser: Parser,
}

/// A command that two words name.
#[derive(Clone, Copy, Debug)]
pub struct Subcommand {
    /// Its second word, in lower case.
    pub name: &'static str,
    /// Both words, with a bar in between.
    pub full_name: &'static str,
    /// How many words a request has, the two names among them.
    pub arity: Arity,
    /// What it does, in one sentence.
    pub summary: &'static str,
    pub(crate) parser: Parser,
}

/// How many words a request has, in the notation of Redis: `3` is exactly three words, `-3` is
/// three words or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arity(pub i32);

/// A property of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// It may write.
    Write,
    /// It only reads keys.
    ReadOnly,
    /// Its time does not depend on how many keys there are.
    Fast,
    /// It is for operators. Its arguments may be longer than a value.
    Admin,
    /// It may be sent before the client has authenticated.
    NoAuth,
}

/// Which words of a request are keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPositions {
    /// None of them.
    NoKeys,
    /// The word behind the name.
    FirstWord,
    /// Every word behind the name.
    AllWords,
    /// The word behind the name, and every second one from there on.
    EverySecondWord,
}

/// How a command's arguments are parsed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Parser {
    /// The command is over the keys.
    Command(fn(Arguments) -> Result<Command, Reply>),
    /// The command is about a session, this server or the cluster.
    Request(fn(Arguments) -> Parsed),
    /// ONCE, which holds another command.
    Once,
    /// RAFT HERE, which holds another request.
    Here,
    /// The command does nothing without a subcommand, which has a parser of its own.
    Subcommands,
}

impl CommandSpec {
    /// Whether the command has this property.
    pub fn has(&self, flag: Flag) -> bool {
        self.flags.contains(&flag)
    }

    /// The subcommand with this name, in any case.
    pub fn subcommand(&self, name: &[u8]) -> Option<&'static Subcommand> {
        let mut subcommands = self.subcommands.iter();
        subcommands.find(|known| name.eq_ignore_ascii_case(known.name.as_bytes()))
    }
}

impl Arity {
    /// Whether a request may have so many words.
    pub fn accepts(self, words: usize) -> bool {
        let least = usize::try_from(self.0.unsigned_abs()).unwrap_or(usize::MAX);
        words == least || (self.0 < 0 && words > least)
    }
}

impl Flag {
    /// The name that Redis gives it.
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
