//! Patterns mean what they mean to Redis, and never take long.
#![allow(missing_docs)]

use proptest::prelude::*;
use raft_kv::state::Pattern;

/// The definition, as Redis's own recursion has it, too slow for long patterns.
fn defined(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], _) => text.is_empty(),
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|from| defined(rest, &text[from..])),
        ([b'?', rest @ ..], [_, after @ ..]) => defined(rest, after),
        ([b'[', rest @ ..], [byte, after @ ..]) => {
            let (is_in, rest) = class(rest, *byte);
            is_in && defined(rest, after)
        }
        ([b'\\', escaped, rest @ ..], [byte, after @ ..]) => {
            escaped == byte && defined(rest, after)
        }
        ([literal, rest @ ..], [byte, after @ ..]) => literal == byte && defined(rest, after),
        ([_, ..], []) => false,
    }
}

fn class(mut rest: &[u8], byte: u8) -> (bool, &[u8]) {
    let mut is_in = false;
    let inverted = rest.first() == Some(&b'^');
    if inverted {
        rest = &rest[1..];
    }
    loop {
        match rest {
            [b'\\', escaped, after @ ..] => {
                is_in |= *escaped == byte;
                rest = after;
            }
            [b']', after @ ..] => return (is_in != inverted, after),
            [] => return (is_in != inverted, rest),
            [from, b'-', to, after @ ..] => {
                is_in |= (*from.min(to)..=*from.max(to)).contains(&byte);
                rest = after;
            }
            [literal, after @ ..] => {
                is_in |= *literal == byte;
                rest = after;
            }
        }
    }
}

#[test]
fn patterns_mean_what_they_mean_to_redis() {
    // Each was answered so by Redis 7.0's KEYS.
    let cases: &[(&str, &str, bool)] = &[
        ("*", "", true),
        ("", "", true),
        ("", "a", false),
        ("h?llo", "hello", true),
        ("h?llo", "hllo", false),
        ("h*llo", "hllo", true),
        ("h*llo", "heeeello", true),
        ("h[ae]llo", "hallo", true),
        ("h[ae]llo", "hillo", false),
        ("h[^e]llo", "hallo", true),
        ("h[^e]llo", "hello", false),
        ("h[a-b]llo", "hbllo", true),
        ("h[b-a]llo", "hallo", true),
        ("h[a-b]llo", "hcllo", false),
        ("a\\*b", "a*b", true),
        ("a\\*b", "axb", false),
        ("[\\]]", "]", true),
        ("[a\\-z]", "-", true),
        ("[a\\-z]", "m", false),
        ("[", "a", false),
        ("[a", "a", true),
        ("[a", "b", false),
        ("[]", "a", false),
        ("[^]", "a", true),
        ("[a-", "-", true),
        ("[a-]", "b", false),
        ("[a-]", "_", true),
        ("a\\", "a\\", true),
        ("a**b", "ab", true),
        ("*a*b*", "xxaxxbxx", true),
        ("*a*b", "xaxbxa", false),
        ("ab*", "a", false),
    ];
    for (pattern, text, expected) in cases {
        let matches = Pattern::new(pattern.as_bytes()).matches(text.as_bytes());
        assert_eq!(matches, *expected, "{pattern:?} on {text:?}");
        assert_eq!(defined(pattern.as_bytes(), text.as_bytes()), *expected);
    }
}

#[test]
fn bytes_that_are_no_text_match() {
    assert!(Pattern::new(b"[\x80-\xff]?\x00").matches(b"\xfe\xff\x00"));
    assert!(!Pattern::new(b"[\x80-\xff]").matches(b"\x7f"));
}

#[test]
fn many_stars_take_no_exponential_time() {
    let pattern = "*a".repeat(5_000) + "b";
    let text = "a".repeat(10_000);
    assert!(!Pattern::new(pattern.as_bytes()).matches(text.as_bytes()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn patterns_match_as_they_are_defined(
        pattern in proptest::collection::vec(proptest::sample::select(b"ab*?[]^-\\".to_vec()), 0..12),
        text in proptest::collection::vec(proptest::sample::select(b"ab]-^\\".to_vec()), 0..8),
    ) {
        prop_assert_eq!(Pattern::new(&pattern).matches(&text), defined(&pattern, &text));
    }
}
