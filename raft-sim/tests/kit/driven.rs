//! State machines of `raft-driver-thread`.

use crate::{Mistake, found};
use raft_driver_thread::{Commands, Digest, StateMachine};
use raft_sim::failure::Failure;
use raft_sim::kit::{Driven, Kit, Mark, Model};
use raft_sim::service::ServiceDefect;
use std::io::{self, Read, Write};

/// Adds up bytes.
struct Sum {
    sum: u64,
    mistake: Mistake,
}

impl StateMachine for Sum {
    type Answer = u64;
    type Snapshot = u64;

    fn apply(&mut self, commands: Commands<'_>, answers: &mut Vec<u64>) {
        for command in commands {
            self.sum += u64::from(command.payload[0]);
            answers.push(self.sum);
            if self.mistake == Mistake::Planted && self.sum > 1_000 {
                answers.push(self.sum);
            }
        }
    }

    fn digest(&self) -> Option<Digest> {
        Some(Digest {
            kind: 1,
            value: self.sum.into(),
        })
    }

    fn snapshot(&mut self) -> u64 {
        self.sum
    }

    fn write_snapshot(sum: u64, writer: &mut dyn Write) -> io::Result<()> {
        writer.write_all(&sum.to_le_bytes())
    }

    fn restore(&mut self, reader: &mut dyn Read) -> io::Result<()> {
        let mut bytes = [0; 8];
        reader.read_exact(&mut bytes)?;
        self.sum = u64::from_le_bytes(bytes);
        Ok(())
    }
}

fn kit(mistake: Mistake) -> Kit<Driven<Sum, u8, u64>> {
    let new = move || Sum { sum: 0, mistake };
    let sums = Driven::makes(new, |byte: &u8| vec![*byte], |sum: u64| sum);
    Kit::new(sums, |_, random| random.below(250) as u8)
        .linearizable(Model::new(0, |sum: &mut u64, byte: &u8| {
            *sum += u64::from(*byte);
            *sum
        }))
        .invariant("the sum does not overflow", |sum| {
            sum.with(|sum| sum.sum < u64::MAX)
        })
        .requires(Mark::USUAL)
}

#[test]
fn a_state_machine_of_the_driver_passes() {
    kit(Mistake::None).seeds(0..30).run();
}

#[test]
fn a_state_machine_of_the_driver_that_gives_two_answers_to_one_command_is_found() {
    let found = found(kit(Mistake::Planted));
    let Failure::Service {
        defect: ServiceDefect::Stopped(reason),
        ..
    } = &found.failure
    else {
        panic!("{found}");
    };
    assert_eq!(reason, "it gave 2 answers to one command");
}
