//! The clients of the scenarios.

use super::cluster::{Client, ClientStep, Lab};
use super::failure::Failure;
use bytes::Bytes;
use core::time::Duration;
use raft_proto::Time;
use std::cell::RefCell;
use std::rc::Rc;

/// Whether a command that is not committed within 2 s is proposed again. It may then be committed
/// twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    Allowed,
    Forbidden,
}

/// Commits one command on a number of servers within 10 s.
#[derive(Debug)]
pub(crate) struct Agreement {
    command: Bytes,
    servers: usize,
    retry: Retry,
    deadline: Time,
    /// The server that was tried last.
    server: usize,
    proposed: Option<Proposed>,
}

/// A command that a leader accepted.
#[derive(Clone, Copy, Debug)]
struct Proposed {
    index: u64,
    /// When it counts as not committed.
    until: Time,
}

impl Agreement {
    pub(crate) fn new(now: Time, command: Bytes, servers: usize, retry: Retry) -> Agreement {
        Agreement {
            command,
            servers,
            retry,
            deadline: now.after(Duration::from_secs(10)),
            server: 0,
            proposed: None,
        }
    }

    /// The next step. When it is done, it gives the index at which the command is committed.
    pub(crate) fn proceed(&mut self, lab: &mut Lab) -> Result<ClientStep<u64>, Failure> {
        if let Some(Proposed { index, until }) = self.proposed {
            if lab.now() < until {
                return Ok(self.look(lab, index));
            }
            self.proposed = None;
            if self.retry == Retry::Forbidden {
                return self.give_up(lab, "2 s");
            }
        }
        if lab.now() >= self.deadline {
            return self.give_up(lab, "10 s");
        }
        match self.propose(lab)? {
            Some(index) => {
                let until = lab.now().after(Duration::from_secs(2));
                self.proposed = Some(Proposed { index, until });
                Ok(self.look(lab, index))
            }
            None => Ok(ClientStep::WaitFor(Duration::from_millis(50))),
        }
    }

    fn give_up(&self, lab: &Lab, after: &str) -> Result<ClientStep<u64>, Failure> {
        let (command, servers) = (&self.command, self.servers);
        lab.fail(
            format!("command {command:?} is committed on {servers} servers within {after}"),
            "it is not",
        )
    }

    /// Tries one server after the other until one accepts the command.
    fn propose(&mut self, lab: &mut Lab) -> Result<Option<u64>, Failure> {
        for _ in 0..lab.peers() {
            self.server = lab.after(self.server, 1);
            if lab.is_connected(self.server)
                && let Some(id) = lab.start(self.server, &self.command)?
            {
                return Ok(Some(id.index.0));
            }
        }
        Ok(None)
    }

    fn look(&self, lab: &Lab, index: u64) -> ClientStep<u64> {
        let is_ours = lab.service.command(index) == Some(&self.command);
        if is_ours && lab.committed_on(index) >= self.servers {
            return ClientStep::Done(index);
        }
        ClientStep::WaitFor(Duration::from_millis(20))
    }
}

impl Client for Agreement {
    fn act(&mut self, lab: &mut Lab) -> Result<ClientStep<()>, Failure> {
        Ok(match self.proceed(lab)? {
            ClientStep::WaitFor(pause) => ClientStep::WaitFor(pause),
            ClientStep::Done(_) => ClientStep::Done(()),
        })
    }
}

/// A client of the churn scenarios: proposes value after value, and records those that it saw
/// committed.
#[derive(Debug)]
pub(crate) struct ChurnClient {
    /// The client's number, which decides how long it rests.
    number: u64,
    awaited: Option<Awaited>,
    record: Rc<RefCell<ChurnRecord>>,
}

/// A value that the client waits for.
#[derive(Debug)]
struct Awaited {
    value: Bytes,
    /// The last index that a server gave it.
    index: u64,
    /// How often the client has looked there.
    looks: usize,
}

/// What the churn clients share with their script.
#[derive(Debug, Default)]
pub(crate) struct ChurnRecord {
    /// What they saw committed.
    pub(crate) committed: Vec<Bytes>,
    /// Set when they are to stop.
    pub(crate) is_over: bool,
}

impl ChurnClient {
    pub(crate) fn new(number: u64, record: &Rc<RefCell<ChurnRecord>>) -> ChurnClient {
        ChurnClient {
            number,
            awaited: None,
            record: record.clone(),
        }
    }

    /// Proposes a new value to every server, connected or not. Whether any accepted it.
    fn propose(&mut self, lab: &mut Lab) -> Result<bool, Failure> {
        let value = lab.fresh_command();
        for server in 0..lab.peers() {
            if let Some(id) = lab.start(server, &value)? {
                self.awaited = Some(Awaited {
                    value: value.clone(),
                    index: id.index.0,
                    looks: 0,
                });
            }
        }
        Ok(self.awaited.is_some())
    }
}

impl Client for ChurnClient {
    fn act(&mut self, lab: &mut Lab) -> Result<ClientStep<()>, Failure> {
        /// How long it waits after each look, in ms.
        const PAUSES: [u64; 5] = [10, 20, 50, 100, 200];
        loop {
            let Some(awaited) = &mut self.awaited else {
                if self.record.borrow().is_over {
                    return Ok(ClientStep::Done(()));
                }
                if !self.propose(lab)? {
                    let pause = 79 + 17 * self.number;
                    return Ok(ClientStep::WaitFor(Duration::from_millis(pause)));
                }
                continue;
            };
            let Awaited {
                value,
                index,
                looks,
            } = awaited;
            if let Some(&pause) = PAUSES.get(*looks)
                && lab.committed_on(*index) == 0
            {
                *looks += 1;
                return Ok(ClientStep::WaitFor(Duration::from_millis(pause)));
            }
            if *looks < PAUSES.len() && lab.service.command(*index) == Some(value) {
                self.record.borrow_mut().committed.push(value.clone());
            }
            self.awaited = None;
        }
    }
}
