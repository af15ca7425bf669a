//! A machine whose disk has lost entries that it can be supplied with again.

use super::{Machine, State};
use crate::disk::Disk;
use crate::failure::Failure;

impl Machine {
    /// The disk, while no process runs, with all writes that are left.
    ///
    /// # Errors
    ///
    /// [`Failure::Process`].
    pub fn idle_disk(&mut self) -> Result<Option<&mut Disk>, Failure> {
        let node = self.id();
        let State::Down(disk) = &mut self.state else {
            return Ok(None);
        };
        disk.open().map_err(|reason| Failure::Process {
            node,
            reason: reason.into(),
        })?;
        // Writes that were not synced have taken effect.
        self.stored_membership = disk.membership();
        Ok(Some(disk))
    }

    /// What the disk lacks cannot be had: it starts with the entries before. A service that is durable
    /// by itself has lost its state, too.
    pub fn give_up_mending(&mut self) {
        let State::Down(disk) = &mut self.state else {
            return;
        };
        disk.give_up();
        self.stored_membership = disk.membership();
        self.saved = None;
    }
}
