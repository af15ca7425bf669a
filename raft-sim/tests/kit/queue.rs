//! A queue: what is pushed first is popped first.

use crate::{Mistake, found};
use raft_sim::failure::Failure;
use raft_sim::kit::{Kit, Mark, Model, StateMachine};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::error::Error;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Command {
    Push(u16),
    Pop,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Answer {
    Pushed,
    Popped(Option<u16>),
}

/// The queue itself is its model, too: there it is never restored.
fn run(items: &mut VecDeque<u16>, command: &Command) -> Answer {
    match command {
        Command::Push(item) => {
            items.push_back(*item);
            Answer::Pushed
        }
        Command::Pop => Answer::Popped(items.pop_front()),
    }
}

pub(crate) struct Queue {
    items: VecDeque<u16>,
    mistake: Mistake,
}

impl StateMachine for Queue {
    type Command = Command;
    type Answer = Answer;

    fn apply(&mut self, command: Command) -> Answer {
        run(&mut self.items, &command)
    }

    fn snapshot(&self) -> Vec<u8> {
        self.items
            .iter()
            .flat_map(|item| item.to_le_bytes())
            .collect()
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.items.clear();
        for item in snapshot.chunks(2) {
            let item = u16::from_le_bytes(item.try_into()?);
            match self.mistake {
                Mistake::None => self.items.push_back(item),
                Mistake::Planted => self.items.push_front(item),
            }
        }
        Ok(())
    }
}

pub(crate) fn kit(mistake: Mistake) -> Kit<Queue> {
    let new = move || Queue {
        items: VecDeque::new(),
        mistake,
    };
    Kit::new(new, |_, random| match random.below(2) {
        0 => Command::Pop,
        _ => Command::Push(random.below(1_000) as u16),
    })
    .linearizable(Model::new(VecDeque::new(), run))
    .requires(Mark::USUAL)
    .sometimes("the queue is empty", |_, answer| {
        *answer == Answer::Popped(None)
    })
}

#[test]
fn a_queue_is_linearizable() {
    kit(Mistake::None).seeds(0..60).run();
}

#[test]
fn a_queue_whose_restore_reverses_it_is_found_by_comparing_replicas() {
    let found = found(kit(Mistake::Planted).shrinking(1_000));
    assert!(
        matches!(found.failure, Failure::ReplicasDiffer(_)),
        "{found}"
    );
}

#[test]
fn a_queue_whose_restore_reverses_it_is_found_by_its_answers() {
    let found = found(kit(Mistake::Planted).shrinking(1_000).without_comparison());
    // Clients see wrong answers, or replicas remember different ones.
    let is_by_answers = matches!(
        found.failure,
        Failure::NotLinearizable(_) | Failure::StatesDiffer { .. }
    );
    assert!(is_by_answers, "{found}");
}
