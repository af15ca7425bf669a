//! The model of a key/value store.

use super::model::Model;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;

/// The bytes under a key, as a checker compares them: by fingerprint and length.
///
/// The fingerprint is a polynomial modulo the prime 2^61 - 1. So the fingerprint of two values
/// appended follows from their fingerprints, and an append needs no bytes. Different values have
/// the same fingerprint with a probability of about length / 2^61. That would hide a violation, but
/// never invent one. The first bytes are kept for explanations.
#[derive(Clone, Copy)]
pub struct Value {
    fingerprint: u64,
    length: u32,
    head: [u8; Value::HEAD],
}

impl Value {
    const HEAD: usize = 12;
    const PRIME: u64 = (1 << 61) - 1;
    /// Any number below the prime that is not a small power of another number.
    const BASE: u64 = 0x0a3c_59b1_7e4d_2f63;
    const BASE_2: u64 = multiply(Value::BASE, Value::BASE);
    const BASE_3: u64 = multiply(Value::BASE_2, Value::BASE);
    const BASE_4: u64 = multiply(Value::BASE_2, Value::BASE_2);

    /// No bytes.
    pub const EMPTY: Value = Value {
        fingerprint: 0,
        length: 0,
        head: [0; Value::HEAD],
    };

    /// The value with these bytes.
    pub fn new(bytes: &[u8]) -> Value {
        // The byte plus one, so that zero bytes count.
        let digit = |byte: &u8| u64::from(*byte) + 1;
        let mut value = Value::EMPTY;
        let (fours, rest) = bytes.as_chunks::<4>();
        for [a, b, c, d] in fours {
            let high = u128::from(value.fingerprint) * u128::from(Value::BASE_4)
                + u128::from(digit(a)) * u128::from(Value::BASE_3)
                + u128::from(digit(b)) * u128::from(Value::BASE_2)
                + u128::from(digit(c)) * u128::from(Value::BASE);
            value.fingerprint = reduce(high + u128::from(digit(d)));
        }
        for byte in rest {
            let sum = multiply(value.fingerprint, Value::BASE) + digit(byte);
            value.fingerprint = sum % Value::PRIME;
        }
        value.length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        for (to, from) in value.head.iter_mut().zip(bytes) {
            *to = *from;
        }
        value
    }

    /// This value with the bytes of `other` after its own.
    #[must_use]
    pub fn then(self, other: Value) -> Value {
        let shifted = multiply(self.fingerprint, power(Value::BASE, other.length));
        let mut joined = Value {
            fingerprint: (shifted + other.fingerprint) % Value::PRIME,
            length: self.length.saturating_add(other.length),
            head: self.head,
        };
        let free = joined.head.iter_mut().skip(self.length as usize);
        for (to, from) in free.zip(other.head) {
            *to = from;
        }
        joined
    }

    /// How many bytes it has.
    pub fn length(&self) -> u32 {
        self.length
    }
}

/// A product modulo the prime; both factors are below it.
const fn multiply(a: u64, b: u64) -> u64 {
    reduce(a as u128 * b as u128)
}

/// A number below 2^123 modulo the prime.
const fn reduce(number: u128) -> u64 {
    // 2^61 is 1 modulo the prime, so the high part is added to the low part.
    let sum = (number as u64 & Value::PRIME) as u128 + (number >> 61);
    let sum = (sum as u64 & Value::PRIME) + (sum >> 61) as u64;
    sum - if sum >= Value::PRIME { Value::PRIME } else { 0 }
}

/// `base` to the power of `exponent` modulo the prime.
fn power(mut base: u64, mut exponent: u32) -> u64 {
    let mut power = 1;
    while exponent > 0 {
        if exponent & 1 == 1 {
            power = multiply(power, base);
        }
        base = multiply(base, base);
        exponent >>= 1;
    }
    power
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        self.fingerprint == other.fingerprint && self.length == other.length
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}

impl From<u64> for Value {
    /// The number in decimal digits.
    fn from(number: u64) -> Value {
        Value::new(number.to_string().as_bytes())
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Value {
        Value::new(bytes)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::new(text.as_bytes())
    }
}

impl fmt::Display for Value {
    /// The bytes in quotes, with escapes for what is not ASCII. Of a long value the first bytes,
    /// the length and the fingerprint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.length as usize;
        let shown = &self.head[..length.min(Value::HEAD)];
        write!(f, "\"{}\"", shown.escape_ascii())?;
        if length > Value::HEAD {
            write!(f, "..({length} bytes, #{:x})", self.fingerprint)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A request to a key/value store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyValueInput {
    /// Reads the value. Answered with [`KeyValueOutput::Value`].
    Get,
    /// Sets the value. Answered with [`KeyValueOutput::Done`].
    Set(Value),
    /// Appends bytes to the value. An absent value counts as empty. Answered with
    /// [`KeyValueOutput::Done`].
    Append(Value),
    /// Sets the value to `new` if it is `expected`. Answered with [`KeyValueOutput::Swapped`].
    CompareAndSet {
        /// The value before; `None` if there must be none.
        expected: Option<Value>,
        /// The value afterwards.
        new: Value,
    },
    /// Deletes the value. Answered with [`KeyValueOutput::Done`].
    Delete,
}

/// An answer of a key/value store. An answer that does not belong to the request is a violation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyValueOutput {
    /// The value that was read; `None` if there is none.
    Value(Option<Value>),
    /// Done.
    Done,
    /// Whether the value was as expected, and was replaced.
    Swapped(bool),
}

/// The model of a key/value store: each key has a value, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue<K = u64>(PhantomData<K>);

impl<K: Clone + fmt::Debug + Ord> Model for KeyValue<K> {
    type Key = K;
    type Input = KeyValueInput;
    type Output = KeyValueOutput;
    type State = Option<Value>;

