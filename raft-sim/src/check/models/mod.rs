//! The models, one file each.

mod elections;

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
