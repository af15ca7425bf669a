//! Any bytes, as the requests of a client and as the replies of a server. Nothing panics; the bytes
//! mean the same however they are cut into pieces; the limits hold; and decoded requests and
//! replies stay the same when they are encoded and decoded again.
//!
//! The commands are run on a store, so that there are replies to encode. The last byte of an input
//! is also a length of pieces; otherwise an input is as it would be on a connection.

use bytes::{Bytes, BytesMut};
use raft_kv::resp::{
    LocalCommand, ParseLimits, ProtocolError, ReplyDecoder, ReplyLimits, Request, RequestDecoder,
    RequestLimits, Version, encode_reply, encode_request, parse,
};
use raft_kv::state::{Reply, Store};

/// Limits that short inputs can reach.
const TIGHT: RequestLimits = RequestLimits {
    max_bulk_bytes: 20,
    max_arguments: 4,
    max_inline_bytes: 30,
    max_request_bytes: 60,
};

/// Limits that short replies can reach.
const TIGHT_REPLIES: ReplyLimits = ReplyLimits {
    max_bytes: 100,
    max_values: 10,
    max_depth: 2,
};

/// Limits of the parser that short values can reach.
const TIGHT_VALUES: ParseLimits = ParseLimits { max_value_bytes: 8 };

/// What a decoder made of some bytes.
#[derive(Debug, PartialEq)]
struct Decoded<T> {
    values: Vec<T>,
    /// The error that ended them.
    error: Option<ProtocolError>,
}

/// The number of values in a reply, and of levels of values around another one.
struct ReplySize {
    values: usize,
    depth: usize,
}

/// Runs `data` through the decoder of requests and the parser, and through the decoder of replies.
pub fn run(data: &[u8]) {
    assert_within(&requests(data, &TIGHT).values, &TIGHT);
    let wide = RequestLimits::new(data.len());
    let found = requests(data, &wide).values;
    assert_within(&found, &wide);
    assert_requests_arrive(&found, &wide);
    execute(found);
    for version in [Version::Two, Version::Three] {
        for reply in replies(data, version, TIGHT_REPLIES).values {
            let size = size(&reply);
            assert!(size.values <= TIGHT_REPLIES.max_values, "too many values");
            assert!(size.depth <= TIGHT_REPLIES.max_depth, "too deep");
        }
        for reply in replies(data, version, ReplyLimits::default()).values {
            assert_reply_arrives(&reply);
        }
    }
}

/// The same bytes in pieces of several lengths, the last of which holds all of them.
fn cuts(data: &[u8]) -> [std::slice::Chunks<'_, u8>; 4] {
    let last = data.last().copied().map_or(1, usize::from);
    [1, 7, last.max(1), data.len().max(1)].map(|length| data.chunks(length))
}

/// Decodes pieces that arrive one after the other. After each piece, `check_kept` gets the bytes
/// that are buffered, and the length of the piece.
fn decode<'a, T: PartialEq + std::fmt::Debug>(
    pieces: impl Iterator<Item = &'a [u8]>,
    mut next: impl FnMut(&mut BytesMut) -> Result<Option<T>, ProtocolError>,
    mut check_kept: impl FnMut(usize, usize),
) -> Decoded<T> {
    let (mut buffer, mut values) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match next(&mut buffer) {
                Ok(Some(value)) => values.push(value),
                Ok(None) => {
                    check_kept(buffer.len(), piece.len());
                    break;
                }
                Err(error) => {
                    assert_eq!(next(&mut buffer), Err(error.clone()), "an error stays");
                    let error = Some(error);
                    return Decoded { values, error };
                }
            }
        }
    }
    let error = None;
    Decoded { values, error }
}

/// Decodes requests. Every way to cut the bytes must give the same.
fn requests(data: &[u8], limits: &RequestLimits) -> Decoded<Vec<Bytes>> {
    // The most that is buffered is a request without its last line, of which all but the end is
    // there.
    let line = limits.max_inline_bytes.saturating_add(3);
    let most = limits.max_request_bytes.max(line).saturating_add(line);
    let [first, others @ ..] = cuts(data).map(|pieces| {
        let mut decoder = RequestDecoder::new();
        let next = |buffer: &mut BytesMut| decoder.next(buffer, limits);
        decode(pieces, next, |kept, arrived| {
            assert!(kept <= most.saturating_add(arrived), "too much is buffered");
        })
    });
    for other in others {
        assert_eq!(other, first, "the bytes mean the same in pieces");
    }
    first
}

