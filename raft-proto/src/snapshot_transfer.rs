//! A snapshot on its way to a follower: which chunks were read, sent and answered.
//!
//! One chunk at a time is read, and several may be on their way, within a window (`window.rs`) that
//! begins with one. The follower takes them in order; its answers name the first byte that it
//! lacks. A chunk is sent again if that byte stays the same for a heartbeat interval; after each
//! attempt without progress the pause is twice as long. The last chunk's answer may take long: it
//! waits for the follower's disk.
//!
//! A network may reorder chunks, and the follower drops one that comes too early. It answers that
//! chunk, too. So once there are as many answers as chunks, nothing is on its way, and what the
//! follower lacks then is sent again at once. Answers that were lost or doubled make the count
//! wrong: with too few, the pause above decides; with too many, a chunk goes twice. So that the
//! answers to second copies do not make third ones, at least two chunks have to be unanswered by
//! progress, and only one is sent then.

use crate::checksum::Checksum;
use crate::config::Config;
use crate::message::SnapshotMeta;
use crate::types::Time;
use crate::window::Window;
use alloc::collections::VecDeque;
use serde::{Deserialize, Serialize};

/// A snapshot on its way to a follower.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct SnapshotTransfer {
    pub(crate) snapshot: SnapshotMeta,
    /// The follower has everything before, as far as it has answered.
    pub(crate) offset: u64,
    /// The end of what was sent: what is read next begins here. At least `offset`.
    next: u64,
    /// The length of its chunks: no more than the follower takes.
    pub(crate) chunk_bytes: u64,
    /// The driver reads a chunk.
    reading: bool,
    /// The chunks on their way, oldest first.
    sent: VecDeque<Chunk>,
    /// How many chunks were sent beyond the answers that came.
    unanswered: u32,
    window: Window,
    /// When `offset` last moved.
    progress_at: Time,
    /// Nothing is read before: an earlier attempt failed.
    pub(crate) not_before: Time,
    own: OwnChecksum,
}

/// A chunk that the driver is to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChunkRange {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// A chunk on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Chunk {
    /// Its end.
    end: u64,
    length: u64,
    sent_at: Time,
}

/// The checksum of what was read from this node's own storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct OwnChecksum {
    of: Checksum,
    /// All bytes before this one are in it.
    through: u64,
}

/// Whether this node's own copy of a snapshot is what its id says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnCopy {
    /// It is, or not all of it was read.
    NotRefuted,
    /// It is not: storage has damaged it.
    Damaged,
}

impl SnapshotTransfer {
    /// The longest pause, in heartbeat intervals, before a chunk is sent again.
    const LONGEST_PAUSE: u32 = 64;

    pub(crate) fn new(snapshot: SnapshotMeta, chunk_bytes: u64, now: Time) -> SnapshotTransfer {
        SnapshotTransfer {
            snapshot,
            offset: 0,
            next: 0,
            chunk_bytes,
            reading: false,
            sent: VecDeque::new(),
            unanswered: 0,
            window: Window::new(chunk_bytes),
            progress_at: now,
            not_before: now,
            own: OwnChecksum::default(),
        }
    }

    /// How many bytes are on their way, as far as the follower has answered.
    pub(crate) fn inflight_bytes(&self) -> u64 {
        self.next - self.offset
    }

    /// The next chunk to be read, if one may be sent.
    pub(crate) fn read_next(&mut self, now: Time, config: &Config) -> Option<ChunkRange> {
        let id = self.snapshot.id;
        // An empty snapshot has one chunk, which is empty.
        let has_more = self.next < id.size || id.size == 0 && self.sent.is_empty();
        let admitted = self.sent.is_empty() || self.window.admits(self.inflight_bytes(), config);
        if self.reading || !has_more || !admitted || now < self.not_before {
            return None;
        }
        self.reading = true;
        Some(ChunkRange {
            offset: self.next,
            length: self.chunk_bytes.min(id.size - self.next),
        })
    }

    /// Whether the driver was asked for the chunk at `offset`.
    pub(crate) fn awaits(&self, offset: u64) -> bool {
        self.reading && self.next == offset
    }

