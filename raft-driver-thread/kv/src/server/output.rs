//! The replies that wait to be written to one client.
//!
//! Long values are not copied: they are written from where the state holds them. All clients
//! together may have only so many bytes waiting.

use crate::resp::{ReplySink, Version, encode_reply_to};
use crate::state::Reply;
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::task::block_in_place;

/// Values from this length on are not copied.
const SHARED_FROM: usize = 16 << 10;

/// A buffer larger than this is freed when nothing waits.
const MAX_IDLE_BUFFER: usize = 1 << 16;

/// A client for which less than this waits is not held up by what waits for others.
const OWN_SHARE: u64 = 256 << 10;

/// A reply with more parts than this takes long to be encoded.
const LONG_LIST: usize = 10_000;

/// What may wait, for one client and for all.
#[derive(Debug)]
pub(super) struct OutputLimits {
    pub(super) of_one: u64,
    pub(super) of_all: u64,
    /// What waits for all clients.
    waiting: AtomicU64,
}

impl OutputLimits {
    pub(super) fn new(of_one: u64, of_all: u64) -> OutputLimits {
        OutputLimits {
            of_one,
            of_all,
            waiting: AtomicU64::new(0),
        }
    }

    /// How many bytes wait for all clients.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Output {
    limits: Arc<OutputLimits>,
    chunks: VecDeque<Bytes>,
    /// What comes after the chunks.
    tail: BytesMut,
    bytes_of_chunks: usize,
    /// What of this is counted in the limits.
    counted: u64,
}

impl Output {
    pub(super) fn new(limits: Arc<OutputLimits>) -> Output {
        Output {
            limits,
            chunks: VecDeque::new(),
            tail: BytesMut::new(),
            bytes_of_chunks: 0,
            counted: 0,
        }
    }

    /// Encodes a reply. It has to be called in a thread of a runtime that has several.
    pub(super) fn push(&mut self, reply: Reply, version: Version) {
        if is_long_list(&reply) {
            // The other clients of this thread are served by another one meanwhile.
            block_in_place(|| {
                encode_reply_to(&reply, version, self);
                drop(reply);
            });
        } else {
            encode_reply_to(&reply, version, self);
        }
    }

    pub(super) fn waiting(&self) -> usize {
        self.bytes_of_chunks + self.tail.len()
    }

    /// Counts what waits now. Returns whether that is more than is allowed, so that the client has
    /// to read before it is served again.
    pub(super) fn is_over_limit(&mut self) -> bool {
        let waiting = self.waiting() as u64;
        if self.counted == 0 && waiting <= OWN_SHARE {
            return false; // Not worth counting.
        }
        let all = &self.limits.waiting;
        let total = if waiting >= self.counted {
            let more = waiting - self.counted;
            all.fetch_add(more, Ordering::Relaxed) + more
        } else {
            let less = self.counted - waiting;
            all.fetch_sub(less, Ordering::Relaxed) - less
        };
        self.counted = waiting;
        waiting > self.limits.of_one || (total > self.limits.of_all && waiting > OWN_SHARE)
    }

    /// Nothing waits: frees a large buffer.
    pub(super) fn shrink(&mut self) {
        if self.tail.is_empty() && self.tail.capacity() > MAX_IDLE_BUFFER {
            self.tail = BytesMut::new();
        }
    }

    fn push_chunk(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.bytes_of_chunks += chunk.len();
            self.chunks.push_back(chunk);
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.limits
            .waiting
            .fetch_sub(self.counted, Ordering::Relaxed);
    }
}

impl ReplySink for Output {
    fn buffer(&mut self) -> &mut BytesMut {
        &mut self.tail
    }

    fn is_shared(&self, bytes: &Bytes) -> bool {
        bytes.len() >= SHARED_FROM
    }

    fn share(&mut self, bytes: &Bytes) {
        let before = self.tail.split().freeze();
        self.push_chunk(before);
        self.push_chunk(bytes.clone());
    }
}

impl Buf for Output {
    fn remaining(&self) -> usize {
        self.waiting()
    }

    fn chunk(&self) -> &[u8] {
        self.chunks.front().map_or(&self.tail, |chunk| chunk)
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(first) = self.chunks.front_mut() {
            let length = first.len();
            if count < length {
                first.advance(count);
                self.bytes_of_chunks -= count;
                return;
            }
            count -= length;
            self.bytes_of_chunks -= length;
            self.chunks.pop_front();
        }
        self.tail.advance(count);
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let all = self.chunks.iter().map(|chunk| &chunk[..]);
        let all = all.chain(Some(&self.tail[..]).filter(|tail| !tail.is_empty()));
        let mut count = 0;
        for (slice, bytes) in slices.iter_mut().zip(all) {
            *slice = IoSlice::new(bytes);
            count += 1;
        }
        count
    }
}

/// Whether it takes long to encode a reply, and to free it.
fn is_long_list(reply: &Reply) -> bool {
    let parts = |reply: &Reply| match reply {
        Reply::Array(parts) => parts.len(),
        Reply::Map(pairs) => pairs.len(),
        Reply::Ok
        | Reply::Simple(_)
        | Reply::Error(_)
        | Reply::Integer(_)
        | Reply::Bulk(_)
        | Reply::Nil => 0,
    };
    match reply {
        // SCAN has its keys one level below, EXEC all of its replies.
        Reply::Array(within) => within.len() + within.iter().map(parts).sum::<usize>() > LONG_LIST,
        Reply::Map(_)
        | Reply::Ok
        | Reply::Simple(_)
        | Reply::Error(_)
        | Reply::Integer(_)
        | Reply::Bulk(_)
        | Reply::Nil => false,
    }
}

#[derive(PartialEq, Eq)]
pub(super) enum Written {
    /// Some of what waited.
    Some,
    /// There is nothing left.
    Flushed,
}

pub(super) async fn write_some<W: AsyncWrite + Unpin>(
    writer: &mut W,
    out: &mut Output,
) -> io::Result<Written> {
    if out.has_remaining() {
        return match writer.write_buf(out).await? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            _ => Ok(Written::Some),
        };
    }
    writer.flush().await.map(|()| Written::Flushed)
}
