//! A digest of the state, by which servers find out whether they hold the same.
//!
//! It is the sum of the digests of all parts (XXH3 with 128 bits each). So a part that changes
//! costs as much as its own digest, however large the state is, and the order of the parts does not
//! matter.
//!
//! The texts of errors that sessions keep are left out: a release may say the same in better words,
//! and servers of two releases hold the same state nevertheless.

use super::address::ServerAddress;
use super::keyspace::Value;
use super::reply::Reply;
use bytes::Bytes;
use xxhash_rust::xxh3::{Xxh3, xxh3_128, xxh3_128_with_seed};

/// What is digested, and how. A change of that takes the next number.
pub(super) const KIND: u64 = 1;

/// Values are digested in blocks, so that what is appended costs no more than itself and a block.
const BLOCK_BYTES: usize = 4096;

/// The digest of a number of values.
fn of_numbers(numbers: &[u128]) -> u128 {
    let mut hasher = Xxh3::new();
    numbers
        .iter()
        .for_each(|number| hasher.update(&number.to_le_bytes()));
    hasher.digest128()
}

/// A key, whose parts are digested one by one.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyDigest(u128);

impl KeyDigest {
    pub(super) fn new(name: &[u8]) -> KeyDigest {
        KeyDigest(xxh3_128(name))
    }

    /// Of the key, and all that it holds.
    pub(super) fn whole(self, value: &Value) -> u128 {
        self.head(value.bytes.len(), value.expiry())
            .wrapping_add(self.blocks_from(&value.bytes, 0))
    }

    /// Of what there is beside the bytes of the value.
    pub(super) fn head(self, length: usize, expiry: Option<u64>) -> u128 {
        let mut bytes = [0; 33];
        bytes[..16].copy_from_slice(&self.0.to_le_bytes());
        bytes[16..24].copy_from_slice(&(length as u64).to_le_bytes());
        bytes[24..32].copy_from_slice(&expiry.unwrap_or(0).to_le_bytes());
        bytes[32] = u8::from(expiry.is_some());
        xxh3_128(&bytes)
    }

    /// Of the block in which the byte `from` of the value is, and of those after it.
    pub(super) fn blocks_from(self, value: &Bytes, from: usize) -> u128 {
        let first = from / BLOCK_BYTES;
        let blocks = value.chunks(BLOCK_BYTES).enumerate().skip(first);
        // A block counts by its key and its place.
        let digests = blocks.map(|(place, block)| {
            let seed = self.0 as u64 ^ (place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            xxh3_128_with_seed(block, seed)
        });
        digests.fold(0, u128::wrapping_add)
    }
}

/// Of an answer that a session keeps; `None`: it was too long to be kept.
pub(super) fn answer(sequence: u64, replies: Option<&[Reply]>) -> u128 {
    let mut hasher = Xxh3::new();
    hasher.update(&sequence.to_le_bytes());
    hasher.update(&[u8::from(replies.is_some())]);
    put_all(&mut hasher, replies.unwrap_or_default());
    hasher.digest128()
}

/// Of all: the keys and the sessions by the sums of their digests.
pub(super) fn state<'a>(
    time: u64,
    keys: u128,
    sessions: u128,
    addresses: impl Iterator<Item = &'a ServerAddress>,
) -> u128 {
    let mut hasher = Xxh3::new();
    for address in addresses {
        hasher.update(&address.node.to_le_bytes());
        put_bytes(&mut hasher, 0, address.clients.as_bytes());
        put_bytes(&mut hasher, 0, address.release.as_bytes());
    }
    of_numbers(&[time.into(), keys, sessions, hasher.digest128()])
}

fn put_bytes(hasher: &mut Xxh3, tag: u8, bytes: &[u8]) {
    put_number(hasher, tag, bytes.len() as u64);
    hasher.update(bytes);
}

fn put_number(hasher: &mut Xxh3, tag: u8, number: u64) {
    hasher.update(&[tag]);
    hasher.update(&number.to_le_bytes());
}

fn put_all(hasher: &mut Xxh3, replies: &[Reply]) {
    put_number(hasher, 0, replies.len() as u64);
    for reply in replies {
        put(hasher, reply);
    }
}

fn put(hasher: &mut Xxh3, reply: &Reply) {
    match reply {
        Reply::Ok => put_number(hasher, 1, 0),
        Reply::Simple(text) => put_bytes(hasher, 2, text.as_bytes()),
        Reply::Error(_) => put_number(hasher, 3, 0),
        Reply::Integer(number) => put_number(hasher, 4, *number as u64),
        Reply::Bulk(bytes) => put_bytes(hasher, 5, bytes),
        Reply::Nil => put_number(hasher, 6, 0),
        Reply::Array(replies) => {
            put_number(hasher, 7, 0);
            put_all(hasher, replies);
        }
        Reply::Map(pairs) => {
            put_number(hasher, 8, pairs.len() as u64);
            for (key, value) in pairs {
                put(hasher, key);
                put(hasher, value);
            }
        }
    }
}
