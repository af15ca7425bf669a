//! Which of the keys that a command reads were there: `keyspace_hits` and `keyspace_misses`.

use super::command::{Command, SetReply};
use super::reply::Reply;

/// How the reply to a command says which keys were there. As in Redis, a look at a key before it is
/// written counts only where the reply has what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// No key is looked up.
    Nothing,
    /// One key: its value, or nil.
    Value,
    /// Some keys: for each its value, or nil.
    Values,
    /// So many keys: how many of them were there.
    Count(u64),
    /// One key: a number, which is this one if the key was not there.
    Number {
        /// Of a length it is 0, which is also the length of an empty value.
        absent: i64,
    },
    /// One key: the type of its value, or `none`.
    Type,
}

/// Of so many keys that were looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// These were there.
    pub hits: u64,
    /// These were not.
    pub misses: u64,
}

impl Lookup {
    /// What the command looks up.
    pub fn of(command: &Command) -> Lookup {
        match command {
            Command::Get(_) | Command::GetSet { .. } | Command::GetDelete(_) => Lookup::Value,
            Command::Set(set) if set.reply == SetReply::OldValue => Lookup::Value,
            Command::GetMany(_) => Lookup::Values,
            Command::Exists(names) => Lookup::Count(names.len() as u64),
            Command::Length(_) => Lookup::Number { absent: 0 },
            Command::TimeToLive { .. } => Lookup::Number { absent: -2 },
            Command::Type(_) => Lookup::Type,
            Command::Set(_)
            | Command::CompareAndSet { .. }
            | Command::Delete(_)
            | Command::Increment { .. }
            | Command::Append { .. }
            | Command::SetMany(_)
            | Command::Expire { .. }
            | Command::Persist(_)
            | Command::Keys(_)
            | Command::Scan { .. }
            | Command::Size
            | Command::Flush => Lookup::Nothing,
        }
    }

    /// What was found, by the command's reply. An error says nothing.
    pub fn found(self, reply: &Reply) -> Found {
        match (self, reply) {
            (Lookup::Value, Reply::Bulk(_)) => Found::of(1, 1),
            (Lookup::Value, Reply::Nil) => Found::of(1, 0),
            (Lookup::Values, Reply::Array(values)) => {
                let hits = values.iter().filter(|value| **value != Reply::Nil);
                Found::of(values.len() as u64, hits.count() as u64)
            }
            (Lookup::Count(keys), Reply::Integer(hits)) => {
                Found::of(keys, u64::try_from(*hits).unwrap_or(0))
            }
            (Lookup::Number { absent }, Reply::Integer(number)) => {
                Found::of(1, u64::from(*number != absent))
            }
            (Lookup::Type, Reply::Simple(kind)) => Found::of(1, u64::from(kind != "none")),
            _ => Found::default(),
        }
    }
}

impl Found {
    fn of(keys: u64, hits: u64) -> Found {
        Found {
            hits,
            misses: keys.saturating_sub(hits),
        }
    }
}
