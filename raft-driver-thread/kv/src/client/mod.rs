//! A small blocking client, for the commands that send requests to running servers.

mod error;
mod tls;

pub use error::ClientError;
pub use tls::ClientTls;

use super::config::Secret;
use super::settings::ADMIN_USER;
use super::state::Reply;
use super::status::NodeStatus;
use bytes::{Bytes, BytesMut};
use redis_protocol::resp2::decode::decode_bytes_mut;
use redis_protocol::resp2::encode::extend_encode;
use redis_protocol::resp2::types::BytesFrame;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How to connect to servers.
#[derive(Clone, Debug)]
pub struct Access {
    /// The password (AUTH), if there is one.
    pub password: Option<Secret>,
    /// The password of the user `admin` (AUTH admin ...), for requests that change the cluster. It is
    /// given instead of the other one.
    pub admin_password: Option<Secret>,
    /// TLS, or plain text.
    pub tls: Option<ClientTls>,
    /// How long connecting, and each reply, may take.
    pub timeout: Duration,
}

/// A connection to a server.
pub struct Client {
    stream: Box<dyn Stream>,
    received: BytesMut,
    address: String,
}

/// Plain TCP, or TLS.
trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let address = &self.address;
        f.debug_struct("Client")
            .field("address", address)
            .finish_non_exhaustive()
    }
}

impl Access {
    /// Plain text, no password, 30 s.
    pub fn new() -> Access {
        Access {
            password: None,
            admin_password: None,
            tls: None,
            timeout: Duration::from_secs(30),
        }
    }

    /// A connection to the server at `address`, host:port. With TLS, its certificate has to name
    /// the host.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; a wrong password is [`ClientError::Refused`].
    pub fn connect(&self, address: &str) -> Result<Client, ClientError> {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        self.connect_to(address, host.trim_matches(['[', ']']))
    }

    /// A connection to a member of the cluster. With TLS, the certificate has to be that node's.
    ///
    /// # Errors
    ///
    /// Those of [`connect`](Access::connect).
    pub fn connect_to_node(&self, address: &str, node: u64) -> Result<Client, ClientError> {
        self.connect_to(address, &format!("node-{node}.raft"))
    }

    fn connect_to(&self, address: &str, name: &str) -> Result<Client, ClientError> {
        let unreachable = |source| ClientError::Unreachable {
            address: address.to_owned(),
            source,
        };
        let tcp = self.tcp(address).map_err(unreachable)?;
        let stream: Box<dyn Stream> = match &self.tls {
            Some(tls) => Box::new(tls.connect(tcp, name)?),
            None => Box::new(tcp),
        };
        let mut client = Client {
            stream,
            received: BytesMut::new(),
            address: address.to_owned(),
        };
        if let Some(Secret(password)) = &self.admin_password {
            client.call(&[b"AUTH", ADMIN_USER.as_bytes(), password.as_bytes()])?;
        } else if let Some(Secret(password)) = &self.password {
            client.call(&[b"AUTH", password.as_bytes()])?;
        }
        Ok(client)
    }

