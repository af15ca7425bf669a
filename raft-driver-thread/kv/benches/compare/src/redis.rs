//! The protocol of Redis, as far as it takes: clients share a connection as those of its asynchronous
//! libraries do, each request written behind the others', the answers read in the same order.

use crate::Failed;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::Write;
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, oneshot};

/// One of the clients that share a connection.
#[derive(Clone)]
pub struct Client(Rc<Shared>);

#[derive(Default)]
struct Shared {
    queue: RefCell<Queue>,
    asked: Notify,
}

#[derive(Default)]
struct Queue {
    out: Vec<u8>,
    waiting: VecDeque<oneshot::Sender<Answer>>,
}

enum Answer {
    Done,
    /// A value so long, or none.
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
        match self.ask(&[b"SET", key.as_bytes(), value]).await? {
            Answer::Done => Ok(()),
            other => Err(other.unexpected()),
        }
    }

    pub async fn get(&mut self, key: &str) -> Result<usize, Failed> {
        match self.ask(&[b"GET", key.as_bytes()]).await? {
            Answer::Value(Some(length)) => Ok(length),
            other => Err(other.unexpected()),
        }
    }

    async fn ask(&self, words: &[&[u8]]) -> Result<Answer, Failed> {
        let (answer, answered) = oneshot::channel();
        let mut queue = self.0.queue.borrow_mut();
        write!(queue.out, "*{}\r\n", words.len())?;
        for word in words {
            write!(queue.out, "${}\r\n", word.len())?;
            queue.out.extend_from_slice(word);
            queue.out.extend_from_slice(b"\r\n");
        }
        queue.waiting.push_back(answer);
        drop(queue);
        self.0.asked.notify_one();
        answered.await.map_err(|_| "the connection ended".into())
    }
}

impl Answer {
    fn unexpected(self) -> Failed {
        match self {
            Answer::Done => "answered OK".into(),
            Answer::Value(None) => "a key was not there".into(),
            Answer::Value(Some(length)) => format!("answered {length} bytes").into(),
            Answer::Other(line) => format!("answered {line}").into(),
        }
    }
}

async fn write_all(shared: Rc<Shared>, mut stream: OwnedWriteHalf) {
    let mut out = Vec::new();
    loop {
        shared.asked.notified().await;
        std::mem::swap(&mut out, &mut shared.queue.borrow_mut().out);
        if stream.write_all(&out).await.is_err() {
            return; // whoever reads hears of it
        }
        out.clear();
    }
}

async fn read_all(shared: Rc<Shared>, mut stream: OwnedReadHalf) {
    let mut bytes = Vec::new();
    while stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
        let mut taken = 0;
        while let Some((answer, length)) = first(&bytes[taken..]) {
            taken += length;
            let waiting = shared.queue.borrow_mut().waiting.pop_front();
            let Some(waiting) = waiting else {
                return end(&shared); // an answer to nothing
            };
            let _ = waiting.send(answer);
        }
        bytes.drain(..taken);
    }
    end(&shared);
}

/// Whoever waits has waited for nothing.
fn end(shared: &Shared) {
    shared.queue.borrow_mut().waiting.clear();
}

/// The first answer, if it is there as a whole, and how long it is: a line, and behind that of a bulk
/// string its bytes.
fn first(bytes: &[u8]) -> Option<(Answer, usize)> {
    let line = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let text = &bytes[..line];
    if text == b"+OK" {
        return Some((Answer::Done, line + 2));
    }
    if text == b"$-1" {
        return Some((Answer::Value(None), line + 2));
    }
    let Some(length) = text.strip_prefix(b"$") else {
        let text = String::from_utf8_lossy(text).into_owned();
        return Some((Answer::Other(text), line + 2));
    };
    let length: usize = str::from_utf8(length).ok()?.parse().ok()?;
    let whole = line + 2 + length + 2;
    (bytes.len() >= whole).then_some((Answer::Value(Some(length)), whole))
}
