//! Clocks that drift.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use raft_proto::Time;
use raft_sim::clock::Clock;

#[test]
fn a_fast_clock_shows_more_and_reaches_its_deadlines_earlier() {
    let fast = Clock::drifting(100_000);
    assert_eq!(fast.shows(Time(1_000)), Time(1_100));
    assert_eq!(fast.reaches(Time(1_100)), Time(1_000));
    let slow = Clock::drifting(-100_000);
    assert_eq!(slow.shows(Time(1_000)), Time(900));
    assert_eq!(Clock::default().shows(Time(7)), Time(7));
    assert_eq!(slow.reaches(Time::NEVER), Time::NEVER);
}

proptest! {
    #[test]
    fn a_timer_is_never_early_and_never_late(ppm in -900_000_i32..900_000, shown in 0_u64..1 << 50) {
        let (clock, shown) = (Clock::drifting(ppm), Time(shown));
        let at = clock.reaches(shown);
        prop_assert!(clock.shows(at) >= shown);
        if at > Time::ZERO {
            prop_assert!(clock.shows(Time(at.0 - 1)) < shown);
        }
    }
}
