//! What an explanation says.

use super::stages::Stage;
use super::{Cluster, Question, leaders, lost, slowest};
use raft_proto::NodeId;
use serde::Serialize;

/// What the recordings of a cluster say. Times are in nanoseconds. Those that name an instant count
/// from the earliest recorded event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The instances of the nodes.
    pub nodes: Vec<NodeFiles>,
    /// How sure the alignment of the clocks is.
    pub clocks: Vec<PairUncertainty>,
    /// By how much messages contradict that clocks run at one rate.
    pub contradiction_ns: u64,
    /// How many commands that are asked for were accepted by a leader.
    pub proposed: u64,
    /// Of how many of them the whole way is recorded.
    pub followed: u64,
    /// How many of them were committed, but were not applied on the node that accepted them as long as
    /// it was recorded: its process ended, or a snapshot jumped over them.
    pub unfollowed: u64,
    /// The least and the greatest index of the commands that were accepted, also of those that are
    /// not asked for.
    pub proposed_range: Option<(u64, u64)>,
    /// Quantiles of each stage over the commands that were followed; the last row is the whole.
    pub stages: Vec<StageQuantiles>,
    /// The slowest of them first.
    pub slowest: Vec<SlowEntry>,
    /// Who led, in the order of the terms.
    pub leaders: Vec<Leadership>,
    /// Commands that are not known to be committed.
    pub lost: Vec<Lost>,
    /// Commands that no log has taken.
    pub refused: Vec<Refused>,
    /// What cannot be known.
    pub unknown: Vec<String>,
}

/// One instance of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeFiles {
    /// The node.
    pub node: u64,
    /// Which of its recorded starts, from 1.
    pub start: usize,
    /// The recordings.
    pub files: Vec<String>,
    /// How many events the core was given.
    pub steps: u64,
    /// The first event.
    pub first_ns: i64,
    /// The last event.
    pub last_ns: i64,
    /// Whether the driver has measured times besides.
    pub has_times: bool,
}

/// How sure the difference of two clocks is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PairUncertainty {
    /// An instance, as `n1` or `n1 (start 2)`.
    pub one: String,
    /// Another one.
    pub other: String,
    /// The difference may be wrong by so much, either way.
    pub uncertainty_ns: u64,
}

/// A row of the table of stages.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageQuantiles {
    /// The stage's name, or `end to end`.
    pub stage: String,
    /// The median.
    pub p50_ns: u64,
    /// Nine of ten are below.
    pub p90_ns: u64,
    /// 99 of 100 are below.
    pub p99_ns: u64,
    /// The longest.
    pub max_ns: u64,
    /// Of all entries' time, from 0 to 1.
    pub share: f64,
}

/// The way of one entry. Instants count from its beginning, except `at_ns`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SlowEntry {
    /// Its index.
    pub index: u64,
    /// Its term.
    pub term: u64,
    /// The node that proposed and committed it.
    pub leader: u64,
    /// When it began.
    pub at_ns: i64,
    /// From its beginning until it was applied.
    pub total_ns: u64,
    /// Where that went. The stages add up to the total.
    pub stages: Vec<StageTime>,
    /// What completed the majority.
    pub completed_by: String,
    /// What took longest, in words.
    pub cause: String,
    /// The other voters.
    pub followers: Vec<Follower>,
    /// The leader's core took it.
    pub proposed_ns: i64,
    /// It was on the leader's own disk.
    pub leader_durable_ns: Option<i64>,
    /// It was committed.
    pub committed_ns: i64,
    /// It was given to the state machine.
    pub handed_out_ns: i64,
    /// It was applied.
    pub applied_ns: i64,
}

/// The time of one stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StageTime {
    /// The stage.
    pub stage: Stage,
    /// How long.
    pub ns: u64,
}

/// The way over another voter, as far as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Follower {
    /// The voter.
    pub node: u64,
    /// The leader sent the append.
    pub sent_ns: Option<i64>,
    /// The voter's core took it.
    pub received_ns: Option<i64>,
    /// It was on the voter's disk.
    pub durable_ns: Option<i64>,
    /// The leader's core took the answer.
    pub answered_ns: Option<i64>,
}

/// A node led in a term.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Leadership {
    /// The term.
    pub term: u64,
    /// The node.
    pub node: u64,
    /// Since when, as far as it is recorded.
    pub at_ns: i64,
    /// Until when.
    pub until_ns: i64,
    /// For how long no recorded node led before.
    pub without_leader_ns: Option<u64>,
    /// How it came to lead.
    pub why: String,
    /// How that ended.
    pub ended: String,
}

/// Commands whose proposal was accepted, and that are not known to be committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// The first of them.
    pub first: u64,
    /// The last.
    pub last: u64,
    /// Their term.
    pub term: u64,
    /// The node that accepted them.
    pub node: u64,
    /// When.
    pub at_ns: i64,
    /// Whether they are lost for sure; otherwise their fate is open, or not recorded.
    pub is_lost: bool,
    /// Why.
    pub why: String,
}

