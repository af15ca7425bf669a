//! Dismissals: a node that could never win an election learns why, and asks for no more votes.
//!
//! A node that was removed while it could not hear of it would ask for ever, and so would a disk
//! whose number another disk has. So a node that is asked, by a PreVote or a RequestVote, says as
//! of which *committed* index the asking node is no member. It says so in a [`PreVoteReply`], also
//! to a node that holds no pre-votes: such a reply grants nothing, and its term is below the one
//! that was asked for. A node whose own latest configuration is not later than that index campaigns
//! no more, until it has received a later one.
//!
//! # Why nobody is silenced wrongly
//!
//! A dismissal only makes its receiver quiet: the receiver still votes, acknowledges and follows.
//! Suppose that it is told of an index, and that its own latest configuration is not later. If it
//! is no member any more, nobody needs it: what removed it is committed (thesis 4.2.2). If it was
//! added again later, by a change that is committed, a majority of that configuration's voters
//! hold that entry, which this node lacks: it would lose the election anyway (section 5.4.1). And
//! if that change is not committed, the majority that elects a leader needs no log of this node.
//! The next leader sends it the later configuration, and it may campaign again.
//!
//! An answer from before the node was added says nothing that counts: its index is below the entry
//! that added the node, which the node has; or the node has received no configuration, and is
//! silent in any case.
//!
//! # Who is believed
//!
//! A vote and an acknowledgement are promises, which only the disk keeps that made them. A
//! dismissal is a fact of one history: at this index it is committed, and equal in all logs of
//! that history (State Machine Safety, section 5.4.3). So it does not matter which disk says it. A
//! node that was removed long ago may know no disk of those that are members now, because all were
//! replaced. It believes
//!
//! * a voter of its own configuration, by number and incarnation;
//! * another disk under a voter's number, if the answer names the history of this node's own log
//!   ([`PreVoteReply::lineage`]). Neither the vote nor the term of such an answer counts.
//!
//! A node of another history is not believed, under whatever number: its indexes are of another
//! log. It is told apart on both sides ([`Rejection::OtherHistory`]). Nor is one that states no
//! history, as all logs do that were founded without incarnations.

use crate::action::Action;
use crate::error::Rejection;
use crate::message::{Dismissal, Lineage, Message, PreVoteReply, Vote};
use crate::raft::Raft;
use crate::role::Role;
use crate::types::{Incarnation, Index, NodeId, Term};
use alloc::vec::Vec;

impl Raft {
    /// As of which committed index this node is no member, if it knows that: a member has said so,
    /// or its own log does. It ends once this node has received a later configuration that names it.
    /// Of a member's word, see [`Action::Removed`].
    pub fn removed_at(&self) -> Option<Index> {
        let latest = self.configurations.latest();
        if self.replaced_by.is_some() {
            return None; // Its number is a member.
        }
        if self.was_told_at_least(latest.index) {
            return Some(self.removed_at);
        }
        let is_committed = latest.index <= self.commit_index() && !latest.membership.is_empty();
        let is_gone = is_committed && latest.membership.get(self.config.node_id).is_none();
        is_gone.then_some(latest.index)
    }

    /// Whether this node was told that it is no member, and knows no later configuration.
    pub(crate) fn was_told_at_least(&self, latest: Index) -> bool {
        self.removed_at >= latest && self.removed_at > Index::ZERO
    }

    /// A node that asks for votes and could never win is told why, whichever way it asks. So is one
    /// that follows this leader: it would take itself for a member as long as the leader lives.
    #[cold]
    pub(crate) fn answer_dismissed(
        &self,
        from: NodeId,
        spoken: Option<Incarnation>,
        message: &Message,
        actions: &mut Vec<Action>,
    ) {
        let (asked, lineage) = match message {
            Message::PreVote(request) => (request.term, request.lineage),
            Message::RequestVote(request) => (request.term, request.lineage),
            // As if it had asked for the next term: its log's lineage is the leader's.
            Message::AppendEntriesReply(reply) if matches!(self.role, Role::Leader(_)) => {
                (reply.term.next(), self.lineage())
            }
            Message::RequestVoteReply(_)
            | Message::AppendEntries(_)
            | Message::AppendEntriesReply(_)
            | Message::InstallSnapshot(_)
            | Message::InstallSnapshotReply(_)
            | Message::PreVoteReply(_)
            | Message::TimeoutNow(_)
            | Message::ReadIndex(_)
            | Message::ReadIndexReply(_) => return,
        };
        let Some(dismissal) = self.dismissal_of(from, spoken, lineage) else {
            return;
        };
        let message = Message::PreVoteReply(PreVoteReply {
            // It is not told a term that it would adopt, and come back with.
            term: self.hard_state.term().min(Term(asked.0.saturating_sub(1))),
            asked,
            vote: Vote::Refused,
            dismissal: Some(dismissal),
            lineage: self.lineage(),
        });
        actions.push(Action::Send { to: from, message });
    }

