//! Disk identity: which storage speaks under a member's number.
//!
//! A server keeps its promises (votes, acknowledged entries) on its disk. One whose disk was lost
//! and made anew has kept none, and if it still counted, two majorities would share no member that
//! remembers (section 5.4.3). So each storage has an [`Incarnation`], each message carries its
//! sender's, and each configuration names its members' ("directory ids" in Kafka's KRaft).
//!
//! # The rules
//!
//! 1. *A member is its number and its incarnation.* Nothing counts that comes under another
//!    incarnation than the configuration in force names: no vote, no acknowledgement, no term.
//! 2. *A node votes for itself, leads and campaigns only where its own incarnation is named.* So a
//!    joiner is no voter, whatever old configurations its log holds under its number.
//! 3. *A voter's incarnation never changes in one step.* It becomes a learner first
//!    (`change.rs`). So any two majorities of adjacent configurations share a member with one disk,
//!    as if each incarnation were a server of its own (thesis 4.1).
//! 4. *A cluster is founded by all its founders.* Before the first configuration is in the log
//!    nobody's incarnation is known. So the first leader needs every founder's vote, and its first
//!    entry names their incarnations, as the votes carried them. If that entry is committed, a
//!    majority holds it, and refuses a candidate with an empty log (section 5.4.1). A later
//!    founding would need the votes of all those, and so each of their disks would have to be lost,
//!    and made anew as a founder's. A storage that joins elects nobody to found a cluster.
//! 5. *Histories never mix.* The founding entry also names the history, which all later
//!    configurations and all requests carry. A node refuses requests of another history. A cluster
//!    that was founded again under the same id thus neither overwrites an old disk nor follows it.
//!
//! Two exceptions to rule 1 keep the cluster available (thesis 4.2.2). A follower may lag behind
//! the change that replaced a disk: so it follows a leader under another incarnation than it knows,
//! if the history is the same, and it votes for such a candidate if the log is as up to date as its
//! own. Such a candidate counts votes by its own configuration, in which it is named (rule 2).
//!
//! What a dismissed node can do is listen. It learns from the answers to its requests and
//! acknowledgements, or from the configurations that a leader sends it, that its number belongs to
//! another disk, and asks no more (`dismissal.rs`, which also says whom it believes).
//!
//! Without [`Config::incarnation`](crate::Config::incarnation) none of this is in force.
//!
//! # A cluster that was founded without
//!
//! A storage has an incarnation from its first write on, or never. One that was used without is
//! refused with one ([`StorageWithoutIncarnation`](crate::StartError::StorageWithoutIncarnation)):
//! a name that is given later would vouch for votes and entries that another storage may have
//! acknowledged under the same number. So a restart with the option turned on does not start, and
//! does no harm. The way is to replace the storages one by one, as lost ones are: an empty one
//! with an incarnation under the same number, added by its incarnation as a learner, and then
//! promoted. By rule 3 each step is safe as if the storage were a new server. From then on rule 1
//! holds for that member. Such a cluster has no history: rule 5 never holds in it.

use crate::action::Action;
use crate::checksum::Checksum;
use crate::error::Rejection;
use crate::membership::{Member, Membership};
use crate::message::{Lineage, Message};
use crate::quorum;
use crate::raft::Raft;
use crate::role::Role;
use crate::types::{EntryId, ForeignIncarnation, HistoryId, Incarnation, Index, NodeId};
use alloc::vec::Vec;

/// What becomes of a message, by its sender's incarnation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// It is received as any other.
    Granted,
    /// It counts for nothing.
    Denied,
}

impl Membership {
    /// The member `node`, if the configuration names another storage for it than `spoken`.
    pub(crate) fn named_otherwise(
        &self,
        node: NodeId,
        spoken: Option<Incarnation>,
    ) -> Option<Incarnation> {
        let named = self.get(node)?.incarnation?;
        (Some(named) != spoken).then_some(named)
    }

    /// Where a log comes from that holds this configuration.
    pub(crate) fn lineage(&self) -> Lineage {
        match self.history() {
            Some(history) => Lineage::Of(history),
            None => Lineage::Unknown,
        }
    }

    /// What tells two lists of founders apart.
    pub(crate) fn founders_checksum(&self) -> u32 {
        Checksum::of(&self.encode())
    }
}

impl Raft {
    /// This node's storage, as its first write named it; all its messages have to carry it.
    pub fn incarnation(&self) -> Option<Incarnation> {
        self.config.incarnation
    }

    /// The storages that have spoken to this node under a member's number, and that the
    /// configuration in force does not name; the latest one of each number.
    pub fn foreign_incarnations(&self) -> &[ForeignIncarnation] {
        &self.foreign
    }

