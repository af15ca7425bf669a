//! Start and restart: a node starts from every prefix of its writes, and from nothing else.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, missing_docs)]

mod support;

use raft_proto::*;
use std::time::Duration;
use support::*;

fn recovered(term: u64, list: &[(u64, u64, &str)]) -> Recovered {
    Recovered {
        identity: Some(identity(1, [1, 2, 3])),
        hard_state: HardState {
            term: Term(term),
            voted_for: None,
        },
        entries: entries(list),
        ..Recovered::default()
    }
}

fn with_snapshot(term: u64, last: EntryId, list: &[(u64, u64, &str)]) -> Recovered {
    Recovered {
        snapshot: Some(snapshot_meta(last, b"state")),
        ..recovered(term, list)
    }
}

fn error(config: &Config, recovered: Recovered) -> RecoveryError {
    match Raft::new(config.clone(), recovered).unwrap_err() {
        StartError::Recovery(error) => error,
        error => unreachable!("the config is valid: {error}"),
    }
}

/// A follower with a slow disk, after all its writes have completed one by one.
struct FollowerHistory {
    config: Config,
    writes: Vec<Write>,
    /// The entries that were acknowledged after the first 0, 1, 2 ... writes.
    acknowledged: Vec<Vec<EntryId>>,
}

/// The follower grants votes, receives entries, deletes a conflict, compacts and installs a
/// snapshot.
fn follower_history() -> FollowerHistory {
    let mut cluster = Cluster::with(3, |config| config.trailing_entries = 1);
    cluster.node(1).disk = Disk::Manual;
    let meta = snapshot_meta(EntryId::new(9, 4), b"state");
    let mut writes = Vec::new();
    let mut acknowledged = vec![Vec::new()];
    let abc = [(1, 1, "a"), (2, 1, "b"), (3, 1, "c")];
    let xy = [(3, 2, "x"), (4, 2, "y")];
    let inputs = [
        (2, request_vote(1, EntryId::ZERO)),
        (2, append(1, EntryId::ZERO, &abc, 2)),
        (3, append(2, EntryId::new(2, 1), &xy, 4)),
        (3, append(2, EntryId::new(4, 2), &[(5, 2, "z")], 4)),
        (2, request_vote(4, EntryId::new(9, 3))),
        (2, append(4, EntryId::new(5, 2), &[(6, 4, "p")], 6)),
        (2, chunk(4, &meta, 0, b"state")),
        (2, append(4, EntryId::new(9, 4), &[(10, 4, "q")], 9)),
    ];
    let mut known: Vec<EntryId> = Vec::new();
    for (at, (from, message)) in inputs.into_iter().enumerate() {
        cluster.receive(1, from, message);
        if at == 3 {
            cluster.compact(1, 4, b"abxy");
        }
        while let Some(write) = cluster.node(1).waiting.first().cloned() {
            writes.push(write);
            cluster.sync(1, 1);
            let durable = cluster.raft(1).durable_index();
            let sent = cluster.sent_by(1).into_iter();
            let acknowledgements = sent.filter_map(|(_, message)| acknowledged_index(&message));
            for index in acknowledgements.collect::<Vec<_>>() {
                assert!(index <= durable);
                known.retain(|id| id.index < index);
                let term = cluster.raft(1).term_at(index).unwrap();
                known.push(EntryId { index, term });
            }
            acknowledged.push(known.clone());
        }
    }
    FollowerHistory {
        config: cluster.raft(1).config().clone(),
        writes,
        acknowledged,
    }
}

fn acknowledged_index(message: &Message) -> Option<Index> {
    match message {
        Message::AppendEntriesReply(reply) => match reply.outcome {
            AppendOutcome::Accepted { match_index, .. } => Some(match_index),
            AppendOutcome::Rejected { .. } | AppendOutcome::Lost { .. } | AppendOutcome::Stale => {
                None
            }
        },
        _ => None,
    }
}

