//! Disk identity: a member is its number and its incarnation. A server keeps its promises on its
//! disk, so a vote (section 5.2) or an acknowledgement (section 5.3) of another disk under the same
//! number is one of another server, and must not count.
//!
//! Each message says which disk its sender has. The checker collects the votes and acknowledgements
//! that a node receives, with their disks, and compares them with the configuration in force:
//!
//! - A leader has the votes of a majority of the disks that its configuration names. The founder of
//!   a cluster has the votes of all founders, and its first entry names their disks: until then no
//!   disk is known, and two majorities might share no disk.
//! - An entry is committed by a leader that a majority of the named disks has acknowledged it to.
//! - No message of a disk that is not named raises a term. A follower may lag behind the change
//!   that named the disk: so it may answer a candidate whose log is as up to date as its own, and
//!   whose history is the same.
//! - A leader names another disk for a voter only if it makes that a learner: two configurations
//!   that follow each other must share a disk in any two majorities (thesis 4.1). It names only
//!   disks that it has heard under that number since that is a member's, or that the operator
//!   names.
//! - Only a voter whose disk is named by a configuration that may be in force asks for votes.
//!   Before the cluster is founded, each founder may.
//! - A log takes no entries of a cluster that was founded another time: equal indexes and terms
//!   would not mean equal entries (Log Matching, section 5.3).
//!
//! - Nothing leaves a node whose disk does not hold its own name yet.
//!
//! Sound: what a node counts, it has received in the term in which it counts it; votes and
//! acknowledgements of a disk stay true as long as it is named.
//!
//! Cost: a look at each reply, and a majority for each election and for each step that commits.

use super::configuration_in_force::ConfigurationsInForce;
use super::disk_identity_broken::DiskIdentityBroken;
use super::quorum::has_quorum;
use super::violation::{Nodes, Violation};
use raft_proto::{
    Action, AppendOutcome, EntryId, Event, HistoryId, Incarnation, Index, Input, Lineage, Member,
    Membership, Message, NodeChange, NodeId, Raft, RoleKind, SnapshotOutcome, Term, Vote,
};

/// A disk under a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct DiskOf {
    node: NodeId,
    incarnation: Option<Incarnation>,
}

impl DiskOf {
    /// Whether `member`, which has this number, is this disk, or any.
    fn is(&self, member: &Member) -> bool {
        member.incarnation.is_none() || member.incarnation == self.incarnation
    }
}

/// A node, as the step before left it, and what it has received in its term.
#[derive(Debug)]
struct Node {
    own: DiskOf,
    term: Term,
    role: RoleKind,
    commit_index: Index,
    last_log: EntryId,
    membership: Membership,
    votes: Vec<DiskOf>,
    /// How far each disk holds the leader's log.
    acknowledged: Vec<(DiskOf, Index)>,
    /// The disks of members that have spoken to it, while they were members.
    heard: Vec<DiskOf>,
    /// The disks that the operator's request of the present step names.
    asked: Vec<DiskOf>,
    /// Who has sent the message of the present step, if its term must not count.
    foreign_sender: Option<NodeId>,
    /// The history from which the message of the present step brings entries.
    sent_history: Option<HistoryId>,
}

/// The votes and acknowledgements that each node has received.
#[derive(Debug, Default)]
pub struct DiskIdentity {
    nodes: Vec<Node>,
}

impl DiskIdentity {
    /// A process starts. Nothing is checked of disks without incarnations.
    pub fn started(&mut self, raft: &Raft) {
        self.stopped(raft.id());
        let Some(incarnation) = raft.incarnation() else {
            return;
        };
        self.nodes.push(Node {
            own: DiskOf {
                node: raft.id(),
                incarnation: Some(incarnation),
            },
            term: raft.term(),
            role: raft.role(),
            commit_index: raft.commit_index(),
            last_log: raft.last_log(),
            membership: raft.membership().clone(),
            votes: Vec::new(),
            acknowledged: Vec::new(),
            heard: Vec::new(),
            asked: Vec::new(),
            foreign_sender: None,
            sent_history: None,
        });
    }

