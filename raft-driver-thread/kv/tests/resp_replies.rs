//! Replies are encoded and decoded, and other bytes are refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/resp.rs"]
mod support;

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use raft_kv::resp::{
    CommandCommand, ProtocolError, ReplyDecoder, ReplyLimits, Version, decode_reply, encode_reply,
};
use raft_kv::state::Reply;
use support::{cut, inputs};

fn encoded(reply: &Reply, version: Version) -> Bytes {
    let mut buffer = BytesMut::from("before");
    encode_reply(reply, version, &mut buffer);
    buffer.freeze().slice(6..)
}

#[test]
fn replies_are_encoded_as_each_version_defines_them() {
    let map = Reply::Map(vec![
        (Reply::text("b"), Reply::Nil),
        (Reply::text("a"), Reply::Ok),
    ]);
    let cases: &[(Reply, &str, &str)] = &[
        (Reply::Ok, "+OK\r\n", "+OK\r\n"),
        (Reply::Simple("PONG".into()), "+PONG\r\n", "+PONG\r\n"),
        (
            Reply::Error("ERR a\r\nb".into()),
            "-ERR a  b\r\n",
            "-ERR a  b\r\n",
        ),
        (Reply::Integer(-12), ":-12\r\n", ":-12\r\n"),
        (
            Reply::Bulk("a\r\n".into()),
            "$3\r\na\r\n\r\n",
            "$3\r\na\r\n\r\n",
        ),
        (Reply::Nil, "$-1\r\n", "_\r\n"),
        (
            Reply::Array(vec![Reply::Nil, Reply::Array(vec![])]),
            "*2\r\n$-1\r\n*0\r\n",
            "*2\r\n_\r\n*0\r\n",
        ),
        (
            map,
            "*4\r\n$1\r\nb\r\n$-1\r\n$1\r\na\r\n+OK\r\n",
            "%2\r\n$1\r\nb\r\n_\r\n$1\r\na\r\n+OK\r\n",
        ),
    ];
    for (reply, two, three) in cases {
        assert_eq!(encoded(reply, Version::Two), two, "{reply:?}");
        assert_eq!(encoded(reply, Version::Three), three, "{reply:?}");
    }
}

/// Around the powers of ten, where an estimate of the number of digits can be wrong.
#[test]
fn numbers_and_lengths_of_all_sizes_are_encoded_exactly() {
    let powers = (0..19).map(|exponent| 10_i64.pow(exponent));
    let numbers = powers.flat_map(|power| [power - 1, power, power + 1]);
    let numbers = numbers.chain([i64::MAX, i64::MAX - 1, i64::MIN, i64::MIN + 1]);
    for number in numbers.flat_map(|number| [number, number.saturating_neg()]) {
        let bytes = encoded(&Reply::Integer(number), Version::Two);
        assert_eq!(bytes, format!(":{number}\r\n"));
    }
    let powers = (0..7).map(|exponent| 10_usize.pow(exponent));
    for length in powers.flat_map(|power| [power - 1, power, power + 1]) {
        let bytes = encoded(&Reply::Bulk(vec![b'x'; length].into()), Version::Two);
        assert!(bytes.starts_with(format!("${length}\r\nx").as_bytes()) || length == 0);
        assert_eq!(bytes.len(), length.to_string().len() + length + 5);
    }
}

#[test]
fn bytes_that_are_no_reply_are_refused() {
    let two: &[&[u8]] = &[
        b":x\r\n",
        b":+1\r\n",
        b"$x\r\n",
        b"$-2\r\n",
        b"$1\r\nabc",
        b"*-2\r\n",
        b"_\r\n",
        b"%1\r\n",
        b"x\r\n",
        b"+a\rb",
    ];
    for bytes in two {
        let reply = decode_reply(&mut BytesMut::from(*bytes), Version::Two);
        assert!(reply.is_err(), "{}: {reply:?}", bytes.escape_ascii());
    }
    for bytes in [&b"_x\r\n"[..], b"%-1\r\n", b",1.5\r\n", b"~0\r\n"] {
        let reply = decode_reply(&mut BytesMut::from(bytes), Version::Three);
        assert!(reply.is_err(), "{}: {reply:?}", bytes.escape_ascii());
    }
}

