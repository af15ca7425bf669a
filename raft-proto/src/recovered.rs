//! The state that a node's storage held at its start, and the checks of it.

use crate::action::{HardState, Identity, InstalledLog, Write};
use crate::config::Config;
use crate::configurations::Configurations;
use crate::entries::Entries;
use crate::error::RecoveryError;
use crate::log::Log;
use crate::membership::Membership;
use crate::message::SnapshotMeta;
use crate::types::{EntryId, Incarnation, Index, Term};
use alloc::boxed::Box;
use serde::{Deserialize, Serialize};

/// The contents of the storage after its writes `1..=k`, for any `k` not below the last one
/// reported as [`Persisted`](crate::Input::Persisted). Empty by default: a new node.
///
/// The storage syncs its contents before it hands them over: bytes in a page cache are not durable,
/// and the core takes everything in here for durable.
///
/// Exhaustive on purpose, as [`Write`] is: a storage has to hand over each part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Recovered {
    /// From the first write. Absent only if nothing was ever written.
    pub identity: Option<Identity>,
    /// The latest currentTerm and votedFor written.
    pub hard_state: HardState,
    /// The latest snapshot installed or compacted to, whose bytes are in the storage. The
    /// driver loads it into the service itself before it starts the node.
    pub snapshot: Option<SnapshotMeta>,
    /// The log: every entry not dropped by a compaction or an install, in order. It may begin
    /// before the snapshot's end. If it neither holds the snapshot's last entry nor begins right
    /// after it, the snapshot wins and the log is dropped. Atomic writes never leave that. A
    /// storage that finds it on its disk drops the log there as well, before it starts the node:
    /// what the node writes next continues the snapshot, not that log.
    pub entries: Entries,
    /// For a service that is durable by itself: the last index that it has applied durably. The
    /// first [`Apply`](crate::Action::Apply) begins after it.
    pub applied: Option<Index>,
    /// What this storage has lost: the last entry of the log as it was last reported as
    /// [`Persisted`](crate::Input::Persisted), if the entries here end before it. `None` if nothing
    /// is missing. Until its log has caught up with that entry, the node neither votes nor
    /// campaigns. It follows, and its leader sends it what it lacks.
    ///
    /// The storage must have found everything else: its identity, and the latest term and vote that
    /// it reported. If those are gone, too, this is no longer the same member: the node starts
    /// anew, under another [`Incarnation`]. The entries and the snapshot here are a state that the
    /// storage was in, or came to, after some of its writes, and were checked: what follows a
    /// damaged entry is missing, too.
    pub impaired: Option<EntryId>,
}

/// The state with which a node starts, made of a storage that was checked.
pub(crate) struct InitialState {
    pub(crate) log: Log,
    pub(crate) configurations: Configurations,
    /// The identity that the first write stores, if the storage is empty.
    pub(crate) identity: Option<Box<Identity>>,
    /// Everything up to here is committed and in the service.
    pub(crate) applied: Index,
    /// The log that the storage has acknowledged ends at most here.
    pub(crate) acknowledged: Index,
    /// This storage.
    pub(crate) incarnation: Option<Incarnation>,
    /// The checksum of the list of founders, if this node is one of them.
    pub(crate) founders: Option<u32>,
}

impl Recovered {
    /// Applies `write`, which is the next one of the node that owns this storage: afterwards this is
    /// what a restart finds when that write, too, is on stable storage. It is the executable form
    /// of what a [`Write`] means. A storage in memory needs nothing else, and any other storage can
    /// be tested against it.
    ///
    /// ```
    /// use raft_proto::*;
    ///
    /// let start = Start::voters([NodeId(1)]);
    /// let config = Config::new(ClusterId(7), NodeId(1), start, 42);
    /// let mut raft = Raft::new(config.clone(), Recovered::default())?;
    /// let mut stored = Recovered::default();
    /// let at = Time::from_epoch(std::time::Duration::from_secs(2));
    /// for event in [Event { at: Time::ZERO, input: Input::Tick }, Event { at, input: Input::Tick }] {
    ///     for action in raft.step(event) {
    ///         if let Action::Persist(write) = action {
    ///             stored.apply(&write);
    ///         }
    ///     }
    /// }
    /// assert_eq!(stored.hard_state, HardState { term: Term(1), voted_for: Some(NodeId(1)) });
    /// let restarted = Raft::new(config, stored)?;
    /// assert_eq!(restarted.term(), Term(1));
    /// # Ok::<(), StartError>(())
    /// ```
    pub fn apply(&mut self, write: &Write) {
        self.drop_superseded_log();
        if let Some(identity) = &write.identity {
            self.identity = Some((**identity).clone());
        }
        if let Some(hard_state) = write.hard_state {
            self.hard_state = hard_state;
        }
        if let Some(install) = &write.install {
            self.entries = match install.log {
                InstalledLog::KeepsTail => self.entries.after(install.snapshot.id.last.index),
                InstalledLog::IsDropped => Entries::EMPTY,
            };
            self.snapshot = Some(install.snapshot.clone());
        }
        if let Some(compact) = &write.compact {
            self.entries = self.entries.after(compact.drop_through);
            self.snapshot = Some(compact.snapshot.clone());
        }
        self.entries = self.entries.overwritten_by(&write.entries);
        let last = self.last_log();
        self.impaired
            .take_if(|lost| last.is_at_least_as_up_to_date_as(*lost));
    }

