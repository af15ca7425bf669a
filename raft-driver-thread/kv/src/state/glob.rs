//! The patterns of KEYS and SCAN.

/// A pattern, as Redis reads it: `*` any bytes, `?` any one, `[ab-d]` one of these, `[^ab-d]` one
/// of the others, `\` before a byte takes it as it is.
///
/// What is no whole pattern means what it means to Redis: a bracket that nobody closes is closed
/// by the end, and a `\` at the end is one.
#[derive(Clone, Debug)]
pub struct Pattern(Vec<Token>);

#[derive(Clone, Debug)]
enum Token {
    Any,
    One(Set),
}

/// Which bytes match; a bit for each.
#[derive(Clone, Copy, Debug)]
struct Set([u64; 4]);

impl Pattern {
    /// Reads a pattern; there is none that makes no sense.
    pub fn new(pattern: &[u8]) -> Pattern {
        let mut tokens = Vec::new();
        let mut rest = pattern;
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            let one = match byte {
                b'*' => {
                    // Two in a row match what one does.
                    if !matches!(tokens.last(), Some(Token::Any)) {
                        tokens.push(Token::Any);
                    }
                    continue;
                }
                b'?' => Set::FULL,
                b'[' => Set::read(&mut rest),
                b'\\' => Set::of(escaped(&mut rest)),
                byte => Set::of(*byte),
            };
            tokens.push(Token::One(one));
        }
        Pattern(tokens)
    }

    /// Whether all of `text` matches. It takes at most as many steps as the product of the two
    /// lengths: only the last `*` is ever tried again, as an earlier one that took more could
    /// not make more match.
    pub fn matches(&self, text: &[u8]) -> bool {
        let (mut token, mut at) = (0, 0);
        // Behind the last `*`: the next token, and where in the text it was tried.
        let mut retry = None;
        loop {
            let matched = match (self.0.get(token), text.get(at)) {
                (None, None) => return true,
                (Some(Token::Any), _) => {
                    token += 1;
                    retry = Some((token, at));
                    continue;
                }
                (Some(Token::One(set)), Some(byte)) => set.has(*byte),
                // Even if `*` took more, there is too little text for what comes behind it.
                (Some(Token::One(_)), None) => return false,
                (None, Some(_)) => false,
            };
            if matched {
                (token, at) = (token + 1, at + 1);
                continue;
            }
            let Some((behind, tried)) = retry else {
                return false;
            };
            (token, at) = (behind, tried + 1);
            retry = Some((token, at));
        }
    }
}

impl Set {
    const EMPTY: Set = Set([0; 4]);
    const FULL: Set = Set([u64::MAX; 4]);

    fn of(byte: u8) -> Set {
        let mut set = Set::EMPTY;
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

    /// What stands in brackets, of which the first is read.
    fn read(rest: &mut &[u8]) -> Set {
        let mut set = Set::EMPTY;
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

/// The byte behind a `\`, which is read.
fn escaped(rest: &mut &[u8]) -> u8 {
    match rest.split_first() {
        Some((byte, after)) => {
            *rest = after;
            *byte
        }
        None => b'\\',
    }
}
