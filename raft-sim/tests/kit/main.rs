//! The test kit: services with a planted mistake, which it finds and makes small, and the same
//! services without it, which pass.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod bank;
mod counter;
#[cfg(feature = "driver")]
mod driven;
mod failing;
mod lock;
mod queue;
mod replay;

use raft_sim::kit::{Found, Kit, KitError, StateMachine};
use raft_sim::schedule::Schedule;

/// Whether a service has its planted mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    None,
    Planted,
}

/// What the kit finds, which has to be small.
fn found<S: StateMachine>(kit: Kit<S>) -> Found {
    match kit.check() {
        Err(KitError::Found(found)) => {
            println!("{found}");
            let events = found.after.faults + found.after.operations;
            assert!(events <= 10, "{events} events: {found}");
            assert!(found.is_of_service(), "{found}");
            let text = found.schedule.to_text();
            assert_eq!(Schedule::parse(&text).as_ref(), Ok(&found.schedule));
            *found
        }
        Err(other) => panic!("something else fails: {other}"),
        Ok(summary) => panic!("nothing is found: {summary}"),
    }
}
