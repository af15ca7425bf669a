//! Flow control: how many appends and bytes are in flight, how the window reopens, and which
//! entries travel together.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, missing_docs)]

mod support;

use bytes::Bytes;
use raft_proto::*;
use std::time::Duration;
use support::*;

/// n1 leads two followers, which have its first entry and are in Replicate.
fn leader_of_one(change: impl Fn(&mut Config)) -> Cluster {
    leader(3, change, &["first"])
}

fn propose(cluster: &mut Cluster, count: usize) {
    for at in 0..count {
        cluster.propose(1, &at.to_string()).unwrap();
    }
}

/// The first and the last index of each append with entries to n2. All packets in the queue are
/// lost.
fn entries_sent_to_n2(cluster: &mut Cluster) -> Vec<(u64, u64)> {
    let appends = entries_sent(&cluster.take_packets()).into_iter();
    let to_n2 = appends.filter(|(to, _, _)| *to == 2);
    to_n2.map(|(_, first, last)| (first, last)).collect()
}

#[test]
fn no_more_than_max_inflight_appends_are_in_flight_and_later_proposals_join_the_next() {
    let mut cluster = leader_of_one(|config| config.max_inflight_appends = 3);
    propose(&mut cluster, 10);
    assert_eq!(entries_sent_to_n2(&mut cluster), [(2, 2), (3, 3), (4, 4)]);
    assert_eq!(
        cluster.peer(1, 2).state,
        PeerState::Replicate { inflight: 3 }
    );
    // One answer makes room for one append, which carries all that was proposed meanwhile.
    cluster.receive(1, 2, accepted(1, 2));
    assert_eq!(entries_sent_to_n2(&mut cluster), [(5, 11)]);
}

#[test]
fn no_more_than_max_inflight_bytes_and_one_append_are_in_flight() {
    let mut cluster = leader_of_one(|config| {
        config.max_entry_bytes = 84;
        config.max_append_bytes = 100;
        config.max_inflight_bytes = 200;
    });
    for _ in 0..10 {
        cluster.propose(1, &"x".repeat(84)).unwrap();
    }
    assert_eq!(entries_sent_to_n2(&mut cluster), [(2, 2), (3, 3)]);
    cluster.receive(1, 2, accepted(1, 3));
    assert_eq!(entries_sent_to_n2(&mut cluster), [(4, 4), (5, 5)]);
}

#[test]
fn an_append_carries_no_more_than_max_append_bytes() {
    let mut cluster = leader_of_one(|config| {
        config.max_entry_bytes = 84;
        config.max_append_bytes = 100;
    });
    cluster.wait(Duration::from_millis(1));
    let commands: Vec<Bytes> = (0..8).map(|_| Bytes::from(vec![b'x'; 34])).collect();
    let (id, commands) = (RequestId(99), Commands::from(commands));
    cluster.input(1, Input::Propose { id, commands });
    assert_eq!(
        entries_sent_to_n2(&mut cluster),
        [(2, 3), (4, 5), (6, 7), (8, 9)]
    );
}

#[test]
fn commands_proposed_together_travel_together() {
    let mut cluster = leader_of_one(|_| {});
    cluster.node(1).disk = Disk::Manual;
    let commands: Vec<Bytes> = ["a", "b", "c"].map(Bytes::from).to_vec();
    let (id, commands) = (RequestId(99), Commands::from(commands));
    let actions = cluster.input(1, Input::Propose { id, commands });
    let proposal = Proposal {
        first: EntryId::new(2, 1),
        count: 3,
    };
    let outcome = Ok(proposal);
    assert!(actions.contains(&Action::Proposed { id, outcome }));
    assert_eq!(proposal.last_index(), Index(4));
    let writes = &cluster.node(1).waiting;
    assert_eq!((writes.len(), writes[0].entries.len()), (1, 3));
    let sent = cluster.take_packets();
    assert_eq!(entries_sent(&sent), [(2, 2, 4), (3, 2, 4)]);
    cluster.queue = sent;
    cluster.deliver();
    assert_eq!(cluster.applied(2), ["first", "a", "b", "c"]);
}

