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
