//! Opening a connection to a peer: looking up its address, connecting, and the handshake.

use super::hello::{ACCEPTED, Hello, Refusal};
use super::socket::Stream;
use super::stream::StreamSettings;
use crate::clock::deadline_after;
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// How often an attempt looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// How long a peer may read nothing before its connection is given up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// What follows the progress of an attempt.
pub(super) trait Caller {
    /// Whether nobody wants the connection any more.
    fn is_stopped(&self) -> bool;

    /// There is a connection, whose handshake begins now.
    ///
    /// # Errors
    ///
    /// The connection is given up.
    fn connected(&self, tcp: &TcpStream) -> io::Result<()>;
}

/// Opens a connection to the peer that `hello` greets.
pub(super) fn dial(
    settings: &StreamSettings,
    hello: &Hello,
    address: String,
    caller: &dyn Caller,
) -> io::Result<Box<dyn Stream>> {
    let limit = settings.options.handshake_timeout;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in resolve(address, limit, caller)? {
        match TcpStream::connect_timeout(&address, settings.connect_timeout) {
            Ok(tcp) => {
                caller.connected(&tcp)?;
                return greet(settings, hello, tcp);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Looks up the address, which may be a name. A lookup cannot be interrupted, and may take
/// longer than a node may take to stop. It is abandoned then, in a thread of its own.
fn resolve(address: String, timeout: Duration, caller: &dyn Caller) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = address.parse() {
        return Ok(vec![address]);
    }
    let (answer, answered) = crossbeam_channel::bounded(1);
    let builder = std::thread::Builder::new().name("raft-resolve".into());
    builder.spawn(move || {
        let found = address.to_socket_addrs().map(Iterator::collect);
        let _ = answer.send(found); // The lookup may have been abandoned.
    })?;
    let deadline = deadline_after(timeout);
    loop {
        match answered.recv_timeout(LOOK) {
            Ok(found) => return found,
            Err(_) if caller.is_stopped() => return Err(io::Error::other("the node stops")),
            Err(_) if deadline.is_some_and(|deadline| Instant::now() > deadline) => {
                let what = "the name was not resolved in time";
                return Err(io::Error::new(io::ErrorKind::TimedOut, what));
            }
            Err(_) => {}
        }
    }
}

fn greet(settings: &StreamSettings, hello: &Hello, tcp: TcpStream) -> io::Result<Box<dyn Stream>> {
    let mut stream = settings.client(tcp, hello.to)?;
    stream.write_all(&hello.encode())?;
    stream.flush()?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    match answer[0] {
        ACCEPTED => {
            stream
                .socket()
                .end_handshake(settings.silence, WRITE_TIMEOUT)?;
            Ok(stream)
        }
        code => Err(io::Error::other(Refusal::explain(code))),
    }
}
