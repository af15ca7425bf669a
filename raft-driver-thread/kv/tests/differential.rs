//! What a Redis answers, raft-kv answers: random commands go to both.
//!
//! Without a `redis-server` the test says so, and is skipped. `RAFT_KV_DIFFERENTIAL` is the number
//! of commands, and `RAFT_KV_SEED` draws others.
//!
//! Where the two differ on purpose, the commands are not drawn: those that raft-kv does not have;
//! SELECT of another database (no command over keys runs after it); more than 16,777,216 arguments
//! and patterns over 64 KiB (refused); KEYS and SCAN, whose order differs (compared sorted).
#![allow(
    clippy::wildcard_enum_match_arm,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs
)]

#[path = "../../tests/support/ports.rs"]
mod ports;

use bytes::BytesMut;
use raft_kv::resp::{ReplyDecoder, ReplyLimits, Version, encode_request};
use raft_kv::server::Server;
use raft_kv::settings::{Founder, Identity, Settings};
use raft_kv::state::Reply;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

/// How many requests are sent before their replies are read.
const PIPELINE: usize = 100;

/// A `redis-server` process; `None` if there is none on this machine.
struct Redis(Child);

impl Redis {
    fn start(port: u16) -> Option<Redis> {
        let port = port.to_string();
        let child = Command::new("redis-server")
            .args(["--port", &port, "--save", "", "--appendonly", "no"])
            .args(["--bind", "127.0.0.1", "--dir", "/tmp"])
            .stdout(Stdio::null())
            .spawn();
        child.ok().map(Redis)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A connection to either server.
struct Client {
    stream: TcpStream,
    buffer: BytesMut,
    decoder: ReplyDecoder,
}

impl Client {
    fn connect(address: &str) -> Client {
        let begun = Instant::now();
        let stream = loop {
            match TcpStream::connect(address) {
                Ok(stream) => break stream,
                Err(error) => assert!(begun.elapsed() < LIMIT, "{address}: {error}"),
            }
            std::thread::yield_now();
        };
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Client {
            stream,
            buffer: BytesMut::new(),
            decoder: ReplyDecoder::new(Version::Two, ReplyLimits::default()),
        }
    }

    fn send(&mut self, requests: &[Vec<Vec<u8>>]) {
        let mut bytes = BytesMut::new();
        for request in requests {
            encode_request(request, &mut bytes);
        }
        self.stream.write_all(&bytes).unwrap();
    }

    fn receive(&mut self) -> Reply {
        loop {
            if let Some(reply) = self.decoder.next(&mut self.buffer).unwrap() {
                return reply;
            }
            let mut read = [0; 1 << 16];
            let count = self.stream.read(&mut read).unwrap();
            assert!(count > 0, "the connection was closed");
            self.buffer.extend_from_slice(&read[..count]);
        }
    }
}

/// Draws commands.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % end
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }

    fn key(&mut self) -> &'static str {
        self.of(&[
            "a",
            "b",
            "c",
            "counter",
            "",
            "key:with:colons",
            "long-long-long-long-name",
        ])
    }

    fn value(&mut self) -> &'static str {
        self.of(&[
            "1",
            "-1",
            "0",
            "41",
            "9223372036854775807",
            "-9223372036854775808",
            "9223372036854775808",
            "+1",
            "01",
            " 1",
            "1 ",
            "1.5",
            "",
            "text",
            "EX",
            "nx",
            "\r\n",
            "-0",
            "NaN",
            "18446744073709551616",
        ])
    }

    /// Seconds that pass only if they have passed already.
    fn seconds(&mut self) -> &'static str {
        self.time(["1000", "100000", "01000"])
    }

    /// Likewise.
    fn millis(&mut self) -> &'static str {
        self.time(["1000000", "100000000", "01000000"])
    }

    fn time(&mut self, [short, long, odd]: [&'static str; 3]) -> &'static str {
        self.of(&[
            short,
            long,
            "0",
            "-1",
            "x",
            "",
            "9223372036854775807",
            "9223372036854775",
            "9223372036854774",
            "-9223372036854775808",
            "9223372036854775808",
            "1e3",
            odd,
        ])
    }

    fn set(&mut self) -> Vec<&'static str> {
        let mut words = vec!["SET", self.key(), self.value()];
        for _ in 0..self.below(4) {
            match self.below(6) {
                0 => words.extend(["EX", self.seconds()]),
                1 => words.extend(["px", self.millis()]),
                _ => words.push(self.of(&["NX", "XX", "GET", "KEEPTTL", "nx", "Get", "FOO", ""])),
            }
        }
        words
    }

    fn command(&mut self) -> Vec<&'static str> {
        let (key, other, value) = (self.key(), self.key(), self.value());
        let (seconds, millis) = (self.seconds(), self.millis());
        let pattern = self.of(&[
            "*",
            "a*",
            "?",
            "[a-c]",
            "[^a]",
            "\\a",
            "key:*:colons",
            "",
            "[b-",
            "**c*",
        ]);
        match self.below(44) {
            0..8 => self.set(),
            8 => vec!["GET", key],
            9 => vec!["SETNX", key, value],
            10 => vec!["SETEX", key, seconds, value],
            11 => vec!["PSETEX", key, millis, value],
            12 => vec!["DEL", key, other],
            13 => vec!["UNLINK", key],
            14 => vec!["EXISTS", key, other, key],
            15 => vec!["INCR", key],
            16 => vec!["DECR", key],
            17 => vec!["INCRBY", key, value],
            18 => vec!["DECRBY", key, value],
            19 => vec!["APPEND", key, value],
            20 => vec!["STRLEN", key],
            21 => vec!["MGET", key, other, key],
            22 => vec!["MSET", key, value, other, "2"],
            23 => vec!["GETSET", key, value],
            24 => vec!["EXPIRE", key, seconds],
            25 => vec!["PEXPIRE", key, millis],
            26 => vec!["TTL", key],
            27 => vec!["PERSIST", key],
            28 => vec!["KEYS", pattern],
            29 => vec![
                "SCAN",
                self.of(&["0", "", "+0", "00", "x", "-", " 0"]),
                "COUNT",
                "1000",
            ],
            30 => vec![
                "SCAN",
                "0",
                "MATCH",
                pattern,
                "COUNT",
                self.of(&["1000", "0", "x", "-1"]),
            ],
            31 => vec!["DBSIZE"],
            32 => vec!["TYPE", key],
            33 => vec!["FLUSHDB"],
            34 => vec![self.of(&["PING", "ping", "UNWATCH", "EXEC", "DISCARD", "MULTI"])],
            35 => vec!["PING", value],
            36 => vec!["ECHO", value],
            37 => vec!["SELECT", self.of(&["0", "x", "99999999999"])],
            38 => vec![self.of(&[
                "GET", "SET", "MSET", "ECHO", "EXPIRE", "INCRBY", "SCAN", "STRLEN",
            ])],
            39 => vec![self.of(&["NOSUCH", "get2", "FOO"]), key, value],
            40 => vec![
                self.of(&["EXEC", "DISCARD", "MULTI", "GET", "DBSIZE", "PING"]),
                "x",
                "y",
                "z",
            ],
            41 => vec!["CLIENT", self.of(&["FOO", "GETNAME", "foo"])],
            42 => vec!["MSET", key, value, other],
            _ => vec!["MULTI"],
        }
    }
}

