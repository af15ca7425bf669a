//! Clients that read, write, compare and set, count, and write down what they saw.

use crate::client::Connection;
use crate::history::Tally;
use crate::model::{Input, Output, Store};
use raft_sim::linearizability::Operation;
use raft_sim::random::Random;
use redis_protocol::resp2::types::OwnedFrame;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a client waits for a connection, and for an answer.
const CONNECT: Duration = Duration::from_millis(500);
const ANSWER: Duration = Duration::from_secs(3);
/// How long a request of a session is repeated before it is given up.
const REPEAT: Duration = Duration::from_secs(15);
/// Keys are left for fresh ones after that time, as operations of unknown outcome pile up on them.
const GENERATION: Duration = Duration::from_secs(5);
/// Keys in use at a time: with numbers that are set, and with those that are counted up.
const REGISTERS: u64 = 4;
const COUNTERS: u64 = 2;
/// The longest pause between two operations, in milliseconds.
const PAUSE: u64 = 12;

/// Where servers are that may be asked, kept up to date.
pub(crate) type Servers = Arc<Mutex<Vec<SocketAddr>>>;

/// All clients.
pub(crate) struct Clients {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Operation<Store>>>>,
}

impl Clients {
    /// Starts so many clients; every second one has a session.
    pub(crate) fn start(count: u64, seed: u64, servers: &Servers, tally: &Arc<Tally>) -> Clients {
        let stop = Arc::new(AtomicBool::new(false));
        let begin = |id| {
            let has_session = id % 2 == 0;
            let random = Random::new(seed, &format!("client {id}"));
            let caller = Caller::new(servers.clone(), random.clone(), tally.clone(), has_session);
            let client = Client::new(id, random, caller, tally.clone());
            let stop = stop.clone();
            thread::spawn(move || client.run(&stop))
        };
        let threads = (1..=count).map(begin).collect();
        Clients { stop, threads }
    }

    /// Lets each end what it is at; says what they saw. A client that panicked is an error.
    pub(crate) fn stop(self) -> Result<Vec<Operation<Store>>, String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut operations = Vec::new();
        for client in self.threads {
            let seen = client.join().map_err(|_| "a client panicked")?;
            operations.extend(seen);
        }
        Ok(operations)
    }
}

struct Client {
    id: u64,
    random: Random,
    caller: Caller,
    tally: Arc<Tally>,
    /// What it wrote or read last, by key of the present generation: what a CAS may find.
    seen: Vec<(String, Option<u64>)>,
    /// Numbers that it has written.
    written: u64,
    operations: Vec<Operation<Store>>,
}

impl Client {
    fn new(id: u64, random: Random, caller: Caller, tally: Arc<Tally>) -> Client {
        Client {
            id,
            random,
            caller,
            tally,
            seen: Vec::new(),
            written: 0,
            operations: Vec::new(),
        }
    }

    fn run(mut self, stop: &AtomicBool) -> Vec<Operation<Store>> {
        while !stop.load(Ordering::Relaxed) {
            let (key, input) = self.draw();
            self.perform(key, input);
            thread::sleep(Duration::from_millis(self.random.below(PAUSE + 1)));
        }
        self.operations
    }

    /// What to do next.
    fn draw(&mut self) -> (String, Input) {
        let generation_nanos = GENERATION.as_nanos() as u64;
        let generation = self.tally.now() / generation_nanos;
        let slot = self.random.below(REGISTERS + COUNTERS);
        // What was written long ago has to be there still.
        if self.random.below(100) < 5 {
            let old = self.random.below(generation + 1);
            return (key_of(slot, old), Input::Get);
        }
        let key = key_of(slot, generation);
        let drawn = self.random.below(100);
        if slot >= REGISTERS {
            let input = if drawn < 50 {
                Input::Increment
            } else {
                Input::Get
            };
            return (key, input);
        }
        let input = match drawn {
            0..40 => Input::Get,
            40..65 => Input::Set(self.fresh()),
            65..73 => Input::Swap(self.fresh()),
            73..96 => {
                let seen = self.seen.iter().find(|(seen, _)| *seen == key);
                let old = seen.and_then(|(_, number)| *number);
                let new = self.fresh();
                Input::Cas { old, new }
            }
            _ => Input::Delete,
        };
        (key, input)
    }

    /// A number that nobody else writes.
    fn fresh(&mut self) -> u64 {
        self.written += 1;
        self.id << 32 | self.written
    }

