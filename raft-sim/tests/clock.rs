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

/// What befalls a clock.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    Jump(u64),
    Freeze,
    Thaw,
}

fn troubles() -> impl Strategy<Value = Vec<(u64, Trouble)>> {
    let trouble = prop_oneof![
        (0_u64..1 << 40).prop_map(Trouble::Jump),
        Just(Trouble::Freeze),
        Just(Trouble::Thaw),
    ];
    proptest::collection::vec((0_u64..1 << 40, trouble), 0..12)
}

fn befall(clock: &mut Clock, at: Time, trouble: Trouble) {
    match trouble {
        Trouble::Jump(by) => clock.jump(at, Duration::from_nanos(by)),
        Trouble::Freeze => clock.freeze(at),
        Trouble::Thaw => clock.thaw(at),
    }
}

proptest! {
    #[test]
    fn a_clock_never_goes_back_whatever_befalls_it(
        ppm in -900_000_i32..900_000,
        troubles in troubles(),
    ) {
        let mut clock = Clock::drifting(ppm);
        let (mut now, mut shown) = (Time::ZERO, Time::ZERO);
        for (after, trouble) in troubles {
            now = Time(now.0 + after);
            let before = clock.shows(now);
            prop_assert!(before >= shown);
            befall(&mut clock, now, trouble);
            shown = clock.shows(now);
            prop_assert!(shown >= before);
        }
    }

    #[test]
    fn a_timer_is_on_time_whatever_has_befallen_the_clock(
        ppm in -900_000_i32..900_000,
        troubles in troubles(),
        left in 0_u64..1 << 42,
    ) {
        let mut clock = Clock::drifting(ppm);
        let mut now = Time::ZERO;
        let mut is_frozen = false;
        for (after, trouble) in troubles {
            now = Time(now.0 + after);
            befall(&mut clock, now, trouble);
            is_frozen = match trouble {
                Trouble::Jump(_) => is_frozen,
                Trouble::Freeze => true,
                Trouble::Thaw => false,
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
