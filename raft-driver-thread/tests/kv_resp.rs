//! The protocol: what is a request and what is none, however the bytes come in; and that replies
//! arrive as they were.
#![cfg(feature = "kv")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use raft_driver_thread::kv::resp::{
    CommandCommand, Decoder, Limits, ProtocolError, ReplyDecoder, ReplyLimits, Version,
    decode_reply, encode, encode_request,
};
use raft_driver_thread::kv::state::Reply;

/// Limits that short inputs can reach.
const TIGHT: Limits = Limits {
    max_bulk_bytes: 20,
    max_arguments: 4,
    max_inline_bytes: 30,
    max_request_bytes: 60,
};

type Requests = (Vec<Vec<Bytes>>, Option<ProtocolError>);

/// All requests of these pieces, one coming after the other, and the error that ended them.
fn decode_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: &Limits) -> Requests {
    let (mut decoder, mut buffer, mut requests) = (Decoder::new(), BytesMut::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.next(&mut buffer, limits) {
                Ok(Some(request)) => requests.push(request),
                Ok(None) => break,
                Err(error) => {
                    let again = decoder.next(&mut buffer, limits);
                    assert_eq!(again, Err(error.clone()), "an error stays");
                    return (requests, Some(error));
                }
            }
        }
    }
    (requests, None)
}

fn decode_with(bytes: &[u8], limits: &Limits) -> Requests {
    decode_pieces([bytes], limits)
}

fn decode(bytes: &[u8]) -> Requests {
    decode_with(bytes, &Limits::new(1024))
}