    /// Does it, and writes down what came out.
    fn perform(&mut self, key: String, input: Input) {
        let invoked = self.tally.now();
        let outcome = self.caller.call(&key, &input);
        let now = self.tally.now();
        let output = match outcome {
            Outcome::Known(output) => {
                self.tally.succeeded(now);
                self.note(&key, &input, &output);
                Some(output)
            }
            // It took no effect, so it is no part of the history.
            Outcome::Refused => {
                self.tally.failed.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Outcome::Unknown => {
                self.tally.unknown.fetch_add(1, Ordering::Relaxed);
                None
            }
        };
        self.operations.push(Operation {
            client: self.id,
            key,
            invoked,
            returned: output.is_some().then_some(now),
            input,
            output,
        });
    }

    /// Remembers what the key holds now, as far as this client knows.
    fn note(&mut self, key: &str, input: &Input, output: &Output) {
        let number = match (input, output) {
            (Input::Get, Output::Number(number)) => *number,
            (Input::Set(new) | Input::Swap(new), _) => Some(*new),
            (Input::Cas { new, .. }, Output::Whether(true)) => Some(*new),
            (Input::Delete, _) => None,
            (Input::Get | Input::Cas { .. } | Input::Increment, _) => return,
        };
        self.seen.retain(|(seen, _)| seen != key);
        self.seen.push((key.into(), number));
        if self.seen.len() > REGISTERS as usize {
            self.seen.remove(0);
        }
    }
}

fn key_of(slot: u64, generation: u64) -> String {
    match slot {
        0..REGISTERS => format!("register-{slot}.{generation}"),
        _ => format!("counter-{slot}.{generation}"),
    }
}

/// What came of an operation.
enum Outcome {
    Known(Output),
    /// It took no effect, and never will.
    Refused,
    Unknown,
}

/// Calls one server or another.
pub(crate) struct Caller {
    servers: Servers,
    random: Random,
    tally: Arc<Tally>,
    connection: Option<Connection>,
    /// Whether it repeats what got no answer, under a session's numbers.
    has_session: bool,
    session: Option<Session>,
}

struct Session {
    id: String,
    sequence: u64,
}

/// What a server said.
enum Said {
    Frame(OwnedFrame),
    /// The question did not get to any server.
    Unsent,
    /// It did, or not.
    Nothing,
}

impl Caller {
    pub(crate) fn new(
        servers: Servers,
        random: Random,
        tally: Arc<Tally>,
        has_session: bool,
    ) -> Caller {
        Caller {
            servers,
            random,
            tally,
            connection: None,
            has_session,
            session: None,
        }
    }

    fn call(&mut self, key: &str, input: &Input) -> Outcome {
        let words = words(key, input);
        if *input == Input::Get || !self.has_session {
            return understand(input, self.ask(&words));
        }
        let Some(session) = self.session() else {
            return Outcome::Refused;
        };
        let mut numbered = vec!["ONCE".into(), session.0, session.1.to_string()];
        numbered.extend(words);
        let end = Instant::now() + REPEAT;
        let mut may_have_run = false;
        loop {
            let said = self.ask(&numbered);
            if let Said::Frame(OwnedFrame::Error(error)) = &said
                && error.starts_with("NOSESSION")
            {
                self.session = None;
                return if may_have_run {
                    Outcome::Unknown
                } else {
                    Outcome::Refused
                };
            }
            match understand(input, said) {
                Outcome::Known(output) => {
                    let repeated = u64::from(may_have_run);
                    self.tally.repeated.fetch_add(repeated, Ordering::Relaxed);
                    return Outcome::Known(output);
                }
                Outcome::Refused if !may_have_run => return Outcome::Refused,
                Outcome::Refused | Outcome::Unknown if Instant::now() > end => {
                    return Outcome::Unknown;
                }
                Outcome::Refused => {}
                Outcome::Unknown => may_have_run = true,
            }
            thread::sleep(Duration::from_millis(self.random.below(50)));
        }
    }

    /// The session, and the number of the next request in it.
    fn session(&mut self) -> Option<(String, u64)> {
        if self.session.is_none() {
            let opened = self.ask(&["SESSION".into(), "OPEN".into()]);
            let id = match opened {
                Said::Frame(OwnedFrame::Integer(id)) => id.to_string(),
                Said::Frame(OwnedFrame::BulkString(id) | OwnedFrame::SimpleString(id)) => {
                    String::from_utf8(id).ok()?
                }
                Said::Frame(_) | Said::Unsent | Said::Nothing => return None,
            };
            self.session = Some(Session { id, sequence: 0 });
        }
        let session = self.session.as_mut()?;
        session.sequence += 1;
        Some((session.id.clone(), session.sequence))
    }

