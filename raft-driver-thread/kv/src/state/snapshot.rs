//! The state as bytes, and back.

use super::entry::ServerAddress;
use super::keys::{Key, Keys, Value};
use super::machine::View;
use super::record::{Counts, Decoder, Encoder, Head, Kind, Shape};
use super::reply::Reply;
use super::sessions::{MAX_ANSWERS, MAX_SESSIONS, Session, Sessions};
use super::store::Store;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Arc;

/// How much is gathered before it is written.
const PIECE: usize = 1 << 16;

/// How deep replies are nested at most; those of commands are by two.
const MAX_DEPTH: u32 = 8;

/// Writes a view piece by piece.
pub(super) fn write(view: &View, writer: &mut dyn Write) -> io::Result<()> {
    let mut encoder = Encoder::new(Kind::Snapshot);
    let mut counts = Counts::default();
    encoder.put(Head::Time(view.time), &[]);
    for server in view.servers.values() {
        counts.servers += 1;
        let head = Head::Server {
            node: server.node,
            clients: server.clients.len() as u64,
            release: server.release.len() as u64,
        };
        encoder.put(
            head,
            &[server.clients.as_bytes(), server.release.as_bytes()],
        );
    }
    for (number, session) in &view.sessions {
        counts.sessions += 1;
        let head = Head::Session {
            number: *number,
            used: session.used,
            floor: session.floor,
        };
        encoder.put(head, &[]);
        for (sequence, kept) in &session.answers {
            counts.answers += 1;
            let sequence = *sequence;
            let Some(replies) = &kept.replies else {
                encoder.put(Head::Forgotten { sequence }, &[]);
                continue;
            };
            let head = Head::Answer {
                sequence,
                replies: replies.len() as u64,
            };
            encoder.put(head, &[]);
            for reply in replies.iter() {
                put_reply(&mut encoder, reply);
                write_some(&mut encoder, writer)?;
            }
        }
        write_some(&mut encoder, writer)?;
    }
    for (key, value) in view.keys.iter() {
        counts.keys += 1;
        put_key(&mut encoder, key, value);
        write_some(&mut encoder, writer)?;
    }
    encoder.put(Head::End(counts), &[]);
    writer.write_all(&encoder.end())
}

fn write_some(encoder: &mut Encoder, writer: &mut dyn Write) -> io::Result<()> {
    if encoder.pending() >= PIECE {
        writer.write_all(&encoder.take())?;
    }
    Ok(())
}

pub(super) fn put_key(encoder: &mut Encoder, key: &Key, value: &Value) {
    let head = Head::Key {
        name: key.name().len() as u64,
        value: value.bytes.len() as u64,
        expiry: value.expiry,
    };
    encoder.put(head, &[key.name(), &value.bytes]);
}

fn put_reply(encoder: &mut Encoder, reply: &Reply) {
    let length = |bytes: &[u8]| bytes.len() as u64;
    let (shape, tail): (Shape, &[u8]) = match reply {
        Reply::Ok => (Shape::Ok, &[]),
        Reply::Simple(text) => (Shape::Simple(length(text.as_bytes())), text.as_bytes()),
        Reply::Error(text) => (Shape::Error(length(text.as_bytes())), text.as_bytes()),
        Reply::Integer(number) => (Shape::Integer(*number), &[]),
        Reply::Bulk(bytes) => (Shape::Bulk(length(bytes)), bytes),
        Reply::Nil => (Shape::Nil, &[]),
        Reply::Array(replies) => (Shape::Array(replies.len() as u64), &[]),
        Reply::Map(pairs) => (Shape::Map(pairs.len() as u64), &[]),
    };
    encoder.put(Head::Reply(shape), &[tail]);
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

/// What a snapshot holds.
pub(super) struct Parts {
    pub(super) store: Store,
    pub(super) sessions: Sessions,
    pub(super) servers: BTreeMap<u64, ServerAddress>,
}

/// Reads what [`write`] wrote, and trusts nothing in it: neither lengths nor order.
pub(super) fn read(reader: &mut dyn Read) -> io::Result<Parts> {
    let mut loader = Loader {
        decoder: Decoder::new(reader, Kind::Snapshot)?,
        time: 0,
        counts: Counts::default(),
        servers: BTreeMap::new(),
        sessions: Sessions::default(),
        keys: Keys::new(),
    };
    loader.time = read_time(&mut loader.decoder)?;
    loop {
        match loader.decoder.head()? {
            Head::Server {
                node,
                clients,
                release,
            } => loader.server(node, clients, release)?,
            Head::Session {
                number,
                used,
                floor,
            } => loader.session(number, used, floor)?,
            Head::Answer { sequence, replies } => loader.answer(sequence, Some(replies))?,
            Head::Forgotten { sequence } => loader.answer(sequence, None)?,
            Head::Key {
                name,
                value,
                expiry,
            } => loader.key(name, value, expiry)?,
            Head::End(counts) if counts == loader.counts => return loader.end(),
            Head::End(_) => return Err(loader.decoder.invalid("some of its records are missing")),
            Head::Time(_) | Head::Reply(_) => return Err(out_of_order(&loader.decoder)),
        }
    }
}

/// The first record.
pub(super) fn read_time(decoder: &mut Decoder<'_>) -> io::Result<u64> {
    match decoder.head()? {
        Head::Time(time) => Ok(time),
        Head::Server { .. }
        | Head::Session { .. }
        | Head::Answer { .. }
        | Head::Forgotten { .. }
        | Head::Reply(_)
        | Head::Key { .. }
        | Head::End(_) => Err(out_of_order(decoder)),
    }
}

/// A key and its value, which have to follow those before.
pub(super) fn read_key(
    decoder: &mut Decoder<'_>,
    before: Option<&Key>,
    name: u64,
    value: u64,
) -> io::Result<(Key, bytes::Bytes)> {
    let key = Key::new(decoder.bytes(name)?);
    if before.is_some_and(|before| *before >= key) {
        return Err(out_of_order(decoder));
    }
    Ok((key, decoder.bytes(value)?))
}

pub(super) fn out_of_order(decoder: &Decoder<'_>) -> io::Error {
    decoder.invalid("its records are out of order")
}

struct Loader<'a> {
    decoder: Decoder<'a>,
    time: u64,
    counts: Counts,
    servers: BTreeMap<u64, ServerAddress>,
    sessions: Sessions,
    keys: Keys,
}

