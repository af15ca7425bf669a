//! Streams on which a node asks a peer for what is no part of the protocol: entries that its disk
//! has lost, digests of its state, a snapshot. One request, and one reply.
//!
//! Both are encoded by [`codec`]; before the reply come four bytes of its length.

use super::frame;
use super::hello::StreamKind;
use super::service::Dialer;
use crate::transport::{EntrySource, Fetcher};
use raft_proto::NodeId;
use raft_proto::mending::{FetchReply, MAX_FETCH_BYTES, Request, codec};
use raft_proto::wire::Limits;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

/// So many bytes of a reply have to come within the time in which something has to come; the first
/// ones within twice that.
const PACE_BYTES: u32 = 64 << 10;

/// A stream from which a reply has to come at a pace: who sends a byte now and then, or nothing but
/// empty frames, has not answered.
struct Paced<'a, S> {
    stream: &'a mut S,
    silence: Duration,
    begun: Instant,
    read: u64,
}

impl<S: Read> Read for Paced<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let pieces = u32::try_from(self.read / u64::from(PACE_BYTES)).unwrap_or(u32::MAX);
        let limit = self.silence.saturating_mul(pieces.saturating_add(2));
        if self.begun.elapsed() > limit {
            let what = "the reply comes too slowly";
            return Err(io::Error::new(io::ErrorKind::TimedOut, what));
        }
        let read = self.stream.read(buffer)?;
        self.read += read as u64;
        Ok(read)
    }
}

/// Asks over connections of this transport.
pub(super) struct TcpFetcher {
    pub(super) dialer: Dialer,
    pub(super) limits: Limits,
    pub(super) silence: Duration,
}

impl Fetcher for TcpFetcher {
    fn fetch(&self, peer: NodeId, request: &Request) -> FetchReply {
        let stream = self.dialer.open_for(peer, StreamKind::Entries);
        let reply = stream.and_then(|mut it| fetch(&mut it, &self.limits, self.silence, request));
        reply.unwrap_or_else(|error| {
            tracing::debug!(%peer, %error, "a peer could not be asked");
            FetchReply::Unreachable
        })
    }
}

/// Asks a peer. Something has to come within `silence`.
fn fetch(
    stream: &mut (impl Read + Write),
    limits: &Limits,
    silence: Duration,
    request: &Request,
) -> io::Result<FetchReply> {
    stream.write_all(&codec::encode_request(request))?;
    stream.flush()?;
    // An entry takes twice the bytes that count for it at most, and one may be as long as a frame.
    let most = 2 * MAX_FETCH_BYTES + limits.max_frame_bytes;
    let mut paced = Paced {
        stream,
        silence,
        begun: Instant::now(),
        read: 0,
    };
    let mut length = frame::STILL_HERE;
    paced.read_exact(&mut length)?;
    if length == frame::STILL_HERE {
        // It would be skipped, and any number of others behind it.
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no reply"));
    }
    let reply = frame::read(&mut Read::chain(&length[..], paced), most)?;
    let reply = reply.ok_or(io::ErrorKind::UnexpectedEof)?;
    codec::decode_reply(reply)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is no reply"))
}

/// Answers the request that comes on this stream.
pub(super) fn serve(stream: &mut (impl Read + Write), source: &dyn EntrySource) -> io::Result<()> {
    let reply = match read_request(stream)? {
        Some(request) => source.answer(&request),
        None => FetchReply::HaveNot, // A later release knows what it is.
    };
    let reply = codec::encode_reply(&reply);
    let length = u32::try_from(reply.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_le_bytes())?;
    stream.write_all(&reply)?;
    stream.flush()
}

/// `None` if this release does not know the request.
fn read_request(stream: &mut impl Read) -> io::Result<Option<Request>> {
    let mut begin = [0; codec::REQUEST_BYTES];
    stream.read_exact(&mut begin)?;
    let mut request = begin.to_vec();
    request.resize(begin.len() + codec::bytes_that_follow(&begin), 0);
    stream.read_exact(&mut request[begin.len()..])?; // It is as long, or longer.
    Ok(codec::decode_request(&request))
}
