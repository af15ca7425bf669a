//! Compaction (section 7): which snapshots of its own service a node accepts, and what it drops
//! from its log.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    missing_docs
)]

mod support;

use raft_proto::*;
use support::*;

fn no_tail(config: &mut Config) {
    config.trailing_entries = 0;
}

#[test]
fn a_compaction_is_accepted_before_applied_is_reported() {
    let mut raft = Raft::new(config(1, 3), Recovered::default()).unwrap();
    let mut step = |input| {
        raft.step(Event {
            at: Time::ZERO,
            input,
        })
    };
    let log = [(1, 1, "a"), (2, 1, "b")];
    let message = append(1, EntryId::ZERO, &log, 2);
    let from = NodeId(2);
    step(Input::Receive {
        from,
        message,
        incarnation: None,
    });
    assert_eq!(handed_out(&step(Input::Persisted { seq: Seq(1) })), [1, 2]);
    let snapshot = snapshot_meta(EntryId::new(2, 1), b"ab").id;
    let actions = step(Input::Compact { snapshot });
    let Action::Persist(write) = &actions[0] else {
        panic!("{actions:?}");
    };
    assert_eq!(write.compact.as_ref().unwrap().snapshot.id, snapshot);
    assert_eq!(refusal(&step(Input::Applied { index: Index(2) })), None);
}

#[test]
fn a_compaction_beyond_what_was_handed_out_is_refused() {
    let mut cluster = follower_in_term_1(Disk::Instant);
    let snapshot = snapshot_meta(EntryId::new(3, 1), b"abc").id;
    let before = cluster.raft(1).clone();
    let actions = cluster.input(1, Input::Compact { snapshot });
    let (index, last) = (Index(3), Index(2));
    assert_eq!(
        refusal(&actions),
        Some(Refusal::NotHandedOut { index, last })
    );
    assert_eq!(*cluster.raft(1), before);
}

#[test]
fn a_compaction_with_another_term_than_the_entrys_is_refused() {
    let mut cluster = follower_in_term_1(Disk::Instant);
    let claimed = EntryId::new(2, 9);
    let snapshot = snapshot_meta(claimed, b"ab").id;
    let before = cluster.raft(1).clone();
    let actions = cluster.input(1, Input::Compact { snapshot });
    let found = EntryId::new(2, 1);
    assert_eq!(
        refusal(&actions),
        Some(Refusal::OtherEntry { claimed, found })
    );
    assert_eq!(*cluster.raft(1), before);
}

#[test]
fn a_stale_compaction_changes_nothing_and_its_snapshot_is_released() {
    let mut cluster = n3_is_behind(no_tail);
    let current = cluster.compact(1, 8, b"eight");
    let base = cluster.raft(1).log_base();
    let stale = snapshot_meta(EntryId::new(8, 1), b"other").id;
    let older = snapshot_meta(EntryId::new(3, 1), b"three").id;
    for snapshot in [stale, older] {
        let actions = cluster.input(1, Input::Compact { snapshot });
        assert_eq!(actions, [Action::ReleaseSnapshot { snapshot }]);
    }
    // The snapshot in use stays in use when it is reported again.
    assert_eq!(cluster.input(1, Input::Compact { snapshot: current }), []);
    assert_eq!(cluster.raft(1).snapshot().unwrap().id, current);
    assert_eq!(cluster.raft(1).log_base(), base);
}

#[test]
fn a_tail_is_kept_for_followers_that_are_a_little_behind() {
    let mut cluster = Cluster::with(3, |config| config.trailing_entries = 3);
    cluster.elect(1);
    for at in 1..=10 {
        cluster.propose(1, &at.to_string()).unwrap();
        cluster.deliver_if(|packet| packet.to != NodeId(3) || at <= 6);
    }
    cluster.compact(1, 9, b"nine");
    assert_eq!(cluster.raft(1).log_base(), EntryId::new(6, 1));
    cluster.restart(2);
    for _ in 0..3 {
        cluster.send_heartbeats(1);
        cluster.deliver();
    }
    assert!(cluster.restored(3).is_empty(), "no snapshot was needed");
    assert_eq!(cluster.applied(3).len(), 10);
    // If the tail may be longer than the log, all of the log is kept.
    let mut cluster = follower_in_term_1(Disk::Instant);
    cluster.compact(1, 2, b"ab");
    assert_eq!(cluster.log(1).len(), 4);
    cluster.restart(1);
    assert_eq!(cluster.log(1).len(), 4);
    assert_eq!(cluster.raft(1).commit_index(), Index(2));
}

#[test]
fn a_compaction_at_a_joiner_without_a_configuration_is_refused() {
    let mut config = config(1, 3);
    config.start = Start::Join;
    let mut raft = Raft::new(config, Recovered::default()).unwrap();
    let mut step = |input| {
        raft.step(Event {
            at: Time::ZERO,
            input,
        })
    };
    let message = append(1, EntryId::ZERO, &[(1, 1, "a")], 1);
    let from = NodeId(2);
    step(Input::Receive {
        from,
        message,
        incarnation: None,
    });
    step(Input::Persisted { seq: Seq(1) });
    let snapshot = snapshot_meta(EntryId::new(1, 1), b"a").id;
    let actions = step(Input::Compact { snapshot });
    assert_eq!(refusal(&actions), Some(Refusal::NoConfiguration));
}
