//! Clients: small state machines that act, then wait, so that several of them can go on at once
//! beside a script.

use super::harness::{Happening, Lab};
use super::report::Failure;
use bytes::Bytes;
use core::time::Duration;
use raft_proto::Time;

/// Whether a command that is not committed within 2 s is offered again. It may then be
/// committed twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    Allowed,
    Forbidden,
}

/// What a client does after it has acted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn<T> {
    /// It acts again after this time.
    After(Duration),
    /// It has come to an end.
    Done(T),
}

/// A client that goes on beside the script.
#[derive(Debug)]
pub(crate) enum Client {
    One(One),
    Churn(Churn),
}

impl Lab {
    pub(crate) fn client_acts(&mut self, number: usize) -> Result<(), Failure> {
        let Some(mut client) = self.clients.get_mut(number).and_then(Option::take) else {
            return Ok(());
        };
        let turn = match &mut client {
            Client::One(one) => match one.act(self)? {
                Turn::After(pause) => Turn::After(pause),
                Turn::Done(_) => Turn::Done(()),
            },
            Client::Churn(churn) => churn.act(self)?,
        };
        if let Turn::After(pause) = turn {
            self.clients[number] = Some(client);
            self.schedule(pause, Happening::Client(number));
        }
        Ok(())
    }
}

/// Commits one command on a number of servers within 10 s.
#[derive(Debug)]
pub(crate) struct One {
    command: Bytes,
    servers: usize,
    retry: Retry,
    deadline: Time,
    /// The server that was asked last.
    asked: usize,
    /// Where the command stands, and until when to look there.
    offered: Option<(u64, Time)>,
}

impl One {
    pub(crate) fn new(now: Time, command: Bytes, servers: usize, retry: Retry) -> One {
        One {
            command,
            servers,
            retry,
            deadline: now.after(Duration::from_secs(10)),
            asked: 0,
            offered: None,
        }
    }

    /// The next step; done with the index at which the command is committed.
    pub(crate) fn act(&mut self, lab: &mut Lab) -> Result<Turn<u64>, Failure> {
        if let Some((index, until)) = self.offered {
            if lab.now() < until {
                return Ok(self.look(lab, index));
            }
            self.offered = None;
            if self.retry == Retry::Forbidden {
                return self.give_up(lab, "2 s");
            }
        }
        if lab.now() >= self.deadline {
            return self.give_up(lab, "10 s");
        }
        match self.offer(lab)? {
            Some(index) => {
                self.offered = Some((index, lab.now().after(Duration::from_secs(2))));
                Ok(self.look(lab, index))
            }
            None => Ok(Turn::After(Duration::from_millis(50))),
        }
    }

    fn give_up(&self, lab: &Lab, after: &str) -> Result<Turn<u64>, Failure> {
        let (command, servers) = (&self.command, self.servers);
        lab.fail(
            format!("command {command:?} is committed on {servers} servers within {after}"),
            "it is not",
        )
    }

    /// Asks one server after the other until one accepts the command.
    fn offer(&mut self, lab: &mut Lab) -> Result<Option<u64>, Failure> {
        for _ in 0..lab.peers() {
            self.asked = lab.after(self.asked, 1);
            if lab.is_connected(self.asked)
                && let Some(id) = lab.start(self.asked, &self.command)?
            {
                return Ok(Some(id.index.0));
            }
        }
        Ok(None)
    }

    fn look(&self, lab: &Lab, index: u64) -> Turn<u64> {
        let is_ours = lab.service.command(index) == Some(&self.command);
        if is_ours && lab.committed_on(index) >= self.servers {
            return Turn::Done(index);
        }
        Turn::After(Duration::from_millis(20))
    }
}

/// One of the clients of the churn scenarios: offers value after value, and remembers those that
/// it saw committed.
#[derive(Debug)]
pub(crate) struct Churn {
    /// The client's number, which decides how long it rests.
    number: u64,
    /// A value that was offered: its last index, and how often it was looked for.
    offered: Option<(Bytes, u64, usize)>,
}

/// What the churn clients share with their script.
#[derive(Debug, Default)]
pub(crate) struct ChurnRecord {
    /// What they saw committed.
    pub(crate) committed: Vec<Bytes>,
    /// Set when they are to stop.
    pub(crate) is_over: bool,
}

impl Churn {
    pub(crate) fn new(number: u64) -> Churn {
        Churn {
            number,
            offered: None,
        }
    }

    fn act(&mut self, lab: &mut Lab) -> Result<Turn<()>, Failure> {
        /// How long it waits after each look, in ms.
        const PAUSES: [u64; 5] = [10, 20, 50, 100, 200];
        loop {
            let Some((value, index, looks)) = &mut self.offered else {
                if lab.churn.is_over {
                    return Ok(Turn::Done(()));
                }
                if !self.offer(lab)? {
                    let pause = 79 + 17 * self.number;
                    return Ok(Turn::After(Duration::from_millis(pause)));
                }
                continue;
            };
            if let Some(&pause) = PAUSES.get(*looks)
                && lab.committed_on(*index) == 0
            {
                *looks += 1;
                return Ok(Turn::After(Duration::from_millis(pause)));
            }
            if *looks < PAUSES.len() && lab.service.command(*index) == Some(value) {
                lab.churn.committed.push(value.clone());
            }
            self.offered = None;
        }
    }

    /// Offers a new value to every server, connected or not. Whether any accepted it.
    fn offer(&mut self, lab: &mut Lab) -> Result<bool, Failure> {
        let value = lab.fresh_command();
        for server in 0..lab.peers() {
            if let Some(id) = lab.start(server, &value)? {
                self.offered = Some((value.clone(), id.index.0, 0));
            }
        }
        Ok(self.offered.is_some())
    }
}
