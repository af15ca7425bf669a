//! Flow control on networks and disks that are slow, lose and reorder: what a leader sends is what
//! the follower can take, and it keeps committing.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm, missing_docs)]

mod support;

use raft_proto::*;
use support::links::*;
use support::*;

fn network(least: u64, most: u64, loss: u64) -> Network {
    Network {
        delay: (millis(least), millis(most)),
        loss,
        bandwidth: None,
    }
}

/// How many entries a cluster of three commits in a second, of `depth` that wait at a time.
fn commits_per_second(network: Network, heartbeat: u64, depth: u64, size: usize) -> u64 {
    let mut timed = Timed::new(3, network, |config| {
        config.heartbeat_interval = millis(heartbeat);
        config.append_timeout = millis(100);
    });
    let leader = timed.elect();
    timed.run_under_load(millis(1_000), depth, size);
    let before = timed.raft(leader).commit_index();
    timed.run_under_load(millis(5_000), depth, size);
    assert_eq!(timed.leader(), Some(leader), "the leader is stable");
    timed.raft(leader).commit_index().since(before) / 5
}

#[test]
fn a_network_whose_round_trip_is_longer_than_the_heartbeat_interval_commits_at_its_own_speed() {
    // A round trip of 54 ms: about 18 in a second, less what is lost.
    let found = commits_per_second(network(27, 27, 100), 30, 1, 100);
    assert!(found >= 12, "{found} in a second, one at a time");
    let found = commits_per_second(network(27, 27, 100), 30, 64, 100);
    assert!(found >= 500, "{found} in a second, 64 at a time");
}

#[test]
fn a_network_that_reorders_commits_at_its_own_speed() {
    for (least, most, heartbeat) in [(0, 27, 30), (0, 54, 30), (20, 80, 10), (0, 200, 30)] {
        let round_trips = 1_000 / (least + most);
        let found = commits_per_second(network(least, most, 100), heartbeat, 1, 100);
        assert!(
            found >= round_trips / 2,
            "{found} in a second, one at a time, with {least} to {most} ms each way"
        );
        let found = commits_per_second(network(least, most, 100), heartbeat, 64, 100);
        assert!(
            found >= 64 * round_trips / 4,
            "{found} in a second, 64 at a time, with {least} to {most} ms each way"
        );
    }
}

#[test]
fn a_heartbeat_that_overtakes_an_append_changes_nothing() {
    let mut cluster = leader(3, |_| {}, &["first"]);
    cluster.node(2).disk = Disk::Manual;
    cluster.propose(1, "a").unwrap();
    cluster.deliver_between(1, 2);
    cluster.wait(HEARTBEAT - millis(1));
    cluster.propose(1, "b").unwrap();
    let appends = cluster.take_packets();
    cluster.wait(millis(1));
    cluster.tick(1);
    // The heartbeat asks for "b", which is on its way.
    cluster.deliver_between(1, 2);
    cluster.deliver_between(2, 1);
    assert!(entries_sent(&cluster.take_packets()).is_empty());
    let status = cluster.peer(1, 2);
    let state = PeerState::Replicate { inflight: 2 };
    assert_eq!((status.state, status.next_index), (state, Index(4)));
    cluster.queue = appends;
    cluster.deliver();
    cluster.sync(2, 2);
    cluster.deliver();
    assert_eq!(cluster.applied(2), ["first", "a", "b"]);
}

#[test]
fn heartbeats_that_overtake_appends_multiply_no_messages() {
    let mut timed = Timed::new(3, network(20, 80, 0), |config| {
        config.heartbeat_interval = millis(10);
    });
    timed.elect();
    timed.run_under_load(millis(1_000), 64, 1_000);
    let (sent, entries) = (timed.bytes_sent.clone(), timed.raft(1).last_log().index);
    timed.run_under_load(millis(4_000), 64, 1_000);
    let needed = timed.raft(1).last_log().index.since(entries) * 1_016;
    for (id, bytes) in &timed.bytes_sent {
        let bytes = bytes - sent[id];
        assert!(
            bytes <= 3 * needed,
            "{bytes} bytes to n{id} for {needed} bytes of entries"
        );
    }
}

