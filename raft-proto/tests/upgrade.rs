//! Rolling upgrades (`upgrade.rs`): what is written is read by every member, and a node that does
//! not read it stops by name.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    missing_docs
)]

mod support;

use raft_proto::*;
use support::*;

const OLDER: Level = Level::of_service(1);
const NEWER: Level = Level::of_service(2);

fn at_level(config: &mut Config, level: Level) {
    config.level = level;
    config.leader_noop = LeaderNoop::On;
}

/// Three nodes of these levels, of which the first leads.
fn cluster(levels: [Level; 3]) -> Cluster {
    let mut cluster = Cluster::with(3, |config| {
        let level = levels[config.node_id.0 as usize - 1];
        at_level(config, level);
    });
    cluster.elect(1);
    settle(&mut cluster);
    cluster
}

/// Heartbeats go out and are answered.
fn settle(cluster: &mut Cluster) {
    for _ in 0..3 {
        cluster.send_heartbeats(1);
        cluster.deliver();
    }
}

/// A node is stopped, and another release is started on its disk.
fn restart_at(cluster: &mut Cluster, id: u64, level: Level) {
    cluster.node(id).config.level = level;
    cluster.restart(id);
}

fn levels(cluster: &Cluster) -> Vec<Level> {
    let nodes = cluster.nodes.values();
    nodes.map(|node| node.raft.level()).collect()
}

fn too_low(needed: Level, own: Level) -> Option<Fault> {
    Some(Fault::LevelTooLow { needed, own })
}

fn held_back_by(cluster: &Cluster) -> Vec<u64> {
    let nodes = cluster.raft(1).held_back_by();
    nodes.map(|id| id.0).collect()
}

fn change(cluster: &mut Cluster, change: NodeChange) -> Result<EntryId, ChangeError> {
    let id = RequestId(9);
    let change = MembershipChange::from(change);
    let actions = cluster.input(1, Input::ChangeMembership { id, change });
    let outcome = actions.into_iter().find_map(|action| match action {
        Action::ChangeProposed { outcome, .. } => Some(outcome),
        _ => None,
    });
    outcome.unwrap()
}

fn joiner(level: Level) -> Config {
    let mut config = config(4, 1);
    at_level(&mut config, level);
    config.start = Start::Join;
    config
}

#[test]
fn the_level_is_what_all_members_read() {
    let cluster = cluster([NEWER, OLDER, NEWER]);
    assert_eq!(levels(&cluster), [OLDER; 3]);
    assert_eq!(cluster.raft(1).level_of(NodeId(2)), Some(OLDER));
    assert_eq!(held_back_by(&cluster), [2]);
}

#[test]
fn a_majority_is_not_enough() {
    let cluster = cluster([NEWER, NEWER, Level::ZERO]);
    assert_eq!(levels(&cluster), [Level::ZERO; 3]);
    assert_eq!(held_back_by(&cluster), [3]);
}

#[test]
fn a_member_that_was_not_heard_in_the_term_reads_nothing_new() {
    let mut cluster = Cluster::with(3, |config| at_level(config, NEWER));
    cluster.campaign(1);
    for _ in 0..3 {
        cluster.deliver_if(|packet| packet.from != NodeId(3));
        cluster.send_heartbeats(1);
    }
    assert_eq!(cluster.raft(1).level(), Level::ZERO);
    assert_eq!(held_back_by(&cluster), [3]);
    cluster.deliver();
    settle(&mut cluster);
    assert_eq!(levels(&cluster), [NEWER; 3]);
    assert!(held_back_by(&cluster).is_empty());
}

#[test]
fn a_rolling_upgrade_raises_the_level_with_the_last_node() {
    let mut cluster = cluster([OLDER; 3]);
    for id in [3, 2] {
        restart_at(&mut cluster, id, NEWER);
        settle(&mut cluster);
        assert_eq!(levels(&cluster), [OLDER; 3]);
    }
    // Until the last one is upgraded, the others may go back.
    restart_at(&mut cluster, 3, OLDER);
    settle(&mut cluster);
    restart_at(&mut cluster, 3, NEWER);
    restart_at(&mut cluster, 1, NEWER);
    cluster.elect(1);
    settle(&mut cluster);
    assert_eq!(levels(&cluster), [NEWER; 3]);
}

#[test]
fn a_node_does_not_start_below_the_level_of_its_log_or_snapshot() {
    let mut cluster = cluster([NEWER; 3]);
    let raised = cluster.raft(2).last_log().index.0;
    let start = |cluster: &mut Cluster| {
        let node = cluster.node(2);
        let mut config = node.config.clone();
        config.level = OLDER;
        Raft::new(config, node.stored.clone()).unwrap_err()
    };
    let refused = StartError::LevelTooLow {
        needed: NEWER,
        own: OLDER,
    };
    assert_eq!(start(&mut cluster), refused);
    cluster.compact(2, raised, b"state");
    assert_eq!(start(&mut cluster), refused);
    let text = refused.to_string();
    assert!(
        text.contains("at level 0.2, and this node reads 0.1"),
        "{text}"
    );
}

