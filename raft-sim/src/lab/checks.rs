//! What scripts ask of the cluster. The times are the lab's.

use super::clients::{Client, One, Retry, Turn};
use super::harness::Lab;
use super::report::Failure;
use bytes::Bytes;
use core::time::Duration;
use raft_proto::{RoleKind, Term};
use std::collections::BTreeMap;

/// The outcome of a wait for an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// It is committed on as many servers as wanted.
    Committed,
    /// A server has moved on to another term, so it may never be.
    MovedOn,
}

impl Lab {
    /// The one leader among the connected servers, of the highest term if some do not know yet
    /// that they were replaced. Waits for an election, about 5 s at most.
    pub(crate) fn check_one_leader(&mut self) -> Result<usize, Failure> {
        for _ in 0..10 {
            let pause = 450 + self.random.below(100);
            self.sleep_ms(pause)?;
            let mut leaders = BTreeMap::new();
            for server in 0..self.peers() {
                if let Some(term) = self.leads(server).filter(|_| self.is_connected(server))
                    && let Some(other) = leaders.insert(term, server)
                {
                    return self.fail(
                        format!("one leader in term {term}"),
                        format!("servers {other} and {server} both say that they lead"),
                    );
                }
            }
            if let Some((_, leader)) = leaders.pop_last() {
                return Ok(leader);
            }
        }
        self.fail("one leader among the connected servers", "none in 5 s")
    }

    /// The term in which `server` says that it leads.
    fn leads(&self, server: usize) -> Option<Term> {
        let (term, role) = self.get_state(server)?;
        (role == RoleKind::Leader).then_some(term)
    }

    /// No connected server says that it leads.
    pub(crate) fn check_no_leader(&mut self) -> Result<(), Failure> {
        for server in 0..self.peers() {
            if self.is_connected(server)
                && let Some(term) = self.leads(server)
            {
                return self.fail(
                    "no leader where no majority can talk",
                    format!("server {server} says that it leads in term {term}"),
                );
            }
        }
        Ok(())
    }

    /// The one term that all connected servers are in.
    pub(crate) fn check_terms(&mut self) -> Result<Term, Failure> {
        let mut agreed = None;
        for server in 0..self.peers() {
            let Some((term, _)) = self.get_state(server) else {
                continue;
            };
            if !self.is_connected(server) {
                continue;
            }
            if *agreed.get_or_insert(term) != term {
                return self.fail(
                    "all connected servers agree on the term",
                    format!("server {server} is in term {term}, others are not"),
                );
            }
        }
        Ok(agreed.unwrap_or_default())
    }

    /// Whether any running server's term is not `term`.
    pub(crate) fn any_term_other_than(&self, term: Term) -> bool {
        let mut states = (0..self.peers()).filter_map(|server| self.get_state(server));
        states.any(|(other, _)| other != term)
    }

    /// On how many servers, running or not, `index` is committed.
    pub(crate) fn committed_on(&self, index: u64) -> usize {
        self.service.committed_on(index)
    }

    /// Nobody has applied `index`.
    pub(crate) fn check_not_committed(&mut self, index: u64, why: &str) -> Result<(), Failure> {
        match self.committed_on(index) {
            0 => Ok(()),
            count => self.fail(
                format!("index {index} is not committed: {why}"),
                format!("{count} servers have applied it"),
            ),
        }
    }

    /// Waits until `servers` servers have applied `index`, about 30 s at most; with `term`, until
    /// a server is in a later one.
    pub(crate) fn wait(
        &mut self,
        index: u64,
        servers: usize,
        term: Option<Term>,
    ) -> Result<Waited, Failure> {
        let mut pause = 10;
        for _ in 0..30 {
            if self.committed_on(index) >= servers {
                return Ok(Waited::Committed);
            }
            self.sleep_ms(pause)?;
            if pause < 1000 {
                pause *= 2;
            }
            let mut states = (0..self.peers()).filter_map(|server| self.get_state(server));
            if let Some(term) = term
                && states.any(|(now, _)| now > term)
            {
                return Ok(Waited::MovedOn);
            }
        }
        match self.committed_on(index) {
            count if count >= servers => Ok(Waited::Committed),
            count => self.fail(
                format!("index {index} is committed on {servers} servers"),
                format!("only on {count} after 30 s"),
            ),
        }
    }

    /// A fresh command is committed on `servers` servers within 10 s, offered again if it takes
    /// longer than 2 s; returns its index.
    pub(crate) fn one(&mut self, servers: usize) -> Result<u64, Failure> {
        let command = self.fresh_command();
        self.one_of(command, servers, Retry::Allowed)
    }

    /// Like [`Lab::one`], without a second offer.
    pub(crate) fn one_without_retry(&mut self, servers: usize) -> Result<u64, Failure> {
        let command = self.fresh_command();
        self.one_of(command, servers, Retry::Forbidden)
    }

    /// Commits `command` on `servers` servers.
    pub(crate) fn one_of(
        &mut self,
        command: Bytes,
        servers: usize,
        retry: Retry,
    ) -> Result<u64, Failure> {
        let mut client = One::new(self.now(), command, servers, retry);
        loop {
            match client.act(self)? {
                Turn::After(pause) => self.sleep(pause)?,
                Turn::Done(index) => return Ok(index),
            }
        }
    }

    /// Commits `command` on `servers` servers at exactly `index`, without a second offer.
    pub(crate) fn one_at(
        &mut self,
        index: u64,
        command: Bytes,
        servers: usize,
    ) -> Result<(), Failure> {
        match self.one_of(command, servers, Retry::Forbidden)? {
            found if found == index => Ok(()),
            found => self.fail(
                format!("the command gets index {index}"),
                format!("it gets {found}"),
            ),
        }
    }

    /// Offers a fresh command to `server`, which must lead, and does not wait; returns its index.
    pub(crate) fn start_at_leader(&mut self, server: usize) -> Result<u64, Failure> {
        let command = self.fresh_command();
        match self.start(server, &command)? {
            Some(id) => Ok(id.index.0),
            None => self.fail(
                format!("server {server}, the leader, accepts a command"),
                "it does not",
            ),
        }
    }

    /// Lets a client act beside the script, from now on.
    pub(crate) fn spawn(&mut self, client: Client) {
        self.clients.push(Some(client));
        let number = self.clients.len() - 1;
        self.schedule(Duration::ZERO, super::harness::Happening::Client(number));
    }

    /// Waits until all clients are done.
    pub(crate) fn join_clients(&mut self) -> Result<(), Failure> {
        while self.clients.iter().any(Option::is_some) {
            self.sleep_ms(1)?;
        }
        self.clients.clear();
        Ok(())
    }
}
