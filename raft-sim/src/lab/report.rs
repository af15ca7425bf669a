//! The result of a run of a scenario, and how it is shown: the lab's own lines, and a failure with
//! the command that repeats it.

use super::failure::Failure;
use super::figures::Figures;
use super::scenario::Scenario;
use crate::features::Features;
use core::fmt;
use std::fmt::Write as _;

/// A run of one scenario.
#[derive(Clone, Debug)]
pub struct Report {
    /// The scenario.
    pub scenario: Scenario,
    /// The seed that everything was drawn from.
    pub seed: u64,
    /// The measures, up to the end or the failure.
    pub figures: Figures,
    /// Remarks that do not fail the scenario.
    pub warnings: Vec<String>,
    /// Whether all expectations held.
    pub outcome: Result<(), Failure>,
    /// The trace, as much as was requested.
    pub trace: Vec<String>,
}

impl Report {
    /// The line with which a scenario begins: `Test (3A): initial election ...`.
    pub fn title(&self) -> String {
        self.scenario.title()
    }

    /// The line with which it ends: `  ... Passed -- 3.5 3 58 16840 0`: virtual seconds, peers,
    /// RPCs, bytes, commits.
    pub fn result(&self) -> String {
        let verdict = match self.outcome {
            Ok(()) => "Passed",
            Err(_) => "FAILED",
        };
        format!("  ... {verdict} -- {}", self.figures)
    }

    /// The failure, or an empty text: what was expected and found, the seed, the command that
    /// repeats the run, and the last lines of the trace.
    pub fn failure(&self) -> String {
        let Err(failure) = &self.outcome else {
            return String::new();
        };
        let mut text = format!(
            "{failure}\nseed:     {seed}\nrepeat:   {command}\n",
            seed = self.seed,
            command = self.repeating_command(),
        );
        if !self.trace.is_empty() {
            // Writing to a string cannot fail, here and below.
            let _ = writeln!(text, "the last {} lines of the trace:", self.trace.len());
            for line in &self.trace {
                let _ = writeln!(text, "  {line}");
            }
        }
        text
    }

    /// The command that repeats the run.
    pub fn repeating_command(&self) -> String {
        let (number, seed) = (self.scenario.number, self.seed);
        let features = match self.scenario.features {
            Features::None => String::new(),
            other @ (Features::Drawn | Features::All) => format!(" --features {other}"),
        };
        format!("cargo run --release -p raft-sim -- lab {number} --seed {seed}{features}")
    }
}

impl fmt::Display for Report {
    /// The lab's lines, the warnings, and the failure if there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title())?;
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        writeln!(f, "{}", self.result())?;
        f.write_str(&self.failure())
    }
}
