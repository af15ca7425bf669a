//! Elections, step-downs and settings by hand, and what becomes of commands whose leader was cut
//! off.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use raft_driver_thread::RequestError;
use raft_driver_thread::raft_proto::{
    CampaignError, CheckQuorum, FixedSetting, NodeId, ProposeError, ReconfigureError, RoleKind,
    StepDownError,
};
use support::{Cluster, TIMEOUT, options, steady, wait_for};

#[test]
fn a_leader_steps_down_and_the_cluster_elects_again() {
    let cluster = Cluster::new(3);
    // On a busy machine another one may be elected in between.
    let term = wait_for("the leader to step down", || {
        let leader = cluster.leader();
        let follower = 1 + leader % 3;
        let term = cluster.nodes[&leader].state().term;
        let refused = StepDownError::NotLeader {
            leader: Some(NodeId(leader)),
        };
        let outcome = cluster.nodes[&follower].step_down().wait_timeout(TIMEOUT);
        if outcome != Err(RequestError::Refused(refused)) {
            return None;
        }
        let stepped_down = cluster.nodes[&leader].step_down().wait_timeout(TIMEOUT);
        (stepped_down == Ok(term)).then_some(term)
    });
    wait_for("the next leader", || {
        let states = cluster.nodes.values().map(|node| node.state());
        let mut later = states.filter(|state| state.term > term);
        later.find(|state| state.role == RoleKind::Leader)
    });
}

#[test]
fn a_node_that_hears_a_leader_does_not_campaign_and_one_alone_does() {
    let cluster = Cluster::tuned(3, steady);
    let leader = cluster.leader();
    let follower = &cluster.nodes[&(1 + leader % 3)];
    wait_for("the leader to be heard", || {
        let outcome = follower.campaign().wait_timeout(TIMEOUT);
        let heard = CampaignError::HearsLeader {
            leader: Some(NodeId(leader)),
        };
        (outcome == Err(RequestError::Refused(heard))).then_some(())
    });
    let is_leader = cluster.nodes[&leader].campaign().wait_timeout(TIMEOUT);
    let refused = RequestError::Refused(CampaignError::IsLeader);
    assert_eq!(is_leader, Err(refused));
}

#[test]
fn limits_change_while_a_node_runs_and_what_leases_rest_on_does_not() {
    let cluster = Cluster::new(1);
    cluster.leader();
    let node = &cluster.nodes[&1];
    let mut config = options(1, 1).config;
    config.max_entry_bytes = 3;
    node.reconfigure(config.clone())
        .wait_timeout(TIMEOUT)
        .unwrap();
    let refused = RequestError::Refused(ProposeError::TooLarge { size: 4, limit: 3 });
    assert_eq!(node.execute("four", TIMEOUT).unwrap_err(), refused);
    config.max_entry_bytes = 4;
    config.check_quorum = CheckQuorum::Off;
    let fixed = ReconfigureError::Fixed(FixedSetting::CheckQuorum);
    let outcome = node.reconfigure(config.clone()).wait_timeout(TIMEOUT);
    assert_eq!(outcome, Err(RequestError::Refused(fixed)));
    config.check_quorum = CheckQuorum::On;
    node.reconfigure(config).wait_timeout(TIMEOUT).unwrap();
    node.execute("four", TIMEOUT).unwrap();
}

// The bug: a ticket ends when an entry is applied at its own index, though the first entry of the
// next leader, which is before that, decides all of them. Without further commands it waits for
// ever.
#[test]
fn commands_of_a_leader_that_was_cut_off_end_with_the_next_leaders_first_entry() {
    let cluster = Cluster::new(3);
    // On a busy machine a leader may be deposed before it has proposed all that.
    let (leader, tickets) = wait_for("a leader that is cut off and proposes", || {
        cluster.execute(b"a");
        let leader = cluster.leader();
        cluster.environment.cut(leader);
        let old = &cluster.nodes[&leader];
        let tickets: Result<Vec<_>, _> = (0..5).map(|_| old.propose("lost")).collect();
        if tickets.is_err() {
            cluster.environment.heal(leader);
        }
        Some((leader, tickets.ok()?))
    });
    wait_for("another leader", || {
        let others = cluster.nodes.iter().filter(|(id, _)| **id != leader);
        let mut states = others.map(|(_, node)| node.state());
        states.find(|state| state.role == RoleKind::Leader)
    });
    cluster.environment.heal(leader);
    for (proposed, ticket) in tickets {
        let outcome = ticket.wait_timeout(TIMEOUT).unwrap_err();
        assert_eq!(outcome, RequestError::NotApplied { proposed });
    }
}
