//! A node that is no member cannot end a term by its replies: only a member's term counts. It is
//! not rejected either, since a removed member may answer late.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use raft_proto::*;
use support::*;

/// Every reply that carries a higher term to a node that asked in an earlier one.
fn replies_of_a_later_term(term: u64) -> [Message; 5] {
    [
        append_reply(term, AppendOutcome::Stale),
        snapshot_reply(term, EntryId::new(1, 1), SnapshotOutcome::Stale),
        vote(term, Vote::Refused),
        Message::PreVoteReply(PreVoteReply {
            term: Term(term),
            asked: Term(2),
            vote: Vote::Refused,
            dismissal: None,
            lineage: Lineage::Unknown,
        }),
        Message::ReadIndexReply(ReadIndexReply {
            term: Term(term),
            number: 7,
            outcome: ReadOutcome::Refused,
            stored: Index(0),
        }),
    ]
}

/// n1 as a leader, a follower and a candidate, in term 1 or 2.
fn in_every_role() -> [Cluster; 3] {
    let leads = leader(3, |_| {}, &["a"]);
    let mut follows = Cluster::new(3);
    follows.receive(1, 2, append(1, EntryId::ZERO, &[(1, 1, "a")], 0));
    follows.take_packets();
    let mut campaigns = Cluster::new(3);
    campaigns.campaign(1);
    campaigns.take_packets();
    [leads, follows, campaigns]
}

// The bug: a stranger's reply with a higher term deposes the leader.
#[test]
fn a_strangers_reply_of_a_later_term_changes_nothing_and_is_not_rejected() {
    for reply in replies_of_a_later_term(5) {
        for mut cluster in in_every_role() {
            let before = cluster.raft(1).status();
            let actions = cluster.receive(1, 9, reply.clone());
            assert_eq!(actions, [], "{reply:?}");
            assert_eq!(cluster.raft(1).status(), before, "{reply:?}");
        }
    }
}

#[test]
fn a_members_reply_of_a_later_term_ends_the_term_in_every_role() {
    for reply in replies_of_a_later_term(5) {
        for mut cluster in in_every_role() {
            let actions = cluster.receive(1, 3, reply.clone());
            assert_eq!(rejection(&actions), None, "{reply:?}");
            assert_eq!(cluster.raft(1).term(), Term(5), "{reply:?}");
            assert_eq!(cluster.raft(1).role(), RoleKind::Follower);
        }
    }
}

/// n1 leads, and removes n3, which hears nothing of it.
fn n3_is_removed(commit: bool) -> Cluster {
    let mut cluster = leader(3, |_| {}, &["a"]);
    let change = MembershipChange::from(NodeChange::Remove(NodeId(3)));
    let id = RequestId(1);
    cluster.input(1, Input::ChangeMembership { id, change });
    if commit {
        cluster.deliver_if(|packet| packet.to != NodeId(3));
        assert_eq!(cluster.raft(1).commit_index(), Index(2));
    }
    cluster.take_packets();
    cluster
}

#[test]
fn the_term_of_a_removed_member_counts_until_its_removal_is_committed() {
    for reply in replies_of_a_later_term(5) {
        let mut cluster = n3_is_removed(true);
        let actions = cluster.receive(1, 3, reply.clone());
        assert_eq!(rejection(&actions), None, "{reply:?}");
        assert_eq!(cluster.raft(1).term(), Term(1), "{reply:?}");
        assert_eq!(cluster.raft(1).role(), RoleKind::Leader);
        let mut cluster = n3_is_removed(false);
        cluster.receive(1, 3, reply.clone());
        assert_eq!(cluster.raft(1).term(), Term(5), "{reply:?}");
    }
}

#[test]
fn a_node_that_knows_no_members_yet_learns_the_term_from_any() {
    let reply = replies_of_a_later_term(5)[4].clone();
    let mut cluster = Cluster::with(1, |config| config.start = Start::Join);
    cluster.receive(1, 9, reply);
    assert_eq!(cluster.raft(1).term(), Term(5));
}

// A receiver may not know yet the configuration by which the sender was added (thesis 4.2.2).
#[test]
fn the_term_of_a_request_counts_whoever_sends_it() {
    let last = EntryId::new(1, 1);
    for request in [request_vote(5, last), heartbeat(5, last, 0)] {
        for mut cluster in in_every_role() {
            cluster.receive(1, 9, request.clone());
            assert_eq!(cluster.raft(1).term(), Term(5), "{request:?}");
        }
    }
}