/// Commands that were refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// By which node.
    pub node: u64,
    /// How many.
    pub commands: u64,
    /// Why.
    pub reason: String,
}

impl Report {
    pub(super) fn of(cluster: &Cluster, question: &Question) -> Report {
        let ways = slowest::ways(cluster);
        let proposals = cluster.instances.iter().flat_map(|it| &it.proposals);
        let proposed = proposals.map(|it| match &it.wanted {
            Some(wanted) => wanted.len() as u64,
            None => it.count,
        });
        let ranges = cluster.instances.iter().filter_map(|it| it.proposed_range);
        let range = ranges.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
        let proposed: u64 = proposed.sum();
        let lost = lost::lost(cluster);
        let undecided: u64 = lost.iter().map(|it| it.last + 1 - it.first).sum();
        let followed = ways.len() as u64;
        Report {
            nodes: nodes(cluster),
            clocks: pairs(cluster),
            contradiction_ns: cluster.clocks.contradiction,
            proposed,
            followed,
            unfollowed: proposed.saturating_sub(followed + undecided),
            proposed_range: range.map(|(first, last)| (first.0, last.0)),
            stages: slowest::quantiles(&ways),
            slowest: slowest::slowest(cluster, &ways, question),
            leaders: leaders::leaders(cluster),
            lost,
            refused: refused(cluster),
            unknown: unknown(cluster),
        }
    }
}

fn nodes(cluster: &Cluster) -> Vec<NodeFiles> {
    let instances = cluster.instances.iter().enumerate();
    let node = instances.map(|(at, it)| NodeFiles {
        node: it.node.0,
        start: it.number,
        files: it.files.clone(),
        steps: it.steps,
        first_ns: cluster.clocks.common(at, it.first),
        last_ns: cluster.clocks.common(at, it.last),
        has_times: !it.notes.is_empty(),
    });
    node.collect()
}

/// The pairs of instances whose clocks messages bound from both sides.
fn pairs(cluster: &Cluster) -> Vec<PairUncertainty> {
    let mut pairs = Vec::new();
    for (at, one) in cluster.instances.iter().enumerate() {
        for (beside, other) in cluster.instances.iter().enumerate().skip(at + 1) {
            if let Some(uncertainty_ns) = cluster.clocks.uncertainty(at, beside) {
                pairs.push(PairUncertainty {
                    one: one.name(),
                    other: other.name(),
                    uncertainty_ns,
                });
            }
        }
    }
    pairs
}

fn refused(cluster: &Cluster) -> Vec<Refused> {
    let mut refused: Vec<Refused> = Vec::new();
    for instance in &cluster.instances {
        for (reason, commands) in &instance.refused {
            let node = instance.node.0;
            let known = refused
                .iter_mut()
                .find(|it| it.node == node && it.reason == *reason);
            if let Some(known) = known {
                known.commands += commands;
            } else {
                refused.push(Refused {
                    node,
                    commands: *commands,
                    reason: reason.clone(),
                });
            }
        }
    }
    refused
}

/// What these recordings cannot tell.
fn unknown(cluster: &Cluster) -> Vec<String> {
    let mut unknown = Vec::new();
    let is_missing = |node: &NodeId| cluster.of(*node).next().is_none();
    let voters = cluster.instances.iter().flat_map(|it| &it.voters);
    let mut missing: Vec<NodeId> = voters.copied().filter(is_missing).collect();
    missing.sort();
    missing.dedup();
    if !missing.is_empty() {
        let nodes = super::words::list(&missing);
        unknown.push(format!(
            "What {nodes} did: no recording of it was given. Its wire and its disk cannot be told apart"
        ));
    }
    let count = cluster.instances.len();
    let is_loose = |at: usize| (0..at).all(|it| cluster.clocks.uncertainty(it, at).is_none());
    let mut loose = (1..count).filter(|at| is_loose(*at));
    if let Some(instance) = loose.next().and_then(|at| cluster.instances.get(at)) {
        unknown.push(format!(
            "How much time lies between some instances of the nodes: no messages bound it from both \
             sides, as between {} and what ran before. They are put close to each other",
            instance.name()
        ));
    }
    if cluster.instances.iter().any(|it| it.notes.is_empty()) {
        unknown.push(
            "How long commands waited before a core took them, and when exactly a sync began and \
             the state machine had applied: a recording holds what the core saw. The way begins \
             when the core took the command, and \"applied\" is when the core was told, with \
             raft-driver-thread up to 2 ms late"
                .to_owned(),
        );
    }
    unknown.push(
        "How long a message was on the network and how long in the receiver's inbox: the wire's \
         time ends when the core took it. What was lost shows as never received"
            .to_owned(),
    );
    unknown.push(
        "Why a disk, a link or a process was slow, whether a process ended or its machine did, and \
         what became of an answer on its way to a client: no core is told"
            .to_owned(),
    );
    unknown
}
