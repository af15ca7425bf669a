//! A lock service: a lock is held by one client, and expires if its holder does not come back.

use crate::{Mistake, found};
use raft_sim::failure::Failure;
use raft_sim::kit::{Kit, Mark, Model, StateMachine};
use serde::{Deserialize, Serialize};
use std::error::Error;

/// A lock expires after so much time. Time is counted in commands.
const LEASE: u64 = 8;

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Command {
    Acquire { client: u32 },
    Release { client: u32 },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Answer {
    Yours,
    HeldBy(u32),
    Released,
    NotYours,
}

/// What is replicated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Table {
    /// How many commands there were: the time that all replicas share.
    time: u64,
    /// The holder, and until when.
    held: Option<(u32, u64)>,
}

impl Table {
    /// Runs a command when it is `now` by the clock that decides what has expired.
    fn run(&mut self, command: &Command, now: u64) -> Answer {
        self.time += 1;
        let held = self.held.filter(|(_, until)| now < *until);
        match (command, held) {
            (Command::Acquire { client }, Some((holder, _))) if holder != *client => {
                Answer::HeldBy(holder)
            }
            (Command::Acquire { client }, _) => {
                self.held = Some((*client, now + LEASE));
                Answer::Yours
            }
            (Command::Release { client }, Some((holder, _))) if holder == *client => {
                self.held = None;
                Answer::Released
            }
            (Command::Release { .. }, _) => Answer::NotYours,
        }
    }
}

struct Lock {
    table: Table,
    /// The machine's own clock, which nobody replicates.
    clock: u64,
    mistake: Mistake,
}

impl StateMachine for Lock {
    type Command = Command;
    type Answer = Answer;

    fn apply(&mut self, command: Command) -> Answer {
        self.clock += 1;
        let now = match self.mistake {
            Mistake::None => self.table.time,
            Mistake::Planted => self.clock,
        };
        self.table.run(&command, now)
    }

    fn snapshot(&self) -> Vec<u8> {
        postcard::to_allocvec(&self.table).expect("memory suffices")
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.table = postcard::from_bytes(snapshot)?;
        Ok(())
    }
}

fn kit(mistake: Mistake) -> Kit<Lock> {
    let new = move || Lock {
        table: Table::default(),
        clock: 0,
        mistake,
    };
    Kit::new(new, |client, random| {
        let holds = client.last_answer == Some(&Answer::Yours);
        let client = client.number;
        if holds && random.chance(700) {
            Command::Release { client }
        } else {
            Command::Acquire { client }
        }
    })
    .linearizable(Model::new(
        Table::default(),
        |table: &mut Table, command| table.run(command, table.time),
    ))
    .fault("the clock jumps", |lock| lock.clock += 10)
    .requires(Mark::USUAL)
    .sometimes("the lock is held by another client", |_, answer| {
        matches!(answer, Answer::HeldBy(_))
    })
    .sometimes("a lock has expired before its release", |_, answer| {
        *answer == Answer::NotYours
    })
}

#[test]
fn a_lock_that_expires_by_replicated_time_is_linearizable() {
    kit(Mistake::None).seeds(0..60).run();
}

#[test]
fn a_lock_that_expires_by_the_clock_of_one_machine_is_found_by_comparing_replicas() {
    let found = found(kit(Mistake::Planted).shrinking(1_000));
    assert!(
        matches!(found.failure, Failure::ReplicasDiffer(_)),
        "{found}"
    );
}

#[test]
fn a_lock_that_expires_by_the_clock_of_one_machine_is_found_by_its_answers() {
    let found = found(kit(Mistake::Planted).shrinking(1_000).without_comparison());
    // Clients see wrong answers, or replicas remember different ones.
    let is_by_answers = matches!(
        found.failure,
        Failure::NotLinearizable(_) | Failure::StatesDiffer { .. }
    );
    assert!(is_by_answers, "{found}");
}
