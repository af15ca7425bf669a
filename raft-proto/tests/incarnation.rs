//! Disk identity (`incarnation.rs`): a server whose disk was lost and made anew does not count, and
//! what it would have broken stays whole.
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

const SECOND: Duration = Duration::from_secs(1);

/// The first storage of a node.
fn first(id: u64) -> Incarnation {
    Incarnation(0x10 + id)
}

/// The storage of a node that was made anew.
fn anew(id: u64) -> Incarnation {
    Incarnation(0x20 + id)
}

/// A node with an incarnation and the default features.
fn with_features(mut config: Config) -> Config {
    config.incarnation = Some(first(config.node_id.0));
    config.pre_vote = PreVoting::On;
    config.check_quorum = CheckQuorum::On;
    config.leader_noop = LeaderNoop::On;
    config
}

fn cluster(count: u64) -> Cluster {
    Cluster::with(count, |config| *config = with_features(config.clone()))
}

/// A node that joins.
fn joiner(id: u64) -> Config {
    let mut config = with_features(config(id, 1));
    config.start = Start::Join;
    config
}

/// Lets time pass. Messages of and to the nodes that are down are lost.
fn run(cluster: &mut Cluster, duration: Duration, down: &[u64]) {
    let end = cluster.now.after(duration);
    while cluster.now < end {
        cluster.now = cluster.now.after(Duration::from_millis(20));
        let now = cluster.now;
        let ids: Vec<u64> = cluster.nodes.keys().map(|id| id.0).collect();
        for id in ids.into_iter().filter(|id| !down.contains(id)) {
            if cluster.node(id).wake_at <= now {
                cluster.tick(id);
            }
        }
        cluster.deliver_if(|it| ![it.from, it.to].iter().any(|id| down.contains(&id.0)));
    }
}

fn leaders(cluster: &Cluster) -> Vec<u64> {
    let nodes = cluster.nodes.iter();
    let leads = nodes.filter(|(_, node)| node.raft.role() == RoleKind::Leader);
    leads.map(|(id, _)| id.0).collect()
}

fn leader(cluster: &mut Cluster) -> u64 {
    run(cluster, 5 * SECOND, &[]);
    let [leader] = leaders(cluster)[..] else {
        panic!("{:?} lead", leaders(cluster))
    };
    leader
}

/// The disk of a node is lost, and it starts with an empty one.
fn wipe(cluster: &mut Cluster, id: u64, start: Start) {
    cluster.queue.retain(|it| it.to != NodeId(id));
    let node = cluster.node(id);
    node.config.start = start;
    node.config.incarnation = Some(anew(id));
    node.config.seed += 100;
    node.stored = Recovered::default();
    node.raft = Raft::new(node.config.clone(), Recovered::default()).unwrap();
    node.snapshots.clear();
    node.applied.clear();
    node.other_actions.clear();
    node.wake_at = Time::NEVER;
    cluster.tick(id);
}

fn founders(count: u64) -> Start {
    Start::voters((1..=count).map(NodeId))
}

fn change(cluster: &mut Cluster, leader: u64, change: NodeChange) -> Result<EntryId, ChangeError> {
    let id = RequestId(9);
    let change = MembershipChange::from(change);
    let actions = cluster.input(leader, Input::ChangeMembership { id, change });
    let outcome = actions.into_iter().find_map(|action| match action {
        Action::ChangeProposed { outcome, .. } => Some(outcome),
        _ => None,
    });
    outcome.unwrap()
}

fn has_said(cluster: &Cluster, id: u64, says: impl Fn(&Action) -> bool) -> bool {
    cluster.nodes[&NodeId(id)].other_actions.iter().any(says)
}

fn foreign(node: u64) -> Action {
    Action::ForeignIncarnation(ForeignIncarnation {
        node: NodeId(node),
        named: first(node),
        spoken: Some(anew(node)),
    })
}

fn is_replaced(action: &Action) -> bool {
    matches!(action, Action::Replaced { .. })
}

/// The nodes other than `id`.
fn others(id: u64) -> Vec<u64> {
    (1..=3).filter(|it| *it != id).collect()
}

