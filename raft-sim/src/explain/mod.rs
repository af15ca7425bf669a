//! Explains recordings: why an entry was slow, why leadership changed, why a proposal was lost.
//!
//! The recordings of a cluster's nodes hold every event of each core with its time, and the core is
//! deterministic: replaying them gives what each node sent, wrote and applied. [`explain`] merges
//! them into one run, follows each proposed entry from its proposal until it was applied, and says
//! where the time went.
//!
//! | file | what |
//! |---|---|
//! | here | the entrance, and which files belong to which node |
//! | `tape`, `instance`, `spans` | replays a node's recordings, and what it notes |
//! | `notes` | what a driver has measured besides |
//! | `clocks` | aligns the clocks of the nodes |
//! | `stages` | an entry's way |
//! | `slowest` | the slowest entries, and quantiles |
//! | `leaders` | who led when, and why that changed |
//! | `lost` | proposals that were never committed |
//! | `words` | durations and lists as people write them |
//! | `report` | the result |
//!
//! What cannot be known is said in [`Report::unknown`].

mod clocks;
mod instance;
mod leaders;
mod lost;
mod notes;
mod report;
mod slowest;
mod spans;
mod stages;
mod tape;
mod words;

pub use report::{
    Follower, Leadership, Lost, NodeFiles, PairUncertainty, Refused, Report, SlowEntry,
    StageQuantiles, StageTime,
};
pub use stages::Stage;

use crate::replay::ReplayError;
use clocks::Clocks;
use instance::Instance;
use raft_proto::recording::Recording;
use raft_proto::{Commands, Index, Message, NodeId, Time};
use rustc_hash::FxHasher;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use tape::Tape;

/// A recording, what to call it, and what its driver has measured besides.
#[derive(Clone, Copy, Debug)]
pub struct RecordedFile<'a> {
    /// For messages.
    pub name: &'a str,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// The text beside it that ends in `.rafttimes`, if there is one.
    pub times: Option<&'a [u8]>,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Only the entries at this index.
    pub entry: Option<u64>,
    /// Only commands that contain these bytes.
    pub containing: Option<Vec<u8>>,
    /// How many of the slowest entries are told of.
    pub slowest: usize,
}

impl Default for Question {
    /// All entries, and the ten slowest of them.
    fn default() -> Question {
        Question {
            entry: None,
            containing: None,
            slowest: 10,
        }
    }
}

impl Question {
    /// The offsets of the commands that are asked for; `None` if all are.
    fn wanted(&self, first: Index, commands: &Commands) -> Option<Vec<u64>> {
        if self.entry.is_none() && self.containing.is_none() {
            return None;
        }
        let is_wanted = |(offset, command): (u64, &[u8])| {
            let at = first.plus(offset).0;
            let is_here = self.entry.is_none_or(|entry| entry == at);
            let contains = |needle: &Vec<u8>| {
                let length = needle.len().max(1);
                command.windows(length).any(|part| part == needle)
            };
            (is_here && self.containing.as_ref().is_none_or(contains)).then_some(offset)
        };
        Some((0..).zip(commands.iter()).filter_map(is_wanted).collect())
    }
}

/// Why recordings cannot be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// A file cannot be replayed.
    #[error("{file}: {reason}")]
    File {
        /// The file.
        file: String,
        /// Why.
        reason: ReplayError,
    },
    /// A step whose answer differs: what this build would tell is not what happened.
    #[error(
        "{file}: the step at byte {offset} differs in this build: explain the recording with the \
         release that made it (`raft-sim replay` shows the step)"
    )]
    Differs {
        /// The file.
        file: String,
        /// Where its event begins.
        offset: u64,
    },
    /// The recordings are of several clusters.
    #[error(
        "{file} is of cluster {found}, and {first} is of cluster {expected}: give those of one"
    )]
    OtherCluster {
        /// The file.
        file: String,
        /// Its cluster.
        found: String,
        /// A file before it.
        first: String,
        /// The cluster of that.
        expected: String,
    },
}

/// All instances, with aligned clocks.
#[derive(Debug)]
struct Cluster {
    instances: Vec<Instance>,
    clocks: Clocks,
}

impl Cluster {
    /// The instance of `node` that has sent a message to another one: of equal messages, the last
    /// that was sent before it arrived.
    fn sender(
        &self,
        node: NodeId,
        to: NodeId,
        digest: u64,
        receiver: usize,
        at: Time,
    ) -> Option<usize> {
        let arrived = self.clocks.common(receiver, at);
        let sent = self.instances.iter().enumerate().filter_map(|(of, it)| {
            let first = it.sent_as.get(&(to, digest))?.first()?;
            let sent = self.clocks.common(of, it.sent.get(*first)?.at);
            (it.node == node).then_some((sent, of))
        });
        // Aligned clocks may be wrong by a little.
        let slack = i64::try_from(self.clocks.contradiction).unwrap_or(0);
        let sent = sent.filter(|(sent, _)| *sent <= arrived.saturating_add(slack));
        sent.max().map(|(_, of)| of)
    }

    /// The instances of a node, in the order in which they started.
    fn of(&self, node: NodeId) -> impl Iterator<Item = (usize, &Instance)> {
        let instances = self.instances.iter().enumerate();
        instances.filter(move |(_, instance)| instance.node == node)
    }

    /// The instance of a node that ran at a time of the common axis, or the last one before.
    fn running(&self, node: NodeId, common: i64) -> Option<usize> {
        let begun = self
            .of(node)
            .filter(|(at, instance)| self.clocks.common(*at, instance.first) <= common);
        begun.last().map(|(at, _)| at)
    }
}

/// A duration in nanoseconds as people write it: `412 us`, `38.2 ms`, `1.24 s`.
pub fn duration(nanos: u64) -> String {
    words::span(nanos)
}

fn digest(message: &Message) -> u64 {
    let mut hasher = FxHasher::default();
    message.hash(&mut hasher);
    hasher.finish()
}

/// Explains the recordings of a cluster, those of each node in the given order.
///
/// # Errors
///
/// [`ExplainError`] if a file cannot be read, or this build answers otherwise than was recorded.
pub fn explain(files: &[RecordedFile<'_>], question: &Question) -> Result<Report, ExplainError> {
    let mut tapes: BTreeMap<NodeId, Tape<'_>> = BTreeMap::new();
    let mut first = None;
    for file in files {
        let opened = Recording::open(file.bytes).map_err(|reason| ExplainError::File {
            file: file.name.to_owned(),
            reason: reason.into(),
        })?;
        let config = &opened.header().config;
        let found = (config.cluster_id, config.group_id);
        let (expected, named) = *first.get_or_insert((found, file.name));
        if found != expected {
            return Err(ExplainError::OtherCluster {
                file: file.name.to_owned(),
                found: format!("{} group {}", found.0, found.1),
                first: named.to_owned(),
                expected: format!("{} group {}", expected.0, expected.1),
            });
        }
        let tape = tapes.entry(config.node_id);
        tape.or_insert_with(|| Tape::new(question)).play(file)?;
    }
    let instances = tapes.into_values().flat_map(Tape::finish);
    let instances: Vec<Instance> = instances.collect();
    let clocks = Clocks::align(&instances);
    let cluster = Cluster { instances, clocks };
    Ok(Report::of(&cluster, question))
}
