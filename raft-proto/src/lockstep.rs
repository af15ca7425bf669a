//! The plainest driver: each step waits until everything that it caused on this node is done.

use crate::action::{Action, Write};
use crate::checksum::Checksum;
use crate::config::Config;
use crate::error::StartError;
use crate::event::{Event, Input, SnapshotReadFailed, SnapshotWriteFailed};
use crate::message::SnapshotId;
use crate::raft::Raft;
use crate::recovered::Recovered;
use crate::types::{EntryId, Time};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use bytes::Bytes;

/// A node with a storage in memory, for tests, models and drivers that have no other work to do
/// meanwhile.
///
/// A step of it performs everything that concerns the node's own disk, and gives the answers back
/// to the core, until nothing is left to do: writes are durable in the step that asks for them, and
/// snapshots and entries are read and stored in it. What is handed out counts as applied, too. So
/// what comes out is what concerns others: messages, entries to apply, deadlines, outcomes.
///
/// Apply the entries of [`Apply`](Action::Apply), and load the snapshot of
/// [`Restore`](Action::Restore), in the order in which they come out, before the next step.
///
/// ```
/// use raft_proto::*;
/// use std::time::Duration;
///
/// let config = Config::new(ClusterId(7), NodeId(1), Start::voters([NodeId(1)]), 42);
/// let mut node = Lockstep::new(config.clone(), Recovered::default())?;
/// let at = Time::from_epoch(Duration::from_secs(2));
/// node.step(Event { at: Time::ZERO, input: Input::Tick });
/// node.step(Event { at, input: Input::Tick });
/// assert_eq!(node.raft().role(), RoleKind::Leader);
/// let commands = Commands::from(bytes::Bytes::from("x = 1"));
/// let propose = Input::Propose { id: RequestId(1), commands };
/// let actions = node.step(Event { at, input: propose });
/// assert!(actions.iter().any(|action| matches!(action, Action::Apply { .. })));
/// // A restart finds all of it.
/// let node = Lockstep::new(config, node.into_stored())?;
/// assert_eq!(node.raft().last_log(), EntryId::new(2, 1));
/// # Ok::<(), StartError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Lockstep {
    raft: Raft,
    stored: Recovered,
    snapshots: BTreeMap<SnapshotId, Bytes>,
    /// The snapshot that is being received, as far as it has come.
    partial: Vec<u8>,
    /// What the node's own disk and service have to say.
    answers: VecDeque<Input>,
}

impl Lockstep {
    /// A node that starts with what its storage holds; [`Recovered::default`] for a new one.
    ///
    /// # Errors
    ///
    /// As [`Raft::new`].
    pub fn new(config: Config, stored: Recovered) -> Result<Lockstep, StartError> {
        Ok(Lockstep {
            raft: Raft::new(config, stored.clone())?,
            stored,
            snapshots: BTreeMap::new(),
            partial: Vec::new(),
            answers: VecDeque::new(),
        })
    }

    /// The node.
    pub fn raft(&self) -> &Raft {
        &self.raft
    }

    /// What a restart finds.
    pub fn stored(&self) -> &Recovered {
        &self.stored
    }

    /// The process ends, and leaves this. [`add_snapshot`](Lockstep::add_snapshot) gives its
    /// snapshot's bytes to the next one.
    pub fn into_stored(self) -> Recovered {
        self.stored
    }

    /// The bytes of a stored snapshot.
    pub fn snapshot(&self, id: SnapshotId) -> Option<&Bytes> {
        self.snapshots.get(&id)
    }

    /// Stores the bytes of a snapshot that this node is to have: the recovered one's.
    pub fn add_snapshot(&mut self, id: SnapshotId, data: Bytes) {
        self.snapshots.insert(id, data);
    }

