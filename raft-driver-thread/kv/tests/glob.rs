//! Patterns mean what they mean to Redis, and matching never takes long.
#![allow(missing_docs)]

use proptest::prelude::*;
use raft_kv::state::Pattern;

/// The definition, by the recursion of Redis, which is too slow for long patterns.
fn defined_match(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], _) => text.is_empty(),
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|from| defined_match(rest, &text[from..])),
        ([b'?', rest @ ..], [_, after @ ..]) => defined_match(rest, after),
        ([b'[', rest @ ..], [byte, after @ ..]) => {
            let class = class(rest, *byte);
            class.has_byte && defined_match(class.rest, after)
        }
        ([b'\\', escaped, rest @ ..], [byte, after @ ..]) => {
            escaped == byte && defined_match(rest, after)
        }
        ([literal, rest @ ..], [byte, after @ ..]) => literal == byte && defined_match(rest, after),
        ([_, ..], []) => false,
    }
}

/// A class in brackets.
struct Class<'a> {
    has_byte: bool,
    /// The pattern behind the class.
    rest: &'a [u8],
}

fn class(mut rest: &[u8], byte: u8) -> Class<'_> {
    let mut is_listed = false;
    let inverted = rest.first() == Some(&b'^');
    if inverted {
        rest = &rest[1..];
    }
    loop {
        match rest {
            [b'\\', escaped, after @ ..] => {
                is_listed |= *escaped == byte;
                rest = after;
            }
            [b']', after @ ..] => {
                return Class {
                    has_byte: is_listed != inverted,
                    rest: after,
                };
            }
            [] => {
                return Class {
                    has_byte: is_listed != inverted,
                    rest,
                };
            }
            [from, b'-', to, after @ ..] => {
                is_listed |= (*from.min(to)..=*from.max(to)).contains(&byte);
                rest = after;
            }
            [literal, after @ ..] => {
                is_listed |= *literal == byte;
                rest = after;
            }
        }
    }
}

#[test]
fn patterns_mean_what_they_mean_to_redis() {
    // The answers of KEYS in Redis 7.0.
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
        assert_eq!(
            defined_match(pattern.as_bytes(), text.as_bytes()),
            *expected
        );
    }
}

#[test]
fn bytes_that_are_not_text_can_match() {
    assert!(Pattern::new(b"[\x80-\xff]?\x00").matches(b"\xfe\xff\x00"));
    assert!(!Pattern::new(b"[\x80-\xff]").matches(b"\x7f"));
}

#[test]
fn many_stars_do_not_take_exponential_time() {
    let pattern = "*a".repeat(5_000) + "b";
    let text = "a".repeat(10_000);
    assert!(!Pattern::new(pattern.as_bytes()).matches(text.as_bytes()));
}

#[test]
fn beyond_a_thousand_stars_nothing_matches_as_in_redis() {
    let matches = |stars: usize, end: &str| {
        let pattern = "a*".repeat(stars) + end;
        Pattern::new(pattern.as_bytes()).matches("a".repeat(2_000).as_bytes())
    };
    assert!(matches(1_001, ""));
    assert!(!matches(1_002, ""));
    assert!(matches(1_000, "a"));
    assert!(!matches(1_001, "a"));
}

#[test]
fn long_sequences_between_stars_are_found_wherever_they_stand() {
    for length in [1, 63, 64, 65, 127, 128, 129, 5_000] {
        let sequence = "ab".repeat(length)[..length].to_owned() + "[x-z]";
        let pattern = format!("*{sequence}*");
        for before in [0, 1, 7, 64] {
            let text = "ab".repeat(before) + &"ab".repeat(length)[..length] + "y";
            assert!(Pattern::new(pattern.as_bytes()).matches(text.as_bytes()));
            let other = text.replace('y', "b");
            assert!(!Pattern::new(pattern.as_bytes()).matches(other.as_bytes()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn patterns_match_as_defined(
        pattern in proptest::collection::vec(proptest::sample::select(b"ab*?[]^-\\".to_vec()), 0..12),
        text in proptest::collection::vec(proptest::sample::select(b"ab]-^\\".to_vec()), 0..8),
    ) {
        prop_assert_eq!(Pattern::new(&pattern).matches(&text), defined_match(&pattern, &text));
    }
}
