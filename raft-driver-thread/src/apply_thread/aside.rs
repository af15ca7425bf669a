//! A state that is not that of the other nodes: it is set aside, and replaced.

use super::Applier;
use crate::state_machine::StateMachine;
use crate::tasks::{CoreMailbox, CoreTask, SetAside, StateMachineFailed};
use crossbeam_channel::Sender;
use raft_proto::{Entries, EntryId, Index, SnapshotMeta};
use std::collections::VecDeque;

/// What waits while the state is not used.
pub(super) struct Aside {
    /// Committed entries, as many as the core lets wait to be applied.
    held: VecDeque<Entries>,
    /// What takes the place of the state, once all up to its last entry was handed out.
    replacement: Option<Replacement>,
}

struct Replacement {
    snapshot: SnapshotMeta,
    done: Sender<()>,
}

impl Aside {
    /// A leader's snapshot has replaced the state.
    pub(super) fn end<M: StateMachine>(self, core: &CoreMailbox<M>) {
        if let Some(replacement) = self.replacement {
            replacement.discard(core);
        }
    }
}

impl Replacement {
    /// It may be the very one that the leader has sent: the core knows whether it is in use.
    fn discard<M: StateMachine>(self, core: &CoreMailbox<M>) {
        let _ = core.send(CoreTask::ReplacementUnused(self.snapshot.id));
        // The thread that compares may have ended.
        let _ = self.done.send(());
    }
}

impl<M: StateMachine> Applier<M> {
    /// Nothing more is applied to the state, and no read is answered from it, but those that take it as
    /// it is.
    pub(super) fn set_aside(&mut self, task: &SetAside) {
        self.aside.get_or_insert_with(|| Aside {
            held: VecDeque::new(),
            replacement: None,
        });
        // The thread that compares may have ended.
        let _ = task.reached.send(self.last);
    }

    /// Entries have come while the state is set aside.
    pub(super) fn hold(&mut self, entries: Entries) -> Result<(), StateMachineFailed> {
        if let Some(aside) = &mut self.aside {
            aside.held.push_back(entries);
        }
        self.take_place()
    }

    /// This snapshot is stored, and is to take the place of the state.
    pub(super) fn replace(
        &mut self,
        snapshot: SnapshotMeta,
        done: Sender<()>,
    ) -> Result<(), StateMachineFailed> {
        let replacement = Replacement { snapshot, done };
        let Some(aside) = &mut self.aside else {
            // A leader's snapshot has replaced the state meanwhile.
            replacement.discard(&self.core);
            return Ok(());
        };
        aside.replacement = Some(replacement);
        self.take_place()
    }

    /// Passes over the entries that the replacement covers. They count as applied: the core hands out
    /// only so much that is not, and the replacement may lie further on. When it is reached, it
    /// becomes the state, and what is behind it is applied.
    fn take_place(&mut self) -> Result<(), StateMachineFailed> {
        let Some(aside) = &mut self.aside else {
            return Ok(());
        };
        let Some(replacement) = &aside.replacement else {
            return Ok(());
        };
        let last = replacement.snapshot.id.last;
        let mut passed = self.last;
        let mut rest = VecDeque::new();
        for entries in aside.held.drain(..) {
            let covered = entries.part(Index::ZERO, last.index);
            passed = covered.last_id().unwrap_or(passed);
            let behind = entries.part(last.index.next(), Index(u64::MAX));
            if !behind.is_empty() {
                rest.push_back(behind);
            }
        }
        aside.held = rest;
        self.pass_over(passed);
        if passed.index < last.index {
            return Ok(());
        }
        let Some(Aside {
            held, replacement, ..
        }) = self.aside.take()
        else {
            return Ok(());
        };
        let Some(Replacement { snapshot, done }) = replacement else {
            return Ok(());
        };
        self.load(&snapshot)?;
        // The stored one may hold the wrong state, and end at the same entry as this one. The core
        // knows before any peer is answered.
        self.wants_snapshot = true;
        let _ = self.core.send(CoreTask::StateReplaced(snapshot.id));
        self.replica.replaced();
        let _ = done.send(());
        for entries in held {
            self.apply_and_digest(&entries)?;
        }
        Ok(())
    }

    /// These are not applied, and never will be: what they did is in the snapshot.
    fn pass_over(&mut self, passed: EntryId) {
        self.last = passed;
        self.applied.set(passed.index);
        self.wake_core();
    }
}
