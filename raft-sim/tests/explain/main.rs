//! `raft-sim explain`: recordings of a cluster say why entries were slow, leaders changed, and
//! proposals were lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cluster;
mod command_line;

use cluster::{APPLY, Cluster, MILLI, SYNC, WIRE, named};
use raft_proto::{Input, NodeId, RoleKind};
use raft_sim::explain::{Question, RecordedFile, Report, SlowEntry, Stage, explain};

fn explained(cluster: &Cluster) -> Report {
    let question = Question {
        slowest: 1000,
        ..Question::default()
    };
    explain(&named(&cluster.files()), &question).unwrap()
}

fn stage(entry: &SlowEntry, stage: Stage) -> u64 {
    let times = entry.stages.iter().filter(|it| it.stage == stage);
    times.map(|it| it.ns).sum()
}

/// The entries of the report are those that the cluster applied, and their stages add up to what
/// the cluster measured.
fn assert_sums(cluster: &Cluster, report: &Report) {
    for entry in &report.slowest {
        let id = raft_proto::EntryId::new(entry.index, entry.term);
        let (_, truth) = cluster.truth[&id];
        let whole = truth.applied.unwrap() - truth.proposed;
        let sum: u64 = entry.stages.iter().map(|it| it.ns).sum();
        assert_eq!(sum, entry.total_ns, "{entry:?}");
        assert!(sum.abs_diff(whole) * 20 <= whole, "{whole}: {entry:?}");
    }
}

#[test]
fn the_stages_of_each_entry_add_up_to_its_time_from_end_to_end() {
    let mut cluster = Cluster::new();
    let leader = cluster.elect(&[0, 1, 2]);
    for command in 0..20 {
        cluster.propose(leader, &format!("command {command}"));
        cluster.run(MILLI * (1 + command % 7));
    }
    cluster.run(100 * MILLI);
    let report = explained(&cluster);
    assert_eq!((report.proposed, report.followed), (20, 20));
    assert_eq!((report.lost.len(), report.contradiction_ns), (0, 0));
    assert_sums(&cluster, &report);
    // The clocks differ by seconds; half of a round trip is not known, of two by way of the leader.
    let widest = report.clocks.iter().map(|pair| pair.uncertainty_ns).max();
    assert_eq!(widest, Some(2 * WIRE), "{:?}", report.clocks);
    let fastest = report.slowest.last().unwrap();
    assert_eq!(stage(fastest, Stage::FollowerDisk), SYNC);
    assert_eq!(stage(fastest, Stage::Apply), APPLY);
    let wire = stage(fastest, Stage::WireOut) + stage(fastest, Stage::WireBack);
    assert_eq!(wire, 2 * WIRE);
}

#[test]
fn entries_are_followed_across_rotated_files_and_restarts() {
    let mut cluster = Cluster::new();
    let leader = cluster.elect(&[0, 1, 2]);
    let follower = (leader + 1) % 3;
    cluster.propose(leader, "one");
    cluster.rotate(leader);
    cluster.run(50 * MILLI);
    cluster.kill(follower);
    cluster.run(50 * MILLI);
    cluster.restart(follower);
    cluster.run(500 * MILLI);
    // Only the restarted follower can answer.
    cluster.isolate((leader + 2) % 3);
    cluster.propose(leader, "two");
    cluster.run(50 * MILLI);
    let report = explained(&cluster);
    assert_eq!(report.nodes.len(), 4);
    assert_eq!((report.proposed, report.followed), (2, 2));
    assert_sums(&cluster, &report);
    let two = report.slowest.iter().max_by_key(|it| it.index).unwrap();
    assert_eq!(stage(two, Stage::FollowerDisk), SYNC, "{two:?}");
}

