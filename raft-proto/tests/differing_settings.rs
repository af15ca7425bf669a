//! Nodes whose settings differ, or whose settings are being changed one after another.
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

/// Lets time pass, with a network that passes some messages only.
fn run(cluster: &mut Cluster, duration: Duration, pass: impl Fn(&Packet) -> bool) {
    let end = cluster.now.after(duration);
    while cluster.now < end {
        cluster.now = cluster.now.after(Duration::from_millis(20));
        let now = cluster.now;
        for id in 1..=3 {
            if cluster.node(id).wake_at <= now {
                cluster.tick(id);
            }
        }
        cluster.deliver_if(&pass);
    }
}

fn reaches(packet: &Packet, links: &[(u64, u64)]) -> bool {
    links.contains(&(packet.from.0, packet.to.0))
}

// The bug: contact with a leader counts in a pre-vote although no leader ever steps down. One that
// hears nobody, and is heard by one of two followers, keeps both from electing another.
#[test]
fn without_check_quorum_a_leader_that_hears_nobody_does_not_prevent_elections() {
    let mut cluster = Cluster::with(3, |config| {
        config.pre_vote = PreVoting::On;
        config.leader_noop = LeaderNoop::On;
    });
    cluster.wait(Duration::from_secs(2));
    while cluster.raft(1).role() != RoleKind::Leader {
        cluster.tick(1);
        cluster.deliver();
    }
    cluster.propose(1, "a").unwrap();
    cluster.deliver();
    // n1 reaches n2 only and hears nobody; n2 and n3 hear each other.
    let links = [(1, 2), (2, 3), (3, 2)];
    run(&mut cluster, Duration::from_secs(30), |it| {
        reaches(it, &links)
    });
    let leader = [2, 3].into_iter().find(|id| {
        let status = cluster.raft(*id).status();
        status.role == RoleKind::Leader && status.commit_index == status.last_log.index
    });
    let leader = leader.unwrap();
    cluster.propose(leader, "b").unwrap();
    run(&mut cluster, Duration::from_secs(2), |it| {
        reaches(it, &links)
    });
    assert_eq!(cluster.applied(leader), ["a", "b"]);
}

// The bug: the follower that such a leader reaches has a longer log than the one that asks, so it
// refuses its pre-votes, and asks for none itself as long as it hears the leader.
#[test]
fn without_check_quorum_a_leader_that_hears_nobody_and_takes_commands_does_not_prevent_elections() {
    let mut cluster = Cluster::with(3, |config| {
        config.pre_vote = PreVoting::On;
        config.leader_noop = LeaderNoop::On;
    });
    cluster.wait(Duration::from_secs(2));
    while cluster.raft(1).role() != RoleKind::Leader {
        cluster.tick(1);
        cluster.deliver();
    }
    cluster.propose(1, "a").unwrap();
    cluster.deliver();
    let links = [(1, 2), (2, 3), (3, 2)];
    let pass = |it: &Packet| reaches(it, &links);
    cluster.propose(1, "b").unwrap();
    run(&mut cluster, Duration::from_secs(10), pass);
    let status = cluster.raft(2).status();
    assert_eq!((status.role, status.term), (RoleKind::Leader, Term(2)));
    assert_eq!(cluster.applied(2), ["a", "b"]);
}

