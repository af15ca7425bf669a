//! What becomes of each of the core's actions.

use super::Core;
use crate::error::{RequestError, StopReason};
use crate::state_machine::StateMachine;
use crate::tasks::{ApplyTask, ChunkTask, ChunkWanted, DiskTask, EntriesWanted};
use crate::transport::Transport;
use raft_proto::{Action, EntryId, ProposeError};

impl<M: StateMachine, T: Transport> Core<M, T> {
    pub(super) fn perform(&mut self, action: Action) {
        match action {
            Action::Send { to, message } => self.transport.send(to, message),
            Action::Persist(write) => self.state.disk_queue.push(DiskTask::Write(write)),
            Action::ReadEntries {
                peer,
                from,
                to,
                max_bytes,
            } => self.state.disk_queue.push(DiskTask::Read(EntriesWanted {
                peer,
                from,
                to,
                max_bytes,
            })),
            Action::Apply { entries } => self.queue_apply(ApplyTask::Apply(entries)),
            Action::Restore { snapshot } => self.queue_apply(ApplyTask::Restore(snapshot)),
            Action::ReadSnapshot {
                peer,
                snapshot,
                offset,
                length,
            } => self.send_chunk_task(ChunkTask::Read(ChunkWanted {
                peer,
                snapshot,
                offset,
                length,
            })),
            Action::WriteSnapshot {
                snapshot,
                offset,
                data,
            } => self.send_chunk_task(ChunkTask::Write {
                snapshot,
                offset,
                data,
            }),
            Action::ReleaseSnapshot { snapshot } => {
                self.send_chunk_task(ChunkTask::Release(snapshot));
            }
            event @ Action::SnapshotDamaged { .. } => {
                self.report(&event);
                self.queue_apply(ApplyTask::MakeSnapshot);
            }
            Action::WakeAt(time) => self.state.deadline = time,
            Action::Overdue(waiting) => self.report_overdue(waiting),
            outcome @ (Action::Proposed { .. }
            | Action::Read { .. }
            | Action::Transferred { .. }
            | Action::ChangeProposed { .. }
            | Action::Campaigning { .. }
            | Action::SteppedDown { .. }
            | Action::Reconfigured { .. }) => self.end_request(outcome),
            event @ (Action::MembershipChanged { .. }
            | Action::RoleChanged { .. }
            | Action::LeaderChanged { .. }
            | Action::Rejected { .. }
            | Action::Refused { .. }
            | Action::LostState { .. }
            | Action::EntryRefused { .. }
            | Action::Removed { .. }
            | Action::ForeignIncarnation(_)
            | Action::Replaced { .. }
            | Action::Faulted { .. }) => self.report(&event),
        }
    }

    /// Gives the core's outcome to the caller whose request this was.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all kinds are listed in `perform`"
    )]
    fn end_request(&mut self, outcome: Action) {
        match outcome {
            Action::Proposed { outcome, .. } => {
                self.end_proposal(outcome.map(|proposal| proposal.first));
            }
            Action::Read { id, outcome } => {
                let Some(read) = self.state.pending.take_read(id) else {
                    return;
                };
                match outcome {
                    Ok(index) => self.queue_apply(ApplyTask::Query {
                        index,
                        query: read.query,
                    }),
                    Err(error) => (read.refuse)(RequestError::Refused(error)),
                }
            }
            Action::Transferred { id, outcome } => {
                if self.state.pending.is_shutdown(id) {
                    self.state.stop_reason = Some(StopReason::Shutdown);
                }
                if let Some(promise) = self.state.pending.take_transfer(id) {
                    promise.end(outcome.map_err(RequestError::Refused));
                }
            }
            Action::ChangeProposed { id, outcome } => {
                if let Some(promise) = self.state.pending.take_change(id) {
                    promise.end(outcome.map_err(RequestError::Refused));
                }
            }
            Action::Campaigning { outcome, .. } => {
                if let Some(promise) = self.state.pending.take_campaign() {
                    promise.end(outcome.map_err(RequestError::Refused));
                }
            }
            Action::SteppedDown { outcome, .. } => {
                if let Some(promise) = self.state.pending.take_step_down() {
                    promise.end(outcome.map_err(RequestError::Refused));
                }
            }
            Action::Reconfigured { outcome, .. } => {
                if let Some(promise) = self.state.pending.take_reconfigure() {
                    promise.end(outcome.map_err(RequestError::Refused));
                }
            }
            _ => {} // Only outcomes come here.
        }
    }

    fn end_proposal(&mut self, outcome: Result<EntryId, ProposeError>) {
        let promises = self.state.pending.take_proposal();
        match outcome {
            Ok(first) => {
                let mut id = first;
                for promise in &promises {
                    promise.accept(id);
                    id.index = id.index.next();
                }
                self.queue_apply(ApplyTask::Proposed { first, promises });
            }
            Err(error) => {
                for promise in promises {
                    promise.end(Err(RequestError::Refused(error)));
                }
            }
        }
    }

    fn send_chunk_task(&self, task: ChunkTask) {
        // A thread that receives no more has failed, and its report is on its way to the core.
        let _ = self.chunks.send(task);
    }

    pub(super) fn queue_apply(&mut self, task: ApplyTask<M>) {
        let queue = &mut self.state.apply_queue;
        queue.is_due |= !matches!(task, ApplyTask::Proposed { .. });
        queue.tasks.push(task);
    }
}