    /// The storage that has this node's number, as a configuration or a voter has said, if it is
    /// another one than this node's. See [`Action::Replaced`].
    pub fn replaced_by(&self) -> Option<Incarnation> {
        self.replaced_by
    }

    /// The founders that have not shown for two election timeouts that they found the cluster with
    /// this node, while it is being founded, which needs the votes of all of them; none once it is
    /// founded. They are not heard, or they answer, and would not vote for it: they belong to a
    /// cluster that exists already.
    pub fn missing_founders(&self) -> impl Iterator<Item = NodeId> + '_ {
        let (own, founding) = (self.config.node_id, self.is_founding());
        let (period, now) = (self.config.election_timeout_max * 2, self.now);
        let founds =
            move |id: &NodeId| *id == own || self.vote_retry.founds_within(*id, period, now);
        let voters = self.configurations.membership().voters();
        voters.filter(move |id| founding && !founds(id))
    }

    /// Whether this node has a vote of its own by `membership` (rule 2).
    pub(crate) fn votes_in(&self, membership: &Membership) -> bool {
        let own = self.config.node_id;
        let Some(member) = membership.get(own).filter(|_| membership.is_voter(own)) else {
            return false;
        };
        match (self.config.incarnation, member.incarnation) {
            (None, None) => true,
            (own, Some(named)) => own == Some(named),
            // Founders are named by the first entry, all others by the change that adds them.
            (Some(_), None) => self.founders.is_some() && membership.history().is_none(),
        }
    }

    /// Whether no leader has named the founders' incarnations yet (rule 4).
    pub(crate) fn is_founding(&self) -> bool {
        self.config.incarnation.is_some()
            && self.founders.is_some()
            && self.configurations.latest().index == Index::ZERO
            && self.log.last() == EntryId::ZERO
    }

    /// Whether the voters for which `granted` holds elect a leader: a majority (section 5.2), or
    /// all founders (rule 4).
    pub(crate) fn elects(&self, granted: impl Fn(NodeId) -> bool) -> bool {
        let membership = self.configurations.membership();
        if self.is_founding() {
            return membership.voters().all(granted);
        }
        quorum::reached(membership, granted) == Some(true)
    }

    /// Whether the vote of a storage counts. A founder without an incarnation could not be named.
    pub(crate) fn counts_votes_of(&self, incarnation: Option<Incarnation>) -> bool {
        incarnation.is_some() || !self.is_founding()
    }

    /// Whether this node would vote for a candidate of this lineage, whatever its log. A cluster is
    /// founded by founders (rule 4). A storage that joins is none, also under a founder's number: it
    /// may have been made anew, and its number's first storage may have voted before.
    pub(crate) fn may_elect(&self, lineage: Lineage) -> bool {
        match lineage {
            Lineage::Founding { .. } => self.is_founding(),
            Lineage::Of(_) | Lineage::Unknown => true,
        }
    }

    /// Whether this node knows no configuration but a list of founders that names another storage
    /// for it. It is no founder, and the list is as old as the storage that it replaces: so it does
    /// not judge by it who the others are.
    fn is_replaced_by_founders(&self) -> bool {
        let latest = self.configurations.latest();
        let (own, incarnation) = (self.config.node_id, self.config.incarnation);
        latest.index == Index::ZERO
            && latest
                .membership
                .named_otherwise(own, incarnation)
                .is_some()
    }

    /// Where this node's log comes from.
    pub(crate) fn lineage(&self) -> Lineage {
        match self.founders {
            Some(founders) if self.is_founding() => Lineage::Founding { founders },
            Some(_) | None => self.configurations.membership().lineage(),
        }
    }

    /// The configuration of the founding entry: the bootstrap, with the incarnations as the votes
    /// carried them. The history is named after the founding leader's storage, which founds at most
    /// one: a node that holds its entry refuses it another vote with an empty log.
    pub(crate) fn founding_membership(&self) -> Option<Membership> {
        let (Some(own), Role::Leader(leader)) = (self.config.incarnation, &self.role) else {
            return None;
        };
        if !self.is_founding() {
            return None;
        }
        let incarnation_of = |id: NodeId| match leader.peer(id) {
            Some(peer) => peer.incarnation,
            None => Some(own),
        };
        let members = self.configurations.membership().members();
        let named = members.iter().map(|member| Member {
            incarnation: incarnation_of(member.id),
            ..member.clone()
        });
        Some(Membership::of(named).with_history(HistoryId(own.0)))
    }

    /// Rule 5, and the founders' lists. Nothing is used of a request that breaks it.
    pub(crate) fn admit_lineage(&self, theirs: Lineage) -> Result<(), Rejection> {
        match (self.lineage(), theirs) {
            (Lineage::Of(ours), Lineage::Of(_)) if theirs != Lineage::Of(ours) => {
                Err(Rejection::OtherHistory { ours, theirs })
            }
            (_, Lineage::Founding { founders })
                if self.founders.is_some_and(|ours| ours != founders) =>
            {
                Err(Rejection::OtherFounders)
            }
            (_, _) => Ok(()),
        }
    }

    /// The same for a leader's request: a leader of this history holds its founding entry.
    pub(crate) fn admit_leaders_lineage(&self, theirs: Lineage) -> Result<(), Rejection> {
        match self.lineage() {
            Lineage::Of(ours) if theirs != Lineage::Of(ours) => {
                Err(Rejection::OtherHistory { ours, theirs })
            }
            Lineage::Of(_) | Lineage::Unknown | Lineage::Founding { .. } => {
                self.admit_lineage(theirs)
            }
        }
    }

    /// Rule 1 and its two exceptions.
    pub(crate) fn admit_incarnation(
        &mut self,
        from: NodeId,
        spoken: Option<Incarnation>,
        message: &Message,
        actions: &mut Vec<Action>,
    ) -> Audience {
        let membership = self.configurations.membership();
        let named = match membership.get(from).map(|member| member.incarnation) {
            None => return Audience::Granted, // A node that this configuration does not know.
            Some(None) => {
                self.hear_incarnation(from, spoken);
                return Audience::Granted;
            }
            Some(named) if named == spoken => return Audience::Granted,
            Some(Some(_)) if self.is_replaced_by_founders() => return Audience::Granted,
            Some(Some(named)) => named,
        };
        let same_history = |lineage| membership.history().is_some() && lineage == self.lineage();
        let up_to_date = |log: EntryId| log.is_at_least_as_up_to_date_as(self.log.last());
        let audience = match message {
            // Its lineage was compared before.
            Message::AppendEntries(_) | Message::InstallSnapshot(_) => Audience::Granted,
            Message::RequestVote(request)
                if same_history(request.lineage) && up_to_date(request.last_log) =>
            {
                Audience::Granted
            }
            Message::PreVote(request)
                if same_history(request.lineage) && up_to_date(request.last_log) =>
            {
                Audience::Granted
            }
            Message::RequestVote(_)
            | Message::PreVote(_)
            | Message::RequestVoteReply(_)
            | Message::AppendEntriesReply(_)
            | Message::InstallSnapshotReply(_)
            | Message::PreVoteReply(_)
            | Message::TimeoutNow(_)
            | Message::ReadIndex(_)
            | Message::ReadIndexReply(_) => Audience::Denied,
        };
        if audience == Audience::Denied {
            self.note_foreign(
                ForeignIncarnation {
                    node: from,
                    named,
                    spoken,
                },
                actions,
            );
            self.answer_dismissed(from, spoken, message, actions);
        }
        audience
    }

    /// Nothing leaves this node before its storage has its incarnation for good: a leader would name
    /// what it hears, and after a loss of power the storage would be another one. Whatever is not
    /// said is asked again, as if the network had lost it.
    pub(crate) fn say_nothing_unnamed(&self, begun: usize, actions: &mut Vec<Action>) {
        if self.config.incarnation.is_none() || self.writes.identity_is_durable() {
            return;
        }
        let step = actions.split_off(begun);
        let says = |action: &Action| matches!(action, Action::Send { .. });
        actions.extend(step.into_iter().filter(|action| !says(action)));
    }

    /// Says once that another storage speaks under a member's number.
    #[cold]
    fn note_foreign(&mut self, found: ForeignIncarnation, actions: &mut Vec<Action>) {
        match self.foreign.iter_mut().find(|it| it.node == found.node) {
            Some(known) if *known == found => return,
            Some(known) => *known = found,
            None => self.foreign.push(found),
        }
        actions.push(Action::ForeignIncarnation(found));
    }

    /// Another configuration is in force, or this node starts with it: what it names is not foreign
    /// any more, and it may name another storage than this node's. Where it names another one than
    /// before, the member's storage was replaced: what spoke before is over, or speaks again.
    pub(crate) fn compare_incarnations(&mut self, actions: &mut Vec<Action>) {
        let latest = self.configurations.latest();
        let membership = &latest.membership;
        let other = membership.named_otherwise(self.config.node_id, self.config.incarnation);
        match other {
            Some(named) if self.replaced_by != other => {
                let index = latest.index;
                actions.push(Action::Replaced { index, named });
            }
            Some(_) | None => {}
        }
        self.replaced_by = other;
        self.foreign
            .retain(|it| membership.named_otherwise(it.node, it.spoken) == Some(it.named));
    }
}
