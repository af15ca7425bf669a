//! Elections: votes, terms, split votes, restarts of voters, and messages that come twice.

use super::voters;
use crate::check::model::{Bounds, Form, Model, Reductions};
use crate::check::node::Disks;
use crate::check::outcome::Mark;
use raft_proto::{CheckQuorum, PreVoting};

/// Elections with Pre-Vote and CheckQuorum (thesis 6.2 and 9.6).
pub(super) fn checked(form: Form) -> Model {
    let mut configs = voters(3);
    for config in &mut configs {
        config.pre_vote = PreVoting::On;
        config.check_quorum = CheckQuorum::On;
    }
    let bounds = match form {
        Form::Short => Bounds {
            max_term: 1,
            timeouts: 2,
            ..Bounds::default()
        },
        Form::Full => Bounds {
            max_term: 2,
            timeouts: 3,
            waits: 2,
            crashes: 1,
            ..Bounds::default()
        },
    };
    Model {
        name: "elections",
        about: "elections with Pre-Vote and CheckQuorum",
        configs,
        disks: Disks::Immediate,
        opening: |_| {},
        bounds,
        operations: Vec::new(),
        reaches: match form {
            Form::Short => &[Mark::Elected, Mark::PreVoteRefused],
            Form::Full => &[Mark::Elected, Mark::PreVoteRefused, Mark::StepsDown],
        },
        reductions: Reductions::ALL,
        states: match form {
            Form::Short => Some(6_810),
            Form::Full => None,
        },
    }
}

/// Elections as in the paper (section 5.2), with disks that lag.
pub(super) fn bare(form: Form) -> Model {
    let bounds = match form {
        Form::Short => Bounds {
            max_term: 1,
            timeouts: 2,
            crashes: 1,
            ..Bounds::default()
        },
        Form::Full => Bounds {
            max_term: 2,
            timeouts: 2,
            crashes: 1,
            repeats: 1,
            ..Bounds::default()
        },
    };
    Model {
        name: "elections-bare",
        about: "elections as in the paper, with disks that lag",
        configs: voters(3),
        disks: Disks::Lagging,
        opening: |_| {},
        bounds,
        operations: Vec::new(),
        reaches: match form {
            Form::Short => &[Mark::Elected, Mark::VoteRefused, Mark::LostWrites],
            Form::Full => &[
                Mark::Elected,
                Mark::TwoLeaders,
                Mark::VoteRefused,
                Mark::LostWrites,
            ],
        },
        reductions: Reductions::ALL,
        states: match form {
            Form::Short => Some(8_596),
            Form::Full => None,
        },
    }
}
