//! The models, one file each.

mod elections;
mod members;
mod replication;
mod service;

use super::model::{Form, Model};
use raft_proto::{CheckQuorum, ClusterId, Config, NodeId, PreVoting, Start};
use std::time::Duration;

/// A model by its name.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// Makes it.
    pub make: fn(Form) -> Model,
}

/// All models, in the order in which they are best read.
pub const ALL: &[Entry] = &[
    Entry {
        name: "elections",
        make: elections::checked,
    },
    Entry {
        name: "elections-bare",
        make: elections::bare,
    },
    Entry {
        name: "replication",
        make: replication::replication,
    },
    Entry {
        name: "figure8",
        make: replication::figure8,
    },
    Entry {
        name: "late-writes",
        make: replication::late_writes,
    },
    Entry {
        name: "snapshot",
        make: service::snapshot,
    },
    Entry {
        name: "joint",
        make: members::joint,
    },
    Entry {
        name: "single-change",
        make: members::single_change,
    },
    Entry {
        name: "read-index",
        make: service::read_index,
    },
    Entry {
        name: "transfer",
        make: service::transfer,
    },
    Entry {
        name: "impaired",
        make: replication::impaired,
    },
    Entry {
        name: "disk-identity",
        make: replication::disk_identity,
    },
];

/// The model of this name.
pub fn find(name: &str) -> Option<Entry> {
    ALL.iter().find(|entry| entry.name == name).copied()
}

/// The election timeout of all models. Its range is a nanosecond, so that every draw has the same
/// result: nodes whose random streams are at different places behave alike.
const ELECTION_TIMEOUT: Duration = Duration::from_millis(500);

/// A cluster of voters, with everything off that can be.
fn voters(nodes: u64) -> Vec<Config> {
    (1..=nodes)
        .map(|node| {
            let start = Start::voters((1..=nodes).map(NodeId));
            let mut config = Config::new(ClusterId(1), NodeId(node), start, 0);
            config.election_timeout_min = ELECTION_TIMEOUT;
            config.election_timeout_max = ELECTION_TIMEOUT + Duration::from_nanos(1);
            config.pre_vote = PreVoting::Off;
            config.check_quorum = CheckQuorum::Off;
            config
        })
        .collect()
}
