//! Any bytes as what a client sends, and as what a server answers: no panic; the same meaning
//! however the bytes are cut; the limits hold; and what was understood arrives when it is sent on.
//!
//! What is understood is done to a store, so that there are replies to be sent on too. The last
//! byte says how long the pieces are; kept inputs are otherwise as they would be on a connection.

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

/// Likewise.
const TIGHT_REPLIES: ReplyLimits = ReplyLimits {
    max_bytes: 100,
    max_values: 10,
    max_depth: 2,
};

/// Likewise, for the parser.
const TIGHT_VALUES: ParseLimits = ParseLimits { max_value_bytes: 8 };

/// All that came out, and the error that ended it.
type Found<T> = (Vec<T>, Option<ProtocolError>);

/// Runs `data` through the reader of requests and the parser, and through the reader of replies.
pub fn run(data: &[u8]) {
    within(&requests(data, &TIGHT).0, &TIGHT);
    let wide = RequestLimits::new(data.len());
    let found = requests(data, &wide).0;
    within(&found, &wide);
    arrives(&found, &wide);
    perform(found);
    for version in [Version::Two, Version::Three] {
        for reply in replies(data, version, TIGHT_REPLIES).0 {
            let (values, depth) = size(&reply);
            assert!(values <= TIGHT_REPLIES.max_values, "too many values");
            assert!(depth <= TIGHT_REPLIES.max_depth, "too deep");
        }
        for reply in replies(data, version, ReplyLimits::default()).0 {
            sent_on(&reply);
        }
    }
}

/// The same bytes in pieces of several lengths, the last of which holds all of them.
fn cuts(data: &[u8]) -> [std::slice::Chunks<'_, u8>; 4] {
    let said = data.last().copied().map_or(1, usize::from);
    [1, 7, said.max(1), data.len().max(1)].map(|length| data.chunks(length))
}

/// What comes out of pieces that come in one after the other. `waits` is told how much is kept
/// while more has to come.
fn read<'a, T: PartialEq + std::fmt::Debug>(
    pieces: impl Iterator<Item = &'a [u8]>,
    mut next: impl FnMut(&mut BytesMut) -> Result<Option<T>, ProtocolError>,
    mut waits: impl FnMut(usize, usize),
) -> Found<T> {
    let (mut buffer, mut found) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match next(&mut buffer) {
                Ok(Some(one)) => found.push(one),
                Ok(None) => {
                    waits(buffer.len(), piece.len());
                    break;
                }
                Err(error) => {
                    assert_eq!(next(&mut buffer), Err(error.clone()), "an error stays");
                    return (found, Some(error));
                }
            }
        }
    }
    (found, None)
}

/// Of several ways to cut the bytes, all have to give the same.
fn requests(data: &[u8], limits: &RequestLimits) -> Found<Vec<Bytes>> {
    // A request that is short of its last line, which is as long as may be.
    let line = limits.max_inline_bytes.saturating_add(3);
    let most = limits.max_request_bytes.max(line).saturating_add(line);
    let [first, others @ ..] = cuts(data).map(|pieces| {
        let mut decoder = RequestDecoder::new();
        let next = |buffer: &mut BytesMut| decoder.next(buffer, limits);
        read(pieces, next, |kept, came| {
            assert!(
                kept <= most.saturating_add(came),
                "more is kept than may be"
            );
        })
    });
    for other in others {
        assert_eq!(other, first, "the bytes mean the same in pieces");
    }
    first
}

/// Likewise.
fn replies(data: &[u8], version: Version, limits: ReplyLimits) -> Found<Reply> {
    let [first, others @ ..] = cuts(data).map(|pieces| {
        let mut decoder = ReplyDecoder::new(version, limits);
        read(pieces, |buffer| decoder.next(buffer), |_, _| {})
    });
    for other in others {
        assert_eq!(other, first, "the bytes mean the same in pieces");
    }
    first
}

fn within(requests: &[Vec<Bytes>], limits: &RequestLimits) {
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

/// Requests are what they were when they are written and read again.
fn arrives(sent: &[Vec<Bytes>], limits: &RequestLimits) {
    let mut bytes = BytesMut::new();
    for request in sent {
        encode_request(request, &mut bytes);
    }
    let mut decoder = RequestDecoder::new();
    let next = |buffer: &mut BytesMut| decoder.next(buffer, limits);
    let (found, error) = read([&bytes[..]].into_iter(), next, |kept, _| {
        assert_eq!(kept, 0, "something is left");
    });
    assert_eq!((found.as_slice(), error), (sent, None));
}

/// Does what requests ask of the keys, and sends the replies on.
fn perform(requests: Vec<Vec<Bytes>>) {
    let mut store = Store::new();
    for request in requests {
        let long = request
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
                assert!(!long || tight.is_err(), "a word is too long");
                store.execute(command)
            }
            Ok(Request::Local(LocalCommand::Command(asked))) => asked.reply(),
            Ok(_) => continue,
            Err(error) => {
                assert!(matches!(error, Reply::Error(_)), "no error: {error:?}");
                assert!(tight.is_err(), "less is taken by those who may take more");
                error
            }
        };
        sent_on(&reply);
    }
}

/// A reply arrives as the version can say it, and again as it arrived.
fn sent_on(reply: &Reply) {
    for version in [Version::Two, Version::Three] {
        let expected = as_said(reply, version);
        for sent in [reply, &expected] {
            let mut bytes = BytesMut::new();
            encode_reply(sent, version, &mut bytes);
            let found = ReplyDecoder::new(version, ReplyLimits::default()).next(&mut bytes);
            assert_eq!(found.as_ref(), Ok(&Some(expected.clone())));
            assert!(bytes.is_empty(), "something is left");
        }
    }
}

/// A reply without what a version cannot say: maps, and ends of lines within lines.
fn as_said(reply: &Reply, version: Version) -> Reply {
    let line = |text: &str| text.replace(['\r', '\n'], " ");
    let said = |reply| as_said(reply, version);
    match reply {
        Reply::Simple(word) => Reply::Simple(line(word)),
        Reply::Error(error) => Reply::Error(line(error)),
        Reply::Array(values) => Reply::Array(values.iter().map(said).collect()),
        Reply::Map(pairs) => match version {
            Version::Two => {
                let values = pairs.iter().flat_map(|(key, value)| [key, value]);
                Reply::Array(values.map(said).collect())
            }
            Version::Three => {
                let pairs = pairs.iter().map(|(key, value)| (said(key), said(value)));
                Reply::Map(pairs.collect())
            }
        },
        Reply::Ok | Reply::Integer(_) | Reply::Bulk(_) | Reply::Nil => reply.clone(),
    }
}

/// How many values a reply is, itself among them, and how many of them at most lie in each other
/// around another one.
fn size(reply: &Reply) -> (usize, usize) {
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
    let values = parts.iter().map(|(values, _)| values).sum::<usize>() + 1;
    let deepest = parts.iter().map(|(_, depth)| depth + 1).max();
    (values, deepest.unwrap_or(0))
}
