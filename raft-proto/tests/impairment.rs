//! A node whose storage has lost entries that it had acknowledged, and says so (`impairment.rs`):
//! it elects nobody that lacks them, and its leader sends them again.
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

/// The storage of a node finds its log damaged after `index`. The node starts with what is left.
fn lose_after(cluster: &mut Cluster, id: u64, index: u64) {
    cluster.node(id).stored.lose_after(Index(index));
    cluster.restart(id);
}

fn impaired(cluster: &Cluster, id: u64) -> Option<EntryId> {
    cluster.raft(id).status().impaired
}

/// n1 has committed three commands with n2 alone. n3 has none of them. n2 has lost two, and n1 is
/// down.
fn only_n2_acknowledged(pre_vote: PreVoting) -> Cluster {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    for command in ["a", "b", "c"] {
        cluster.propose(1, command).unwrap();
        cluster.deliver_if(|packet| packet.to != NodeId(3));
    }
    assert_eq!(cluster.raft(1).commit_index(), Index(3));
    // n3's log is as good as what is left of n2's, and lacks what is committed.
    cluster.receive(3, 1, append(1, EntryId::ZERO, &[(1, 1, "a")], 1));
    cluster.take_packets();
    for id in 2..=3 {
        cluster.node(id).config.pre_vote = pre_vote;
    }
    cluster.restart(3);
    lose_after(&mut cluster, 2, 1);
    assert_eq!(impaired(&cluster, 2), Some(EntryId::new(3, 1)));
    cluster
}

/// n1 is down, and the other nodes go on.
fn run_without_n1(cluster: &mut Cluster) {
    for _ in 0..20 {
        cluster.wait(Duration::from_millis(250));
        for id in 2..=3 {
            cluster.tick(id);
        }
        cluster.deliver_if(without_n1);
    }
}

fn without_n1(packet: &Packet) -> bool {
    packet.to != NodeId(1) && packet.from != NodeId(1)
}

#[test]
fn an_impaired_node_votes_for_nobody_that_may_lack_what_it_has_lost() {
    let mut cluster = only_n2_acknowledged(PreVoting::Off);
    run_without_n1(&mut cluster);
    assert_eq!(cluster.raft(3).role(), RoleKind::Candidate);
    // It has heard of n3's terms.
    assert!(cluster.raft(2).term() > Term(1));
    assert_eq!(cluster.raft(2).voted_for(), None);
}

#[test]
fn an_impaired_node_grants_no_pre_vote() {
    let mut cluster = only_n2_acknowledged(PreVoting::On);
    run_without_n1(&mut cluster);
    assert_eq!(cluster.raft(3).role(), RoleKind::PreCandidate);
    assert_eq!(cluster.raft(3).term(), Term(1));
}

#[test]
fn an_impaired_node_does_not_campaign() {
    for pre_vote in [PreVoting::Off, PreVoting::On] {
        let mut cluster = only_n2_acknowledged(pre_vote);
        for _ in 0..20 {
            cluster.wait(Duration::from_millis(250));
            cluster.tick(2);
            cluster.deliver_if(without_n1);
        }
        assert_eq!(cluster.raft(2).role(), RoleKind::Follower);
        // Not even when its leader asks for it (thesis 3.10).
        let timeout_now = Message::TimeoutNow(TimeoutNow {
            term: Term(1),
            transfer: 1,
        });
        cluster.receive(2, 1, timeout_now);
        cluster.deliver_if(without_n1);
        assert_eq!(cluster.raft(2).role(), RoleKind::Follower);
        assert_eq!(cluster.raft(2).term(), Term(1));
    }
}

#[test]
fn an_impaired_node_that_is_asked_to_campaign_says_why_it_does_not() {
    let mut cluster = only_n2_acknowledged(PreVoting::Off);
    let id = RequestId(7);
    let actions = cluster.input(2, Input::Campaign { id });
    let outcome = Err(CampaignError::Impaired);
    assert!(
        actions.contains(&Action::Campaigning { id, outcome }),
        "{actions:?}"
    );
}

#[test]
fn the_leader_sends_again_what_a_follower_has_lost_in_its_term() {
    let mut cluster = only_n2_acknowledged(PreVoting::Off);
    cluster.send_heartbeats(1);
    cluster.deliver_if(|packet| packet.to != NodeId(3) && packet.from != NodeId(3));
    assert_eq!(cluster.log(2), ["1@1", "2@1", "3@1"]);
    assert_eq!(impaired(&cluster, 2), None);
    assert_eq!(cluster.raft(1).term(), Term(1));
    // Its acknowledgements count as before.
    cluster.propose(1, "d").unwrap();
    cluster.deliver_if(|packet| packet.to != NodeId(3) && packet.from != NodeId(3));
    assert_eq!(cluster.raft(1).commit_index(), Index(4));
    // And so does its vote.
    cluster.campaign(2);
    cluster.deliver_if(without_n1);
    assert_eq!(cluster.raft(2).role(), RoleKind::Leader);
}

