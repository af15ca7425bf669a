//! Requests are decoded, however their bytes arrive, and other bytes are refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/resp.rs"]
mod support;

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use raft_kv::resp::{
    ProtocolError, ReplyDecoder, ReplyLimits, RequestDecoder, RequestLimits, Version,
    encode_request,
};
use raft_kv::state::Reply;
use support::{cut, inputs};

/// Limits that short inputs can reach.
const TIGHT: RequestLimits = RequestLimits {
    max_bulk_bytes: 20,
    max_arguments: 4,
    max_inline_bytes: 30,
    max_request_bytes: 60,
};

/// What a decoder made of some bytes.
#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    requests: Vec<Vec<Bytes>>,
    /// The error that ended them.
    error: Option<ProtocolError>,
}

impl Decoded {
    /// Requests without an error.
    fn complete(requests: Vec<Vec<Bytes>>) -> Decoded {
        let error = None;
        Decoded { requests, error }
    }
}

/// Decodes pieces that arrive one after the other.
fn decode_pieces<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    limits: &RequestLimits,
) -> Decoded {
    let (mut decoder, mut buffer, mut requests) =
        (RequestDecoder::new(), BytesMut::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.next(&mut buffer, limits) {
                Ok(Some(request)) => requests.push(request),
                Ok(None) => break,
                Err(error) => {
                    let again = decoder.next(&mut buffer, limits);
                    assert_eq!(again, Err(error.clone()), "an error stays");
                    let error = Some(error);
                    return Decoded { requests, error };
                }
            }
        }
    }
    Decoded::complete(requests)
}

fn decode_with(bytes: &[u8], limits: &RequestLimits) -> Decoded {
    decode_pieces([bytes], limits)
}

fn decode(bytes: &[u8]) -> Decoded {
    decode_with(bytes, &RequestLimits::new(1024))
}

fn requests(requests: &[&[&'static str]]) -> Vec<Vec<Bytes>> {
    let request = |words: &&[&'static str]| words.iter().copied().map(Bytes::from).collect();
    requests.iter().map(request).collect()
}

fn error_of(bytes: &[u8]) -> String {
    let decoded = decode(bytes);
    assert_eq!(decoded.requests, Vec::<Vec<Bytes>>::new());
    decoded.error.expect("no error").to_string()
}

#[test]
fn pipelined_requests_of_both_forms_come_out_in_order() {
    let bytes = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\nPING\r\nget b\n*1\r\n$0\r\n\r\n";
    let expected = requests(&[&["GET", "a"], &["PING"], &["get", "b"], &[""]]);
    assert_eq!(decode(bytes), Decoded::complete(expected));
}

#[test]
fn empty_requests_are_skipped() {
    let bytes = b"*0\r\n\r\n\n*-1\r\n  \t\r\n*-7\r\nPING\r\n";
    assert_eq!(decode(bytes), Decoded::complete(requests(&[&["PING"]])));
}

#[test]
fn arguments_hold_any_bytes_and_share_the_buffer() {
    let mut buffer = BytesMut::from(&b"*1\r\n$6\r\n\r\n\0\xff$1\r\n"[..]);
    let memory = buffer.as_ptr_range();
    let request = RequestDecoder::new()
        .next(&mut buffer, &RequestLimits::new(6))
        .unwrap()
        .unwrap();
    assert_eq!(request, [&b"\r\n\0\xff$1"[..]]);
    assert!(
        memory.contains(&request[0].as_ptr()),
        "the argument was copied"
    );
}

#[test]
fn inline_requests_take_quotes_as_in_redis() {
    let line = br#"set "a b\x41\n\"\q" 'c \n\'d' e"f" \x"#;
    let words = ["set", "a bA\n\"q", "c \\n'd", "ef", "\\x"]
        .map(Bytes::from)
        .to_vec();
    let decoded = decode(&[line, &b"\r\n"[..]].concat());
    assert_eq!(decoded, Decoded::complete(vec![words]));
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
    assert_eq!(decode(b"a \"\\xg1\\x4\"\n").requests[0][1], "xg1x4");
}

#[test]
fn bytes_that_are_no_request_get_the_errors_of_redis() {
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
fn declared_sizes_over_the_limits_are_refused_as_soon_as_their_header_arrives() {
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
    let decoded = decode_with(
        b"*4\r\n$20\r\n01234567890123456789\r\n$20\r\n01234567890123456789\r\n$1\r\n",
        &TIGHT,
    );
    assert_eq!(decoded.error, Some(ProtocolError::RequestLength));
    let before = RequestLimits::new(1 << 20).before_authentication();
    assert_eq!(
        decode_with(b"*11\r\n", &before).error,
        Some(ProtocolError::MultibulkLength)
    );
    assert_eq!(
        decode_with(b"*1\r\n$16385\r\n", &before).error,
        Some(ProtocolError::BulkLength)
    );
    assert_eq!(decode_with(b"*10\r\n$16384\r\n", &before).error, None);
}

#[test]
fn lines_without_an_end_are_refused_beyond_the_limit() {
    let long = vec![b'1'; 64 * 1024 + 1];
    let at_limit = &long[1..];
    assert_eq!(error_of(&long), "Protocol error: too big inline request");
    assert_eq!(decode(at_limit), Decoded::complete(vec![]));
    let headers = [
        (&b"*"[..], "Protocol error: too big mbulk count string"),
        (b"*1\r\n$", "Protocol error: too big bulk count string"),
    ];
    for (header, expected) in headers {
        assert_eq!(error_of(&[header, &long].concat()), expected);
        let decoded = decode(&[header, at_limit].concat());
        assert_eq!(decoded, Decoded::complete(vec![]));
    }
}

#[test]
fn inline_requests_obey_the_limits_on_arguments() {
    assert_eq!(
        decode_with(b"a b c d e\n", &TIGHT).error,
        Some(ProtocolError::MultibulkLength)
    );
    assert_eq!(
        decode_with(b"a23456789012345678901\n", &TIGHT).error,
        Some(ProtocolError::BulkLength)
    );
    let decoded = decode_with(b"a b c d2345678901234567890\n", &TIGHT);
    assert_eq!((decoded.requests.len(), decoded.error), (1, None));
}

/// A megabyte of a hundred thousand arguments, in pieces of one byte. To scan it from the start for
/// each piece would take 10^11 steps.
#[test]
fn a_long_request_in_small_pieces_is_scanned_once() {
    let words = vec!["1234"; 100_000];
    let mut bytes = BytesMut::new();
    encode_request(&words, &mut bytes);
    let decoded = decode_pieces(bytes.chunks(1), &RequestLimits::new(4));
    assert_eq!((decoded.requests.len(), decoded.error), (1, None));
    assert_eq!(decoded.requests[0].len(), words.len());
    let mut decoder = ReplyDecoder::new(Version::Two, ReplyLimits::default());
    let mut buffer = BytesMut::new();
    let mut replies = bytes.iter().filter_map(|byte| {
        buffer.extend_from_slice(&[*byte]);
        decoder.next(&mut buffer).unwrap()
    });
    assert!(matches!(replies.next(), Some(Reply::Array(values)) if values.len() == words.len()));
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
        for request in decode_with(&bytes, &TIGHT).requests {
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
        let expected = sent.into_iter().map(|request| request.into_iter().map(Bytes::from).collect());
        prop_assert_eq!(decode(&bytes), Decoded::complete(expected.collect()));
    }
}