    /// A connection to the first of these servers that can be reached.
    ///
    /// # Errors
    ///
    /// That of the last server, if none can be reached.
    pub fn any(&self, addresses: &[String]) -> Result<Client, ClientError> {
        let mut last = None;
        for address in addresses {
            match self.connect(address) {
                Ok(client) => return Ok(client),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or(ClientError::NoServer))
    }

    fn tcp(&self, address: &str) -> io::Result<TcpStream> {
        let mut last = io::Error::other("the name has no address");
        for address in address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, self.timeout) {
                Ok(tcp) => {
                    tcp.set_nodelay(true)?;
                    tcp.set_read_timeout(Some(self.timeout))?;
                    tcp.set_write_timeout(Some(self.timeout))?;
                    return Ok(tcp);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

impl Default for Access {
    fn default() -> Access {
        Access::new()
    }
}

impl Client {
    /// The address that it is connected to.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sends a command and waits for its reply.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] if the reply is an error. After [`ClientError::Broken`] and
    /// [`ClientError::UnexpectedReply`] the connection must not be used again.
    pub fn call(&mut self, command: &[&[u8]]) -> Result<Reply, ClientError> {
        let words = command
            .iter()
            .map(|word| BytesFrame::BulkString(Bytes::copy_from_slice(word)));
        let frame = BytesFrame::Array(words.collect());
        let mut bytes = BytesMut::new();
        let encoded = extend_encode(&mut bytes, &frame, false);
        encoded.map_err(|error| self.broken(io::Error::other(error.to_string())))?;
        let sent = self.stream.write_all(&bytes);
        let sent = sent.and_then(|()| self.stream.flush());
        sent.map_err(|error| self.broken(error))?;
        match reply(self.receive()?) {
            Reply::Error(what) => Err(ClientError::Refused {
                address: self.address.clone(),
                what,
            }),
            reply @ (Reply::Ok
            | Reply::Simple(_)
            | Reply::Integer(_)
            | Reply::Bulk(_)
            | Reply::Nil
            | Reply::Array(_)
            | Reply::Map(_)) => Ok(reply),
        }
    }

    /// What the server reports of itself and the others.
    ///
    /// # Errors
    ///
    /// Those of [`call`](Client::call).
    pub fn status(&mut self) -> Result<NodeStatus, ClientError> {
        let json = self.bulk(&[b"RAFT", b"STATUS"])?;
        let json = json.ok_or_else(|| self.unexpected("nil"))?;
        serde_json::from_slice(&json).map_err(|error| self.unexpected(error))
    }

    /// Sends a command whose reply is bytes, or nil.
    ///
    /// # Errors
    ///
    /// Those of [`call`](Client::call).
    pub fn bulk(&mut self, command: &[&[u8]]) -> Result<Option<Bytes>, ClientError> {
        match self.call(command)? {
            Reply::Bulk(bytes) => Ok(Some(bytes)),
            Reply::Nil => Ok(None),
            other @ (Reply::Ok
            | Reply::Simple(_)
            | Reply::Error(_)
            | Reply::Integer(_)
            | Reply::Array(_)
            | Reply::Map(_)) => Err(self.unexpected(format!("{other:?}"))),
        }
    }

    fn receive(&mut self) -> Result<BytesFrame, ClientError> {
        loop {
            let decoded = decode_bytes_mut(&mut self.received);
            if let Some((frame, _, _)) = decoded.map_err(|error| self.unexpected(error))? {
                return Ok(frame);
            }
            let mut buffer = [0; 1 << 16];
            let read = self.stream.read(&mut buffer);
            match read.map_err(|error| self.broken(error))? {
                0 => {
                    let ended = io::ErrorKind::UnexpectedEof.into();
                    return Err(self.broken(ended));
                }
                read => self.received.extend_from_slice(&buffer[..read]),
            }
        }
    }

    fn broken(&self, source: io::Error) -> ClientError {
        ClientError::Broken {
            address: self.address.clone(),
            source,
        }
    }

    fn unexpected(&self, what: impl std::fmt::Display) -> ClientError {
        ClientError::UnexpectedReply {
            address: self.address.clone(),
            what: what.to_string(),
        }
    }
}

/// The reply that a frame holds.
fn reply(frame: BytesFrame) -> Reply {
    match frame {
        BytesFrame::SimpleString(text) if &*text == b"OK" => Reply::Ok,
        BytesFrame::SimpleString(text) => {
            Reply::Simple(String::from_utf8_lossy(&text).into_owned())
        }
        BytesFrame::Error(what) => Reply::Error(what.to_string()),
        BytesFrame::Integer(number) => Reply::Integer(number),
        BytesFrame::BulkString(bytes) => Reply::Bulk(bytes),
        BytesFrame::Array(frames) => Reply::Array(frames.into_iter().map(reply).collect()),
        BytesFrame::Null => Reply::Nil,
    }
}
