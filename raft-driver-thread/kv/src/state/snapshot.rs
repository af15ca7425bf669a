//! The whole state as bytes, and back. The layout is that of [records](super::record), in this
//! order: the time, the addresses, each session with its answers, the keys, the end.

use super::address::ServerAddress;
use super::keyspace::{Key, Keyspace, StoredName, Value};
use super::record::{Counts, FileKind, Header, RecordDecoder, RecordEncoder, ReplyHeader};
use super::reply::Reply;
use super::sessions::{KeptReplies, MAX_ANSWERS, MAX_SESSIONS, Session, Sessions};
use super::store::Store;
use super::view::View;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Arc;

/// How many bytes are encoded before they are written.
const CHUNK_BYTES: usize = 1 << 16;

/// The most levels of replies that a snapshot may have. Commands answer with two at most.
const MAX_DEPTH: u32 = 8;

/// Writes a view, chunk by chunk.
pub(super) fn write(view: &View, writer: &mut dyn Write) -> io::Result<()> {
    let mut encoder = RecordEncoder::new(FileKind::Snapshot);
    let mut counts = Counts::default();
    encoder.put(Header::Time(view.time), &[]);
    for address in view.addresses.values() {
        counts.addresses += 1;
        let (clients, release) = (address.clients.as_bytes(), address.release.as_bytes());
        let header = Header::ServerAddress {
            node: address.node,
            clients: clients.len() as u64,
            release: release.len() as u64,
        };
        encoder.put(header, &[clients, release]);
    }
    for (number, session) in view.sessions.iter() {
        counts.sessions += 1;
        let header = Header::Session {
            number,
            used: session.used(),
            floor: session.floor(),
        };
        encoder.put(header, &[]);
        for (sequence, kept) in session.answers() {
            counts.answers += 1;
            let Some(KeptReplies(replies)) = kept else {
                encoder.put(Header::Forgotten { sequence }, &[]);
                continue;
            };
            let header = Header::Answer {
                sequence,
                replies: replies.len() as u64,
            };
            encoder.put(header, &[]);
            for reply in replies.iter() {
                put_reply(&mut encoder, reply);
                write_full_chunk(&mut encoder, writer)?;
            }
        }
        write_full_chunk(&mut encoder, writer)?;
    }
    for (key, value) in view.keys_after(None) {
        counts.keys += 1;
        put_key(&mut encoder, key, value);
        write_full_chunk(&mut encoder, writer)?;
    }
    encoder.put(Header::End(counts), &[]);
    writer.write_all(&encoder.end())
}

fn write_full_chunk(encoder: &mut RecordEncoder, writer: &mut dyn Write) -> io::Result<()> {
    if encoder.pending_bytes() >= CHUNK_BYTES {
        writer.write_all(&encoder.take())?;
    }
    Ok(())
}

pub(super) fn put_key(encoder: &mut RecordEncoder, key: StoredName<'_>, value: &Value) {
    let header = Header::Key {
        name: key.name.len() as u64,
        value: value.bytes.len() as u64,
        expiry: value.expiry(),
    };
    encoder.put(header, &[key.name, &value.bytes]);
}

fn put_reply(encoder: &mut RecordEncoder, reply: &Reply) {
    let length = |bytes: &[u8]| bytes.len() as u64;
    let (header, content): (ReplyHeader, &[u8]) = match reply {
        Reply::Ok => (ReplyHeader::Ok, &[]),
        Reply::Simple(text) => (
            ReplyHeader::Simple(length(text.as_bytes())),
            text.as_bytes(),
        ),
        Reply::Error(text) => (ReplyHeader::Error(length(text.as_bytes())), text.as_bytes()),
        Reply::Integer(number) => (ReplyHeader::Integer(*number), &[]),
        Reply::Bulk(bytes) => (ReplyHeader::Bulk(length(bytes)), bytes),
        Reply::Nil => (ReplyHeader::Nil, &[]),
        Reply::Array(replies) => (ReplyHeader::Array(replies.len() as u64), &[]),
        Reply::Map(pairs) => (ReplyHeader::Map(pairs.len() as u64), &[]),
    };
    encoder.put(Header::Reply(header), &[content]);
    match reply {
        Reply::Array(replies) => {
            for reply in replies {
                put_reply(encoder, reply);
            }
        }
        Reply::Map(pairs) => {
            for (key, value) in pairs {
                put_reply(encoder, key);
                put_reply(encoder, value);
            }
        }
        Reply::Ok
        | Reply::Simple(_)
        | Reply::Error(_)
        | Reply::Integer(_)
        | Reply::Bulk(_)
        | Reply::Nil => {}
    }
}

