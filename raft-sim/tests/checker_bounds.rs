//! The checker of bounds notices what a node holds beyond a limit that was lowered while it runs.
//! A core that keeps to its limits is given the answers of one that does not.
#![allow(clippy::expect_used)]

use bytes::Bytes;
use raft_proto::{
    Action, ClusterId, Commands, Config, ENTRY_OVERHEAD, Entries, EntriesBuilder, EntryId,
    EntryKind, Event, Index, Input, Member, NodeId, PeerState, Proposal, Raft, Recovered,
    RequestId, RoleKind, Start, Time,
};
use raft_sim::checker::bounds::LOOK_EVERY;
use raft_sim::checker::pacing::MOST;
use raft_sim::checker::{Bounds, OutOfBounds, Pacing};
use std::time::Duration;

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);

fn event(at: u64, input: Input) -> Event {
    let at = Time::from_epoch(Duration::from_millis(at));
    Event { at, input }
}

/// The only voter, which leads and has a learner.
fn leader(change: impl FnOnce(&mut Config)) -> Raft {
    let members = vec![Member::voter(N1), Member::learner(N2)];
    let mut config = Config::new(ClusterId(7), N1, Start::Bootstrap { members }, 1);
    change(&mut config);
    let mut raft = Raft::new(config, Recovered::default()).expect("valid");
    for at in [0, 2_000] {
        let mut actions = raft.step(event(at, Input::Tick));
        while let Some(action) = actions.pop() {
            if let Action::Persist(write) = action {
                actions.extend(raft.step(event(at, Input::Persisted { seq: write.seq })));
            }
        }
    }
    assert_eq!(raft.role(), RoleKind::Leader);
    raft
}

/// The core changes its settings, and the checker sees it.
fn reconfigure(raft: &mut Raft, checker: &mut Bounds, change: impl FnOnce(&mut Config)) {
    let mut config = raft.config().clone();
    change(&mut config);
    let (id, config) = (RequestId(1), Box::new(config));
    let event = event(2_000, Input::Reconfigure { id, config });
    checker.event(raft, &event);
    let actions = raft.step(event);
    assert!(matches!(
        actions[..],
        [
            Action::Reconfigured {
                outcome: Ok(()),
                ..
            },
            ..
        ]
    ));
    assert_eq!(checker.actions(raft, &actions), Ok(()));
}

fn propose(payload: &'static str) -> Event {
    let commands = Commands::from(Bytes::from_static(payload.as_bytes()));
    let id = RequestId(2);
    event(2_000, Input::Propose { id, commands })
}

fn accepted() -> Action {
    let first = EntryId::new(2, 1);
    Action::Proposed {
        id: RequestId(2),
        outcome: Ok(Proposal { first, count: 1 }),
    }
}

fn entries(first: u64, payloads: &[&'static str]) -> Entries {
    let mut builder = EntriesBuilder::new();
    for (index, payload) in (first..).zip(payloads) {
        let payload = Bytes::from_static(payload.as_bytes());
        let pushed = builder.push(EntryId::new(index, 1), EntryKind::Command, payload);
        pushed.expect("in order");
    }
    builder.finish()
}

fn handed_out(first: u64, payloads: &[&'static str]) -> Action {
    let entries = entries(first, payloads);
    Action::Apply { entries }
}

#[test]
fn a_wider_window_of_before_is_allowed_until_it_has_drained() {
    let (mut raft, mut checker) = (leader(|_| {}), Bounds::default());
    assert_eq!(checker.window(&raft), 64);
    reconfigure(&mut raft, &mut checker, |config| {
        config.max_inflight_appends = 3
    });
    assert_eq!(checker.window(&raft), 64, "64 may be on their way");
    for _ in 0..LOOK_EVERY {
        let event = event(2_000, Input::Tick);
        checker.event(&raft, &event);
        let actions = raft.step(event);
        assert_eq!(checker.actions(&raft, &actions), Ok(()));
    }
    assert_eq!(checker.window(&raft), 3, "none was on its way");
}

#[test]
fn fires_on_a_proposal_that_is_accepted_beyond_a_lowered_limit() {
    let mut raft = leader(|config| config.max_entry_bytes = 100);
    let mut checker = Bounds::default();
    for _ in 0..6 {
        raft.step(propose("twenty bytes in each"));
    }
    let waiting = raft.uncommitted_bytes();
    assert_eq!(waiting, 6 * (20 + ENTRY_OVERHEAD));
    checker.event(&raft, &propose("twenty bytes in each"));
    assert_eq!(checker.actions(&raft, &[accepted()]), Ok(()));
    let most = 100 + ENTRY_OVERHEAD;
    assert!(waiting > most);
    reconfigure(&mut raft, &mut checker, |config| {
        config.max_append_bytes = most;
        config.max_inflight_bytes = most;
        config.max_uncommitted_bytes = most;
    });
    checker.event(&raft, &propose("one more"));
    let broken = OutOfBounds::TooManyUncommitted {
        node: N1,
        bytes: waiting,
        most,
    };
    assert_eq!(checker.actions(&raft, &[accepted()]), Err(broken));
}

#[test]
fn fires_on_entries_that_are_handed_out_before_there_is_room() {
    let most = 100 + ENTRY_OVERHEAD;
    let raft = leader(|config| {
        config.max_entry_bytes = 100;
        config.max_append_bytes = most;
        config.max_unapplied_bytes = most;
    });
    let mut checker = Bounds::default();
    let long = "more than a hundred bytes: one such entry may be handed out alone, or else it never could, \
        but nothing beside it";
    checker.event(&raft, &event(2_000, Input::Tick));
    assert_eq!(checker.actions(&raft, &[handed_out(1, &[long])]), Ok(()));
    let applied = event(2_000, Input::Applied { index: Index(1) });
    checker.event(&raft, &applied);
    assert_eq!(
        checker.actions(&raft, &[handed_out(2, &["a", "b"])]),
        Ok(())
    );
    checker.event(&raft, &event(2_000, Input::Tick));
    let broken = checker.actions(&raft, &[handed_out(4, &[long])]);
    let bytes = 2 * (1 + ENTRY_OVERHEAD) + long.len() as u64 + ENTRY_OVERHEAD;
    let node = N1;
    assert_eq!(
        broken,
        Err(OutOfBounds::TooManyHandedOut { node, bytes, most })
    );
}

#[test]
fn fires_on_a_leader_that_sends_one_append_at_a_time_for_ever() {
    let mut raft = leader(|_| {});
    for _ in 0..3 {
        raft.step(propose("one that waits"));
    }
    let mut peer = raft.peers().next().expect("the learner");
    peer.state = PeerState::Replicate { inflight: 1 };
    peer.next_index = raft.last_log().index;
    let mut checker = Pacing::default();
    for _ in 0..MOST {
        assert_eq!(checker.look(&raft, &peer), Ok(()));
        peer.match_index = peer.match_index.next();
    }
    // All that waits is sent: there is nothing to hold back, and the count begins anew.
    let mut sent = peer;
    sent.next_index = raft.last_log().index.next();
    let mut sound = Pacing::default();
    for _ in 0..2 * MOST {
        assert_eq!(sound.look(&raft, &sent), Ok(()));
        sent.match_index = sent.match_index.next();
    }
    let broken = OutOfBounds::HeldBack {
        leader: N1,
        peer: N2,
        acknowledgements: MOST,
    };
    assert_eq!(checker.look(&raft, &peer), Err(broken));
}
