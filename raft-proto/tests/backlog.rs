//! A service that applies nothing does not let a leader's log grow without bound (the fourth
//! promise: memory is bounded).
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    missing_docs
)]

mod support;

use raft_proto::*;
use support::*;

const COMMAND: usize = 1000;

/// A leader without followers, whose service is stuck.
struct Leader {
    raft: Raft,
    handed_out: Index,
    now: Time,
}

impl Leader {
    fn new(change: impl Fn(&mut Config)) -> Leader {
        let mut config = config(1, 1);
        config.max_uncommitted_bytes = 20_000;
        config.max_entry_bytes = COMMAND as u64;
        config.max_append_bytes = 2000;
        config.max_unapplied_bytes = 5000;
        config.max_backlog_bytes = 50_000;
        change(&mut config);
        let raft = Raft::new(config, Recovered::default()).unwrap();
        let handed_out = Index(0);
        let now = Time::ZERO;
        let mut leader = Leader {
            raft,
            handed_out,
            now,
        };
        while leader.raft.role() != RoleKind::Leader {
            leader.input(Input::Tick);
            leader.now = leader.now.after(HEARTBEAT);
        }
        leader
    }

    fn input(&mut self, input: Input) -> Vec<Action> {
        let at = self.now;
        let actions = self.raft.step(Event { at, input });
        for action in &actions {
            match action {
                Action::Persist(write) => {
                    self.input(Input::Persisted { seq: write.seq });
                }
                Action::Apply { entries } => {
                    self.handed_out = entries.last_id().unwrap().index;
                }
                _ => {}
            }
        }
        actions
    }

    fn propose(&mut self) -> Result<Proposal, ProposeError> {
        let id = RequestId(1);
        let commands = Commands::from(bytes::Bytes::from(vec![b'x'; COMMAND]));
        let actions = self.input(Input::Propose { id, commands });
        let outcome = |action: &Action| match action {
            Action::Proposed { outcome, .. } => Some(*outcome),
            _ => None,
        };
        actions.iter().find_map(outcome).unwrap()
    }
}

// The bug: committed entries that the service never applies are not counted anywhere.
#[test]
fn a_leader_whose_service_is_stuck_takes_a_bounded_number_of_bytes_and_says_why() {
    let mut leader = Leader::new(|_| {});
    let entry = COMMAND as u64 + ENTRY_OVERHEAD;
    let mut taken = 0;
    let error = loop {
        match leader.propose() {
            Ok(_) => taken += entry,
            Err(error) => break error,
        }
        assert!(taken < 1_000_000, "commands are taken without a bound");
    };
    let limit = 50_000;
    assert!(taken <= limit && taken + entry > limit, "{taken}");
    let (waiting, wanted) = (taken, entry);
    let expected = ProposeError::TooManyUnapplied {
        waiting,
        wanted,
        limit,
    };
    assert_eq!(error, expected);
    assert_eq!(leader.raft.status().unapplied_bytes, taken);
    // As the service goes on, so does the leader.
    let index = leader.handed_out;
    leader.input(Input::Applied { index });
    assert_eq!(
        leader.raft.status().unapplied_bytes,
        taken - index.0 * entry
    );
    for _ in 0..index.0 {
        leader.propose().unwrap();
    }
    leader.propose().unwrap_err();
}

#[test]
fn a_service_that_applies_everything_leaves_nothing_behind() {
    let mut leader = Leader::new(|_| {});
    for _ in 0..1000 {
        leader.propose().unwrap();
        let index = leader.handed_out;
        leader.input(Input::Applied { index });
    }
    assert_eq!(leader.raft.status().unapplied_bytes, 0);
}

#[test]
fn a_bound_below_that_of_uncommitted_bytes_counts_as_that() {
    let mut leader = Leader::new(|config| config.max_backlog_bytes = 1);
    let entry = COMMAND as u64 + ENTRY_OVERHEAD;
    let taken = (0..100).take_while(|_| leader.propose().is_ok()).count();
    assert_eq!(taken as u64, 20_000 / entry);
}

// What earlier terms left is only committed with an entry of this term.
#[test]
fn the_first_command_of_a_term_is_taken_whatever_earlier_terms_left() {
    let mut cluster = Cluster::with(1, |config| config.max_entry_bytes = 1000);
    cluster.campaign(1);
    for _ in 0..10 {
        cluster.propose(1, &"x".repeat(1000)).unwrap();
    }
    let config = &mut cluster.node(1).config;
    (config.max_append_bytes, config.max_unapplied_bytes) = (1100, 1100);
    (config.max_uncommitted_bytes, config.max_backlog_bytes) = (1100, 1100);
    cluster.restart(1);
    cluster.campaign(1);
    assert_eq!(
        cluster.raft(1).status().unapplied_bytes,
        10 * (1000 + ENTRY_OVERHEAD)
    );
    cluster.propose(1, "y").unwrap();
    assert_eq!(cluster.applied(1).len(), 11);
    cluster.propose(1, "z").unwrap();
}