#[test]
fn a_member_that_was_put_back_meanwhile_stops_and_stores_nothing_of_it() {
    let mut cluster = Cluster::with(3, |config| at_level(config, NEWER));
    cluster.elect(1);
    // It has said that it reads the level, and does so no more.
    restart_at(&mut cluster, 3, OLDER);
    let before = cluster.log(3);
    cluster.send_heartbeats(1);
    cluster.deliver();
    cluster.send_heartbeats(1);
    cluster.deliver();
    assert_eq!(cluster.raft(3).fault(), too_low(NEWER, OLDER));
    assert_eq!(cluster.log(3), before);
    let last = cluster.nodes[&NodeId(3)].other_actions.last();
    let reason = Fault::LevelTooLow {
        needed: NEWER,
        own: OLDER,
    };
    assert_eq!(last, Some(&Action::Faulted { reason }));
    // The others go on. With a release that reads the level, it does, too.
    cluster.propose(1, "a").unwrap();
    cluster.deliver();
    restart_at(&mut cluster, 3, NEWER);
    settle(&mut cluster);
    assert_eq!(cluster.applied(3), ["a"]);
    assert_eq!(levels(&cluster), [NEWER; 3]);
}

#[test]
fn a_joiner_that_is_too_old_stops_before_the_log_that_it_would_not_read() {
    let mut cluster = cluster([NEWER; 3]);
    cluster.add(joiner(OLDER));
    change(&mut cluster, NodeChange::Set(Member::learner(NodeId(4)))).unwrap();
    cluster.deliver();
    settle(&mut cluster);
    assert_eq!(cluster.raft(4).fault(), too_low(NEWER, OLDER));
    assert_eq!(cluster.log(4), [""; 0]);
}

#[test]
fn a_joiner_that_is_too_old_stops_before_the_snapshot_that_it_would_not_read() {
    let mut cluster = Cluster::with(3, |config| {
        at_level(config, NEWER);
        config.trailing_entries = 0;
    });
    cluster.elect(1);
    settle(&mut cluster);
    let last = cluster.raft(1).last_log().index.0;
    cluster.compact(1, last, b"state");
    cluster.add(joiner(OLDER));
    change(&mut cluster, NodeChange::Set(Member::learner(NodeId(4)))).unwrap();
    cluster.deliver();
    settle(&mut cluster);
    assert_eq!(cluster.raft(4).fault(), too_low(NEWER, OLDER));
    assert!(cluster.restored(4).is_empty());
    assert!(cluster.nodes[&NodeId(4)].partial.is_empty());
}

#[test]
fn a_learner_that_has_said_that_it_is_too_old_does_not_become_a_voter() {
    let mut cluster = cluster([NEWER; 3]);
    cluster.add(joiner(OLDER));
    change(&mut cluster, NodeChange::Set(Member::learner(NodeId(4)))).unwrap();
    // Its answer to a heartbeat arrives; it has not been sent the log yet.
    cluster.deliver_if(|packet| ![packet.from, packet.to].contains(&NodeId(4)));
    let reply = AppendEntriesReply {
        term: cluster.raft(1).term(),
        outcome: AppendOutcome::Rejected {
            prev_log_index: Index(1),
            hint: EntryId::ZERO,
        },
        round: 1, // It began when the learner was added.
        limits: Some(MessageLimits {
            level: OLDER,
            ..DEFAULT_LIMITS
        }),
    };
    cluster.receive(1, 4, Message::AppendEntriesReply(reply));
    let refused = ChangeError::LevelTooLow {
        node: NodeId(4),
        own: OLDER,
        needed: NEWER,
    };
    assert_eq!(
        change(&mut cluster, NodeChange::Promote(NodeId(4))),
        Err(refused)
    );
}

#[test]
fn a_learner_of_the_older_release_holds_the_level_back_and_its_removal_frees_it() {
    let mut cluster = cluster([OLDER; 3]);
    cluster.add(joiner(OLDER));
    change(&mut cluster, NodeChange::Set(Member::learner(NodeId(4)))).unwrap();
    cluster.deliver();
    for id in [2, 3] {
        restart_at(&mut cluster, id, NEWER);
    }
    restart_at(&mut cluster, 1, NEWER);
    cluster.elect(1);
    settle(&mut cluster);
    assert_eq!(levels(&cluster), [OLDER; 4]);
    assert_eq!(held_back_by(&cluster), [4]);
    change(&mut cluster, NodeChange::Remove(NodeId(4))).unwrap();
    cluster.deliver();
    settle(&mut cluster);
    assert_eq!(levels(&cluster)[..3], [NEWER; 3]);
}

#[test]
fn a_level_is_used_only_when_its_configuration_is_committed() {
    let mut cluster = Cluster::with(3, |config| at_level(config, NEWER));
    cluster.elect(1);
    // The entry with the level reaches nobody, and another leader is elected without it.
    cluster.send_heartbeats(1);
    assert_eq!(cluster.raft(1).membership().level(), NEWER);
    assert_eq!(cluster.raft(1).level(), Level::ZERO);
    cluster.take_packets();
    restart_at(&mut cluster, 3, Level::ZERO);
    cluster.campaign(2);
    cluster.deliver();
    assert_eq!(cluster.raft(2).role(), RoleKind::Leader);
    cluster.send_heartbeats(2);
    cluster.deliver();
    assert_eq!(cluster.raft(1).membership().level(), Level::ZERO);
    assert_eq!(levels(&cluster), [Level::ZERO; 3]);
}