impl Loader<'_> {
    fn server(&mut self, node: u64, clients: u64, release: u64) -> io::Result<()> {
        let last = self.servers.last_key_value();
        let first = self.counts.sessions == 0 && self.counts.keys == 0;
        if !first || last.is_some_and(|(last, _)| *last >= node) {
            return Err(out_of_order(&self.decoder));
        }
        let server = ServerAddress {
            node,
            clients: self.decoder.text(clients)?,
            release: self.decoder.text(release)?,
        };
        self.servers.insert(node, server);
        self.counts.servers += 1;
        Ok(())
    }

    fn session(&mut self, number: u64, used: u64, floor: u64) -> io::Result<()> {
        let last = self.sessions.all().get_max();
        let follows = last.is_none_or(|(last, _)| *last < number);
        if self.counts.keys > 0 || !follows {
            return Err(out_of_order(&self.decoder));
        }
        if self.sessions.all().len() >= MAX_SESSIONS {
            return Err(self.decoder.invalid("it has too many sessions"));
        }
        self.sessions.insert(number, Session::new(used, floor));
        self.counts.sessions += 1;
        Ok(())
    }

    /// Of the last session.
    fn answer(&mut self, sequence: u64, replies: Option<u64>) -> io::Result<()> {
        let last = self.sessions.all().get_max();
        let Some((number, session)) = last.filter(|_| self.counts.keys == 0) else {
            return Err(out_of_order(&self.decoder));
        };
        let last = session.answers.get_max();
        let follows = last.is_none_or(|(last, _)| *last < sequence);
        if !follows || sequence < session.floor {
            return Err(out_of_order(&self.decoder));
        }
        if session.answers.len() >= MAX_ANSWERS {
            return Err(self.decoder.invalid("a session has too many answers"));
        }
        let (number, mut session) = (*number, session.clone());
        let replies = match replies {
            Some(count) => {
                let replies = read_replies(&mut self.decoder, count, MAX_DEPTH)?;
                Some(Arc::new(replies))
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
        self.keys.insert(key, Value { bytes, expiry });
        self.counts.keys += 1;
        Ok(())
    }

    fn end(self) -> io::Result<Parts> {
        self.decoder.end()?;
        Ok(Parts {
            store: Store::from_keys(self.time, self.keys),
            sessions: self.sessions,
            servers: self.servers,
        })
    }
}

fn read_replies(decoder: &mut Decoder<'_>, count: u64, depth: u32) -> io::Result<Vec<Reply>> {
    // Nobody knows whether they are really there, so no room is made for them in advance.
    let mut replies = Vec::new();
    for _ in 0..count {
        replies.push(read_reply(decoder, depth)?);
    }
    replies.shrink_to_fit();
    Ok(replies)
}

/// Recurses only as deep as replies are: a deeper one would be a way to use up the stack.
fn read_reply(decoder: &mut Decoder<'_>, depth: u32) -> io::Result<Reply> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(decoder.invalid("one of its replies is nested too deeply"));
    };
    let Head::Reply(shape) = decoder.head()? else {
        return Err(out_of_order(decoder));
    };
    Ok(match shape {
        Shape::Ok => Reply::Ok,
        Shape::Simple(length) => Reply::Simple(decoder.text(length)?),
        Shape::Error(length) => Reply::Error(decoder.text(length)?),
        Shape::Integer(number) => Reply::Integer(number),
        Shape::Bulk(length) => Reply::Bulk(decoder.bytes(length)?),
        Shape::Nil => Reply::Nil,
        Shape::Array(count) => Reply::Array(read_replies(decoder, count, depth)?),
        Shape::Map(count) => {
            let mut pairs = Vec::new();
            for _ in 0..count {
                pairs.push((read_reply(decoder, depth)?, read_reply(decoder, depth)?));
            }
            Reply::Map(pairs)
        }
    })
}
