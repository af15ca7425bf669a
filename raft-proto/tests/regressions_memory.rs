//! Defects once found in the core that concern what it keeps and how it answers its driver.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::wildcard_enum_match_arm)]

mod support;
use raft_proto::*;
use support::*;

/// equal logs, unequal `Raft`.
#[test]
fn a_checkpoint_restores_an_equal_state() {
    let mut c = Cluster::new(1);
    c.campaign(1);
    c.propose(1, "a").unwrap();
    c.propose(1, "b").unwrap();
    let r = c.raft(1);
    assert!(Raft::from_checkpoint(&r.checkpoint()).unwrap() == *r);
}

/// a hostile append that spans the base panics.
#[test]
fn an_append_across_the_base_with_other_terms_is_rejected() {
    let mut c = Cluster::new(3);
    c.node(1).stored = Recovered {
        identity: Some(identity(1, [1, 2, 3])),
        hard_state: HardState {
            term: Term(5),
            voted_for: None,
        },
        snapshot: Some(SnapshotMeta {
            id: SnapshotId {
                last: EntryId::new(10, 5),
                size: 4,
                checksum: 1,
            },
            membership: Membership::new([NodeId(1), NodeId(2), NodeId(3)]),
        }),
        entries: Entries::EMPTY,
        applied: None,
    };
    c.restart(1);
    let message = Message::AppendEntries(AppendEntries {
        term: Term(9),
        prev_log: EntryId::new(8, 1),
        leader_commit: Index(8),
        entries: entries(&[(9, 1, "e"), (10, 1, "e"), (11, 2, "e")]),
        round: 0,
    });
    let actions = c.deliver_packet(Packet {
        from: NodeId(2),
        to: NodeId(1),
        message,
    });
    assert!(
        actions.iter().any(|a| matches!(a, Action::Rejected { .. })),
        "{actions:?}"
    );
}

/// what is compacted is freed.
#[test]
fn compaction_frees_recovered_payloads() {
    struct Big(#[allow(dead_code)] std::sync::Arc<()>, [u8; 8]);
    impl AsRef<[u8]> for Big {
        fn as_ref(&self) -> &[u8] {
            &self.1
        }
    }
    let alive = std::sync::Arc::new(());
    let mut b = EntriesBuilder::new();
    for i in 1..=10_000 {
        b.push(
            EntryId::new(i, 1),
            EntryKind::Command,
            bytes::Bytes::from_owner(Big(alive.clone(), [0; 8])),
        )
        .unwrap();
    }
    let stored = Recovered {
        identity: Some(identity(1, [1])),
        hard_state: HardState {
            term: Term(1),
            voted_for: None,
        },
        snapshot: None,
        entries: b.finish(),
        applied: Some(Index(9_999)),
    };
    let mut config = config(1, 1);
    config.trailing_entries = 10;
    let mut raft = Raft::new(config, stored).unwrap();
    raft.step(Event {
        at: Time::ZERO,
        input: Input::Tick,
    });
    let snapshot = SnapshotId {
        last: EntryId::new(9_999, 1),
        size: 1,
        checksum: 0,
    };
    let a = raft.step(Event {
        at: Time::ZERO,
        input: Input::Compact { snapshot },
    });
    drop(a);
    let kept = std::sync::Arc::strong_count(&alive) - 1;
    assert!(
        kept <= 1024 + 20,
        "{kept} payloads are still in memory, {} entries in the log",
        raft.last_log().index.0 - raft.log_base().index.0
    );
}

/// a tick a nanosecond early ends all ticks for a driver that disarms its timer.
#[test]
fn an_early_tick_names_the_deadline_again() {
    let mut raft = Raft::new(config(1, 3), Recovered::default()).unwrap();
    let a = raft.step(Event {
        at: Time::ZERO,
        input: Input::Tick,
    });
    let at = deadline(&a);
    let a = raft.step(Event {
        at: Time(at.0 - 1),
        input: Input::Tick,
    });
    assert!(a.iter().any(|a| matches!(a, Action::WakeAt(_))), "{a:?}");
}

/// a batch that can never be accepted is told to wait.
#[test]
fn a_batch_over_the_whole_budget_is_told_so() {
    let mut c = Cluster::with(1, |config| {
        config.max_entry_bytes = 84;
        config.max_uncommitted_bytes = 100;
    });
    c.campaign(1);
    let commands: Vec<bytes::Bytes> = (0..10).map(|_| "0123456789".into()).collect();
    let a = c.input(
        1,
        Input::Propose {
            id: RequestId(1),
            commands: commands.into(),
        },
    );
    assert!(
        !a.iter().any(|a| matches!(
            a,
            Action::Proposed {
                outcome: Err(ProposeError::TooManyUncommitted { waiting: 0, .. }),
                ..
            }
        )),
        "{a:?}"
    );
}