#[test]
fn the_level_never_falls_and_passes_through_later_changes() {
    let mut cluster = cluster([NEWER; 3]);
    cluster.add(joiner(NEWER));
    change(&mut cluster, NodeChange::Set(Member::learner(NodeId(4)))).unwrap();
    assert_eq!(cluster.raft(1).membership().level(), NEWER);
    cluster.deliver();
    settle(&mut cluster);
    // Several voters at once go through a joint configuration.
    let id = RequestId(8);
    let mut change = MembershipChange::from(NodeChange::Promote(NodeId(4)));
    change.nodes.push(NodeChange::Demote(NodeId(3)));
    cluster.input(1, Input::ChangeMembership { id, change });
    assert!(cluster.raft(1).membership().is_joint());
    assert_eq!(cluster.raft(1).membership().level(), NEWER);
    cluster.deliver();
    assert!(!cluster.raft(1).membership().is_joint());
    assert_eq!(levels(&cluster), [NEWER; 4]);
    settle(&mut cluster);
    cluster.elect(2);
    assert_eq!(cluster.raft(2).membership().level(), NEWER);
}

#[test]
fn nodes_without_a_level_append_no_entry_for_one() {
    let mut cluster = Cluster::new(3);
    cluster.elect(1);
    settle(&mut cluster);
    assert_eq!(cluster.raft(1).last_log(), EntryId::ZERO);
}

#[test]
fn the_level_stands_behind_all_else_in_a_configuration() {
    let plain = Membership::new([NodeId(1), NodeId(2)]);
    let levelled = plain.clone().with_level(Level::of_service(300));
    let bytes = [
        &plain.encode()[..],
        &[2, 0, 0], // two members without incarnations
        &[0],       // no history
        &[0, 0xac, 2],
    ]
    .concat();
    assert_eq!(levelled.encode(), bytes);
    assert_eq!(Membership::decode(&bytes), Some(levelled));
    // A level of 0 is not written, nor storages that say nothing.
    let zero = [&bytes[..bytes.len() - 3], &[0, 0]].concat();
    assert_eq!(Membership::decode(&zero), None);
    assert_eq!(Membership::decode(&bytes[..bytes.len() - 3]), None);
    for cut in plain.encode().len() + 1..bytes.len() {
        assert_eq!(Membership::decode(&bytes[..cut]), None, "{cut}");
    }
    // What follows the level is known only at a higher level of the core.
    let more = [&bytes[..], &[7]].concat();
    assert_eq!(Membership::decode(&more), None);
    let core = Level::CORE + 1;
    let of_a_later_core = [&bytes[..bytes.len() - 3], &[core as u8, 0, 7, 7]].concat();
    let later = Level { core, service: 0 };
    let decoded = Membership::decode(&of_a_later_core).unwrap();
    assert_eq!(decoded.level(), later);
    assert_eq!(decoded, plain.with_level(later));
}

#[test]
fn a_configuration_of_a_later_core_stops_a_node_by_name() {
    let mut cluster = Cluster::new(3);
    let needed = Level {
        core: Level::CORE + 1,
        service: 0,
    };
    let voters = (1..=3).map(NodeId);
    let membership = Membership::new(voters).with_level(needed);
    // What that core added behind the level is not looked at.
    let payload = [&membership.encode()[..], &[1, 2, 3]].concat();
    let mut entries = EntriesBuilder::new();
    let (id, kind) = (EntryId::new(1, 1), EntryKind::Membership);
    entries.push(id, kind, payload.into()).unwrap();
    let message = AppendEntries {
        term: Term(1),
        prev_log: EntryId::ZERO,
        leader_commit: Index(0),
        entries: entries.finish(),
        round: 0,
        revoked: 0,
        promise_millis: 0,
        lineage: Lineage::Unknown,
    };
    let actions = cluster.receive(2, 1, Message::AppendEntries(message.clone()));
    assert_eq!(cluster.raft(2).fault(), too_low(needed, Level::ZERO));
    assert!(
        !actions
            .iter()
            .any(|it| matches!(it, Action::Send { .. } | Action::Persist(_)))
    );
    // Only the leader of its term can do that.
    cluster.elect(3);
    let mut stale = message;
    stale.term = Term(cluster.raft(1).term().0 - 1);
    if stale.term > Term(0) {
        cluster.receive(1, 2, Message::AppendEntries(stale));
    }
    assert_eq!(cluster.raft(1).fault(), None);
}

#[test]
fn a_config_above_the_level_of_this_release_is_refused() {
    let mut config = config(1, 1);
    config.level.core = Level::CORE + 1;
    let error = config.validate().unwrap_err();
    let (name, most) = ("level.core", u64::from(Level::CORE));
    assert_eq!(error, ConfigError::LimitTooGreat { name, most });
}
