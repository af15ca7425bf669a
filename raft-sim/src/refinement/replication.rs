//! ClientRequest, ChangeMembership, AppendEntries, InstallSnapshot, Compact, and the commits.

use super::logs::ConfigurationNumber;
use super::{Check, DiskId, Refinement, Rule, StepFacts, Transition};
use crate::checker::Fingerprint;
use raft_proto::{
    Compaction, Entries, EntryId, EntryKind, Index, Install, InstalledLog, MemberRole, Membership,
    NodeId, SnapshotMeta,
};

impl Refinement {
    /// A leader appends entries of its own.
    pub(super) fn append_own(
        &mut self,
        at: usize,
        facts: &StepFacts<'_>,
        entries: &Entries,
    ) -> Check {
        let (node, term) = (facts.disk.node, facts.hard_state.term);
        for entry in entries {
            let server = &self.servers[at];
            let (log, before) = (server.written.log, server.configuration);
            let follows = entry.index() == log.index.next() && entry.term() == term;
            self.require(
                follows,
                Rule::LeaderAppendOnly,
                Transition::ClientRequest,
                node,
                || {
                    format!(
                        "in term {term}, it writes {} to a log up to {log}",
                        entry.id()
                    )
                },
            )?;
            let membership = match entry.kind() {
                EntryKind::Membership => Membership::decode(entry.payload()),
                EntryKind::Command | EntryKind::Noop => None,
            };
            let number = membership.map(|membership| self.number(&membership));
            if let Some(number) = number {
                let after = (entry.index(), number);
                self.change_membership(at, facts, before, after)?;
                self.servers[at].configuration = after;
                self.in_force.push(number);
            }
            self.servers[at].written.set_log(entry.id());
            if let Some(own) = self.logs.terms.get_mut(&term) {
                own.contents.push(Fingerprint::of(&entry).content);
                own.configurations
                    .extend(number.map(|number| (entry.index(), number)));
            }
        }
        self.latest_in_force(at, Transition::ChangeMembership, facts.membership)
    }

    /// The configuration `after` may follow the one before it.
    fn change_membership(
        &self,
        at: usize,
        facts: &StepFacts<'_>,
        before: (Index, ConfigurationNumber),
        after: (Index, ConfigurationNumber),
    ) -> Check {
        let (server, term) = (&self.servers[at], facts.hard_state.term);
        let node = facts.disk.node;
        // The first entry of a log that is founded names the founders, who have all voted.
        let founds = after.0 == Index(1) && facts.disk.incarnation.is_some();
        // A joint configuration has one successor, whichever node leads: it may be left as soon as
        // it is committed (4.3). Any other change waits for an entry of the leader's own term, too:
        // an earlier leader may have begun another change, which only that entry rules out (4.1).
        let own = self.logs.terms.get(&term);
        let first_own = own.map_or(Index::ZERO, |own| own.base.index.next());
        let needed = if self.configurations[before.1].is_joint() {
            before.0
        } else {
            before.0.max(first_own)
        };
        // It is committed by now, or is in this very step, and before the change.
        let is_committed = server.commit_index >= needed
            || facts.commit_index >= needed && self.is_acknowledged(at, before.1, needed);
        self.require(
            founds || is_committed,
            Rule::ChangesOneByOne,
            Transition::ChangeMembership,
            node,
            || {
                let commit = server.commit_index;
                format!("the change needs {needed} to be committed, and {commit} is")
            },
        )?;
        let [old, new] = [before.1, after.1].map(|number| &self.configurations[number]);
        self.require(
            majorities_overlap(old, new),
            Rule::MajoritiesOverlap,
            Transition::ChangeMembership,
            node,
            || format!("a majority of {old} and one of {new} may share no disk"),
        )
    }