#[test]
fn a_cluster_is_founded_by_all_its_founders_and_its_first_entry_names_them() {
    let mut cluster = cluster(3);
    run(&mut cluster, 60 * SECOND, &[3]);
    assert_eq!(leaders(&cluster), [0; 0]);
    let missing: Vec<NodeId> = cluster.raft(1).missing_founders().collect();
    assert!(missing.contains(&NodeId(3)), "{missing:?}");
    let leader = leader(&mut cluster);
    for id in 1..=3 {
        let membership = cluster.raft(id).membership().clone();
        for member in membership.members() {
            assert_eq!(member.incarnation, Some(first(member.id.0)));
        }
        assert_eq!(membership.history(), Some(HistoryId(first(leader).0)));
        assert_eq!(cluster.raft(id).missing_founders().count(), 0);
        let entries = cluster.raft(id).entries(Index(1), Index(1));
        assert_eq!(entries.iter().next().unwrap().kind(), EntryKind::Membership);
    }
    // From now on a majority suffices.
    run(&mut cluster, 5 * SECOND, &[leader]);
    let rest = others(leader);
    assert!(rest.iter().any(|id| leaders(&cluster).contains(id)));
}

/// Where the founding entry was written to, but not committed, only those that hold it can lead.
#[test]
fn a_founder_that_holds_the_first_entry_refuses_another_founding() {
    let mut cluster = cluster(3);
    // The first leader appends the entry, and nobody else receives it.
    for _ in 0..500 {
        run(&mut cluster, Duration::from_millis(20), &[4]);
        if !leaders(&cluster).is_empty() {
            break;
        }
    }
    let leader = leaders(&cluster)[0];
    wipe(&mut cluster, others(leader)[0], founders(3));
    wipe(&mut cluster, others(leader)[1], founders(3));
    run(&mut cluster, 30 * SECOND, &[]);
    let led = leaders(&cluster);
    assert!(led.iter().all(|id| *id == leader), "{led:?} lead");
}

/// Two of three hold an entry, and the one that does not lead loses its disk. With its vote, the
/// third one would be elected without the entry.
#[test]
fn a_voter_made_anew_does_not_elect_a_node_without_the_acknowledged_entry() {
    let mut cluster = cluster(3);
    let leader = leader(&mut cluster);
    let [lost, behind] = others(leader)[..] else {
        panic!()
    };
    cluster.propose(leader, "x").unwrap();
    run(&mut cluster, Duration::from_millis(40), &[behind]);
    assert_eq!(cluster.applied(leader), ["x"]);
    wipe(&mut cluster, lost, founders(3));
    run(&mut cluster, 60 * SECOND, &[leader]);
    assert_eq!(
        leaders(&cluster),
        [leader],
        "who is cut off, and steps down"
    );
    assert!(has_said(&cluster, behind, |it| *it == foreign(lost)));
    assert!(has_said(&cluster, lost, is_replaced));
    let term = cluster.raft(behind).term();
    run(&mut cluster, 20 * SECOND, &[leader]);
    assert_eq!(cluster.raft(lost).role(), RoleKind::Follower, "it is quiet");
    assert_eq!(cluster.raft(behind).term(), term);
    // With the leader back, nothing is lost.
    let leader = self::leader(&mut cluster);
    assert!(leader != lost);
    assert_eq!(cluster.applied(behind), ["x"]);
}

/// It hears a leader, and so asks nobody for votes.
#[test]
fn a_founder_made_anew_that_follows_a_leader_learns_that_it_does_not_count() {
    let mut cluster = cluster(3);
    let leader = leader(&mut cluster);
    let lost = others(leader)[0];
    wipe(&mut cluster, lost, founders(3));
    run(&mut cluster, 5 * SECOND, &[]);
    assert_eq!(leaders(&cluster), [leader]);
    assert!(has_said(&cluster, lost, is_replaced));
    assert_eq!(cluster.raft(lost).replaced_by(), Some(first(lost)));
}

