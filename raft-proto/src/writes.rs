//! Writes: which of the persistent state a step changed, which writes are under way, and how much
//! of the log is durable.

use crate::action::{Action, Compaction, HardState, Identity, Install, Write};
use crate::entries::Entries;
use crate::log::Log;
use crate::types::{Index, Seq, Time};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// The writes of one node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Writes {
    issued: Seq,
    persisted: Seq,
    durable_index: Index,
    /// Writes under way, in the order of seq.
    pending: VecDeque<Pending>,
    /// Since when the writes under way have made no progress.
    stalled_since: Time,
    /// The last write of currentTerm and votedFor.
    hard_state_in: Seq,
    staged: Staged,
    /// Stored by the first write to an empty storage.
    identity: Option<Box<Identity>>,
    /// The write that holds it; 0 if the storage had one.
    identity_in: Seq,
}

/// A write under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Pending {
    seq: Seq,
    /// Up to here the log is durable once the write is.
    durable_index: Index,
}

/// What a step has changed so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Staged {
    any: bool,
    hard_state: bool,
    install: Option<Box<Install>>,
    compact: Option<Box<Compaction>>,
    /// The first entry that changed; all from there on are written.
    entries_from: Option<Index>,
}

impl Writes {
    /// No write is under way, and the log is durable up to `durable_index`. The first write stores
    /// `identity`, if the storage has none yet.
    pub(crate) fn new(durable_index: Index, identity: Option<Box<Identity>>) -> Writes {
        Writes {
            issued: Seq(0),
            persisted: Seq(0),
            durable_index,
            pending: VecDeque::new(),
            stalled_since: Time::ZERO,
            hard_state_in: Seq(0),
            staged: Staged::default(),
            identity_in: Seq(u64::from(identity.is_some())),
            identity,
        }
    }

    /// The next write stores the identity, also if it holds nothing else.
    pub(crate) fn stage_identity(&mut self) {
        self.staged.any |= self.identity.is_some();
    }

    /// Whether the storage will be this one after a loss of power, too.
    pub(crate) fn identity_is_durable(&self) -> bool {
        self.identity_in <= self.persisted
    }

    /// Whether the storage was empty, and nothing is written yet.
    pub(crate) fn storage_is_new(&self) -> bool {
        self.identity.is_some()
    }

    /// The last seq asked for.
    pub(crate) fn issued(&self) -> Seq {
        self.issued
    }

    /// The last seq reported as persisted.
    pub(crate) fn persisted(&self) -> Seq {
        self.persisted
    }

    /// The log up to here is on disk, as it is in memory.
    pub(crate) fn durable_index(&self) -> Index {
        self.durable_index
    }

    /// currentTerm or votedFor changed.
    pub(crate) fn stage_hard_state(&mut self) {
        self.staged.any = true;
        self.staged.hard_state = true;
        self.hard_state_in = self.issued.next();
    }

    /// Entries from `from` on are new.
    pub(crate) fn stage_entries(&mut self, from: Index) {
        self.staged.any = true;
        let earlier = self.staged.entries_from.unwrap_or(from);
        self.staged.entries_from = Some(earlier.min(from));
    }

    pub(crate) fn stage_install(&mut self, install: Install) {
        self.staged.any = true;
        self.staged.install = Some(Box::new(install));
    }

    pub(crate) fn stage_compact(&mut self, compact: Compaction) {
        self.staged.any = true;
        self.staged.compact = Some(Box::new(compact));
    }

    /// The write that holds everything that was staged or issued so far. What is decided now rests
    /// on no later one.
    pub(crate) fn latest(&self) -> Seq {
        if self.staged.any {
            self.issued.next()
        } else {
            self.issued
        }
    }

    /// Entries after `kept` are no longer those of earlier writes. When those writes complete, they
    /// prove nothing about the entries that took these places.
    pub(crate) fn overwritten_after(&mut self, kept: Index) {
        self.durable_index = self.durable_index.min(kept);
        for pending in &mut self.pending {
            pending.durable_index = pending.durable_index.min(kept);
        }
    }

    /// The write for what this step staged, if anything.
    pub(crate) fn flush(
        &mut self,
        now: Time,
        hard_state: HardState,
        log: &Log,
        actions: &mut Vec<Action>,
    ) {
        if !self.staged.any {
            return;
        }
        if self.pending.is_empty() {
            self.stalled_since = now;
        }
        let staged = core::mem::take(&mut self.staged);
        self.issued = self.issued.next();
        self.pending.push_back(Pending {
            seq: self.issued,
            durable_index: log.last().index,
        });
        let persist = |entries| {
            actions.push(Action::Persist(Write {
                seq: self.issued,
                identity: self.identity.take(),
                hard_state: staged.hard_state.then_some(hard_state),
                install: staged.install,
                compact: staged.compact,
                entries,
            }));
        };
        let last = log.last().index;
        match staged.entries_from {
            // A run goes straight from the log into the action, and is not moved again.
            Some(from) => match log.whole_run(from, last) {
                Some(run) => persist(Entries::from_segment(run.clone())),
                None => persist(log.entries(from, last)),
            },
            None => persist(Entries::EMPTY),
        }
    }

    /// All writes up to `seq`, which was issued, are durable.
    pub(crate) fn complete(&mut self, now: Time, seq: Seq) {
        if seq > self.persisted {
            self.stalled_since = now;
        }
        self.persisted = self.persisted.max(seq);
        while let Some(pending) = self.pending.front() {
            if pending.seq > seq {
                break;
            }
            self.durable_index = self.durable_index.max(pending.durable_index);
            self.pending.pop_front();
        }
    }

    /// Whether currentTerm is on disk. Until it is, a crash may take this node back to an earlier
    /// term, whose leader may overwrite entries that this term's leader believes to be here.
    pub(crate) fn term_is_durable(&self) -> bool {
        self.hard_state_in <= self.persisted
    }

    /// Since when writes have been under way without progress, if there are any.
    pub(crate) fn stalled_since(&self) -> Option<Time> {
        (!self.pending.is_empty()).then_some(self.stalled_since)
    }

    /// How many writes are under way.
    pub(crate) fn under_way(&self) -> usize {
        self.pending.len()
    }
}
