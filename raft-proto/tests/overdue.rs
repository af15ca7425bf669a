//! A driver that forgets what it owes is told (`waits.rs`).
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    missing_docs
)]

mod support;

use raft_proto::*;
use std::time::Duration;
use support::*;

const TEN_TIMEOUTS: Duration = Duration::from_secs(10);

fn step(raft: &mut Raft, at: Time, input: Input) -> Vec<Action> {
    raft.step(Event { at, input })
}

fn overdue(actions: &[Action]) -> Vec<Awaited> {
    let waits = |action: &Action| match action {
        Action::Overdue(waiting) => Some(waiting.what),
        _ => None,
    };
    actions.iter().filter_map(waits).collect()
}

fn waits_for(raft: &Raft) -> Vec<Awaited> {
    raft.waits_for().map(|waiting| waiting.what).collect()
}

/// n1 alone, which has yet to get its first event.
fn alone() -> Raft {
    Raft::new(config(1, 1), Recovered::default()).unwrap()
}

/// n1 leads alone; its first writes are durable, and nothing is on its way.
fn leads_alone() -> (Raft, Time) {
    let mut raft = alone();
    let now = Time::ZERO.after(Duration::from_secs(2));
    step(&mut raft, Time::ZERO, Input::Tick);
    step(&mut raft, now, Input::Tick);
    while let Some(Awaited::Persisted { seq }) = waits_for(&raft).first().copied() {
        step(&mut raft, now, Input::Persisted { seq });
    }
    assert_eq!(raft.role(), RoleKind::Leader);
    // The deadline that it named before it led.
    let now = now.after(Duration::from_secs(2));
    step(&mut raft, now, Input::Tick);
    assert_eq!(waits_for(&raft), []);
    (raft, now)
}

fn propose(raft: &mut Raft, at: Time) -> Vec<Action> {
    let commands = Commands::from(bytes::Bytes::from("x"));
    let id = RequestId(1);
    step(raft, at, Input::Propose { id, commands })
}

#[test]
fn a_node_that_was_never_given_an_event_says_so() {
    let mut raft = alone();
    assert_eq!(waits_for(&raft), [Awaited::FirstTick]);
    step(&mut raft, Time::ZERO, Input::Tick);
    assert_eq!(waits_for(&raft), []);
}

#[test]
fn a_write_that_is_not_reported_is_named_with_the_time_since_when() {
    let (mut raft, now) = leads_alone();
    propose(&mut raft, now);
    let later = now.after(Duration::from_secs(1));
    step(&mut raft, later, Input::Tick);
    let actions = propose(&mut raft, later);
    assert_eq!(overdue(&actions), []);
    let what = Awaited::Persisted {
        seq: raft.status().persisted.next(),
    };
    let since = now;
    assert_eq!(raft.status().waits_for, [Waiting { what, since }]);
}

#[test]
fn a_forgotten_persisted_is_said_once_an_episode() {
    let (mut raft, now) = leads_alone();
    propose(&mut raft, now);
    let seq = raft.status().persisted.next();
    let just_before = Time(now.after(TEN_TIMEOUTS).0 - 1);
    assert_eq!(overdue(&step(&mut raft, just_before, Input::Tick)), []);
    let mut at = now.after(TEN_TIMEOUTS);
    let mut said = Vec::new();
    for _ in 0..30 {
        said.extend(overdue(&step(&mut raft, at, Input::Tick)));
        at = at.after(Duration::from_millis(500));
    }
    assert_eq!(said, [Awaited::Persisted { seq }]);
    // The next episode is another one.
    step(&mut raft, at, Input::Persisted { seq });
    let index = raft.handed_out_index();
    step(&mut raft, at, Input::Applied { index });
    propose(&mut raft, at);
    at = at.after(TEN_TIMEOUTS + Duration::from_secs(1));
    assert_eq!(overdue(&step(&mut raft, at, Input::Tick)), []);
    at = at.after(Duration::from_secs(1));
    let said = overdue(&step(&mut raft, at, Input::Tick));
    assert_eq!(said, [Awaited::Persisted { seq: seq.next() }]);
}

// A slow disk that makes progress is not forgotten.
#[test]
fn writes_that_are_reported_late_but_steadily_are_not_overdue() {
    let (mut raft, mut now) = leads_alone();
    let mut said = Vec::new();
    for _ in 0..6 {
        propose(&mut raft, now);
    }
    for _ in 0..6 {
        now = now.after(TEN_TIMEOUTS - Duration::from_secs(1));
        said.extend(overdue(&step(&mut raft, now, Input::Tick)));
        let seq = raft.status().persisted.next();
        said.extend(overdue(&step(&mut raft, now, Input::Persisted { seq })));
        let index = raft.handed_out_index();
        said.extend(overdue(&step(&mut raft, now, Input::Applied { index })));
    }
    assert_eq!(said, []);
}