#[test]
fn of_commands_proposed_together_all_are_taken_or_none() {
    let mut cluster = leader_of_one(|config| config.max_entry_bytes = 5);
    let before = cluster.raft(1).last_log();
    let (id, limit) = (RequestId(99), 5);
    for (commands, error) in [
        (vec![], ProposeError::Empty),
        (
            vec!["fine", "too long"],
            ProposeError::TooLarge { size: 8, limit },
        ),
    ] {
        let commands: Vec<Bytes> = commands.into_iter().map(Bytes::from).collect();
        let commands = Commands::from(commands);
        let actions = cluster.input(1, Input::Propose { id, commands });
        let outcome = Err(error);
        assert_eq!(actions, [Action::Proposed { id, outcome }]);
        assert_eq!(cluster.raft(1).last_log(), before);
    }
}

#[test]
fn a_proposal_to_another_node_names_the_leader() {
    let mut cluster = leader_of_one(|_| {});
    let leader = Some(NodeId(1));
    let error = cluster.propose(2, "a").unwrap_err();
    assert_eq!(error, ProposeError::NotLeader { leader });
    assert!(error.to_string().contains("n1 leads"));
    cluster.campaign(2);
    let leader = None;
    let error = cluster.propose(2, "a").unwrap_err();
    assert_eq!(error, ProposeError::NotLeader { leader });
}

/// From now on all messages arrive. Expects that n2 receives all entries, and later ones as usual.
fn expect_recovery(cluster: &mut Cluster) {
    for _ in 0..4 {
        cluster.send_heartbeats(1);
        cluster.deliver();
    }
    assert_eq!(cluster.log(2), cluster.log(1));
    assert_eq!(cluster.applied(2), cluster.applied(1));
    assert_eq!(
        cluster.peer(1, 2).state,
        PeerState::Replicate { inflight: 0 }
    );
    cluster.propose(1, "after").unwrap();
    cluster.deliver();
    assert_eq!(cluster.applied(2).last().unwrap(), "after");
}

#[test]
fn the_window_reopens_when_all_replies_were_lost() {
    let mut cluster = leader_of_one(|config| config.max_inflight_appends = 2);
    propose(&mut cluster, 6);
    cluster.deliver_if(|packet| packet.to != NodeId(1));
    assert_eq!(
        cluster.peer(1, 2).state,
        PeerState::Replicate { inflight: 2 }
    );
    // The answer to a question shows that n2 has the entries. No entry is sent again.
    cluster.send_heartbeats(1);
    let mut again = Vec::new();
    for packet in cluster.take_packets() {
        again.extend(entries_sent(std::slice::from_ref(&packet)));
        cluster.deliver_packet(packet);
    }
    assert!(again.is_empty(), "{again:?}");
    expect_recovery(&mut cluster);
}

#[test]
fn the_window_reopens_when_all_requests_were_lost() {
    let mut cluster = leader_of_one(|config| config.max_inflight_appends = 2);
    propose(&mut cluster, 6);
    cluster.take_packets();
    expect_recovery(&mut cluster);
}

#[test]
fn the_window_reopens_when_one_append_in_the_middle_was_lost() {
    let mut cluster = leader_of_one(|config| config.max_inflight_appends = 4);
    propose(&mut cluster, 4);
    let mut sent = cluster.take_packets();
    sent.retain(|packet| entries_sent(std::slice::from_ref(packet)) != [(2, 3, 3)]);
    cluster.queue = sent;
    cluster.deliver();
    expect_recovery(&mut cluster);
}

#[test]
fn late_and_reordered_replies_reopen_the_window() {
    let mut cluster = leader_of_one(|config| config.max_inflight_appends = 3);
    propose(&mut cluster, 9);
    cluster.deliver_if(|packet| packet.to != NodeId(1));
    for index in [4, 2, 3, 2, 4] {
        cluster.receive(1, 2, accepted(1, index));
    }
    assert_eq!(cluster.peer(1, 2).match_index, Index(4));
    assert_eq!(entries_sent_to_n2(&mut cluster), [(5, 10)]);
    expect_recovery(&mut cluster);
}

#[test]
fn reordered_appends_are_sent_again_at_most_once() {
    let mut cluster = leader_of_one(|_| {});
    propose(&mut cluster, 8);
    let mut sent: Vec<Packet> = cluster.take_packets();
    sent.retain(|packet| packet.to == NodeId(2));
    sent.reverse();
    cluster.queue = sent;
    let mut appends = 0;
    for _ in 0..200 {
        if cluster.queue.is_empty() {
            break;
        }
        let packet = cluster.queue.remove(0);
        if packet.from == NodeId(1) {
            appends += entries_sent(std::slice::from_ref(&packet)).len();
        }
        cluster.deliver_packet(packet);
    }
    assert_eq!(cluster.log(2), cluster.log(1));
    // The eight appends, and once more at most the seven that were refused.
    assert!(appends <= 15, "{appends}");
    expect_recovery(&mut cluster);
}

