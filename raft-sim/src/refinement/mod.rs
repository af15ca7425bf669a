//! A second opinion: the safety argument of Raft as an abstract state, and each step of a real
//! cluster as a sequence of its transitions.
//!
//! # The argument
//!
//! The checkers look for what a mistake leads to. This module looks at each step, and asks whether
//! the proof (thesis, 3.6.3 and appendix B) has a transition for it. A step that has none is the
//! mistake itself, whether or not any harm follows in this run.
//!
//! The abstract state, much smaller than a cluster:
//!
//! * *The leaders' logs by term* (`logs.rs`). Only the leader of a term makes entries of that term,
//!   after those that it was elected with. So all logs together are one tree. An index and a term
//!   name a place in it, and with that the whole log up to there (Log Matching). Every other log is
//!   such a place.
//! * *Servers.* The proof's servers never forget what is stored. So a server is a disk under a
//!   node's number ([`DiskId`]), and a node whose disk is lost is another server. Each has a term,
//!   a vote, a log and a commitIndex in memory, and the first three on its disk: what it was last
//!   told to be durable. Between the two are the writes under way. A restart may find the disk
//!   after any of them.
//! * *Promises.* A vote, and an acknowledgement of the leader's log up to an index, count from when
//!   they leave. The disk must hold by then what they say (3.8). They are never taken back. A disk
//!   that has lost entries, and says so, votes for nobody until it has the like again.
//! * *Commits.* The last entry that the leader of each term has committed.
//!
//! Why no committed entry is lost: a leader commits an entry of its own term when a majority has
//! promised to hold it (`CommitsByQuorum`, `CommitsOwnTerm`). A later leader has the votes of a
//! majority (`ElectedByQuorum`). The two share a disk: by arithmetic in one configuration, by
//! `MajoritiesOverlap` and `ChangesOneByOne` between two that follow each other (4.1, 4.3). That
//! disk kept its promise (`DiskKeeps`) and voted once in that term (`OneVote`), for a log at least
//! as up to date as its own (`ElectionRestriction`). Between the two terms it took entries only of
//! leaders that had the entry, by induction, and deleted nothing else (`CopiesLeader`,
//! `DeletesConflicts`). So the later leader has the entry (`LeaderCompleteness`). Followers learn
//! commitIndexes from leaders, and all agree on what is committed (`OneCommittedLog`). A snapshot
//! is a prefix of that, and the tree goes on holding what it replaces (`SnapshotIsPrefix`).
//!
//! # The map
//!
//! Facts come from a real core ([`StepFacts::of`]), or from anything else that knows them: a model
//! checker, a fuzzer, a test. A step is taken apart in this order: UpdateTerm with BecomeCandidate
//! or GrantVote; BecomeLeader; for each write InstallSnapshot, Compact, ClientRequest,
//! ChangeMembership or AppendEntries; AdvanceCommit or LearnCommit; then what left. Each transition
//! has guards, and the invariants hold after it. Both are [`Rule`]s. What a step does not change is
//! not looked at again.
//!
//! Left out: time, and all that rests on it (leases, timers, reads). Whether anything happens at
//! all. What commands do. Which terms nodes take from which messages: a term may rise at any time.
//!
//! Cost: a look at a few numbers a step, a hash for each entry written, and a walk over the terms
//! between two logs for each change. Memory: eight bytes an entry, for the whole run.

mod elections;
mod facts;
mod logs;
mod replication;
mod rule;
mod said;

pub use facts::{DiskId, StartFacts, StepFacts};
pub use rule::{Broken, Rule, Transition};

use logs::{ConfigurationNumber, Logs};
use raft_proto::{
    Action, EntryId, HardState, Index, Membership, NodeId, RoleKind, Seq, Term, Write,
};
use std::collections::{BTreeMap, VecDeque};

/// What a disk holds, and what a node knows that its disk will hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Stored {
    hard_state: HardState,
    /// The end of the log.
    log: EntryId,
    /// The end of the log that was lost, until this log is as up to date as that.
    lost: Option<EntryId>,
    /// Whether the disk has its name.
    is_named: bool,
}

impl Stored {
    fn set_log(&mut self, log: EntryId) {
        self.log = log;
        let is_back = |lost: &mut EntryId| log.is_at_least_as_up_to_date_as(*lost);
        self.lost.take_if(is_back);
    }
}

/// A disk, and the node that runs on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Server {
    disk: DiskId,
    bootstrap: ConfigurationNumber,
    /// The configuration in force.
    configuration: (Index, ConfigurationNumber),
    hard_state: HardState,
    leads: bool,
    commit_index: Index,
    /// After all writes that were issued.
    written: Stored,
    /// After those that are known to be durable.
    stored: Stored,
    /// The writes between, and what the disk holds after each.
    pending: VecDeque<(Seq, Stored)>,
}