#[test]
fn a_node_starts_from_every_prefix_of_its_writes_and_has_all_that_it_acknowledged() {
    let FollowerHistory {
        config,
        writes,
        acknowledged,
    } = follower_history();
    assert!(writes.len() >= 8, "{}", writes.len());
    let mut stored = Recovered::default();
    for count in 0..=writes.len() {
        if count > 0 {
            store(&mut stored, &writes[count - 1]);
        }
        let raft = Raft::new(config.clone(), stored.clone()).unwrap();
        assert_eq!(raft.term(), stored.hard_state.term);
        assert_eq!(raft.voted_for(), stored.hard_state.voted_for);
        let snapshot = stored.snapshot.as_ref().map(|meta| meta.id.last.index);
        assert_eq!(raft.commit_index(), snapshot.unwrap_or(Index(0)));
        assert_eq!(raft.handed_out_index(), raft.commit_index());
        // No entry acknowledged by then is missing, unless a later leader has overwritten it.
        for id in acknowledged[..=count].last().unwrap() {
            let covered = id.index <= raft.log_base().index;
            let held = raft.term_at(id.index).is_some_and(|term| term >= id.term);
            assert!(covered || held, "write {count}: {id}");
        }
    }
    assert_eq!(stored.snapshot.unwrap().id.last, EntryId::new(9, 4));
}

#[test]
fn every_write_has_the_next_seq_and_only_the_first_stores_the_identity() {
    let history = follower_history();
    for (at, write) in history.writes.iter().enumerate() {
        assert_eq!(write.seq, Seq(at as u64 + 1));
        assert_eq!(
            write.identity.as_deref(),
            (at == 0).then_some(identity(1, [1, 2, 3])).as_ref()
        );
    }
}

#[test]
fn a_restarted_node_only_names_a_deadline_and_waits_a_full_election_timeout() {
    let config = config(1, 3);
    let mut raft = Raft::new(config.clone(), recovered(3, &[(1, 1, "a")])).unwrap();
    let at = Time::from_epoch(Duration::from_secs(1000));
    let actions = raft.step(Event {
        at,
        input: Input::Tick,
    });
    let [Action::WakeAt(due)] = actions[..] else {
        unreachable!("only a deadline: {actions:?}");
    };
    assert!(due >= at.after(config.election_timeout_min));
    assert_eq!(raft.role(), RoleKind::Follower);
    assert_eq!(raft.leader(), None);
}

#[test]
fn state_without_an_identity_is_refused() {
    let config = config(1, 3);
    for mut state in [
        recovered(1, &[]),
        recovered(1, &[(1, 1, "a")]),
        with_snapshot(1, EntryId::new(3, 1), &[]),
    ] {
        state.identity = None;
        assert_eq!(error(&config, state), RecoveryError::NoIdentity);
    }
}

#[test]
fn the_storage_of_another_cluster_group_or_node_is_refused() {
    let configured = config(1, 3);
    let (found, configured_id) = (ClusterId(8), ClusterId(7));
    let mut state = recovered(1, &[]);
    state.identity.as_mut().unwrap().cluster_id = found;
    let expected = RecoveryError::OtherCluster {
        found,
        configured: configured_id,
    };
    assert_eq!(error(&configured, state), expected);
    let mut state = recovered(1, &[]);
    state.identity.as_mut().unwrap().group_id = GroupId(3);
    let expected = RecoveryError::OtherGroup {
        found: GroupId(3),
        configured: GroupId(0),
    };
    assert_eq!(error(&configured, state), expected);
    let expected = RecoveryError::OtherNode {
        found: NodeId(1),
        configured: NodeId(2),
    };
    assert_eq!(error(&config(2, 3), recovered(1, &[])), expected);
}

#[test]
fn a_gap_after_the_snapshot_is_refused() {
    let config = config(1, 3);
    let (snapshot, first) = (Index(3), Index(5));
    let state = with_snapshot(1, EntryId::new(3, 1), &[(5, 1, "e")]);
    let expected = RecoveryError::GapAfterSnapshot { snapshot, first };
    assert_eq!(error(&config, state), expected);
    let (snapshot, first) = (Index(0), Index(2));
    let expected = RecoveryError::GapAfterSnapshot { snapshot, first };
    assert_eq!(error(&config, recovered(1, &[(2, 1, "b")])), expected);
}

// A log whose terms fall cannot be built: a storage reads its log with the builder, which refuses
// them. After a snapshot they can fall, and the start is refused.
#[test]
fn a_log_whose_terms_fall_is_refused() {
    let mut builder = EntriesBuilder::new();
    let (last, pushed) = (EntryId::new(1, 2), EntryId::new(2, 1));
    builder.push(last, EntryKind::Command, "a".into()).unwrap();
    let falls = builder.push(pushed, EntryKind::Command, "b".into());
    assert_eq!(falls, Err(NotConsecutive { last, pushed }));
    let (entry, snapshot) = (EntryId::new(4, 1), EntryId::new(3, 2));
    let state = with_snapshot(2, snapshot, &[(4, 1, "d")]);
    let expected = RecoveryError::TermsContradictSnapshot { entry, snapshot };
    assert_eq!(error(&config(1, 3), state), expected);
}

