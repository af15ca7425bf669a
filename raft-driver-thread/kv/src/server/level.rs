//! The release level: what is not proposed before all servers read it.

use super::outcome::AttemptError;
use super::router::Router;
use crate::state::{Operation, Reply};

impl Router {
    /// Whether what needs this release level may be proposed, as far as this server knows. Once it
    /// may, it always may.
    ///
    /// # Errors
    ///
    /// The reply for the client.
    pub(super) fn check_level(&self, needed: u32) -> Result<(), Reply> {
        // Most commands need none, and ask for no lock.
        if needed == 0 {
            return Ok(());
        }
        let level = self.node().state().level.service;
        if needed <= level {
            return Ok(());
        }
        let what = format_args!(
            "this command needs release level {needed}, and the cluster is at {level}: upgrade all \
             servers, and start them without --release-level"
        );
        Err(Reply::error("ERR", what))
    }

    /// The same at the leader, for what other servers forward. It holds the entry with the level, and
    /// may not know yet that it is committed: then the request is attempted again.
    pub(super) fn check_level_here(&self, operation: &Operation) -> Result<(), AttemptError> {
        let (needed, level) = (operation.level(), self.node().state().level.service);
        if needed <= level {
            return Ok(());
        }
        let what = format!("the leader is at release level {level}, and {needed} is needed");
        Err(AttemptError::NotDone(what))
    }
}