/// The votes of one term.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Ballots {
    /// Who asked for votes, and with which log.
    candidates: Vec<(DiskId, EntryId)>,
    /// The votes that left their voters' disks, and for whom.
    granted: Vec<(DiskId, NodeId)>,
}

/// The abstract state, and the guards of its transitions.
///
/// After an error it is of no use any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Refinement {
    servers: Vec<Server>,
    ballots: BTreeMap<Term, Ballots>,
    logs: Logs,
    /// The last entry that any leader has committed.
    committed: EntryId,
    /// The configuration before the first entry: a snapshot brings it to nodes that join.
    founding: Option<ConfigurationNumber>,
    /// All configurations seen, by number.
    configurations: Vec<Membership>,
    /// A rule that is not asked for.
    ignored: Option<Rule>,
    /// Configurations in force during the step, empty between steps.
    in_force: Vec<ConfigurationNumber>,
}

/// Why a rule does not hold, if it does not.
type Check = Result<(), Broken>;

impl Refinement {
    /// The state before anything has started.
    pub fn new() -> Refinement {
        Refinement::default()
    }

    /// The same without one rule: shows what only that rule forbids.
    pub fn without(rule: Rule) -> Refinement {
        Refinement {
            ignored: Some(rule),
            ..Refinement::default()
        }
    }

    /// The last entry that any leader has committed.
    pub fn committed(&self) -> EntryId {
        self.committed
    }

    fn require(
        &self,
        holds: bool,
        rule: Rule,
        transition: Transition,
        node: NodeId,
        what: impl FnOnce() -> String,
    ) -> Check {
        if holds || self.ignored == Some(rule) {
            return Ok(());
        }
        Err(Broken {
            node,
            transition,
            rule,
            what: what(),
        })
    }

    fn server(&self, disk: DiskId) -> Option<usize> {
        self.servers.iter().position(|server| server.disk == disk)
    }

    /// The number of a configuration.
    fn number(&mut self, membership: &Membership) -> ConfigurationNumber {
        let known = self.configurations.iter().rposition(|it| it == membership);
        known.unwrap_or_else(|| {
            self.configurations.push(membership.clone());
            self.configurations.len() - 1
        })
    }

    /// The last configuration in a log, or that before it.
    fn last_configuration(
        &self,
        log: EntryId,
        bootstrap: ConfigurationNumber,
    ) -> (Index, ConfigurationNumber) {
        let mut found = self.logs.configurations(log);
        found.next().unwrap_or((Index::ZERO, bootstrap))
    }

    /// A node starts. Its disk holds what was stored, and a prefix of what was written besides; or it
    /// says what it has lost.
    ///
    /// # Errors
    ///
    /// The rule that does not hold.
    pub fn started(&mut self, facts: &StartFacts<'_>) -> Check {
        let (node, last) = (facts.disk.node, facts.last_log());
        let known = self.server(facts.disk);
        let found = Stored {
            hard_state: facts.hard_state,
            log: last,
            lost: facts.lost,
            is_named: facts.is_named || known.is_some_and(|at| self.had_name(at, facts)),
        };
        if let Some(at) = known {
            self.disk_keeps(at, facts)?;
        }
        // A disk keeps the configuration that stands before its log.
        let mut bootstrap = match (facts.bootstrap, known) {
            (Some(bootstrap), _) => self.number(bootstrap),
            (None, Some(at)) => self.servers[at].bootstrap,
            (None, None) => self.number(facts.membership),
        };
        if self.configurations[bootstrap].is_empty() && facts.log_base != EntryId::ZERO {
            bootstrap = self.founding.unwrap_or(bootstrap);
        }
        let server = Server {
            disk: facts.disk,
            bootstrap,
            configuration: (Index::ZERO, bootstrap),
            hard_state: facts.hard_state,
            leads: false,
            commit_index: facts.commit_index,
            written: found,
            stored: found,
            pending: VecDeque::new(),
        };
        let at = known.unwrap_or(self.servers.len());
        if at == self.servers.len() {
            self.servers.push(server);
        } else {
            self.servers[at] = server;
        }
        self.entries_exist(node, Transition::Restart, facts.log_base, &facts.entries)?;
        self.servers[at].configuration = self.last_configuration(last, bootstrap);
        self.latest_in_force(at, Transition::Restart, facts.membership)?;
        self.covers_committed(at, Transition::Restart, facts.commit_index, last)
    }

    /// The states in which a disk may be that its node left, if it is now as the facts say.
    fn possible(&self, at: usize, facts: &StartFacts<'_>) -> impl Iterator<Item = &Stored> {
        let (server, last) = (&self.servers[at], facts.last_log());
        let (hard_state, lost) = (facts.hard_state, facts.lost);
        let written = server.pending.iter().map(|(_, state)| state);
        let states = core::iter::once(&server.stored).chain(written);
        states.filter(move |state| {
            let has_kept = state.log == last && state.lost == lost;
            // A disk that says what it has lost has the rest.
            let says_so =
                lost == Some(state.lost.unwrap_or(state.log)) && self.logs.holds(state.log, last);
            state.hard_state == hard_state && (has_kept || says_so)
        })
    }

