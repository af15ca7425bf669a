//! A client of the server that says how sure an answer is: the least that a torture needs.

use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::encode::encode;
use redis_protocol::resp2::types::{OwnedFrame, Resp2Frame};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A connection to one server. After an error it is of no use any more.
pub(crate) struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    /// Connects, within that time.
    pub(crate) fn open(address: SocketAddr, timeout: Duration) -> io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_nodelay(true)?;
        let read = Vec::new();
        Ok(Connection { stream, read })
    }

    /// Asks, and waits for the answer at most that long. After an error nobody knows whether the
    /// server did what was asked.
    pub(crate) fn ask(&mut self, words: &[&[u8]], timeout: Duration) -> io::Result<OwnedFrame> {
        let end = Instant::now() + timeout;
        let words = words.iter().map(|it| OwnedFrame::BulkString(it.to_vec()));
        let question = OwnedFrame::Array(words.collect());
        let mut bytes = vec![0; question.encode_len(false)];
        encode(&mut bytes, &question, false).map_err(io::Error::other)?;
        self.stream.set_write_timeout(Some(timeout))?;
        self.stream.write_all(&bytes)?;
        loop {
            let decoded = decode(&self.read).map_err(io::Error::other)?;
            if let Some((answer, length)) = decoded {
                self.read.drain(..length);
                return Ok(answer);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                length => self.read.extend_from_slice(&buffer[..length]),
            }
        }
    }
}

/// Asks over a connection of its own.
pub(crate) fn ask(
    address: SocketAddr,
    words: &[&str],
    timeout: Duration,
) -> io::Result<OwnedFrame> {
    let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    Connection::open(address, timeout)?.ask(&words, timeout)
}

/// Asks over a connection of its own; an answer that is an error is one.
pub(crate) fn order(
    address: SocketAddr,
    words: &[&str],
    timeout: Duration,
) -> io::Result<OwnedFrame> {
    let answer = ask(address, words, timeout)?;
    if let OwnedFrame::Error(error) = answer {
        return Err(io::Error::other(error));
    }
    Ok(answer)
}
