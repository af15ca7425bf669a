//! Random schedules of a small cluster. The network loses, repeats, reorders and delays messages,
//! and nodes crash. After each step the properties of Figure 3 hold, no committed entry is lost,
//! and no correct node is accused. Once all faults end, one leader brings all nodes to the same
//! state.
//!
//! `cargo test` runs a few cases. `PROPTEST_CASES=20000 cargo test --release --test properties`
//! runs more. With `TRACE` set, a case that fails prints all events and actions.
#![allow(missing_docs, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "properties/cases.rs"]
mod cases;
#[path = "properties/checker.rs"]
mod checker;
#[path = "properties/commit.rs"]
mod commit;
#[path = "properties/schedule.rs"]
mod schedule;
#[path = "properties/server.rs"]
mod server;
#[path = "properties/settings.rs"]
mod settings;
mod support;
#[path = "properties/world.rs"]
mod world;

use cases::cases;
use proptest::prelude::*;
use schedule::{Step, run, schedules, settings};
use settings::Settings;
use world::World;

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn a_cluster_keeps_figure_3_under_any_schedule(
        settings in settings(),
        schedule in schedules(300),
    ) {
        check(&settings, &schedule);
    }
}

/// Runs a case. If it fails, its trace is printed on request.
pub fn check(settings: &Settings, schedule: &[Step]) {
    let mut world = World::new(settings);
    let body = std::panic::AssertUnwindSafe(|| run(&mut world, schedule));
    if let Err(panic) = std::panic::catch_unwind(body) {
        if std::env::var_os("TRACE").is_some() {
            eprintln!("{}", world.trace_lines.join("\n"));
        }
        std::panic::resume_unwind(panic);
    }
}
