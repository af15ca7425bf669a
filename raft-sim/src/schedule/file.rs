//! Schedule files: TOML, with one line of text for every operation.

use super::words::Unreadable;
use super::{ClientOperation, NemesisOperation, Schedule};
use crate::duration::HumanDuration;
use crate::request::Request;
use crate::settings::Settings;
use core::fmt::{Display, Write};
use core::str::FromStr;
use core::time::Duration;
use raft_proto::Time;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::path::Path;

/// The version of the file format: the only one that is written, and that is read.
const VERSION: u32 = 1;

/// The comment at the top of every file.
const HEAD: &str = "\
# A schedule of raft-sim: what happens to a cluster, and when. `raft-sim replay FILE` runs it. If it
# has a `call`, the test that wrote it runs it, with RAFT_SIM_SCHEDULE=FILE in the environment.
# Each line of `nemesis` and `operations` begins with the time in seconds. Edit it as you like: all
# that is not written down (delays, election timeouts, what a crash leaves) is drawn from the seed.
";

/// Why a schedule cannot be read from a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// It is no TOML.
    #[error("it is neither a recording nor a schedule, which is a file in TOML: {0}")]
    NoToml(String),
    /// A field is missing, unknown or of the wrong type.
    #[error("{0}")]
    Toml(String),
    /// It was written by another release.
    #[error("it is a schedule of version {0}, and this release reads version {VERSION}")]
    Version(u32),
    /// A line cannot be read.
    #[error("{list}, line {number}: {error}")]
    Line {
        /// The list that holds the line.
        list: &'static str,
        /// Which line of the list, from 1 on.
        number: usize,
        /// What is wrong.
        error: Unreadable,
    },
    /// The run takes no time, or too long.
    #[error("time: above zero, and at most 7 days")]
    Time,
    /// It cannot be read, or is no text.
    #[error("{0}")]
    Unreadable(String),
    /// Settings that are not possible.
    #[error("settings: {0}")]
    Settings(String),
}

/// A seed. TOML has no numbers from 2^63 on, so a greater seed is written as text.
#[derive(Clone, Copy)]
struct Seed(u64);