#[test]
fn a_follower_that_has_lost_all_its_log_is_sent_a_snapshot() {
    let mut cluster = leader(3, |config| config.trailing_entries = 0, &["a", "b", "c"]);
    cluster.send_heartbeats(1);
    cluster.deliver();
    for id in 1..=2 {
        cluster.compact(id, 2, b"state");
    }
    lose_after(&mut cluster, 2, 1);
    assert_eq!(cluster.log(2), [""; 0]);
    assert_eq!(impaired(&cluster, 2), Some(EntryId::new(3, 1)));
    cluster.send_heartbeats(1);
    cluster.deliver();
    assert_eq!(cluster.log(2), ["3@1"]);
    assert_eq!(impaired(&cluster, 2), None);
    assert_eq!(cluster.raft(2).snapshot().unwrap().id.last.index, Index(2));
}

#[test]
fn a_snapshot_that_covers_all_that_was_lost_ends_it() {
    let mut cluster = leader(3, |config| config.trailing_entries = 0, &["a", "b", "c"]);
    cluster.send_heartbeats(1);
    cluster.deliver();
    cluster.compact(1, 3, b"state");
    lose_after(&mut cluster, 2, 0);
    cluster.send_heartbeats(1);
    cluster.deliver();
    assert_eq!(cluster.raft(2).snapshot().unwrap().id.last.index, Index(3));
    assert_eq!(impaired(&cluster, 2), None);
}

#[test]
fn an_entry_of_a_later_leader_ends_it_although_the_log_is_shorter() {
    // What n2 has lost was never committed: only n2 had it.
    let mut cluster = leader(3, |_| {}, &["a"]);
    let appended = [(2, 1, "b"), (3, 1, "c"), (4, 1, "d")];
    cluster.receive(2, 1, append(1, EntryId::new(1, 1), &appended, 1));
    cluster.take_packets();
    lose_after(&mut cluster, 2, 1);
    cluster.campaign(3);
    cluster.deliver_if(|packet| packet.to != NodeId(2) && packet.from != NodeId(2));
    assert_eq!(cluster.raft(3).role(), RoleKind::Leader);
    cluster.send_heartbeats(3);
    cluster.deliver();
    assert_eq!(impaired(&cluster, 2), Some(EntryId::new(4, 1)));
    cluster.propose(3, "e").unwrap();
    cluster.deliver();
    assert_eq!(cluster.log(2), ["1@1", "2@2"]);
    assert_eq!(impaired(&cluster, 2), None);
    assert_eq!(cluster.node(2).stored.impaired, None);
}

#[test]
fn it_lasts_over_restarts_until_the_log_has_caught_up_on_disk() {
    let mut cluster = only_n2_acknowledged(PreVoting::Off);
    cluster.restart(2);
    assert_eq!(impaired(&cluster, 2), Some(EntryId::new(3, 1)));
    // One of the two entries comes.
    let one = append(1, EntryId::new(1, 1), &[(2, 1, "b")], 3);
    cluster.receive(2, 1, one);
    cluster.restart(2);
    assert_eq!(impaired(&cluster, 2), Some(EntryId::new(3, 1)));
    // The other one comes, but a power failure takes it.
    cluster.node(2).disk = Disk::Manual;
    let other = append(1, EntryId::new(2, 1), &[(3, 1, "c")], 3);
    cluster.receive(2, 1, other.clone());
    cluster.restart(2);
    assert_eq!(impaired(&cluster, 2), Some(EntryId::new(3, 1)));
    cluster.receive(2, 1, other);
    cluster.sync(2, 1);
    cluster.restart(2);
    assert_eq!(impaired(&cluster, 2), None);
}

#[test]
fn a_vote_after_it_waits_for_the_entries_that_ended_it() {
    let mut cluster = only_n2_acknowledged(PreVoting::Off);
    cluster.node(2).disk = Disk::Manual;
    let missing = [(2, 1, "b"), (3, 1, "c")];
    cluster.receive(2, 1, append(1, EntryId::new(1, 1), &missing, 3));
    cluster.take_packets();
    cluster.receive(2, 3, request_vote(2, EntryId::new(4, 1)));
    assert!(cluster.take_packets().is_empty());
    // The entries, and then the vote.
    cluster.sync(2, 1);
    cluster.take_packets();
    cluster.sync(2, 1);
    let packets = cluster.take_packets();
    let voted = packets.iter().any(|packet| {
        matches!(packet.message, Message::RequestVoteReply(reply) if reply.vote == Vote::Granted)
    });
    assert!(voted, "{packets:?}");
}

