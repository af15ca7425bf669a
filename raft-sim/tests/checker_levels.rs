//! The checker of release levels fires on what breaks them, and on nothing else.
#![allow(clippy::unwrap_used, clippy::panic)]

use core::time::Duration;
use raft_proto::{
    Action, ClusterId, Config, EntriesBuilder, EntryId, EntryKind, Event, Fault, Index, Input,
    Level, Member, Membership, NodeId, Raft, Recovered, RoleKind, Start, Time,
};
use raft_sim::checker::{LevelBroken, Levels, Violation};
use raft_sim::release::in_newer_layout;

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const OLDER: Level = Level::ZERO;
const NEWER: Level = Level::of_service(1);

fn node(id: NodeId, level: Level) -> Raft {
    let mut config = Config::new(ClusterId(7), id, Start::voters([id]), 1);
    config.level = level;
    Raft::new(config, Recovered::default()).unwrap()
}

/// n1 at this level, which leads itself.
fn leader(level: Level) -> Raft {
    let mut raft = node(N1, level);
    raft.step(Event {
        at: Time::ZERO,
        input: Input::Tick,
    });
    let mut inputs = vec![Input::Tick];
    let at = Time::from_epoch(Duration::from_secs(9));
    while let Some(input) = inputs.pop() {
        for action in raft.step(Event { at, input }) {
            if let Action::Persist(write) = action {
                inputs.push(Input::Persisted { seq: write.seq });
            }
        }
    }
    assert_eq!(raft.role(), RoleKind::Leader);
    raft
}

/// A checker of these nodes, which have started.
fn checker(nodes: &[&Raft]) -> Levels {
    let mut levels = Levels::default();
    nodes.iter().for_each(|raft| levels.started(raft));
    levels
}

fn changed(level: Level) -> Action {
    let members = [N1, N2].map(Member::voter);
    Action::MembershipChanged {
        index: Index(2),
        membership: Membership::of(members).with_level(level),
    }
}

fn broken(result: Result<(), Violation>) -> LevelBroken {
    match result {
        Err(Violation::Level(broken)) => broken,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_leader_raises_the_level_to_what_each_member_has_ever_read() {
    let leader = leader(NEWER);
    let mut levels = checker(&[&leader, &node(N2, OLDER)]);
    let expected = LevelBroken::RaisedBeyond {
        leader: N1,
        level: NEWER,
        member: N2,
        read: OLDER,
    };
    assert_eq!(broken(levels.actions(&leader, &[changed(NEWER)])), expected);
    // It read that once. What became of it then, the leader cannot know.
    let mut levels = checker(&[&leader, &node(N2, NEWER), &node(N2, OLDER)]);
    assert_eq!(levels.actions(&leader, &[changed(NEWER)]), Ok(()));
}

#[test]
fn a_node_uses_no_configuration_that_it_does_not_read() {
    let older = node(N2, OLDER);
    let mut levels = checker(&[&node(N1, NEWER), &older]);
    let expected = LevelBroken::BeyondItself {
        node: N2,
        own: OLDER,
        level: NEWER,
    };
    assert_eq!(broken(levels.actions(&older, &[changed(NEWER)])), expected);
    assert_eq!(levels.actions(&older, &[changed(OLDER)]), Ok(()));
}

#[test]
fn a_node_stops_only_for_a_level_that_it_does_not_read() {
    let stops = |raft: &Raft| {
        let reason = Fault::LevelTooLow {
            needed: NEWER,
            own: raft.config().level,
        };
        checker(&[&node(N1, NEWER), raft]).actions(raft, &[Action::Faulted { reason }])
    };
    assert_eq!(stops(&node(N2, OLDER)), Ok(()));
    let expected = LevelBroken::StoppedInVain {
        node: N2,
        own: NEWER,
        needed: NEWER,
    };
    assert_eq!(broken(stops(&node(N2, NEWER))), expected);
}

#[test]
fn a_command_in_the_newer_layout_comes_after_the_level_that_allows_it() {
    let apply = |raft: &Raft, payload: bytes::Bytes| {
        let mut entries = EntriesBuilder::new();
        let id = EntryId::new(1, 1);
        entries.push(id, EntryKind::Command, payload).unwrap();
        let entries = entries.finish();
        checker(&[&node(N1, NEWER), raft]).actions(raft, &[Action::Apply { entries }])
    };
    let newer = in_newer_layout(b"command");
    for own in [OLDER, NEWER] {
        let expected = LevelBroken::Unreadable {
            node: N2,
            own,
            level: OLDER,
            index: Index(1),
        };
        assert_eq!(broken(apply(&node(N2, own), newer.clone())), expected);
        assert_eq!(apply(&node(N2, own), "command".into()), Ok(()));
    }
}
