//! Configurations that count, and which machines the cluster can do without: no algorithm survives
//! the loss of a majority, so the nemesis must not take one away.

use super::World;
use crate::checker::quorum::has_quorum;
use raft_proto::{EntryId, Index, MemberRole, Membership, NodeId, Start};

/// Configurations that no node need have at this moment, and that count all the same.
#[derive(Debug)]
pub(super) struct Configurations {
    /// The one that was committed last, and the index of its entry.
    committed: Membership,
    committed_at: Index,
    /// Later ones that any node has had. A late message may put them into force again.
    pending: Vec<(Index, Membership)>,
    /// All that any node has ever had. A node that catches up uses them again, one by one.
    history: Vec<Membership>,
}

impl Configurations {
    /// A cluster begins with the members that `first` names.
    pub(super) fn new(first: &Start) -> Configurations {
        let first = match first {
            Start::Bootstrap { members } => Membership::of(members.iter().cloned()),
            Start::Join => Membership::default(),
        };
        Configurations {
            committed: first.clone(),
            committed_at: Index::ZERO,
            pending: Vec::new(),
            history: vec![first],
        }
    }

    /// A node uses the configuration that stands at `index`.
    pub(super) fn used(&mut self, index: Index, membership: Membership) {
        if !self.history.contains(&membership) {
            self.history.push(membership.clone());
        }
        let used = (index, membership);
        if index > self.committed_at && !self.pending.contains(&used) {
            self.pending.push(used);
        }
    }

    /// The configuration that stands at `index` is committed.
    pub(super) fn committed(&mut self, index: Index, membership: &Membership) {
        if index != self.committed_at {
            self.committed = membership.clone();
            self.committed_at = index;
            self.pending.retain(|(later, _)| *later > index);
        }
    }
}

/// The configuration in which the staging members for which `is_promoted` holds are voters.
fn promoted(members: &Membership, is_promoted: impl Fn(NodeId) -> bool) -> Membership {
    let members = members.members().iter().cloned().map(|mut member| {
        if member.role == MemberRole::Staging && is_promoted(member.id) {
            member.role = MemberRole::Voter;
        }
        member
    });
    Membership::of(members)
}

impl World {
    /// All configurations that are in force, or may come into force.
    fn all_configurations(&self) -> impl Iterator<Item = &Membership> {
        let is_founded = self.is_founded();
        let used = self.machines.iter().filter_map(move |machine| {
            let membership = machine.membership();
            // Nobody is elected by the configuration of another disk, or of the bootstrap once the
            // cluster is founded.
            let is_void = is_founded && membership.history().is_none();
            let is_void = is_void || machine.is_foreign_to(membership);
            let counts = machine.config().incarnation.is_none() || !is_void;
            counts.then_some(membership)
        });
        let pending = &self.configurations.pending;
        let pending = pending.iter().map(|(_, membership)| membership);
        let all = used.chain(pending).chain([&self.configurations.committed]);
        // A node that has yet to join knows no members.
        all.filter(|membership| !membership.is_empty())
    }

    /// Whether the cluster survives it if the node in this place forgets votes that it gave and
    /// entries that it acknowledged.
    ///
    /// No configuration that may be in force may name it. And a node that catches up uses old
    /// configurations again, one by one, and could be elected by the voters that it then counts. So
    /// of every configuration that there ever was, the nodes without the last committed entry,
    /// which would vote for it, must not be a majority.
    pub(super) fn may_forget(&self, place: usize) -> bool {
        let node = self.machines[place].id();
        let counts = |members: &Membership| members.get(node).is_some();
        let Some(committed) = self.last_committed() else {
            return false;
        };
        if self.all_configurations().any(counts) {
            return false;
        }
        let refuses = |id: NodeId| {
            let machine = &self.machines[self.place(id)];
            id != node && machine.id() == id && machine.disk().holds(committed)
        };
        let mut history = self.configurations.history.iter();
        history.all(|members| !has_quorum(members, |id| !refuses(id)))
    }

    /// The last entry that is committed, if a node that runs knows it.
    fn last_committed(&self) -> Option<EntryId> {
        let index = self.judge.commit_index();
        let mut rafts = self.machines.iter().filter_map(|machine| machine.raft());
        let term = rafts.find_map(|raft| {
            let knows = raft.commit_index() >= index && index > Index::ZERO;
            raft.term_at(index).filter(|_| knows)
        });
        term.map(|term| EntryId { index, term })
    }

    /// Whether the cluster needs no more than majorities: one whose disks have incarnations is
    /// founded by all its founders.
    fn is_founded(&self) -> bool {
        !self.settings.core.incarnations || self.configurations.committed.history().is_some()
    }

