//! The environment variables by which a failing run is repeated, and longer searches are made.

use super::error::KitError;
use crate::sweep::{Seeds, parse_seed};
use core::ops::Range;
use std::path::PathBuf;

/// What is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The seeds of the test.
    All,
    /// These seeds.
    Seeds(Range<u64>),
    /// The schedule in this file.
    Schedule(PathBuf),
}

const SCHEDULE: &str = "RAFT_SIM_SCHEDULE";
const SEED: &str = "RAFT_SIM_SEED";
const SEEDS: &str = "RAFT_SIM_SEEDS";

impl Wanted {
    /// What the environment asks for; `variable` reads it.
    pub(super) fn by(variable: impl Fn(&str) -> Option<String>) -> Result<Wanted, KitError> {
        if let Some(path) = variable(SCHEDULE) {
            return Ok(Wanted::Schedule(path.into()));
        }
        if let Some(value) = variable(SEED) {
            let seed = parse_seed(&value).filter(|seed| *seed < u64::MAX);
            let seed = seed.ok_or_else(|| KitError::Environment {
                variable: SEED,
                value,
                reason: "a seed is a whole number from 0 to 2^64 - 2".into(),
            })?;
            return Ok(Wanted::Seeds(seed..seed + 1)); // It is below the greatest number.
        }
        let Some(value) = variable(SEEDS) else {
            return Ok(Wanted::All);
        };
        match value.parse::<Seeds>() {
            Ok(Seeds(seeds)) => Ok(Wanted::Seeds(seeds)),
            Err(error) => Err(KitError::Environment {
                variable: SEEDS,
                value,
                reason: error.to_string(),
            }),
        }
    }
}