#[test]
fn a_lost_log_makes_no_read_number_come_again() {
    // n3 has stored two entries in term 1 before it lost one of them; what it asked then may be
    // answered now. It asks under no `stored` that it may have used.
    let noop = |config: &mut Config| config.leader_noop = LeaderNoop::On;
    let mut cluster = leader(3, noop, &["a"]);
    cluster.send_heartbeats(1);
    cluster.deliver();
    lose_after(&mut cluster, 3, 1);
    cluster.send_heartbeats(1);
    cluster.deliver();
    assert_eq!(cluster.log(3), ["1@1", "2@1"]);
    let (id, mode) = (RequestId(1), ReadMode::Quorum);
    let actions = cluster.input(3, Input::Read { id, mode });
    let asked = actions.iter().find_map(|action| match action {
        Action::Send {
            message: Message::ReadIndex(request),
            ..
        } => Some(request.number),
        _ => None,
    });
    assert_eq!(asked, Some(ReadIndex::ASKS_FOR_AN_ENTRY));
}

// The bug: the leader sends everything again from where a late report of a loss says, although the
// follower has it.
#[test]
fn a_late_report_of_a_loss_costs_only_a_question() {
    let mut cluster = leader(3, |_| {}, &["a", "b"]);
    cluster.send_heartbeats(1);
    cluster.deliver();
    // One that says what the question asks, and one from before.
    for prev in [2, 1] {
        cluster.receive(1, 2, lost(1, prev, EntryId::ZERO));
        assert_eq!(cluster.peer(1, 2).match_index, Index::ZERO);
        let question = heartbeat(1, EntryId::new(2, 1), 2);
        assert_eq!(cluster.sent_by(1), [(2, question)]);
        cluster.receive(2, 1, heartbeat(1, EntryId::new(2, 1), 2));
        cluster.deliver();
        assert_eq!(cluster.peer(1, 2).match_index, Index(2));
    }
    cluster.propose(1, "c").unwrap();
    cluster.deliver();
    assert_eq!(cluster.log(2), ["1@1", "2@1", "3@1"]);
    assert_eq!(cluster.raft(1).commit_index(), Index(3));
}

// The bug: a node that was the only voter in what is left of its log does not start. Those that
// were added in what is lost have the rest.
#[test]
fn a_node_that_is_the_only_voter_in_what_is_left_of_its_log_is_sent_the_rest_by_later_ones() {
    let mut cluster = Cluster::new(1);
    cluster.elect(1);
    cluster.propose(1, "a").unwrap();
    for id in 2..=3 {
        let mut joiner = config(id, 1);
        joiner.start = Start::Join;
        cluster.add(joiner);
        let (request, readiness) = (RequestId(90 + id), Readiness::Forced);
        let change = MembershipChange {
            readiness,
            ..MembershipChange::from(NodeChange::Set(Member::voter(NodeId(id))))
        };
        let id = request;
        cluster.input(1, Input::ChangeMembership { id, change });
        for _ in 0..3 {
            cluster.send_heartbeats(1);
            cluster.deliver();
        }
    }
    assert_eq!(cluster.raft(1).commit_index(), Index(3));
    lose_after(&mut cluster, 1, 1);
    assert_eq!(cluster.raft(1).membership(), &Membership::new([NodeId(1)]));
    assert_eq!(impaired(&cluster, 1), Some(EntryId::new(3, 1)));
    // By itself it does nothing, however long it waits.
    for _ in 0..20 {
        cluster.wait(Duration::from_secs(1));
        cluster.tick(1);
        assert_eq!(cluster.raft(1).role(), RoleKind::Follower);
    }
    cluster.take_packets();
    cluster.elect(2);
    for _ in 0..3 {
        cluster.send_heartbeats(2);
        cluster.deliver();
    }
    assert_eq!(impaired(&cluster, 1), None);
    assert_eq!(cluster.raft(1).membership().voters().count(), 3);
}

#[test]
fn a_storage_that_has_lost_its_term_is_refused() {
    let mut recovered = Recovered {
        identity: Some(identity(1, [1, 2, 3])),
        ..Recovered::default()
    };
    recovered.impaired = Some(EntryId::new(5, 3));
    let error = Raft::new(config(1, 3), recovered).unwrap_err();
    let expected = RecoveryError::TermBelowLog {
        term: Term(0),
        last: EntryId::new(5, 3),
    };
    assert_eq!(error, StartError::Recovery(expected));
}
