//! Replication: entries reach a majority of disks, whatever crashes, and whichever node leads next.

use super::voters;
use crate::check::choice::What;
use crate::check::model::{Bounds, Form, Model, Operation, Reductions};
use crate::check::node::Disks;
use crate::check::outcome::Mark;
use raft_proto::{Incarnation, Index, LeaderNoop, Member, NodeId, Start};

/// Entries, crashes that lose writes, and a second leader (sections 5.3 and 5.4).
pub(super) fn replication(form: Form) -> Model {
    let bounds = match form {
        Form::Short => Bounds {
            max_term: 2,
            crashes: 1,
            proposals: 2,
            ..Bounds::default()
        },
        Form::Full => Bounds {
            max_term: 2,
            timeouts: 1,
            crashes: 1,
            proposals: 2,
            ..Bounds::default()
        },
    };
    Model {
        name: "replication",
        about: "entries, with disks that lag, crashes that lose writes, and a second leader",
        configs: voters(3),
        disks: Disks::Lagging,
        opening: |world| world.elect(1, &[1, 2, 3]),
        bounds,
        operations: Vec::new(),
        reaches: match form {
            Form::Short => &[Mark::Committed, Mark::LostWrites],
            Form::Full => &[
                Mark::Committed,
                Mark::Elected,
                Mark::TwoLeaders,
                Mark::Truncated,
                Mark::LostWrites,
            ],
        },
        reductions: Reductions::OF_NAMED,
        states: match form {
            Form::Short => Some(28_543),
            Form::Full => None,
        },
    }
}

/// The paper's Figure 8, from its middle on: an entry of an earlier term is on a majority, and may
/// still be replaced (section 5.4.2). Three nodes suffice. Leaders append no entry of their own.
///
/// The opening: n1 led term 1 and kept a command to itself; n3 leads term 2 and keeps another one.
pub(super) fn figure8(form: Form) -> Model {
    let mut configs = voters(3);
    for config in &mut configs {
        config.leader_noop = LeaderNoop::Off;
    }
    let bounds = match form {
        Form::Short => Bounds {
            max_term: 4,
            timeouts: 2,
            ..Bounds::default()
        },
        Form::Full => Bounds {
            max_term: 4,
            timeouts: 2,
            proposals: 1,
            ..Bounds::default()
        },
    };
    Model {
        name: "figure8",
        about: "Figure 8 of the paper: entries of earlier terms on a majority",
        configs,
        disks: Disks::Immediate,
        opening: |world| {
            world.elect(1, &[1, 2, 3]);
            world.happens(1, What::Proposes(101));
            world.lose_all();
            world.elect(3, &[1, 2, 3]);
            world.happens(3, What::Proposes(102));
            world.lose_all();
        },
        bounds,
        operations: Vec::new(),
        reaches: match form {
            Form::Short => &[Mark::Elected, Mark::TwoLeaders, Mark::Truncated],
            Form::Full => &[
                Mark::Elected,
                Mark::TwoLeaders,
                Mark::Truncated,
                Mark::Committed,
                Mark::EarlierCommitted,
            ],
        },
        reductions: Reductions::OF_NAMED,
        states: match form {
            Form::Short => Some(12_390),
            Form::Full => None,
        },
    }
}

/// Writes that are overwritten before they are durable (`writes.rs` in the core: their completion
/// proves nothing about the entries that took their places).
///
/// The opening: n1 leads, and has a command that is on no disk yet.
pub(super) fn late_writes(form: Form) -> Model {
    let bounds = match form {
        Form::Short => Bounds {
            max_term: 2,
            timeouts: 1,
            crashes: 1,
            ..Bounds::default()
        },
        Form::Full => Bounds {
            max_term: 2,
            timeouts: 1,
            wakes: 1,
            crashes: 1,
            ..Bounds::default()
        },
    };
    Model {
        name: "late-writes",
        about: "writes of entries that are overwritten before they are durable",
        configs: voters(3),
        disks: Disks::Lagging,
        opening: |world| {
            world.elect(1, &[1, 2, 3]);
            world.happens(1, What::Proposes(101));
            world.lose_all();
        },
        bounds,
        operations: Vec::new(),
        reaches: &[
            Mark::Elected,
            Mark::TwoLeaders,
            Mark::Truncated,
            Mark::LateWrite,
        ],
        reductions: Reductions::OF_NAMED,
        states: match form {
            Form::Short => Some(5_842),
            Form::Full => Some(1_267_843),
        },
    }
}

/// A disk loses the end of its log and says so (`impairment.rs` in the core).
///
/// The opening: n1 leads, and a command is committed on n1 and n2. n3 does not have it.
pub(super) fn impaired(form: Form) -> Model {
    let bounds = match form {
        Form::Short => Bounds {
            max_term: 2,
            timeouts: 1,
            ..Bounds::default()
        },
        Form::Full => Bounds {
            max_term: 3,
            timeouts: 2,
            wakes: 1,
            ..Bounds::default()
        },
    };
    Model {
        name: "impaired",
        about: "a disk loses the end of its log and says so",
        configs: voters(3),
        disks: Disks::Immediate,
        opening: |world| {
            world.elect(1, &[1, 2, 3]);
            world.happens(1, What::Proposes(101));
            world.deliver_among(&[1, 2]);
        },
        bounds,
        operations: vec![Operation::Damage(Index(1))],
        reaches: match form {
            Form::Short => &[Mark::Elected, Mark::Impaired],
            Form::Full => &[Mark::Elected, Mark::Impaired, Mark::Mended],
        },
        reductions: Reductions::OF_NAMED,
        states: match form {
            Form::Short => Some(1_619),
            Form::Full => None,
        },
    }
}

/// A disk is lost, and its server comes back under its number with an empty one
/// (`incarnation.rs` in the core).
///
/// The opening: n1 leads, and a command is committed on n1 and n2. n3 does not have it. n2's disk
/// is the one that may be lost.
pub(super) fn disk_identity(form: Form) -> Model {
    let mut configs = voters(3);
    for config in &mut configs {
        let member = |id| Member::voter(NodeId(id)).with_incarnation(Incarnation(id));
        let members = (1..=3).map(member).collect();
        config.start = Start::Bootstrap { members };
        config.incarnation = Some(Incarnation(config.node_id.0));
    }
    let bounds = match form {
        Form::Short => Bounds {
            max_term: 2,
            timeouts: 1,
            ..Bounds::default()
        },
        Form::Full => Bounds {
            max_term: 3,
            timeouts: 2,
            ..Bounds::default()
        },
    };
    Model {
        name: "disk-identity",
        about: "a disk is lost, and its server comes back with an empty one",
        configs,
        disks: Disks::Immediate,
        opening: |world| {
            world.elect(1, &[1, 2, 3]);
            world.happens(1, What::Proposes(101));
            world.deliver_among(&[1, 2]);
        },
        bounds,
        operations: vec![Operation::Replace(NodeId(2))],
        reaches: match form {
            Form::Short => &[Mark::Foreign],
            Form::Full => &[Mark::Foreign, Mark::Elected],
        },
        reductions: Reductions::OF_NAMED,
        states: match form {
            Form::Short => Some(781),
            Form::Full => Some(355_839),
        },
    }
}