    fn had_name(&self, at: usize, facts: &StartFacts<'_>) -> bool {
        self.possible(at, facts).any(|state| state.is_named)
    }

    fn disk_keeps(&self, at: usize, facts: &StartFacts<'_>) -> Check {
        let (node, transition) = (facts.disk.node, Transition::Restart);
        let is_possible = self.possible(at, facts).next().is_some();
        self.require(is_possible, Rule::DiskKeeps, transition, node, || {
            let (held, last) = (self.servers[at].stored.log, facts.last_log());
            format!("its disk held {held} at least, and now it holds {last}")
        })
    }

    /// All writes of this disk up to `seq` are durable.
    pub fn persisted(&mut self, disk: DiskId, seq: Seq) {
        let Some(at) = self.server(disk) else {
            return;
        };
        let server = &mut self.servers[at]; // found above
        while let Some((written, state)) = server.pending.front()
            && *written <= seq
        {
            server.stored = *state;
            server.pending.pop_front();
        }
    }

    /// The disk of `node` is lost, and the node starts again with another one or an old copy, under
    /// the same number. Without an incarnation nothing tells the two apart, and what the first one
    /// promised counts no more. That is safe only where no configuration that may be in force means
    /// it.
    pub fn forgotten(&mut self, node: NodeId) {
        self.servers.retain(|server| server.disk.node != node);
        let disk = DiskId {
            node,
            incarnation: None,
        };
        for log in self.logs.terms.values_mut() {
            log.promises.retain(|(other, _)| *other != disk);
        }
        for ballots in self.ballots.values_mut() {
            ballots.granted.retain(|(other, _)| *other != disk);
        }
    }

    /// A node has taken a step.
    ///
    /// # Errors
    ///
    /// The first rule that does not hold.
    pub fn stepped(&mut self, facts: &StepFacts<'_>) -> Check {
        let Some(at) = self.server(facts.disk) else {
            let (node, rule) = (facts.disk.node, Rule::DiskKeeps);
            return self.require(false, rule, Transition::Restart, node, || {
                "it takes a step, and has not started".into()
            });
        };
        self.update_term(at, facts)?;
        let began = |action: &Action| matches!(action, Action::RoleChanged { role, .. } if *role == RoleKind::Leader);
        let leads = facts.role == RoleKind::Leader;
        if !self.servers[at].leads && (leads || facts.actions.iter().any(began)) {
            self.become_leader(at)?;
        }
        self.in_force.push(self.servers[at].configuration.1);
        for action in facts.actions {
            if let Action::Persist(write) = action {
                self.write(at, facts, write)?;
            }
        }
        self.commit(at, facts)?;
        self.in_force.clear();
        self.servers[at].leads = leads;
        self.all_is_written(at, facts)?;
        self.said(at, facts)
    }

    /// One write changes the log, and is on its way to the disk.
    fn write(&mut self, at: usize, facts: &StepFacts<'_>, write: &Write) -> Check {
        self.servers[at].written.is_named |= write.identity.is_some();
        if let Some(hard_state) = write.hard_state {
            self.servers[at].written.hard_state = hard_state;
        }
        if let Some(install) = &write.install {
            self.install(at, facts, install)?;
        }
        if let Some(compaction) = &write.compact {
            self.compact(at, facts, compaction)?;
        }
        if !write.entries.is_empty() {
            if self.servers[at].leads {
                self.append_own(at, facts, &write.entries)?;
            } else {
                self.append_entries(at, facts, &write.entries)?;
            }
        }
        let server = &mut self.servers[at];
        server.pending.push_back((write.seq, server.written));
        Ok(())
    }

    /// What a node holds in memory is what it has written.
    fn all_is_written(&mut self, at: usize, facts: &StepFacts<'_>) -> Check {
        let server = &self.servers[at];
        let (node, written, stored) = (server.disk.node, server.written, server.stored);
        let is_written = written.hard_state == facts.hard_state && written.log == facts.last_log;
        self.require(
            is_written,
            Rule::AllIsWritten,
            Transition::Store,
            node,
            || {
                let (term, last) = (facts.hard_state.term, facts.last_log);
                let stored = written.hard_state.term;
                format!(
                    "it is in term {term} and its log ends at {last}, but it has written term \
                     {stored} and {}",
                    written.log
                )
            },
        )?;
        let is_stored = stored.log == written.log
            || self.logs.common(stored.log, written.log) >= facts.durable_index;
        self.require(
            is_stored,
            Rule::DurableIsStored,
            Transition::Store,
            node,
            || {
                let (index, log) = (facts.durable_index, stored.log);
                format!("it takes its log for durable up to {index}, but its disk holds {log}")
            },
        )
    }
}
