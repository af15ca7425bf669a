//! Elections and step-downs that an operator asks for (`manual_election.rs`): they need the same
//! votes as any other, and leases hold.
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

const ID: RequestId = RequestId(41);

fn campaign(cluster: &mut Cluster, id: u64) -> Result<Term, CampaignError> {
    let actions = cluster.input(id, Input::Campaign { id: ID });
    let outcome = |action: &Action| match action {
        Action::Campaigning { id: ID, outcome } => Some(*outcome),
        _ => None,
    };
    actions.iter().find_map(outcome).unwrap()
}

fn step_down(cluster: &mut Cluster, id: u64) -> Result<Term, StepDownError> {
    let actions = cluster.input(id, Input::StepDown { id: ID });
    let outcome = |action: &Action| match action {
        Action::SteppedDown { id: ID, outcome } => Some(*outcome),
        _ => None,
    };
    actions.iter().find_map(outcome).unwrap()
}

fn with_check_quorum(config: &mut Config) {
    config.check_quorum = CheckQuorum::On;
}

/// n1 leads three nodes with CheckQuorum that started long ago, and all hear it.
fn settled() -> Cluster {
    let mut cluster = Cluster::with(3, with_check_quorum);
    cluster.wait(Duration::from_secs(1));
    cluster.elect(1);
    cluster.propose(1, "a").unwrap();
    cluster.deliver();
    cluster.send_heartbeats(1);
    cluster.deliver();
    cluster
}

#[test]
fn a_node_that_is_asked_to_campaigns_before_its_election_timeout() {
    let mut cluster = Cluster::new(3);
    assert_eq!(campaign(&mut cluster, 2), Ok(Term(1)));
    assert_eq!(cluster.raft(2).role(), RoleKind::Candidate);
    cluster.deliver();
    assert_eq!(cluster.raft(2).role(), RoleKind::Leader);
    assert_eq!(cluster.now, Time::ZERO);
}

// Section 5.2: the requests leave when term and vote are on disk.
#[test]
fn its_requests_wait_for_the_disk_as_those_of_any_election() {
    let mut cluster = Cluster::new(3);
    cluster.node(2).disk = Disk::Manual;
    assert_eq!(campaign(&mut cluster, 2), Ok(Term(1)));
    assert!(cluster.queue.is_empty());
    assert_eq!(campaign(&mut cluster, 2), Err(CampaignError::UnderWay));
    assert_eq!(cluster.raft(2).term(), Term(1));
    cluster.sync(2, 1);
    assert_eq!(cluster.queue.len(), 2);
}

// Thesis 9.6: it begins no term that it could not win.
#[test]
fn with_pre_vote_it_asks_first_and_disturbs_nobody() {
    let mut cluster = Cluster::with(3, |config| config.pre_vote = PreVoting::On);
    cluster.node(3).stored.hard_state = HardState {
        term: Term(0),
        voted_for: None,
    };
    assert_eq!(campaign(&mut cluster, 2), Ok(Term(1)));
    assert_eq!(cluster.raft(2).role(), RoleKind::PreCandidate);
    assert_eq!(cluster.raft(2).term(), Term::default());
    cluster.deliver_if(|packet| packet.message.kind() != MessageKind::PreVoteReply);
    assert_eq!(cluster.raft(2).term(), Term::default());
    assert_eq!(campaign(&mut cluster, 2), Ok(Term(1)), "it asks again");
    cluster.deliver();
    assert_eq!(cluster.raft(2).role(), RoleKind::Leader);
}

#[test]
fn a_leader_a_learner_and_a_node_without_a_configuration_do_not_campaign() {
    let mut cluster = Cluster::with(3, |config| {
        if let Start::Bootstrap { members } = &mut config.start {
            members[2] = Member::learner(NodeId(3));
        }
    });
    let mut joiner = config(4, 1);
    joiner.start = Start::Join;
    cluster.add(joiner);
    cluster.elect(1);
    let term = cluster.raft(1).term();
    assert_eq!(campaign(&mut cluster, 1), Err(CampaignError::IsLeader));
    assert_eq!(campaign(&mut cluster, 3), Err(CampaignError::NotVoter));
    assert_eq!(campaign(&mut cluster, 4), Err(CampaignError::NotVoter));
    assert_eq!(cluster.raft(1).term(), term);
    assert!(cluster.queue.is_empty());
}

// Thesis 4.2.3 and 6.4.1. The bug: n2 votes for itself though it has just heard n1, and n3 hears n1
// no more. With both votes n2 leads, while n1 serves reads under its lease.
#[test]
fn a_node_that_hears_a_leader_does_not_campaign_where_leases_may_rest_on_that() {
    let mut cluster = settled();
    let leader = Some(NodeId(1));
    assert_eq!(
        campaign(&mut cluster, 2),
        Err(CampaignError::HearsLeader { leader })
    );
    assert_eq!(cluster.raft(2).role(), RoleKind::Follower);
    cluster.wait(Duration::from_millis(500));
    assert_eq!(campaign(&mut cluster, 2), Ok(Term(2)));
}

#[test]
fn without_check_quorum_contact_with_a_leader_is_no_hindrance() {
    let mut cluster = leader(3, |_| {}, &["a"]);
    assert_eq!(campaign(&mut cluster, 2), Ok(Term(2)));
    cluster.deliver();
    assert_eq!(cluster.raft(2).role(), RoleKind::Leader);
    assert_eq!(cluster.raft(1).role(), RoleKind::Follower);
}