/// Decodes replies. Every way to cut the bytes must give the same.
fn replies(data: &[u8], version: Version, limits: ReplyLimits) -> Decoded<Reply> {
    let [first, others @ ..] = cuts(data).map(|pieces| {
        let mut decoder = ReplyDecoder::new(version, limits);
        decode(pieces, |buffer| decoder.next(buffer), |_, _| {})
    });
    for other in others {
        assert_eq!(other, first, "the bytes mean the same in pieces");
    }
    first
}

fn assert_within(requests: &[Vec<Bytes>], limits: &RequestLimits) {
    for request in requests {
        assert!((1..=limits.max_arguments).contains(&request.len()));
        let lengths = request.iter().map(Bytes::len);
        assert!(
            lengths
                .clone()
                .all(|length| length <= limits.max_bulk_bytes)
        );
        let all: usize = lengths.sum();
        assert!(all <= limits.max_request_bytes.max(limits.max_inline_bytes));
    }
}

/// Requests stay the same when they are encoded and decoded again.
fn assert_requests_arrive(sent: &[Vec<Bytes>], limits: &RequestLimits) {
    let mut bytes = BytesMut::new();
    for request in sent {
        encode_request(request, &mut bytes);
    }
    let mut decoder = RequestDecoder::new();
    let next = |buffer: &mut BytesMut| decoder.next(buffer, limits);
    let decoded = decode([&bytes[..]].into_iter(), next, |kept, _| {
        assert_eq!(kept, 0, "bytes are left");
    });
    assert_eq!(decoded.values, sent);
    assert_eq!(decoded.error, None);
}

/// Runs the commands on a store, and encodes the replies.
fn execute(requests: Vec<Vec<Bytes>>) {
    let mut store = Store::new();
    for request in requests {
        let is_long = request
            .iter()
            .any(|word| word.len() > TIGHT_VALUES.max_value_bytes);
        let tight = parse(request.clone(), &TIGHT_VALUES);
        let reply = match parse(
            request,
            &ParseLimits {
                max_value_bytes: usize::MAX,
            },
        ) {
            Ok(Request::Command(command)) => {
                assert!(!is_long || tight.is_err(), "a word is too long");
                store.execute(command)
            }
            Ok(Request::Local(LocalCommand::Command(command))) => command.reply(),
            Ok(_) => continue,
            Err(error) => {
                assert!(matches!(error, Reply::Error(_)), "not an error: {error:?}");
                assert!(
                    tight.is_err(),
                    "wider limits refuse what tighter ones accept"
                );
                error
            }
        };
        assert_reply_arrives(&reply);
    }
}

/// A reply arrives as its version can express it, and then stays the same.
fn assert_reply_arrives(reply: &Reply) {
    for version in [Version::Two, Version::Three] {
        let expected = expressed(reply, version);
        for sent in [reply, &expected] {
            let mut bytes = BytesMut::new();
            encode_reply(sent, version, &mut bytes);
            let found = ReplyDecoder::new(version, ReplyLimits::default()).next(&mut bytes);
            assert_eq!(found.as_ref(), Ok(&Some(expected.clone())));
            assert!(bytes.is_empty(), "bytes are left");
        }
    }
}

/// A reply as a version can express it: RESP2 without maps, and no line ends within lines.
fn expressed(reply: &Reply, version: Version) -> Reply {
    let line = |text: &str| text.replace(['\r', '\n'], " ");
    let inner = |reply| expressed(reply, version);
    match reply {
        Reply::Simple(word) => Reply::Simple(line(word)),
        Reply::Error(error) => Reply::Error(line(error)),
        Reply::Array(values) => Reply::Array(values.iter().map(inner).collect()),
        Reply::Map(pairs) => match version {
            Version::Two => {
                let values = pairs.iter().flat_map(|(key, value)| [key, value]);
                Reply::Array(values.map(inner).collect())
            }
            Version::Three => {
                let pairs = pairs.iter().map(|(key, value)| (inner(key), inner(value)));
                Reply::Map(pairs.collect())
            }
        },
        Reply::Ok | Reply::Integer(_) | Reply::Bulk(_) | Reply::Nil => reply.clone(),
    }
}

fn size(reply: &Reply) -> ReplySize {
    let parts: Vec<_> = match reply {
        Reply::Array(values) => values.iter().map(size).collect(),
        Reply::Map(pairs) => {
            let values = pairs.iter().flat_map(|(key, value)| [key, value]);
            values.map(size).collect()
        }
        Reply::Ok
        | Reply::Simple(_)
        | Reply::Error(_)
        | Reply::Integer(_)
        | Reply::Bulk(_)
        | Reply::Nil => Vec::new(),
    };
    let values = parts.iter().map(|part| part.values).sum::<usize>() + 1;
    let deepest = parts.iter().map(|part| part.depth + 1).max();
    ReplySize {
        values,
        depth: deepest.unwrap_or(0),
    }
}
