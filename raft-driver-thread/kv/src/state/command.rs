//! What clients ask of the state: each command with its arguments, parsed and checked.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A command over the keys. Those that write go through the log; those that only read may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// The value of a key.
    Get(Bytes),
    /// Gives a key a value.
    Set(Set),
    /// Gives a key a value if its value is `old` (`None`: if it has none); says whether it did.
    CompareAndSet {
        /// The key.
        key: Bytes,
        /// What it has to hold.
        old: Option<Bytes>,
        /// What it holds then. It keeps its expiry.
        new: Bytes,
    },
    /// Removes keys; says how many there were.
    Delete(Vec<Bytes>),
    /// How many of these keys there are; one named twice counts twice.
    Exists(Vec<Bytes>),
    /// Adds to a number; a key that is not there holds 0.
    Increment {
        /// The key.
        key: Bytes,
        /// What to add.
        by: i64,
    },
    /// Adds to the end of a value; says how long it is then.
    Append {
        /// The key.
        key: Bytes,
        /// What to add.
        value: Bytes,
    },
    /// How long a value is; 0 if there is none.
    Length(Bytes),
    /// The values of keys.
    GetMany(Vec<Bytes>),
    /// Gives keys values, all at once.
    SetMany(Vec<(Bytes, Bytes)>),
    /// Gives a key a value without an expiry; says the one before.
    GetSet {
        /// The key.
        key: Bytes,
        /// Its value from now on.
        value: Bytes,
    },
    /// Lets a key expire; says whether it is there.
    Expire {
        /// The key.
        key: Bytes,
        /// So many milliseconds from now; at once if not positive.
        millis: i64,
    },
    /// When a key expires: -2 if it is not there, -1 if it never does.
    TimeToLive {
        /// The key.
        key: Bytes,
        /// In milliseconds rather than in seconds.
        in_millis: bool,
    },
    /// Lets a key never expire; says whether it would have.
    Persist(Bytes),
    /// The keys that match a pattern.
    Keys(Bytes),
    /// Some of the keys, from a cursor on.
    Scan {
        /// 0 to begin with, then what the last answer said; it says 0 at the end.
        cursor: u64,
        /// Which keys.
        pattern: Option<Bytes>,
        /// About how many to look at. At least 1.
        count: u64,
        /// Whether values of the kind asked for exist: there are only strings.
        of_strings: bool,
    },
    /// How many keys there are.
    Size,
    /// Removes all keys.
    Flush,
    /// `string`, or `none`.
    Type(Bytes),
}

/// SET and its options.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Set {
    /// The key.
    pub key: Bytes,
    /// Its value.
    pub value: Bytes,
    /// When to do it.
    pub condition: Condition,
    /// What becomes of its expiry.
    pub expiry: Expiry,
    /// Whether to say the value before rather than OK.
    pub get: bool,
}

/// When SET does what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// Always.
    Always,
    /// Only if the key is not there (NX).
    Absent,
    /// Only if it is (XX).
    Present,
}

/// What SET does to a key's expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expiry {
    /// It never expires.
    Never,
    /// It expires so many milliseconds after the entry's time. At least 1.
    In(u64),
    /// It stays as it was (KEEPTTL).
    Keep,
}

impl Command {
    /// Whether it can change anything.
    pub fn writes(&self) -> bool {
        match self {
            Command::Set(_)
            | Command::CompareAndSet { .. }
            | Command::Delete(_)
            | Command::Increment { .. }
            | Command::Append { .. }
            | Command::SetMany(_)
            | Command::GetSet { .. }
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
}
