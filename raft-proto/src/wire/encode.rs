//! Messages to bytes.

use super::{Envelope, VERSION, WITH_INCARNATION, presence, tag};
use crate::entries::Entries;
use crate::level::Level;
use crate::message::{AppendEntriesReply, InstallSnapshot, Lineage, Message, SnapshotMeta};
use crate::run::{ENTRY_OVERHEAD, Segment};
use alloc::vec::Vec;
use bytes::Bytes;
use postcard::ser_flavors::Flavor;
use serde::Serialize;

/// The bytes of the longest header without its runs and members: five ids and at most nine numbers
/// of ten bytes each, or seven and two of five, and four single bytes.
const FIXED_BYTES: usize = 144;

/// The frame of `message`.
///
/// Entries of an [`AppendEntries`](crate::AppendEntries) must begin at `prev_log.index + 1`, as
/// the core's always do: their indexes are not written.
pub fn encode(envelope: &Envelope, message: &Message) -> Bytes {
    let mut frame = Vec::new();
    encode_into(&mut frame, envelope, message);
    Bytes::from(frame)
}

/// Like [`encode`], appended to a buffer of the caller's.
pub fn encode_into(frame: &mut Vec<u8>, envelope: &Envelope, message: &Message) {
    encode_header_into(frame, envelope, message);
    for payload in payloads(message) {
        frame.extend_from_slice(payload);
    }
}

/// The frame without its payloads, for a transport that writes from several buffers at once. The
/// [`payloads`] follow, in order.
pub fn encode_header_into(frame: &mut Vec<u8>, envelope: &Envelope, message: &Message) {
    frame.reserve(FIXED_BYTES + beyond_fixed(message));
    let mut to = Writer(frame);
    to.put_envelope(envelope);
    match message {
        Message::RequestVote(message) => {
            to.put_kind(tag::REQUEST_VOTE, message.lineage);
            to.put(&(message.term, message.last_log, message.campaign));
        }
        Message::RequestVoteReply(message) => to.put(&(tag::REQUEST_VOTE_REPLY, message)),
        Message::AppendEntries(message) => {
            let promise = message.promise_millis;
            if promise == 0 {
                to.put_kind(tag::APPEND_ENTRIES, message.lineage);
            } else {
                to.put_kind(tag::APPEND_WITH_PROMISE, message.lineage);
                to.put(&promise);
            }
            to.put(&(
                message.term,
                message.prev_log,
                message.leader_commit,
                message.round,
                message.revoked,
            ));
            to.put_runs(&message.entries);
        }
        Message::AppendEntriesReply(message) => to.put_append_reply(message),
        Message::InstallSnapshot(message) => to.put_chunk(message),
        Message::InstallSnapshotReply(message) => to.put(&(tag::INSTALL_SNAPSHOT_REPLY, message)),
        Message::PreVote(message) => {
            to.put_kind(tag::PRE_VOTE, message.lineage);
            to.put(&(message.term, message.last_log, message.campaign));
        }
        Message::PreVoteReply(message) => {
            to.put_kind(tag::PRE_VOTE_REPLY, message.lineage);
            to.put(&(message.term, message.asked, message.vote, message.dismissal));
        }
        Message::TimeoutNow(message) => to.put(&(tag::TIMEOUT_NOW, message)),
        Message::ReadIndex(message) => to.put(&(tag::READ_INDEX, message)),
        Message::ReadIndexReply(message) => to.put(&(tag::READ_INDEX_REPLY, message)),
    }
}

/// The pieces of the frame's region, in order; none for most kinds of messages.
pub fn payloads(message: &Message) -> impl Iterator<Item = &[u8]> {
    let (entries, data) = match message {
        Message::AppendEntries(message) => (Some(&message.entries), None),
        Message::InstallSnapshot(message) => (None, Some(&message.data[..])),
        Message::RequestVote(_)
        | Message::RequestVoteReply(_)
        | Message::AppendEntriesReply(_)
        | Message::InstallSnapshotReply(_)
        | Message::PreVote(_)
        | Message::PreVoteReply(_)
        | Message::TimeoutNow(_)
        | Message::ReadIndex(_)
        | Message::ReadIndexReply(_) => (None, None),
    };
    let entries = entries.into_iter().flatten().map(|entry| entry.payload());
    entries.chain(data)
}