    /// The service has made a snapshot of its state after applying `last`: stores it, and compacts
    /// the log. One that is not newer than the one in use does nothing.
    pub fn compact(&mut self, at: Time, last: EntryId, data: Bytes) -> Vec<Action> {
        let snapshot = SnapshotId {
            last,
            size: data.len() as u64,
            checksum: Checksum::of(&data),
        };
        self.add_snapshot(snapshot, data);
        let input = Input::Compact { snapshot };
        let actions = self.step(Event { at, input });
        let is_refused = |action: &Action| matches!(action, Action::Refused { .. });
        if actions.iter().any(is_refused) {
            self.snapshots.remove(&snapshot);
        }
        actions
    }

    /// Takes an event, and does all that follows from it on this node. Returns the actions that
    /// concern others.
    pub fn step(&mut self, event: Event) -> Vec<Action> {
        let mut left = Vec::new();
        self.step_into(event, &mut left);
        left
    }

    /// Like [`Lockstep::step`], but appends to the caller's buffer.
    pub fn step_into(&mut self, event: Event, left: &mut Vec<Action>) {
        let at = event.at;
        let mut actions = Vec::new();
        let mut next = Some(event.input);
        while let Some(input) = next {
            self.raft.step_into(Event { at, input }, &mut actions);
            // All of a step's actions come before the answer to any of them: entries are applied in
            // the order in which they were handed out.
            left.extend(actions.drain(..).filter_map(|action| self.perform(action)));
            next = self.answers.pop_front();
        }
    }

    /// Performs an action of this node's own, or gives it back.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what is no work of this node's own concerns others"
    )]
    fn perform(&mut self, action: Action) -> Option<Action> {
        match action {
            Action::Persist(write) => self.write(&write),
            Action::ReadSnapshot {
                peer,
                snapshot,
                offset,
                length,
            } => self.answers.push_back(Input::SnapshotRead {
                peer,
                snapshot,
                offset,
                result: self.read_snapshot(snapshot, offset, length),
            }),
            Action::WriteSnapshot {
                snapshot,
                offset,
                data,
            } => {
                let result = self.write_snapshot(snapshot, offset, &data);
                self.answers.push_back(Input::SnapshotWritten {
                    snapshot,
                    offset,
                    result,
                });
            }
            Action::ReleaseSnapshot { snapshot } => {
                self.snapshots.remove(&snapshot);
            }
            Action::ReadEntries {
                peer,
                from,
                to,
                max_bytes,
            } => self.answers.push_back(Input::EntriesRead {
                peer,
                from,
                entries: self.stored.read_entries(from, to, max_bytes),
            }),
            action => {
                self.note_applied(&action);
                return Some(action);
            }
        }
        None
    }

    fn write(&mut self, write: &Write) {
        self.stored.apply(write);
        let seq = write.seq;
        self.answers.push_back(Input::Persisted { seq });
    }

    fn note_applied(&mut self, action: &Action) {
        let index = if let Action::Apply { entries } = action {
            entries.last_id().map(|last| last.index)
        } else if let Action::Restore { snapshot } = action {
            Some(snapshot.id.last.index)
        } else {
            None
        };
        self.answers
            .extend(index.map(|index| Input::Applied { index }));
    }

    fn read_snapshot(
        &self,
        id: SnapshotId,
        offset: u64,
        length: u64,
    ) -> Result<Bytes, SnapshotReadFailed> {
        let data = self.snapshots.get(&id).ok_or(SnapshotReadFailed::Gone)?;
        let range = offset as usize..offset.saturating_add(length) as usize;
        if range.start > range.end || range.end > data.len() {
            return Err(SnapshotReadFailed::Failed);
        }
        Ok(data.slice(range))
    }

    fn write_snapshot(
        &mut self,
        id: SnapshotId,
        offset: u64,
        data: &[u8],
    ) -> Result<(), SnapshotWriteFailed> {
        if offset > self.partial.len() as u64 {
            return Err(SnapshotWriteFailed);
        }
        self.partial.truncate(offset as usize); // at most its length
        self.partial.extend_from_slice(data);
        if self.partial.len() as u64 == id.size {
            let complete = core::mem::take(&mut self.partial);
            self.snapshots.insert(id, complete.into());
        }
        Ok(())
    }
}
