//! "A server always uses the latest configuration in its log, regardless of whether the entry is
//! committed" (section 6), or that of its snapshot; and a leader that a committed configuration
//! leaves out steps down (section 6; thesis 4.2.2).
//!
//! A node that counts by another configuration is found by Membership Safety only once two nodes
//! could be elected in one term. So the checker keeps the configurations of each log, made of the
//! node's writes, and compares the last one with the configuration in force whenever one of them
//! changes. A process that starts must use the configuration that its disk holds.
//!
//! A leader that is a voter neither of the last configuration that it knows to be committed nor of
//! a later one has to be gone within the greatest election timeout. This is checked when it looks
//! at its clock (a tick).
//!
//! Sound: what changes a log leaves the same step as a write. A leader that is left out steps down
//! in the step in which it commits that, and no node campaigns that knows it is left out.
//!
//! Cost: a look at each entry that is written and a comparison for each change; a search of its own
//! id for each step of a leader.

use super::violation::Violation;
use raft_proto::{
    Action, EntryKind, Event, Index, Input, InstalledLog, Membership, NodeId, Raft, RoleKind,
    Start, Term, Time, Write,
};
use std::time::Duration;

/// A configuration, and the index of the entry that holds it.
#[derive(Clone, Debug)]
struct Configuration {
    index: Index,
    membership: Membership,
}

/// What a disk holds that is not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredConfigurations {
    /// That of the bootstrap, in the node's identity.
    pub bootstrap: Membership,
    /// The last one, of the log, of the snapshot or of the bootstrap.
    pub last: Membership,
}

/// The configurations of one node.
#[derive(Clone, Debug)]
struct Node {
    id: NodeId,
    /// The snapshot's, or that of the bootstrap.
    base: Configuration,
    /// Those of the log after it, in the order of their indexes.
    later: Vec<Configuration>,
    /// Since when it has led without being a voter.
    outside_since: Option<Time>,
}

/// The configurations in the logs of all nodes.
#[derive(Debug, Default)]
pub struct ConfigurationsInForce {
    nodes: Vec<Node>,
    /// The time of the present step, by its node's clock, and whether it is a tick.
    now: Time,
    is_tick: bool,
}

impl ConfigurationsInForce {
    fn node(&mut self, id: NodeId) -> Option<&mut Node> {
        self.nodes.iter_mut().find(|node| node.id == id)
    }

    /// The index of the last configuration of a node that runs.
    pub fn latest_index(&self, id: NodeId) -> Option<Index> {
        let node = self.nodes.iter().find(|node| node.id == id)?;
        Some(node.latest().index)
    }

    /// Whether `member` is a member of a configuration that may be in force, as far as `raft` knows:
    /// the last one that is committed, or a later one. A node that knows no members excludes nobody.
    pub fn may_count(&self, raft: &Raft, member: NodeId) -> bool {
        let known = self.nodes.iter().find(|node| node.id == raft.id());
        known.is_none_or(|node| node.latest().membership.is_empty())
            || self.any_in_force(raft, |membership| membership.get(member).is_some())
    }

    /// Whether `holds` is true of a configuration that may be in force, as far as `raft` knows.
    pub fn any_in_force(&self, raft: &Raft, holds: impl Fn(&Membership) -> bool) -> bool {
        let Some(node) = self.nodes.iter().find(|node| node.id == raft.id()) else {
            return true;
        };
        let commit_index = raft.commit_index();
        let mut later = node.later.iter().filter(|one| one.index > commit_index);
        holds(node.committed(commit_index)) || later.any(|one| holds(&one.membership))
    }

    /// A process starts with what its disk holds: `stored`, or nothing on an empty disk.
    ///
    /// # Errors
    ///
    /// [`Violation::OtherConfigurationInForce`].
    pub fn started(
        &mut self,
        raft: &Raft,
        stored: Option<&StoredConfigurations>,
    ) -> Result<(), Violation> {
        self.stopped(raft.id());
        let base = match raft.snapshot() {
            Some(snapshot) => Configuration {
                index: snapshot.id.last.index,
                membership: snapshot.membership.clone(),
            },
            None => Configuration {
                index: Index::ZERO,
                membership: stored.map_or_else(|| bootstrap(raft), |it| it.bootstrap.clone()),
            },
        };
        let mut node = Node {
            id: raft.id(),
            later: Vec::new(),
            outside_since: None,
            base,
        };
        let from = node.base.index.next();
        node.add(&raft.entries(from, raft.last_log().index));
        let result = node.compare(raft.membership());
        self.nodes.push(node);
        if stored.is_some_and(|stored| stored.last != *raft.membership()) {
            return Err(Violation::OtherConfigurationInForce {
                node: raft.id(),
                since: raft.last_log().index,
            });
        }
        result
    }

    /// A node has stopped.
    pub fn stopped(&mut self, node: NodeId) {
        self.nodes.retain(|other| other.id != node);
    }

    /// A node is about to take `event`.
    pub fn event(&mut self, event: &Event) {
        self.now = event.at;
        self.is_tick = event.input == Input::Tick;
    }