#[test]
fn heartbeats_are_sent_in_time_also_while_appends_are_unanswered() {
    let mut cluster = leader_of_one(|_| {});
    for _ in 0..20 {
        cluster.wait(HEARTBEAT / 2);
        cluster.propose(1, "more").unwrap();
        cluster.tick(1);
    }
    let is_heartbeat = |packet: &&Packet| match &packet.message {
        Message::AppendEntries(append) => packet.to == NodeId(2) && append.entries.is_empty(),
        _ => false,
    };
    let heartbeats = cluster.take_packets().iter().filter(is_heartbeat).count();
    assert!(
        (9..=11).contains(&heartbeats),
        "{heartbeats} heartbeats in ten intervals"
    );
}

#[test]
fn a_new_commit_index_is_sent_at_once_or_after_the_configured_delay() {
    let empty_appends = |cluster: &mut Cluster| {
        let packets = cluster.take_packets();
        let all = packets
            .iter()
            .filter(|packet| packet.from == NodeId(1))
            .count();
        all - entries_sent(&packets).len()
    };
    let mut cluster = leader_of_one(|_| {});
    propose(&mut cluster, 1);
    cluster.take_packets();
    cluster.receive(1, 2, accepted(1, 2));
    assert_eq!(
        empty_appends(&mut cluster),
        1,
        "n2 has answered and n3 has not"
    );
    let delay = Duration::from_millis(20);
    let mut cluster = leader_of_one(|config| config.commit_notice_delay = delay);
    cluster.wait(delay);
    cluster.tick(1);
    cluster.deliver();
    propose(&mut cluster, 1);
    cluster.take_packets();
    cluster.receive(1, 2, accepted(1, 2));
    assert_eq!(empty_appends(&mut cluster), 0);
    cluster.wait(delay / 2);
    cluster.tick(1);
    assert_eq!(empty_appends(&mut cluster), 0);
    cluster.wait(delay / 2);
    cluster.tick(1);
    assert_eq!(empty_appends(&mut cluster), 1);
    // An append that n2 is sent anyway carries the commitIndex, and no empty one follows.
    propose(&mut cluster, 1);
    cluster.take_packets();
    cluster.receive(1, 2, accepted(1, 3));
    propose(&mut cluster, 1);
    assert_eq!(entries_sent_to_n2(&mut cluster), [(4, 4)]);
    cluster.wait(delay);
    cluster.tick(1);
    assert_eq!(empty_appends(&mut cluster), 0);
}

#[test]
fn a_follower_whose_durable_log_shrank_is_reported_once_and_not_counted_less() {
    let mut cluster = leader_of_one(|_| {});
    let long = 10 * cluster.raft(1).config().election_timeout_max;
    let refusal = || refused(1, 1, EntryId::ZERO);
    // Late refusals prove nothing: neither many of them, nor old ones after n2 has accepted.
    for _ in 0..100 {
        assert_eq!(cluster.receive(1, 2, refusal()), []);
    }
    cluster.wait(long);
    cluster.receive(1, 2, accepted(1, 1));
    let mut reports = Vec::new();
    for _ in 0..3 {
        // n2 refuses every heartbeat.
        for _ in 0..=long.as_millis() / HEARTBEAT.as_millis() {
            reports.extend(cluster.receive(1, 2, refusal()));
            cluster.wait(HEARTBEAT);
        }
    }
    let report = Action::LostState {
        peer: NodeId(2),
        match_index: Index(1),
        last: EntryId::ZERO,
    };
    // Nobody gives a tick in all that time.
    reports.retain(|action| !matches!(action, Action::Overdue(_)));
    assert_eq!(reports, [report]);
    assert_eq!(cluster.peer(1, 2).match_index, Index(1));
}

