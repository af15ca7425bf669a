//! The workload: clients that draw operations (the generator), invoke them, and record the history.

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

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// How long a reply may take.
const REPLY_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a request of a session is repeated before its result counts as unknown.
const REPEAT_LIMIT: Duration = Duration::from_secs(15);
/// Keys are replaced by new ones after this time, because operations with unknown results
/// accumulate.
const GENERATION: Duration = Duration::from_secs(5);
/// How many keys are registers, which are set, at a time.
const REGISTERS: u64 = 4;
/// How many keys are counters, which are incremented.
const COUNTERS: u64 = 2;
/// The longest pause between two operations, in milliseconds.
const MAX_PAUSE: u64 = 12;

/// The addresses of the servers, kept up to date.
pub(crate) type Servers = Arc<Mutex<Vec<SocketAddr>>>;

/// All clients.
pub(crate) struct Clients {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Operation<Store>>>>,
}

impl Clients {
    /// Starts so many clients. Every second one has a session.
    pub(crate) fn start(count: u64, seed: u64, servers: &Servers, tally: &Arc<Tally>) -> Clients {
        let stop = Arc::new(AtomicBool::new(false));
        let begin = |id| {
            let retry = if id % 2 == 0 {
                Retry::InSession
            } else {
                Retry::Never
            };
            let random = Random::new(seed, &format!("client {id}"));
            let caller = Caller::new(servers.clone(), random.clone(), tally.clone(), retry);
            let client = Client::new(id, random, caller, tally.clone());
            let stop = stop.clone();
            thread::spawn(move || client.run(&stop))
        };
        let threads = (1..=count).map(begin).collect();
        Clients { stop, threads }
    }

    /// Stops the clients after their current operations, and returns the history. A client that
    /// panicked is an error.
    pub(crate) fn stop(self) -> Result<Vec<Operation<Store>>, String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut operations = Vec::new();
        for client in self.threads {
            let history = client.join().map_err(|_| "a client panicked")?;
            operations.extend(history);
        }
        Ok(operations)
    }
}

struct Client {
    id: u64,
    random: Random,
    caller: Caller,
    tally: Arc<Tally>,
    /// What it wrote or read last under recent keys: the value that a CAS may find.
    last_known: Vec<(String, Option<u64>)>,
    /// How many numbers it has written.
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
            last_known: Vec::new(),
            written: 0,
            operations: Vec::new(),
        }
    }

    fn run(mut self, stop: &AtomicBool) -> Vec<Operation<Store>> {
        while !stop.load(Ordering::Relaxed) {
            let (key, input) = self.generate();
            self.invoke(key, input);
            thread::sleep(Duration::from_millis(self.random.below(MAX_PAUSE + 1)));
        }
        self.operations
    }

    /// Draws the next operation.
    fn generate(&mut self) -> (String, Input) {
        let generation_nanos = GENERATION.as_nanos() as u64;
        let generation = self.tally.now() / generation_nanos;
        let slot = self.random.below(REGISTERS + COUNTERS);
        // Old values must not be lost either.
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
            40..65 => Input::Set(self.unique()),
            65..73 => Input::Swap(self.unique()),
            73..96 => {
                let known = self.last_known.iter().find(|(known, _)| *known == key);
                let old = known.and_then(|(_, number)| *number);
                let new = self.unique();
                Input::Cas { old, new }
            }
            _ => Input::Delete,
        };
        (key, input)
    }

    /// A number that is written only once.
    fn unique(&mut self) -> u64 {
        self.written += 1;
        self.id << 32 | self.written
    }

    /// Invokes an operation, and records its result.
    fn invoke(&mut self, key: String, input: Input) {
        let invoked = self.tally.now();
        let outcome = self.caller.call(&key, &input);
        let now = self.tally.now();
        let output = match outcome {
            Outcome::Known(output) => {
                self.tally.succeeded(now);
                self.remember(&key, &input, &output);
                Some(output)
            }
            // It had no effect, so it is no part of the history.
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

    /// Remembers the value that the key holds now, as far as this client knows.
    fn remember(&mut self, key: &str, input: &Input, output: &Output) {
        let number = match (input, output) {
            (Input::Get, Output::Number(number)) => *number,
            (Input::Set(new) | Input::Swap(new), _) => Some(*new),
            (Input::Cas { new, .. }, Output::Whether(true)) => Some(*new),
            (Input::Delete, _) => None,
            (Input::Get | Input::Cas { .. } | Input::Increment, _) => return,
        };
        self.last_known.retain(|(known, _)| known != key);
        self.last_known.push((key.into(), number));
        if self.last_known.len() > REGISTERS as usize {
            self.last_known.remove(0);
        }
    }
}

fn key_of(slot: u64, generation: u64) -> String {
    match slot {
        0..REGISTERS => format!("register-{slot}.{generation}"),
        _ => format!("counter-{slot}.{generation}"),
    }
}

/// The result of an operation.
enum Outcome {
    Known(Output),
    /// It had no effect, and never will have one.
    Refused,
    Unknown,
}

/// Sends requests to one server or another.
pub(crate) struct Caller {
    servers: Servers,
    random: Random,
    tally: Arc<Tally>,
    connection: Option<Connection>,
    retry: Retry,
    session: Option<Session>,
}

/// Whether a request is repeated whose result is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    Never,
    /// Repeated under its number in a session, so that it runs once.
    InSession,
}

