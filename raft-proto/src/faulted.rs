//! What an instance answers that has faulted.

use crate::action::Action;
use crate::error::{
    CampaignError, ChangeError, Fault, ProposeError, ReadError, ReconfigureError, StepDownError,
    TransferError,
};
use crate::event::Input;
use alloc::vec::Vec;

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