/// The reply in an order that both have.
fn sorted(request: &[Vec<u8>], reply: Reply) -> Reply {
    let sort = |reply: Reply| match reply {
        Reply::Array(mut replies) => {
            replies.sort_by_key(|reply| format!("{reply:?}"));
            Reply::Array(replies)
        }
        other => other,
    };
    let deep = |reply: Reply| match reply {
        Reply::Array(parts) => Reply::Array(parts.into_iter().map(sort).collect()),
        other => other,
    };
    match (request[0].to_ascii_uppercase().as_slice(), reply) {
        (b"KEYS", reply) => sort(reply),
        (b"SCAN", reply) => deep(reply),
        // The replies of any commands.
        (b"EXEC", Reply::Array(replies)) => {
            Reply::Array(replies.into_iter().map(|reply| sort(deep(reply))).collect())
        }
        (_, reply) => reply,
    }
}

/// Whether the two replies agree. Of a TTL, time may pass between the two; all are 1,000 or 100,000
/// seconds at first.
fn agree(request: &[Vec<u8>], theirs: &Reply, ours: &Reply) -> bool {
    let name = request[0].to_ascii_uppercase();
    let may_have_ttl = name == b"TTL" || name == b"EXEC";
    match (theirs, ours) {
        (Reply::Integer(theirs), Reply::Integer(ours)) if may_have_ttl && *theirs > 500 => {
            theirs.abs_diff(*ours) <= 300
        }
        (Reply::Array(theirs), Reply::Array(ours)) if theirs.len() == ours.len() => {
            let mut pairs = theirs.iter().zip(ours);
            pairs.all(|(theirs, ours)| agree(request, theirs, ours))
        }
        (theirs, ours) => theirs == ours,
    }
}

#[test]
fn random_commands_are_answered_as_redis_answers_them() {
    let ports = ports::free_ports(3);
    let Some(_redis) = Redis::start(ports[0]) else {
        eprintln!("skipped: there is no redis-server on this machine");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::new(folder.path());
    settings.clients = format!("127.0.0.1:{}", ports[1]);
    settings.request_timeout = LIMIT;
    let identity = Identity {
        cluster: 5,
        node: 1,
        founders: vec![Founder {
            node: 1,
            peers: format!("127.0.0.1:{}", ports[2]),
        }],
    };
    let _server = Server::start(settings, identity).unwrap();
    let mut redis = Client::connect(&format!("127.0.0.1:{}", ports[0]));
    let mut own = Client::connect(&format!("127.0.0.1:{}", ports[1]));
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let count: usize = number("RAFT_KV_DIFFERENTIAL").unwrap_or(20_000) as usize;
    let mut draw = Draw(number("RAFT_KV_SEED").unwrap_or(1));
    let mut done = 0;
    while done < count {
        let words = (0..PIPELINE).map(|_| draw.command());
        let bytes = |word: &str| word.as_bytes().to_vec();
        let requests: Vec<Vec<Vec<u8>>> = words
            .map(|words| words.into_iter().map(bytes).collect())
            .collect();
        redis.send(&requests);
        own.send(&requests);
        for (place, request) in requests.iter().enumerate() {
            let theirs = sorted(request, redis.receive());
            let ours = sorted(request, own.receive());
            if !agree(request, &theirs, &ours) {
                let shown = |request: &Vec<Vec<u8>>| {
                    let words = request.iter().map(|word| String::from_utf8_lossy(word));
                    words
                        .map(|word| format!("{word:?}"))
                        .collect::<Vec<_>>()
                        .join(" ")
                };
                let before = requests[place.saturating_sub(20)..=place].iter().map(shown);
                let before: Vec<_> = before.collect();
                panic!(
                    "command {}: Redis {theirs:?}, raft-kv {ours:?} after\n{}",
                    done + place,
                    before.join("\n")
                );
            }
        }
        done += PIPELINE;
    }
}