    /// Drops the log if the snapshot wins over it ([`entries`](Recovered::entries)), as the node
    /// does that starts with it. [`apply`](Recovered::apply) does so by itself.
    fn drop_superseded_log(&mut self) {
        let Some(snapshot) = &self.snapshot else {
            return;
        };
        let last = snapshot.id.last;
        let follows = self.entries.first_index() == Some(last.index.next());
        if !follows && !self.entries.contains(last) {
            self.entries = Entries::EMPTY;
        }
    }

    /// Forgets the log after `index`, which the storage found damaged, and says so in
    /// [`impaired`](Recovered::impaired). What ends after `index` cannot be kept: neither a snapshot
    /// that does, nor the entries after it, if the log does not begin with the first one.
    ///
    /// ```
    /// use raft_proto::{EntriesBuilder, EntryId, EntryKind, Index, Recovered};
    ///
    /// let mut entries = EntriesBuilder::new();
    /// for index in 1..=3 {
    ///     entries.push(EntryId::new(index, 1), EntryKind::Command, "x = 1".into()).unwrap();
    /// }
    /// let mut recovered = Recovered { entries: entries.finish(), ..Recovered::default() };
    /// recovered.lose_after(Index(2));
    /// assert_eq!(recovered.entries.len(), 2);
    /// assert_eq!(recovered.impaired, Some(EntryId::new(3, 1)));
    /// ```
    pub fn lose_after(&mut self, index: Index) {
        let last = self.last_log();
        if last.index <= index {
            return;
        }
        self.impaired.get_or_insert(last);
        self.entries = self.entries.through(index);
        let ends_later = |snapshot: &mut SnapshotMeta| snapshot.id.last.index > index;
        if self.snapshot.take_if(ends_later).is_some()
            && self.entries.first_index() != Some(Index(1))
        {
            self.entries = Entries::EMPTY;
        }
    }

    /// The last entry of the log, or of the snapshot that replaces it.
    fn last_log(&self) -> EntryId {
        let snapshot = self.snapshot.as_ref().map(|snapshot| snapshot.id.last);
        let (snapshot, last) = (snapshot.unwrap_or(EntryId::ZERO), self.entries.last_id());
        last.filter(|last| last.index > snapshot.index)
            .unwrap_or(snapshot)
    }

    /// The answer to [`ReadEntries`](crate::Action::ReadEntries) from this storage: as many entries
    /// as `max_bytes` hold but at least one, or `None` if the storage does not hold `from`.
    pub fn read_entries(&self, from: EntryId, to: EntryId, max_bytes: u64) -> Option<Entries> {
        let wanted = self.entries.part(from.index, to.index);
        let is_there = wanted.iter().next().map(|first| first.id()) == Some(from);
        is_there.then(|| wanted.prefix_within(max_bytes).0)
    }

    /// The state to start with. Checks first that a prefix of this node's writes can have left
    /// this.
    pub(crate) fn initial_state(&self, config: &Config) -> Result<InitialState, RecoveryError> {
        let bootstrap = self.check_identity(config)?;
        let snapshot = self.check_snapshot()?;
        let log = self.rebuild_log(snapshot)?;
        self.check_term(snapshot)?;
        let last = log.last().index;
        let applied = self.applied.unwrap_or(Index::ZERO);
        if applied > last {
            return Err(RecoveryError::AppliedBeyondLog { applied, last });
        }
        let base = match &self.snapshot {
            Some(snapshot) => snapshot.membership.clone(),
            None => bootstrap.clone(),
        };
        let mut configurations = Configurations::new(snapshot.index, base);
        // The configurations of a log that was dropped do not count.
        let kept = self.log_from(&log, snapshot);
        let taken = configurations.extend(&self.entries, kept);
        taken.map_err(|_| RecoveryError::DamagedMembership)?;
        let founders = bootstrap.get(config.node_id);
        let founders = founders.map(|_| bootstrap.founders_checksum());
        let (incarnation, identity) = match &self.identity {
            Some(identity) => (identity.incarnation, None),
            None => {
                let incarnation = config.incarnation;
                let identity = Identity {
                    cluster_id: config.cluster_id,
                    group_id: config.group_id,
                    node_id: config.node_id,
                    bootstrap,
                    incarnation,
                };
                (incarnation, Some(Box::new(identity)))
            }
        };
        Ok(InitialState {
            log,
            configurations,
            identity,
            applied: applied.max(snapshot.index),
            acknowledged: self.impaired.map_or(last, |lost| lost.index.max(last)),
            incarnation,
            founders,
        })
    }

