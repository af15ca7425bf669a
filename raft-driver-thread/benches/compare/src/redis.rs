//! The protocol of Redis, as far as it takes.

use crate::Failed;
use std::io::Write;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection of its own, as clients of Redis have.
pub struct Client {
    stream: TcpStream,
    out: Vec<u8>,
    read: Vec<u8>,
}

impl Client {
    pub async fn connect(address: &str) -> Result<Client, Failed> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (out, read) = (Vec::new(), Vec::new());
        Ok(Client { stream, out, read })
    }

    pub async fn put(&mut self, key: &str, value: &[u8]) -> Result<(), Failed> {
        self.ask(&[b"SET", key.as_bytes(), value]).await?;
        match self.read.starts_with(b"+OK") {
            true => Ok(()),
            false => Err(self.unexpected()),
        }
    }

    pub async fn get(&mut self, key: &str) -> Result<usize, Failed> {
        self.ask(&[b"GET", key.as_bytes()]).await?;
        self.bulk()?.ok_or_else(|| self.unexpected())
    }

    fn unexpected(&self) -> Failed {
        format!("answered {}", self.read.escape_ascii()).into()
    }

    async fn ask(&mut self, words: &[&[u8]]) -> Result<(), Failed> {
        self.out.clear();
        write!(self.out, "*{}\r\n", words.len())?;
        for word in words {
            write!(self.out, "${}\r\n", word.len())?;
            self.out.extend_from_slice(word);
            self.out.extend_from_slice(b"\r\n");
        }
        self.stream.write_all(&self.out).await?;
        self.read.clear();
        while !self.is_whole()? {
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err("the server closed the connection".into());
            }
        }
        Ok(())
    }

    /// Whether the answer has arrived: a line, and behind that of a bulk string its bytes.
    fn is_whole(&self) -> Result<bool, Failed> {
        let Some(line) = self.line() else {
            return Ok(false);
        };
        let bulk = self.bulk()?.map_or(0, |length| length + 2);
        Ok(self.read.len() >= line + 2 + bulk)
    }

    /// How long the first line is.
    fn line(&self) -> Option<usize> {
        self.read.windows(2).position(|pair| pair == b"\r\n")
    }

    /// How long the bulk string is, if it is one.
    fn bulk(&self) -> Result<Option<usize>, Failed> {
        let line = &self.read[..self.line().unwrap_or(0)];
        match line.strip_prefix(b"$") {
            Some(b"-1") | None => Ok(None),
            Some(length) => Ok(Some(str::from_utf8(length)?.parse()?)),
        }
    }
}