    /// `raft` has taken the last event and answered with `actions`.
    ///
    /// # Errors
    ///
    /// [`Violation::OtherConfigurationInForce`], [`Violation::LeaderOutside`].
    pub fn actions(&mut self, raft: &Raft, actions: &[Action]) -> Result<(), Violation> {
        let (now, is_tick) = (self.now, self.is_tick);
        let concerns = |action: &Action| {
            matches!(
                action,
                Action::Persist(_) | Action::MembershipChanged { .. }
            )
        };
        let leads = raft.role() == RoleKind::Leader && raft.fault().is_none();
        let has_written = actions.iter().any(concerns);
        if !has_written && !leads {
            return Ok(());
        }
        let may_vote = leads && self.any_in_force(raft, |it| it.is_voter(raft.id()));
        let Some(node) = self.node(raft.id()) else {
            return Ok(());
        };
        if has_written && node.changed(actions) {
            node.compare(raft.membership())?;
        }
        if !leads || may_vote || raft.membership().is_voter(node.id) {
            node.outside_since = None;
            return Ok(());
        }
        let since = *node.outside_since.get_or_insert(now);
        if is_tick {
            let limit = raft.config().election_timeout_max;
            return leads_outside(node.id, raft.term(), since, now, limit);
        }
        Ok(())
    }
}

/// The configuration before the first entry, for a node whose disk is empty. A disk that is not
/// empty holds it, and the config counts no more: an old copy of a disk may come back to a node
/// that would join if it had none.
fn bootstrap(raft: &Raft) -> Membership {
    match &raft.config().start {
        Start::Bootstrap { members } => Membership::of(members.iter().cloned()),
        Start::Join => Membership::default(),
    }
}

/// `leader` looks at its clock, which shows `now`. It has led since `since` without being a voter.
/// It may do so for `limit`.
///
/// # Errors
///
/// [`Violation::LeaderOutside`].
pub fn leads_outside(
    leader: NodeId,
    term: Term,
    since: Time,
    now: Time,
    limit: Duration,
) -> Result<(), Violation> {
    if since.after(limit) >= now {
        return Ok(());
    }
    Err(Violation::LeaderOutside {
        leader,
        term,
        limit,
    })
}

impl Node {
    fn latest(&self) -> &Configuration {
        self.later.last().unwrap_or(&self.base)
    }

    fn compare(&self, in_force: &Membership) -> Result<(), Violation> {
        let latest = self.latest();
        if latest.membership == *in_force {
            return Ok(());
        }
        Err(Violation::OtherConfigurationInForce {
            node: self.id,
            since: latest.index,
        })
    }

    /// Adds the configurations among `entries`. Returns whether there are any.
    fn add(&mut self, entries: &raft_proto::Entries) -> bool {
        let known = self.later.len();
        for entry in entries {
            if entry.kind() == EntryKind::Membership
                && let Some(membership) = Membership::decode(entry.payload())
            {
                let index = entry.index();
                self.later.push(Configuration { index, membership });
            }
        }
        self.later.len() > known
    }

    /// Applies the writes. Returns whether the configuration in force may have changed.
    fn changed(&mut self, actions: &[Action]) -> bool {
        let mut is_changed = false;
        for action in actions {
            if let Action::Persist(write) = action {
                is_changed |= self.written(write);
            }
            is_changed |= matches!(action, Action::MembershipChanged { .. });
        }
        is_changed
    }

    /// Applies a write, its parts in their order. Returns whether a configuration came or went.
    fn written(&mut self, write: &Write) -> bool {
        let mut is_changed = false;
        if let Some(install) = &write.install {
            let snapshot = &install.snapshot;
            match install.log {
                InstalledLog::KeepsTail => self.drop_through(snapshot.id.last.index),
                InstalledLog::IsDropped => self.later.clear(),
            }
            self.rebase(snapshot.id.last.index, &snapshot.membership);
            is_changed = true;
        }
        if let Some(compaction) = &write.compact {
            let snapshot = &compaction.snapshot;
            self.drop_through(snapshot.id.last.index);
            self.rebase(snapshot.id.last.index, &snapshot.membership);
            is_changed = true;
        }
        if let Some(first) = write.entries.first_index() {
            let known = self.later.len();
            self.later.retain(|one| one.index < first);
            is_changed |= self.later.len() < known;
            is_changed |= self.add(&write.entries);
        }
        is_changed
    }

    fn drop_through(&mut self, index: Index) {
        self.later.retain(|one| one.index > index);
    }

    fn rebase(&mut self, index: Index, membership: &Membership) {
        self.base = Configuration {
            index,
            membership: membership.clone(),
        };
    }

    /// The last configuration that is committed by this commitIndex.
    fn committed(&self, commit_index: Index) -> &Membership {
        let mut later = self.later.iter();
        let committed = later.rfind(|one| one.index <= commit_index);
        &committed.unwrap_or(&self.base).membership
    }
}