    /// The membership that the cluster was bootstrapped with: the stored one wins over the
    /// config.
    fn check_identity(&self, config: &Config) -> Result<Membership, RecoveryError> {
        let Some(identity) = &self.identity else {
            let empty = Recovered {
                applied: self.applied.filter(|index| *index == Index::ZERO),
                ..Recovered::default()
            };
            return if *self == empty {
                Ok(config.bootstrap_membership())
            } else {
                Err(RecoveryError::NoIdentity)
            };
        };
        if identity.cluster_id != config.cluster_id {
            return Err(RecoveryError::OtherCluster {
                found: identity.cluster_id,
                configured: config.cluster_id,
            });
        }
        if identity.group_id != config.group_id {
            return Err(RecoveryError::OtherGroup {
                found: identity.group_id,
                configured: config.group_id,
            });
        }
        if identity.node_id != config.node_id {
            return Err(RecoveryError::OtherNode {
                found: identity.node_id,
                configured: config.node_id,
            });
        }
        if !identity.bootstrap.is_well_formed() {
            return Err(RecoveryError::DamagedMembership);
        }
        Ok(identity.bootstrap.clone())
    }

    /// The snapshot's last entry; [`EntryId::ZERO`] without one.
    fn check_snapshot(&self) -> Result<EntryId, RecoveryError> {
        let Some(snapshot) = &self.snapshot else {
            return Ok(EntryId::ZERO);
        };
        let membership = &snapshot.membership;
        if membership.is_empty() || !membership.is_well_formed() {
            return Err(RecoveryError::DamagedMembership);
        }
        check_entry(snapshot.id.last)?;
        Ok(snapshot.id.last)
    }

    fn rebuild_log(&self, snapshot: EntryId) -> Result<Log, RecoveryError> {
        let segments = self.entries.segments();
        let Some(first) = segments.first() else {
            return Ok(Log::new(snapshot));
        };
        for run in segments {
            check_entry(run.last_id())?;
        }
        let first = EntryId {
            index: first.first(),
            term: first.term(),
        };
        check_entry(first)?;
        if first.index > snapshot.index.next() {
            return Err(RecoveryError::GapAfterSnapshot {
                snapshot: snapshot.index,
                first: first.index,
            });
        }
        // The log begins after the entry before the first one, or after the first one if the entry
        // before it is not known.
        let mut log = if first.index == snapshot.index.next() {
            if first.term < snapshot.term {
                let entry = first;
                return Err(RecoveryError::TermsContradictSnapshot { entry, snapshot });
            }
            Log::new(snapshot)
        } else if first.index == Index(1) {
            Log::new(EntryId::ZERO)
        } else {
            Log::new(first)
        };
        let from = log.last().index.next();
        log.append_from(from, self.entries.clone());
        // The snapshot wins: a log without its last entry is older, or another node's.
        if !log.contains(snapshot) {
            return Ok(Log::new(snapshot));
        }
        Ok(log)
    }

    /// The index of the first recovered entry that is after the snapshot and in the log.
    fn log_from(&self, log: &Log, snapshot: EntryId) -> Index {
        if log.last() == snapshot {
            Index::MAX.next()
        } else {
            snapshot.index.next()
        }
    }

    fn check_term(&self, snapshot: EntryId) -> Result<(), RecoveryError> {
        let term = self.hard_state.term;
        if term > Term::MAX {
            return Err(RecoveryError::TermOutOfRange(term));
        }
        let last = self.entries.last_id().unwrap_or(EntryId::ZERO);
        let lost = self.impaired.unwrap_or(EntryId::ZERO);
        for last in [last, snapshot, lost] {
            if term < last.term {
                return Err(RecoveryError::TermBelowLog { term, last });
            }
        }
        Ok(())
    }
}

fn check_entry(id: EntryId) -> Result<(), RecoveryError> {
    if id.index == Index::ZERO || id.index > Index::MAX || id.term == Term(0) {
        return Err(RecoveryError::InvalidEntryId(id));
    }
    Ok(())
}
