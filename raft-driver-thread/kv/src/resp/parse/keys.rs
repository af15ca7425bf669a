//! The commands over the keys.

use super::arguments::{Arguments, SHOWN_BYTES, not_an_integer, shown, syntax_error};
use crate::resp::number;
use crate::state::{Command, Condition, Expiry, Reply, Set};
use bytes::Bytes;

/// What parsing a command over the keys yields.
type Parsed = Result<Command, Reply>;

/// Expiries beyond that are refused. Redis refuses those whose sum with the time of day overflows:
/// they are the same but for less than 2^42 milliseconds, which is in the year 2109.
const MAX_EXPIRY_MILLIS: i64 = i64::MAX - (1 << 42);

pub(crate) fn get(mut arguments: Arguments) -> Parsed {
    Ok(Command::Get(arguments.next()?))
}

pub(crate) fn set(mut arguments: Arguments) -> Parsed {
    let mut set = Set {
        key: arguments.next()?,
        value: arguments.next()?,
        condition: Condition::Always,
        expiry: Expiry::Never,
        get: false,
    };
    let mut lifetime = None;
    while let Some(option) = arguments.option() {
        let free = set.expiry == Expiry::Never;
        let unit = lifetime.as_ref().map(|(_, unit)| *unit);
        match option.as_slice() {
            b"NX" if set.condition != Condition::Present => set.condition = Condition::Absent,
            b"XX" if set.condition != Condition::Absent => set.condition = Condition::Present,
            b"GET" => set.get = true,
            b"KEEPTTL" if lifetime.is_none() => set.expiry = Expiry::Keep,
            // Said twice, the last one counts.
            b"EX" if free && unit != Some(1) => lifetime = Some((arguments.next()?, 1000)),
            b"PX" if free && unit != Some(1000) => lifetime = Some((arguments.next()?, 1)),
            _ => return Err(syntax_error()),
        }
    }
    // The syntax first, then the number, as in Redis.
    if let Some((number, unit)) = lifetime {
        set.expiry = expires_in(&number, unit, arguments.command)?;
    }
    Ok(Command::Set(set))
}

pub(crate) fn setex(arguments: Arguments) -> Parsed {
    set_for(arguments, 1000)
}

pub(crate) fn psetex(arguments: Arguments) -> Parsed {
    set_for(arguments, 1)
}

fn set_for(mut arguments: Arguments, unit: i64) -> Parsed {
    let (key, lifetime, value) = (arguments.next()?, arguments.next()?, arguments.next()?);
    Ok(Command::Set(Set {
        key,
        value,
        condition: Condition::Always,
        expiry: expires_in(&lifetime, unit, arguments.command)?,
        get: false,
    }))
}

/// The lifetime of a new value: so many times `unit` milliseconds.
fn expires_in(number: &[u8], unit: i64, command: &str) -> Result<Expiry, Reply> {
    let number = number::integer(number).ok_or_else(not_an_integer)?;
    let millis = number
        .checked_mul(unit)
        .filter(|millis| *millis <= MAX_EXPIRY_MILLIS);
    match millis.and_then(|millis| u64::try_from(millis).ok()) {
        None | Some(0) => Err(invalid_expiry(command)),
        Some(millis) => Ok(Expiry::In(millis)),
    }
}

fn invalid_expiry(command: &str) -> Reply {
    Reply::error(
        "ERR",
        format_args!("invalid expire time in '{command}' command"),
    )
}

/// Answers with a number, as comparing and setting does.
pub(crate) fn setnx(mut arguments: Arguments) -> Parsed {
    Ok(Command::CompareAndSet {
        key: arguments.next()?,
        old: None,
        new: arguments.next()?,
    })
}

pub(crate) fn cas(mut arguments: Arguments) -> Parsed {
    Ok(Command::CompareAndSet {
        key: arguments.next()?,
        old: Some(arguments.next()?),
        new: arguments.next()?,
    })
}

pub(crate) fn getset(mut arguments: Arguments) -> Parsed {
    Ok(Command::GetSet {
        key: arguments.next()?,
        value: arguments.next()?,
    })
}

pub(crate) fn append(mut arguments: Arguments) -> Parsed {
    Ok(Command::Append {
        key: arguments.next()?,
        value: arguments.next()?,
    })
}

pub(crate) fn strlen(mut arguments: Arguments) -> Parsed {
    Ok(Command::Length(arguments.next()?))
}

pub(crate) fn mget(arguments: Arguments) -> Parsed {
    Ok(Command::GetMany(arguments.rest()))
}