#[test]
fn two_of_three_made_anew_elect_nobody_and_the_survivor_says_so() {
    let mut cluster = cluster(3);
    let survivor = leader(&mut cluster);
    cluster.propose(survivor, "x").unwrap();
    cluster.deliver();
    let made_anew = others(survivor);
    // They start first, and meet the survivor later.
    for id in &made_anew {
        wipe(&mut cluster, *id, founders(3));
    }
    run(&mut cluster, 30 * SECOND, &[survivor]);
    for id in &made_anew {
        assert_ne!(cluster.raft(*id).role(), RoleKind::Leader);
        let missing: Vec<NodeId> = cluster.raft(*id).missing_founders().collect();
        assert!(missing.contains(&NodeId(survivor)), "{missing:?}");
    }
    cluster.restart(survivor);
    run(&mut cluster, 30 * SECOND, &[]);
    assert_eq!(leaders(&cluster), [0; 0]);
    for id in &made_anew {
        assert!(has_said(&cluster, survivor, |it| *it == foreign(*id)));
        assert!(has_said(&cluster, *id, is_replaced));
        assert_eq!(cluster.raft(*id).last_log(), EntryId::ZERO);
    }
    assert_eq!(cluster.raft(survivor).foreign_incarnations().len(), 2);
    assert!(cluster.log(survivor).len() >= 2, "its log is whole");
}

#[test]
fn all_three_made_anew_found_another_history_which_an_old_disk_does_not_follow() {
    let mut cluster = cluster(3);
    let leader = self::leader(&mut cluster);
    cluster.propose(leader, "x").unwrap();
    cluster.deliver();
    let old_disk = cluster.node(1).stored.clone();
    for id in 1..=3 {
        wipe(&mut cluster, id, founders(3));
    }
    let leader = self::leader(&mut cluster);
    for _ in 0..20 {
        cluster.propose(leader, "y").unwrap();
    }
    run(&mut cluster, SECOND, &[]);
    // The first node's old disk comes back; a restart does not know what was committed.
    cluster.node(1).stored = old_disk.clone();
    cluster.restart(1);
    let log = cluster.log(1);
    run(&mut cluster, 30 * SECOND, &[]);
    assert_eq!(cluster.log(1), log, "nothing of it is overwritten");
    let other_history = |action: &Action| {
        let reason = match action {
            Action::Rejected { reason, .. } => reason,
            _ => return false,
        };
        matches!(reason, Rejection::OtherHistory { .. })
    };
    assert!(has_said(&cluster, 1, other_history));
    let hear = others(1).into_iter();
    assert!(hear.clone().all(|id| has_said(&cluster, id, other_history)));
    let rest = leaders(&cluster);
    assert!(rest.len() == 1 && rest[0] != 1, "{rest:?}");
}

/// A joiner receives the log from its beginning. Its number is the only voter there.
#[test]
fn a_number_used_again_does_not_lead_by_the_old_configuration_in_its_log() {
    let mut cluster = cluster(1);
    run(&mut cluster, 3 * SECOND, &[]);
    assert_eq!(leaders(&cluster), [1]);
    for id in 2..=3 {
        cluster.add(joiner(id));
        let added = NodeChange::Set(Member::learner(NodeId(id)));
        change(&mut cluster, 1, added).unwrap();
        run(&mut cluster, SECOND, &[]);
        change(&mut cluster, 1, NodeChange::Promote(NodeId(id))).unwrap();
        run(&mut cluster, SECOND, &[]);
    }
    let leader = leader(&mut cluster);
    change(&mut cluster, leader, NodeChange::Remove(NodeId(1))).unwrap();
    run(&mut cluster, 5 * SECOND, &[]);
    // It comes back under its old number, with an empty disk, and is sent the log.
    wipe(&mut cluster, 1, Start::Join);
    let leader = *leaders(&cluster).first().unwrap();
    let again = Member::learner(NodeId(1)).with_incarnation(anew(1));
    change(&mut cluster, leader, NodeChange::Set(again)).unwrap();
    // It gets the first entries, by which it is the only voter, and then nothing for a minute.
    let first_entries = cluster.raft(leader).entries(Index(1), Index(1));
    let from = NodeId(leader);
    let (term, incarnation) = (cluster.raft(leader).term(), Some(first(leader)));
    let message = Message::AppendEntries(AppendEntries {
        term,
        prev_log: EntryId::ZERO,
        leader_commit: Index(1),
        entries: first_entries,
        round: 0,
        revoked: 0,
        promise_millis: 0,
        lineage: Lineage::Of(HistoryId(first(1).0)),
    });
    cluster.input(
        1,
        Input::Receive {
            from,
            incarnation,
            message,
        },
    );
    assert_eq!(cluster.raft(1).last_log().index, Index(1));
    assert!(cluster.raft(1).membership().is_voter(NodeId(1)));
    run(&mut cluster, 60 * SECOND, &[2, 3]);
    assert_ne!(cluster.raft(1).role(), RoleKind::Leader);
    assert!(has_said(&cluster, 1, is_replaced));
    // With the rest of the log it is a member again.
    run(&mut cluster, 10 * SECOND, &[]);
    let leader = *leaders(&cluster).first().unwrap();
    change(&mut cluster, leader, NodeChange::Promote(NodeId(1))).unwrap();
    run(&mut cluster, SECOND, &[]);
    assert!(cluster.raft(1).membership().is_voter(NodeId(1)));
}

