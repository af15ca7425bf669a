//! A follower takes no old answer of its leader for a new one, whatever its seed and however often
//! it restarts: no two requests of one node in one term are equal (thesis 6.4). And reads wait in
//! the order of time.
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

fn read(cluster: &mut Cluster, node: u64, id: u64) -> Vec<Action> {
    let (id, mode) = (RequestId(id), ReadMode::Quorum);
    cluster.input(node, Input::Read { id, mode })
}

/// The outcomes of the reads at a node, with their ids; forgets them.
fn outcomes(cluster: &mut Cluster, node: u64) -> Vec<(u64, Result<Index, ReadError>)> {
    let actions = std::mem::take(&mut cluster.node(node).other_actions);
    let outcome = |action| match action {
        Action::Read { id, outcome } => Some((id.0, outcome)),
        _ => None,
    };
    actions.into_iter().filter_map(outcome).collect()
}

/// The node restarts with the seed that it had.
fn restart_with_the_same_seed(cluster: &mut Cluster, node: u64) {
    cluster.node(node).config.seed -= 1;
    cluster.restart(node);
}

fn answers_to(packets: &[Packet], node: u64) -> Vec<Packet> {
    let is_answer = |packet: &&Packet| {
        packet.to == NodeId(node) && packet.message.kind() == MessageKind::ReadIndexReply
    };
    packets.iter().filter(is_answer).cloned().collect()
}

/// Delivers everything, and returns the answers to n3's reads, which are lost.
fn lose_answers(cluster: &mut Cluster) -> Vec<Packet> {
    let mut lost = Vec::new();
    while !cluster.queue.is_empty() {
        let packet = cluster.queue.remove(0);
        let found = answers_to(std::slice::from_ref(&packet), 3);
        if found.is_empty() {
            cluster.deliver_packet(packet);
        }
        lost.extend(found);
    }
    lost
}

/// n3 has asked n1 for a read, restarted with its seed, and asked again. Only its first request was
/// answered, and n1 has committed another command since. Returns the first answer.
fn n3_restarts_between_two_reads(noop: LeaderNoop) -> (Cluster, Packet) {
    let mut cluster = leader(3, |config| config.leader_noop = noop, &["a"]);
    cluster.send_heartbeats(1);
    cluster.deliver();
    read(&mut cluster, 3, 1);
    let lost = lose_answers(&mut cluster);
    let [answer] = &lost[..] else {
        panic!("one answer: {lost:?}")
    };
    restart_with_the_same_seed(&mut cluster, 3);
    cluster.propose(1, "b").unwrap();
    cluster.deliver_if(|packet| packet.to != NodeId(3));
    // n3 learns who leads, and nothing else.
    let last = cluster.raft(3).last_log();
    cluster.receive(3, 1, heartbeat(1, last, 1));
    cluster.take_packets();
    assert_eq!(cluster.raft(3).leader(), Some(NodeId(1)));
    outcomes(&mut cluster, 3);
    read(&mut cluster, 3, 2);
    (cluster, answer.clone())
}

// The bug: the numbers of requests come from the seed. After a restart with the same one, the old
// answer serves a new read, which misses what was committed in between.
#[test]
fn an_answer_from_before_a_restart_with_the_same_seed_is_not_taken_for_a_new_one() {
    let (mut cluster, answer) = n3_restarts_between_two_reads(LeaderNoop::On);
    cluster.deliver_packet(answer.clone());
    assert_eq!(outcomes(&mut cluster, 3), []);
    // The entry that n3 lacked arrives, and then the read is served.
    for _ in 0..3 {
        cluster.deliver();
        cluster.send_heartbeats(1);
        cluster.deliver_packet(answer.clone());
    }
    let commit_index = cluster.raft(1).commit_index();
    assert_eq!(outcomes(&mut cluster, 3), [(2, Ok(commit_index))]);
}

