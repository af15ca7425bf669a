//! Every network of a few servers: does it have a leader that commits, and do terms stay quiet?
//!
//! Which servers reach which is a directed graph, kept constant. Of three servers there are 16
//! classes of graphs that differ in more than the servers' numbers, of four 218, of five 9,608.
//! Each is tried with real cores, from each state that a healthy cluster may have been in when the
//! links were cut: every leader, with all logs equal or with one server that lacks the last
//! committed entry.
//!
//! What can be expected follows from the graph alone:
//!
//! * A leader has to reach a majority, and be reached by it: [hubs](graph::Graph::hubs) alone can
//!   commit. Without one nobody can, in any protocol in which servers do not pass messages on.
//! * If there is a [whole majority](graph::Graph::has_whole_majority), all of whose members reach
//!   each other, CheckQuorum and Pre-Vote promise a leader that stays (thesis 6.2, 9.6).
//! * Between the two a hub reaches a majority whose members do not all reach each other. Raft
//!   promises nothing there: the hub may lack entries (section 5.4.1), or hear of a leader that
//!   does not hear the hub's voters, and one that is not heard by it may begin terms.
//!
//! [`survey`] counts what happens in each.

pub mod graph;
pub mod summary;
pub mod trial;

use graph::Graph;
use raft_proto::{CheckQuorum, PreVoting};
use rayon::prelude::*;
use trial::{Before, Trial, TrialError, Verdict};

/// The settings of all trials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The seed that everything is drawn from.
    pub seed: u64,
    /// How many servers, 2 to [`graph::MAX_NODES`].
    pub nodes: u8,
    /// Whether servers use Pre-Vote (thesis 9.6).
    pub pre_vote: PreVoting,
    /// Whether leaders use CheckQuorum (thesis 6.2).
    pub check_quorum: CheckQuorum,
}

/// One trial of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What the cluster was before the cut.
    pub before: Before,
    /// What came of it.
    pub verdict: Verdict,
}

/// The trials of one graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The graph.
    pub graph: Graph,
    /// One for each state before the cut.
    pub outcomes: Vec<Outcome>,
}

impl Request {
    fn sample(&self, graph: Graph) -> Result<Sample, TrialError> {
        let outcomes = Before::all(self.nodes).map(|before| {
            let trial = Trial {
                seed: self.seed,
                pre_vote: self.pre_vote,
                check_quorum: self.check_quorum,
                graph,
                before,
            };
            let verdict = trial.run()?;
            Ok(Outcome { before, verdict })
        });
        Ok(Sample {
            graph,
            outcomes: outcomes.collect::<Result<_, TrialError>>()?,
        })
    }
}

/// Tries one graph of each class, on all cores. `on_done` is called after each graph. The result
/// does not depend on the number of threads.
///
/// # Errors
///
/// The first trial that could not be run.
pub fn survey(request: &Request, on_done: impl Fn() + Sync) -> Result<Vec<Sample>, TrialError> {
    let samples: Vec<_> = Graph::classes(request.nodes)
        .into_par_iter()
        .map(|graph| {
            let sample = request.sample(graph);
            on_done();
            sample
        })
        .collect();
    samples.into_iter().collect()
}
