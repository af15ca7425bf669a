//! Explicit-state model checking of the core itself.
//!
//! A seed of [`sweep`](crate::sweep) is one run of a large cluster; a model here is *all* runs of a
//! small one. [`raft_proto::Raft`] is a pure function of its events, so it is its own model:
//! nothing is abstracted, no second description of Raft has to be kept true, and every transition
//! is a call of [`raft_proto::Raft::step`].
//!
//! # A state
//!
//! * The nodes, each with its core, its clock, its service, and its disk: what is durable, and the
//!   writes that were not reported ([`node`]).
//! * The messages on their way, a multiset ([`envelope`]): they arrive in any order, once, twice
//!   within a bound, or never.
//! * What has happened, as far as properties need it ([`history`]).
//! * What is left of the model's bounds ([`model`]).
//!
//! # What can happen next
//!
//! Any message arrives at its addressee. Any node reaches its deadline, hears nothing for an
//! election timeout, has its oldest write durable, crashes and keeps some of the writes that were
//! not reported, is given a command, a read, or something to do by an operator (`choice.rs`).
//! Clocks are independent: the time that passes at one node passes at no other.
//!
//! # What makes it fast
//!
//! * States that behave alike are one ([`canonical`]): instants count relative to a node's clock,
//!   and, in symmetric models, nodes may exchange their names.
//! * A node takes an event at most once: equal states of one node are kept once, and so are its
//!   steps (`tables.rs`). A state of the cluster is a few numbers (`state.rs`), a state that was
//!   seen is 8 bytes (`seen.rs`). States that wait may lie in files (`saved`).
//! * Steps that lead nowhere new are left out (`choice.rs`, `search.rs`), each with the reason
//!   beside it.
//!
//! # What is checked
//!
//! After every step of a node: Leader Append-Only, no promise before it is on disk, no message of a
//! correct node rejected, no fault (`step.rs`). In every state: the other properties of Figure 3,
//! one vote a term, durability on a majority of disks, linearizable reads ([`history`]). At the
//! end: the situations that the model exists for were reached ([`outcome::Mark`]).
//!
//! A violation comes with a shortest path to it, which is walked again by the core alone, without
//! tables and canonical forms ([`counterexample`]).

mod actions;
pub mod canonical;
mod choice;
pub mod counterexample;
mod encoder;
pub mod envelope;
mod expand;
pub mod history;
mod links;
pub mod model;
pub mod models;
pub mod node;
pub mod outcome;
mod queue;
mod recovery;
mod row;
mod saved;
mod search;
mod seen;
mod state;
pub mod step;
mod tables;
pub mod world;

pub use counterexample::Counterexample;
pub use model::{Form, Model};
pub use saved::SavedError;
pub use search::{CheckError, Limits, Progress};

use core::ops::ControlFlow;
use outcome::{Mark, Violation};
use search::{Found, Search};
use std::path::Path;
use world::WalkError;

/// What a search came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// The numbers at the end.
    pub progress: Progress,
    /// Whether every state was reached.
    pub is_complete: bool,
    /// A shortest path to a violation.
    pub counterexample: Option<Counterexample>,
    /// Situations that the model was made for and that were reached.
    pub reached: Vec<Mark>,
    /// Those that were not.
    pub missed: Vec<Mark>,
    /// Different states of one node, messages, histories, and steps that the core took.
    pub sizes: [usize; 4],
}

impl Report {
    /// Whether nothing is wrong. A search that ended early may miss situations.
    pub fn passed(&self) -> bool {
        self.counterexample.is_none() && (!self.is_complete || self.missed.is_empty())
    }
}

/// Searches a model, on the cores of the present thread pool of `rayon`. `on_progress` is told now
/// and then how far it came, and ends the search with [`ControlFlow::Break`].
///
/// # Errors
///
/// The model cannot begin: its settings are refused.
pub fn check(
    model: &Model,
    limits: Limits,
    on_progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Report, CheckError> {
    report(model, Search::new(model), limits, on_progress)
}

/// Like [`check`], with the search kept in a folder: one that a limit, `on_progress` or the end of
/// its process stopped goes on from its last batch, to the same result. The states that wait and
/// the way to each state are in files there, and not in memory.
///
/// The same build has to go on with it: that is noticed only by the steps that were taken already.
///
/// # Errors
///
/// As for [`check`]; or the files in the folder cannot be written or read, or are of another
/// search.
pub fn check_in(
    folder: &Path,
    model: &Model,
    limits: Limits,
    on_progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Report, CheckError> {
    let search = Search::open(model, limits, folder);
    report(model, search, limits, on_progress)
}

fn report(
    model: &Model,
    search: Result<Search<'_>, CheckError>,
    limits: Limits,
    on_progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Report, CheckError> {
    let search = match search {
        Err(CheckError::Walk(WalkError::Violation(violation))) => {
            return Ok(broken_opening(violation));
        }
        search => search?,
    };
    let Found {
        progress,
        is_complete,
        marks,
        counterexample,
        sizes,
    } = search.run(limits, on_progress)?;
    let (reached, missed) = (model.reaches.iter()).partition(|mark| marks.contains(**mark));
    let counterexample = match counterexample {
        Some((path, violation)) => Some(Counterexample::walk(model, &path, violation)?),
        None => None,
    };
    Ok(Report {
        progress,
        is_complete,
        counterexample,
        reached,
        missed,
        sizes,
    })
}

/// The model's first state is wrong already.
fn broken_opening(violation: Violation) -> Report {
    Report {
        progress: Progress {
            states: 1,
            transitions: 0,
            depth: 0,
            left: 0,
            memory: 0,
            elapsed: std::time::Duration::ZERO,
        },
        is_complete: false,
        counterexample: Some(Counterexample::opening(violation)),
        reached: Vec::new(),
        missed: Vec::new(),
        sizes: [0; 4],
    }
}