/// About how many bytes of a frame are beyond [`FIXED_BYTES`], so that its buffer grows once. An
/// entry's overhead is more than the bytes of its length and its share of a run.
fn beyond_fixed(message: &Message) -> usize {
    let bytes = match message {
        Message::AppendEntries(message) => message.entries.bytes(),
        Message::InstallSnapshot(message) => {
            message.snapshot.membership.encoded_len() + message.data.len() as u64
        }
        Message::RequestVote(_)
        | Message::RequestVoteReply(_)
        | Message::AppendEntriesReply(_)
        | Message::InstallSnapshotReply(_)
        | Message::PreVote(_)
        | Message::PreVoteReply(_)
        | Message::TimeoutNow(_)
        | Message::ReadIndex(_)
        | Message::ReadIndexReply(_) => 0,
    };
    usize::try_from(bytes).unwrap_or(0)
}

struct Writer<'a>(&'a mut Vec<u8>);

impl Writer<'_> {
    #[inline]
    fn put<T: Serialize>(&mut self, value: &T) {
        let result = postcard::serialize_with_flavor(value, Growing(self.0));
        // Encoding fails only when the buffer is full, and this one grows.
        debug_assert!(result.is_ok(), "{result:?}");
    }

    fn put_envelope(&mut self, envelope: &Envelope) {
        let flag = if envelope.incarnation.is_some() {
            WITH_INCARNATION
        } else {
            0
        };
        self.put(&(
            VERSION | flag,
            envelope.cluster_id,
            envelope.group_id,
            envelope.from,
            envelope.to,
        ));
        if let Some(incarnation) = envelope.incarnation {
            self.put(&incarnation);
        }
    }

    /// The kind of a message, and the lineage that it carries.
    fn put_kind(&mut self, kind: u8, lineage: Lineage) {
        match lineage {
            Lineage::Unknown => self.put(&kind),
            Lineage::Founding { .. } | Lineage::Of(_) => {
                self.put(&(kind | tag::WITH_LINEAGE, lineage));
            }
        }
    }

    fn put_chunk(&mut self, chunk: &InstallSnapshot) {
        let SnapshotMeta { id, membership } = &chunk.snapshot;
        let length = chunk.data.len() as u64;
        self.put(&(tag::INSTALL_SNAPSHOT, chunk.term, length, chunk.offset, id));
        self.put(&membership.members());
        self.put_with_level(membership.history(), membership.level());
    }

    /// What may be absent, and a level.
    fn put_with_level<T: Serialize>(&mut self, first: Option<T>, level: Level) {
        let presence = if first.is_some() { presence::FIRST } else { 0 };
        if level == Level::ZERO {
            self.put(&presence);
        } else {
            self.put(&(presence | presence::LEVEL));
        }
        if let Some(first) = first {
            self.put(&first);
        }
        if level != Level::ZERO {
            self.put(&level);
        }
    }

    fn put_append_reply(&mut self, reply: &AppendEntriesReply) {
        let limits = reply.limits.as_ref();
        let level = limits.map_or(Level::ZERO, |limits| limits.level);
        let sizes = limits.map(|limits| (limits.max_entry_bytes, limits.max_payload_bytes));
        let AppendEntriesReply {
            term,
            outcome,
            round,
            limits: _,
        } = reply;
        self.put(&(tag::APPEND_ENTRIES_REPLY, term, outcome, round));
        self.put_with_level(sizes, level);
    }

    /// The length of the region, the number of runs, and the runs. Adjacent segments of one
    /// term and kind, proposed one by one, are one run to the receiver.
    fn put_runs(&mut self, entries: &Entries) {
        let runs = || entries.segments().chunk_by(are_one_run);
        let payload_bytes = entries.bytes() - ENTRY_OVERHEAD * entries.len() as u64;
        self.put(&(payload_bytes, runs().count() as u64));
        for run in runs() {
            let Some(first) = run.first() else {
                continue; // chunk_by yields no empty chunk
            };
            let count: u64 = run.iter().map(|segment| segment.len() as u64).sum();
            self.put(&(first.term(), first.kind(), count));
            for segment in run {
                for at in 0..segment.len() {
                    match segment.payload(at).len() {
                        // The same varint, faster: small entries come in great numbers.
                        short @ 0..0x80 => self.0.push(short as u8),
                        long => self.put(&(long as u64)),
                    }
                }
            }
        }
    }
}

fn are_one_run(left: &Segment, right: &Segment) -> bool {
    left.term() == right.term() && left.kind() == right.kind()
}

/// Lets postcard append to the caller's vector.
struct Growing<'a>(&'a mut Vec<u8>);

impl Flavor for Growing<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