fn requests(requests: &[&[&'static str]]) -> Vec<Vec<Bytes>> {
    let request = |words: &&[&'static str]| words.iter().copied().map(Bytes::from).collect();
    requests.iter().map(request).collect()
}

fn error_of(bytes: &[u8]) -> String {
    let (requests, error) = decode(bytes);
    assert_eq!(requests, Vec::<Vec<Bytes>>::new());
    error.expect("no error").to_string()
}

#[test]
fn pipelined_requests_of_both_forms_come_out_in_order() {
    let bytes = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\nPING\r\nget b\n*1\r\n$0\r\n\r\n";
    let expected = requests(&[&["GET", "a"], &["PING"], &["get", "b"], &[""]]);
    assert_eq!(decode(bytes), (expected, None));
}

#[test]
fn empty_requests_are_passed_over() {
    let bytes = b"*0\r\n\r\n\n*-1\r\n  \t\r\n*-7\r\nPING\r\n";
    assert_eq!(decode(bytes), (requests(&[&["PING"]]), None));
}

#[test]
fn arguments_hold_any_bytes_and_share_the_buffer() {
    let mut buffer = BytesMut::from(&b"*1\r\n$6\r\n\r\n\0\xff$1\r\n"[..]);
    let memory = buffer.as_ptr_range();
    let request = Decoder::new()
        .next(&mut buffer, &Limits::new(6))
        .unwrap()
        .unwrap();
    assert_eq!(request, [&b"\r\n\0\xff$1"[..]]);
    assert!(memory.contains(&request[0].as_ptr()), "it was copied");
}

#[test]
fn inline_requests_take_quotes_as_redis_does() {
    let line = br#"set "a b\x41\n\"\q" 'c \n\'d' e"f" \x"#;
    let words = ["set", "a bA\n\"q", "c \\n'd", "ef", "\\x"]
        .map(Bytes::from)
        .to_vec();
    let (found, error) = decode(&[line, &b"\r\n"[..]].concat());
    assert_eq!((&found[0], error), (&words, None));
    for unbalanced in [
        &b"a \"b\r\n"[..],
        b"a 'b\r\n",
        b"\"a\"b\r\n",
        b"'a'b\r\n",
        b"\"\\\r\n",
    ] {
        let expected = "Protocol error: unbalanced quotes in request";
        assert_eq!(
            error_of(unbalanced),
            expected,
            "{}",
            unbalanced.escape_ascii()
        );
    }
    assert_eq!(decode(b"a \"\\xg1\\x4\"\n").0[0][1], "xg1x4");
}

#[test]
fn what_is_no_request_is_refused_in_the_words_of_redis() {
    let multibulk = "Protocol error: invalid multibulk length";
    let bulk = "Protocol error: invalid bulk length";
    let cases: &[(&[u8], &str)] = &[
        (b"*x\r\n", multibulk),
        (b"*\r\n", multibulk),
        (b"*+1\r\n", multibulk),
        (b"*01\r\n", multibulk),
        (b"*1\rx", multibulk),
        (b"*99999999999999999999\r\n", multibulk),
        (b"*1\r\n$-1\r\n", bulk),
        (b"*1\r\n$x\r\n", bulk),
        (b"*1\r\n$+1\r\n", bulk),
        (b"*1\r\n$1\rx", bulk),
        (b"*1\r\n:1\r\n", "Protocol error: expected '$', got ':'"),
        (b"*1\r\n*1\r\n", "Protocol error: expected '$', got '*'"),
        (b"*1\r\n\0", r"Protocol error: expected '$', got '\x00'"),
        (
            b"*1\r\n$1\r\nab\r\n",
            "Protocol error: expected the end of a line behind a bulk string",
        ),
        (
            b"POST / HTTP/1.1\r\n",
            "Protocol error: this is a server for the protocol of Redis, not for HTTP",
        ),
        (
            b"Host: a\r\n",
            "Protocol error: this is a server for the protocol of Redis, not for HTTP",
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(error_of(bytes), *expected, "{}", bytes.escape_ascii());
    }
}

#[test]
fn declared_sizes_are_refused_when_their_header_is_there() {
    assert_eq!(
        error_of(b"*1000000000\r\n"),
        "Protocol error: invalid multibulk length"
    );
    assert_eq!(
        error_of(b"*1\r\n$9999999999\r\n"),
        "Protocol error: invalid bulk length"
    );
    assert_eq!(
        error_of(b"*2\r\n$1\r\na\r\n$1025\r\n"),
        "Protocol error: invalid bulk length"
    );
    let (_, error) = decode_with(
        b"*4\r\n$20\r\n01234567890123456789\r\n$20\r\n01234567890123456789\r\n$1\r\n",
        &TIGHT,
    );
    assert_eq!(error, Some(ProtocolError::RequestLength));
    let before = Limits::new(1 << 20).before_authentication();
    assert_eq!(
        decode_with(b"*11\r\n", &before).1,
        Some(ProtocolError::MultibulkLength)
    );
    assert_eq!(
        decode_with(b"*1\r\n$16385\r\n", &before).1,
        Some(ProtocolError::BulkLength)
    );
    assert_eq!(decode_with(b"*10\r\n$16384\r\n", &before).1, None);
}

#[test]
fn lines_without_an_end_are_refused_at_the_limit() {
    let long = vec![b'1'; 64 * 1024 + 1];
    let at_limit = &long[1..];
    assert_eq!(error_of(&long), "Protocol error: too big inline request");
    assert_eq!(decode(at_limit), (vec![], None));
    let headers = [
        (&b"*"[..], "Protocol error: too big mbulk count string"),
        (b"*1\r\n$", "Protocol error: too big bulk count string"),
    ];
    for (header, expected) in headers {
        assert_eq!(error_of(&[header, &long].concat()), expected);
        assert_eq!(decode(&[header, at_limit].concat()), (vec![], None));
    }
}

#[test]
fn inline_requests_are_held_to_the_limits_of_arguments() {
    assert_eq!(
        decode_with(b"a b c d e\n", &TIGHT).1,
        Some(ProtocolError::MultibulkLength)
    );
    assert_eq!(
        decode_with(b"a23456789012345678901\n", &TIGHT).1,
        Some(ProtocolError::BulkLength)
    );
    let (found, error) = decode_with(b"a b c d2345678901234567890\n", &TIGHT);
    assert_eq!((found.len(), error), (1, None));
}

/// A megabyte in pieces of one byte, of a hundred thousand arguments: looked at from the start each
/// time, that would be 10^11 steps.
#[test]
fn a_long_request_in_small_pieces_is_not_looked_at_again_and_again() {
    let words = vec!["1234"; 100_000];
    let mut bytes = BytesMut::new();
    encode_request(&words, &mut bytes);
    let (found, error) = decode_pieces(bytes.chunks(1), &Limits::new(4));
    assert_eq!((found.len(), error), (1, None));
    assert_eq!(found[0].len(), words.len());
    let mut decoder = ReplyDecoder::new(Version::Two, ReplyLimits::default());
    let mut buffer = BytesMut::new();
    let mut replies = bytes.iter().filter_map(|byte| {
        buffer.extend_from_slice(&[*byte]);
        decoder.next(&mut buffer).unwrap()
    });
    assert!(matches!(replies.next(), Some(Reply::Array(values)) if values.len() == words.len()));
}

fn encoded(reply: &Reply, version: Version) -> Bytes {
    let mut buffer = BytesMut::from("before");
    encode(reply, version, &mut buffer);
    buffer.freeze().slice(6..)
}

#[test]
fn replies_are_written_as_each_version_has_them() {
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

/// Around powers of ten, where an estimate of how many digits a number has goes wrong.
#[test]
fn numbers_and_lengths_of_all_sizes_are_written_exactly() {
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
fn what_is_no_reply_is_refused() {
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
fn replies_over_the_limits_are_refused_by_their_headers() {
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

/// A request's bytes, whole or with some of them changed; or any bytes.
fn inputs() -> impl Strategy<Value = Vec<u8>> {
    let tokens = prop::sample::select(vec![
        "\r\n",
        "*1\r\n",
        "*2\r\n",
        "*0\r\n",
        "$1\r\n",
        "$0\r\n",
        "$-1\r\n",
        "$20\r\n",
        "*",
        "$",
        "\r",
        "\n",
        "a",
        " ",
        "\"",
        "'",
        "\\x41",
        "0",
        ":1\r\n",
        "+OK\r\n",
        "_\r\n",
        "%1\r\n",
        "\0",
        "$1\r\na\r\n",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ]);
    let requests = vec(vec(vec(any::<u8>(), 0..22), 0..5), 0..4).prop_map(|requests| {
        let mut bytes = BytesMut::new();
        requests
            .iter()
            .for_each(|request| encode_request(request, &mut bytes));
        bytes.to_vec()
    });
    prop_oneof![
        vec(tokens, 0..20).prop_map(|tokens| tokens.concat().into_bytes()),
        requests,
        vec(any::<u8>(), 0..100),
    ]
}

fn cut<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2)
        .map(|pair| &bytes[pair[0]..pair[1]])
        .collect()
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

/// A reply as the protocol's second version can say it.
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
    fn bytes_mean_the_same_however_they_are_cut(
        bytes in inputs(),
        cuts in vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let whole = decode_with(&bytes, &TIGHT);
        prop_assert_eq!(&decode_pieces(cut(&bytes, &cuts), &TIGHT), &whole);
        prop_assert_eq!(&decode_pieces(bytes.chunks(1), &TIGHT), &whole);
    }

    #[test]
    fn requests_are_within_the_limits(bytes in inputs()) {
        for request in decode_with(&bytes, &TIGHT).0 {
            prop_assert!((1..=TIGHT.max_arguments).contains(&request.len()));
            prop_assert!(request.iter().all(|word| word.len() <= TIGHT.max_bulk_bytes));
        }
    }

    #[test]
    fn requests_arrive_as_they_were_sent(
        sent in vec(vec(vec(any::<u8>(), 0..50), 1..6), 0..4),
    ) {
        let mut bytes = BytesMut::new();
        sent.iter().for_each(|request| encode_request(request, &mut bytes));
        let (found, error) = decode(&bytes);
        prop_assert_eq!(error, None);
        prop_assert_eq!(found, sent);
    }

    #[test]
    fn replies_arrive_as_they_were_sent(
        sent in vec(replies(), 1..3),
        cuts in vec(any::<prop::sample::Index>(), 0..8),
    ) {
        for version in [Version::Two, Version::Three] {
            let mut bytes = BytesMut::new();
            sent.iter().for_each(|reply| encode(reply, version, &mut bytes));
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