    fn initial() -> Option<Value> {
        None
    }

    fn step(
        state: &Option<Value>,
        input: &KeyValueInput,
        output: Option<&KeyValueOutput>,
    ) -> Option<Option<Value>> {
        let (answer, next) = match input {
            KeyValueInput::Get => (KeyValueOutput::Value(*state), *state),
            KeyValueInput::Set(value) => (KeyValueOutput::Done, Some(*value)),
            KeyValueInput::Append(value) => {
                let joined = state.unwrap_or(Value::EMPTY).then(*value);
                (KeyValueOutput::Done, Some(joined))
            }
            KeyValueInput::CompareAndSet { expected, new } => {
                let swaps = state == expected;
                let next = if swaps { Some(*new) } else { *state };
                (KeyValueOutput::Swapped(swaps), next)
            }
            KeyValueInput::Delete => (KeyValueOutput::Done, None),
        };
        output.is_none_or(|said| *said == answer).then_some(next)
    }

    fn is_read(input: &KeyValueInput, output: Option<&KeyValueOutput>) -> bool {
        match input {
            KeyValueInput::Get => true,
            KeyValueInput::CompareAndSet { .. } => output == Some(&KeyValueOutput::Swapped(false)),
            KeyValueInput::Set(_) | KeyValueInput::Append(_) | KeyValueInput::Delete => false,
        }
    }

    fn overwrites(input: &KeyValueInput, output: Option<&KeyValueOutput>) -> bool {
        let is_write = matches!(input, KeyValueInput::Set(_) | KeyValueInput::Delete);
        is_write && output.is_none_or(|output| *output == KeyValueOutput::Done)
    }

    fn matters(
        before: &KeyValueInput,
        then: &KeyValueInput,
        output: Option<&KeyValueOutput>,
    ) -> bool {
        // The value after `before`, if it is certain.
        let left = match before {
            KeyValueInput::Get => return false,
            KeyValueInput::Set(value) => Some(Some(*value)),
            KeyValueInput::Delete => Some(None),
            KeyValueInput::Append(_) => None,
            // Either it changed nothing, or it left this value.
            KeyValueInput::CompareAndSet { new, .. } => Some(Some(*new)),
        };
        match (then, output) {
            (KeyValueInput::Get, Some(KeyValueOutput::Value(seen))) => {
                left.is_none_or(|left| left == *seen)
            }
            (KeyValueInput::CompareAndSet { expected, .. }, Some(answer)) => {
                let swapped = *answer == KeyValueOutput::Swapped(true);
                left.is_none_or(|left| (left == *expected) == swapped)
            }
            // After any other value it does nothing, so no order needs it there.
            (KeyValueInput::CompareAndSet { expected, .. }, None) => {
                left.is_none_or(|left| left == *expected)
            }
            (KeyValueInput::Set(_) | KeyValueInput::Delete, _) => false,
            (KeyValueInput::Get, _) => false,
            (KeyValueInput::Append(_), _) => true,
        }
    }

    fn describe(input: &KeyValueInput, output: Option<&KeyValueOutput>) -> String {
        let asked = match input {
            KeyValueInput::Get => String::from("get"),
            KeyValueInput::Set(value) => format!("set {value}"),
            KeyValueInput::Append(value) => format!("append {value}"),
            KeyValueInput::CompareAndSet { expected, new } => {
                format!("cas {} to {new}", Self::describe_state(expected))
            }
            KeyValueInput::Delete => String::from("delete"),
        };
        let answer = match output {
            None => String::from("?"),
            Some(KeyValueOutput::Value(value)) => Self::describe_state(value),
            Some(KeyValueOutput::Done) => String::from("ok"),
            Some(KeyValueOutput::Swapped(swapped)) => swapped.to_string(),
        };
        format!("{asked} -> {answer}")
    }

    fn describe_state(state: &Option<Value>) -> String {
        state.map_or_else(|| String::from("none"), |value| value.to_string())
    }
}