#[test]
fn a_follower_that_stored_nothing_since_its_restart_is_sent_an_entry_to_read() {
    let mut cluster = leader(3, |config| config.leader_noop = LeaderNoop::On, &["a"]);
    cluster.send_heartbeats(1);
    cluster.deliver();
    restart_with_the_same_seed(&mut cluster, 3);
    cluster.send_heartbeats(1);
    cluster.deliver();
    let before = cluster.raft(1).last_log().index;
    read(&mut cluster, 3, 1);
    cluster.deliver();
    let index = cluster.raft(1).last_log().index;
    assert_eq!(index, before.next(), "one empty entry");
    assert!(matches!(
        outcomes(&mut cluster, 3)[..],
        [(1, Ok(read_at))] if read_at >= before
    ));
    // From now on it reads as any other follower.
    read(&mut cluster, 3, 2);
    cluster.deliver();
    assert_eq!(outcomes(&mut cluster, 3), [(2, Ok(index))]);
    assert_eq!(cluster.raft(1).last_log().index, index);
}

#[test]
fn without_noops_a_follower_that_stored_nothing_since_its_restart_names_the_leader() {
    let (mut cluster, answer) = n3_restarts_between_two_reads(LeaderNoop::Off);
    let leader = NodeId(1);
    let refused = (2, Err(ReadError::NothingStored { leader }));
    assert_eq!(outcomes(&mut cluster, 3), [refused]);
    cluster.deliver_packet(answer);
    cluster.deliver();
    cluster.send_heartbeats(1);
    cluster.deliver();
    cluster.send_heartbeats(1);
    cluster.deliver();
    // It has stored what it lacked.
    read(&mut cluster, 3, 3);
    cluster.deliver();
    assert_eq!(outcomes(&mut cluster, 3), [(3, Ok(Index(2)))]);
}

// A crash could take the term back, and the next run would enter it again.
#[test]
fn a_follower_asks_nothing_in_a_term_that_is_not_durable() {
    let mut cluster = Cluster::new(3);
    cluster.node(2).disk = Disk::Manual;
    cluster.receive(2, 1, heartbeat(1, EntryId::ZERO, 0));
    cluster.take_packets();
    read(&mut cluster, 2, 1);
    assert_eq!(cluster.sent_by(2), []);
    cluster.sync(2, 1);
    let sent = cluster.sent_by(2);
    assert!(matches!(sent[..], [(1, Message::ReadIndex(_))]), "{sent:?}");
}

// Every answer that was ever sent arrives again and again, at every moment.
#[test]
fn no_repeated_answer_serves_a_stale_read_whenever_the_follower_restarts() {
    for run in 0..200u64 {
        let mut random = run.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut draw = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let mut cluster = leader(3, |config| config.leader_noop = LeaderNoop::On, &["a"]);
        let (mut old, mut reads) = (Vec::new(), Vec::new());
        for step in 0..60 {
            match draw(6) {
                0 => restart_with_the_same_seed(&mut cluster, 3),
                1 => drop(cluster.propose(1, "x")),
                2 => {
                    // Beside the client, who knows what was committed when it asked.
                    reads.push((step, cluster.raft(1).commit_index()));
                    read(&mut cluster, 3, step);
                }
                3 => drop(cluster.send_heartbeats(1)),
                _ => {
                    let cut = draw(3) == 0;
                    let packets = cluster.take_packets();
                    old.extend(answers_to(&packets, 3));
                    for packet in packets {
                        if !cut || packet.to != NodeId(3) {
                            cluster.deliver_packet(packet);
                        }
                    }
                }
            }
            for answer in old.clone() {
                cluster.deliver_packet(answer);
            }
            for (id, outcome) in outcomes(&mut cluster, 3) {
                let (_, committed) = reads.iter().find(|(read, _)| *read == id).unwrap();
                if let Ok(index) = outcome {
                    assert!(index >= *committed, "run {run}: {index} < {committed}");
                }
            }
        }
    }
}