#[test]
fn a_slow_link_is_given_no_more_than_it_takes_in_a_part_of_the_election_timeout() {
    let mut slow = network(1, 1, 0);
    slow.bandwidth = Some(1_000_000);
    let mut timed = Timed::new(3, slow, |_| {});
    let leader = timed.elect();
    let term = timed.raft(leader).term();
    timed.run_under_load(millis(30_000), 600, 50_000);
    assert_eq!(timed.raft(leader).term(), term, "no election");
    let bytes = timed.raft(leader).commit_index().0 * 50_016;
    assert!(
        bytes >= 25_000_000,
        "{bytes} bytes over a link of a million in a second, for 30 s"
    );
}

#[test]
fn an_entry_longer_than_the_window_is_sent_alone() {
    let mut cluster = leader(3, |_| {}, &["first"]);
    let long = "x".repeat(200_000);
    cluster.take_packets();
    for command in [&long, &long, "short"] {
        cluster.propose(1, command).unwrap();
    }
    let sent = entries_sent(&cluster.take_packets());
    let to_n2: Vec<_> = sent.into_iter().filter(|(to, _, _)| *to == 2).collect();
    assert_eq!(to_n2, [(2, 2, 2)]);
    cluster.receive(1, 2, accepted(1, 2));
    let sent = entries_sent(&cluster.take_packets());
    assert_eq!(sent.first(), Some(&(2, 3, 4)), "the window is wider now");
}

/// About which entries the packets to n2 without entries ask.
fn heartbeats_to_n2(packets: &[Packet]) -> Vec<u64> {
    let asked = |packet: &Packet| match &packet.message {
        Message::AppendEntries(append) if append.entries.is_empty() => {
            Some(append.prev_log.index.0)
        }
        _ => None,
    };
    let packets = packets.iter().filter(|packet| packet.to == NodeId(2));
    packets.filter_map(asked).collect()
}

#[test]
fn while_much_is_on_its_way_heartbeats_also_ask_about_the_entry_before_it() {
    for (length, asked) in [(200_000, vec![1, 2]), (1_000, vec![2])] {
        let mut cluster = leader(3, |_| {}, &["first"]);
        cluster.take_packets();
        cluster.propose(1, &"x".repeat(length)).unwrap();
        let append = cluster.take_packets();
        cluster.wait(HEARTBEAT);
        cluster.tick(1);
        assert_eq!(heartbeats_to_n2(&cluster.take_packets()), asked);
        cluster.queue = append;
        cluster.deliver();
        assert_eq!(cluster.peer(1, 2).match_index, Index(2));
    }
}

#[test]
fn a_heartbeat_about_the_entry_before_a_long_one_has_nothing_sent_again() {
    let mut cluster = leader(3, |_| {}, &["first"]);
    cluster.propose(1, &"x".repeat(200_000)).unwrap();
    let append = cluster.take_packets();
    for _ in 0..20 {
        cluster.wait(HEARTBEAT);
        cluster.tick(1);
        // The other one stays behind the entry.
        let is_early = |packet: &Packet| match &packet.message {
            Message::AppendEntries(append) => append.prev_log.index == Index(1),
            _ => true,
        };
        cluster.deliver_if(is_early);
        assert!(entries_sent(&cluster.take_packets()).is_empty());
    }
    cluster.queue = append;
    cluster.deliver();
    assert_eq!(cluster.raft(1).commit_index(), Index(2));
}

/// Bytes of entries in packets to n2.
fn bytes_to_n2(packets: &[Packet]) -> usize {
    let bytes = |packet: &Packet| match &packet.message {
        Message::AppendEntries(append) if packet.to == NodeId(2) => append
            .entries
            .iter()
            .map(|entry| entry.payload().len())
            .sum(),
        _ => 0,
    };
    packets.iter().map(bytes).sum()
}