struct Session {
    id: String,
    sequence: u64,
}

/// The reply to a request.
enum Response {
    Frame(OwnedFrame),
    /// The request reached no server.
    Unsent,
    /// There was no reply: the request may have reached a server.
    None,
}

impl Caller {
    pub(crate) fn new(servers: Servers, random: Random, tally: Arc<Tally>, retry: Retry) -> Caller {
        Caller {
            servers,
            random,
            tally,
            connection: None,
            retry,
            session: None,
        }
    }

    fn call(&mut self, key: &str, input: &Input) -> Outcome {
        let words = words(key, input);
        if *input == Input::Get || self.retry == Retry::Never {
            return interpret(input, self.request(&words));
        }
        let Some(session) = self.session() else {
            return Outcome::Refused;
        };
        let mut numbered = vec!["ONCE".into(), session.0, session.1.to_string()];
        numbered.extend(words);
        let end = Instant::now() + REPEAT_LIMIT;
        let mut may_have_run = false;
        loop {
            let response = self.request(&numbered);
            if let Response::Frame(OwnedFrame::Error(error)) = &response
                && error.starts_with("NOSESSION")
            {
                self.session = None;
                return if may_have_run {
                    Outcome::Unknown
                } else {
                    Outcome::Refused
                };
            }
            match interpret(input, response) {
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

    /// The id of the session, and the number of the next request in it.
    fn session(&mut self) -> Option<(String, u64)> {
        if self.session.is_none() {
            let opened = self.request(&["SESSION".into(), "OPEN".into()]);
            let id = match opened {
                Response::Frame(OwnedFrame::Integer(id)) => id.to_string(),
                Response::Frame(OwnedFrame::BulkString(id) | OwnedFrame::SimpleString(id)) => {
                    String::from_utf8(id).ok()?
                }
                Response::Frame(_) | Response::Unsent | Response::None => return None,
            };
            self.session = Some(Session { id, sequence: 0 });
        }
        let session = self.session.as_mut()?;
        session.sequence += 1;
        Some((session.id.clone(), session.sequence))
    }

    fn request(&mut self, words: &[String]) -> Response {
        let Some(mut connection) = self.connect() else {
            thread::sleep(Duration::from_millis(20));
            return Response::Unsent;
        };
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let Ok(frame) = connection.request(&words, REPLY_TIMEOUT) else {
            return Response::None;
        };
        // After an error, another server may succeed.
        if !matches!(frame, OwnedFrame::Error(_)) {
            self.connection = Some(connection);
        }
        Response::Frame(frame)
    }

    /// The present connection, or a new one to any server.
    fn connect(&mut self) -> Option<Connection> {
        // Now and then to another server without a reason.
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
        let mut opened = turned.map(|address| Connection::open(*address, CONNECT_TIMEOUT));
        opened.find_map(Result::ok)
    }
}

/// The command of an operation.
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

/// What a reply means for the operation.
fn interpret(input: &Input, response: Response) -> Outcome {
    let frame = match response {
        Response::Frame(frame) => frame,
        Response::Unsent => return Outcome::Refused,
        Response::None => return Outcome::Unknown,
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
        // A reply of the wrong type: a number that no linearizable history contains.
        (_, _) => Output::Number(Some(u64::MAX)),
    };
    Outcome::Known(output)
}

/// Whether the server promises that the command was not executed, and will not be.
fn refused_or_unknown(error: &str) -> Outcome {
    const PROMISES: [&str; 2] = ["CLUSTERDOWN", "NOSESSION"];
    let is_promise = PROMISES.iter().any(|code| error.starts_with(code));
    if is_promise {
        Outcome::Refused
    } else {
        Outcome::Unknown
    }
}

/// Reads each of these keys once more after everything was healed: what was acknowledged has to be
/// there. A key that cannot be read is an error.
pub(crate) fn read_all(
    keys: &[String],
    mut caller: Caller,
    tally: &Tally,
) -> Result<Vec<Operation<Store>>, String> {
    let mut reads = Vec::new();
    for key in keys {
        let end = Instant::now() + REPEAT_LIMIT;
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
