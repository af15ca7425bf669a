//! Changes of the members: joint consensus (section 6), one server at a time (thesis chapter 4).

use super::voters;
use crate::check::choice::What;
use crate::check::model::{Bounds, Form, Model, Operation, Reductions};
use crate::check::node::Disks;
use crate::check::outcome::Mark;
use raft_proto::{Config, Member, MembershipChange, NodeChange, NodeId, Readiness, Start};

/// A cluster of `voters` voters, and further nodes that join it.
fn with_joiners(nodes: u64, founders: u64) -> Vec<Config> {
    let mut configs = voters(nodes);
    for config in &mut configs {
        config.start = if config.node_id.0 <= founders {
            Start::voters((1..=founders).map(NodeId))
        } else {
            Start::Join
        };
    }
    configs
}

fn change(nodes: Vec<NodeChange>) -> MembershipChange {
    MembershipChange {
        nodes,
        readiness: Readiness::Forced,
        expected: None,
    }
}

/// n3 makes room for n4, by a joint configuration; a crash, and an election at any time.
pub(super) fn joint(form: Form) -> Model {
    let bounds = match form {
        Form::Short => Bounds {
            max_term: 1,
            ..Bounds::default()
        },
        Form::Full => Bounds {
            max_term: 2,
            timeouts: 1,
            crashes: 1,
            ..Bounds::default()
        },
    };
    let nodes = vec![
        NodeChange::Set(Member::voter(NodeId(4))),
        NodeChange::Remove(NodeId(3)),
    ];
    Model {
        name: "joint",
        about: "two members change at once, by a joint configuration",
        configs: with_joiners(4, 3),
        disks: Disks::Immediate,
        opening: |world| world.elect(1, &[1, 2, 3]),
        bounds,
        operations: vec![Operation::Change(change(nodes))],
        reaches: match form {
            Form::Short => &[Mark::Joint, Mark::Changed],
            Form::Full => &[Mark::Joint, Mark::Changed, Mark::Elected, Mark::TwoLeaders],
        },
        reductions: Reductions::OF_NAMED,
        states: match form {
            Form::Short => Some(8_801),
            Form::Full => None,
        },
    }
}

/// The mistake of 2015 in single-server changes: two leaders change an even number of members by
/// one each, and the second one does so before it has committed anything.
///
/// The opening: n1 led term 1 and added n5, which nobody else knows; n2 leads term 2, and has told
/// nobody.
pub(super) fn single_change(form: Form) -> Model {
    let bounds = match form {
        Form::Short => Bounds {
            max_term: 2,
            wakes: 1,
            ..Bounds::default()
        },
        Form::Full => Bounds {
            max_term: 3,
            timeouts: 1,
            wakes: 1,
            ..Bounds::default()
        },
    };
    let add = NodeChange::Set(Member::voter(NodeId(5)));
    let remove = NodeChange::Remove(NodeId(1));
    Model {
        name: "single-change",
        about: "two leaders change the members by one each: the mistake of 2015",
        configs: with_joiners(5, 4),
        disks: Disks::Immediate,
        opening: |world| {
            world.elect(1, &[1, 2, 3, 4]);
            world.happens(1, What::Operates(0));
            world.budget = world
                .budget
                .without(crate::check::model::Cost::Operation(0));
            world.deliver_among(&[1, 5]);
            world.elect_in_vain(2, &[1, 2, 3, 4]);
        },
        bounds,
        operations: vec![
            Operation::Change(change(vec![add])),
            Operation::Change(change(vec![remove])),
        ],
        reaches: match form {
            Form::Short => &[Mark::Changed],
            Form::Full => &[Mark::Changed, Mark::Elected, Mark::TwoLeaders],
        },
        reductions: Reductions::OF_NAMED,
        states: match form {
            Form::Short => Some(8_749),
            Form::Full => None,
        },
    }
}