#[test]
fn a_slow_disk_of_a_follower_is_named_as_the_cause() {
    let mut cluster = Cluster::new();
    let leader = cluster.elect(&[0, 1, 2]);
    let (slow, silent) = ((leader + 1) % 3, (leader + 2) % 3);
    cluster.propose(leader, "quick");
    cluster.run(20 * MILLI);
    cluster.isolate(silent);
    cluster.run(10 * MILLI);
    cluster.nodes[slow].sync = 38 * MILLI;
    let id = cluster.propose(leader, "slow");
    cluster.run(60 * MILLI);
    let report = explained(&cluster);
    let worst = &report.slowest[0];
    assert_eq!(worst.index, id.index.0);
    let (slow, silent) = (slow + 1, silent + 1);
    let expected = format!("n{slow}'s disk took 38.0 ms");
    assert!(worst.cause.contains(&expected), "{}", worst.cause);
    let expected = format!("n{silent} was not heard");
    assert!(worst.cause.contains(&expected), "{}", worst.cause);
    assert_sums(&cluster, &report);
}

#[test]
fn a_slow_disk_of_the_leader_is_named_as_the_cause() {
    let mut cluster = Cluster::new();
    let leader = cluster.elect(&[0, 1, 2]);
    cluster.propose(leader, "quick");
    cluster.run(20 * MILLI);
    cluster.nodes[leader].sync = 40 * MILLI;
    cluster.propose(leader, "slow");
    cluster.run(MILLI);
    cluster.propose(leader, "behind it");
    cluster.run(100 * MILLI);
    let report = explained(&cluster);
    let [behind, first, ..] = report.slowest.as_slice() else {
        panic!("{report:?}");
    };
    let name = format!("n{}'s own disk took", leader + 1);
    assert!(first.cause.starts_with(&name), "{}", first.cause);
    assert!(behind.cause.starts_with(&name), "{}", behind.cause);
    let waited = "behind earlier writes, 40.0 ms in its sync";
    assert!(behind.cause.contains(waited), "{}", behind.cause);
    assert_sums(&cluster, &report);
}

#[test]
fn what_the_driver_has_measured_besides_divides_the_time_further() {
    let mut cluster = Cluster::new();
    let leader = cluster.elect(&[0, 1, 2]);
    let id = cluster.propose(leader, "command");
    let begin = cluster.now;
    cluster.run(50 * MILLI);
    let clock = |time| cluster.clock(leader, time);
    // Given 5 ms before the core took it, and applied a little before the core was told.
    let applied = cluster.truth[&id].1.applied.unwrap() - 1000;
    let times = format!(
        "raft-times 1\nproposal 1 {}\nlater 1 2 3\napply {} {} {}\napply 99",
        clock(begin - 5 * MILLI),
        id.index,
        clock(applied - APPLY / 2),
        clock(applied),
    );
    let files = cluster.files();
    let with_times = named(&files);
    let with_times = with_times.into_iter().enumerate().map(|(at, file)| {
        let times = (at == leader).then_some(times.as_bytes());
        RecordedFile { times, ..file }
    });
    let report = explain(&with_times.collect::<Vec<_>>(), &Question::default()).unwrap();
    let entry = &report.slowest[0];
    assert_eq!(stage(entry, Stage::Queue), 5 * MILLI);
    assert_eq!(stage(entry, Stage::Apply), APPLY - 1000);
    assert!(
        entry.cause.starts_with("it waited 5.00 ms until"),
        "{}",
        entry.cause
    );
    assert_eq!(entry.total_ns, applied - begin + 5 * MILLI);
}