    /// A node has stopped.
    pub fn stopped(&mut self, node: NodeId) {
        self.nodes.retain(|other| other.own.node != node);
    }

    fn node(&mut self, id: NodeId) -> Option<&mut Node> {
        self.nodes.iter_mut().find(|node| node.own.node == id)
    }

    /// `raft` is about to take `event`.
    pub fn event(&mut self, raft: &Raft, event: &Event) {
        let Some(node) = self.node(raft.id()) else {
            return;
        };
        node.foreign_sender = None;
        node.sent_history = None;
        node.asked.clear();
        if let Input::Receive {
            from,
            incarnation,
            message,
        } = &event.input
        {
            let sender = DiskOf {
                node: *from,
                incarnation: *incarnation,
            };
            node.receives(sender, message);
        } else if let Input::ChangeMembership { change, .. } = &event.input {
            let asked = change.nodes.iter().filter_map(|change| match change {
                NodeChange::Set(member) => Some(DiskOf {
                    node: member.id,
                    incarnation: member.incarnation,
                }),
                NodeChange::Promote(_)
                | NodeChange::Demote(_)
                | NodeChange::Remove(_)
                | NodeChange::Update { .. } => None,
            });
            node.asked.extend(asked);
        }
    }

    /// `raft` has taken the last event and answered with `actions`.
    ///
    /// # Errors
    ///
    /// A [`Violation`] of the rules above.
    pub fn actions(
        &mut self,
        raft: &Raft,
        actions: &[Action],
        configurations: &ConfigurationsInForce,
    ) -> Result<(), Violation> {
        let Some(node) = self.node(raft.id()) else {
            return Ok(());
        };
        let result = node.check_campaign(raft, actions, configurations);
        let result = result.and_then(|()| node.check(raft, actions));
        node.follow(raft, actions);
        result
    }
}