#[test]
fn replies_over_the_limits_are_refused_as_soon_as_their_header_arrives() {
    let limits = ReplyLimits {
        max_bytes: 100,
        max_values: 10,
        max_depth: 2,
    };
    let good = b"*1\r\n*9\r\n";
    let decode =
        |bytes: &[u8]| ReplyDecoder::new(Version::Three, limits).next(&mut BytesMut::from(bytes));
    assert_eq!(decode(&good[..4]), Ok(None));
    for bytes in [
        &b"$100\r\n"[..],
        b"*10\r\n",
        b"%5\r\n",
        b"*1\r\n*9\r\n",
        b"*1\r\n*1\r\n*1\r\n",
        b"*9223372036854775807\r\n",
        b"%9223372036854775807\r\n",
        b"$9223372036854775807\r\n",
    ] {
        assert_eq!(
            decode(bytes),
            Err(ProtocolError::ReplySize),
            "{}",
            bytes.escape_ascii()
        );
    }
    for bytes in [
        &b"*1000000000\r\n"[..],
        b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
    ] {
        let reply = decode_reply(&mut BytesMut::from(bytes), Version::Two);
        assert_eq!(reply, Err(ProtocolError::ReplySize));
    }
}

fn replies() -> impl Strategy<Value = Reply> {
    let leaf = prop_oneof![
        Just(Reply::Ok),
        Just(Reply::Nil),
        "[a-zA-Z ]{0,9}"
            .prop_filter("is OK", |word| word != "OK")
            .prop_map(Reply::Simple),
        "[A-Z]{1,5} \\PC{0,9}".prop_map(Reply::Error),
        any::<i64>().prop_map(Reply::Integer),
        vec(any::<u8>(), 0..20).prop_map(|bytes| Reply::Bulk(bytes.into())),
    ];
    leaf.prop_recursive(4, 30, 5, |inner| {
        let pairs = vec((inner.clone(), inner.clone()), 0..4);
        prop_oneof![
            vec(inner, 0..5).prop_map(Reply::Array),
            pairs.prop_map(Reply::Map)
        ]
    })
}

/// A reply as version 2 of the protocol can express it.
fn flattened(reply: &Reply) -> Reply {
    match reply {
        Reply::Array(values) => Reply::Array(values.iter().map(flattened).collect()),
        Reply::Map(pairs) => {
            let values = pairs.iter().flat_map(|(key, value)| [key, value]);
            Reply::Array(values.map(flattened).collect())
        }
        Reply::Ok
        | Reply::Simple(_)
        | Reply::Error(_)
        | Reply::Integer(_)
        | Reply::Bulk(_)
        | Reply::Nil => reply.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn replies_arrive_as_they_were_sent(
        sent in vec(replies(), 1..3),
        cuts in vec(any::<prop::sample::Index>(), 0..8),
    ) {
        for version in [Version::Two, Version::Three] {
            let mut bytes = BytesMut::new();
            sent.iter().for_each(|reply| encode_reply(reply, version, &mut bytes));
            let mut decoder = ReplyDecoder::new(version, ReplyLimits::default());
            let (mut buffer, mut found) = (BytesMut::new(), Vec::new());
            for piece in cut(&bytes, &cuts) {
                buffer.extend_from_slice(piece);
                while let Some(reply) = decoder.next(&mut buffer).unwrap() {
                    found.push(reply);
                }
            }
            let expected: Vec<_> = match version {
                Version::Two => sent.iter().map(flattened).collect(),
                Version::Three => sent.clone(),
            };
            prop_assert_eq!(found, expected);
            prop_assert!(buffer.is_empty());
        }
    }

    #[test]
    fn no_bytes_break_the_reader_of_replies(bytes in inputs()) {
        for version in [Version::Two, Version::Three] {
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = decode_reply(&mut buffer, version) {}
        }
    }
}

#[test]
fn the_longest_reply_of_all_is_read_back() {
    for reply in [CommandCommand::All, CommandCommand::Docs(vec![])].map(|asked| asked.reply()) {
        let bytes = encoded(&reply, Version::Three);
        let found = decode_reply(&mut BytesMut::from(&bytes[..]), Version::Three);
        assert_eq!(found, Ok(Some(reply)));
    }
}
