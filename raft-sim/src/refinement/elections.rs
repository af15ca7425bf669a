//! UpdateTerm, BecomeCandidate, GrantVote and BecomeLeader.

use super::logs::LeaderLog;
use super::{Check, DiskId, Refinement, Rule, StepFacts, Transition};
use crate::checker::quorum::has_quorum;
use raft_proto::{EntryId, Membership, NodeId};

impl Refinement {
    /// The term grows, and the vote in it is given once.
    pub(super) fn update_term(&mut self, at: usize, facts: &StepFacts<'_>) -> Check {
        let (before, now) = (self.servers[at].hard_state, facts.hard_state);
        if before == now {
            return Ok(());
        }
        let node = facts.disk.node;
        let transition = Transition::UpdateTerm;
        self.require(
            now.term >= before.term,
            Rule::TermsGrow,
            transition,
            node,
            || format!("its term falls from {} to {}", before.term, now.term),
        )?;
        let same_term = before.term == now.term;
        let voted_before = before.voted_for.filter(|_| same_term);
        self.require(
            voted_before.is_none(),
            Rule::OneVote,
            Transition::GrantVote,
            node,
            || {
                let first = before.voted_for.unwrap_or(node);
                format!("it has voted for {first} in term {}", now.term)
            },
        )?;
        self.servers[at].hard_state = now;
        self.servers[at].leads &= same_term;
        match now.voted_for {
            None => Ok(()),
            Some(candidate) if candidate == node => self.become_candidate(at),
            Some(candidate) => self.grant_vote(at, candidate),
        }
    }

    fn may_vote(&self, at: usize, transition: Transition) -> Check {
        let server = &self.servers[at];
        let (node, lost) = (server.disk.node, server.written.lost);
        self.require(
            lost.is_none(),
            Rule::LossEndsVotes,
            transition,
            node,
            || {
                let (lost, log) = (lost.unwrap_or_default(), server.written.log);
                format!("its disk has lost its log up to {lost}, and it has {log} so far")
            },
        )
    }

    fn become_candidate(&mut self, at: usize) -> Check {
        let transition = Transition::BecomeCandidate;
        self.may_vote(at, transition)?;
        let server = &self.servers[at];
        let (node, log, term) = (server.disk.node, server.written.log, server.hard_state.term);
        self.require(
            log.term < term,
            Rule::TermAboveLog,
            transition,
            node,
            || format!("its term is {term}, and its log ends at {log}"),
        )?;
        self.is_voter(at, transition)
    }

    /// It is a voter by a configuration that may be in force: one that is not followed by a
    /// committed one in its log.
    fn is_voter(&self, at: usize, transition: Transition) -> Check {
        let server = &self.servers[at];
        let disk = server.disk;
        let mut is_old = false;
        let configurations = self.logs.configurations(server.written.log);
        let with_first = configurations.chain([(Default::default(), server.bootstrap)]);
        let mut may_be_in_force = with_first.take_while(|(index, _)| {
            let stops = core::mem::replace(&mut is_old, *index <= server.commit_index);
            !stops
        });
        let is_voter = may_be_in_force.any(|(_, number)| {
            let membership = &self.configurations[number]; // Numbers are given out here.
            membership.is_voter(disk.node) && disk.is_meant_by(membership)
        });
        self.require(
            is_voter,
            Rule::CandidateIsVoter,
            transition,
            disk.node,
            || "no configuration that may be in force has its disk as a voter".into(),
        )
    }

    fn grant_vote(&mut self, at: usize, candidate: NodeId) -> Check {
        let transition = Transition::GrantVote;
        self.may_vote(at, transition)?;
        let server = &self.servers[at];
        let (node, log, term) = (server.disk.node, server.written.log, server.hard_state.term);
        let ballots = self.ballots.get(&term);
        let mut candidates = ballots.iter().flat_map(|it| it.candidates.iter());
        let may_win = |(disk, last): &(DiskId, EntryId)| {
            disk.node == candidate && last.is_at_least_as_up_to_date_as(log)
        };
        let may_win = candidates.any(may_win);
        self.require(may_win, Rule::ElectionRestriction, transition, node, || {
            format!("{candidate} asked in term {term} with no log as up to date as {log}")
        })
    }

    /// Whether a majority of `membership` counts, each voter by its disk.
    pub(super) fn is_quorum(membership: &Membership, counts: impl Fn(DiskId) -> bool) -> bool {
        has_quorum(membership, |node| {
            let incarnation = membership.get(node).and_then(|it| it.incarnation);
            counts(DiskId { node, incarnation })
        })
    }

    /// Whether the voters of its configuration have elected a candidate, with its log as it is.
    fn is_elected(&self, at: usize) -> bool {
        let server = &self.servers[at];
        let (disk, base, stored) = (server.disk, server.written.log, server.stored);
        let ballots = self.ballots.get(&server.hard_state.term);
        let own_vote = stored.hard_state == server.hard_state
            && server.hard_state.voted_for == Some(disk.node)
            && self.logs.holds(stored.log, base);
        let ballots = ballots.filter(|it| it.candidates.contains(&(disk, base)));
        // The disk of a member, as its configuration names it.
        let voted = |member: DiskId| {
            let is_it =
                |voter: DiskId| voter.node == member.node && voter.is_named(member.incarnation);
            let mut granted = ballots.iter().flat_map(|it| it.granted.iter());
            own_vote && is_it(disk)
                || granted.any(|(voter, candidate)| *candidate == disk.node && is_it(*voter))
        };
        let membership = &self.configurations[server.configuration.1]; // Numbers are given here.
        if base != EntryId::ZERO || disk.incarnation.is_none() {
            return Refinement::is_quorum(membership, voted);
        }
        // Before the first entry nobody's disk is known: it takes all founders.
        membership.voters().all(|node| {
            let incarnation = membership.get(node).and_then(|it| it.incarnation);
            voted(DiskId { node, incarnation })
        })
    }

    pub(super) fn become_leader(&mut self, at: usize) -> Check {
        let transition = Transition::BecomeLeader;
        let server = &self.servers[at];
        let (disk, base, term) = (server.disk, server.written.log, server.hard_state.term);
        let node = disk.node;
        let is_elected = self.is_elected(at);
        self.require(is_elected, Rule::ElectedByQuorum, transition, node, || {
            let membership = &self.configurations[server.configuration.1];
            format!("its votes in term {term} are no majority of {membership}")
        })?;
        let other = self.logs.terms.get(&term).map(|log| log.leader.node);
        self.require(
            other.is_none(),
            Rule::OneLeaderPerTerm,
            transition,
            node,
            || format!("{} leads in term {term}", other.unwrap_or(node)),
        )?;
        for (earlier, log) in self.logs.terms.range(..term) {
            let entry = log.committed;
            self.require(
                self.logs.holds(base, entry),
                Rule::LeaderCompleteness,
                transition,
                node,
                || {
                    let leader = log.leader.node;
                    format!(
                        "{leader} committed {entry} in term {earlier}, and its log ends at {base}"
                    )
                },
            )?;
        }
        let server = &mut self.servers[at];
        server.leads = true;
        if base == EntryId::ZERO {
            self.founding.get_or_insert(server.bootstrap);
        }
        let log = LeaderLog {
            leader: disk,
            base,
            contents: Vec::new(),
            configurations: Vec::new(),
            promises: Vec::new(),
            committed: EntryId::ZERO,
        };
        self.logs.terms.insert(term, log);
        Ok(())
    }
}
