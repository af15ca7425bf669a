//! The service of the tests.

use raft_driver_thread::{Commands, StateMachine};
use std::io::{self, Read, Write};

/// Keeps every command, and answers with their number. The command `panic` makes it panic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journal(pub Vec<Vec<u8>>);

impl StateMachine for Journal {
    type Answer = usize;
    type Snapshot = Journal;

    fn apply(&mut self, commands: Commands<'_>, answers: &mut Vec<usize>) {
        for command in commands {
            assert!(command.payload != b"panic", "as the command says");
            self.0.push(command.payload.to_vec());
            answers.push(self.0.len());
        }
    }

    fn snapshot(&mut self) -> Journal {
        self.clone()
    }

    fn write_snapshot(journal: Journal, writer: &mut dyn Write) -> io::Result<()> {
        for command in &journal.0 {
            writer.write_all(&(command.len() as u64).to_le_bytes())?;
            writer.write_all(command)?;
        }
        Ok(())
    }

    fn restore(&mut self, reader: &mut dyn Read) -> io::Result<()> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        let mut rest = &bytes[..];
        self.0.clear();
        while !rest.is_empty() {
            let (length, after) = rest.split_at(8);
            let length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
            self.0.push(after[..length].to_vec());
            rest = &after[length..];
        }
        Ok(())
    }
}
