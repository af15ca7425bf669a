//! Mistakes beyond Figure 2 that implementations of Raft have made, one test each.
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

/// The outcomes of reads.
fn read_outcomes(actions: &[Action]) -> Vec<Result<Index, ReadError>> {
    let answer = |action: &Action| match action {
        Action::Read { outcome, .. } => Some(*outcome),
        _ => None,
    };
    actions.iter().filter_map(answer).collect()
}

fn change(cluster: &mut Cluster, id: u64, node: NodeChange) -> Result<EntryId, ChangeError> {
    let change = MembershipChange {
        nodes: vec![node],
        readiness: Readiness::Forced,
        expected: None,
    };
    propose_change(cluster, id, change)
}

fn propose_change(
    cluster: &mut Cluster,
    id: u64,
    change: MembershipChange,
) -> Result<EntryId, ChangeError> {
    let input = Input::ChangeMembership {
        id: RequestId(1),
        change,
    };
    let actions = cluster.input(id, input);
    let outcome = |action: &Action| match action {
        Action::ChangeProposed { outcome, .. } => Some(*outcome),
        _ => None,
    };
    actions.iter().find_map(outcome).unwrap()
}

fn set(member: Member) -> NodeChange {
    NodeChange::Set(member)
}

#[test]
fn a_granted_pre_vote_does_not_count_as_a_vote() {
    let mut cluster = Cluster::with(5, |config| config.pre_vote = PreVoting::On);
    cluster.wait(Duration::from_secs(2));
    cluster.tick(1);
    let granted = |term| {
        Message::PreVoteReply(PreVoteReply {
            term: Term(0),
            asked: Term(term),
            vote: Vote::Granted,
            dismissal: None,
            lineage: Lineage::Unknown,
        })
    };
    cluster.receive(1, 2, granted(1));
    cluster.receive(1, 3, granted(1));
    assert_eq!(cluster.raft(1).role(), RoleKind::Candidate);
    // Grants of the pre-vote arrive late, and repeatedly.
    for voter in [2, 3, 4, 5] {
        cluster.receive(1, voter, granted(1));
    }
    assert_eq!(cluster.raft(1).role(), RoleKind::Candidate);
    cluster.receive(1, 2, vote(1, Vote::Granted));
    cluster.receive(1, 3, vote(1, Vote::Granted));
    assert_eq!(cluster.raft(1).role(), RoleKind::Leader);
}

#[test]
fn a_pre_vote_granted_twice_by_one_node_counts_once() {
    let mut cluster = Cluster::with(5, |config| config.pre_vote = PreVoting::On);
    cluster.wait(Duration::from_secs(2));
    cluster.tick(1);
    for _ in 0..5 {
        let reply = PreVoteReply {
            term: Term(0),
            asked: Term(1),
            vote: Vote::Granted,
            dismissal: None,
            lineage: Lineage::Unknown,
        };
        cluster.receive(1, 2, Message::PreVoteReply(reply));
    }
    assert_eq!(cluster.raft(1).role(), RoleKind::PreCandidate);
}

#[test]
fn a_pre_vote_changes_nothing_at_the_voter() {
    let mut cluster = Cluster::new(3);
    let before = cluster.raft(1).status();
    let request = PreVote {
        term: Term(7),
        last_log: EntryId::new(3, 2),
        campaign: Campaign::Election,
        lineage: Lineage::Unknown,
    };
    let actions = cluster.receive(1, 2, Message::PreVote(request));
    assert!(matches!(&actions[..], [Action::Send { .. }]), "{actions:?}");
    assert_eq!(cluster.raft(1).status(), before);
}

#[test]
fn a_snapshot_holds_the_members_as_of_its_last_entry_and_no_change_that_may_still_be_deleted() {
    let mut cluster = leader(3, |_| {}, &["a"]);
    let before = cluster.raft(1).membership().clone();
    change(&mut cluster, 1, NodeChange::Remove(NodeId(3))).unwrap();
    cluster.take_packets();
    cluster.compact(1, 1, b"a");
    let snapshot = cluster.raft(1).snapshot().unwrap();
    assert_eq!(snapshot.membership, before);
    // Another leader overwrites the change. The members are those of the snapshot again.
    cluster.receive(1, 2, append(2, EntryId::new(1, 1), &[(2, 2, "b")], 1));
    assert_eq!(*cluster.raft(1).membership(), before);
}