#[test]
fn the_silence_of_a_leader_that_was_killed_explains_the_next_one() {
    let mut cluster = Cluster::new();
    let first = cluster.elect(&[0, 1, 2]);
    cluster.run(300 * MILLI);
    cluster.kill(first);
    let others = [(first + 1) % 3, (first + 2) % 3];
    let second = cluster.elect(&others);
    let report = explained(&cluster);
    let [before, after] = report.leaders.as_slice() else {
        panic!("{:?}", report.leaders);
    };
    let (old, new) = (first as u64 + 1, second as u64 + 1);
    assert_eq!((before.node, after.node), (old, new));
    assert!(
        before.why.contains("had heard no leader since its start"),
        "{}",
        before.why
    );
    assert!(
        before.ended.contains("its recording ends"),
        "{}",
        before.ended
    );
    let silence = format!("n{new}, which had heard nothing from n{old} for");
    assert!(after.why.contains(&silence), "{}", after.why);
    assert!(
        after.why.contains(&format!("n{old}'s last step was")),
        "{}",
        after.why
    );
    assert!(after.without_leader_ns > Some(400 * MILLI), "{after:?}");
}

#[test]
fn a_connection_that_was_closed_is_told_from_an_election_timeout() {
    let mut cluster = Cluster::new();
    let first = cluster.elect(&[0, 1, 2]);
    cluster.run(300 * MILLI);
    // The next leader knows that it is committed; nobody will tell its proposer.
    cluster.propose(first, "committed by the next leader");
    cluster.run(WIRE);
    cluster.kill(first);
    cluster.run(20 * MILLI);
    let others = [(first + 1) % 3, (first + 2) % 3];
    let peer = NodeId(first as u64 + 1);
    for other in others {
        cluster.step(other, Input::Unreachable { peer });
    }
    let second = cluster.elect(&others);
    let report = explained(&cluster);
    let [_, after] = report.leaders.as_slice() else {
        panic!("{:?}", report.leaders);
    };
    let expected = format!("n{}'s transport reported that {peer} cannot", second + 1);
    assert!(after.why.starts_with(&expected), "{}", after.why);
    assert!(
        after
            .why
            .contains("without waiting for an election timeout")
    );
    assert_eq!((report.followed, report.unfollowed), (0, 1));
    assert!(report.lost.is_empty(), "{:?}", report.lost);
}

#[test]
fn a_leader_that_was_cut_off_is_said_to_have_sent_and_to_have_stepped_down() {
    let mut cluster = Cluster::new();
    let first = cluster.elect(&[0, 1, 2]);
    cluster.run(300 * MILLI);
    cluster.isolate(first);
    let others = [(first + 1) % 3, (first + 2) % 3];
    cluster.elect(&others);
    cluster.run(2000 * MILLI);
    let report = explained(&cluster);
    let [before, after] = report.leaders.as_slice() else {
        panic!("{:?}", report.leaders);
    };
    let is_told = after
        .why
        .contains("messages meanwhile, and none arrived in time")
        || after.why.contains("had ceased to lead");
    assert!(is_told, "{}", after.why);
    assert!(
        before.ended.contains("had not heard a majority"),
        "{}",
        before.ended
    );
}

#[test]
fn a_transfer_and_a_campaign_by_hand_are_told_from_elections() {
    let mut cluster = Cluster::new();
    let first = cluster.elect(&[0, 1, 2]);
    cluster.run(300 * MILLI);
    let (second, third) = ((first + 1) % 3, (first + 2) % 3);
    let (id, target) = (cluster.request(), Some(NodeId(second as u64 + 1)));
    cluster.step(first, Input::TransferLeadership { id, target });
    cluster.run(100 * MILLI);
    let id = cluster.request();
    cluster.step(second, Input::StepDown { id });
    // It is refused as long as the leader was just heard.
    while cluster.nodes[third].raft.role() == RoleKind::Follower {
        cluster.run(10 * MILLI);
        let id = cluster.request();
        cluster.step(third, Input::Campaign { id });
    }
    cluster.run(100 * MILLI);
    let report = explained(&cluster);
    let [_, handed, by_hand] = report.leaders.as_slice() else {
        panic!("{:?}", report.leaders);
    };
    let told = format!(
        "n{} handed leadership over to it, which was asked",
        first + 1
    );
    assert!(handed.why.starts_with(&told), "{}", handed.why);
    assert_eq!(handed.ended, "it was asked to step down");
    assert!(
        by_hand.why.starts_with("it was asked by hand"),
        "{}",
        by_hand.why
    );
}

