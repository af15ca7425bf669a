//! The commands over the keys.

use super::arguments::{Arguments, SHOWN_BYTES, not_an_integer, shown, syntax_error};
use crate::resp::number;
use crate::state::{Command, Condition, Expiry, Reply, Set, SetReply, TimeUnit, ValueType};
use bytes::Bytes;

/// What parsing a command over the keys yields.
type Parsed = Result<Command, Reply>;

/// Later expiries are refused. Redis refuses an expiry whose sum with the current time overflows.
/// The two limits differ by less than 2^42 milliseconds, which is in the year 2109.
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
        reply: SetReply::Ok,
    };
    let mut lifetime: Option<Lifetime> = None;
    while let Some(option) = arguments.option() {
        let keeps_expiry = set.expiry == Expiry::Keep;
        let unit = lifetime.as_ref().map(|lifetime| lifetime.unit);
        match option.as_slice() {
            b"NX" if set.condition != Condition::Present => set.condition = Condition::Absent,
            b"XX" if set.condition != Condition::Absent => set.condition = Condition::Present,
            b"GET" => set.reply = SetReply::OldValue,
            b"KEEPTTL" if lifetime.is_none() => set.expiry = Expiry::Keep,
            // If one of these is given twice, the last one counts.
            b"EX" if !keeps_expiry && unit != Some(TimeUnit::Millis) => {
                lifetime = Some(Lifetime::next(&mut arguments, TimeUnit::Seconds)?);
            }
            b"PX" if !keeps_expiry && unit != Some(TimeUnit::Seconds) => {
                lifetime = Some(Lifetime::next(&mut arguments, TimeUnit::Millis)?);
            }
            _ => return Err(syntax_error()),
        }
    }
    // As in Redis, a syntax error comes before an error in the number.
    if let Some(lifetime) = lifetime {
        set.expiry = lifetime.expiry(arguments.command)?;
    }
    Ok(Command::Set(set))
}

pub(crate) fn setex(arguments: Arguments) -> Parsed {
    set_for(arguments, TimeUnit::Seconds)
}

pub(crate) fn psetex(arguments: Arguments) -> Parsed {
    set_for(arguments, TimeUnit::Millis)
}

fn set_for(mut arguments: Arguments, unit: TimeUnit) -> Parsed {
    let key = arguments.next()?;
    let lifetime = Lifetime::next(&mut arguments, unit)?;
    Ok(Command::Set(Set {
        key,
        value: arguments.next()?,
        condition: Condition::Always,
        expiry: lifetime.expiry(arguments.command)?,
        reply: SetReply::Ok,
    }))
}

/// How long a new value lives, as the client gave it.
struct Lifetime {
    number: Bytes,
    unit: TimeUnit,
}

impl Lifetime {
    fn next(arguments: &mut Arguments, unit: TimeUnit) -> Result<Lifetime, Reply> {
        let number = arguments.next()?;
        Ok(Lifetime { number, unit })
    }

    fn expiry(&self, command: &str) -> Result<Expiry, Reply> {
        let number = number::integer(&self.number).ok_or_else(not_an_integer)?;
        let millis = to_millis(number, self.unit);
        match millis.and_then(|millis| u64::try_from(millis).ok()) {
            None | Some(0) => Err(invalid_expiry(command)),
            Some(millis) => Ok(Expiry::In(millis)),
        }
    }
}

/// `None` beyond [`MAX_EXPIRY_MILLIS`].
fn to_millis(number: i64, unit: TimeUnit) -> Option<i64> {
    let millis = match unit {
        TimeUnit::Seconds => number.checked_mul(1000),
        TimeUnit::Millis => Some(number),
    };
    millis.filter(|millis| *millis <= MAX_EXPIRY_MILLIS)
}

fn invalid_expiry(command: &str) -> Reply {
    Reply::error(
        "ERR",
        format_args!("invalid expire time in '{command}' command"),
    )
}

/// Returns a number, as CAS does.
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

pub(crate) fn getdel(mut arguments: Arguments) -> Parsed {
    Ok(Command::GetDelete(arguments.next()?))
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
    expire_in(arguments, TimeUnit::Seconds)
}

pub(crate) fn pexpire(arguments: Arguments) -> Parsed {
    expire_in(arguments, TimeUnit::Millis)
}

fn expire_in(mut arguments: Arguments, unit: TimeUnit) -> Parsed {
    let (key, number) = (arguments.next()?, arguments.next()?);
    // As in Redis, an error in the options comes before an error in the number.
    if let Some(option) = arguments.optional() {
        let option = shown(&option, SHOWN_BYTES);
        return Err(Reply::error(
            "ERR",
            format_args!("Unsupported option {option}"),
        ));
    }
    let number = number::integer(&number).ok_or_else(not_an_integer)?;
    let millis = to_millis(number, unit).ok_or_else(|| invalid_expiry(arguments.command))?;
    Ok(Command::Expire { key, millis })
}

pub(crate) fn ttl(arguments: Arguments) -> Parsed {
    time_to_live(arguments, TimeUnit::Seconds)
}

pub(crate) fn pttl(arguments: Arguments) -> Parsed {
    time_to_live(arguments, TimeUnit::Millis)
}

fn time_to_live(mut arguments: Arguments, unit: TimeUnit) -> Parsed {
    let key = arguments.next()?;
    Ok(Command::TimeToLive { key, unit })
}

pub(crate) fn persist(mut arguments: Arguments) -> Parsed {
    Ok(Command::Persist(arguments.next()?))
}

pub(crate) fn keys(mut arguments: Arguments) -> Parsed {
    Ok(Command::Keys(arguments.pattern()?))
}

pub(crate) fn scan(mut arguments: Arguments) -> Parsed {
    let invalid = || Reply::error("ERR", "invalid cursor");
    let cursor = number::cursor(&arguments.next()?).ok_or_else(invalid)?;
    let (mut pattern, mut count, mut value_type) = (None, 10, ValueType::String);
    while let Some(option) = arguments.option() {
        match option.as_slice() {
            b"MATCH" => pattern = Some(arguments.pattern()?),
            b"COUNT" => count = u64::try_from(arguments.integer()?).unwrap_or(0),
            b"TYPE" => value_type = value_type_named(&arguments.next()?),
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
        value_type,
    })
}

fn value_type_named(name: &[u8]) -> ValueType {
    if name.eq_ignore_ascii_case(b"string") {
        ValueType::String
    } else {
        ValueType::Other
    }
}

pub(crate) fn dbsize(_: Arguments) -> Parsed {
    Ok(Command::Size)
}

/// ASYNC and SYNC make no difference: the keys are gone at once, and freed beside the other
/// commands.
pub(crate) fn flush(mut arguments: Arguments) -> Parsed {
    match arguments.option().as_deref() {
        None | Some(b"ASYNC" | b"SYNC") => arguments.end().map(|()| Command::Flush),
        Some(_) => Err(syntax_error()),
    }
}

pub(crate) fn type_of(mut arguments: Arguments) -> Parsed {
    Ok(Command::Type(arguments.next()?))
}