#[test]
fn a_restart_finds_the_members_in_the_log() {
    let mut cluster = leader(3, |_| {}, &["a"]);
    change(
        &mut cluster,
        1,
        set(Member::learner(NodeId(4)).with_context("there")),
    )
    .unwrap();
    let members = cluster.raft(1).membership().clone();
    assert_eq!(&members.get(NodeId(4)).unwrap().context[..], b"there");
    cluster.restart(1);
    assert_eq!(*cluster.raft(1).membership(), members);
}

#[test]
fn no_change_begins_before_the_leader_has_committed_in_its_term() {
    for noop in [LeaderNoop::Off, LeaderNoop::On] {
        let mut cluster = Cluster::with(4, |config| config.leader_noop = noop);
        cluster.campaign(1);
        cluster.deliver_if(|packet| !matches!(packet.message, Message::AppendEntriesReply(_)));
        assert_eq!(cluster.raft(1).role(), RoleKind::Leader);
        let refused = change(&mut cluster, 1, NodeChange::Remove(NodeId(4)));
        assert_eq!(refused, Err(ChangeError::NoCommitInTerm), "{noop:?}");
    }
}

#[test]
fn a_joint_majority_is_a_majority_of_the_old_and_of_the_new_voters() {
    // {1,2,3} to {3,4,5}: 3, 4 and 5 are a majority of all five, but not of the old three.
    let mut cluster = leader(3, |_| {}, &["a"]);
    let nodes = [4, 5].map(|id| set(Member::voter(NodeId(id))));
    let removed = [1, 2].map(|id| NodeChange::Remove(NodeId(id)));
    let change = MembershipChange {
        nodes: nodes.into_iter().chain(removed).collect(),
        readiness: Readiness::Forced,
        expected: None,
    };
    let joint = propose_change(&mut cluster, 1, change).unwrap();
    assert!(cluster.raft(1).membership().is_joint());
    cluster.take_packets();
    for voter in [4, 5] {
        let Message::AppendEntriesReply(mut reply) = accepted(1, joint.index.0) else {
            unreachable!();
        };
        reply.round = 1; // It began with the change that added them.
        cluster.receive(1, voter, Message::AppendEntriesReply(reply));
    }
    assert_eq!(cluster.raft(1).commit_index(), joint.index.previous());
    // With n3, n1 has a majority of the old three, too.
    cluster.receive(1, 3, accepted(1, joint.index.0));
    assert_eq!(cluster.raft(1).commit_index(), joint.index);
    // The commit ends the joint configuration.
    assert!(!cluster.raft(1).membership().is_joint());
}

#[test]
fn the_next_leader_completes_a_joint_change() {
    let mut cluster = leader(3, |_| {}, &["a"]);
    let nodes = [2, 3].map(|id| NodeChange::Demote(NodeId(id)));
    let change = MembershipChange {
        nodes: nodes.to_vec(),
        readiness: Readiness::Forced,
        expected: None,
    };
    propose_change(&mut cluster, 1, change).unwrap();
    // All have the joint configuration. The leader dies before it is committed.
    cluster.deliver_if(|packet| packet.from == NodeId(1));
    cluster.take_packets();
    assert!(cluster.raft(2).membership().is_joint());
    // n2 wins and completes the change, which makes it no voter.
    cluster.campaign(2);
    cluster.deliver();
    let members = cluster.raft(1).membership();
    assert!(!members.is_joint());
    assert_eq!(members.voters().collect::<Vec<_>>(), [NodeId(1)]);
}

#[test]
fn a_read_waits_for_the_first_commit_of_the_term_and_is_refused_after_an_election_timeout() {
    let mut cluster = leader(3, |_| {}, &["a"]);
    cluster.elect(2);
    let (id, mode) = (RequestId(9), ReadMode::Quorum);
    let mut actions = cluster.input(2, Input::Read { id, mode });
    cluster.deliver();
    assert_eq!(read_outcomes(&actions), []);
    assert_eq!(cluster.raft(2).commit_index(), Index(1));
    // It does not wait for ever.
    for _ in 0..30 {
        cluster.send_heartbeats(2);
        cluster.deliver();
        actions.extend(std::mem::take(&mut cluster.node(2).other_actions));
    }
    assert!(read_outcomes(&actions).contains(&Err(ReadError::NoCommitInTerm)));
}

