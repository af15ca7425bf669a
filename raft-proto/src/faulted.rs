//! The end of an instance that cannot go on, by evidence of its own.

use crate::action::Action;
use crate::error::{Fault, ReadError, TransferError};
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
}
