//! What leaves a node: votes, acknowledgements, and what is applied.

use super::{Check, Refinement, Rule, StepFacts, Transition};
use raft_proto::{Action, AppendOutcome, EntryId, Index, Message, SnapshotOutcome, Vote};

impl Refinement {
    /// Everything that leaves in a step rests on what is on the disk.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "only these actions say or apply anything that rests on the disk"
    )]
    pub(super) fn said(&mut self, at: usize, facts: &StepFacts<'_>) -> Check {
        for action in facts.actions {
            match action {
                Action::Send { to, message } => {
                    self.is_named(at)?;
                    match message {
                        Message::RequestVote(request) => {
                            self.send_vote(at, facts.disk.node, Some(request.last_log))?;
                        }
                        Message::RequestVoteReply(reply) if reply.vote == Vote::Granted => {
                            self.send_vote(at, *to, None)?;
                        }
                        Message::AppendEntriesReply(reply) => {
                            if let AppendOutcome::Accepted { match_index, .. } = reply.outcome {
                                self.acknowledge(at, match_index)?;
                            }
                        }
                        Message::InstallSnapshotReply(reply)
                            if reply.outcome == SnapshotOutcome::Installed =>
                        {
                            self.acknowledge(at, reply.last.index)?;
                        }
                        _ => {}
                    }
                }
                Action::Apply { entries } => {
                    self.apply(at, entries.last_id().unwrap_or_default())?;
                }
                Action::Restore { snapshot } => self.apply(at, snapshot.id.last)?,
                Action::MembershipChanged { .. } => {
                    self.latest_in_force(at, Transition::ChangeMembership, facts.membership)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn is_named(&self, at: usize) -> Check {
        let server = &self.servers[at];
        let is_named = server.stored.is_named || server.disk.incarnation.is_none();
        let node = server.disk.node;
        self.require(
            is_named,
            Rule::NamedBeforeHeard,
            Transition::Send,
            node,
            || "its disk does not hold its name yet".into(),
        )
    }

    /// A vote leaves: a grant, or a request with the end of the candidate's log.
    fn send_vote(
        &mut self,
        at: usize,
        candidate: raft_proto::NodeId,
        asks: Option<EntryId>,
    ) -> Check {
        let server = &self.servers[at];
        let (disk, stored, now) = (server.disk, server.stored, server.hard_state);
        let has_log =
            asks.is_none_or(|last| last == server.written.log && self.logs.holds(stored.log, last));
        let is_stored = stored.hard_state == now && now.voted_for == Some(candidate) && has_log;
        self.require(
            is_stored,
            Rule::VoteIsStored,
            Transition::SendVote,
            disk.node,
            || {
                let (term, log) = (stored.hard_state.term, stored.log);
                let voted = stored.hard_state.voted_for;
                format!(
                    "it votes for {candidate} in term {}; its disk holds term {term}, {voted:?} and \
                     {log}",
                    now.term
                )
            },
        )?;
        let ballots = self.ballots.entry(now.term).or_default();
        match asks {
            Some(last) if !ballots.candidates.contains(&(disk, last)) => {
                ballots.candidates.push((disk, last));
            }
            None if !ballots.granted.contains(&(disk, candidate)) => {
                ballots.granted.push((disk, candidate));
            }
            Some(_) | None => {}
        }
        Ok(())
    }

    /// An acknowledgement of the log of the leader of this term leaves: a promise.
    fn acknowledge(&mut self, at: usize, index: Index) -> Check {
        let server = &self.servers[at];
        let (disk, stored, term) = (server.disk, server.stored, server.hard_state.term);
        if index == Index::ZERO {
            return Ok(());
        }
        let leader = self.logs.of_leader(term);
        let is_stored =
            stored.hard_state.term == term && self.logs.common(stored.log, leader) >= index;
        self.require(
            is_stored,
            Rule::AcknowledgedIsStored,
            Transition::Acknowledge,
            disk.node,
            || {
                let (stored_term, log) = (stored.hard_state.term, stored.log);
                format!(
                    "it acknowledges {index} in term {term}; its disk holds term {stored_term} and \
                     {log}, and the leader's log is {leader}"
                )
            },
        )?;
        let Some(log) = self.logs.terms.get_mut(&term) else {
            return Ok(());
        };
        match log.promises.iter_mut().find(|(other, _)| *other == disk) {
            Some((_, promised)) => *promised = index.max(*promised),
            None => log.promises.push((disk, index)),
        }
        Ok(())
    }

    /// Entries, or a snapshot, up to `last` go to the state machine.
    fn apply(&self, at: usize, last: EntryId) -> Check {
        let server = &self.servers[at];
        let (node, log) = (server.disk.node, server.stored.log);
        let (committed, commit_index) = (self.committed, server.commit_index);
        self.require(
            self.logs.holds(log, last),
            Rule::AppliedIsStored,
            Transition::LearnCommit,
            node,
            || format!("it applies {last}, and its disk holds {log}"),
        )?;
        self.require(
            last.index <= commit_index && self.logs.holds(committed, last),
            Rule::OneCommittedLog,
            Transition::LearnCommit,
            node,
            || {
                format!(
                    "it applies {last}; its commitIndex is {commit_index}, {committed} is committed"
                )
            },
        )
    }
}