#[test]
fn a_peer_reported_unreachable_again_and_again_is_sent_one_append_each_time() {
    let mut cluster = leader(3, |_| {}, &["first"]);
    let command = "x".repeat(10_000);
    // Acknowledgements have opened the window.
    for _ in 0..600 {
        cluster.propose(1, &command).unwrap();
    }
    cluster.deliver();
    cluster.node(2).disk = Disk::Manual;
    for _ in 0..100 {
        cluster.propose(1, &command).unwrap();
    }
    cluster.deliver();
    for _ in 0..10 {
        cluster.input(1, Input::Unreachable { peer: NodeId(2) });
        cluster.send_heartbeats(1);
        let mut packets = Vec::new();
        while !cluster.queue.is_empty() {
            let packet = cluster.queue.remove(0);
            packets.push(packet.clone());
            cluster.deliver_packet(packet);
        }
        let bytes = bytes_to_n2(&packets);
        assert!(bytes <= 100_000, "{bytes} bytes sent again");
    }
}

#[test]
fn each_new_leader_gives_a_follower_with_a_stalled_disk_a_small_window() {
    let mut timed = Timed::new(3, network(1, 1, 0), |_| {});
    let mut leader = timed.elect();
    timed.run_under_load(millis(300), 100, 10_000);
    let stalled = if leader == 3 { 2 } else { 3 };
    timed.node(stalled).sync = Sync::Stalled;
    timed.run_under_load(millis(300), 100, 10_000);
    for _ in 0..5 {
        let before = timed.bytes_sent[&stalled];
        let other = (1..=3).find(|id| ![leader, stalled].contains(id)).unwrap();
        let (id, target) = (RequestId(7), Some(NodeId(other)));
        timed.input(leader, Input::TransferLeadership { id, target });
        timed.run_under_load(millis(200), 100, 10_000);
        assert_eq!(timed.leader(), Some(other));
        leader = other;
        let given = timed.bytes_sent[&stalled] - before;
        assert!(given <= 300_000, "{given} bytes for a disk that stalls");
    }
}

#[test]
fn a_loss_is_found_within_a_heartbeat_also_by_a_new_leader() {
    let mut cluster = Cluster::new(3);
    cluster.campaign(1);
    cluster.deliver_if(|packet| packet.message.kind() != MessageKind::AppendEntries);
    // The empty append that made n1 known is lost; so is the first command.
    cluster.propose(1, "a").unwrap();
    cluster.take_packets();
    cluster.send_heartbeats(1);
    cluster.deliver();
    assert_eq!(cluster.applied(1), ["a"]);
}

#[test]
fn what_is_sent_again_without_progress_is_sent_ever_more_rarely() {
    let mut cluster = leader(3, |_| {}, &["first"]);
    cluster.propose(1, "lost").unwrap();
    cluster.take_packets();
    let mut appends = 0;
    for _ in 0..20 {
        // n2 answers each heartbeat, and no append reaches it.
        cluster.send_heartbeats(1);
        while !cluster.queue.is_empty() {
            let packet = cluster.queue.remove(0);
            let with_entries = !entries_sent(std::slice::from_ref(&packet)).is_empty();
            if packet.to == NodeId(2) && with_entries {
                appends += 1;
            } else if packet.to != NodeId(3) {
                cluster.deliver_packet(packet);
            }
        }
    }
    assert!(appends <= 9, "{appends} times in 20 heartbeat intervals");
    assert!(appends >= 4, "{appends} times in 20 heartbeat intervals");
    cluster.wait(cluster.raft(1).config().election_timeout_min);
    cluster.send_heartbeats(1);
    cluster.deliver();
    assert_eq!(cluster.applied(2).last().unwrap(), "lost");
}
