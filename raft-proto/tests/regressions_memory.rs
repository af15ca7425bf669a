//! Defects once found in the core: in what it keeps in memory, and in how it answers its driver.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(clippy::wildcard_enum_match_arm)]

mod support;

use bytes::Bytes;
use raft_proto::*;
use std::sync::Arc;
use support::*;

// The bug: a node that was restored from its checkpoint is not equal to the original, though their
// logs are.
#[test]
fn a_checkpoint_restores_an_equal_state() {
    let mut cluster = Cluster::new(1);
    cluster.campaign(1);
    cluster.propose(1, "a").unwrap();
    cluster.propose(1, "b").unwrap();
    let raft = cluster.raft(1);
    assert!(Raft::from_checkpoint(&raft.checkpoint()).unwrap() == *raft);
}

// The bug: a hostile append that begins before the log's base and ends after it panics.
#[test]
fn an_append_across_the_base_with_other_terms_is_rejected() {
    let mut cluster = Cluster::new(3);
    cluster.node(1).stored = Recovered {
        identity: Some(identity(1, [1, 2, 3])),
        hard_state: HardState {
            term: Term(5),
            voted_for: None,
        },
        snapshot: Some(snapshot_meta(EntryId::new(10, 5), b"state")),
        ..Recovered::default()
    };
    cluster.restart(1);
    let list = [(9, 1, "e"), (10, 1, "e"), (11, 2, "e")];
    let actions = cluster.receive(1, 2, append(9, EntryId::new(8, 1), &list, 8));
    assert!(rejection(&actions).is_some(), "{actions:?}");
}

/// A payload that can be counted: each one in memory holds the `Arc`.
struct CountedPayload {
    _count: Arc<()>,
    bytes: [u8; 8],
}

impl AsRef<[u8]> for CountedPayload {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

// The bug: a compaction frees no payload that recovery has read.
#[test]
fn compaction_frees_recovered_payloads() {
    let in_memory = Arc::new(());
    let mut entries = EntriesBuilder::new();
    for index in 1..=10_000 {
        let payload = CountedPayload {
            _count: in_memory.clone(),
            bytes: [0; 8],
        };
        let (id, payload) = (EntryId::new(index, 1), Bytes::from_owner(payload));
        entries.push(id, EntryKind::Command, payload).unwrap();
    }
    let stored = Recovered {
        identity: Some(identity(1, [1])),
        hard_state: HardState {
            term: Term(1),
            voted_for: None,
        },
        entries: entries.finish(),
        applied: Some(Index(9_999)),
        ..Recovered::default()
    };
    let mut config = config(1, 1);
    config.trailing_entries = 10;
    let mut raft = Raft::new(config, stored).unwrap();
    let at = Time::ZERO;
    raft.step(Event {
        at,
        input: Input::Tick,
    });
    let snapshot = snapshot_meta(EntryId::new(9_999, 1), b"s").id;
    drop(raft.step(Event {
        at,
        input: Input::Compact { snapshot },
    }));
    let kept = Arc::strong_count(&in_memory) - 1;
    assert!(
        kept <= 1024 + 20,
        "{kept} payloads are still in memory, {} entries in the log",
        raft.last_log().index.0 - raft.log_base().index.0
    );
}

// The bug: a tick that comes a nanosecond early names no deadline, and so ends all ticks of a
// driver whose timer fires once.
#[test]
fn an_early_tick_names_the_deadline_again() {
    let mut raft = Raft::new(config(1, 3), Recovered::default()).unwrap();
    let mut tick = |at| {
        let input = Input::Tick;
        raft.step(Event { at, input })
    };
    let due = deadline(&tick(Time::ZERO));
    let actions = tick(Time(due.0 - 1));
    let names_deadline = |action: &Action| matches!(action, Action::WakeAt(_));
    assert!(actions.iter().any(names_deadline), "{actions:?}");
}

// The bug: the refusal of a batch that can never be accepted says that it must wait.
#[test]
fn a_batch_over_the_limit_of_uncommitted_bytes_is_not_told_to_wait() {
    let mut cluster = Cluster::with(1, |config| {
        config.max_entry_bytes = 84;
        config.max_uncommitted_bytes = 100;
    });
    cluster.campaign(1);
    let commands: Vec<Bytes> = (0..10).map(|_| "0123456789".into()).collect();
    let (id, commands) = (RequestId(1), Commands::from(commands));
    let actions = cluster.input(1, Input::Propose { id, commands });
    let is_told_to_wait = |action: &Action| {
        matches!(
            action,
            Action::Proposed {
                outcome: Err(ProposeError::TooManyUncommitted { waiting: 0, .. }),
                ..
            }
        )
    };
    assert!(!actions.iter().any(is_told_to_wait), "{actions:?}");
}
