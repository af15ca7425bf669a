//! Random schedules of a small cluster: whatever a network may lose, repeat, reorder and delay,
//! and whenever nodes crash, the properties of Figure 3 hold after every step, nothing that was
//! committed is lost, no correct node is accused of anything, and once all is well again, one
//! leader brings all nodes to the same state.
//!
//! `cargo test` runs a few cases; `PROPTEST_CASES=20000 cargo test --release --test properties`
//! runs longer.
#![allow(missing_docs, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "properties/checks.rs"]
mod checks;
#[path = "properties/commit.rs"]
mod commit;
#[path = "properties/member.rs"]
mod member;
#[path = "properties/schedule.rs"]
mod schedule;
#[path = "properties/settings.rs"]
mod settings;
mod support;
#[path = "properties/world.rs"]
mod world;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use schedule::{Step, run, schedules, settings};
use settings::Settings;
use world::World;

/// `few` cases, or as many as `PROPTEST_CASES` says; failures are kept beside this file.
pub fn cases(few: u32) -> ProptestConfig {
    let config = ProptestConfig::default();
    let cases = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => config.cases,
        None => few,
    };
    ProptestConfig {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        max_shrink_iters: 20_000,
        ..config
    }
}

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

/// Runs a case; if it fails, prints its story.
pub fn check(settings: &Settings, schedule: &[Step]) {
    let mut world = World::new(settings);
    let body = std::panic::AssertUnwindSafe(|| run(&mut world, schedule));
    if let Err(panic) = std::panic::catch_unwind(body) {
        if std::env::var_os("STORY").is_some() {
            eprintln!("{}", world.story.join("\n"));
        }
        std::panic::resume_unwind(panic);
    }
}