    /// Whether a majority of a configuration has acknowledged the log of the server at `at`, which
    /// leads, up to `index`. It counts itself by its own disk.
    fn is_acknowledged(&self, at: usize, number: ConfigurationNumber, index: Index) -> bool {
        let server = &self.servers[at];
        let term = server.hard_state.term;
        let promises = self.logs.terms.get(&term).map(|log| &log.promises);
        let entry = self.logs.prefix(server.written.log, index);
        let own = server.stored.hard_state.term == term
            && entry.index == index
            && self.logs.holds(server.stored.log, entry);
        Refinement::is_quorum(&self.configurations[number], |member| {
            let is_it =
                |disk: DiskId| disk.node == member.node && disk.is_named(member.incarnation);
            let mut promises = promises.into_iter().flatten();
            own && is_it(server.disk)
                || promises.any(|(disk, promised)| *promised >= index && is_it(*disk))
        })
    }

    /// A log holds these entries after `previous`: the tree has them all.
    pub(super) fn entries_exist(
        &self,
        node: NodeId,
        transition: Transition,
        mut previous: EntryId,
        entries: &Entries,
    ) -> Check {
        for entry in entries {
            let id = entry.id();
            let log = self.logs.terms.get(&id.term);
            let content = log.and_then(|log| log.content(id.index));
            self.require(
                content.is_some(),
                Rule::CopiesLeader,
                transition,
                node,
                || format!("no leader has made its entry {id}"),
            )?;
            let is_it = content.is_none_or(|it| it == Fingerprint::of(&entry).content)
                && self.logs.prefix(id, id.index.previous()) == previous;
            self.require(is_it, Rule::LogMatching, transition, node, || {
                format!("its entry {id}, after {previous}, is not that of the leader of its term")
            })?;
            previous = id;
        }
        Ok(())
    }

    /// A follower takes entries of the leader of its term.
    pub(super) fn append_entries(
        &mut self,
        at: usize,
        facts: &StepFacts<'_>,
        entries: &Entries,
    ) -> Check {
        let transition = Transition::AppendEntries;
        let (server, term) = (&self.servers[at], facts.hard_state.term);
        let (node, old) = (server.disk.node, server.written.log);
        let mut all = entries.iter();
        let (Some(first), Some(last)) = (all.next(), entries.last_id()) else {
            return Ok(());
        };
        let (first, commit_index) = (first.id(), server.commit_index);
        let previous = self.logs.prefix(old, first.index.previous());
        self.entries_exist(node, transition, previous, entries)?;
        let leader = self.logs.of_leader(term);
        self.require(
            self.logs.holds(leader, last),
            Rule::CopiesLeader,
            transition,
            node,
            || {
                format!(
                    "its log now ends at {last}; that of the leader of term {term}, at {leader}"
                )
            },
        )?;
        let replaced = self.logs.prefix(old, first.index);
        let deletes = first.index <= old.index;
        self.require(
            !deletes || replaced != first,
            Rule::DeletesConflicts,
            transition,
            node,
            || format!("it has replaced {first} and all after it up to {old}, with no conflict"),
        )?;
        self.require(
            first.index > commit_index,
            Rule::CommitsStay,
            transition,
            node,
            || format!("it has replaced {first}, and its commitIndex is {commit_index}"),
        )?;
        self.log_becomes(at, last);
        self.latest_in_force(at, transition, facts.membership)
    }

    fn log_becomes(&mut self, at: usize, last: EntryId) {
        let bootstrap = self.servers[at].bootstrap;
        let configuration = self.last_configuration(last, bootstrap);
        let server = &mut self.servers[at];
        server.written.set_log(last);
        server.configuration = configuration;
        self.in_force.push(configuration.1);
    }