#[test]
fn unreachable_makes_the_leader_probe_the_peer_again() {
    let mut cluster = leader_of_one(|_| {});
    propose(&mut cluster, 3);
    cluster.take_packets();
    cluster.input(1, Input::Unreachable { peer: NodeId(2) });
    let status = cluster.peer(1, 2);
    assert_eq!(
        (status.state, status.next_index),
        (PeerState::Probe, Index(2))
    );
    propose(&mut cluster, 1);
    assert!(
        entries_sent_to_n2(&mut cluster).is_empty(),
        "no entries are sent before n2 answers"
    );
    expect_recovery(&mut cluster);
    // The report has no effect about a node that is no member, or at a node that does not lead.
    for (id, peer) in [(1, NodeId(9)), (2, NodeId(1))] {
        assert_eq!(cluster.input(id, Input::Unreachable { peer }), []);
    }
}

/// What the logs were found to agree on counts as sent, though no disk has acknowledged it to this
/// leader yet: matchIndex of a new leader is 0, however long the common log is.
#[test]
fn unreachable_makes_the_leader_ask_where_the_lost_appends_begin_and_not_at_the_match_index() {
    let commands: Vec<String> = (0..20).map(|at| at.to_string()).collect();
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    let mut cluster = leader(3, |_| {}, &commands);
    cluster.node(3).disk = Disk::Manual;
    cluster.campaign(2);
    cluster.deliver();
    assert_eq!(cluster.raft(2).role(), RoleKind::Leader);
    cluster.propose(2, "in flight").unwrap();
    let status = cluster.peer(2, 3);
    assert_eq!(status.match_index, Index(0), "its disk says nothing");
    assert!(matches!(
        status.state,
        PeerState::Replicate { inflight: 1.. }
    ));
    cluster.take_packets();
    cluster.input(2, Input::Unreachable { peer: NodeId(3) });
    assert_eq!(cluster.peer(2, 3).state, PeerState::Probe);
    assert!(
        cluster.peer(2, 3).next_index > Index(20),
        "the log is common up to 20"
    );
}

#[test]
fn entries_handed_out_and_not_applied_are_bounded_by_max_unapplied_bytes() {
    let mut config = config(1, 3);
    config.max_entry_bytes = 84;
    config.max_append_bytes = 10_000;
    config.max_unapplied_bytes = 250;
    let mut raft = Raft::new(config, Recovered::default()).unwrap();
    let mut step = |input| {
        raft.step(Event {
            at: Time::ZERO,
            input,
        })
    };
    let payload = "x".repeat(84);
    let list: Vec<(u64, u64, &str)> = (1..=7).map(|at| (at, 1, payload.as_str())).collect();
    let message = append(1, EntryId::ZERO, &list, 7);
    let from = NodeId(2);
    step(Input::Receive {
        from,
        message,
        incarnation: None,
    });
    let applied = |index| Input::Applied {
        index: Index(index),
    };
    assert_eq!(handed_out(&step(Input::Persisted { seq: Seq(1) })), [1, 2]);
    assert!(handed_out(&step(Input::Tick)).is_empty());
    assert!(
        handed_out(&step(applied(1))).is_empty(),
        "all entries of the first hand-out count until it is applied"
    );
    assert_eq!(handed_out(&step(applied(2))), [3, 4]);
    // An entry that was never handed out cannot be applied.
    let (index, last) = (Index(5), Index(4));
    let refused = Some(Refusal::NotHandedOut { index, last });
    assert_eq!(refusal(&step(applied(5))), refused);
    assert_eq!(handed_out(&step(applied(4))), [5, 6]);
    assert!(
        handed_out(&step(applied(3))).is_empty(),
        "an old report changes nothing"
    );
    assert_eq!(handed_out(&step(applied(6))), [7]);
}

#[test]
fn proposals_above_max_uncommitted_bytes_are_refused_until_some_are_committed() {
    let mut cluster = leader_of_one(|config| {
        config.max_entry_bytes = 84;
        config.max_append_bytes = 100;
        config.max_uncommitted_bytes = 250;
    });
    let full = "x".repeat(84);
    cluster.propose(1, &full).unwrap();
    cluster.propose(1, &full).unwrap();
    let error = ProposeError::TooManyUncommitted {
        waiting: 200,
        wanted: 100,
        limit: 250,
    };
    assert_eq!(cluster.propose(1, &full), Err(error));
    assert!(
        cluster.propose(1, "small").is_ok(),
        "a command that still fits is taken"
    );
    let refused = cluster.propose(1, &full).unwrap_err();
    assert!(refused.to_string().contains("wait"));
    cluster.deliver();
    assert!(cluster.propose(1, &full).is_ok());
}
