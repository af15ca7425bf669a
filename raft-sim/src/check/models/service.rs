//! What a service asks for: reads, snapshots, transfers of leadership.

use super::voters;
use crate::check::choice::What;
use crate::check::model::{Bounds, Form, Model, Operation, Reductions};
use crate::check::node::Disks;
use crate::check::outcome::Mark;
use raft_proto::{CheckQuorum, NodeId, PreVoting};

/// A snapshot overtakes, and is overtaken by, appends (section 7).
///
/// The opening: n1 leads, commands are committed on n1 and n2, and n1 has only a snapshot of them
/// left. n3 has none of it.
pub(super) fn snapshot(form: Form) -> Model {
    let mut configs = voters(3);
    for config in &mut configs {
        config.trailing_entries = 0;
        config.snapshot_chunk_bytes = 4; // Two chunks.
    }
    let bounds = match form {
        Form::Short => Bounds {
            max_term: 1,
            wakes: 1,
            proposals: 1,
            ..Bounds::default()
        },
        Form::Full => Bounds {
            max_term: 2,
            timeouts: 1,
            wakes: 1,
            crashes: 1,
            proposals: 1,
            snapshots: 1,
            ..Bounds::default()
        },
    };
    Model {
        name: "snapshot",
        about: "a snapshot is installed while entries are appended",
        configs,
        disks: Disks::Immediate,
        opening: |world| {
            world.elect(1, &[1, 2]);
            world.happens(1, What::Proposes(101));
            world.deliver_among(&[1, 2]);
            world.happens(1, What::Compacts);
        },
        bounds,
        operations: Vec::new(),
        reaches: match form {
            Form::Short => &[Mark::Installed, Mark::Committed],
            Form::Full => &[Mark::Installed, Mark::Committed, Mark::Elected],
        },
        reductions: Reductions::OF_NAMED,
        states: match form {
            Form::Short => Some(2_569),
            Form::Full => None,
        },
    }
}

/// Reads that a majority confirms (thesis 6.4), of a leader, of one that was deposed without
/// knowing it, and of followers.
pub(super) fn read_index(form: Form) -> Model {
    let bounds = match form {
        Form::Short => Bounds {
            max_term: 1,
            proposals: 1,
            reads: 1,
            ..Bounds::default()
        },
        Form::Full => Bounds {
            max_term: 2,
            timeouts: 1,
            proposals: 1,
            reads: 1,
            ..Bounds::default()
        },
    };
    Model {
        name: "read-index",
        about: "linearizable reads, of leaders, deposed leaders and followers",
        configs: voters(3),
        disks: Disks::Immediate,
        opening: |world| world.elect(1, &[1, 2, 3]),
        bounds,
        operations: Vec::new(),
        reaches: match form {
            Form::Short => &[Mark::ReadServed, Mark::Committed],
            Form::Full => &[
                Mark::ReadServed,
                Mark::ReadRefused,
                Mark::Committed,
                Mark::TwoLeaders,
            ],
        },
        reductions: Reductions::OF_NAMED,
        states: match form {
            Form::Short => Some(2_900),
            Form::Full => Some(3_296_492),
        },
    }
}

/// Leadership is transferred (thesis 3.10), with Pre-Vote and CheckQuorum.
pub(super) fn transfer(form: Form) -> Model {
    let mut configs = voters(3);
    for config in &mut configs {
        config.pre_vote = PreVoting::On;
        config.check_quorum = CheckQuorum::On;
    }
    let bounds = match form {
        Form::Short => Bounds {
            max_term: 2,
            proposals: 1,
            ..Bounds::default()
        },
        Form::Full => Bounds {
            max_term: 3,
            timeouts: 1,
            waits: 1,
            ..Bounds::default()
        },
    };
    Model {
        name: "transfer",
        about: "leadership is transferred, with Pre-Vote and CheckQuorum",
        configs,
        disks: Disks::Immediate,
        opening: |world| world.elect(1, &[1, 2, 3]),
        bounds,
        operations: vec![Operation::Transfer(Some(NodeId(2)))],
        reaches: &[Mark::Elected, Mark::TwoLeaders],
        reductions: Reductions::OF_NAMED,
        states: match form {
            Form::Short => Some(24_224),
            Form::Full => None,
        },
    }
}
