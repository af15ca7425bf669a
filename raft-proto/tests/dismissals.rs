//! Who is believed that says to a node that it is no member (`dismissal.rs`): a node that hears
//! none but disks that it does not know learns it all the same, and nobody is silenced by a
//! stranger.
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
/// The node that is away while it is removed, and while the disks of all others are replaced.
const AWAY: u64 = 4;
const OTHERS: [u64; 3] = [1, 2, 3];

fn first(id: u64) -> Incarnation {
    Incarnation(0x10 + id)
}

fn anew(id: u64) -> Incarnation {
    Incarnation(0x20 + id)
}

fn cluster(count: u64, pre_vote: PreVoting) -> Cluster {
    Cluster::with(count, |config| {
        config.incarnation = Some(first(config.node_id.0));
        config.pre_vote = pre_vote;
        config.check_quorum = CheckQuorum::On;
        config.leader_noop = LeaderNoop::On;
    })
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

/// The node among these that leads, for which another may have to be elected first.
fn leader(cluster: &mut Cluster, down: &[u64]) -> u64 {
    for _ in 0..20 {
        let mut nodes = cluster.nodes.iter();
        let leads = |id: u64, raft: &Raft| raft.role() == RoleKind::Leader && !down.contains(&id);
        if let Some((id, _)) = nodes.find(|(id, node)| leads(id.0, &node.raft)) {
            return id.0;
        }
        run(cluster, SECOND, down);
    }
    panic!("nobody leads");
}

fn change(cluster: &mut Cluster, change: NodeChange) {
    let leader = leader(cluster, &[AWAY]);
    let id = RequestId(9);
    let change = MembershipChange::from(change);
    let actions = cluster.input(leader, Input::ChangeMembership { id, change });
    let outcome = actions.iter().find_map(|action| match action {
        Action::ChangeProposed { outcome, .. } => Some(*outcome),
        _ => None,
    });
    outcome.unwrap().unwrap();
    run(cluster, 2 * SECOND, &[AWAY]);
}

/// The disk of a node is lost, and it joins with an empty one, as the only change that is made.
fn replace(cluster: &mut Cluster, id: u64) {
    cluster.queue.retain(|it| it.to != NodeId(id));
    let node = cluster.node(id);
    node.config.start = Start::Join;
    node.config.incarnation = Some(anew(id));
    node.config.seed += 100;
    node.stored = Recovered::default();
    node.raft = Raft::new(node.config.clone(), Recovered::default()).unwrap();
    node.snapshots.clear();
    node.applied.clear();
    node.wake_at = Time::NEVER;
    cluster.tick(id);
    let learner = Member::learner(NodeId(id)).with_incarnation(anew(id));
    change(cluster, NodeChange::Set(learner));
    change(cluster, NodeChange::Promote(NodeId(id)));
}

/// The cluster, in which all knows each other, and the node goes away.
fn founded() -> Cluster {
    founded_with(PreVoting::On)
}

fn founded_with(pre_vote: PreVoting) -> Cluster {
    let mut cluster = cluster(4, pre_vote);
    run(&mut cluster, 5 * SECOND, &[]);
    let leader = leader(&mut cluster, &[]);
    if leader == AWAY {
        let (id, target) = (RequestId(1), Some(NodeId(1)));
        cluster.input(leader, Input::TransferLeadership { id, target });
        run(&mut cluster, 2 * SECOND, &[]);
    }
    cluster.node(AWAY).other_actions.clear();
    cluster
}

/// It is away while `meanwhile` happens, is up again, and has ten seconds.
fn after(mut cluster: Cluster, meanwhile: impl Fn(&mut Cluster)) -> Cluster {
    meanwhile(&mut cluster);
    let now = cluster.now;
    cluster.node(AWAY).wake_at = now;
    run(&mut cluster, 10 * SECOND, &[]);
    cluster
}

fn has_said(cluster: &Cluster, id: u64, says: impl Fn(&Action) -> bool) -> bool {
    cluster.nodes[&NodeId(id)].other_actions.iter().any(says)
}

fn is_removed(action: &Action) -> bool {
    matches!(action, Action::Removed { .. })
}

/// Whether the node asks for votes in the next ten seconds.
fn asks(cluster: &mut Cluster) -> bool {
    let mut asks = false;
    for _ in 0..500 {
        cluster.now = cluster.now.after(Duration::from_millis(20));
        let now = cluster.now;
        let ids: Vec<u64> = cluster.nodes.keys().map(|id| id.0).collect();
        for id in ids {
            if cluster.node(id).wake_at <= now {
                let actions = cluster.tick(id);
                asks |= id == AWAY && !sent(&actions).is_empty();
            }
        }
        cluster.deliver();
    }
    asks
}

/// By the answer to its pre-vote; without pre-votes, by the answer to its request for votes.
#[test]
fn a_removed_node_that_hears_only_replaced_voters_learns_of_its_removal() {
    for pre_vote in [PreVoting::On, PreVoting::Off] {
        let mut cluster = after(founded_with(pre_vote), |cluster| {
            change(cluster, NodeChange::Remove(NodeId(AWAY)));
            OTHERS.iter().for_each(|id| replace(cluster, *id));
        });
        let known = cluster.raft(AWAY).membership().clone();
        for id in OTHERS {
            let named = known.get(NodeId(id)).unwrap().incarnation;
            assert_eq!(
                named,
                Some(first(id)),
                "it knows none of the members' disks"
            );
        }
        assert!(has_said(&cluster, AWAY, is_removed), "{pre_vote:?}");
        assert!(!asks(&mut cluster), "{pre_vote:?}");
    }
}

#[test]
fn a_replaced_node_that_hears_only_replaced_voters_learns_whose_its_number_is() {
    let (other, by) = (
        Incarnation(0x30),
        |action: &Action| matches!(action, Action::Replaced { named, .. } if *named == Incarnation(0x30)),
    );
    let mut cluster = after(founded(), |cluster| {
        let learner = Member::learner(NodeId(AWAY)).with_incarnation(other);
        change(cluster, NodeChange::Set(learner));
        OTHERS.iter().for_each(|id| replace(cluster, *id));
    });
    assert!(has_said(&cluster, AWAY, by));
    assert_eq!(cluster.raft(AWAY).replaced_by(), Some(other));
    assert!(!asks(&mut cluster));
}

/// The node, to which n1's number says as of `index` that it is no member: under another disk than
/// the one that is named, from this lineage, and with a term that is later than all others.
fn told(mut cluster: Cluster, lineage: Lineage, index: Index) -> (Cluster, Vec<Action>) {
    run(&mut cluster, SECOND, &[AWAY]);
    let term = cluster.raft(AWAY).term();
    let message = Message::PreVoteReply(PreVoteReply {
        term: Term(term.0 + 50),
        asked: term.next(),
        vote: Vote::Refused,
        dismissal: Some(Dismissal::Removed { index }),
        lineage,
    });
    let from = NodeId(1);
    let incarnation = Some(anew(1));
    let input = Input::Receive {
        from,
        incarnation,
        message,
    };
    let actions = cluster.input(AWAY, input);
    assert_eq!(cluster.raft(AWAY).term(), term, "its term does not count");
    (cluster, actions)
}

fn history(cluster: &Cluster) -> HistoryId {
    cluster.raft(AWAY).membership().history().unwrap()
}

#[test]
fn a_node_of_another_history_or_of_none_silences_nobody() {
    let ours = history(&founded());
    let (_, actions) = told(founded(), Lineage::Of(ours), Index(50));
    assert!(actions.iter().any(is_removed), "one of its own does");
    let theirs = Lineage::Of(HistoryId(ours.0 + 1));
    for lineage in [theirs, Lineage::Unknown] {
        let (mut cluster, actions) = told(founded(), lineage, Index(50));
        assert!(!actions.iter().any(is_removed), "{lineage:?}");
        assert!(
            asks(&mut cluster_without_leader(&mut cluster)),
            "{lineage:?}"
        );
    }
}

#[test]
fn a_disk_that_knows_an_older_configuration_silences_nobody() {
    let mut cluster = founded();
    let ours = history(&cluster);
    change(
        &mut cluster,
        NodeChange::Update {
            node: NodeId(2),
            priority: Some(3),
            context: None,
        },
    );
    run(&mut cluster, 2 * SECOND, &[]);
    let entries = cluster.raft(AWAY).entries(Index(1), Index::MAX);
    let entries = entries.iter();
    let configurations = entries.filter(|entry| entry.kind() == EntryKind::Membership);
    let latest = configurations.last().unwrap().id().index;
    let older = Index(latest.0 - 1);
    assert!(older > Index::ZERO);
    let (mut cluster, actions) = told(cluster, Lineage::Of(ours), older);
    assert!(!actions.iter().any(is_removed));
    assert!(asks(&mut cluster_without_leader(&mut cluster)));
}

/// The cluster of the node alone: it hears nobody.
fn cluster_without_leader(cluster: &mut Cluster) -> Cluster {
    let mut alone = std::mem::replace(cluster, self::cluster(1, PreVoting::On));
    OTHERS
        .iter()
        .for_each(|id| alone.node(*id).wake_at = Time::NEVER);
    alone.queue.clear();
    alone
}

/// The cluster was continued by force without it, as another history.
#[test]
fn a_node_of_an_abandoned_history_is_told_the_one_that_goes_on() {
    let mut cluster = founded();
    run(&mut cluster, SECOND, &[AWAY]);
    let (ours, theirs) = (history(&cluster), HistoryId(77));
    let term = cluster.raft(AWAY).term();
    let message = Message::PreVote(PreVote {
        term: Term(term.0 + 9),
        last_log: EntryId::ZERO,
        campaign: Campaign::Election,
        lineage: Lineage::Of(theirs),
    });
    let input = Input::Receive {
        from: NodeId(1),
        incarnation: Some(first(1)),
        message,
    };
    let answers = sent(&cluster.input(AWAY, input));
    let [(to, answer)] = &answers[..] else {
        panic!("{answers:?}")
    };
    assert_eq!(*to, NodeId(1));
    let lineage = Lineage::Of(ours);
    let is_named = matches!(answer, Message::PreVoteReply(reply) if reply.lineage == lineage && reply.vote == Vote::Refused);
    assert!(is_named, "{answer:?}");
    // The other side: the answer says the history by name, and nothing else of it counts.
    let answer = Message::PreVoteReply(PreVoteReply {
        term: Term(term.0 + 9),
        asked: term.next(),
        vote: Vote::Refused,
        dismissal: Some(Dismissal::Removed { index: Index(50) }),
        lineage: Lineage::Of(theirs),
    });
    let actions = cluster.input(
        AWAY,
        Input::Receive {
            from: NodeId(1),
            incarnation: Some(first(1)),
            message: answer,
        },
    );
    let reason = Rejection::OtherHistory {
        ours,
        theirs: Lineage::Of(theirs),
    };
    let from = NodeId(1);
    assert!(
        actions.contains(&Action::Rejected { from, reason }),
        "{actions:?}"
    );
    assert!(!actions.iter().any(is_removed));
    assert_eq!(cluster.raft(AWAY).term(), term);
}

/// A disk spoke under a member's number, and the operator put a third one in its place.
#[test]
fn what_a_disk_said_is_over_once_another_one_is_named_for_its_number() {
    let mut cluster = founded();
    let by = leader(&mut cluster, &[AWAY]);
    let lost = 1 + by % 3;
    let speaks = |cluster: &mut Cluster| {
        let term = cluster.raft(by).term();
        let message = Message::PreVote(PreVote {
            term: term.next(),
            last_log: EntryId::ZERO,
            campaign: Campaign::Election,
            lineage: Lineage::Unknown,
        });
        let input = Input::Receive {
            from: NodeId(lost),
            incarnation: Some(Incarnation(0x40)),
            message,
        };
        cluster.input(by, input);
        let found = cluster.raft(by).foreign_incarnations();
        found
            .iter()
            .map(|it| (it.node, it.named))
            .collect::<Vec<_>>()
    };
    assert_eq!(speaks(&mut cluster), [(NodeId(lost), first(lost))]);
    replace(&mut cluster, lost);
    assert_eq!(cluster.raft(by).foreign_incarnations(), []);
    // Unless it speaks again.
    assert_eq!(speaks(&mut cluster), [(NodeId(lost), anew(lost))]);
}

// The bug: a leader sends the entry that founds its cluster before any disk has it. Its write
// failed, nobody else stored it, the founders elected another leader, and then a late copy was
// reported as the message of another history.
#[test]
fn a_late_append_of_a_founder_whose_entry_nobody_stored_is_not_rejected() {
    let mut cluster = founded();
    let from = leader(&mut cluster, &[]);
    let target = OTHERS.iter().find(|id| **id != from).copied().map(NodeId);
    let id = RequestId(2);
    cluster.input(from, Input::TransferLeadership { id, target });
    run(&mut cluster, 2 * SECOND, &[]);
    let (term, ours) = (cluster.raft(AWAY).term(), history(&cluster));
    assert!(term > Term(1));
    let mut receive = |term| {
        let message = Message::AppendEntries(AppendEntries {
            term,
            prev_log: EntryId::ZERO,
            leader_commit: Index::ZERO,
            entries: Entries::default(),
            round: 0,
            revoked: 0,
            promise_millis: 0,
            lineage: Lineage::Of(HistoryId(ours.0 + 1)),
        });
        let (from, incarnation) = (NodeId(from), Some(first(from)));
        let input = Input::Receive {
            from,
            incarnation,
            message,
        };
        cluster.input(AWAY, input)
    };
    let says = |action: &Action| matches!(action, Action::Rejected { .. } | Action::Send { .. });
    let late = receive(Term(term.0 - 1));
    assert!(!late.iter().any(says), "{late:?}");
    let now = receive(term);
    let is_rejected = |action: &Action| {
        let reason = match action {
            Action::Rejected { reason, .. } => reason,
            _ => return false,
        };
        matches!(reason, Rejection::OtherHistory { .. })
    };
    assert!(now.iter().any(is_rejected), "{now:?}");
}
