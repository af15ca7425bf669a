//! What else fails a test, and what the kit says of it.

use crate::found;
use raft_sim::coverage::CoverageMark;
use raft_sim::failure::Failure;
use raft_sim::kit::{Kit, KitError, Mark, Model, StateMachine};
use raft_sim::request::Faults;
use raft_sim::schedule::Schedule;
use raft_sim::service::ServiceDefect;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

type Apply = dyn Fn(&mut u64, u64) -> u64 + Send + Sync;

/// A number; what a command does to it is the test's.
#[derive(Clone)]
struct Number {
    value: u64,
    apply: Arc<Apply>,
    longest: usize,
}

impl StateMachine for Number {
    type Command = u64;
    type Answer = u64;

    fn apply(&mut self, command: u64) -> u64 {
        (self.apply)(&mut self.value, command)
    }

    fn snapshot(&self) -> Vec<u8> {
        self.value.to_le_bytes().into()
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        let bytes = snapshot.get(..self.longest).ok_or("too long")?;
        self.value = u64::from_le_bytes(bytes.try_into()?);
        Ok(())
    }
}

fn add(value: &mut u64, more: u64) -> u64 {
    *value += more;
    *value
}

fn number(apply: impl Fn(&mut u64, u64) -> u64 + Send + Sync + 'static) -> Kit<Number> {
    let number = Number {
        value: 0,
        apply: Arc::new(apply),
        longest: 8,
    };
    Kit::new(move || number.clone(), |_, random| random.between(1, 9))
}

#[test]
fn a_panic_of_the_service_is_found() {
    let found = found(number(|value, more| {
        assert!(*value < 20, "the number is too great");
        add(value, more)
    }));
    let Failure::Panicked(text) = &found.failure else {
        panic!("{found}");
    };
    assert!(text.contains("too great"), "{text}");
}

#[test]
fn a_snapshot_that_is_not_restored_is_found() {
    let number = Number {
        value: 0,
        apply: Arc::new(add),
        longest: 9,
    };
    let kit = Kit::new(move || number.clone(), |_, random| random.between(1, 9));
    let found = found(kit);
    let is_restore = matches!(
        found.failure,
        Failure::Service {
            defect: ServiceDefect::Restore(_),
            ..
        }
    );
    assert!(is_restore, "{found}");
}

#[test]
fn a_wrong_answer_is_found_without_any_fault_and_its_schedule_is_written() {
    let kit = number(|value, more| {
        add(value, more);
        *value - u64::from(more == 7)
    });
    let model = Model::new(0, |value: &mut u64, more: &u64| add(value, *more));
    let found = found(kit.linearizable(model).faults(Faults::None).nodes(1));
    let is_seen = matches!(found.failure, Failure::NotLinearizable(_));
    assert!(is_seen, "{found}");
    assert_eq!(found.after.faults, 0, "{found}");
    let file = found.file.as_deref().expect("it is written");
    assert_eq!(Schedule::read(file).as_ref(), Ok(&found.schedule));
}

#[test]
fn a_service_that_is_not_deterministic_is_named_as_such() {
    let applied = AtomicU64::new(0);
    let kit = number(move |value, more| {
        assert!(applied.fetch_add(1, Ordering::Relaxed) != 500);
        add(value, more)
    });
    let error = kit.seeds(0..50).check().expect_err("one run fails");
    assert!(matches!(error, KitError::NotRepeatable { .. }), "{error}");
}

#[test]
fn a_test_that_does_not_reach_what_it_requires_fails() {
    let kit = number(add)
        .faults(Faults::None)
        .requires([Mark::Restarted, CoverageMark::LeaderCrash.into()])
        .sometimes("the number is 1", |_, answer| *answer == 1)
        .sometimes("the number is never 0", |_, answer| *answer != 0);
    let error = kit.seeds(0..4).check().expect_err("it explores too little");
    let KitError::NotReached { marks, seeds: 4 } = error else {
        panic!("{error}");
    };
    let crash = CoverageMark::LeaderCrash.to_string();
    let wanted = [Mark::Restarted.to_string(), crash];
    assert!(wanted.iter().all(|mark| marks.contains(mark)), "{marks:?}");
    let never = String::from("the number is never 0");
    assert!(!marks.contains(&never), "{marks:?}");
}

#[test]
fn a_test_without_commands_fails() {
    let kit = number(add).time(core::time::Duration::from_millis(1));
    let error = kit.seeds(0..4).check().expect_err("nothing happens");
    assert!(matches!(error, KitError::NotReached { .. }), "{error}");
}

#[test]
fn a_test_without_seeds_or_servers_fails() {
    let error = number(add).seeds(7..7).check().expect_err("no seed");
    assert!(matches!(error, KitError::NoSeeds), "{error}");
    let error = number(add).nodes(99).check().expect_err("too many");
    assert!(matches!(error, KitError::Impossible(_)), "{error}");
}