// The bug: a follower that is asked campaigns only after a part of a heartbeat interval, and asks
// for pre-votes first. A heartbeat of the leader comes before the answers, and it follows again.
#[test]
fn without_check_quorum_heartbeats_that_come_before_the_answers_do_not_prevent_elections() {
    let mut cluster = Cluster::with(3, |config| {
        config.pre_vote = PreVoting::On;
        config.leader_noop = LeaderNoop::On;
    });
    cluster.wait(Duration::from_secs(2));
    while cluster.raft(1).role() != RoleKind::Leader {
        cluster.tick(1);
        cluster.deliver();
    }
    cluster.propose(1, "a").unwrap();
    cluster.deliver();
    let links = [(1, 2), (2, 3), (3, 2)];
    let committed = cluster.raft(1).commit_index();
    cluster.propose(1, "b").unwrap();
    // What is sent arrives 60 ms later: a round trip takes longer than a heartbeat interval.
    let mut under_way = std::collections::VecDeque::new();
    for _ in 0..5_000 {
        cluster.wait(Duration::from_millis(2));
        let now = cluster.now;
        for id in 1..=3 {
            if cluster.node(id).wake_at <= now {
                cluster.tick(id);
            }
        }
        under_way.push_back(cluster.take_packets());
        if under_way.len() > 30 {
            let arriving = under_way.pop_front().unwrap();
            for packet in arriving.into_iter().filter(|it| reaches(it, &links)) {
                cluster.deliver_packet(packet);
            }
        }
        if cluster.raft(2).commit_index() > committed {
            break;
        }
    }
    let status = cluster.raft(2).status();
    assert_eq!((status.role, status.term), (RoleKind::Leader, Term(2)));
    assert!(status.commit_index > committed, "{status:?}");
}

// It would be no gain to be asked first if that deposed a leader that is well: the node that asks
// was cut off, as in the thesis (9.6).
#[test]
fn without_check_quorum_a_node_that_returns_does_not_depose_a_leader_that_commits() {
    let mut cluster = Cluster::with(3, |config| {
        config.pre_vote = PreVoting::On;
        config.leader_noop = LeaderNoop::On;
    });
    cluster.wait(Duration::from_secs(2));
    while cluster.raft(1).role() != RoleKind::Leader {
        cluster.tick(1);
        cluster.deliver();
    }
    // n3 hears nobody, and is heard.
    let links = [(1, 2), (2, 1), (3, 1), (3, 2)];
    for _ in 0..100 {
        cluster.propose(1, "a").unwrap();
        run(&mut cluster, Duration::from_millis(100), |it| {
            reaches(it, &links)
        });
    }
    let status = cluster.raft(1).status();
    assert_eq!((status.role, status.term), (RoleKind::Leader, Term(1)));
    assert_eq!(cluster.applied(1).len(), 100);
}

#[test]
fn with_check_quorum_contact_with_a_leader_counts_in_a_pre_vote() {
    let mut cluster = Cluster::with(3, |config| config.check_quorum = CheckQuorum::On);
    cluster.wait(Duration::from_secs(2));
    let ask = Message::PreVote(PreVote {
        term: Term(2),
        last_log: EntryId::ZERO,
        campaign: Campaign::Election,
        lineage: Lineage::Unknown,
    });
    cluster.receive(2, 1, heartbeat(1, EntryId::ZERO, 0));
    for (wait, vote) in [(0, Vote::Refused), (500, Vote::Granted)] {
        cluster.wait(Duration::from_millis(wait));
        cluster.take_packets();
        cluster.receive(2, 3, ask.clone());
        let sent = cluster.sent_by(2);
        assert!(
            matches!(&sent[..], [(3, Message::PreVoteReply(reply))] if reply.vote == vote),
            "{sent:?}"
        );
    }
}

fn lease_read(cluster: &mut Cluster, node: u64) -> Result<Index, ReadError> {
    let (id, mode) = (RequestId(9), ReadMode::Lease);
    let actions = cluster.input(node, Input::Read { id, mode });
    let outcome = |action: &Action| match action {
        Action::Read { outcome, .. } => Some(*outcome),
        _ => None,
    };
    actions.iter().find_map(outcome).unwrap()
}