/// The content of a snapshot.
pub(super) struct SnapshotContent {
    pub(super) store: Store,
    pub(super) sessions: Sessions,
    pub(super) addresses: BTreeMap<u64, ServerAddress>,
}

/// Reads what [`write`] wrote. It trusts nothing in it, neither lengths nor order.
pub(super) fn read(reader: &mut dyn Read) -> io::Result<SnapshotContent> {
    let mut loader = Loader {
        decoder: RecordDecoder::new(reader, FileKind::Snapshot)?,
        time: 0,
        counts: Counts::default(),
        addresses: BTreeMap::new(),
        sessions: Sessions::default(),
        keys: Keyspace::new(),
    };
    loader.time = read_time(&mut loader.decoder)?;
    loop {
        match loader.decoder.header()? {
            Header::ServerAddress {
                node,
                clients,
                release,
            } => loader.address(node, clients, release)?,
            Header::Session {
                number,
                used,
                floor,
            } => loader.session(number, used, floor)?,
            Header::Answer { sequence, replies } => loader.answer(sequence, Some(replies))?,
            Header::Forgotten { sequence } => loader.answer(sequence, None)?,
            Header::Key {
                name,
                value,
                expiry,
            } => loader.key(name, value, expiry)?,
            Header::End(counts) if counts == loader.counts => return loader.end(),
            Header::End(_) => {
                return Err(loader.decoder.invalid("some of its records are missing"));
            }
            Header::Time(_) | Header::Reply(_) => return Err(out_of_order(&loader.decoder)),
        }
    }
}

/// Reads the first record.
pub(super) fn read_time(decoder: &mut RecordDecoder<'_>) -> io::Result<u64> {
    match decoder.header()? {
        Header::Time(time) => Ok(time),
        Header::ServerAddress { .. }
        | Header::Session { .. }
        | Header::Answer { .. }
        | Header::Forgotten { .. }
        | Header::Reply(_)
        | Header::Key { .. }
        | Header::End(_) => Err(out_of_order(decoder)),
    }
}

/// Reads a key and its value. The key must come after the one before it.
pub(super) fn read_key(
    decoder: &mut RecordDecoder<'_>,
    before: Option<StoredName<'_>>,
    name: u64,
    value: u64,
) -> io::Result<(Key, bytes::Bytes)> {
    let key = Key::new(decoder.bytes(name)?);
    if before.is_some_and(|before| before >= key.stored()) {
        return Err(out_of_order(decoder));
    }
    Ok((key, decoder.bytes(value)?))
}

pub(super) fn out_of_order(decoder: &RecordDecoder<'_>) -> io::Error {
    decoder.invalid("its records are out of order")
}

/// What has been read so far.
struct Loader<'a> {
    decoder: RecordDecoder<'a>,
    time: u64,
    counts: Counts,
    addresses: BTreeMap<u64, ServerAddress>,
    sessions: Sessions,
    keys: Keyspace,
}

