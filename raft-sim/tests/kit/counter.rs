//! The smallest service: a counter.

use raft_sim::kit::{Kit, Mark, Model, StateMachine};
use serde::{Deserialize, Serialize};
use std::error::Error;

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Command {
    Add(u64),
    Read,
}

#[derive(Default)]
struct Counter {
    value: u64,
}

impl StateMachine for Counter {
    type Command = Command;
    type Answer = u64;

    fn apply(&mut self, command: Command) -> u64 {
        if let Command::Add(more) = command {
            self.value += more;
        }
        self.value
    }

    fn snapshot(&self) -> Vec<u8> {
        self.value.to_le_bytes().into()
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.value = u64::from_le_bytes(snapshot.try_into()?);
        Ok(())
    }
}

#[test]
fn a_counter_that_is_right_passes_and_reaches_what_it_should() {
    let summary = Kit::new(Counter::default, |_, random| match random.below(2) {
        0 => Command::Read,
        _ => Command::Add(random.between(1, 9)),
    })
    .linearizable(
        Model::new(0, |value: &mut u64, command: &Command| {
            if let Command::Add(more) = command {
                *value += more;
            }
            *value
        })
        .reads(|command| matches!(command, Command::Read)),
    )
    .requires(Mark::USUAL)
    .seeds(0..100)
    .run();
    assert_eq!(summary.seeds, 100);
}
