//! Bytes to messages, under limits.

use super::{
    DecodeError, Envelope, Limits, ReceiveError, Received, VERSION, WITH_INCARNATION, presence, tag,
};
use crate::config::Config;
use crate::entries::Entries;
use crate::level::Level;
use crate::membership::Membership;
use crate::message::{
    AppendEntries, AppendEntriesReply, InstallSnapshot, Lineage, Message, MessageLimits, PreVote,
    PreVoteReply, RequestVote, SnapshotMeta,
};
use crate::run::{Payloads, Run, Segment};
use crate::types::{ClusterId, EntryId, EntryKind, GroupId, Incarnation, NodeId, Term};
use alloc::boxed::Box;
use alloc::vec::Vec;
use bytes::Bytes;
use serde::Deserialize;

/// The message of one whole frame, whatever its sender and receiver.
///
/// # Errors
///
/// [`DecodeError`] if the bytes are not one frame within `limits`. Fields that this release does
/// not know are left unread.
pub fn decode(frame: Bytes, limits: &Limits) -> Result<(Envelope, Message), DecodeError> {
    check_size(&frame, limits)?;
    let mut reader = Reader { rest: &frame };
    let envelope = reader.envelope()?;
    let (message, _) = reader.message(&frame, limits)?;
    Ok((envelope, message))
}

/// The envelope of a frame, without its message: for a process that delivers frames to many groups.
///
/// # Errors
///
/// [`DecodeError`] if the frame does not begin with an envelope of a version that is known.
pub fn decode_envelope(frame: &[u8]) -> Result<Envelope, DecodeError> {
    Reader { rest: frame }.envelope()
}

/// Decodes the frames that a node receives, and refuses those that are not for this node.
///
/// ```
/// use raft_proto::wire::{self, Envelope, ReceiveError, Receiver};
/// use raft_proto::*;
///
/// let node = |id| {
///     let start = Start::voters([NodeId(1), NodeId(2), NodeId(3)]);
///     Config::new(ClusterId(7), NodeId(id), start, 0)
/// };
/// let message = Message::TimeoutNow(TimeoutNow { term: Term(1), transfer: 1 });
/// let sender = Raft::new(node(1), Recovered::default()).unwrap();
/// let frame = wire::encode(&Envelope::new(sender.config(), NodeId(2)), &message);
///
/// let received = Receiver::new(&node(2)).accept(frame.clone())?;
/// let (from, incarnation) = (NodeId(1), sender.incarnation());
/// assert_eq!(Input::from(received), Input::Receive { from, incarnation, message });
/// let misdirected = Receiver::new(&node(3)).accept(frame);
/// assert!(matches!(misdirected, Err(ReceiveError::OtherAddressee { .. })));
/// # Ok::<(), ReceiveError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Receiver {
    cluster_id: ClusterId,
    group_id: GroupId,
    node_id: NodeId,
    limits: Limits,
}

impl Receiver {
    /// A receiver for the node with this config, with [`Limits::for_config`].
    pub fn new(config: &Config) -> Receiver {
        Receiver {
            cluster_id: config.cluster_id,
            group_id: config.group_id,
            node_id: config.node_id,
            limits: Limits::for_config(config),
        }
    }

    /// Its limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The message and its sender, to be given to the core as [`Receive`](crate::Input::Receive),
    /// into which it converts.
    ///
    /// # Errors
    ///
    /// [`ReceiveError`] if the frame is of another cluster or group, or for another node, which is
    /// checked before the message is read; or if it holds no message.
    pub fn accept(&self, frame: Bytes) -> Result<Received, ReceiveError> {
        check_size(&frame, &self.limits)?;
        let mut reader = Reader { rest: &frame };
        let envelope = reader.envelope()?;
        self.check(&envelope)?;
        let (message, unknown_bytes) = reader.message(&frame, &self.limits)?;
        Ok(Received {
            from: envelope.from,
            incarnation: envelope.incarnation,
            message,
            unknown_bytes,
        })
    }

