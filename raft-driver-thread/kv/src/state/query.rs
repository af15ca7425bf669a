//! What commands that only read answer.

use super::command::{Command, TimeUnit, ValueType};
use super::glob::Pattern;
use super::keyspace::{Key, Keyspace, Value};
use super::reply::Reply;
use super::reply_budget::{ReplyBudget, too_long};
use bytes::Bytes;

/// The keys at one moment, to be asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query<'a> {
    pub(super) keys: &'a Keyspace,
    /// Milliseconds since 1970.
    pub(super) time: u64,
    /// How many of the keys have not expired.
    pub(super) count: u64,
}

impl<'a> Query<'a> {
    /// Once the replies take more than
    /// [`MAX_ANSWER_BYTES`](super::MAX_ANSWER_BYTES), each further command is answered with an
    /// error.
    pub(super) fn answer_all(&self, commands: &[Command]) -> Vec<Reply> {
        let mut budget = ReplyBudget::default();
        let answer = |command: &Command| {
            if budget.is_spent() {
                return too_long();
            }
            budget.spend(self.answer(command))
        };
        commands.iter().map(answer).collect()
    }

    /// A command that writes is answered with an error.
    pub(super) fn answer(&self, command: &Command) -> Reply {
        match command {
            Command::Get(name) => self.bulk(name),
            Command::Exists(names) => count(names, |name| self.find(name).is_some()),
            Command::Length(name) => {
                let length = self.find(name).map_or(0, |value| value.bytes.len());
                integer(length as u64)
            }
            Command::GetMany(names) => {
                Reply::Array(names.iter().map(|name| self.bulk(name)).collect())
            }
            Command::TimeToLive { key, unit } => self.time_to_live(key, *unit),
            Command::Keys(pattern) => {
                let pattern = Pattern::new(pattern);
                let alive = (self.keys.iter()).filter(|(_, value)| value.is_alive_at(self.time));
                let names = alive.map(|(key, _)| key.name);
                let matching = names.filter(|name| pattern.matches(name));
                Reply::Array(matching.map(copied).collect())
            }
            Command::Scan {
                cursor,
                pattern,
                count,
                value_type,
            } => self.scan(*cursor, pattern.as_deref(), *count, *value_type),
            Command::Size => integer(self.count),
            Command::Type(name) => {
                let kind = self.find(name).map_or("none", |_| "string");
                Reply::Simple(kind.into())
            }
            Command::Set(_)
            | Command::CompareAndSet { .. }
            | Command::Delete(_)
            | Command::Increment { .. }
            | Command::Append { .. }
            | Command::SetMany(_)
            | Command::GetSet { .. }
            | Command::GetDelete(_)
            | Command::Expire { .. }
            | Command::Persist(_)
            | Command::Flush => Reply::error("ERR", "a command that writes was asked as a read"),
        }
    }

    fn find(&self, name: &Bytes) -> Option<&'a Value> {
        let value = self.keys.get(&Key::new(name.clone()));
        value.filter(|value| value.is_alive_at(self.time))
    }

    fn bulk(&self, name: &Bytes) -> Reply {
        let value = self.find(name);
        value.map_or(Reply::Nil, |value| Reply::Bulk(value.for_reply()))
    }

    fn time_to_live(&self, name: &Bytes, unit: TimeUnit) -> Reply {
        let Some(value) = self.find(name) else {
            return Reply::Integer(-2);
        };
        let Some(expiry) = value.expiry() else {
            return Reply::Integer(-1);
        };
        let millis = expiry.saturating_sub(self.time);
        integer(match unit {
            TimeUnit::Millis => millis,
            TimeUnit::Seconds => millis.saturating_add(500) / 1000,
        })
    }

    /// The cursor is the hash of the next key, so keys that are added and removed change nothing
    /// about the others. A cursor to go on with is never 0: it is greater than the hash of a key
    /// before it.
    fn scan(
        &self,
        cursor: u64,
        pattern: Option<&[u8]>,
        count: u64,
        value_type: ValueType,
    ) -> Reply {
        let pattern = pattern.map(Pattern::new);
        let mut names = Vec::new();
        let mut next_cursor = 0;
        let (mut scanned, mut last_hash) = (0, cursor);
        let keys = self.keys.starting_at(cursor);
        for (key, _) in keys.filter(|(_, value)| value.is_alive_at(self.time)) {
            // Keys with the same hash have the same cursor, so they are returned together.
            if scanned >= count.max(1) && key.hash != last_hash {
                next_cursor = key.hash;
                break;
            }
            scanned += 1;
            last_hash = key.hash;
            let is_match = pattern.as_ref().is_none_or(|it| it.matches(key.name));
            if is_match && value_type == ValueType::String {
                names.push(copied(key.name));
            }
        }
        Reply::Array(vec![
            Reply::text(next_cursor.to_string()),
            Reply::Array(names),
        ])
    }
}

pub(super) fn count<T>(
    names: impl IntoIterator<Item = T>,
    mut counts: impl FnMut(T) -> bool,
) -> Reply {
    integer(names.into_iter().map(|name| u64::from(counts(name))).sum())
}

/// A count of what is in memory, which always fits.
pub(super) fn integer(number: u64) -> Reply {
    Reply::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

/// The name of a key. What is stored is not shared with replies.
fn copied(name: &[u8]) -> Reply {
    Reply::Bulk(Bytes::copy_from_slice(name))
}