    pub(super) fn install(&mut self, at: usize, facts: &StepFacts<'_>, install: &Install) -> Check {
        let transition = Transition::InstallSnapshot;
        let (node, log) = (facts.disk.node, self.servers[at].written.log);
        let last = install.snapshot.id.last;
        let bootstrap = self.servers[at].bootstrap;
        if let (true, Some(founding)) = (self.configurations[bootstrap].is_empty(), self.founding) {
            // A node that joins learns by its first snapshot what stands before the first entry.
            let configuration = self.last_configuration(log, founding);
            let server = &mut self.servers[at];
            (server.bootstrap, server.configuration) = (founding, configuration);
        }
        self.is_committed_prefix(at, transition, &install.snapshot)?;
        let keeps_tail = match install.log {
            InstalledLog::KeepsTail => true,
            InstalledLog::IsDropped => false,
        };
        self.require(
            keeps_tail == self.logs.holds(log, last),
            Rule::SnapshotIsPrefix,
            transition,
            node,
            || {
                let what = if keeps_tail { "keeps" } else { "drops" };
                format!("it {what} what follows {last} in its log, which ends at {log}")
            },
        )?;
        if !keeps_tail {
            self.log_becomes(at, last);
        }
        self.latest_in_force(at, transition, facts.membership)
    }

    pub(super) fn compact(
        &mut self,
        at: usize,
        facts: &StepFacts<'_>,
        compaction: &Compaction,
    ) -> Check {
        let transition = Transition::Compact;
        self.is_committed_prefix(at, transition, &compaction.snapshot)?;
        let (node, last) = (facts.disk.node, compaction.snapshot.id.last);
        let (log, through) = (self.servers[at].written.log, compaction.drop_through);
        self.require(
            self.logs.holds(log, last) && through <= last.index,
            Rule::SnapshotIsPrefix,
            transition,
            node,
            || format!("up to {last}, drops up to {through} of a log that ends at {log}"),
        )?;
        self.latest_in_force(at, transition, facts.membership)
    }

    fn is_committed_prefix(
        &self,
        at: usize,
        transition: Transition,
        snapshot: &SnapshotMeta,
    ) -> Check {
        let (server, last) = (&self.servers[at], snapshot.id.last);
        let committed = self.committed;
        let (_, number) = self.last_configuration(last, server.bootstrap);
        let holds =
            self.logs.holds(committed, last) && self.configurations[number] == snapshot.membership;
        let node = server.disk.node;
        self.require(holds, Rule::SnapshotIsPrefix, transition, node, || {
            format!(
                "a snapshot up to {last} with {}; committed up to {committed}, with {}",
                snapshot.membership, self.configurations[number]
            )
        })
    }

    pub(super) fn latest_in_force(
        &self,
        at: usize,
        transition: Transition,
        in_force: &Membership,
    ) -> Check {
        let server = &self.servers[at];
        let (index, number) = server.configuration;
        let latest = &self.configurations[number];
        let node = server.disk.node;
        self.require(
            latest == in_force,
            Rule::LatestInForce,
            transition,
            node,
            || format!("it uses {in_force}; its log has {latest} at {index}"),
        )
    }

    /// commitIndex rises: a leader counts, anybody else learns.
    pub(super) fn commit(&mut self, at: usize, facts: &StepFacts<'_>) -> Check {
        let server = &self.servers[at];
        let (before, after) = (server.commit_index, facts.commit_index);
        if before == after {
            return Ok(());
        }
        let node = facts.disk.node;
        self.require(
            after > before,
            Rule::CommitsStay,
            Transition::LearnCommit,
            node,
            || format!("its commitIndex falls from {before} to {after}"),
        )?;
        let log = server.written.log;
        if server.leads {
            self.advance_commit(at, after)?;
        } else {
            self.covers_committed(at, Transition::LearnCommit, after, log)?;
        }
        self.servers[at].commit_index = after;
        Ok(())
    }

    /// Everything up to `index` in `log` is committed.
    pub(super) fn covers_committed(
        &self,
        at: usize,
        transition: Transition,
        index: Index,
        log: EntryId,
    ) -> Check {
        let (node, committed) = (self.servers[at].disk.node, self.committed);
        let covers = index <= self.logs.common(log, committed);
        self.require(covers, Rule::OneCommittedLog, transition, node, || {
            format!(
                "up to {index} in a log that ends at {log}, and what is committed is {committed}"
            )
        })
    }