#[test]
fn a_lease_read_at_a_leader_that_hears_no_majority_is_refused() {
    let mut cluster = Cluster::with(3, with_leases);
    cluster.wait(Duration::from_secs(1));
    for id in 1..=3 {
        cluster.tick(id);
    }
    cluster.deliver();
    let is_leader = |id: &u64| cluster.raft(*id).role() == RoleKind::Leader;
    let leader = (1..=3).find(is_leader).unwrap_or_else(|| {
        cluster.elect(1);
        1
    });
    cluster.propose(leader, "a").unwrap();
    cluster.deliver();
    cluster.send_heartbeats(leader);
    cluster.deliver();
    let (id, mode) = (RequestId(9), ReadMode::Lease);
    let served = cluster.input(leader, Input::Read { id, mode });
    assert_eq!(read_outcomes(&served), [Ok(Index(1))]);
    // As far as the leader knows it still leads, but its followers may have elected another.
    cluster.wait(Duration::from_millis(500));
    let refused = cluster.input(leader, Input::Read { id, mode });
    assert_eq!(read_outcomes(&refused), [Err(ReadError::NoLease)]);
}

#[test]
fn learners_remain_learners_after_an_election() {
    let mut cluster = leader(3, |_| {}, &["a"]);
    change(&mut cluster, 1, NodeChange::Demote(NodeId(3))).unwrap();
    cluster.deliver();
    cluster.elect(2);
    cluster.propose(2, "b").unwrap();
    cluster.deliver();
    let learners: Vec<NodeId> = cluster.raft(2).membership().learners().collect();
    assert_eq!(learners, [NodeId(3)]);
    assert_eq!(cluster.applied(3), ["a", "b"]);
}

#[test]
fn a_transfer_to_a_dead_node_blocks_commands_for_an_election_timeout_only() {
    let mut cluster = leader(3, |_| {}, &["a"]);
    let (id, target) = (RequestId(9), Some(NodeId(3)));
    cluster.input(1, Input::TransferLeadership { id, target });
    let target = NodeId(3);
    let blocked = cluster.propose(1, "b");
    assert_eq!(blocked, Err(ProposeError::Transferring { target }));
    let timeout = cluster.raft(1).config().election_timeout_max;
    cluster.wait(timeout);
    cluster.tick(1);
    cluster.take_packets();
    assert!(cluster.propose(1, "b").is_ok());
}

#[test]
fn a_silent_follower_is_not_sent_the_snapshot_again_with_every_tick() {
    let mut cluster = Cluster::with(3, |config| config.trailing_entries = 0);
    cluster.elect(1);
    for at in 1..=5 {
        cluster.propose(1, &at.to_string()).unwrap();
        cluster.deliver_if(|packet| packet.to != NodeId(3));
    }
    cluster.compact(1, 5, b"state");
    // n3 answers once, which shows that it needs the snapshot, and then no more.
    cluster.send_heartbeats(1);
    cluster.deliver_if(|packet| !matches!(packet.message, Message::InstallSnapshot(_)));
    let mut chunks = 0;
    for _ in 0..20 {
        cluster.send_heartbeats(1);
        let sent = cluster.sent_by(1);
        let is_chunk = |(to, message): &&(u64, Message)| {
            *to == 3 && matches!(message, Message::InstallSnapshot(_))
        };
        chunks += sent.iter().filter(is_chunk).count();
    }
    assert!(chunks <= 1, "a chunk was sent {chunks} times");
}

#[test]
fn the_last_voter_cannot_be_removed() {
    let mut cluster = leader(1, |_| {}, &["a"]);
    for node in [NodeChange::Remove(NodeId(1)), NodeChange::Demote(NodeId(1))] {
        let refused = change(&mut cluster, 1, node);
        assert_eq!(refused, Err(ChangeError::NoVoters));
    }
}

#[test]
fn a_forged_match_index_commits_nothing() {
    let mut cluster = leader(3, |_| {}, &["a"]);
    cluster.propose(1, "b").unwrap();
    cluster.take_packets();
    for index in [3, 1 << 62, u64::MAX] {
        let actions = cluster.receive(1, 2, accepted(1, index));
        assert!(rejection(&actions).is_some(), "{index}");
    }
    assert_eq!(cluster.raft(1).commit_index(), Index(1));
}

#[test]
fn an_append_over_applied_entries_is_a_safety_violation() {
    let mut cluster = leader(3, |_| {}, &["a"]);
    cluster.send_heartbeats(1);
    cluster.deliver();
    assert_eq!(cluster.applied(2), ["a"]);
    let actions = cluster.receive(2, 3, append(2, EntryId::ZERO, &[(1, 2, "z")], 1));
    assert!(rejection(&actions).unwrap().is_safety_violation());
    assert_eq!(cluster.applied(2), ["a"]);
}