#[test]
fn a_storage_that_is_not_named_deposes_nobody() {
    let mut cluster = cluster(3);
    let leader = leader(&mut cluster);
    let (from, term) = (NodeId(others(leader)[0]), cluster.raft(leader).term());
    let incarnation = Some(anew(from.0));
    let far = Term(term.0 + 50);
    let messages = [
        Message::RequestVote(RequestVote {
            term: far,
            last_log: EntryId::new(1_000, far.0 - 1),
            campaign: Campaign::Transfer { number: 1 },
            lineage: Lineage::Unknown,
        }),
        append_reply(far.0, AppendOutcome::Stale),
        vote(far.0, Vote::Refused),
    ];
    for message in messages {
        let input = Input::Receive {
            from,
            incarnation,
            message,
        };
        cluster.input(leader, input);
        assert_eq!(cluster.raft(leader).term(), term);
        assert_eq!(cluster.raft(leader).role(), RoleKind::Leader);
    }
}

#[test]
fn acknowledgements_of_another_storage_commit_nothing() {
    let mut cluster = cluster(3);
    let leader = leader(&mut cluster);
    let commit = cluster.raft(leader).commit_index();
    cluster.propose(leader, "x").unwrap();
    cluster.queue.clear();
    let from = NodeId(others(leader)[0]);
    let message = accepted(cluster.raft(leader).term().0, commit.0 + 1);
    let receive = |incarnation, message| Input::Receive {
        from,
        incarnation,
        message,
    };
    cluster.input(leader, receive(Some(anew(from.0)), message.clone()));
    cluster.input(leader, receive(None, message.clone()));
    assert_eq!(cluster.raft(leader).commit_index(), commit);
    cluster.input(leader, receive(Some(first(from.0)), message));
    assert_eq!(cluster.raft(leader).commit_index(), commit.next());
}

#[test]
fn founders_with_different_lists_are_refused_on_both_sides() {
    let mut cluster = cluster(3);
    wipe(&mut cluster, 3, Start::voters([NodeId(2), NodeId(3)]));
    wipe(&mut cluster, 2, founders(3));
    run(&mut cluster, 10 * SECOND, &[]);
    assert_eq!(leaders(&cluster), [0; 0]);
    for (id, peer) in [(2, 3), (3, 2)] {
        let refuses = |action: &Action| {
            let reason = Rejection::OtherFounders;
            *action
                == Action::Rejected {
                    from: NodeId(peer),
                    reason,
                }
        };
        assert!(has_said(&cluster, id, refuses), "n{id} of n{peer}");
    }
}

