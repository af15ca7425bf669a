//! The end of an instance that cannot go on, by evidence of its own, and what it answers from then
//! on.

use crate::action::Action;
use crate::error::{
    CampaignError, ChangeError, Fault, ProposeError, ReadError, ReconfigureError, StepDownError,
    TransferError,
};
use crate::event::Input;
use crate::raft::Raft;
use crate::types::{Seq, Time};
use alloc::vec::Vec;

impl Raft {
    /// A write failed. It and all later writes must be taken as lost. So this instance ends here,
    /// in every role, and a new one finds out what the storage holds.
    pub(crate) fn persist_failed(&mut self, seq: Seq, actions: &mut Vec<Action>) {
        if let Err(reason) = self.check_issued(seq) {
            return actions.push(Action::Refused { reason });
        }
        self.end_in_fault(Fault::WriteFailed { seq }, actions);
    }

    /// This node cannot go on, by evidence of its own.
    pub(crate) fn end_in_fault(&mut self, reason: Fault, actions: &mut Vec<Action>) {
        self.end_reads(ReadError::Faulted(reason), actions);
        self.become_follower(None, actions);
        self.fail_handover(TransferError::Faulted(reason), actions);
        self.fault = Some(reason);
        self.wake_at = Time::NEVER;
        actions.push(Action::Faulted { reason });
    }

    /// An instance that has faulted does nothing any more, but it answers each request.
    pub(crate) fn refuse_faulted(fault: Fault, input: &Input, actions: &mut Vec<Action>) {
        actions.push(match *input {
            Input::Propose { id, .. } => Action::Proposed {
                id,
                outcome: Err(ProposeError::Faulted(fault)),
            },
            Input::Read { id, .. } => Action::Read {
                id,
                outcome: Err(ReadError::Faulted(fault)),
            },
            Input::TransferLeadership { id, .. } => Action::Transferred {
                id,
                outcome: Err(TransferError::Faulted(fault)),
            },
            Input::ChangeMembership { id, .. } => Action::ChangeProposed {
                id,
                outcome: Err(ChangeError::Faulted(fault)),
            },
            Input::Campaign { id } => Action::Campaigning {
                id,
                outcome: Err(CampaignError::Faulted(fault)),
            },
            Input::StepDown { id } => Action::SteppedDown {
                id,
                outcome: Err(StepDownError::Faulted(fault)),
            },
            Input::Reconfigure { id, .. } => Action::Reconfigured {
                id,
                outcome: Err(ReconfigureError::Faulted(fault)),
            },
            Input::Tick
            | Input::Receive { .. }
            | Input::Persisted { .. }
            | Input::PersistFailed { .. }
            | Input::Applied { .. }
            | Input::Compact { .. }
            | Input::SnapshotRead { .. }
            | Input::SnapshotWritten { .. }
            | Input::EntriesRead { .. }
            | Input::Unreachable { .. } => return,
        });
    }
}
