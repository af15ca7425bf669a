//! Numbers as Redis takes them: digits and a minus, nothing else.

/// A whole number in its one canonical form: no plus, no blanks, no leading zeros.
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let is_canonical = match digits {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', ..] => true,
        _ => false,
    };
    if is_canonical { parsed(text) } else { None }
}

/// Like [`integer`], for numbers that are never negative.
pub(super) fn unsigned(text: &[u8]) -> Option<u64> {
    match text {
        [b'0'] | [b'1'..=b'9', ..] => parsed(text),
        _ => None,
    }
}

fn parsed<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A cursor as `strtoul` reads it, which Redis uses: nothing is 0, and a sign and leading zeros are
/// allowed. No blanks.
pub(super) fn cursor(text: &[u8]) -> Option<u64> {
    let (is_negative, digits) = match text {
        [] => return Some(0),
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = parsed(digits)?;
    Some(if is_negative {
        number.wrapping_neg()
    } else {
        number
    })
}
