//! The replicated state machine of the examples: a list of words.
//!
//! A command is its client's serial number and a word. A client that does not know whether its
//! command took effect gives it again, and the number tells the service that it has it (thesis
//! 6.3).

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use raft_proto::{Entries, EntryKind};

/// The state: equal commands in equal order make it equal on every node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Service {
    /// The greatest serial number applied.
    pub(crate) serial: u64,
    /// The words in the order of their commands.
    pub(crate) words: Vec<String>,
}

/// The command to add `word`.
pub(crate) fn command(serial: u64, word: &str) -> Bytes {
    let mut command = serial.to_le_bytes().to_vec();
    command.extend_from_slice(word.as_bytes());
    command.into()
}

impl Service {
    /// Applies what is committed. Entries of other kinds are for the core alone.
    pub(crate) fn apply(&mut self, entries: &Entries) {
        let commands = entries.iter().filter(|it| it.kind() == EntryKind::Command);
        for (serial, word) in commands.filter_map(|it| it.payload().split_first_chunk()) {
            let serial = u64::from_le_bytes(*serial);
            if serial > self.serial {
                self.serial = serial;
                self.words.push(String::from_utf8_lossy(word).into_owned());
            }
        }
    }
}