#[test]
fn a_proposal_that_another_leader_overwrote_is_named_with_both() {
    let mut cluster = Cluster::new();
    let first = cluster.elect(&[0, 1, 2]);
    cluster.run(300 * MILLI);
    cluster.isolate(first);
    let lost = cluster.propose(first, "lost");
    let also_lost = cluster.propose(first, "also lost");
    let second = cluster.elect(&[(first + 1) % 3, (first + 2) % 3]);
    cluster.propose(second, "kept");
    cluster.run(200 * MILLI);
    cluster.heal();
    cluster.run(2000 * MILLI);
    let report = explained(&cluster);
    let [told] = report.lost.as_slice() else {
        panic!("{:?}", report.lost);
    };
    assert!(told.is_lost);
    assert_eq!((told.first, told.last), (lost.index.0, also_lost.index.0));
    let (old, new) = (first + 1, second + 1);
    for expected in [
        format!("on the disks of n{old} (1 of 3 voters)"),
        "did not receive it".to_owned(),
        format!("n{new}, the leader of term"),
        format!("n{old} overwrote it at"),
    ] {
        assert!(told.why.contains(&expected), "{expected}: {}", told.why);
    }
}

#[test]
fn a_proposal_that_nothing_decides_is_open_and_not_lost() {
    let mut cluster = Cluster::new();
    let leader = cluster.elect(&[0, 1, 2]);
    cluster.isolate(leader);
    cluster.propose(leader, "open");
    cluster.run(50 * MILLI);
    let report = explained(&cluster);
    let [told] = report.lost.as_slice() else {
        panic!("{:?}", report.lost);
    };
    assert!(!told.is_lost, "{}", told.why);
    assert!(
        told.why.contains("until the recordings end"),
        "{}",
        told.why
    );
}

#[test]
fn an_entry_that_the_next_leader_committed_waited_for_the_change() {
    let mut cluster = Cluster::new();
    let first = cluster.elect(&[0, 1, 2]);
    cluster.run(300 * MILLI);
    cluster.propose(first, "kept");
    // The appends have arrived, and no answer ever will.
    cluster.run(WIRE);
    cluster.isolate(first);
    cluster.elect(&[(first + 1) % 3, (first + 2) % 3]);
    cluster.heal();
    cluster.run(1000 * MILLI);
    let report = explained(&cluster);
    let [entry] = report.slowest.as_slice() else {
        panic!("{report:?}");
    };
    let expected = format!("n{} ceased to lead, and learnt after", first + 1);
    assert!(entry.cause.starts_with(&expected), "{}", entry.cause);
    assert!(report.lost.is_empty(), "{:?}", report.lost);
    assert_sums(&cluster, &report);
}

#[test]
fn recordings_whose_beginning_is_missing_are_explained_from_there() {
    let mut cluster = Cluster::new();
    let leader = cluster.elect(&[0, 1, 2]);
    cluster.propose(leader, "before");
    cluster.run(50 * MILLI);
    for node in 0..3 {
        cluster.rotate(node);
    }
    cluster.propose(leader, "after");
    cluster.run(50 * MILLI);
    let files = cluster.files();
    let newest: Vec<_> = files
        .into_iter()
        .filter(|(name, _)| name.ends_with("-1.raftrec"))
        .collect();
    let report = explain(&named(&newest), &Question::default()).unwrap();
    assert_eq!((report.proposed, report.followed), (1, 1));
    let [led] = report.leaders.as_slice() else {
        panic!("{:?}", report.leaders);
    };
    assert_eq!(led.node, leader as u64 + 1);
    assert!(
        led.why.contains("led already when its recording begins"),
        "{}",
        led.why
    );
    assert_sums(&cluster, &report);
}
