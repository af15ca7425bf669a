//! Administrators' requests: RAFT …. Those that only the leader can execute are in
//! [`members`](super::members).

use super::clients::User;
use super::connection::Connection;
use super::info;
use super::members;
use super::outcome::{integer, unexpected};
use crate::resp::AdminCommand;
use crate::settings::ADMIN_USER;
use crate::state::{Answer, BackupEncoder, Machine, Operation, Reply};
use bytes::Bytes;
use raft_driver_thread::RequestError;
use raft_driver_thread::raft_proto::Term;

/// How many bytes of a backup one reply holds.
const CHUNK: usize = 1 << 20;

/// The term of an election, or in which this server led.
fn term<R: std::error::Error>(outcome: Result<Term, RequestError<R>>) -> Reply {
    match outcome {
        Ok(term) => integer(term.0),
        Err(error) => Reply::error("ERR", error),
    }
}

impl Connection {
    /// Whether the client may send this request, whose command has this name. Where the user `admin`
    /// has a password, only that user may: all but RAFT STATUS, which says hardly more than INFO.
    ///
    /// # Errors
    ///
    /// The reply that says what is needed.
    pub(super) fn check_role(&self, request: &AdminCommand, name: &str) -> Result<(), Reply> {
        let is_open = matches!(request, AdminCommand::Status)
            || self.context.settings.admin_password.is_none();
        match self.user {
            User::Admin => Ok(()),
            User::Default if is_open => Ok(()),
            User::Default => {
                let what = format_args!(
                    "User default has no permissions to run the '{name}' command: it takes the user \
                     {ADMIN_USER} (AUTH {ADMIN_USER} password, with the server's admin-password; \
                     --admin-password-file of raft-kv)"
                );
                Err(Reply::error("NOPERM", what))
            }
        }
    }

    pub(super) async fn admin(&mut self, request: AdminCommand, arguments: &[Bytes]) -> Reply {
        match request {
            AdminCommand::Status => info::status_reply(&self.context).await,
            AdminCommand::Snapshot => {
                self.context.router.node().snapshot();
                Reply::Ok
            }
            AdminCommand::Campaign => term(self.context.router.node().campaign().await),
            AdminCommand::StepDown => term(self.context.router.node().step_down().await),
            AdminCommand::BackupOpen => self.open_backup().await,
            AdminCommand::BackupRead => self.read_backup(),
            AdminCommand::Load(operation) => self.load(&operation).await,
            AdminCommand::Forward { .. } | AdminCommand::Here { .. } => {
                Reply::error("ERR", "only servers send this, over the port for servers")
            }
            request @ (AdminCommand::Join(_)
            | AdminCommand::Promote(_)
            | AdminCommand::Leave(_)
            | AdminCommand::Move(_)
            | AdminCommand::Transfer(_)) => {
                members::execute(&self.context.router, &request, arguments).await
            }
        }
    }

    async fn load(&mut self, operation: &[u8]) -> Reply {
        let Some(operation @ Operation::Load(_)) = Operation::decode(operation) else {
            return Reply::error("ERR", "this is not a part of a backup");
        };
        let router = &self.context.router;
        match router.propose(&operation, router.deadline()).await {
            Ok(proposed) if proposed.answer == Answer::Done => Reply::Ok,
            Ok(proposed) => unexpected(&proposed.answer).into(),
            Err(error) => error.into(),
        }
    }

    /// Holds the state as it is now, until all of it is read.
    async fn open_backup(&mut self) -> Reply {
        // A read first, so that everything that was acknowledged before is in the backup.
        if let Err(error) = self.context.catch_up().await {
            return error.into();
        }
        let view = self.context.router.node().inspect(Machine::view).await;
        let view = match view {
            Ok(view) => view,
            Err(error) => return Reply::error("ERR", error),
        };
        self.backup = Some(BackupEncoder::new(view));
        Reply::Ok
    }

    fn read_backup(&mut self) -> Reply {
        let Some(backup) = &mut self.backup else {
            return Reply::error("ERR", "no backup is open: send RAFT BACKUP OPEN first");
        };
        match backup.next_chunk(CHUNK) {
            Some(piece) => Reply::Bulk(piece),
            None => {
                self.backup = None;
                Reply::Nil
            }
        }
    }
}
