//! The checker of settings fires where a node's answer to a change is not true, and where something
//! changes on which others rely; limits bind what comes after the change.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use bytes::Bytes;
use core::time::Duration;
use raft_proto::{
    Action, ClusterId, Commands, Config, EntryId, Event, FixedSetting, Index, Input, NodeId,
    Proposal, Raft, ReadMode, ReconfigureError, Recovered, RequestId, Start, Time,
};
use raft_sim::checker::{Bounds, OutOfBounds, SettingsBroken, SettingsInForce, Violation};

const N1: NodeId = NodeId(1);

fn config() -> Config {
    let mut config = Config::new(ClusterId(7), N1, Start::voters([N1, NodeId(2)]), 1);
    config.max_waiting_reads = 4;
    config
}

fn node(config: &Config) -> Raft {
    Raft::new(config.clone(), Recovered::default()).expect("a new node")
}

fn event(input: Input) -> Event {
    let at = Time::from_epoch(Duration::ZERO);
    Event { at, input }
}

fn asks(config: &Config) -> Event {
    event(Input::Reconfigure {
        id: RequestId(1),
        config: Box::new(config.clone()),
    })
}

/// The verdict on a node that is asked for the settings `next`, answers so, and has `after`.
fn verdict(
    next: &Config,
    outcome: Result<(), ReconfigureError>,
    after: &Config,
) -> Result<(), SettingsBroken> {
    let mut checker = SettingsInForce::default();
    checker.event(&node(&config()), &asks(next));
    let id = RequestId(1);
    let found = checker.actions(&node(after), &[Action::Reconfigured { id, outcome }]);
    found.map_err(|violation| {
        let Violation::Settings(broken) = violation else {
            panic!("{violation}");
        };
        broken
    })
}

fn with(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = config();
    change(&mut config);
    config
}

#[test]
fn what_is_accepted_is_in_force_and_what_is_refused_is_not() {
    let faster = with(|config| config.heartbeat_interval = Duration::from_millis(20));
    let no_limit = with(|config| config.max_inflight_bytes = 0);
    let (node, error) = (N1, ReconfigureError::Invalid);
    assert_eq!(verdict(&faster, Ok(()), &faster), Ok(()));
    let broken = SettingsBroken::AcceptedNotInForce { node };
    assert_eq!(verdict(&faster, Ok(()), &config()), Err(broken));
    assert_eq!(verdict(&no_limit, Err(error), &config()), Ok(()));
    let broken = SettingsBroken::RefusedInForce { node, error };
    assert_eq!(verdict(&no_limit, Err(error), &faster), Err(broken));
    let broken = SettingsBroken::RefusedForNoReason { node, error };
    assert_eq!(verdict(&faster, Err(error), &config()), Err(broken));
}

#[test]
fn what_others_rely_on_does_not_change() {
    let least = with(|config| config.election_timeout_min = Duration::from_millis(400));
    let found = verdict(&least, Ok(()), &least);
    let fixed = matches!(found, Err(SettingsBroken::FixedChanged { node: N1, .. }));
    assert!(fixed, "{found:?}");
    let error = ReconfigureError::Fixed(FixedSetting::ElectionTimeoutMin);
    assert_eq!(verdict(&least, Err(error), &config()), Ok(()));
}

#[test]
fn the_core_passes() {
    let mut raft = node(&config());
    let mut checker = SettingsInForce::default();
    let changes = [
        with(|config| config.max_waiting_reads = 2),
        with(|config| config.lease_promise = Some(Duration::from_millis(300))),
        with(|config| config.max_inflight_bytes = 0),
    ];
    for next in changes {
        let event = asks(&next);
        checker.event(&raft, &event);
        let actions = raft.step(event);
        assert_eq!(checker.actions(&raft, &actions), Ok(()));
    }
}

#[test]
fn reads_that_wait_go_on_under_a_lower_limit_and_no_more_are_added() {
    let (wide, narrow) = (config(), with(|config| config.max_waiting_reads = 2));
    let mut checker = Bounds::default();
    let mut read = |config: &Config, answers: &[Action]| {
        let (id, mode) = (RequestId(1), ReadMode::Quorum);
        let raft = node(config);
        checker.event(&raft, &event(Input::Read { id, mode }));
        checker.actions(&raft, answers)
    };
    for _ in 0..3 {
        assert_eq!(read(&wide, &[]), Ok(()));
    }
    let answer = Action::Read {
        id: RequestId(1),
        outcome: Ok(Index(1)),
    };
    assert_eq!(read(&narrow, std::slice::from_ref(&answer)), Ok(()));
    let found = read(&narrow, &[]);
    let broken = matches!(found, Err(OutOfBounds::TooManyReads { most: 2, .. }));
    assert!(broken, "{found:?}");
}

#[test]
fn a_command_that_is_longer_than_the_limit_is_not_accepted() {
    let mut checker = Bounds::default();
    let mut propose = |limit| {
        let raft = node(&with(|config| config.max_entry_bytes = limit));
        let id = RequestId(1);
        let commands = Commands::from(Bytes::from(vec![0; 100]));
        checker.event(&raft, &event(Input::Propose { id, commands }));
        let (first, count) = (EntryId::new(1, 1), 1);
        let outcome = Ok(Proposal { first, count });
        checker.actions(&raft, &[Action::Proposed { id, outcome }])
    };
    assert_eq!(propose(100), Ok(()));
    let found = propose(99);
    let broken = matches!(found, Err(OutOfBounds::CommandTooLong { most: 99, .. }));
    assert!(broken, "{found:?}");
}