// It may have heard a leader just before it stopped, and has forgotten that.
#[test]
fn a_node_that_has_just_started_does_not_campaign() {
    let mut cluster = settled();
    cluster.restart(2);
    assert_eq!(campaign(&mut cluster, 2), Err(CampaignError::JustStarted));
    cluster.wait(Duration::from_millis(500));
    assert_eq!(campaign(&mut cluster, 2), Ok(Term(2)));
}

#[test]
fn a_leader_that_steps_down_is_a_follower_of_its_term_and_keeps_its_vote() {
    let mut cluster = settled();
    assert_eq!(step_down(&mut cluster, 1), Ok(Term(1)));
    let raft = cluster.raft(1);
    assert_eq!(
        (raft.role(), raft.term()),
        (RoleKind::Follower, Term(1)),
        "{raft:?}"
    );
    assert_eq!((raft.leader(), raft.voted_for()), (None, Some(NodeId(1))));
    let refused = Err(ProposeError::NotLeader { leader: None });
    assert_eq!(cluster.propose(1, "b"), refused);
    let leader = None;
    assert_eq!(
        step_down(&mut cluster, 1),
        Err(StepDownError::NotLeader { leader })
    );
}

// What waits at the leader is refused in the same step, by id.
#[test]
fn reads_and_a_transfer_that_wait_are_refused_when_the_leader_steps_down() {
    let mut cluster = settled();
    let (read, transfer) = (RequestId(7), RequestId(8));
    let mode = ReadMode::Quorum;
    cluster.input(1, Input::Read { id: read, mode });
    cluster.propose(1, "not everywhere").unwrap();
    let target = Some(NodeId(3));
    cluster.input(
        1,
        Input::TransferLeadership {
            id: transfer,
            target,
        },
    );
    let actions = cluster.input(1, Input::StepDown { id: ID });
    assert!(actions.contains(&Action::Read {
        id: read,
        outcome: Err(ReadError::LeaderChanged)
    }));
    assert!(actions.contains(&Action::Transferred {
        id: transfer,
        outcome: Err(TransferError::LeadershipLost)
    }));
}

// An entry that was acknowledged stays, and the next leader commits it.
#[test]
fn what_a_leader_had_appended_before_it_stepped_down_may_still_be_committed() {
    let mut cluster = settled();
    let proposal = cluster.propose(1, "b").unwrap();
    step_down(&mut cluster, 1).unwrap();
    cluster.deliver();
    cluster.wait(Duration::from_secs(1));
    assert!(campaign(&mut cluster, 2).is_ok());
    cluster.deliver();
    assert_eq!(cluster.raft(2).role(), RoleKind::Leader);
    cluster.propose(2, "c").unwrap();
    cluster.deliver();
    assert_eq!(
        cluster.raft(2).term_at(proposal.first.index),
        Some(proposal.first.term)
    );
    assert_eq!(cluster.applied(2), ["a", "b", "c"]);
}

// Thesis 6.4.1: only the leader serves under its lease, so that it ends with the leadership.
#[test]
fn a_leader_that_steps_down_serves_nothing_under_its_lease_any_more() {
    let mut cluster = Cluster::with(3, |config| {
        with_check_quorum(config);
        config.lease = Lease::On { max_drift_ppm: 0 };
    });
    cluster.wait(Duration::from_secs(1));
    cluster.elect(1);
    cluster.propose(1, "a").unwrap();
    cluster.deliver();
    for _ in 0..2 {
        cluster.send_heartbeats(1);
        cluster.deliver();
    }
    assert!(matches!(cluster.raft(1).lease(), LeaseStatus::Until(_)));
    step_down(&mut cluster, 1).unwrap();
    assert_eq!(cluster.raft(1).lease(), LeaseStatus::NotLeader);
    let (id, mode) = (RequestId(9), ReadMode::Lease);
    let leader = None;
    let refused = Action::Read {
        id,
        outcome: Err(ReadError::NotLeader { leader }),
    };
    assert!(
        cluster
            .input(1, Input::Read { id, mode })
            .contains(&refused)
    );
}

#[test]
fn an_instance_that_has_faulted_answers_both() {
    let mut cluster = settled();
    cluster.node(1).disk = Disk::Manual;
    cluster.propose(1, "b").unwrap();
    let seq = cluster.node(1).waiting[0].seq;
    cluster.input(1, Input::PersistFailed { seq });
    let fault = Fault::WriteFailed { seq };
    assert_eq!(
        campaign(&mut cluster, 1),
        Err(CampaignError::Faulted(fault))
    );
    assert_eq!(
        step_down(&mut cluster, 1),
        Err(StepDownError::Faulted(fault))
    );
}

#[test]
fn a_trace_tells_what_was_asked_and_what_came_of_it() {
    let node_at_term = trace::NodeAtTerm {
        node: NodeId(1),
        term: Term(4),
    };
    let input = |input: &Input| trace::input(node_at_term, input).to_string();
    let action = |action: &Action| trace::action(node_at_term, action).to_string();
    assert_eq!(input(&Input::Campaign { id: ID }), "n1@4 campaign r41");
    assert_eq!(input(&Input::StepDown { id: ID }), "n1@4 step down r41");
    let outcome = Ok(Term(5));
    let campaigns = Action::Campaigning { id: ID, outcome };
    assert_eq!(action(&campaigns), "n1@4 campaign r41 in term 5");
    let outcome = Err(StepDownError::NotLeader { leader: None });
    let refused = Action::SteppedDown { id: ID, outcome };
    assert_eq!(
        action(&refused),
        "n1@4 step down r41 refused: not the leader; no leader is known"
    );
}
