//! This server as a client of the others, over the port for servers: one request at a time on each
//! stream. Clients cannot take the places that these streams have.

use crate::resp::{self, ReplyDecoder, ReplyLimits, Version};
use crate::state::Reply;
use bytes::{Bytes, BytesMut};
use raft_driver_thread::raft_proto::NodeId;
use raft_driver_thread::transport::tcp::{Dialer, PeerStream};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How many requests to one server may be under way. Each takes a stream, and a server serves 64 of
/// each other server.
const MAX_STREAMS: usize = 48;

/// How long a stream without requests is kept. The other server closes it after
/// [a minute](super::peer_requests).
const MAX_IDLE: Duration = Duration::from_secs(30);

/// How much one read takes at most.
const READ_BYTES: usize = 64 << 10;

/// Why another server did not reply.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForwardError {
    /// The request was not sent: nothing was done.
    #[error("cannot connect to {to}: {source}")]
    NotSent {
        /// The other server.
        to: NodeId,
        /// What the operating system said.
        source: io::Error,
    },
    /// The request was sent: it may have been executed.
    #[error("no reply from {to}: {source}")]
    NoReply {
        /// The other server.
        to: NodeId,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Streams to the other servers.
pub(crate) struct Forwarder {
    dialer: Dialer,
    peers: Mutex<BTreeMap<NodeId, Arc<PeerStreams>>>,
}

/// The streams to one server.
struct PeerStreams {
    places: Arc<Semaphore>,
    idle: Mutex<Vec<IdleStream>>,
}

struct IdleStream {
    stream: PeerStream,
    since: Instant,
}

impl Forwarder {
    pub(crate) fn new(dialer: Dialer) -> Forwarder {
        Forwarder {
            dialer,
            peers: Mutex::default(),
        }
    }

    /// Sends a request and waits for its reply.
    pub(crate) async fn request(
        &self,
        to: NodeId,
        arguments: Vec<Bytes>,
        limit: Duration,
    ) -> Result<Reply, ForwardError> {
        let not_sent = |source| ForwardError::NotSent { to, source };
        let deadline = Instant::now() + limit;
        let streams = self.streams(to);
        let place = timeout(limit, streams.places.clone().acquire_owned()).await;
        let Ok(Ok(place)) = place else {
            return Err(not_sent(io::ErrorKind::TimedOut.into()));
        };
        let dialer = self.dialer.clone();
        let replied = tokio::task::spawn_blocking(move || {
            let _place = place;
            streams.request(&dialer, to, &arguments, deadline)
        });
        replied.await.unwrap_or_else(|error| {
            let source = io::Error::other(error);
            Err(ForwardError::NoReply { to, source })
        })
    }

    fn streams(&self, to: NodeId) -> Arc<PeerStreams> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let streams = peers.entry(to).or_insert_with(|| {
            Arc::new(PeerStreams {
                places: Arc::new(Semaphore::new(MAX_STREAMS)),
                idle: Mutex::default(),
            })
        });
        streams.clone()
    }
}

impl PeerStreams {
    fn idle(&self) -> MutexGuard<'_, Vec<IdleStream>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream of an earlier request, if one is still open.
    fn take_idle(&self) -> Option<PeerStream> {
        let mut idle = self.idle();
        idle.retain_mut(|idle| idle.since.elapsed() < MAX_IDLE && !idle.stream.is_closed());
        idle.pop().map(|idle| idle.stream)
    }

    fn request(
        &self,
        dialer: &Dialer,
        to: NodeId,
        arguments: &[Bytes],
        deadline: Instant,
    ) -> Result<Reply, ForwardError> {
        let mut stream = match self.take_idle() {
            Some(stream) => stream,
            None => {
                let opened = dialer.open(to);
                opened.map_err(|source| ForwardError::NotSent { to, source })?
            }
        };
        match round_trip(&mut stream, arguments, deadline) {
            Ok(reply) => {
                let since = Instant::now();
                self.idle().push(IdleStream { stream, since });
                Ok(reply)
            }
            Err(source) => {
                // The idle streams are as old as this one, and hardly of use.
                self.idle().clear();
                Err(ForwardError::NoReply { to, source })
            }
        }
    }
}

/// A request, and its reply.
fn round_trip(
    stream: &mut PeerStream,
    arguments: &[Bytes],
    deadline: Instant,
) -> io::Result<Reply> {
    let left = || {
        let left = deadline.saturating_duration_since(Instant::now());
        let late = || io::Error::from(io::ErrorKind::TimedOut);
        Some(left).filter(|left| !left.is_zero()).ok_or_else(late)
    };
    stream.set_timeout(left()?)?;
    let mut buffer = BytesMut::new();
    resp::encode_request(arguments, &mut buffer);
    stream.write_all(&buffer)?;
    stream.flush()?;
    buffer.clear();
    let mut decoder = ReplyDecoder::new(Version::Two, ReplyLimits::default());
    let mut read = vec![0; READ_BYTES];
    loop {
        let count = stream.read(&mut read)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer.extend_from_slice(read.get(..count).unwrap_or(&[]));
        let reply = decoder.next(&mut buffer);
        if let Some(reply) = reply.map_err(|error| io::Error::other(error.to_string()))? {
            return Ok(reply);
        }
        stream.set_timeout(left()?)?;
    }
}