// The bug: only a node with leases of its own keeps from voting after its start. While leases are
// turned on node by node, the leader's lease rests on a node that has none, restarts and votes.
#[test]
fn a_lease_holds_also_over_the_restart_of_a_voter_whose_own_leases_are_off() {
    let mut cluster = Cluster::with(3, |config| {
        config.check_quorum = CheckQuorum::On;
        if config.node_id == NodeId(1) {
            config.lease = Lease::On { max_drift_ppm: 0 };
        }
    });
    cluster.wait(Duration::from_secs(2));
    for id in 1..=3 {
        cluster.tick(id);
    }
    cluster.take_packets();
    while cluster.raft(1).role() != RoleKind::Leader {
        cluster.wait(Duration::from_millis(100));
        cluster.tick(1);
        cluster.deliver();
    }
    cluster.propose(1, "a").unwrap();
    cluster.deliver();
    // n3 hears nothing for a while, and then campaigns, just when n2 has answered n1.
    let n1_and_n2 = [(1, 2), (2, 1)];
    for _ in 0..30 {
        cluster.send_heartbeats(1);
        cluster.deliver_if(|it| reaches(it, &n1_and_n2));
    }
    assert_eq!(lease_read(&mut cluster, 1), Ok(Index(1)));
    cluster.restart(2);
    let term = cluster.raft(3).term();
    while cluster.raft(3).term() == term {
        cluster.tick(3);
    }
    let n2_and_n3 = [(2, 3), (3, 2)];
    cluster.deliver_if(|it| reaches(it, &n2_and_n3));
    if cluster.raft(3).role() == RoleKind::Leader {
        cluster.propose(3, "b").unwrap();
        cluster.deliver_if(|it| reaches(it, &n2_and_n3));
    }
    let committed = cluster.raft(3).commit_index();
    let read = lease_read(&mut cluster, 1);
    assert!(
        read.is_err() || read.is_ok_and(|index| index >= committed),
        "n1 reads at {read:?}, n3 has committed {committed}"
    );
    assert_ne!(cluster.raft(3).role(), RoleKind::Leader);
}

/// n1 takes commands of 1,000 bytes, and the node `limited` takes 100.
fn one_takes_less(limited: u64) -> Cluster {
    Cluster::with(3, |config| {
        config.leader_noop = LeaderNoop::On;
        config.trailing_entries = 0;
        config.max_entry_bytes = if config.node_id == NodeId(limited) {
            100
        } else {
            1000
        };
    })
}

fn long() -> String {
    "x".repeat(500)
}

fn refused_entries(cluster: &Cluster, leader: u64) -> Vec<(u64, u64)> {
    let refused = |action: &Action| match action {
        Action::EntryRefused { peer, index, .. } => Some((peer.0, index.0)),
        _ => None,
    };
    let actions = cluster.nodes[&NodeId(leader)].other_actions.iter();
    actions.filter_map(refused).collect()
}

// The bug: the leader takes a command that a follower refuses again and again, in silence.
#[test]
fn a_leader_takes_no_command_that_a_voter_does_not_take_and_names_it() {
    let mut cluster = one_takes_less(3);
    cluster.elect(1);
    cluster.send_heartbeats(1);
    cluster.deliver();
    let (node, size, limit) = (NodeId(3), 500, 100);
    let refused = Err(ProposeError::TooLargeFor { node, size, limit });
    assert_eq!(cluster.propose(1, &long()), refused);
    let status = cluster.raft(1).status();
    assert_eq!(status.command_limit, Some(100));
    assert_eq!(status.limited_by, Some(node));
    let limits = cluster.peer(1, 3).limits.unwrap();
    assert_eq!(limits.max_entry_bytes, 100);
    cluster.propose(1, &"x".repeat(100)).unwrap();
    cluster.deliver();
    assert_eq!(cluster.complaints(1), []);
    // Its own limit is still one.
    let own = cluster.propose(1, &"x".repeat(1001));
    assert!(own.is_err());
    // The limit of a node that is no voter binds nobody.
    let change = MembershipChange::from(NodeChange::Remove(node));
    let id = RequestId(1);
    cluster.input(1, Input::ChangeMembership { id, change });
    cluster.deliver();
    cluster.propose(1, &long()).unwrap();
    cluster.deliver();
    assert_eq!(cluster.raft(2).last_log(), cluster.raft(1).last_log());
}