// The bug: a service that takes long for many entries, and reports each, counts as stuck.
#[test]
fn entries_that_are_applied_late_but_steadily_are_not_overdue() {
    let (mut raft, mut now) = leads_alone();
    for _ in 0..6 {
        propose(&mut raft, now);
    }
    let seq = Seq(raft.status().persisted.0 + 6);
    let first = raft.handed_out_index().next();
    step(&mut raft, now, Input::Persisted { seq });
    assert_eq!(raft.handed_out_index(), first.plus(5));
    let mut said = Vec::new();
    for count in 0..6 {
        for _ in 0..9 {
            now = now.after(Duration::from_secs(1));
            said.extend(overdue(&step(&mut raft, now, Input::Tick)));
        }
        let index = first.plus(count);
        said.extend(overdue(&step(&mut raft, now, Input::Applied { index })));
    }
    assert_eq!(said, []);
}

#[test]
fn a_forgotten_applied_is_said() {
    let (mut raft, now) = leads_alone();
    propose(&mut raft, now);
    let seq = raft.status().persisted.next();
    let actions = step(&mut raft, now, Input::Persisted { seq });
    let applies = |action: &Action| matches!(action, Action::Apply { .. });
    assert!(actions.iter().any(applies));
    let index = raft.handed_out_index();
    let what = Awaited::Applied { index };
    assert_eq!(raft.status().waits_for, [Waiting { what, since: now }]);
    step(&mut raft, now.after(TEN_TIMEOUTS), Input::Tick);
    let at = now.after(TEN_TIMEOUTS + Duration::from_secs(1));
    assert_eq!(overdue(&step(&mut raft, at, Input::Tick)), [what]);
    step(&mut raft, at, Input::Applied { index });
    assert_eq!(waits_for(&raft), []);
}

// The bug of a driver: it gives messages and forgets the deadline.
#[test]
fn a_forgotten_tick_is_said_when_something_else_happens() {
    let mut raft = Raft::new(config(1, 3), Recovered::default()).unwrap();
    let actions = step(&mut raft, Time::ZERO, Input::Tick);
    let due = actions.iter().find_map(|action| match action {
        Action::WakeAt(at) => Some(*at),
        _ => None,
    });
    let due = due.unwrap();
    let message = || Input::Receive {
        from: NodeId(2),
        incarnation: None,
        message: append(0, EntryId::ZERO, &[], 0),
    };
    let late = Time(due.0 + 1);
    step(&mut raft, late, message());
    let waiting = Waiting {
        what: Awaited::Tick,
        since: due,
    };
    assert_eq!(raft.status().waits_for, [waiting]);
    let mut said = Vec::new();
    for seconds in 0..30 {
        let at = late.after(Duration::from_secs(seconds));
        said.extend(overdue(&step(&mut raft, at, message())));
    }
    assert_eq!(said, [Awaited::Tick]);
    let at = late.after(Duration::from_secs(31));
    step(&mut raft, at, Input::Tick);
    assert!(!waits_for(&raft).contains(&Awaited::Tick));
}

// The bug: a machine that has slept wakes up to a list of complaints about what comes in a moment.
#[test]
fn a_machine_that_has_slept_is_given_a_timeout_to_report() {
    let (mut raft, now) = leads_alone();
    propose(&mut raft, now);
    let seq = raft.status().persisted.next();
    let woken = now.after(Duration::from_secs(3600));
    let mut said = overdue(&propose(&mut raft, woken));
    let soon = woken.after(Duration::from_millis(500));
    said.extend(overdue(&step(&mut raft, soon, Input::Persisted { seq })));
    let later = woken.after(Duration::from_secs(2));
    said.extend(overdue(&step(&mut raft, later, Input::Tick)));
    assert_eq!(said, []);
}

#[test]
fn a_driver_that_reports_everything_hears_nothing() {
    let mut cluster = leader(3, |_| {}, &["a", "b"]);
    for _ in 0..300 {
        cluster.send_heartbeats(1);
        cluster.deliver();
        cluster.tick(2);
        cluster.tick(3);
    }
    let says = |action: &Action| matches!(action, Action::Overdue(_));
    let all = cluster.nodes.values().flat_map(|node| &node.other_actions);
    assert_eq!(all.filter(|action| says(action)).count(), 0);
}

#[test]
fn an_instance_that_has_faulted_waits_for_nothing() {
    let (mut raft, now) = leads_alone();
    propose(&mut raft, now);
    let seq = raft.status().persisted.next();
    step(&mut raft, now, Input::PersistFailed { seq });
    assert_eq!(waits_for(&raft), []);
}