#[test]
fn reads_expire_in_the_order_in_which_they_came_and_no_earlier() {
    let mut cluster = leader(3, |_| {}, &["a"]);
    cluster.send_heartbeats(1);
    cluster.deliver();
    cluster.take_packets();
    let timeout = cluster.raft(1).config().election_timeout_max;
    let begun = cluster.now;
    // The first is under way, the others wait for the next round.
    for node in [1, 3] {
        cluster.now = begun;
        for id in 0..3 {
            read(&mut cluster, node, id);
            cluster.wait(Duration::from_millis(10));
        }
    }
    cluster.take_packets();
    // n3 still follows.
    let last = cluster.raft(3).last_log();
    cluster.now = begun.after(timeout / 2);
    cluster.receive(3, 1, heartbeat(1, last, 1));
    for node in [1, 3] {
        let mut expired = Vec::new();
        for ms in [0, 9, 10, 19, 20, 30] {
            let at = begun.after(timeout).after(Duration::from_millis(ms));
            let actions = cluster.node(node).raft.step(Event {
                at,
                input: Input::Tick,
            });
            for action in actions {
                if let Action::Read { id, outcome } = action {
                    assert!(outcome.is_err());
                    expired.push((ms, id.0));
                }
            }
        }
        assert_eq!(expired, [(0, 0), (10, 1), (20, 2)], "n{node}");
    }
}

#[test]
fn a_later_request_of_a_follower_takes_the_place_of_its_earlier_one() {
    let mut cluster = leader(3, |_| {}, &["a"]);
    cluster.elect(2); // it has committed nothing in its term: reads wait
    let ask = |number| {
        Message::ReadIndex(ReadIndex {
            term: Term(2),
            number,
            stored: Index(0),
        })
    };
    for number in [5, 6, 6] {
        cluster.receive(2, 1, ask(number));
    }
    cluster.receive(2, 3, ask(5));
    cluster.propose(2, "b").unwrap();
    cluster.take_packets();
    let last = cluster.raft(2).last_log();
    cluster.receive(2, 1, accepted(2, last.index.0));
    let reply = AppendEntriesReply {
        term: Term(2),
        outcome: AppendOutcome::Accepted {
            match_index: last.index,
            received: last.index,
        },
        round: 1,
        limits: None,
    };
    cluster.take_packets();
    cluster.receive(2, 1, Message::AppendEntriesReply(reply));
    let answered: Vec<(u64, u64)> = cluster
        .sent_by(2)
        .into_iter()
        .filter_map(|(to, message)| match message {
            Message::ReadIndexReply(reply) => Some((to, reply.number)),
            _ => None,
        })
        .collect();
    assert_eq!(answered, [(1, 6), (3, 5)]);
}

/// The numbers of the requests that n3 sends on this disk, one for each of 100 reads.
fn requests_on(disk: u64) -> Vec<(Term, Index, u64)> {
    let incarnation = |id: u64| Some(Incarnation(if id == 3 { disk } else { id }));
    let with_disks = |config: &mut Config| config.incarnation = incarnation(config.node_id.0);
    let mut cluster = leader(3, with_disks, &["a"]);
    cluster.send_heartbeats(1);
    cluster.deliver();
    let mut requests = Vec::new();
    for id in 1..=100 {
        let actions = read(&mut cluster, 3, id);
        requests.extend(actions.iter().filter_map(|action| match action {
            Action::Send {
                message: Message::ReadIndex(request),
                ..
            } => Some((request.term, request.stored, request.number)),
            _ => None,
        }));
        cluster.deliver();
    }
    assert_eq!(requests.len(), 100);
    requests
}

// The bug: a node whose disk was lost asks on an empty one, in the same term and with the same
// seed. Both runs have entered that term, so `stored` is 0 in both: only the number can differ. It
// counts up, so it is not enough that the first ones differ.
#[test]
fn requests_on_two_disks_of_a_node_differ_whatever_the_seed() {
    for (lost, empty) in [(0x33, 0x44), (0x13, 0x23), (1, 2), (1 << 40, 2 << 40)] {
        let (lost, empty) = (requests_on(lost), requests_on(empty));
        let of = |(term, stored, _): &(Term, Index, u64)| (*term, *stored);
        assert_eq!(of(&lost[0]), of(&empty[0]));
        let equal = lost.iter().filter(|it| empty.contains(it)).count();
        assert_eq!(equal, 0);
    }
}