impl Serialize for Seed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match i64::try_from(self.0) {
            Ok(number) => serializer.serialize_i64(number),
            Err(_) => serializer.collect_str(&self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Seed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Seed, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a seed is a number, or a number in quotes")]
        enum Written {
            Number(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(seed) => Ok(Seed(seed)),
            Written::Text(text) => text
                .parse()
                .map(Seed)
                .map_err(|_| serde::de::Error::custom(format!("{text:?} is no seed"))),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    seed: Seed,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mutant: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    time: HumanDuration,
    #[serde(alias = "deeds")]
    nemesis: Vec<String>,
    operations: Vec<String>,
    settings: Settings,
}

impl Schedule {
    /// Reads the file at `path`.
    ///
    /// # Errors
    ///
    /// [`FileError`].
    pub fn read(path: &Path) -> Result<Schedule, FileError> {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| FileError::Unreadable(error.to_string()))?;
        Schedule::parse(&text)
    }

    /// All operations in the order of time, as lines of the file.
    pub fn lines(&self) -> Vec<String> {
        let nemesis = self.nemesis.iter();
        let nemesis = nemesis.map(|operation| (operation.0, line(operation)));
        let operations = self.operations.iter();
        let operations = operations.map(|operation| (operation.0, line(operation)));
        let mut lines: Vec<(Time, String)> = nemesis.chain(operations).collect();
        lines.sort_by_key(|(at, _)| *at);
        lines.into_iter().map(|(_, line)| line).collect()
    }

    /// Reads a file's text.
    ///
    /// # Errors
    ///
    /// [`FileError`], with the line and what is expected there.
    pub fn parse(text: &str) -> Result<Schedule, FileError> {
        // The version first: other errors in a file of another version say nothing.
        let table: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| FileError::NoToml(error.to_string()))?;
        if let Some(version) = table.get("version").and_then(toml::Value::as_integer)
            && version != i64::from(VERSION)
        {
            return Err(FileError::Version(version.try_into().unwrap_or(u32::MAX)));
        }
        let file: File =
            toml::from_str(text).map_err(|error| FileError::Toml(error.to_string()))?;
        file.settings.validate().map_err(FileError::Settings)?;
        let time = file.time.0;
        if time.is_zero() || time > Request::MAX_TIME {
            return Err(FileError::Time);
        }
        let nemesis = nemesis_lines(&file.nemesis, "nemesis", &file.settings)?;
        let operations = client_lines(&file.operations, "operations", &file.settings)?;
        Ok(Schedule {
            seed: file.seed.0,
            mutant: file.mutant,
            failure: file.failure,
            settings: file.settings,
            time,
            nemesis,
            operations,
        })
    }

    /// Adds an operation, which stands behind those of the same time. The line is one of a file:
    /// `12.500000 kill n1 for 2s` or `3.000000 c0 set k1`.
    ///
    /// # Errors
    ///
    /// [`FileError::Line`], with what is expected.
    pub fn add(&mut self, line: &str) -> Result<(), FileError> {
        let added = [String::from(line)];
        let client = line
            .split_whitespace()
            .nth(1)
            .and_then(|word| word.strip_prefix('c'));
        if client.is_some_and(|number| number.parse::<u32>().is_ok()) {
            let operations = client_lines(&added, "what is added", &self.settings)?;
            self.operations.extend(operations);
            self.operations.sort_by_key(|(at, _)| *at);
        } else {
            let operations = nemesis_lines(&added, "what is added", &self.settings)?;
            self.nemesis.extend(operations);
            self.nemesis.sort_by_key(|(at, _)| *at);
        }
        Ok(())
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        let file = File {
            version: VERSION,
            seed: Seed(self.seed),
            mutant: self.mutant.clone(),
            failure: self.failure.clone(),
            time: HumanDuration(self.time),
            nemesis: self.nemesis.iter().map(line).collect(),
            operations: self.operations.iter().map(line).collect(),
            settings: self.settings.clone(),
        };
        let mut text = String::from(HEAD);
        // Text, numbers and lists of text: TOML can express all of it.
        let _ = write!(
            text,
            "{}",
            toml::to_string_pretty(&file).unwrap_or_default()
        );
        text
    }
}

fn line<T: Display>((at, what): &(Time, T)) -> String {
    let (seconds, micros) = (at.0 / 1_000_000_000, at.0 / 1_000 % 1_000_000);
    format!("{seconds}.{micros:06} {what}")
}

/// The operations of the nemesis in these lines.
fn nemesis_lines(
    text: &[String],
    list: &'static str,
    settings: &Settings,
) -> Result<Vec<(Time, NemesisOperation)>, FileError> {
    let servers = settings.servers() as usize;
    lines(text, list, |operation: &NemesisOperation| {
        let places = operation.places();
        let unknown = places.iter().find(|place| place.0 >= servers)?;
        let known = format!("a server from n1 to n{servers}");
        Some((format!("it names {unknown}"), known))
    })
}

/// The operations of clients in these lines.
fn client_lines(
    text: &[String],
    list: &'static str,
    settings: &Settings,
) -> Result<Vec<(Time, ClientOperation)>, FileError> {
    let clients = settings.clients.clients;
    lines(text, list, |operation: &ClientOperation| {
        let known = format!("a client from c0 to c{}", clients - 1); // There is one.
        let found = format!("it names c{}", operation.client);
        (operation.client >= clients).then_some((found, known))
    })
}

/// All lines of a list, in the order of their times. `wrong` tells which name in a line does not
/// exist, and which names do.
fn lines<T: FromStr<Err = Unreadable>>(
    lines: &[String],
    list: &'static str,
    wrong: impl Fn(&T) -> Option<(String, String)>,
) -> Result<Vec<(Time, T)>, FileError> {
    let mut all = Vec::with_capacity(lines.len());
    for (at, line) in lines.iter().enumerate() {
        let number = at + 1;
        let refuse = |error| FileError::Line {
            list,
            number,
            error,
        };
        let (time, what) = line.trim().split_once(' ').unwrap_or((line, ""));
        let time = seconds(time).ok_or_else(|| {
            refuse(Unreadable {
                line: line.clone(),
                found: format!("it begins with {time:?}"),
                expected: "a time in seconds such as 1.250000".into(),
            })
        })?;
        let what: T = what.parse().map_err(refuse)?;
        if let Some((found, expected)) = wrong(&what) {
            let line = line.clone();
            return Err(refuse(Unreadable {
                line,
                found,
                expected,
            }));
        }
        all.push((time, what));
    }
    all.sort_by_key(|(time, _)| *time);
    Ok(all)
}

fn seconds(text: &str) -> Option<Time> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(seconds) || !digits(fraction) || fraction.len() > 6 {
        return None;
    }
    let nanos = format!("{fraction:0<9}").parse().ok()?;
    let seconds: u64 = seconds.parse().ok()?;
    let latest = Request::MAX_TIME.as_secs();
    (seconds <= latest).then(|| Time::from_epoch(Duration::new(seconds, nanos)))
}
