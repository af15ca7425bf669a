//! Random bytes, for the tests of the protocol.
#![allow(dead_code, unreachable_pub)] // Each test file uses its part.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;
use raft_kv::resp::encode_request;

/// The bytes of requests, or pieces of requests and replies in any order, or any bytes.
pub fn inputs() -> impl Strategy<Value = Vec<u8>> {
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

/// The bytes, cut into pieces at these places.
pub fn cut<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2)
        .map(|pair| &bytes[pair[0]..pair[1]])
        .collect()
}