    fn ask(&mut self, words: &[String]) -> Said {
        let Some(mut connection) = self.connect() else {
            thread::sleep(Duration::from_millis(20));
            return Said::Unsent;
        };
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let Ok(frame) = connection.ask(&words, ANSWER) else {
            return Said::Nothing;
        };
        // After an error another server may do better.
        if !matches!(frame, OwnedFrame::Error(_)) {
            self.connection = Some(connection);
        }
        Said::Frame(frame)
    }

    /// The connection that is there, or one to any server.
    fn connect(&mut self) -> Option<Connection> {
        // Now and then to another server, though nothing happened.
        if self.random.below(200) == 0 {
            self.connection = None;
        }
        if let Some(connection) = self.connection.take() {
            return Some(connection);
        }
        let servers = self.servers.lock();
        let servers = servers.unwrap_or_else(PoisonError::into_inner).clone();
        let first = self.random.below(servers.len() as u64) as usize;
        let turned = servers.iter().cycle().skip(first).take(servers.len());
        let mut opened = turned.map(|address| Connection::open(*address, CONNECT));
        opened.find_map(Result::ok)
    }
}

/// The command in words.
fn words(key: &str, input: &Input) -> Vec<String> {
    let words = |words: &[&str]| words.iter().map(|word| String::from(*word)).collect();
    match input {
        Input::Get => words(&["GET", key]),
        Input::Set(new) => words(&["SET", key, &new.to_string()]),
        Input::Swap(new) => words(&["GETSET", key, &new.to_string()]),
        Input::Cas { old: None, new } => words(&["SET", key, &new.to_string(), "NX"]),
        Input::Cas {
            old: Some(old),
            new,
        } => words(&["CAS", key, &old.to_string(), &new.to_string()]),
        Input::Increment => words(&["INCR", key]),
        Input::Delete => words(&["DEL", key]),
    }
}

/// What an answer means for the operation.
fn understand(input: &Input, said: Said) -> Outcome {
    let frame = match said {
        Said::Frame(frame) => frame,
        Said::Unsent => return Outcome::Refused,
        Said::Nothing => return Outcome::Unknown,
    };
    let output = match (input, frame) {
        (_, OwnedFrame::Error(error)) => return refused_or_unknown(&error),
        (Input::Set(_), OwnedFrame::SimpleString(_)) => Output::Done,
        (Input::Get | Input::Swap(_), OwnedFrame::Null) => Output::Number(None),
        (Input::Get | Input::Swap(_), OwnedFrame::BulkString(text)) => {
            let number = std::str::from_utf8(&text)
                .ok()
                .and_then(|it| it.parse().ok());
            Output::Number(Some(number.unwrap_or(u64::MAX)))
        }
        (Input::Cas { .. }, OwnedFrame::SimpleString(_)) => Output::Whether(true),
        (Input::Cas { .. }, OwnedFrame::Null) => Output::Whether(false),
        (Input::Cas { .. } | Input::Delete, OwnedFrame::Integer(count)) => {
            Output::Whether(count == 1)
        }
        (Input::Increment, OwnedFrame::Integer(number)) => {
            Output::Number(u64::try_from(number).ok())
        }
        // An answer to another question: no order of operations explains it.
        (_, _) => Output::Number(Some(u64::MAX)),
    };
    Outcome::Known(output)
}

/// Whether the server promises that it has done nothing, and that nothing will be done.
fn refused_or_unknown(error: &str) -> Outcome {
    const PROMISES: [&str; 2] = ["CLUSTERDOWN", "NOSESSION"];
    let is_promise = PROMISES.iter().any(|code| error.starts_with(code));
    if is_promise {
        Outcome::Refused
    } else {
        Outcome::Unknown
    }
}

/// Reads each of these keys once more, with all healed: what was acknowledged has to be there.
/// Tells which one could not be read.
pub(crate) fn read_all(
    keys: &[String],
    mut caller: Caller,
    tally: &Tally,
) -> Result<Vec<Operation<Store>>, String> {
    let mut reads = Vec::new();
    for key in keys {
        let end = Instant::now() + REPEAT;
        let read = loop {
            let invoked = tally.now();
            if let Outcome::Known(output) = caller.call(key, &Input::Get) {
                break Operation {
                    client: 0,
                    key: key.clone(),
                    invoked,
                    returned: Some(tally.now()),
                    input: Input::Get,
                    output: Some(output),
                };
            }
            if Instant::now() > end {
                return Err(format!("{key} could not be read at the end"));
            }
        };
        reads.push(read);
    }
    Ok(reads)
}
