//! The patterns of KEYS and SCAN.

/// A pattern, as Redis reads it: `*` is any bytes, `?` any one byte, `[ab-d]` one of these bytes,
/// `[^ab-d]` one of the others, and `\` before a byte is that byte.
///
/// A malformed pattern means what it means to Redis: the pattern's end closes an open bracket, and
/// a `\` at the end is a backslash.
#[derive(Clone, Debug)]
pub struct Pattern(Vec<Token>);

#[derive(Clone, Debug)]
enum Token {
    /// Any bytes, also none.
    Any,
    /// One of these bytes.
    OneOf(ByteSet),
}

/// A set of bytes: a bit for each.
#[derive(Clone, Copy, Debug)]
struct ByteSet([u64; 4]);

/// Where matching goes on if what follows the last `*` does not match.
struct Retry {
    /// The token behind the `*`.
    token: usize,
    /// Where in the text that token was tried.
    position: usize,
}

impl Pattern {
    /// Reads a pattern. Any bytes are one.
    pub fn new(pattern: &[u8]) -> Pattern {
        let mut tokens = Vec::new();
        let mut rest = pattern;
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            let one = match byte {
                b'*' => {
                    // Two in a row match the same as one.
                    if !matches!(tokens.last(), Some(Token::Any)) {
                        tokens.push(Token::Any);
                    }
                    continue;
                }
                b'?' => ByteSet::FULL,
                b'[' => ByteSet::read(&mut rest),
                b'\\' => ByteSet::of(escaped(&mut rest)),
                byte => ByteSet::of(*byte),
            };
            tokens.push(Token::OneOf(one));
        }
        Pattern(tokens)
    }

    /// Whether the whole `text` matches.
    ///
    /// This takes at most as many steps as the product of the two lengths: only the last `*` is
    /// ever extended, because extending an earlier one could not make more texts match.
    pub fn matches(&self, text: &[u8]) -> bool {
        let (mut token, mut position) = (0, 0);
        let mut retry = None;
        loop {
            let is_match = match (self.0.get(token), text.get(position)) {
                (None, None) => return true,
                (Some(Token::Any), _) => {
                    token += 1;
                    retry = Some(Retry { token, position });
                    continue;
                }
                (Some(Token::OneOf(set)), Some(byte)) => set.has(*byte),
                // Extending `*` would leave even less text for what follows it.
                (Some(Token::OneOf(_)), None) => return false,
                (None, Some(_)) => false,
            };
            if is_match {
                token += 1;
                position += 1;
                continue;
            }
            let Some(last) = &mut retry else {
                return false;
            };
            last.position += 1;
            token = last.token;
            position = last.position;
        }
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