    /// The chunk could not be read. The next heartbeat tries again.
    pub(crate) fn read_failed(&mut self) {
        self.reading = false;
    }

    /// The chunk has been read, and is sent now unless this node's own copy is damaged.
    pub(crate) fn chunk_read(&mut self, data: &[u8], now: Time) -> OwnCopy {
        let length = data.len() as u64;
        self.reading = false;
        // Chunks that are read again are in it already.
        if self.own.through == self.next {
            self.own.of.update(data);
            self.own.through += length;
            let id = &self.snapshot.id;
            if self.own.through == id.size && self.own.of.value() != id.checksum {
                return OwnCopy::Damaged;
            }
        }
        self.next += length;
        self.unanswered = self.unanswered.saturating_add(1);
        self.sent.push_back(Chunk {
            end: self.next,
            length,
            sent_at: now,
        });
        OwnCopy::NotRefuted
    }

    /// The follower lacks the byte at `wanted`, and nothing before it. Returns whether that is
    /// news.
    pub(crate) fn wanted(&mut self, wanted: u64, now: Time, config: &Config) -> bool {
        self.unanswered = self.unanswered.saturating_sub(1);
        if wanted < self.offset {
            // A late answer; or the follower begins anew, and then it says nothing else for a
            // while. Only a follower without a chunk asks for the first byte.
            if wanted > 0 && self.progress_at.after(config.heartbeat_interval) > now {
                return false;
            }
            self.offset = wanted;
            self.go_back(now);
            return true;
        }
        if wanted == self.offset {
            return false;
        }
        let in_flight = self.next.saturating_sub(self.offset);
        let was_ambiguous = !self.window.is_unambiguous();
        while let Some(chunk) = self.sent.front().copied().filter(|it| it.end <= wanted) {
            self.sent.pop_front();
            self.window
                .acknowledged(chunk.length, chunk.sent_at, in_flight, now, config);
        }
        if was_ambiguous {
            // Some of the answers may have been to earlier copies.
            self.unanswered = self.sent.len() as u32; // At most max_inflight_bytes of them.
        }
        self.offset = wanted;
        self.progress_at = now;
        // A late answer has set the transfer back, and only the follower knows how much it has.
        if self.next < wanted {
            self.next = wanted;
            self.reading = false;
            self.sent.clear();
            self.unanswered = 0;
        }
        true
    }

    /// Whether everything was sent.
    pub(crate) fn is_sent(&self) -> bool {
        self.next == self.snapshot.id.size && !self.sent.is_empty()
    }

    /// Whether chunks are on their way, and for so long that they are lost.
    pub(crate) fn is_overdue(&self, now: Time, config: &Config) -> bool {
        let interval = config.heartbeat_interval;
        let pause = self.window.pause(interval, interval * Self::LONGEST_PAUSE);
        let oldest = self.sent.front();
        oldest.is_some_and(|chunk| chunk.sent_at.max(self.progress_at).after(pause) <= now)
    }

    /// Whether all chunks on their way were answered, and dropped because one of them came late.
    pub(crate) fn is_overtaken(&self) -> bool {
        self.unanswered == 0 && self.sent.len() >= 2 && self.window.is_unambiguous()
    }

    /// The chunks that were sent overtook each other: begin again with the first that the follower
    /// lacks.
    pub(crate) fn put_in_order(&mut self, now: Time) {
        self.window.overtaken(now);
        self.rewind();
    }

    /// When the oldest chunk on its way was sent.
    pub(crate) fn sent_at(&self) -> Option<Time> {
        self.sent.front().map(|chunk| chunk.sent_at)
    }

    /// The chunks on their way are lost: begin again with the first that the follower lacks.
    pub(crate) fn go_back(&mut self, now: Time) {
        self.window.begin_anew(now);
        self.rewind();
    }

    fn rewind(&mut self) {
        self.sent.clear();
        self.unanswered = 0;
        self.reading = false;
        self.next = self.offset;
    }

    /// What is on its way will not arrive. The next heartbeat sends it again.
    pub(crate) fn forget_sent(&mut self, now: Time) {
        if !self.sent.is_empty() {
            self.window.unreachable(now);
            self.rewind();
        }
    }
}