#[test]
fn a_lost_disk_is_replaced_through_a_learner_under_the_same_number() {
    let mut cluster = cluster(3);
    let leader = leader(&mut cluster);
    let lost = others(leader)[0];
    cluster.propose(leader, "x").unwrap();
    run(&mut cluster, SECOND, &[]);
    wipe(&mut cluster, lost, Start::Join);
    let voter = Member::voter(NodeId(lost)).with_incarnation(anew(lost));
    let refused = change(&mut cluster, leader, NodeChange::Set(voter));
    let (node, named) = (NodeId(lost), first(lost));
    assert_eq!(refused, Err(ChangeError::OtherIncarnation { node, named }));
    let learner = Member::learner(node).with_incarnation(anew(lost));
    change(&mut cluster, leader, NodeChange::Set(learner)).unwrap();
    assert_eq!(cluster.peer(leader, lost).match_index, Index::ZERO);
    run(&mut cluster, 5 * SECOND, &[]);
    assert_eq!(cluster.raft(leader).foreign_incarnations(), []);
    change(&mut cluster, leader, NodeChange::Promote(node)).unwrap();
    run(&mut cluster, SECOND, &[]);
    assert_eq!(cluster.applied(lost), ["x"]);
    // It counts now: with it, one of the other two is enough.
    run(&mut cluster, 10 * SECOND, &[leader]);
    let led = leaders(&cluster);
    assert!(led.iter().any(|id| *id != leader), "{led:?} lead");
}

/// The follower has slept through the replacement of the disk of the node that leads now.
#[test]
fn a_follower_that_is_behind_follows_and_elects_a_storage_that_it_does_not_know_yet() {
    let mut cluster = cluster(3);
    let leader = leader(&mut cluster);
    let [lost, asleep] = others(leader)[..] else {
        panic!()
    };
    wipe(&mut cluster, lost, Start::Join);
    let learner = Member::learner(NodeId(lost)).with_incarnation(anew(lost));
    change(&mut cluster, leader, NodeChange::Set(learner)).unwrap();
    run(&mut cluster, SECOND, &[]);
    // Asleep from here on: it knows the learner and not the voter.
    let promote = NodeChange::Promote(NodeId(lost));
    change(&mut cluster, leader, promote).unwrap();
    run(&mut cluster, SECOND, &[asleep]);
    run(&mut cluster, 10 * SECOND, &[leader]);
    let led = leaders(&cluster);
    assert!(led.contains(&lost), "{led:?} lead");
    assert!(cluster.raft(asleep).membership().is_voter(NodeId(lost)));
}

#[test]
fn a_restart_keeps_the_incarnation_that_the_first_write_stored() {
    let mut cluster = cluster(3);
    leader(&mut cluster);
    cluster.node(1).config.incarnation = Some(anew(1));
    cluster.restart(1);
    assert_eq!(cluster.raft(1).incarnation(), Some(first(1)));
    assert!(!has_said(&cluster, 1, is_replaced));
}

#[test]
fn members_that_join_are_named_as_the_leader_hears_them() {
    let mut cluster = cluster(1);
    run(&mut cluster, 3 * SECOND, &[]);
    let unheard = MembershipChange {
        nodes: vec![NodeChange::Set(Member::voter(NodeId(2)))],
        readiness: Readiness::Forced,
        expected: None,
    };
    let id = RequestId(1);
    let input = Input::ChangeMembership {
        id,
        change: unheard,
    };
    let outcome = Err(ChangeError::UnknownIncarnation(NodeId(2)));
    let refused = Action::ChangeProposed { id, outcome };
    assert!(cluster.input(1, input).contains(&refused));
    cluster.add(joiner(2));
    let learner = NodeChange::Set(Member::learner(NodeId(2)));
    change(&mut cluster, 1, learner).unwrap();
    assert_eq!(
        cluster
            .raft(1)
            .membership()
            .get(NodeId(2))
            .unwrap()
            .incarnation,
        None
    );
    run(&mut cluster, SECOND, &[]);
    for id in 1..=2 {
        let member = cluster.raft(id).membership().get(NodeId(2)).cloned();
        assert_eq!(member.unwrap().incarnation, Some(first(2)));
    }
}

