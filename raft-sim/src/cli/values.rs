//! The values of options.

use core::time::Duration;
use raft_sim::request::Request;
use raft_sim::sweep::parse_seed;

/// `42`, `0x2a`.
pub(super) fn seed(text: &str) -> Result<u64, String> {
    parse_seed(text).ok_or_else(|| {
        format!(
            "a seed is a whole number from 0 to {} (2^64 - 1), in decimal or hexadecimal: 42, 0x2a",
            u64::MAX
        )
    })
}

/// `10`: how long something is measured or searched for.
pub(super) fn seconds(text: &str) -> Result<u32, String> {
    const MOST: u32 = 24 * 60 * 60;
    match text.parse() {
        Ok(seconds) if (1..=MOST).contains(&seconds) => Ok(seconds),
        Ok(_) | Err(_) => Err(format!("give a whole number of seconds, from 1 to {MOST}")),
    }
}

/// `60s`, `10m`, `1h 30m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    const HOW: &str = "give a number and a unit, such as 60s, 10m or 1h";
    let time = humantime::parse_duration(text).map_err(|error| format!("{error}; {HOW}"))?;
    if time.is_zero() {
        return Err(format!("a run of no time shows nothing; {HOW}"));
    }
    if time > Request::MAX_TIME {
        return Err(String::from(
            "at most 7 days: virtual time takes real time too",
        ));
    }
    Ok(time)
}

/// `15ms`, `500us`.
pub(super) fn broadcast_time(text: &str) -> Result<humantime::Duration, String> {
    const HOW: &str = "give a number and a unit, such as 15ms or 500us";
    let time = humantime::parse_duration(text).map_err(|error| format!("{error}; {HOW}"))?;
    if time < Duration::from_micros(10) || time > Duration::from_secs(60) {
        return Err(format!("the broadcast time is from 10us to 60s; {HOW}"));
    }
    Ok(time.into())
}