#[test]
fn an_answer_to_a_round_never_begun_is_rejected_and_a_stale_answer_confirms_no_round() {
    let mut cluster = leader(3, |_| {}, &["a"]);
    let (id, mode) = (RequestId(9), ReadMode::Quorum);
    cluster.input(1, Input::Read { id, mode });
    cluster.take_packets();
    let reply = |outcome, round| {
        Message::AppendEntriesReply(AppendEntriesReply {
            term: Term(1),
            outcome,
            round,
            limits: None,
        })
    };
    let good = AppendOutcome::Accepted {
        match_index: Index(1),
        received: Index(1),
    };
    let (round, last) = (2, 1);
    let found = rejection(&cluster.receive(1, 2, reply(good, round)));
    assert_eq!(found, Some(Rejection::RoundNeverBegun { round, last }));
    // An answer to a request of an earlier term says nothing about this term's rounds.
    let stale = cluster.receive(1, 2, reply(AppendOutcome::Stale, 1));
    assert_eq!(read_outcomes(&stale), []);
    let confirmed = cluster.receive(1, 2, reply(good, 1));
    assert_eq!(read_outcomes(&confirmed), [Ok(Index(1))]);
}

// The bug: a candidate of low priority waits longer than the others each time, so that they disturb
// it for ever, although a majority votes for no other candidate.
#[test]
fn a_node_of_low_priority_waits_longer_once_and_then_as_long_as_the_others() {
    let member = |id: u64, priority| Member::voter(NodeId(id)).with_priority(priority);
    let members = vec![member(1, 0), member(2, 1), member(3, 2)];
    for seed in 0..32 {
        let start = Start::Bootstrap {
            members: members.clone(),
        };
        let config = Config::new(ClusterId(7), NodeId(1), start, seed);
        let (least, most) = (config.election_timeout_min, config.election_timeout_max);
        let mut raft = Raft::new(config, Recovered::default()).unwrap();
        let mut deadline_after_tick = |at| {
            let actions = raft.step(Event {
                at,
                input: Input::Tick,
            });
            deadline(&actions)
        };
        let first = deadline_after_tick(Time::ZERO);
        assert!(
            first.since(Time::ZERO) >= 2 * most - least,
            "first the others may campaign"
        );
        let second = deadline_after_tick(first);
        assert!(
            second.since(first) < most,
            "then it waits as long as the others"
        );
    }
}

fn with_leases(config: &mut Config) {
    config.check_quorum = CheckQuorum::On;
    config.lease = Lease::On { max_drift_ppm: 0 };
}

// The bug: a voter learns a higher term from a late answer, and forgets that it must ignore
// candidates for the leader of the term before. Another leader is elected while the lease lasts.
#[test]
fn a_voter_that_hears_a_leader_ignores_candidates_also_after_it_learns_a_later_term() {
    let mut cluster = Cluster::with(3, with_leases);
    cluster.wait(Duration::from_secs(2));
    cluster.campaign(2); // its requests are lost
    cluster.take_packets();
    cluster.receive(2, 1, heartbeat(1, EntryId::ZERO, 0));
    assert_eq!(cluster.raft(2).leader(), Some(NodeId(1)));
    let late = Message::PreVoteReply(PreVoteReply {
        term: Term(6),
        asked: Term(1),
        vote: Vote::Refused,
        dismissal: None,
        lineage: Lineage::Unknown,
    });
    cluster.receive(2, 3, late);
    assert_eq!(cluster.raft(2).term(), Term(6));
    cluster.receive(2, 3, request_vote(6, EntryId::ZERO));
    assert_eq!(cluster.raft(2).voted_for(), None);
    cluster.wait(Duration::from_millis(500));
    cluster.receive(2, 3, request_vote(6, EntryId::ZERO));
    assert_eq!(cluster.raft(2).voted_for(), Some(NodeId(3)));
}

// The bug: a node that starts in the candidate's term votes, though it may have heard the leader
// of an earlier term just before it stopped.
#[test]
fn a_node_that_starts_grants_no_vote_in_its_own_term_until_a_lease_has_run_out() {
    let mut cluster = Cluster::with(3, with_leases);
    cluster.wait(Duration::from_secs(2));
    cluster.tick(2);
    let knows_more = append(6, EntryId::new(9, 1), &[], 0);
    cluster.receive(2, 3, knows_more);
    assert_eq!(cluster.raft(2).term(), Term(6));
    cluster.restart(2);
    cluster.tick(2);
    cluster.receive(2, 3, request_vote(6, EntryId::ZERO));
    assert_eq!(cluster.raft(2).voted_for(), None);
    cluster.wait(Duration::from_millis(500));
    cluster.receive(2, 3, request_vote(6, EntryId::ZERO));
    assert_eq!(cluster.raft(2).voted_for(), Some(NodeId(3)));
}