/// The new disk would vote in the old half, in the place of the one that is lost.
#[test]
fn a_joint_change_exchanges_no_voters_disk() {
    let mut cluster = cluster(3);
    let leader = leader(&mut cluster);
    let [lost, other] = others(leader)[..] else {
        panic!()
    };
    wipe(&mut cluster, lost, Start::Join);
    let node = NodeId(lost);
    let nodes = vec![
        NodeChange::Set(Member::learner(node).with_incarnation(anew(lost))),
        NodeChange::Demote(NodeId(other)),
    ];
    let change = MembershipChange {
        nodes,
        readiness: Readiness::Forced,
        expected: None,
    };
    let id = RequestId(9);
    let actions = cluster.input(leader, Input::ChangeMembership { id, change });
    let named = first(lost);
    let outcome = Err(ChangeError::OtherIncarnation { node, named });
    assert!(actions.contains(&Action::ChangeProposed { id, outcome }));
}

/// If the power failed before, the storage would be another one, and what was heard of this one
/// would be named.
#[test]
fn a_storage_says_nothing_before_its_incarnation_is_on_it() {
    let mut cluster = cluster(3);
    cluster.queue.clear();
    cluster.node(1).disk = Disk::Manual;
    wipe(&mut cluster, 1, founders(3));
    let asks = |cluster: &mut Cluster| {
        let message = Message::PreVote(PreVote {
            term: Term(1),
            last_log: EntryId::ZERO,
            campaign: Campaign::Election,
            lineage: Lineage::Unknown,
        });
        let from = NodeId(2);
        let incarnation = Some(first(2));
        let receive = Input::Receive {
            from,
            incarnation,
            message,
        };
        cluster.input(1, receive);
        cluster.sent_by(1).len()
    };
    assert_eq!(asks(&mut cluster), 0);
    cluster.sync(1, 1);
    assert_eq!(asks(&mut cluster), 1);
}

#[test]
fn a_change_for_another_configuration_than_the_one_in_force_is_refused() {
    let mut cluster = cluster(3);
    let leader = leader(&mut cluster);
    let index = Index(1);
    let ask = |cluster: &mut Cluster, expected| {
        let change = MembershipChange {
            expected: Some(expected),
            ..MembershipChange::from(NodeChange::Demote(NodeId(others(leader)[0])))
        };
        let id = RequestId(9);
        let actions = cluster.input(leader, Input::ChangeMembership { id, change });
        let outcome = actions.into_iter().find_map(|action| match action {
            Action::ChangeProposed { outcome, .. } => Some(outcome),
            _ => None,
        });
        outcome.unwrap()
    };
    let refused = Err(ChangeError::Changed { index });
    assert_eq!(ask(&mut cluster, Index(0)), refused);
    assert!(ask(&mut cluster, index).is_ok());
}

/// The first storage of n1 is lost with a majority, and the survivor, which has just taken n1 in
/// again as a learner, does not know its new storage yet: it cannot tell n1 that it is replaced.
#[test]
fn a_founder_made_anew_names_the_survivor_that_founds_nothing_with_it() {
    let mut cluster = cluster(3);
    let survivor = leader(&mut cluster);
    let lost = others(survivor);
    let node = NodeId(lost[0]);
    for change in [
        NodeChange::Remove(node),
        NodeChange::Set(Member::learner(node)),
    ] {
        let change = MembershipChange::from(change);
        let id = RequestId(9);
        cluster.input(survivor, Input::ChangeMembership { id, change });
        run(&mut cluster, 5 * SECOND, &[lost[0]]);
    }
    let named = cluster.raft(survivor).membership().get(node).cloned();
    assert_eq!(named.map(|member| member.incarnation), Some(None));
    for id in &lost {
        wipe(&mut cluster, *id, founders(3));
    }
    cluster.restart(survivor);
    run(&mut cluster, 30 * SECOND, &[]);
    assert_eq!(leaders(&cluster), [] as [u64; 0]);
    assert_eq!(cluster.raft(lost[0]).replaced_by(), None);
    let missing: Vec<NodeId> = cluster.raft(lost[0]).missing_founders().collect();
    assert!(missing.contains(&NodeId(survivor)), "{missing:?}");
}