    fn check(&self, envelope: &Envelope) -> Result<(), ReceiveError> {
        let from = envelope.from;
        if envelope.cluster_id != self.cluster_id {
            return Err(ReceiveError::OtherCluster {
                from,
                found: envelope.cluster_id,
                ours: self.cluster_id,
            });
        }
        if envelope.group_id != self.group_id {
            return Err(ReceiveError::OtherGroup {
                from,
                found: envelope.group_id,
                ours: self.group_id,
            });
        }
        if envelope.to != self.node_id {
            return Err(ReceiveError::OtherAddressee {
                from,
                addressee: envelope.to,
                ours: self.node_id,
            });
        }
        Ok(())
    }
}

fn check_size(frame: &[u8], limits: &Limits) -> Result<(), DecodeError> {
    let size = frame.len() as u64;
    // Ends of payloads are kept as u32.
    let limit = limits.max_frame_bytes.min(u64::from(u32::MAX));
    if size > limit {
        return Err(DecodeError::FrameTooLarge { size, limit });
    }
    Ok(())
}

/// The rest of a frame.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The next value, named `field` in errors. For values of bounded size only: the count of a
    /// sequence is checked first.
    #[inline]
    fn take<T: Deserialize<'a>>(&mut self, field: &'static str) -> Result<T, DecodeError> {
        match postcard::take_from_bytes(self.rest) {
            Ok((value, rest)) => {
                self.rest = rest;
                Ok(value)
            }
            Err(error) => Err(explain(&error, field)),
        }
    }

    fn remaining(&self) -> u64 {
        self.rest.len() as u64
    }

    fn envelope(&mut self) -> Result<Envelope, DecodeError> {
        let first: u8 = self.take("version")?;
        let version = first & !WITH_INCARNATION;
        if version != VERSION {
            return Err(DecodeError::UnknownVersion { found: version });
        }
        let (cluster_id, group_id, from, to) = self.take("envelope")?;
        let incarnation = if first & WITH_INCARNATION == 0 {
            None
        } else {
            Some(self.take::<Incarnation>("incarnation")?)
        };
        Ok(Envelope {
            incarnation,
            cluster_id,
            group_id,
            from,
            to,
        })
    }

    /// The message, and how many bytes of its fields are not known.
    fn message(&mut self, frame: &Bytes, limits: &Limits) -> Result<(Message, u64), DecodeError> {
        let kind: u8 = self.take("message kind")?;
        let (kind, lineage) = self.lineage(kind)?;
        let (kind, promise) = self.promise(kind)?;
        let message = match kind {
            tag::REQUEST_VOTE => {
                let (term, last_log, campaign) = self.take("RequestVote")?;
                Message::RequestVote(RequestVote {
                    term,
                    last_log,
                    campaign,
                    lineage,
                })
            }
            tag::REQUEST_VOTE_REPLY => Message::RequestVoteReply(self.take("RequestVoteReply")?),
            tag::APPEND_ENTRIES => {
                Message::AppendEntries(self.append_entries(frame, limits, lineage, promise)?)
            }
            tag::APPEND_ENTRIES_REPLY => Message::AppendEntriesReply(self.append_entries_reply()?),
            tag::INSTALL_SNAPSHOT => {
                Message::InstallSnapshot(Box::new(self.install_snapshot(frame)?))
            }
            tag::INSTALL_SNAPSHOT_REPLY => {
                Message::InstallSnapshotReply(self.take("InstallSnapshotReply")?)
            }
            tag::PRE_VOTE => {
                let (term, last_log, campaign) = self.take("PreVote")?;
                Message::PreVote(PreVote {
                    term,
                    last_log,
                    campaign,
                    lineage,
                })
            }
            tag::PRE_VOTE_REPLY => {
                let (term, asked, vote, dismissal) = self.take("PreVoteReply")?;
                Message::PreVoteReply(PreVoteReply {
                    term,
                    asked,
                    vote,
                    dismissal,
                    lineage,
                })
            }
            tag::TIMEOUT_NOW => Message::TimeoutNow(self.take("TimeoutNow")?),
            tag::READ_INDEX => Message::ReadIndex(self.take("ReadIndex")?),
            tag::READ_INDEX_REPLY => Message::ReadIndexReply(self.take("ReadIndexReply")?),
            kind => return Err(DecodeError::UnknownMessage { kind }),
        };
        Ok((message, self.remaining()))
    }

    /// The kind of a message without its mark, and the lineage that the mark announces.
    fn lineage(&mut self, kind: u8) -> Result<(u8, Lineage), DecodeError> {
        if kind & tag::WITH_LINEAGE == 0 {
            return Ok((kind, Lineage::Unknown));
        }
        match kind & !tag::WITH_LINEAGE {
            kind @ (tag::REQUEST_VOTE
            | tag::APPEND_ENTRIES
            | tag::APPEND_WITH_PROMISE
            | tag::PRE_VOTE
            | tag::PRE_VOTE_REPLY) => {
                match self.take("lineage")? {
                    // It is not written.
                    Lineage::Unknown => Err(DecodeError::UnknownKind { field: "lineage" }),
                    lineage @ (Lineage::Founding { .. } | Lineage::Of(_)) => Ok((kind, lineage)),
                }
            }
            _ => Err(DecodeError::UnknownMessage { kind }),
        }
    }

    /// The kind of a message without its mark, and the promise that the mark announces.
    fn promise(&mut self, kind: u8) -> Result<(u8, u32), DecodeError> {
        if kind != tag::APPEND_WITH_PROMISE {
            return Ok((kind, 0));
        }
        match self.take("promise")? {
            // It is not written.
            0 => Err(DecodeError::UnknownKind { field: "promise" }),
            promise => Ok((tag::APPEND_ENTRIES, promise)),
        }
    }

    /// What may be absent, named `field` in errors, and the level after it.
    fn with_level<T: Deserialize<'a>>(
        &mut self,
        field: &'static str,
    ) -> Result<(Option<T>, Level), DecodeError> {
        let present: u8 = self.take(field)?;
        if present > presence::BOTH {
            return Err(DecodeError::UnknownKind { field });
        }
        let first = match present & presence::FIRST {
            0 => None,
            _ => Some(self.take(field)?),
        };
        let level = match present & presence::LEVEL {
            0 => Level::ZERO,
            _ => self.take("level")?,
        };
        Ok((first, level))
    }

    fn append_entries_reply(&mut self) -> Result<AppendEntriesReply, DecodeError> {
        let (term, outcome, round) = self.take("AppendEntriesReply")?;
        let (limits, level) = self.with_level("limits")?;
        let limits = limits.map(|(max_entry_bytes, max_payload_bytes)| MessageLimits {
            max_entry_bytes,
            max_payload_bytes,
            level,
        });
        Ok(AppendEntriesReply {
            term,
            outcome,
            round,
            limits,
        })
    }

    fn append_entries(
        &mut self,
        frame: &Bytes,
        limits: &Limits,
        lineage: Lineage,
        promise_millis: u32,
    ) -> Result<AppendEntries, DecodeError> {
        let (term, prev_log, leader_commit, round, revoked, region) = self.take("AppendEntries")?;
        let region = self.split_region(frame, region)?;
        let entries = self.entries(prev_log, &region, limits)?;
        Ok(AppendEntries {
            term,
            prev_log,
            leader_commit,
            entries,
            round,
            revoked,
            promise_millis,
            lineage,
        })
    }

    fn install_snapshot(&mut self, frame: &Bytes) -> Result<InstallSnapshot, DecodeError> {
        let (term, region, offset) = self.take("InstallSnapshot")?;
        let data = self.split_region(frame, region)?;
        let id = self.take("snapshot id")?;
        // A member takes at least four bytes; a count beyond that allocates nothing.
        let counted = Reader { rest: self.rest }.take("members")?;
        self.check_count("members", counted, 4)?;
        let members = self.take("members")?;
        let (history, level) = self.with_level("history")?;
        let membership = Membership::received(members, history, level);
        Ok(InstallSnapshot {
            term,
            snapshot: SnapshotMeta { id, membership },
            offset,
            data,
        })
    }

    /// Takes the region off the end; the header is left.
    fn split_region(&mut self, frame: &Bytes, length: u64) -> Result<Bytes, DecodeError> {
        self.check_count("bytes of payload", length, 1)?;
        // It is not above the number of bytes that remain.
        let length = length as usize;
        self.rest = &self.rest[..self.rest.len() - length];
        Ok(frame.slice(frame.len() - length..))
    }

    /// Checks that `claimed` pieces of at least `least` bytes each can follow.
    fn check_count(&self, what: &'static str, claimed: u64, least: u64) -> Result<(), DecodeError> {
        let remaining = self.remaining();
        if claimed > remaining / least {
            return Err(DecodeError::CountBeyondFrame {
                what,
                claimed,
                remaining,
            });
        }
        Ok(())
    }

    /// The runs, whose payloads fill `region`.
    fn entries(
        &mut self,
        prev: EntryId,
        region: &Bytes,
        limits: &Limits,
    ) -> Result<Entries, DecodeError> {
        const LEAST_RUN_BYTES: u64 = 4; // term, kind, count, one length
        let runs = self.take("number of runs")?;
        self.check_count("runs", runs, LEAST_RUN_BYTES)?;
        let mut segments = Vec::with_capacity(runs as usize);
        let (mut entries, mut at) = (0, 0);
        for _ in 0..runs {
            let (term, kind, count): (Term, EntryKind, u64) = self.take("run")?;
            self.check_count("entries", count, 1)?;
            let first = prev.index.plus(entries).next();
            entries += count; // each count is at most the frame's length
            check_entries(prev, count, entries, limits)?;
            let ends = self.ends(count, at, region, limits)?;
            // Not empty, because the count is not 0; within the region, because `ends` checked it.
            let end = at + ends.last().map_or(0, |end| *end as usize);
            let region = region.slice(at..end);
            at = end;
            let run = Run::new(term, kind, Payloads::Region { region, ends });
            segments.push(Segment::new(first, run));
        }
        if at != region.len() {
            return Err(DecodeError::LengthsDoNotSum {
                sum: at as u64,
                region: region.len() as u64,
            });
        }
        Ok(Entries::from_segments(segments))
    }

    /// Where each of a run's payloads ends, counted from the run's beginning, which is at
    /// `start` in the region.
    fn ends(
        &mut self,
        count: u64,
        start: usize,
        region: &Bytes,
        limits: &Limits,
    ) -> Result<Vec<u32>, DecodeError> {
        let room = (region.len() - start) as u64;
        let mut ends = Vec::with_capacity(count as usize);
        let mut end = 0u64;
        for _ in 0..count {
            let size: u64 = self.take("length of an entry")?;
            let limit = limits.max_entry_bytes;
            if size > limit {
                return Err(DecodeError::EntryTooLarge { size, limit });
            }
            end = end.saturating_add(size);
            if end > room {
                return Err(DecodeError::LengthsDoNotSum {
                    sum: end.saturating_add(start as u64),
                    region: region.len() as u64,
                });
            }
            ends.push(end as u32); // within the region, which is below 2^32
        }
        Ok(ends)
    }
}

/// Checks that a run of `count` entries, with which there are `entries` after `prev`, is allowed.
fn check_entries(
    prev: EntryId,
    count: u64,
    entries: u64,
    limits: &Limits,
) -> Result<(), DecodeError> {
    if count == 0 {
        return Err(DecodeError::EmptyRun);
    }
    if entries > limits.max_entries {
        return Err(DecodeError::TooManyEntries {
            claimed: entries,
            limit: limits.max_entries,
        });
    }
    if prev.index.0.checked_add(entries).is_none() {
        return Err(DecodeError::IndexOverflow {
            prev: prev.index.0,
            count: entries,
        });
    }
    Ok(())
}

/// postcard's error in this module's words.
#[cold]
fn explain(error: &postcard::Error, field: &'static str) -> DecodeError {
    if *error == postcard::Error::DeserializeUnexpectedEnd {
        DecodeError::Truncated { field }
    } else if *error == postcard::Error::DeserializeBadVarint {
        DecodeError::NumberOutOfRange { field }
    } else {
        // With these types, the only other error is an unknown variant.
        DecodeError::UnknownKind { field }
    }
}