/// n1 and n2 have committed a command of `size` bytes. n2, the leader, had not heard n3 then.
fn committed_without_n3(mut cluster: Cluster, size: usize) -> (Cluster, Index) {
    cluster.elect(1);
    cluster.deliver();
    // Another term, in which n3 is silent.
    cluster.campaign(2);
    cluster.deliver_if(|packet| packet.to != NodeId(3));
    assert_eq!(cluster.raft(2).role(), RoleKind::Leader);
    let proposal = cluster.propose(2, &"x".repeat(size)).unwrap();
    cluster.deliver_if(|packet| packet.to != NodeId(3));
    let index = proposal.first.index;
    assert_eq!(cluster.raft(2).commit_index(), index);
    (cluster, index)
}

// The bug: n3 refuses an entry that the others accepted, and so all that follow it.
#[test]
fn an_entry_that_is_longer_than_a_voters_commands_may_be_reaches_it_all_the_same() {
    let (mut cluster, _) = committed_without_n3(one_takes_less(3), 500);
    for _ in 0..5 {
        cluster.send_heartbeats(2);
        cluster.deliver();
    }
    assert_eq!(refused_entries(&cluster, 2), []);
    assert_eq!(cluster.raft(3).last_log(), cluster.raft(2).last_log());
    assert_eq!(cluster.applied(3), [long()]);
    let node = NodeId(3);
    let refused = Err(ProposeError::TooLargeFor {
        node,
        size: 500,
        limit: 100,
    });
    assert_eq!(cluster.propose(2, &long()), refused, "but no more of them");
}

// The bug: both followers refuse an entry, and nothing is ever committed again.
#[test]
fn a_leader_commits_what_it_holds_though_no_other_voter_accepts_such_a_command() {
    let mut cluster = Cluster::with(3, |config| {
        config.leader_noop = LeaderNoop::On;
        config.max_entry_bytes = if config.node_id == NodeId(1) {
            1000
        } else {
            100
        };
    });
    cluster.campaign(1);
    cluster.deliver_if(|packet| !matches!(packet.message, Message::AppendEntries(_)));
    let proposal = cluster.propose(1, &long()).unwrap();
    for _ in 0..5 {
        cluster.send_heartbeats(1);
        cluster.deliver_if(|packet| packet.to != NodeId(3));
    }
    assert!(cluster.raft(1).commit_index() >= proposal.first.index);
    // n2 sends it on, though it accepts no such command.
    cluster.campaign(2);
    for _ in 0..5 {
        cluster.deliver_if(|packet| packet.to != NodeId(1));
        cluster.send_heartbeats(2);
    }
    assert_eq!(cluster.raft(3).last_log(), cluster.raft(2).last_log());
    assert_eq!(cluster.applied(3), [long()]);
}

/// A MiB more than a message of the least size.
const LONGER_THAN_A_FRAME: usize = 17 << 20;

fn takes_long_messages(config: &mut Config) {
    config.max_entry_bytes = LONGER_THAN_A_FRAME as u64;
    config.max_append_bytes = config.max_entry_bytes + ENTRY_OVERHEAD;
    config.max_inflight_bytes = config.max_append_bytes;
    config.max_unapplied_bytes = config.max_append_bytes;
}

/// n1 and n2 have committed an entry that fits no message that n3 takes.
fn n3_cannot_take_an_entry() -> (Cluster, Index) {
    let cluster = Cluster::with(3, |config| {
        config.leader_noop = LeaderNoop::On;
        config.trailing_entries = 0;
        if config.node_id != NodeId(3) {
            takes_long_messages(config);
        }
    });
    committed_without_n3(cluster, LONGER_THAN_A_FRAME)
}

#[test]
fn an_entry_that_fits_no_message_to_a_voter_is_reported_once_and_the_leader_goes_on() {
    let (mut cluster, index) = n3_cannot_take_an_entry();
    let mut bytes = 0;
    for at in 0..50 {
        cluster.send_heartbeats(2);
        if at % 10 == 0 {
            cluster.propose(2, "y").unwrap();
        }
        while !cluster.queue.is_empty() {
            let packet = cluster.queue.remove(0);
            if let Message::AppendEntries(append) = &packet.message
                && packet.to == NodeId(3)
            {
                bytes += append.entries.bytes();
            }
            cluster.deliver_packet(packet);
        }
    }
    assert_eq!(refused_entries(&cluster, 2), [(3, index.0)]);
    assert!(bytes < 3000, "{bytes} bytes of entries sent in vain");
    assert_eq!(cluster.peer(2, 3).too_large, Some(index));
    assert_eq!(
        cluster.raft(2).commit_index(),
        cluster.raft(2).last_log().index
    );
    assert_eq!(cluster.complaints(3), []);
    // It has what comes before, follows, and does not campaign.
    assert_eq!(cluster.raft(3).last_log().index, index.previous());
    assert_eq!(cluster.raft(3).leader(), Some(NodeId(2)));
    assert_eq!(cluster.raft(3).commit_index(), index.previous());
}

