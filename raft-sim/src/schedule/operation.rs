//! The operations of clients, and how files write them.

use super::words::{Unreadable, Words};
use core::fmt;
use core::str::FromStr;

/// An operation that a client begins as soon as it is done with those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientOperation {
    /// Which client, from 0 on.
    pub client: u32,
    /// What it does.
    pub kind: OperationKind,
}

/// What an operation does. Every value that is written is one that no client wrote before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationKind {
    /// Reads the value of a key, without the log.
    Read {
        /// The key.
        key: u64,
        /// Which node answers, and how it makes sure that the answer is not stale.
        kind: ReadKind,
    },
    /// Reads the value of a key, by a command in the log.
    Get(u64),
    /// Writes a new value.
    Set(u64),
    /// Appends some bytes.
    Append(u64),
    /// Replaces the value that the client saw last, if it is still there.
    CompareAndSet(u64),
    /// Deletes the value.
    Delete(u64),
    /// Writes so many new values in one proposal, under the keys from 0 on.
    Batch(u32),
    /// Sends the command that a service of the user's own draws from this number
    /// ([`kit`](crate::kit)).
    Call(u64),
}

/// How a read is made sure not to be stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadKind {
    /// The leader asks a majority (thesis 6.4).
    Quorum,
    /// The leader relies on its lease (thesis 6.4.1).
    Lease,
    /// Any server asks the leader.
    Follower,
}

impl ReadKind {
    fn name(self) -> &'static str {
        match self {
            ReadKind::Quorum => "quorum",
            ReadKind::Lease => "lease",
            ReadKind::Follower => "follower",
        }
    }
}

impl fmt::Display for ClientOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{} ", self.client)?;
        match self.kind {
            OperationKind::Read { key, kind } => write!(f, "read k{key} by {}", kind.name()),
            OperationKind::Get(key) => write!(f, "get k{key}"),
            OperationKind::Set(key) => write!(f, "set k{key}"),
            OperationKind::Append(key) => write!(f, "append k{key}"),
            OperationKind::CompareAndSet(key) => write!(f, "cas k{key}"),
            OperationKind::Delete(key) => write!(f, "delete k{key}"),
            OperationKind::Batch(count) => write!(f, "batch {count}"),
            OperationKind::Call(number) => write!(f, "call {number}"),
        }
    }
}

fn key(words: &mut Words<'_>) -> Result<u64, Unreadable> {
    words.word("a key such as k3", |word| {
        word.strip_prefix('k')?.parse().ok()
    })
}

impl FromStr for ClientOperation {
    type Err = Unreadable;

    fn from_str(line: &str) -> Result<ClientOperation, Unreadable> {
        const CLIENT: &str = "a client such as c2";
        let mut words = Words::of(line);
        let client = words.word(CLIENT, |word| word.strip_prefix('c')?.parse().ok())?;
        let kind = match words.next_word() {
            Some("read") => OperationKind::Read {
                key: key(&mut words)?,
                kind: {
                    words.just("by")?;
                    let kinds = [ReadKind::Quorum, ReadKind::Lease, ReadKind::Follower];
                    let named = |word: &str| kinds.into_iter().find(|kind| kind.name() == word);
                    words.word("quorum, lease or follower", named)?
                },
            },
            Some("get") => OperationKind::Get(key(&mut words)?),
            Some("set") => OperationKind::Set(key(&mut words)?),
            Some("append") => OperationKind::Append(key(&mut words)?),
            Some("cas") => OperationKind::CompareAndSet(key(&mut words)?),
            Some("delete") => OperationKind::Delete(key(&mut words)?),
            Some("batch") => OperationKind::Batch(words.word("a number from 1 to 32", |word| {
                word.parse().ok().filter(|count| (1..=32).contains(count))
            })?),
            Some("call") => OperationKind::Call(words.read("a number")?),
            Some(_) | None => {
                let known = "read, get, set, append, cas, delete, batch or call";
                return Err(words.expected(known));
            }
        };
        words.end()?;
        Ok(ClientOperation { client, kind })
    }
}
