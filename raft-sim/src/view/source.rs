//! What a page runs: a seed with its options, or a schedule; and what was done to it by hand.

use crate::availability::Condition;
use crate::draw::Draft;
use crate::duration::HumanDuration;
use crate::features::Features;
use crate::intensity::{FaultKind, Override};
use crate::report::Origin;
use crate::request::{Checks, Faults, Request};
use crate::schedule::{FileError, Schedule};
use serde::{Deserialize, Serialize};

/// Where a run comes from, as a page holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A seed, and what is not drawn from it.
    Seed(SeedSource),
    /// The text of a schedule file.
    Schedule(String),
}

/// A seed, and the options of `raft-sim run`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedSource {
    /// The seed, in decimal: a browser's numbers are too small for it.
    pub seed: String,
    /// How many servers.
    pub nodes: u32,
    /// How long the safety phase is.
    pub time: HumanDuration,
    /// How hostile the environment is.
    pub faults: Faults,
    /// Which features are used.
    pub features: Features,
    /// Client operations in a second; by default drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// Faults whose intensity is given: `loss=10`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<String>,
    /// What stays in a phase after the faults; by default drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
    /// Which checks judge the run.
    #[serde(default, skip_serializing_if = "Checks::are_usual")]
    pub checks: Checks,
}

/// Why there is nothing to run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The seed is no number.
    #[error("{0:?} is no seed: a seed is a whole number from 0 to 18446744073709551615")]
    Seed(String),
    /// An option is out of its range.
    #[error("{0}")]
    Option(String),
    /// The schedule cannot be read.
    #[error("the schedule cannot be read: {0}")]
    Schedule(#[from] FileError),
    /// The schedule is for a core with a mistake in it.
    #[error(
        "the schedule is for the mistake {0:?}, which the core in a page does not have: remove its \
         line `mutant` to see what the core without it does"
    )]
    Mutant(String),
}

impl From<&Request> for SeedSource {
    fn from(request: &Request) -> SeedSource {
        let given = |kind: FaultKind| {
            let intensity = request.overrides.get(kind)?;
            Some(format!("{kind}={intensity}"))
        };
        SeedSource {
            seed: request.seed.to_string(),
            nodes: request.nodes,
            time: HumanDuration(request.time),
            faults: request.faults,
            features: request.features,
            rate: request.rate,
            overrides: FaultKind::ALL.into_iter().filter_map(given).collect(),
            condition: request.condition,
            checks: request.checks,
        }
    }
}

impl SeedSource {
    fn request(&self) -> Result<Request, SourceError> {
        let seed = crate::sweep::parse_seed(&self.seed);
        let seed = seed.ok_or_else(|| SourceError::Seed(self.seed.clone()))?;
        let most = Request::MAX_NODES;
        if !(1..=most).contains(&self.nodes) {
            return Err(SourceError::Option(format!("servers: from 1 to {most}")));
        }
        if self.time.0.is_zero() || self.time.0 > Request::MAX_TIME {
            let why = "time: above zero, and at most 7 days";
            return Err(SourceError::Option(why.into()));
        }
        let overrides = self.overrides.iter().map(|text| {
            let parsed = text.parse::<Override>();
            parsed.map_err(|error| SourceError::Option(format!("{text}: {error}")))
        });
        let overrides: Vec<Override> = overrides.collect::<Result<_, _>>()?;
        Ok(Request {
            rate: self.rate,
            overrides: overrides.into_iter().collect(),
            condition: self.condition,
            checks: self.checks,
            features: self.features,
            ..Request::new(seed, self.nodes, self.time.0, self.faults)
        })
    }
}

impl Source {
    /// The run in words.
    ///
    /// # Errors
    ///
    /// [`SourceError`].
    pub fn name(&self) -> Result<String, SourceError> {
        match self {
            Source::Seed(seed) => Ok(Origin::Drawn(seed.request()?).to_string()),
            Source::Schedule(text) => {
                let schedule = Schedule::parse(text)?;
                let (seed, nodes, count) = (schedule.seed, schedule.settings.nodes, schedule.len());
                Ok(Origin::Schedule {
                    nodes,
                    seed,
                    operations: count,
                }
                .to_string())
            }
        }
    }

    /// All that happens, written out, with what is `added` to it: lines as in a schedule file, each
    /// with its time.
    ///
    /// # Errors
    ///
    /// [`SourceError`].
    pub fn schedule(&self, added: &[String]) -> Result<Schedule, SourceError> {
        let mut schedule = match self {
            Source::Seed(seed) => Draft::new(seed.request()?).schedule(),
            Source::Schedule(text) => Schedule::parse(text)?,
        };
        if let Some(mutant) = schedule.mutant {
            return Err(SourceError::Mutant(mutant));
        }
        for line in added {
            schedule.add(line)?;
        }
        if !added.is_empty() {
            // It failed as it was before.
            schedule.failure = None;
        }
        Ok(schedule)
    }
}