#[test]
fn a_term_below_the_last_entrys_or_the_snapshots_is_refused() {
    let config = config(1, 3);
    let (term, last) = (Term(1), EntryId::new(2, 2));
    let expected = RecoveryError::TermBelowLog { term, last };
    let log = [(1, 1, "a"), (2, 2, "b")];
    assert_eq!(error(&config, recovered(1, &log)), expected);
    assert_eq!(error(&config, with_snapshot(1, last, &[])), expected);
}

#[test]
fn an_impossible_entry_id_is_refused() {
    let config = config(1, 3);
    let no_term = error(&config, recovered(1, &[(1, 0, "a")]));
    assert_eq!(no_term, RecoveryError::InvalidEntryId(EntryId::new(1, 0)));
    for last in [
        EntryId::new(0, 1),
        EntryId::new(1, 0),
        EntryId::new(u64::MAX, 1),
    ] {
        let found = error(&config, with_snapshot(1, last, &[]));
        assert_eq!(found, RecoveryError::InvalidEntryId(last));
    }
}

#[test]
fn a_snapshot_without_voters_is_refused() {
    let mut state = with_snapshot(1, EntryId::new(3, 1), &[]);
    state.snapshot.as_mut().unwrap().membership = Membership::default();
    assert_eq!(
        error(&config(1, 3), state),
        RecoveryError::DamagedMembership
    );
}

/// A membership as a storage decodes it, which [`Membership::new`] has not put in order.
fn stored_membership(voters: &[u64]) -> Membership {
    let voters = voters.iter().copied().map(NodeId);
    let voters: Vec<Member> = voters.map(Member::voter).collect();
    let stored = (voters, None::<HistoryId>, Level::ZERO);
    postcard::from_bytes(&postcard::to_allocvec(&stored).unwrap()).unwrap()
}

#[test]
fn a_membership_out_of_order_is_refused() {
    let ordered = stored_membership(&[1, 2, 3]);
    assert_eq!(ordered, Membership::new([NodeId(1), NodeId(2), NodeId(3)]));
    for voters in [&[1, 3, 2][..], &[1, 2, 2, 3], &[3, 2, 1]] {
        let mut state = recovered(1, &[(1, 1, "a")]);
        state.identity.as_mut().unwrap().bootstrap = stored_membership(voters);
        let found = error(&config(1, 3), state);
        assert_eq!(found, RecoveryError::DamagedMembership, "{voters:?}");
        let mut state = with_snapshot(1, EntryId::new(3, 1), &[]);
        state.snapshot.as_mut().unwrap().membership = stored_membership(voters);
        let found = error(&config(1, 3), state);
        assert_eq!(found, RecoveryError::DamagedMembership, "{voters:?}");
    }
}

#[test]
fn an_applied_index_beyond_the_log_is_refused() {
    let mut state = recovered(1, &[(1, 1, "a")]);
    state.applied = Some(Index(2));
    let (applied, last) = (Index(2), Index(1));
    let expected = RecoveryError::AppliedBeyondLog { applied, last };
    assert_eq!(error(&config(1, 3), state), expected);
}

#[test]
fn a_log_that_lacks_the_snapshots_last_entry_is_dropped() {
    let last = EntryId::new(3, 2);
    for log in [
        &[(1, 1, "a"), (2, 1, "b")][..],
        &[(1, 1, "a"), (2, 1, "b"), (3, 1, "c"), (4, 1, "d")],
    ] {
        let raft = Raft::new(config(1, 3), with_snapshot(2, last, log)).unwrap();
        assert_eq!((raft.log_base(), raft.last_log()), (last, last));
        assert_eq!(raft.commit_index(), Index(3));
    }
    // A log that holds it is kept, with the entries before it that are there.
    let log = [(2, 1, "b"), (3, 2, "c"), (4, 2, "d")];
    let raft = Raft::new(config(1, 3), with_snapshot(2, last, &log)).unwrap();
    assert_eq!(raft.last_log(), EntryId::new(4, 2));
    assert_eq!(raft.term_at(Index(3)), Some(Term(2)));
}