pub(crate) fn mset(mut arguments: Arguments) -> Parsed {
    let mut pairs = Vec::with_capacity(arguments.left() / 2);
    while let Some(key) = arguments.optional() {
        let value = arguments
            .optional()
            .ok_or_else(|| arguments.wrong_number())?;
        pairs.push((key, value));
    }
    Ok(Command::SetMany(pairs))
}

pub(crate) fn del(arguments: Arguments) -> Parsed {
    Ok(Command::Delete(arguments.rest()))
}

pub(crate) fn exists(arguments: Arguments) -> Parsed {
    Ok(Command::Exists(arguments.rest()))
}

pub(crate) fn incr(mut arguments: Arguments) -> Parsed {
    increment(arguments.next()?, 1)
}

pub(crate) fn decr(mut arguments: Arguments) -> Parsed {
    increment(arguments.next()?, -1)
}

pub(crate) fn incrby(mut arguments: Arguments) -> Parsed {
    increment(arguments.next()?, arguments.integer()?)
}

pub(crate) fn decrby(mut arguments: Arguments) -> Parsed {
    let (key, by) = (arguments.next()?, arguments.integer()?);
    let overflow = || Reply::error("ERR", "decrement would overflow");
    increment(key, by.checked_neg().ok_or_else(overflow)?)
}

fn increment(key: Bytes, by: i64) -> Parsed {
    Ok(Command::Increment { key, by })
}

pub(crate) fn expire(arguments: Arguments) -> Parsed {
    expire_in(arguments, 1000)
}

pub(crate) fn pexpire(arguments: Arguments) -> Parsed {
    expire_in(arguments, 1)
}

fn expire_in(mut arguments: Arguments, unit: i64) -> Parsed {
    let (key, number) = (arguments.next()?, arguments.next()?);
    // The options first, then the number, as in Redis.
    if let Some(option) = arguments.optional() {
        let option = shown(&option, SHOWN_BYTES);
        return Err(Reply::error(
            "ERR",
            format_args!("Unsupported option {option}"),
        ));
    }
    let number = number::integer(&number).ok_or_else(not_an_integer)?;
    let millis = number.checked_mul(unit);
    let millis = millis.filter(|millis| *millis <= MAX_EXPIRY_MILLIS);
    let millis = millis.ok_or_else(|| invalid_expiry(arguments.command))?;
    Ok(Command::Expire { key, millis })
}

pub(crate) fn ttl(arguments: Arguments) -> Parsed {
    time_to_live(arguments, false)
}

pub(crate) fn pttl(arguments: Arguments) -> Parsed {
    time_to_live(arguments, true)
}

fn time_to_live(mut arguments: Arguments, in_millis: bool) -> Parsed {
    let key = arguments.next()?;
    Ok(Command::TimeToLive { key, in_millis })
}

pub(crate) fn persist(mut arguments: Arguments) -> Parsed {
    Ok(Command::Persist(arguments.next()?))
}

pub(crate) fn keys(mut arguments: Arguments) -> Parsed {
    Ok(Command::Keys(arguments.pattern()?))
}

pub(crate) fn scan(mut arguments: Arguments) -> Parsed {
    let invalid = || Reply::error("ERR", "invalid cursor");
    let cursor = number::unsigned(&arguments.next()?).ok_or_else(invalid)?;
    let (mut pattern, mut count, mut of_strings) = (None, 10, true);
    while let Some(option) = arguments.option() {
        match option.as_slice() {
            b"MATCH" => pattern = Some(arguments.pattern()?),
            b"COUNT" => count = u64::try_from(arguments.integer()?).unwrap_or(0),
            b"TYPE" => of_strings = arguments.next()?.eq_ignore_ascii_case(b"string"),
            _ => return Err(syntax_error()),
        }
        if count == 0 {
            return Err(syntax_error());
        }
    }
    Ok(Command::Scan {
        cursor,
        pattern,
        count,
        of_strings,
    })
}

pub(crate) fn dbsize(_: Arguments) -> Parsed {
    Ok(Command::Size)
}

/// At once or in the background: it is at once, and takes no time.
pub(crate) fn flush(mut arguments: Arguments) -> Parsed {
    match arguments.option().as_deref() {
        None | Some(b"ASYNC" | b"SYNC") => arguments.end().map(|()| Command::Flush),
        Some(_) => Err(syntax_error()),
    }
}

pub(crate) fn type_of(mut arguments: Arguments) -> Parsed {
    Ok(Command::Type(arguments.next()?))
}
