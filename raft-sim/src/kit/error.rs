//! Why a kit's test fails.

use crate::failure::Failure;
use crate::schedule::{FileError, Schedule};
use crate::shrink::Size;
use core::fmt;
use std::path::PathBuf;

/// Why a kit's test fails.
#[derive(Debug, thiserror::Error)]
pub enum KitError {
    /// A run fails.
    #[error(transparent)]
    Found(Box<Found>),
    /// A run fails, and another run of the same seed does not, or otherwise: the service is not
    /// deterministic.
    #[error(
        "seed {seed} fails, and when it is run again it does not, or otherwise: the state machine, \
         its model or its commands depend on something else than the state and the command, such \
         as a clock, a global variable or the order of a hash table\n  first: {first}\n  then: {then}"
    )]
    NotRepeatable {
        /// The seed.
        seed: u64,
        /// What went wrong first.
        first: String,
        /// What went wrong then.
        then: String,
    },
    /// No seed reached a situation that the test requires.
    #[error(
        "none of {seeds} seeds reached: {}\nThe test does not explore what it should: run more \
         seeds, longer ones, or with more faults",
        .marks.join("; ")
    )]
    NotReached {
        /// The situations.
        marks: Vec<String>,
        /// How many seeds were run.
        seeds: u64,
    },
    /// In most runs what clients saw was too hard to check to its end.
    #[error(
        "in {unchecked} of {seeds} seeds what clients saw was too hard to check to its end: say which \
         commands are independent of each other (Model::keyed), or which change nothing \
         (Model::reads), or run shorter ones"
    )]
    TooHard {
        /// How many.
        unchecked: u64,
        /// How many seeds were run.
        seeds: u64,
    },
    /// There is no seed to run.
    #[error("there is no seed to run: the range is empty")]
    NoSeeds,
    /// The cluster that the test describes is not possible.
    #[error("the cluster is not possible: {0}")]
    Impossible(String),
    /// An environment variable does not say what it should.
    #[error("{variable}={value}: {reason}")]
    Environment {
        /// Its name.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A schedule cannot be read.
    #[error("{}: {reason}", .path.display())]
    Schedule {
        /// Its file.
        path: PathBuf,
        /// Why not.
        reason: FileError,
    },
}

/// A run that fails, made small.
#[derive(Debug)]
pub struct Found {
    /// The seed; `None` if the run was read from a schedule.
    pub seed: Option<u64>,
    /// What goes wrong in the small run.
    pub failure: Failure,
    /// What went wrong before the run was made small.
    pub first_failure: Failure,
    /// The small run.
    pub schedule: Schedule,
    /// What happens in it, in the order of time: faults, and commands with their answers.
    pub events: Vec<String>,
    /// The last lines of its trace.
    pub last_lines: Vec<String>,
    /// The size of the run before it was made small.
    pub before: Size,
    /// The size of the small run.
    pub after: Size,
    /// How many runs were tried to make it small.
    pub tried: u64,
    /// The file into which the small run was written, if that was possible.
    pub file: Option<PathBuf>,
    /// The name of the test.
    pub test: Option<String>,
}

impl Found {
    /// Whether it is the service that fails, and not the core or the simulator.
    pub fn is_of_service(&self) -> bool {
        match &self.failure {
            Failure::Service { .. }
            | Failure::Command(_)
            | Failure::ReplicasDiffer(_)
            | Failure::StatesDiffer { .. }
            | Failure::NotLinearizable(_)
            | Failure::NoService
            | Failure::Panicked(_) => true,
            Failure::Violated(_)
            | Failure::NotRefined(_)
            | Failure::Rejected { .. }
            | Failure::Refused { .. }
            | Failure::LostState { .. }
            | Failure::Faulted { .. }
            | Failure::Process { .. }
            | Failure::Frame { .. }
            | Failure::Unread { .. }
            | Failure::Snapshot { .. }
            | Failure::NoSnapshot { .. }
            | Failure::NotLive { .. }
            | Failure::Unavailable { .. }
            | Failure::StaleRead { .. }
            | Failure::UnexpectedAnswer { .. }
            | Failure::AnswerForgotten { .. }
            | Failure::UnknownCommand { .. }
            | Failure::LossUnsaid { .. }
            | Failure::Endless { .. }
            | Failure::Storm(_) => false,
        }
    }
}

impl core::error::Error for Found {}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seed {
            Some(seed) => writeln!(f, "seed {seed} fails: {}", self.first_failure)?,
            None => writeln!(f, "the schedule fails: {}", self.first_failure)?,
        }
        if !self.is_of_service() {
            writeln!(
                f,
                "This is a defect of raft-proto or of its simulator, not of the service: please report it."
            )?;
        }
        if self.tried > 0 {
            let (before, after, tried) = (self.before, self.after, self.tried);
            writeln!(f, "\n{before},\nmade small in {tried} runs: {after}")?;
        }
        writeln!(f)?;
        for event in &self.events {
            writeln!(f, "  {event}")?;
        }
        let failure = self.failure.to_string().replace('\n', "\n    ");
        writeln!(f, "  FAILS: {failure}")?;
        let test = self.test.as_deref().unwrap_or_default();
        let separator = if test.is_empty() { "" } else { " -- --exact " };
        writeln!(f)?;
        if let Some(seed) = self.seed {
            writeln!(
                f,
                "the same seed: RAFT_SIM_SEED={seed} cargo test{separator}{test}"
            )?;
        }
        if let Some(file) = &self.file {
            let file = file.display();
            writeln!(
                f,
                "what is above: RAFT_SIM_SCHEDULE={file} cargo test{separator}{test}"
            )?;
        }
        Ok(())
    }
}
