//! The client's side: it numbers commands, so that they can be repeated.

use super::command::{self, Operation};
use super::table::Origin;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A client's session. Commands of several threads may be under way in one session.
///
/// It proposes nothing by itself: what [`open`](Session::open), [`close`](Session::close) and
/// [`request`](Session::request) return is proposed with [`Node::execute`](crate::Node::execute)
/// and its like, on a node whose state machine is [`Sessions`](super::Sessions).
#[derive(Debug)]
pub struct Session {
    number: u64,
    requests: RequestNumbers,
}

impl Session {
    /// A session of this number, which no other client may have: draw it at random, as with
    /// [`fresh_seed`](crate::fresh_seed). It has to be opened before the first request.
    pub fn new(number: u64) -> Session {
        Session {
            number,
            requests: RequestNumbers::default(),
        }
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The command that opens it. It may be repeated: a session that is open stays as it is.
    ///
    /// If the session was lost meanwhile, it is made anew, and remembers nothing. So it refuses the
    /// requests that were numbered before this call
    /// ([`Forgotten`](super::SessionAnswer::Forgotten)): the lost one may have applied them.
    pub fn open(&self) -> Bytes {
        let (number, floor) = (self.number, self.requests.next());
        command::encode(Operation::Open { number, floor }, &[])
    }

    /// The command that closes it, after its last request. What it remembers is forgotten. It may be
    /// repeated.
    pub fn close(&self) -> Bytes {
        command::encode(Operation::Close(self.number), &[])
    }

    /// Numbers a command of the state machine, so that it can be proposed again and again.
    pub fn request(&self, command: &[u8]) -> Request {
        let number = self.requests.begin(self.number);
        Request {
            command: command::encode(Operation::Apply(number.origin()), command),
            _number: number,
        }
    }
}

/// A numbered command, which is applied once however often it is proposed.
///
/// Keep it until its answer is there: once it is dropped, its session tells the cluster with the
/// next request that this answer is not needed any more.
#[derive(Debug)]
pub struct Request {
    command: Bytes,
    _number: RequestNumber,
}

impl Request {
    /// What is proposed. The same bytes each time.
    pub fn command(&self) -> &Bytes {
        &self.command
    }
}

/// The numbers of a client's requests, for commands that are encoded in one's own way.
#[derive(Clone, Debug, Default)]
pub struct RequestNumbers(Arc<Mutex<Numbers>>);

#[derive(Debug, Default)]
struct Numbers {
    last: u64,
    /// Those of requests that may be repeated.
    open: BTreeSet<u64>,
}

impl RequestNumbers {
    /// The next number, for a request of this session. A session begins with numbers of its own, or
    /// goes on with those of another.
    pub fn begin(&self, session: u64) -> RequestNumber {
        let mut numbers = self.lock();
        numbers.last += 1;
        let sequence = numbers.last;
        numbers.open.insert(sequence);
        let floor = numbers.open.first().copied().unwrap_or(sequence);
        let origin = Origin {
            session,
            sequence,
            floor,
        };
        RequestNumber {
            origin,
            numbers: self.clone(),
        }
    }

    /// The number that comes next.
    fn next(&self) -> u64 {
        self.lock().last + 1
    }

    fn lock(&self) -> MutexGuard<'_, Numbers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of a request. Once it is dropped, the request is never repeated: later requests say
/// that its answer can be forgotten.
#[derive(Debug)]
pub struct RequestNumber {
    origin: Origin,
    numbers: RequestNumbers,
}

impl RequestNumber {
    /// What the request says of itself, each time.
    pub fn origin(&self) -> Origin {
        self.origin
    }
}

impl Drop for RequestNumber {
    fn drop(&mut self) {
        self.numbers.lock().open.remove(&self.origin.sequence);
    }
}
