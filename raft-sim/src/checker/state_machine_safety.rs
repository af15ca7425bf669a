//! State Machine Safety: if a server has applied a log entry at a given index to its state
//! machine, no other server will ever apply a different log entry for the same index
//! (section 5.4.3).
//!
//! It follows from the other four properties, and it is the one that a service can see. So it is
//! checked on the entries that state machines really get, by content. The checker also watches for
//! what would soon break it: indexes that are left out or repeated, entries that are handed out
//! before they are committed, and committed entries that are removed from a log.

use super::observation::Fingerprint;
use super::observation::Step;
use super::violation::Violation;
use super::window::Window;
use raft_proto::{Action, Entries, EntryId, Index, NodeId};

#[derive(Clone, Copy, Debug)]
struct Applied {
    entry: Fingerprint,
    /// The node that applied it first.
    node: NodeId,
}

/// The entry that was applied at each index, and how far each state machine is.
#[derive(Debug, Default)]
pub struct StateMachineSafety {
    applied: Window<Applied>,
    /// The last index that each node's state machine has got.
    given: Vec<(NodeId, Index)>,
}

impl StateMachineSafety {
    /// The state machine of `node` starts with all up to `applied`, from a snapshot.
    pub fn started(&mut self, node: NodeId, applied: Index) {
        *self.given(node) = applied;
    }

    fn given(&mut self, node: NodeId) -> &mut Index {
        let at = match self.given.iter().position(|(id, _)| *id == node) {
            Some(at) => at,
            None => {
                self.given.push((node, Index::ZERO));
                self.given.len() - 1
            }
        };
        &mut self.given[at].1 // found or pushed above
    }

    /// Looks at the entries that the step hands out, and at those that it removes from the log.
    ///
    /// # Errors
    ///
    /// [`Violation::AppliedDifferently`], [`Violation::AppliedOutOfOrder`],
    /// [`Violation::AppliedUncommitted`], [`Violation::CommitTakenBack`].
    pub fn observe(&mut self, step: &Step<'_>) -> Result<(), Violation> {
        check_committed_kept(step)?;
        for action in step.now.actions {
            match action {
                Action::Apply { entries } => self.apply(step, entries)?,
                Action::Restore { snapshot } => self.restore(step.now.node, snapshot.id.last)?,
                Action::Send { .. }
                | Action::Persist(_)
                | Action::ReadSnapshot { .. }
                | Action::WriteSnapshot { .. }
                | Action::ReleaseSnapshot { .. }
                | Action::SnapshotDamaged { .. }
                | Action::WakeAt(_)
                | Action::Proposed { .. }
                | Action::Read { .. }
                | Action::Transferred { .. }
                | Action::ChangeProposed { .. }
                | Action::Campaigning { .. }
                | Action::SteppedDown { .. }
                | Action::Reconfigured { .. }
                | Action::Overdue(_)
                | Action::MembershipChanged { .. }
                | Action::ReadEntries { .. }
                | Action::RoleChanged { .. }
                | Action::LeaderChanged { .. }
                | Action::Rejected { .. }
                | Action::Refused { .. }
                | Action::LostState { .. }
                | Action::EntryRefused { .. }
                | Action::Removed { .. }
                | Action::ForeignIncarnation(_)
                | Action::Replaced { .. }
                | Action::Faulted { .. } => {}
            }
        }
        Ok(())
    }

    fn apply(&mut self, step: &Step<'_>, entries: &Entries) -> Result<(), Violation> {
        let node = step.now.node;
        let mut given = *self.given(node);
        for entry in entries {
            let id = entry.id();
            if id.index != given.next() {
                return Err(Violation::AppliedOutOfOrder {
                    node,
                    expected: given.next(),
                    found: id.index,
                });
            }
            if id.index > step.now.commit_index {
                return Err(Violation::AppliedUncommitted {
                    node,
                    entry: id,
                    commit_index: step.now.commit_index,
                });
            }
            self.check(node, id, Fingerprint::of(&entry))?;
            given = id.index;
        }
        *self.given(node) = given;
        Ok(())
    }

    fn check(&mut self, node: NodeId, id: EntryId, entry: Fingerprint) -> Result<(), Violation> {
        if id.index < self.applied.first() {
            return Ok(()); // forgotten: every other node is far ahead
        }
        match self.applied.get(id.index) {
            Some(known) if known.entry == entry => Ok(()),
            Some(known) => Err(Violation::AppliedDifferently {
                entry: id,
                first: known.node,
                first_term: known.entry.term,
                second: node,
            }),
            None => {
                if id.index > self.applied.end() {
                    self.applied.drop_before(id.index);
                }
                self.applied.push(Applied { entry, node });
                Ok(())
            }
        }
    }

    /// A snapshot replaces the state: it must not go back.
    fn restore(&mut self, node: NodeId, last: EntryId) -> Result<(), Violation> {
        let given = *self.given(node);
        if last.index <= given {
            return Err(Violation::AppliedOutOfOrder {
                node,
                expected: given.next(),
                found: last.index,
            });
        }
        if let Some(known) = self.applied.get(last.index)
            && known.entry.term != last.term
        {
            return Err(Violation::AppliedDifferently {
                entry: last,
                first: known.node,
                first_term: known.entry.term,
                second: node,
            });
        }
        *self.given(node) = last.index;
        Ok(())
    }

    /// Entries before `floor` no longer matter.
    pub fn forget_before(&mut self, floor: Index) {
        if floor > self.applied.first() && floor < self.applied.end() {
            self.applied.drop_before(floor);
        }
    }
}

/// commitIndex never falls, and the entries up to it never change.
fn check_committed_kept(step: &Step<'_>) -> Result<(), Violation> {
    let (now, commit_index) = (step.now, step.before.commit_index);
    let replaced = step.change.filter(|change| change.dropped > 0);
    let taken_back = match replaced {
        Some(change) if change.from <= commit_index => change.from,
        Some(_) | None if now.commit_index < commit_index => now.commit_index.next(),
        Some(_) | None if now.last_log.index < commit_index => now.last_log.index.next(),
        Some(_) | None => return Ok(()),
    };
    Err(Violation::CommitTakenBack {
        node: now.node,
        commit_index,
        taken_back,
    })
}