#[test]
fn a_voter_whose_limits_are_raised_gets_what_it_lacked() {
    let (mut cluster, _) = n3_cannot_take_an_entry();
    for _ in 0..5 {
        cluster.send_heartbeats(2);
        cluster.deliver();
    }
    takes_long_messages(&mut cluster.node(3).config);
    cluster.restart(3);
    for _ in 0..5 {
        cluster.send_heartbeats(2);
        cluster.deliver();
    }
    assert_eq!(cluster.raft(3).last_log(), cluster.raft(2).last_log());
    assert_eq!(cluster.peer(2, 3).too_large, None);
    let limit = Some(LONGER_THAN_A_FRAME as u64);
    assert_eq!(cluster.raft(2).status().command_limit, limit);
}

#[test]
fn a_snapshot_stands_for_an_entry_that_fits_no_message_to_a_voter() {
    let (mut cluster, index) = n3_cannot_take_an_entry();
    for _ in 0..5 {
        cluster.send_heartbeats(2);
        cluster.deliver();
    }
    cluster.compact(2, index.0, b"state");
    cluster.propose(2, "after").unwrap();
    for _ in 0..5 {
        cluster.send_heartbeats(2);
        cluster.deliver();
    }
    assert_eq!(cluster.restored(3), [index]);
    assert_eq!(cluster.raft(3).last_log(), cluster.raft(2).last_log());
    assert_eq!(cluster.applied(3), ["after"]);
}

#[test]
fn a_follower_stores_an_entry_that_is_longer_than_the_commands_that_it_accepts() {
    let mut cluster = Cluster::with(3, |config| config.max_entry_bytes = 4);
    let message = append(1, EntryId::ZERO, &[(1, 1, "four"), (2, 1, "fiver")], 0);
    let actions = cluster.receive(1, 2, message);
    assert_eq!(rejection(&actions), None);
    assert_eq!(cluster.raft(1).last_log(), EntryId::new(2, 1));
    assert_eq!(cluster.raft(1).leader(), Some(NodeId(2)));
    // So does the next process on that disk.
    cluster.restart(1);
    assert_eq!(cluster.raft(1).last_log(), EntryId::new(2, 1));
}

#[test]
fn an_append_is_no_longer_than_its_receiver_takes() {
    let mut cluster = leader(3, |_| {}, &["a"]);
    let reply = AppendEntriesReply {
        term: Term(1),
        outcome: AppendOutcome::Accepted {
            match_index: Index(1),
            received: Index(1),
        },
        round: 0,
        limits: Some(MessageLimits {
            max_entry_bytes: 1000,
            max_payload_bytes: 300,
            level: Level::ZERO,
        }),
    };
    cluster.receive(1, 2, Message::AppendEntriesReply(reply));
    cluster.take_packets();
    let commands: Vec<bytes::Bytes> = (0..10).map(|_| "x".repeat(80).into()).collect();
    let (id, commands) = (RequestId(1), Commands::from(commands));
    cluster.input(1, Input::Propose { id, commands });
    let mut longest = [0; 4];
    for packet in cluster.take_packets() {
        if let Message::AppendEntries(append) = packet.message {
            let place = &mut longest[packet.to.0 as usize];
            *place = append.entries.bytes().max(*place);
        }
    }
    assert!(longest[2] > 0 && longest[2] <= 300, "{longest:?}");
    assert!(longest[3] > 300, "n3 takes more: {longest:?}");
}
