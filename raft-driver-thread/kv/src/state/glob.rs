//! The patterns of KEYS and SCAN.
//!
//! Between two `*` stands a sequence of bytes, of which the first occurrence counts: a later one
//! could not make more texts match. It is looked for with Shift-And (Baeza-Yates and Gonnet, 1992),
//! which keeps a bit for each beginning of the sequence that ends here, so that no pattern and no
//! key make the server stand still.

/// A pattern, as Redis reads it: `*` is any bytes, `?` any one byte, `[ab-d]` one of these bytes,
/// `[^ab-d]` one of the others, and `\` before a byte is that byte.
///
/// A malformed pattern means what it means to Redis: the pattern's end closes an open bracket, and
/// a `\` at the end is a backslash. One with more than a thousand `*` before the last matches
/// nothing, as in Redis since 7.2.6.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// Before the first `*`, or all of it.
    head: Vec<ByteSet>,
    /// Behind the first `*`, if there is one.
    rest: Option<Rest>,
}

/// What follows a `*`.
#[derive(Clone, Debug)]
struct Rest {
    /// Between two `*`.
    middle: Vec<Sequence>,
    /// Behind the last `*`.
    tail: Vec<ByteSet>,
}

/// The most `*` before the last one with which Redis finds a match.
const MAX_STARS: usize = 1000;

/// A set of bytes: a bit for each.
#[derive(Clone, Copy, Debug)]
struct ByteSet([u64; 4]);

impl Pattern {
    /// Reads a pattern. Any bytes are one.
    pub fn new(pattern: &[u8]) -> Pattern {
        let mut parts = vec![Vec::new()];
        let mut rest = pattern;
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            let one = match byte {
                b'*' => {
                    parts.push(Vec::new());
                    continue;
                }
                b'?' => ByteSet::FULL,
                b'[' => ByteSet::read(&mut rest),
                b'\\' => ByteSet::of(escaped(&mut rest)),
                byte => ByteSet::of(*byte),
            };
            if let Some(last) = parts.last_mut() {
                last.push(one);
            }
        }
        let mut parts = parts.into_iter();
        let head = parts.next().unwrap_or_default();
        let rest = parts.next_back().map(|tail| Rest {
            // Two `*` in a row match the same as one.
            middle: parts
                .filter(|part| !part.is_empty())
                .map(|part| Sequence::new(&part))
                .collect(),
            tail,
        });
        Pattern { head, rest }
    }

    /// Whether the whole `text` matches.
    ///
    /// It takes as many steps as the text has bytes, for each 64 bytes of the pattern.
    pub fn matches(&self, text: &[u8]) -> bool {
        let Some((begin, text)) = text.split_at_checked(self.head.len()) else {
            return false;
        };
        if !are_in(begin, &self.head) {
            return false;
        }
        let Some(Rest { middle, tail }) = &self.rest else {
            return text.is_empty();
        };
        let Some(length) = text.len().checked_sub(tail.len()) else {
            return false;
        };
        let (mut text, end) = text.split_at(length);
        if !are_in(end, tail) || self.stars_before_last() > MAX_STARS {
            return false;
        }
        middle.iter().all(|sequence| {
            let behind = sequence.end_in(text);
            text = behind.and_then(|at| text.get(at..)).unwrap_or_default();
            behind.is_some()
        })
    }

    /// How many `*` have to be passed before the last one; a `*` at the end needs nothing.
    fn stars_before_last(&self) -> usize {
        let Some(rest) = &self.rest else {
            return 0;
        };
        rest.middle.len() + usize::from(!rest.tail.is_empty())
    }
}

/// Whether each byte is in the set at its place.
fn are_in(bytes: &[u8], sets: &[ByteSet]) -> bool {
    bytes.iter().zip(sets).all(|(byte, set)| set.has(*byte))
}

/// Bytes in a row, at least one.
#[derive(Clone, Debug)]
struct Sequence {
    length: usize,
    /// For each value of a byte, the places of the sequence that take it: 64 to a word.
    places: Vec<u64>,
}

impl Sequence {
    fn new(sets: &[ByteSet]) -> Sequence {
        let words = sets.len().div_ceil(64);
        let mut places = vec![0; 256 * words];
        for (at, set) in sets.iter().enumerate() {
            for byte in (0..=u8::MAX).filter(|byte| set.has(*byte)) {
                if let Some(word) = places.get_mut(usize::from(byte) * words + at / 64) {
                    *word |= 1_u64 << (at % 64);
                }
            }
        }
        Sequence {
            length: sets.len(),
            places,
        }
    }

    /// Where its first occurrence ends.
    fn end_in(&self, text: &[u8]) -> Option<usize> {
        let words = self.length.div_ceil(64);
        let last = 1_u64 << ((self.length - 1) % 64);
        // Bit `i` says that the bytes up to here end with the first `i + 1` of the sequence.
        let mut begun = vec![0_u64; words];
        text.iter()
            .position(|byte| {
                let of_byte = usize::from(*byte) * words;
                let taken = self
                    .places
                    .get(of_byte..of_byte + words)
                    .unwrap_or_default();
                let mut carry = 1;
                for (begun, taken) in begun.iter_mut().zip(taken) {
                    let shifted = *begun << 1 | carry;
                    carry = *begun >> 63;
                    *begun = shifted & taken;
                }
                begun.last().is_some_and(|word| word & last != 0)
            })
            .map(|at| at + 1)
    }
}

impl ByteSet {
    const EMPTY: ByteSet = ByteSet([0; 4]);
    const FULL: ByteSet = ByteSet([u64::MAX; 4]);

    fn of(byte: u8) -> ByteSet {
        let mut set = ByteSet::EMPTY;
        set.add(byte);
        set
    }

    fn add(&mut self, byte: u8) {
        if let Some(word) = self.0.get_mut(usize::from(byte / 64)) {
            *word |= 1 << (byte % 64);
        }
    }

    fn has(&self, byte: u8) -> bool {
        let word = self.0.get(usize::from(byte / 64)).copied().unwrap_or(0);
        word & 1 << (byte % 64) != 0
    }

    /// Reads the content of brackets, behind the opening one, and the closing one.
    fn read(rest: &mut &[u8]) -> ByteSet {
        let mut set = ByteSet::EMPTY;
        let inverted = rest.first() == Some(&b'^');
        if inverted {
            *rest = rest.get(1..).unwrap_or_default();
        }
        while let Some((byte, after)) = rest.split_first() {
            *rest = after;
            match (byte, after) {
                (b'\\', [_, ..]) => set.add(escaped(rest)),
                (b']', _) => break,
                (from, [b'-', to, after @ ..]) => {
                    *rest = after;
                    let (from, to) = (*from.min(to), *from.max(to));
                    (from..=to).for_each(|byte| set.add(byte));
                }
                (byte, _) => set.add(*byte),
            }
        }
        if inverted {
            set.0.iter_mut().for_each(|word| *word = !*word);
        }
        set
    }
}

/// Reads the byte behind a `\`, which has been read.
fn escaped(rest: &mut &[u8]) -> u8 {
    match rest.split_first() {
        Some((byte, after)) => {
            *rest = after;
            *byte
        }
        None => b'\\',
    }
}