    /// Why `node` could never win, if so: by what is committed here, or because its cluster was
    /// founded without this storage of it.
    pub(crate) fn dismissal_of(
        &self,
        node: NodeId,
        spoken: Option<Incarnation>,
        lineage: Lineage,
    ) -> Option<Dismissal> {
        let latest = self.configurations.latest();
        if let Lineage::Founding { founders } = lineage {
            // One that joins, and knows no members yet, has no list.
            let is_other = match self.founders {
                Some(ours) => ours != founders,
                None => latest.membership.is_empty(),
            };
            if is_other {
                return Some(Dismissal::OtherFounders);
            }
            // A founder needs every founder's vote, and so this node's, whose log is not empty.
            if let Some(named) = latest.membership.named_otherwise(node, spoken) {
                let index = latest.index;
                return Some(Dismissal::OtherIncarnation { index, named });
            }
        }
        let index = self.commit_index();
        let membership = self.configurations.as_of(index);
        // Nothing is committed yet, or this node has yet to join and knows no configuration.
        if index == Index::ZERO || membership.is_empty() {
            return None;
        }
        if membership.get(node).is_none() {
            return Some(Dismissal::Removed { index });
        }
        let named = membership.named_otherwise(node, spoken)?;
        Some(Dismissal::OtherIncarnation { index, named })
    }

    /// A voter says why this node could never win. If this node knows no later configuration, its
    /// candidacy is over.
    pub(crate) fn learn_dismissal(
        &mut self,
        dismissal: Dismissal,
        actions: &mut Vec<Action>,
    ) -> Result<(), Rejection> {
        let (index, named) = match dismissal {
            Dismissal::Removed { index } => (index, None),
            // The answer to another storage under this number, which is not reached any more.
            Dismissal::OtherIncarnation { named, .. } if Some(named) == self.incarnation() => {
                return Ok(());
            }
            Dismissal::OtherIncarnation { index, named } => (index, Some(named)),
            // It is founded with neither, until the lists are the same.
            Dismissal::OtherFounders => return Err(Rejection::OtherFounders),
        };
        let campaigned = self.may_campaign();
        self.removed_at = self.removed_at.max(index);
        if !campaigned || self.may_campaign() {
            return Ok(());
        }
        match self.role {
            Role::PreCandidate(_) | Role::Candidate(_) => self.become_follower(None, actions),
            // A leader finds out by its own log.
            Role::Follower(_) | Role::Leader(_) => {}
        }
        match named {
            Some(named) => {
                self.replaced_by = Some(named);
                actions.push(Action::Replaced { index, named });
            }
            None => actions.push(Action::Removed { index }),
        }
        Ok(())
    }

    /// Another disk answers under a voter's number than the configuration names. This node listens
    /// only to what is true in its own history.
    pub(crate) fn learn_from_another_disk(
        &mut self,
        from: NodeId,
        message: &Message,
        actions: &mut Vec<Action>,
    ) -> Result<(), Rejection> {
        let Message::PreVoteReply(reply) = message else {
            return Ok(());
        };
        let own = self.lineage();
        let is_of_history = matches!(own, Lineage::Of(_)) && reply.lineage == own;
        let is_voter = self.configurations.membership().is_voter(from);
        match reply.dismissal {
            Some(dismissal) if is_of_history && is_voter => {
                self.learn_dismissal(dismissal, actions)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// A node of another history asks for a pre-vote. It gets none, and learns the history: it may
    /// belong to a cluster that was continued by force without it.
    pub(crate) fn name_history(&self, from: NodeId, message: &Message, actions: &mut Vec<Action>) {
        let Message::PreVote(request) = message else {
            return;
        };
        let message = Message::PreVoteReply(PreVoteReply {
            term: self
                .hard_state
                .term()
                .min(Term(request.term.0.saturating_sub(1))),
            asked: request.term,
            vote: Vote::Refused,
            dismissal: None,
            lineage: self.lineage(),
        });
        actions.push(Action::Send { to: from, message });
    }
}
