//! Clocks that drift, jump and stand still.
#![allow(clippy::unwrap_used)]

use core::time::Duration;
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

#[test]
fn a_clock_that_jumps_is_ahead_and_one_that_stands_still_falls_behind() {
    let mut clock = Clock::default();
    clock.jump(Time(100), Duration::from_nanos(50));
    assert_eq!(clock.shows(Time(100)), Time(150));
    assert_eq!(clock.shows(Time(110)), Time(160));
    assert_eq!(clock.reaches(Time(200)), Time(150));
    clock.freeze(Time(110));
    assert_eq!(clock.shows(Time(500)), Time(160));
    assert_eq!(clock.reaches(Time(161)), Time::NEVER);
    clock.thaw(Time(500));
    assert_eq!(clock.shows(Time(510)), Time(170));
    assert_eq!(clock.reaches(Time(170)), Time(510));
}

/// A fault of a clock.
#[derive(Clone, Copy, Debug)]
enum ClockFault {
    Jump(u64),
    Freeze,
    Thaw,
}

fn faults() -> impl Strategy<Value = Vec<(u64, ClockFault)>> {
    let fault = prop_oneof![
        (0_u64..1 << 40).prop_map(ClockFault::Jump),
        Just(ClockFault::Freeze),
        Just(ClockFault::Thaw),
    ];
    proptest::collection::vec((0_u64..1 << 40, fault), 0..12)
}

fn inject(clock: &mut Clock, at: Time, fault: ClockFault) {
    match fault {
        ClockFault::Jump(by) => clock.jump(at, Duration::from_nanos(by)),
        ClockFault::Freeze => clock.freeze(at),
        ClockFault::Thaw => clock.thaw(at),
    }
}

proptest! {
    #[test]
    fn a_clock_never_goes_back_under_any_faults(
        ppm in -900_000_i32..900_000,
        faults in faults(),
    ) {
        let mut clock = Clock::drifting(ppm);
        let (mut now, mut shown) = (Time::ZERO, Time::ZERO);
        for (after, fault) in faults {
            now = Time(now.0 + after);
            let before = clock.shows(now);
            prop_assert!(before >= shown);
            inject(&mut clock, now, fault);
            shown = clock.shows(now);
            prop_assert!(shown >= before);
        }
    }

    #[test]
    fn a_timer_is_on_time_after_any_faults_of_the_clock(
        ppm in -900_000_i32..900_000,
        faults in faults(),
        left in 0_u64..1 << 42,
    ) {
        let mut clock = Clock::drifting(ppm);
        let mut now = Time::ZERO;
        let mut is_frozen = false;
        for (after, fault) in faults {
            now = Time(now.0 + after);
            inject(&mut clock, now, fault);
            is_frozen = match fault {
                ClockFault::Jump(_) => is_frozen,
                ClockFault::Freeze => true,
                ClockFault::Thaw => false,
            };
        }
        let deadline = Time(clock.shows(now).0 + left);
        let at = clock.reaches(deadline);
        if is_frozen && left > 0 {
            prop_assert_eq!(at, Time::NEVER);
        } else {
            prop_assert!(clock.shows(at) >= deadline);
            prop_assert!(at <= now || clock.shows(Time(at.0 - 1)) < deadline);
        }
    }

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