impl Node {
    /// Notes what a message says.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "only these messages bring votes, acknowledgements or entries"
    )]
    fn receives(&mut self, sender: DiskOf, message: &Message) {
        match message {
            Message::RequestVoteReply(reply)
                if reply.vote == Vote::Granted && reply.term == self.term =>
            {
                self.votes.push(sender);
            }
            Message::AppendEntriesReply(reply) if reply.term == self.term => {
                if let AppendOutcome::Accepted { match_index, .. } = reply.outcome {
                    self.acknowledges(sender, match_index);
                }
            }
            Message::InstallSnapshotReply(reply)
                if reply.term == self.term && reply.outcome == SnapshotOutcome::Installed =>
            {
                self.acknowledges(sender, reply.last.index);
            }
            Message::AppendEntries(append) => {
                self.sent_history = match append.lineage {
                    Lineage::Of(history) => Some(history),
                    Lineage::Unknown | Lineage::Founding { .. } => None,
                };
            }
            Message::InstallSnapshot(install) => {
                self.sent_history = install.snapshot.membership.history();
            }
            _ => {}
        }
        self.foreign_sender = (!self.may_teach(sender, message)).then_some(sender.node);
        if self.membership.get(sender.node).is_some() && !self.heard.contains(&sender) {
            self.heard.push(sender);
        }
    }

    fn acknowledges(&mut self, by: DiskOf, index: Index) {
        match self.acknowledged.iter_mut().find(|(disk, _)| *disk == by) {
            Some((_, known)) => *known = index.max(*known),
            None => self.acknowledged.push((by, index)),
        }
    }

    /// Whether this node may adopt the term of a message.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the terms of all other messages do not count"
    )]
    fn may_teach(&self, sender: DiskOf, message: &Message) -> bool {
        let member = self.membership.get(sender.node);
        if member.is_none_or(|member| sender.is(member)) {
            return true;
        }
        let history = self.membership.history();
        let own = self.membership.get(self.own.node);
        if history.is_none() && own.is_some_and(|own| !self.own.is(own)) {
            return true; // By the founders' list it is no member, and judges nobody by that.
        }
        let is_successor = |lineage: Lineage, last: EntryId| {
            history.is_some_and(|history| lineage == Lineage::Of(history))
                && last.is_at_least_as_up_to_date_as(self.last_log)
        };
        match message {
            Message::AppendEntries(_) | Message::InstallSnapshot(_) => true,
            Message::RequestVote(request) => is_successor(request.lineage, request.last_log),
            Message::PreVote(request) => is_successor(request.lineage, request.last_log),
            _ => false,
        }
    }

    fn check(&self, raft: &Raft, actions: &[Action]) -> Result<(), Violation> {
        let (node, term) = (self.own.node, raft.term());
        if let Some(from) = self.foreign_sender
            && term > self.term
        {
            return Err(DiskIdentityBroken::TermOfForeignDisk { node, from, term }.into());
        }
        let elected = |action: &Action| {
            matches!(
                action,
                Action::RoleChanged {
                    role: RoleKind::Leader,
                    ..
                }
            )
        };
        let is_elected = actions.iter().any(elected);
        if is_elected {
            self.check_election(raft)?;
        }
        let led = (is_elected || self.role == RoleKind::Leader) && term == self.term;
        if led && raft.commit_index() > self.commit_index {
            self.check_commit(raft)?;
        }
        let is_change = |action: &Action| matches!(action, Action::MembershipChanged { .. });
        if led && actions.iter().any(is_change) {
            self.check_change(raft.membership())?;
        }
        self.check_history(raft, actions)
    }

    fn check_campaign(
        &self,
        raft: &Raft,
        actions: &[Action],
        configurations: &ConfigurationsInForce,
    ) -> Result<(), Violation> {
        if !actions.iter().any(asks_for_votes)
            || configurations.any_in_force(raft, |membership| self.votes_in(membership))
        {
            return Ok(());
        }
        let (node, term) = (self.own.node, raft.term());
        Err(DiskIdentityBroken::CampaignsUnnamed { node, term }.into())
    }

    /// Whether this node has a vote by `membership`.
    fn votes_in(&self, membership: &Membership) -> bool {
        let own = membership.get(self.own.node);
        let own = own.filter(|_| membership.is_voter(self.own.node));
        own.is_some_and(|own| match own.incarnation {
            Some(_) => self.own.is(own),
            None => membership.history().is_none(),
        })
    }

    /// This node leads in its term: by the configuration that was in force before the step, in
    /// which it may have appended the first entry.
    fn check_election(&self, raft: &Raft) -> Result<(), Violation> {
        let is_founding = self.membership.history().is_none() && self.last_log == EntryId::ZERO;
        let has_vote = |membership: &Membership, id: NodeId| {
            let is = |vote: &DiskOf| {
                let member = membership.get(id);
                vote.node == id && member.is_some_and(|member| vote.is(member))
            };
            is(&self.own) || self.votes.iter().any(is)
        };
        let (membership, has_quorum) = if is_founding {
            let founded = raft.membership();
            let is_named = |member: &Member| member.incarnation.is_some();
            let mut voters = founded.members().iter();
            let by_all = voters.all(|it| is_named(it) && has_vote(founded, it.id));
            (founded, by_all && !founded.is_empty())
        } else {
            let known = &self.membership;
            (known, has_quorum(known, |id| has_vote(known, id)))
        };
        if has_quorum {
            return Ok(());
        }
        let voters = membership.voters().filter(|id| has_vote(membership, *id));
        Err(DiskIdentityBroken::LeadsByForeignVotes {
            leader: self.own.node,
            term: raft.term(),
            voters: Nodes(voters.collect()),
        }
        .into())
    }

    /// This node has raised its commitIndex as a leader. It may have appended another configuration
    /// before that, or after.
    fn check_commit(&self, raft: &Raft) -> Result<(), Violation> {
        let index = raft.commit_index();
        let own = (self.own, raft.durable_index());
        let has = |membership: &Membership, id: NodeId| {
            let Some(member) = membership.get(id) else {
                return false;
            };
            let holds = |(disk, up_to): &(DiskOf, Index)| {
                disk.node == id && disk.is(member) && *up_to >= index
            };
            holds(&own) || self.acknowledged.iter().any(holds)
        };
        let (after, before) = (raft.membership(), &self.membership);
        if has_quorum(after, |id| has(after, id)) || has_quorum(before, |id| has(before, id)) {
            return Ok(());
        }
        let holders = after.voters().filter(|id| has(after, *id));
        Err(DiskIdentityBroken::CommittedByForeignDisks {
            leader: self.own.node,
            index,
            holders: Nodes(holders.collect()),
        }
        .into())
    }

    /// This node leads, and `next` is in force after its step.
    fn check_change(&self, next: &Membership) -> Result<(), Violation> {
        let named = |membership: &Membership, id: NodeId| {
            let member = membership.get(id).filter(|_| membership.is_voter(id));
            member.and_then(|member| member.incarnation)
        };
        let is_exchanged = |id: &NodeId| {
            let (before, after) = (named(&self.membership, *id), named(next, *id));
            before.is_some() && after.is_some() && before != after
        };
        let leader = self.own.node;
        if let Some(voter) = next.voters().find(is_exchanged) {
            return Err(DiskIdentityBroken::VoterExchanged { leader, voter }.into());
        }
        let is_known = |disk: &DiskOf| {
            let before = self.membership.get(disk.node);
            before.is_some_and(|member| member.incarnation == disk.incarnation)
                || *disk == self.own
                || self.heard.contains(disk)
                || self.asked.contains(disk)
        };
        let disks = next.members().iter().map(|member| DiskOf {
            node: member.id,
            incarnation: member.incarnation,
        });
        let mut named = disks.filter(|disk| disk.incarnation.is_some());
        match named.find(|disk| !is_known(disk)) {
            None => Ok(()),
            Some(DiskOf { node, .. }) => {
                Err(DiskIdentityBroken::NamedUnheard { leader, node }.into())
            }
        }
    }

    /// A step writes entries into a log only if both are of the same history.
    fn check_history(&self, raft: &Raft, actions: &[Action]) -> Result<(), Violation> {
        let known = self.membership.history();
        let is_other =
            |history: Option<HistoryId>| known.is_some() && history.is_some() && history != known;
        let takes = |action: &Action| {
            let Action::Persist(write) = action else {
                return false;
            };
            !write.entries.is_empty() || write.install.is_some()
        };
        let takes_other = is_other(self.sent_history) && actions.iter().any(takes);
        if takes_other || is_other(raft.membership().history()) {
            return Err(DiskIdentityBroken::HistoriesMixed {
                node: self.own.node,
            }
            .into());
        }
        Ok(())
    }

    /// The step is over.
    fn follow(&mut self, raft: &Raft, actions: &[Action]) {
        if raft.term() != self.term {
            self.term = raft.term();
            self.votes.clear();
            self.acknowledged.clear();
        }
        self.role = raft.role();
        self.commit_index = raft.commit_index();
        self.last_log = raft.last_log();
        let is_change = |action: &Action| matches!(action, Action::MembershipChanged { .. });
        if actions.iter().any(is_change) {
            self.membership = raft.membership().clone();
            let members = &self.membership;
            self.heard.retain(|disk| members.get(disk.node).is_some());
        }
    }
}

fn asks_for_votes(action: &Action) -> bool {
    matches!(
        action,
        Action::Send {
            message: Message::PreVote(_) | Message::RequestVote(_),
            ..
        }
    )
}

/// `node` sends a message. `spoken` is the incarnation that it carries, and `stored` the one that
/// its disk holds.
///
/// # Errors
///
/// A [`Violation`] if they are not the same.
pub fn said(
    node: NodeId,
    spoken: Option<Incarnation>,
    stored: Option<Incarnation>,
) -> Result<(), Violation> {
    if spoken.is_none() || spoken == stored {
        return Ok(());
    }
    Err(DiskIdentityBroken::SaidBeforeDurable { node }.into())
}
