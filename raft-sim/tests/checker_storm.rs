//! The guard against storms fires on messages and events without end, and on nothing that a right
//! cluster does.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use core::time::Duration;
use raft_proto::Time;
use raft_sim::checker::{Storm, StormGuard, StormLimits};

const LIMITS: StormLimits = StormLimits {
    messages: 10,
    messages_for_request: 5,
    under_way: 12,
};

fn at(millis: u64) -> Time {
    Time::from_epoch(Duration::from_millis(millis))
}

/// How many messages are sent, each of which arrives at once, until the guard fires.
fn sent_until_it_fires(guard: &mut StormGuard) -> (u64, Storm) {
    for count in 1.. {
        if let Err(storm) = guard.sent(1) {
            return (count, storm);
        }
        guard.arrived();
    }
    unreachable!("it never fires")
}

#[test]
fn fires_on_too_many_messages_in_a_second() {
    let mut guard = StormGuard::new(LIMITS);
    assert_eq!(guard.event(at(0)), Ok(()));
    let (sent, requests) = (11, 0);
    let storm = Storm::Messages { sent, requests };
    assert_eq!(sent_until_it_fires(&mut guard), (11, storm));
    // Each second counts anew.
    assert_eq!(guard.event(at(1_000)), Ok(()));
    assert_eq!(sent_until_it_fires(&mut guard).0, 11);
}

#[test]
fn what_clients_ask_for_may_cause_messages_in_that_second_and_the_next() {
    let mut guard = StormGuard::new(LIMITS);
    assert_eq!(guard.event(at(500)), Ok(()));
    guard.requested();
    guard.requested();
    assert_eq!(sent_until_it_fires(&mut guard).0, 21);
    assert_eq!(guard.event(at(1_500)), Ok(()));
    assert_eq!(sent_until_it_fires(&mut guard).0, 21);
    assert_eq!(guard.event(at(2_500)), Ok(()));
    assert_eq!(sent_until_it_fires(&mut guard).0, 11);
}

#[test]
fn fires_on_messages_that_pile_up_under_way() {
    let mut guard = StormGuard::new(LIMITS);
    for second in 0..6 {
        assert_eq!(guard.event(at(1_000 * second)), Ok(()));
        assert_eq!(guard.sent(2), Ok(()));
        assert_eq!(guard.sent(0), Ok(()), "one that is lost");
    }
    assert_eq!(guard.sent(1), Err(Storm::UnderWay { under_way: 13 }));
}

#[test]
fn fires_on_a_timer_that_fires_without_end() {
    let mut guard = StormGuard::new(LIMITS);
    let fires = (1..).find(|_| guard.event(at(999)).is_err());
    assert_eq!(fires, Some(81));
}
