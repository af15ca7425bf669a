//! What each command does to the store, and what it answers: the same as in Redis.

use super::command::{Command, Condition, Expiry, Set, SetReply};
use super::keyspace::{Key, Value};
use super::limits::Limits;
use super::query::{count, integer};
use super::reply::Reply;
use super::store::Store;
use bytes::{Bytes, BytesMut};

/// The latest expiry. A later one would overflow the signed numbers in which clients count.
const MAX_EXPIRY: u64 = i64::MAX as u64;

impl Store {
    /// Runs a command. The store may keep the command's own bytes, so these should not be parts of
    /// larger buffers, which would stay allocated.
    pub fn execute(&mut self, command: Command) -> Reply {
        self.execute_within(command, Limits::DEFAULT)
    }

    /// As [`execute`](Store::execute), within limits. Once the keys take more memory than is
    /// allowed, commands that could take more are refused, and nothing is evicted (`noeviction`).
    pub fn execute_within(&mut self, command: Command, limits: Limits) -> Reply {
        let is_full = (limits.max_memory).is_some_and(|most| self.used_bytes() > most);
        if is_full && command.takes_memory() {
            return Reply::error("OOM", "command not allowed when used memory > 'maxmemory'.");
        }
        match command {
            Command::Set(set) => self.set(set),
            Command::CompareAndSet { key, old, new } => self.compare_and_set(key, old, new),
            Command::Delete(names) => count(names, |name| self.remove(&Key::new(name)).is_some()),
            Command::Increment { key, by } => self.increment(key, by),
            Command::Append { key, value } => self.append(key, value, limits),
            Command::SetMany(pairs) => {
                for (name, value) in pairs {
                    self.put(Key::new(name), Value::forever(value));
                }
                Reply::Ok
            }
            Command::GetSet { key, value } => {
                let before = self.put(Key::new(key), Value::forever(value));
                before.map_or(Reply::Nil, |before| Reply::Bulk(before.bytes))
            }
            Command::GetDelete(name) => {
                let before = self.remove(&Key::new(name));
                before.map_or(Reply::Nil, |before| Reply::Bulk(before.bytes))
            }
            Command::Expire { key, millis } => self.expire(key, millis),
            Command::Persist(name) => {
                let before = self.set_expiry(&Key::new(name), None);
                Reply::Integer(i64::from(before.flatten().is_some()))
            }
            Command::Flush => {
                self.clear();
                Reply::Ok
            }
            Command::Get(_)
            | Command::Exists(_)
            | Command::Length(_)
            | Command::GetMany(_)
            | Command::TimeToLive { .. }
            | Command::Keys(_)
            | Command::Scan { .. }
            | Command::Size
            | Command::Type(_) => self.query(&command),
        }
    }

    fn set(&mut self, set: Set) -> Reply {
        let key = Key::new(set.key);
        let needs_old_value = set.reply == SetReply::OldValue
            || set.condition != Condition::Always
            || set.expiry == Expiry::Keep;
        let before = if needs_old_value {
            self.get(&key).cloned()
        } else {
            None
        };
        let expiry = match set.expiry {
            Expiry::Never => None,
            Expiry::Keep => before.as_ref().and_then(Value::expiry),
            Expiry::In(millis) => match self.expiry_in(millis) {
                Some(expiry) => Some(expiry),
                None => return invalid_expiry("set"),
            },
        };
        let is_met = match set.condition {
            Condition::Always => true,
            Condition::Absent => before.is_none(),
            Condition::Present => before.is_some(),
        };
        if is_met {
            let bytes = set.value;
            self.put(key, Value::new(bytes, expiry));
        }
        match set.reply {
            SetReply::OldValue => before.map_or(Reply::Nil, |before| Reply::Bulk(before.bytes)),
            SetReply::Ok if is_met => Reply::Ok,
            SetReply::Ok => Reply::Nil,
        }
    }

    fn compare_and_set(&mut self, name: Bytes, old: Option<Bytes>, new: Bytes) -> Reply {
        let key = Key::new(name);
        let before = self.get(&key);
        let is_met = before.map(|before| &before.bytes) == old.as_ref();
        if is_met {
            let expiry = before.and_then(Value::expiry);
            self.put(key, Value::new(new, expiry));
        }
        Reply::Integer(i64::from(is_met))
    }

    fn increment(&mut self, name: Bytes, by: i64) -> Reply {
        let key = Key::new(name);
        let before = self.get(&key);
        let Some(number) = before.map_or(Some(0), |before| parse_integer(&before.bytes)) else {
            return Reply::error("ERR", "value is not an integer or out of range");
        };
        let Some(sum) = number.checked_add(by) else {
            return Reply::error("ERR", "increment or decrement would overflow");
        };
        let expiry = before.and_then(Value::expiry);
        let value = Value::new(Bytes::from(sum.to_string()), expiry);
        self.put(key, value);
        Reply::Integer(sum)
    }

    fn append(&mut self, name: Bytes, added: Bytes, limits: Limits) -> Reply {
        let key = Key::new(name);
        let before = self.get(&key).map_or(0, |before| before.bytes.len());
        let length = before.saturating_add(added.len());
        if length as u64 > limits.max_value_bytes {
            let what = "string exceeds maximum allowed size (proto-max-bulk-len)";
            return Reply::error("ERR", what);
        }
        if !self.append_bytes(&key, |bytes| extend(bytes, &added)) {
            self.put(key, Value::forever(added));
        }
        integer(length as u64)
    }

    fn expire(&mut self, name: Bytes, millis: i64) -> Reply {
        let key = Key::new(name);
        let exists = match u64::try_from(millis) {
            Err(_) | Ok(0) => self.remove(&key).is_some(),
            Ok(millis) => match self.expiry_in(millis) {
                Some(expiry) => self.set_expiry(&key, Some(expiry)).is_some(),
                None => return invalid_expiry("expire"),
            },
        };
        Reply::Integer(i64::from(exists))
    }

    /// The expiry so many milliseconds after the store's time; `None` if it is not after that time,
    /// or too late.
    fn expiry_in(&self, millis: u64) -> Option<u64> {
        let expiry = self.time().checked_add(millis)?;
        (expiry > self.time() && expiry <= MAX_EXPIRY).then_some(expiry)
    }
}

impl Value {
    fn forever(bytes: Bytes) -> Value {
        Value::new(bytes, None)
    }
}

/// Appends to the bytes, in place if nothing else holds them: each of many small additions then
/// costs only what it adds.
fn extend(bytes: &mut Bytes, added: &[u8]) {
    let before = std::mem::take(bytes);
    let mut buffer = before.try_into_mut().unwrap_or_else(|shared| {
        let mut buffer = BytesMut::with_capacity(shared.len() + added.len());
        buffer.extend_from_slice(&shared);
        buffer
    });
    buffer.extend_from_slice(added);
    *bytes = buffer.freeze();
}

/// A number in the form that this store writes: no blanks, no plus, no leading zeros.
fn parse_integer(bytes: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn invalid_expiry(command: &str) -> Reply {
    Reply::error("ERR", format!("invalid expire time in '{command}' command"))
}