impl Loader<'_> {
    fn address(&mut self, node: u64, clients: u64, release: u64) -> io::Result<()> {
        let last = self.addresses.last_key_value();
        let is_too_late = self.counts.sessions > 0 || self.counts.keys > 0;
        if is_too_late || last.is_some_and(|(last, _)| *last >= node) {
            return Err(out_of_order(&self.decoder));
        }
        let address = ServerAddress {
            node,
            clients: self.decoder.text(clients)?,
            release: self.decoder.text(release)?,
        };
        self.addresses.insert(node, address);
        self.counts.addresses += 1;
        Ok(())
    }

    fn session(&mut self, number: u64, used: u64, floor: u64) -> io::Result<()> {
        let last = self.sessions.last();
        let follows = last.is_none_or(|(last, _)| last < number);
        if self.counts.keys > 0 || !follows {
            return Err(out_of_order(&self.decoder));
        }
        if self.sessions.len() >= MAX_SESSIONS {
            return Err(self.decoder.invalid("it has too many sessions"));
        }
        self.sessions.insert(number, Session::new(used, floor));
        self.counts.sessions += 1;
        Ok(())
    }

    /// Reads an answer of the last session.
    fn answer(&mut self, sequence: u64, replies: Option<u64>) -> io::Result<()> {
        let last = self.sessions.last();
        let Some((number, session)) = last.filter(|_| self.counts.keys == 0) else {
            return Err(out_of_order(&self.decoder));
        };
        let last = session.answers().next_back();
        let follows = last.is_none_or(|(last, _)| last < sequence);
        if !follows || sequence < session.floor() {
            return Err(out_of_order(&self.decoder));
        }
        if session.answer_count() >= MAX_ANSWERS {
            return Err(self.decoder.invalid("a session has too many answers"));
        }
        let mut session = session.clone();
        let replies = match replies {
            Some(count) => {
                let replies = read_replies(&mut self.decoder, count, MAX_DEPTH)?;
                Some(KeptReplies(Arc::new(replies)))
            }
            None => None,
        };
        session.insert(sequence, replies);
        self.sessions.insert(number, session);
        self.counts.answers += 1;
        Ok(())
    }

    fn key(&mut self, name: u64, value: u64, expiry: Option<u64>) -> io::Result<()> {
        let last = self.keys.last();
        let (key, bytes) = read_key(&mut self.decoder, last, name, value)?;
        if expiry.is_some_and(|expiry| expiry <= self.time) {
            return Err(self.decoder.invalid("one of its keys has expired"));
        }
        self.keys.insert(key, Value::new(bytes, expiry));
        self.counts.keys += 1;
        Ok(())
    }

    fn end(self) -> io::Result<SnapshotContent> {
        self.decoder.end()?;
        Ok(SnapshotContent {
            store: Store::from_keys(self.time, self.keys),
            sessions: self.sessions,
            addresses: self.addresses,
        })
    }
}

fn read_replies(decoder: &mut RecordDecoder<'_>, count: u64, depth: u32) -> io::Result<Vec<Reply>> {
    // The count is only a claim, so no memory is reserved for it.
    let mut replies = Vec::new();
    for _ in 0..count {
        replies.push(read_reply(decoder, depth)?);
    }
    replies.shrink_to_fit();
    Ok(replies)
}

/// Recurses at most `depth` levels, so that no input can exhaust the stack.
fn read_reply(decoder: &mut RecordDecoder<'_>, depth: u32) -> io::Result<Reply> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(decoder.invalid("one of its replies is nested too deeply"));
    };
    let Header::Reply(header) = decoder.header()? else {
        return Err(out_of_order(decoder));
    };
    Ok(match header {
        ReplyHeader::Ok => Reply::Ok,
        ReplyHeader::Simple(length) => Reply::Simple(decoder.text(length)?),
        ReplyHeader::Error(length) => Reply::Error(decoder.text(length)?),
        ReplyHeader::Integer(number) => Reply::Integer(number),
        ReplyHeader::Bulk(length) => Reply::Bulk(decoder.bytes(length)?),
        ReplyHeader::Nil => Reply::Nil,
        ReplyHeader::Array(count) => Reply::Array(read_replies(decoder, count, depth)?),
        ReplyHeader::Map(count) => {
            let mut pairs = Vec::new();
            for _ in 0..count {
                pairs.push((read_reply(decoder, depth)?, read_reply(decoder, depth)?));
            }
            Reply::Map(pairs)
        }
    })
}