/// An operator replaces the disks of two founders as documented, and forgets that for the third:
/// the members that are left, or a backup, may hold what was acknowledged.
#[test]
fn a_storage_that_joins_elects_nobody_to_found_the_cluster_again() {
    let mut cluster = cluster(3);
    leader(&mut cluster);
    for id in 1..=3 {
        let start = if id == 1 { founders(3) } else { Start::Join };
        wipe(&mut cluster, id, start);
    }
    run(&mut cluster, 30 * SECOND, &[]);
    assert_eq!(leaders(&cluster), [] as [u64; 0]);
    let missing: Vec<NodeId> = cluster.raft(1).missing_founders().collect();
    let refuse = [NodeId(2), NodeId(3)];
    assert_eq!(missing, refuse, "they answer, and found nothing");
    let is_told = |action: &Action| {
        let reason = Rejection::OtherFounders;
        *action
            == Action::Rejected {
                from: NodeId(2),
                reason,
            }
    };
    assert!(has_said(&cluster, 1, is_told));
    // Without Pre-Vote, too.
    let message = Message::RequestVote(RequestVote {
        term: Term(90),
        last_log: EntryId::ZERO,
        campaign: Campaign::Election,
        lineage: Lineage::Founding { founders: 9 },
    });
    let (from, incarnation) = (NodeId(1), Some(anew(1)));
    cluster.queue.clear();
    cluster.wait(SECOND);
    cluster.input(
        2,
        Input::Receive {
            from,
            incarnation,
            message,
        },
    );
    let told = cluster
        .sent_by(2)
        .into_iter()
        .any(|(to, message)| match message {
            Message::PreVoteReply(reply) => {
                to == 1 && reply.dismissal == Some(Dismissal::OtherFounders)
            }
            _ => false,
        });
    assert!(told);
}

/// Founders whose list names their disks.
fn named_founders(count: u64) -> Start {
    let member = |id| Member::voter(NodeId(id)).with_incarnation(first(id));
    Start::Bootstrap {
        members: (1..=count).map(member).collect(),
    }
}

fn cluster_of_named_founders() -> Cluster {
    Cluster::with(3, |config| {
        *config = with_features(config.clone());
        config.start = named_founders(3);
    })
}

/// Two disks are made anew as founders, by the old list, which names neither them nor the disk of
/// the survivor, which was replaced before.
#[test]
fn a_founder_that_its_list_does_not_name_answers_a_survivor_that_the_list_does_not_name_either() {
    let mut cluster = cluster_of_named_founders();
    let leader = leader(&mut cluster);
    let [replaced, other] = others(leader)[..] else {
        panic!()
    };
    wipe(&mut cluster, replaced, Start::Join);
    let learner = Member::learner(NodeId(replaced)).with_incarnation(anew(replaced));
    change(&mut cluster, leader, NodeChange::Set(learner)).unwrap();
    run(&mut cluster, SECOND, &[]);
    let promote = NodeChange::Promote(NodeId(replaced));
    change(&mut cluster, leader, promote).unwrap();
    run(&mut cluster, SECOND, &[]);
    for id in [leader, other] {
        wipe(&mut cluster, id, named_founders(3));
        assert!(has_said(&cluster, id, is_replaced), "n{id}");
    }
    run(&mut cluster, 20 * SECOND, &[]);
    assert_eq!(leaders(&cluster), [] as [u64; 0]);
    for id in [leader, other] {
        assert!(
            has_said(&cluster, replaced, |it| *it == foreign(id)),
            "n{id}"
        );
    }
}

/// Only a leader knows whether a reply's sender is replaced by what is committed.
#[test]
fn a_founder_without_a_log_dismisses_nobody_that_replies() {
    let mut cluster = cluster_of_named_founders();
    cluster.queue.clear();
    let message = Message::AppendEntriesReply(AppendEntriesReply {
        term: Term(1),
        outcome: AppendOutcome::Stale,
        round: 0,
        limits: None,
    });
    let (from, incarnation) = (NodeId(2), Some(anew(2)));
    let reply = Input::Receive {
        from,
        incarnation,
        message,
    };
    cluster.input(1, reply);
    assert_eq!(cluster.sent_by(1), []);
    assert!(has_said(&cluster, 1, |it| *it == foreign(2)));
}
