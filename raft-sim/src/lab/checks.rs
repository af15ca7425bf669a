//! What scripts expect of the cluster: one leader, agreement on a command, an index that is
//! committed. The times are the lab's.

use super::clients::{Agreement, Retry};
use super::cluster::{ClientStep, Lab};
use super::failure::Failure;
use bytes::Bytes;
use core::time::Duration;
use raft_proto::{RoleKind, Term};
use std::collections::BTreeMap;

/// The time after which an election is surely over.
pub(crate) const ELECTION: Duration = Duration::from_secs(1);

/// The outcome of a wait for an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// The index is committed on as many servers as wanted.
    Committed,
    /// A server is in a later term, so the index may never be committed.
    TermPassed,
}

impl Lab {
    /// The leader among the connected servers. If some do not know yet that they were replaced, it
    /// is the one of the highest term. Waits for an election, about 5 s at most.
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

    /// No server has applied `index`.
    pub(crate) fn check_not_committed(&mut self, index: u64, why: &str) -> Result<(), Failure> {
        match self.committed_on(index) {
            0 => Ok(()),
            count => self.fail(
                format!("index {index} is not committed: {why}"),
                format!("{count} servers have applied it"),
            ),
        }
    }

    /// Waits until `servers` servers have applied `index`, about 30 s at most. With `term`, the
    /// wait also ends when a server is in a later term.
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
                return Ok(Waited::TermPassed);
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

    /// The lab's `one`: commits a fresh command on `servers` servers within 10 s, and returns its
    /// index. The command is proposed again if that takes longer than 2 s.
    pub(crate) fn one(&mut self, servers: usize) -> Result<u64, Failure> {
        let command = self.fresh_command();
        self.one_of(command, servers, Retry::Allowed)
    }

    /// Like [`Lab::one`], but the command is proposed once.
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
        let mut client = Agreement::new(self.now(), command, servers, retry);
        loop {
            match client.proceed(self)? {
                ClientStep::WaitFor(pause) => self.sleep(pause)?,
                ClientStep::Done(index) => return Ok(index),
            }
        }
    }

    /// Commits `command` on `servers` servers at exactly `index`. The command is proposed once.
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

    /// Proposes a fresh command to `server`, which must lead, and returns its index at once.
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
}