    /// Whether the disk of this machine may be lost: every configuration that may be in force has a
    /// majority without it, and no other disk lacks entries, which this one may have.
    pub(super) fn can_lose(&self, place: usize) -> bool {
        !self.is_any_incomplete() && self.has_sound_majority_without(place)
    }

    /// Whether every configuration that may be in force, or come into force by a promotion, has a
    /// majority without this machine.
    pub(super) fn has_sound_majority_without(&self, place: usize) -> bool {
        let id = self.machines[place].id();
        let has_quorum_without = |members: &Membership| {
            let counts = |other| other != id && self.is_sound(members, other);
            has_quorum(&promoted(members, |other| other == id), counts)
        };
        self.is_founded() && self.all_configurations().all(has_quorum_without)
    }

    /// Whether the machines that are left can tell that their cluster is not there any more, if this
    /// one's disk is lost too, although more are lost than the cluster can do without. The nodes
    /// without the last committed entry must not be a majority of any configuration that there was:
    /// if they took up an old one, nothing would tell them of the later ones.
    pub(super) fn can_lose_knowingly(&self, place: usize) -> bool {
        let lost = self.machines[place].id();
        let Some(committed) = self.judge.last_committed() else {
            return false;
        };
        let is_left = |members: &Membership, id: NodeId| {
            let machine = &self.machines[self.place(id)];
            id != lost && machine.id() == id && machine.is_named_in(members)
        };
        let disk = |id: NodeId| self.machines[self.place(id)].disk();
        let lacks = |id: NodeId| !disk(id).holds(committed);
        let mut history = self.configurations.history.iter();
        let could_elect =
            |members: &Membership| has_quorum(members, |id| is_left(members, id) && lacks(id));
        !history.any(|it| it.history().is_some() && could_elect(it))
    }

    /// Whether a founder other than this machine's would not vote for founding the cluster again:
    /// it holds the founding entry, or its disk has joined. If there were none, nobody could tell
    /// another founding from the first.
    pub(super) fn is_remembered_without(&self, place: usize) -> bool {
        let lost = self.machines[place].id();
        let refuses = |id: NodeId| {
            let machine = &self.machines[self.place(id)];
            let stored = machine.disk().configurations();
            let has_joined = machine.config().start == Start::Join
                && stored.as_ref().is_none_or(|it| it.bootstrap.is_empty());
            let remembers = || {
                stored
                    .as_ref()
                    .is_some_and(|it| it.last.history().is_some())
            };
            machine.id() != id || has_joined || remembers()
        };
        let first = self.configurations.history.first();
        let founders = first.into_iter().flat_map(Membership::voters);
        founders.filter(|id| *id != lost).any(refuses)
    }

    /// Whether every configuration that may be in force has a majority of nodes that are not gone.
    pub(super) fn can_do_without(&self, gone: &[bool]) -> bool {
        let stays = |id: NodeId| !gone[self.place(id)];
        let has_quorum_of_others = |members: &Membership| {
            has_quorum(members, |id| stays(id) && self.is_sound(members, id))
        };
        let founders = &self.configurations.committed;
        let is_possible = self.is_founded() || founders.voters().all(stays);
        is_possible && self.all_configurations().all(has_quorum_of_others)
    }

    /// Whether every configuration that may be in force has a majority of nodes that are not gone,
    /// also if the members that are gone and wait for their promotion become voters. A leader
    /// promotes a staging member by what it last heard of it (thesis 4.2.1): it cannot know that the
    /// member went right after that. The configuration counts from when it is in the log, and if it
    /// has no majority, nobody can take it back. To promote members that are not gone adds a vote
    /// that is there for each that is needed.
    pub(super) fn can_promote_without(&self, gone: &[bool]) -> bool {
        let stays = |id: NodeId| !gone[self.place(id)];
        self.all_configurations().all(|members| {
            let counts = |id| stays(id) && self.is_sound(members, id);
            has_quorum(&promoted(members, |id| !stays(id)), counts)
        })
    }

    /// Whether a majority of `members` can be built on this node: its disk is there, and it knows
    /// that it votes. The most up-to-date log may be on a node that is a voter for the others, but
    /// not by its own log. Such a node grants no vote, and starts no election either.
    pub(super) fn is_sound(&self, members: &Membership, id: NodeId) -> bool {
        let machine = &self.machines[self.place(id)];
        let own = machine.membership();
        machine.id() == id
            && !self.lost.contains(&id)
            && !machine.disk().is_impaired()
            && own.is_voter(id)
            && machine.is_named_in(own)
            && machine.is_named_in(members)
    }
}
