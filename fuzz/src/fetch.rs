//! Any bytes as a request to a peer, and as its reply. The decoder does not panic, and what it
//! decodes keeps its meaning when it is encoded and decoded again.

use bytes::Bytes;
use raft_proto::mending::codec::{
    REQUEST_BYTES, bytes_that_follow, decode_reply, decode_request, encode_reply, encode_request,
};
use raft_proto::mending::{FetchReply, MAX_FETCH_BYTES, Request};

/// Decodes `data` as each of the two.
pub fn run(data: &[u8]) {
    if let Some(request) = decode_request(data) {
        check_request(&request, data);
    }
    let Some(reply) = decode_reply(Bytes::copy_from_slice(data)) else {
        return;
    };
    let again = encode_reply(&reply);
    assert_eq!(decode_reply(again.clone().into()), Some(reply.clone()));
    // A configuration may be written in more than one way, as a later release extends it.
    if !matches!(reply, FetchReply::Snapshot(_)) {
        assert_eq!(again, data, "a reply has one encoding");
    }
}

fn check_request(request: &Request, data: &[u8]) {
    let most = match request {
        Request::Entries(fetch) => fetch.max_bytes,
        Request::Chunk { length, .. } => *length,
        Request::Digests | Request::Noted | Request::Snapshot { .. } => 0,
    };
    assert!(most <= MAX_FETCH_BYTES);
    let again = encode_request(request);
    assert_eq!(decode_request(&again), Some(*request));
    assert_eq!(again.len(), data.len());
    let begin = data.first_chunk::<REQUEST_BYTES>();
    let follow = begin.map(bytes_that_follow);
    assert_eq!(follow.map(|it| it + REQUEST_BYTES), Some(data.len()));
}
