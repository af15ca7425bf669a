//! Durations, and ranges to draw them from, as people write them: `20ms`, `50us..2ms`.

use crate::random::Random;
use core::fmt;
use core::str::FromStr;
use core::time::Duration;
use raft_proto::Time;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A duration that is written without blanks: `1s250ms`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanDuration(pub Duration);

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = humantime::format_duration(self.0).to_string();
        f.write_str(&text.replace(' ', ""))
    }
}

/// Why a text is no duration, or no range of durations.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseDurationError {
    /// It is no duration.
    #[error("{0:?} is no time: write a number and a unit, such as 250ms or 1s500us")]
    NotATime(String),
    /// It is not two durations with two dots between them, the lesser one first.
    #[error("{0:?} is no range of times: write the least and the greatest, such as 50us..2ms")]
    NotARange(String),
}

impl FromStr for HumanDuration {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<HumanDuration, ParseDurationError> {
        let found = humantime::parse_duration(text);
        found
            .map(HumanDuration)
            .map_err(|_| ParseDurationError::NotATime(text.into()))
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<HumanDuration, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A range to draw durations from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurationRange {
    /// The least.
    pub min: Duration,
    /// Just above the greatest; equal to `min` for a fixed value.
    pub max: Duration,
}

impl DurationRange {
    /// From `min` microseconds to just below `max`.
    pub const fn micros(min: u64, max: u64) -> DurationRange {
        DurationRange {
            min: Duration::from_micros(min),
            max: Duration::from_micros(max),
        }
    }

    /// No time at all.
    pub const fn zero() -> DurationRange {
        DurationRange::micros(0, 0)
    }

    /// The mean of what is drawn.
    pub fn mean(&self) -> Duration {
        (self.min + self.max) / 2
    }

    /// A duration from this range.
    pub fn draw(&self, random: &mut Random) -> Duration {
        random.duration(self.min, self.max)
    }
}

impl fmt::Display for DurationRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}..{}",
            HumanDuration(self.min),
            HumanDuration(self.max)
        )
    }
}

impl FromStr for DurationRange {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<DurationRange, ParseDurationError> {
        let not_a_range = || ParseDurationError::NotARange(text.into());
        let (min, max) = text.split_once("..").ok_or_else(not_a_range)?;
        let (min, max): (HumanDuration, HumanDuration) = (min.parse()?, max.parse()?);
        if min > max {
            return Err(not_a_range());
        }
        Ok(DurationRange {
            min: min.0,
            max: max.0,
        })
    }
}

impl Serialize for DurationRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DurationRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<DurationRange, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Something takes longer than usual, until a time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slowdown {
    /// How much longer.
    pub by: Duration,
    /// When it ends.
    pub until: Time,
}

impl Slowdown {
    /// How much longer it takes at this time; `None` if the slowdown is over.
    pub fn at(&self, now: Time) -> Option<Duration> {
        (self.until > now).then_some(self.by)
    }
}
