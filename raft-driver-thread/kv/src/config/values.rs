//! Values of settings, as people write them in files and on the command line.

use super::check::check_reachable;
use crate::settings::Founder;
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

/// A time: `500ms`, `5s`, `1m 30s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeSpan(pub Duration);

/// A size: a number of bytes, or `64MiB`, `10MB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(pub u64);

/// Parts per million, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockDrift(pub Option<u32>);

/// A server and where the other servers reach it: `1=10.0.0.1:7001`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberAddress(pub Founder);

/// A password. Neither `Debug` nor a file of settings shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl ByteSize {
    /// A rounded size with its unit: `12.3 MiB`.
    pub fn rounded(self) -> String {
        // Losing digits does no harm: the result is rounded.
        let mut size = self.0 as f64;
        for unit in ["B", "KiB", "MiB", "GiB"] {
            if size < 1024.0 {
                return match unit {
                    "B" => format!("{size} B"),
                    unit => format!("{size:.1} {unit}"),
                };
            }
            size /= 1024.0;
        }
        format!("{size:.1} TiB")
    }
}

impl FromStr for TimeSpan {
    type Err = String;

    fn from_str(text: &str) -> Result<TimeSpan, String> {
        let span = humantime::parse_duration(text).map(TimeSpan);
        span.map_err(|error| format!("{error}; write a time as in 500ms, 5s, 1m"))
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<ByteSize, String> {
        let digits = text.find(|c: char| !c.is_ascii_digit());
        let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
        let unit = match unit.trim_start().to_ascii_lowercase().as_str() {
            "" | "b" => Some(1),
            "kib" => Some(1 << 10),
            "mib" => Some(1 << 20),
            "gib" => Some(1 << 30),
            "kb" => Some(1_000),
            "mb" => Some(1_000_000),
            "gb" => Some(1_000_000_000),
            _ => None,
        };
        let number: Option<u64> = number.parse().ok();
        let size = number.zip(unit).and_then(|(n, unit)| n.checked_mul(unit));
        let size = size.ok_or("write a size in bytes, or as in 512KiB, 64MiB, 1GB");
        Ok(ByteSize(size?))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            size if size > 0 && size % (1 << 30) == 0 => write!(f, "{}GiB", size >> 30),
            size if size > 0 && size % (1 << 20) == 0 => write!(f, "{}MiB", size >> 20),
            size if size > 0 && size % (1 << 10) == 0 => write!(f, "{}KiB", size >> 10),
            size => size.fmt(f),
        }
    }
}

impl FromStr for ClockDrift {
    type Err = String;

    fn from_str(text: &str) -> Result<ClockDrift, String> {
        match text {
            "off" => Ok(ClockDrift(None)),
            _ => match text.parse() {
                Ok(ppm) => Ok(ClockDrift(Some(ppm))),
                Err(_) => Err("it must be parts per million, as in 500, or off".into()),
            },
        }
    }
}

impl fmt::Display for ClockDrift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(ppm) => ppm.fmt(f),
            None => f.write_str("off"),
        }
    }
}

impl FromStr for MemberAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<MemberAddress, String> {
        let parts = text.split_once('=');
        let (node, peers) = parts.ok_or("it must be id=host:port, as in 1=10.0.0.1:7001")?;
        let node = node.parse().ok().filter(|node| *node > 0);
        let node = node.ok_or("the id must be a number from 1 on")?;
        check_reachable("address", peers).map_err(|error| error.to_string())?;
        let peers = peers.to_owned();
        Ok(MemberAddress(Founder { node, peers }))
    }
}

impl fmt::Display for MemberAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.0.node, self.0.peers)
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Secret, Self::Err> {
        Ok(Secret(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Parses the text of a value. A number is parsed as its digits, for the types that accept one.
struct TextVisitor<T> {
    expected: &'static str,
    numbers: Numbers,
    parsed: PhantomData<T>,
}

/// Whether a bare number is a value.
enum Numbers {
    Accepted,
    Refused,
}

impl<T> TextVisitor<T> {
    fn new(expected: &'static str, numbers: Numbers) -> TextVisitor<T> {
        TextVisitor {
            expected,
            numbers,
            parsed: PhantomData,
        }
    }
}

impl<T: FromStr<Err = String>> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        match self.numbers {
            Numbers::Accepted => number.to_string().parse().map_err(E::custom),
            Numbers::Refused => {
                let found = serde::de::Unexpected::Signed(number);
                Err(E::invalid_type(found, &self))
            }
        }
    }
}

impl<'a> Deserialize<'a> for TimeSpan {
    fn deserialize<D: Deserializer<'a>>(from: D) -> Result<TimeSpan, D::Error> {
        let what = "a time in quotes, as in \"500ms\"";
        from.deserialize_any(TextVisitor::new(what, Numbers::Refused))
    }
}

impl<'a> Deserialize<'a> for ByteSize {
    fn deserialize<D: Deserializer<'a>>(from: D) -> Result<ByteSize, D::Error> {
        let what = "a number of bytes, or a size in quotes, as in \"64MiB\"";
        from.deserialize_any(TextVisitor::new(what, Numbers::Accepted))
    }
}

impl<'a> Deserialize<'a> for ClockDrift {
    fn deserialize<D: Deserializer<'a>>(from: D) -> Result<ClockDrift, D::Error> {
        let what = "a number of parts per million, or \"off\"";
        from.deserialize_any(TextVisitor::new(what, Numbers::Accepted))
    }
}

impl<'a> Deserialize<'a> for Secret {
    /// Its errors do not show the text.
    fn deserialize<D: Deserializer<'a>>(from: D) -> Result<Secret, D::Error> {
        let text = String::deserialize(from);
        let text = text.map_err(|_| D::Error::custom("it must be a text in quotes"))?;
        Ok(Secret(text))
    }
}

impl Serialize for TimeSpan {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl Serialize for ClockDrift {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'a> Deserialize<'a> for MemberAddress {
    fn deserialize<D: Deserializer<'a>>(from: D) -> Result<MemberAddress, D::Error> {
        let what = "a server in quotes, as in \"1=10.0.0.1:7001\"";
        from.deserialize_any(TextVisitor::new(what, Numbers::Refused))
    }
}

impl Serialize for MemberAddress {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl Serialize for Secret {
    /// A password is never written.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_none()
    }
}
