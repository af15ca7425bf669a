//! A minimal client of Redis. Clients share a connection, as those of its asynchronous libraries
//! do: each request is written after the others, and the replies arrive in the same order.

use crate::Failed;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::Write;
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, oneshot};

/// A client. Its clones share the connection.
#[derive(Clone)]
pub struct Client(Rc<Shared>);

#[derive(Default)]
struct Shared {
    queue: RefCell<Queue>,
    queued: Notify,
}

#[derive(Default)]
struct Queue {
    out: Vec<u8>,
    waiting: VecDeque<oneshot::Sender<Reply>>,
}

enum Reply {
    Done,
    /// The length of a value, or `None` for nil.
    Value(Option<usize>),
    Other(String),
}

impl Client {
    pub async fn connect(address: &str) -> Result<Client, Failed> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (read, write) = stream.into_split();
        let shared = Rc::<Shared>::default();
        tokio::task::spawn_local(write_all(shared.clone(), write));
        tokio::task::spawn_local(read_all(shared.clone(), read));
        Ok(Client(shared))
    }

    pub async fn put(&mut self, key: &str, value: &[u8]) -> Result<(), Failed> {
        match self.request(&[b"SET", key.as_bytes(), value]).await? {
            Reply::Done => Ok(()),
            other => Err(other.unexpected()),
        }
    }

    pub async fn get(&mut self, key: &str) -> Result<usize, Failed> {
        match self.request(&[b"GET", key.as_bytes()]).await? {
            Reply::Value(Some(length)) => Ok(length),
            other => Err(other.unexpected()),
        }
    }

    async fn request(&self, words: &[&[u8]]) -> Result<Reply, Failed> {
        let (reply_to, reply) = oneshot::channel();
        let mut queue = self.0.queue.borrow_mut();
        write!(queue.out, "*{}\r\n", words.len())?;
        for word in words {
            write!(queue.out, "${}\r\n", word.len())?;
            queue.out.extend_from_slice(word);
            queue.out.extend_from_slice(b"\r\n");
        }
        queue.waiting.push_back(reply_to);
        drop(queue);
        self.0.queued.notify_one();
        reply.await.map_err(|_| "the connection ended".into())
    }
}

impl Reply {
    fn unexpected(self) -> Failed {
        match self {
            Reply::Done => "replied OK".into(),
            Reply::Value(None) => "a key does not exist".into(),
            Reply::Value(Some(length)) => format!("replied {length} bytes").into(),
            Reply::Other(line) => format!("replied {line}").into(),
        }
    }
}

async fn write_all(shared: Rc<Shared>, mut stream: OwnedWriteHalf) {
    let mut out = Vec::new();
    loop {
        shared.queued.notified().await;
        std::mem::swap(&mut out, &mut shared.queue.borrow_mut().out);
        if stream.write_all(&out).await.is_err() {
            return; // `read_all` sees the end of the connection.
        }
        out.clear();
    }
}

async fn read_all(shared: Rc<Shared>, mut stream: OwnedReadHalf) {
    let mut bytes = Vec::new();
    while stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
        let mut taken = 0;
        while let Some((reply, length)) = first(&bytes[taken..]) {
            taken += length;
            let waiting = shared.queue.borrow_mut().waiting.pop_front();
            let Some(waiting) = waiting else {
                return end(&shared); // A reply without a request.
            };
            let _ = waiting.send(reply);
        }
        bytes.drain(..taken);
    }
    end(&shared);
}

/// Ends all requests that wait for a reply.
fn end(shared: &Shared) {
    shared.queue.borrow_mut().waiting.clear();
}

/// The first reply and its length, if it has arrived completely: a line, and after that of a bulk
/// string its bytes.
fn first(bytes: &[u8]) -> Option<(Reply, usize)> {
    let line = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let text = &bytes[..line];
    if text == b"+OK" {
        return Some((Reply::Done, line + 2));
    }
    if text == b"$-1" {
        return Some((Reply::Value(None), line + 2));
    }
    let Some(length) = text.strip_prefix(b"$") else {
        let text = String::from_utf8_lossy(text).into_owned();
        return Some((Reply::Other(text), line + 2));
    };
    let length: usize = str::from_utf8(length).ok()?.parse().ok()?;
    let whole = line + 2 + length + 2;
    (bytes.len() >= whole).then_some((Reply::Value(Some(length)), whole))
}
