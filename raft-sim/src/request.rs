//! The run that the command line asks for. Everything else is drawn from the seed.

use crate::availability::Condition;
use crate::duration::HumanDuration;
use crate::failure::Failure;
use crate::features::Features;
use crate::intensity::{FaultKind, Overrides};
use core::fmt;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// How hostile the environment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Faults {
    /// No loss, no crashes, no partitions. Messages and disks still take their time.
    None,
    /// A bad day in a data centre: now and then a message is lost or late, or a machine crashes.
    Mild,
    /// Much worse than any real day, with tiny limits that make rare paths frequent.
    Wild,
}

impl Faults {
    /// For a sentence: "no faults", "mild faults".
    pub fn in_words(self) -> &'static str {
        match self {
            Faults::None => "no faults",
            Faults::Mild => "mild faults",
            Faults::Wild => "wild faults",
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Faults::None => "none",
            Faults::Mild => "mild",
            Faults::Wild => "wild",
        })
    }
}

/// Which checks judge a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Checks {
    /// The checkers.
    #[default]
    Usual,
    /// The checkers, and the refinement.
    Refine,
    /// The refinement alone: what else goes wrong does not count. To measure what it finds.
    OnlyRefinement,
}

impl Checks {
    /// Whether it is the default.
    pub fn are_usual(&self) -> bool {
        *self == Checks::Usual
    }

    /// Whether the refinement judges.
    pub fn refine(self) -> bool {
        self != Checks::Usual
    }

    /// Whether a failure counts.
    pub fn count(self, failure: &Failure) -> bool {
        self != Checks::OnlyRefinement || matches!(failure, Failure::NotRefined(_))
    }
}

/// A request for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The seed from which everything is drawn.
    pub seed: u64,
    /// How many servers, from 1 to [`Request::MAX_NODES`].
    pub nodes: u32,
    /// How long the safety phase is, in virtual time; above zero.
    pub time: Duration,
    /// How hostile the environment is.
    pub faults: Faults,
    /// Which features beyond Figure 2 are used.
    pub features: Features,
    /// Client operations in a second of virtual time; `None`: the seed draws it.
    pub rate: Option<u32>,
    /// Faults whose intensity is given, not drawn.
    pub overrides: Overrides,
    /// What stays in a phase after the faults; `None`: the seed draws it.
    pub condition: Option<Condition>,
    /// Which checks judge it.
    pub checks: Checks,
}

impl Request {
    /// The greatest cluster: its majority is greater by 4 than that of any cluster in use.
    pub const MAX_NODES: u32 = 15;
    /// The longest run: a week of virtual time.
    pub const MAX_TIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

    /// A request that leaves all else to the seed.
    pub fn new(seed: u64, nodes: u32, time: Duration, faults: Faults) -> Request {
        Request {
            seed,
            nodes,
            time,
            faults,
            features: Features::Drawn,
            rate: None,
            overrides: Overrides::default(),
            condition: None,
            checks: Checks::Usual,
        }
    }

    /// The options, beside the seed, that make the same request.
    pub fn settings(&self) -> String {
        let mut text = format!("--nodes {} --time {}", self.nodes, HumanDuration(self.time));
        if self.faults != Faults::Mild {
            text += &format!(" --faults {}", self.faults);
        }
        if self.features != Features::Drawn {
            text += &format!(" --features {}", self.features);
        }
        if let Some(rate) = self.rate {
            text += &format!(" --rate {rate}");
        }
        for kind in FaultKind::ALL {
            if let Some(intensity) = self.overrides.get(kind) {
                text += &format!(" --fault {kind}={intensity}");
            }
        }
        if let Some(condition) = self.condition {
            text += &format!(" --condition {condition}");
        }
        text += match self.checks {
            Checks::Usual => "",
            Checks::Refine => " --refine",
            Checks::OnlyRefinement => " --only-refinement",
        };
        text
    }

    /// The command that repeats the run.
    pub fn command(&self) -> String {
        format!("raft-sim run --seed {} {}", self.seed, self.settings())
    }
}