#[test]
fn recovered_membership_wins_over_the_config() {
    let raft = Raft::new(config(1, 5), recovered(1, &[])).unwrap();
    let voters = |raft: &Raft| raft.membership().voters().collect::<Vec<_>>();
    assert_eq!(voters(&raft), [NodeId(1), NodeId(2), NodeId(3)]);
    let mut state = with_snapshot(1, EntryId::new(3, 1), &[]);
    state.snapshot.as_mut().unwrap().membership = Membership::new([NodeId(1), NodeId(9)]);
    let raft = Raft::new(config(1, 5), state).unwrap();
    assert_eq!(voters(&raft), [NodeId(1), NodeId(9)]);
}

#[test]
fn a_joiner_without_a_configuration_never_campaigns_and_its_first_write_stores_its_identity() {
    let mut cluster = Cluster::with(1, |config| config.start = Start::Join);
    for _ in 0..100 {
        cluster.wait(Duration::from_secs(10));
        assert!(cluster.tick(1).is_empty());
    }
    assert_eq!(cluster.raft(1).term(), Term(0));
    cluster.receive(1, 2, append(1, EntryId::ZERO, &[(1, 1, "a")], 1));
    assert_eq!(cluster.applied(1), ["a"]);
    let stored = cluster.node(1).stored.identity.clone().unwrap();
    assert_eq!(stored.node_id, NodeId(1));
    assert!(stored.bootstrap.is_empty());
    cluster.restart(1);
    cluster.wait(Duration::from_secs(10));
    cluster.tick(1);
    assert_eq!(cluster.raft(1).role(), RoleKind::Follower);
    // A snapshot brings the configuration.
    let meta = snapshot_meta(EntryId::new(9, 1), b"state");
    cluster.receive(1, 2, chunk(1, &meta, 0, b"state"));
    cluster.campaign(1);
    assert_eq!(cluster.raft(1).role(), RoleKind::Candidate);
}

#[test]
fn a_durable_service_is_handed_the_entries_after_its_applied_index() {
    let mut cluster = Cluster::new(3);
    let log = [(1, 1, "a"), (2, 1, "b"), (3, 1, "c"), (4, 1, "d")];
    cluster.receive(1, 2, append(1, EntryId::ZERO, &log, 3));
    cluster.node(1).stored.applied = Some(Index(2));
    cluster.restart(1);
    assert_eq!(cluster.raft(1).commit_index(), Index(2));
    assert_eq!(cluster.raft(1).applied_index(), Index(2));
    cluster.receive(1, 2, heartbeat(1, EntryId::new(4, 1), 4));
    assert_eq!(cluster.applied(1), ["c", "d"]);
    // If the snapshot is ahead of the service, the driver has loaded it before the start.
    let mut state = with_snapshot(1, EntryId::new(3, 1), &[]);
    state.applied = Some(Index(1));
    let raft = Raft::new(config(1, 3), state).unwrap();
    assert_eq!(raft.applied_index(), Index(3));
}

#[test]
fn a_current_term_above_the_greatest_is_refused() {
    let beyond = Term::MAX.next();
    let found = error(&config(1, 3), recovered(beyond.0, &[]));
    assert_eq!(found, RecoveryError::TermOutOfRange(beyond));
}

#[test]
fn a_node_in_the_greatest_term_does_not_campaign() {
    let mut raft = Raft::new(config(1, 3), recovered(Term::MAX.0, &[])).unwrap();
    let mut at = Time::ZERO;
    for _ in 0..3 {
        let input = Input::Tick;
        let actions = raft.step(Event { at, input });
        let [Action::WakeAt(next)] = actions[..] else {
            unreachable!("{actions:?}");
        };
        assert!(next > at);
        at = next;
    }
    assert_eq!(raft.term(), Term::MAX);
    assert_eq!(raft.role(), RoleKind::Follower);
}

#[test]
fn a_joiner_does_not_campaign_at_the_greatest_time() {
    let mut config = config(1, 3);
    config.start = Start::Join;
    let mut raft = Raft::new(config, Recovered::default()).unwrap();
    let (at, input) = (Time::NEVER, Input::Tick);
    assert_eq!(raft.step(Event { at, input }), []);
    assert_eq!(raft.role(), RoleKind::Follower);
}
