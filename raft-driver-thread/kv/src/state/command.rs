//! The commands over the keys, with their arguments, parsed and checked.
//!
//! Payloads encode these types by the order of their variants and fields. A new variant therefore
//! goes to the end of its enum, and no field is added.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A scan of more keys than this [looks at many](Command::looks_at_many_keys).
const MANY_KEYS: u64 = 1000;

/// A command over the keys. Commands that write go through the log; commands that only read may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Returns the value of a key.
    Get(Bytes),
    /// Sets a key's value.
    Set(Set),
    /// Sets a key's value if its value is `old` (`None`: if there is no such key). Returns whether
    /// it did.
    CompareAndSet {
        /// The key.
        key: Bytes,
        /// The value that it must have.
        old: Option<Bytes>,
        /// Its new value. Its expiry stays.
        new: Bytes,
    },
    /// Removes keys. Returns how many there were.
    Delete(Vec<Bytes>),
    /// Returns how many of these keys there are. A key that is named twice counts twice.
    Exists(Vec<Bytes>),
    /// Adds to a number. A key that does not exist counts as 0.
    Increment {
        /// The key.
        key: Bytes,
        /// What to add.
        by: i64,
    },
    /// Appends to a value. Returns its new length.
    Append {
        /// The key.
        key: Bytes,
        /// What to append.
        value: Bytes,
    },
    /// Returns the length of a value; 0 if there is no such key.
    Length(Bytes),
    /// Returns the values of keys.
    GetMany(Vec<Bytes>),
    /// Sets the values of keys, all at once: pairs of key and value.
    SetMany(Vec<(Bytes, Bytes)>),
    /// Sets a key's value, without an expiry. Returns the old value.
    GetSet {
        /// The key.
        key: Bytes,
        /// Its new value.
        value: Bytes,
    },
    /// Lets a key expire. Returns whether it exists.
    Expire {
        /// The key.
        key: Bytes,
        /// After so many milliseconds; at once if not positive.
        millis: i64,
    },
    /// Returns after which time a key expires: -2 if it does not exist, -1 if it never expires.
    TimeToLive {
        /// The key.
        key: Bytes,
        /// The unit of the reply.
        unit: TimeUnit,
    },
    /// Removes a key's expiry. Returns whether it had one.
    Persist(Bytes),
    /// Returns the keys that match a pattern.
    Keys(Bytes),
    /// Returns some of the keys, and the cursor to go on with.
    Scan {
        /// 0 to begin with, then the cursor of the last reply. A cursor of 0 in a reply is the
        /// end.
        cursor: u64,
        /// Only keys that match it.
        pattern: Option<Bytes>,
        /// About how many keys to look at. At least 1.
        count: u64,
        /// Only keys with values of this type.
        value_type: ValueType,
    },
    /// Returns the number of keys.
    Size,
    /// Removes all keys.
    Flush,
    /// Returns the type of a key's value: `string`, or `none`.
    Type(Bytes),
    /// Removes a key. Returns its value. From level 1 on.
    GetDelete(Bytes),
}

/// SET and its options.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Set {
    /// The key.
    pub key: Bytes,
    /// Its new value.
    pub value: Bytes,
    /// When to set it.
    pub condition: Condition,
    /// What becomes of its expiry.
    pub expiry: Expiry,
    /// What to return.
    pub reply: SetReply,
}

/// When SET sets the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// Always.
    Always,
    /// Only if the key does not exist (NX).
    Absent,
    /// Only if the key exists (XX).
    Present,
}

/// What SET does to a key's expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expiry {
    /// The key never expires.
    Never,
    /// The key expires so many milliseconds after the entry's time. At least 1.
    In(u64),
    /// The expiry stays as it is (KEEPTTL).
    Keep,
}

/// What SET returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SetReply {
    /// OK if the value was set, otherwise nil.
    Ok,
    /// The old value, also if the value was not set (GET).
    OldValue,
}

/// The unit of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimeUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Millis,
}

/// The type of value that a scan asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ValueType {
    /// A type of which there are no values here.
    Other,
    /// Strings, the type of all values.
    String,
}

impl Command {
    /// The least [release level](super::RELEASE_LEVEL) that reads the command.
    pub fn level(&self) -> u32 {
        match self {
            Command::GetDelete(_) => 1,
            Command::Get(_)
            | Command::Set(_)
            | Command::CompareAndSet { .. }
            | Command::Delete(_)
            | Command::Exists(_)
            | Command::Increment { .. }
            | Command::Append { .. }
            | Command::Length(_)
            | Command::GetMany(_)
            | Command::SetMany(_)
            | Command::GetSet { .. }
            | Command::Expire { .. }
            | Command::TimeToLive { .. }
            | Command::Persist(_)
            | Command::Keys(_)
            | Command::Scan { .. }
            | Command::Size
            | Command::Flush
            | Command::Type(_) => 0,
        }
    }

    /// Whether the command can take more memory (`denyoom` in Redis).
    pub fn takes_memory(&self) -> bool {
        match self {
            Command::Set(_)
            | Command::CompareAndSet { .. }
            | Command::Increment { .. }
            | Command::Append { .. }
            | Command::SetMany(_)
            | Command::GetSet { .. } => true,
            Command::Delete(_)
            | Command::GetDelete(_)
            | Command::Expire { .. }
            | Command::Persist(_)
            | Command::Flush
            | Command::Get(_)
            | Command::Exists(_)
            | Command::Length(_)
            | Command::GetMany(_)
            | Command::TimeToLive { .. }
            | Command::Keys(_)
            | Command::Scan { .. }
            | Command::Size
            | Command::Type(_) => false,
        }
    }

    /// Whether the command can change the state.
    pub fn writes(&self) -> bool {
        match self {
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
            | Command::Flush => true,
            Command::Get(_)
            | Command::Exists(_)
            | Command::Length(_)
            | Command::GetMany(_)
            | Command::TimeToLive { .. }
            | Command::Keys(_)
            | Command::Scan { .. }
            | Command::Size
            | Command::Type(_) => false,
        }
    }

    /// Whether the command only reads, and looks at so many keys that others should not wait for it.
    pub fn looks_at_many_keys(&self) -> bool {
        match self {
            Command::Keys(_) => true,
            Command::Scan { count, .. } => *count > MANY_KEYS,
            Command::Get(_)
            | Command::Exists(_)
            | Command::Length(_)
            | Command::GetMany(_)
            | Command::TimeToLive { .. }
            | Command::Size
            | Command::Type(_)
            | Command::Set(_)
            | Command::CompareAndSet { .. }
            | Command::Delete(_)
            | Command::Increment { .. }
            | Command::Append { .. }
            | Command::SetMany(_)
            | Command::GetSet { .. }
            | Command::GetDelete(_)
            | Command::Expire { .. }
            | Command::Persist(_)
            | Command::Flush => false,
        }
    }
}
