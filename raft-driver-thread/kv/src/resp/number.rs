//! Numbers as Redis takes them: digits, nothing else.

/// A whole number in its only form: no plus, no blanks, no zeros in front.
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let only_form = match digits {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', ..] => true,
        _ => false,
    };
    if only_form { parsed(text) } else { None }
}

/// Like [`integer`], for numbers that are never negative.
pub(crate) fn unsigned(text: &[u8]) -> Option<u64> {
    match text {
        [b'0'] | [b'1'..=b'9', ..] => parsed(text),
        _ => None,
    }
}

fn parsed<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
