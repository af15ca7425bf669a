//! A minimal client, which reports errors so that the caller knows what may have been executed.

use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::encode::encode;
use redis_protocol::resp2::types::{OwnedFrame, Resp2Frame};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A connection to one server. After an error it must not be used again.
pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub(crate) fn open(address: SocketAddr, timeout: Duration) -> io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_nodelay(true)?;
        let received = Vec::new();
        Ok(Connection { stream, received })
    }

    /// Sends a request and waits for its reply. After an error it is not known whether the server
    /// executed the request.
    pub(crate) fn request(&mut self, words: &[&[u8]], timeout: Duration) -> io::Result<OwnedFrame> {
        let end = Instant::now() + timeout;
        let words = words.iter().map(|it| OwnedFrame::BulkString(it.to_vec()));
        let request = OwnedFrame::Array(words.collect());
        let mut bytes = vec![0; request.encode_len(false)];
        encode(&mut bytes, &request, false).map_err(io::Error::other)?;
        self.stream.set_write_timeout(Some(timeout))?;
        self.stream.write_all(&bytes)?;
        loop {
            let decoded = decode(&self.received).map_err(io::Error::other)?;
            if let Some((reply, length)) = decoded {
                self.received.drain(..length);
                return Ok(reply);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                length => self.received.extend_from_slice(&buffer[..length]),
            }
        }
    }
}

/// Sends a request over a connection of its own.
pub(crate) fn request(
    address: SocketAddr,
    words: &[&str],
    timeout: Duration,
) -> io::Result<OwnedFrame> {
    let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    Connection::open(address, timeout)?.request(&words, timeout)
}

/// Likewise; a reply that is an error counts as one.
pub(crate) fn command(
    address: SocketAddr,
    words: &[&str],
    timeout: Duration,
) -> io::Result<OwnedFrame> {
    let reply = request(address, words, timeout)?;
    if let OwnedFrame::Error(error) = reply {
        return Err(io::Error::other(error));
    }
    Ok(reply)
}