    fn advance_commit(&mut self, at: usize, index: Index) -> Check {
        let transition = Transition::AdvanceCommit;
        let server = &self.servers[at];
        let (node, term) = (server.disk.node, server.hard_state.term);
        let entry = self.logs.prefix(server.written.log, index);
        self.require(
            entry.term == term && entry.index == index,
            Rule::CommitsOwnTerm,
            transition,
            node,
            || format!("it commits {entry}, and leads in term {term}"),
        )?;
        let mut in_force = self.in_force.iter();
        let is_acknowledged = in_force.any(|number| self.is_acknowledged(at, *number, index));
        self.require(
            is_acknowledged,
            Rule::CommitsByQuorum,
            transition,
            node,
            || {
                let (_, number) = server.configuration;
                let voters = &self.configurations[number];
                format!("no majority of {voters} has acknowledged {entry} in term {term}")
            },
        )?;
        let later = self.logs.terms.range(term.next()..);
        for (later, log) in later {
            let leader = log.leader.node;
            self.require(
                self.logs.holds(self.logs.of_leader(*later), entry),
                Rule::LeaderCompleteness,
                transition,
                node,
                || format!("it commits {entry}; {leader} leads in term {later} without it"),
            )?;
        }
        let committed = self.committed;
        let common = self.logs.common(entry, committed);
        self.require(
            common == entry.index.min(committed.index),
            Rule::OneCommittedLog,
            transition,
            node,
            || format!("it commits {entry}, and {committed} is committed"),
        )?;
        if index > committed.index {
            self.committed = entry;
        }
        if let Some(own) = self.logs.terms.get_mut(&term) {
            own.committed = entry;
        }
        Ok(())
    }
}

/// Whether any majority of one configuration and any of the other share a disk. Of a joint
/// configuration, a majority of each half is needed: two halves that overlap are enough. It is left
/// for its new half and no other (4.3): two leaders may leave it, and do not know of each other.
pub(super) fn majorities_overlap(old: &Membership, new: &Membership) -> bool {
    let halves = |membership: &Membership| {
        [true, false].map(|in_old| -> Vec<DiskId> {
            let votes = |role: MemberRole| match role {
                MemberRole::Voter => true,
                MemberRole::Outgoing | MemberRole::Demoted => in_old,
                MemberRole::Incoming => !in_old,
                MemberRole::Learner | MemberRole::Staging => false,
            };
            let voters = membership.members().iter().filter(|it| votes(it.role));
            let disk = voters.map(|it| DiskId {
                node: it.id,
                incarnation: it.incarnation,
            });
            disk.collect()
        })
    };
    let overlap = |one: &Vec<DiskId>, other: &Vec<DiskId>| {
        // A member that was not named yet is the disk that is named now.
        let is_same = |a: &DiskId, b: &DiskId| {
            a.node == b.node && (b.is_named(a.incarnation) || b.incarnation.is_none())
        };
        let shared = one.iter().filter(|a| other.iter().any(|b| is_same(a, b)));
        let all = one.len() + other.len() - shared.count();
        let majority = |voters: &Vec<DiskId>| voters.len() / 2 + 1;
        majority(one) + majority(other) > all
    };
    let is_left = old.is_joint() && !new.is_joint();
    let (old, new) = (halves(old), halves(new));
    if is_left {
        let ([_, incoming], [voters, _]) = (&old, &new);
        let ids = |voters: &[DiskId]| -> Vec<_> { voters.iter().map(|it| it.node).collect() };
        return ids(incoming) == ids(voters) && overlap(incoming, voters);
    }
    old.iter()
        .any(|one| new.iter().any(|other| overlap(one, other)))
}
