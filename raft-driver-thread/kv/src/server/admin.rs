//! What administrators ask of a server: RAFT ….
//! What the leader has to do is in [`members`](super::members).

use super::combine::Batch;
use super::connection::Connection;
use super::info;
use super::outcome::Miss;
use crate::resp::{Addressee, AdminCommand};
use crate::state::{Answer, BackupEncoder, Machine, Operation, Reply};
use bytes::Bytes;

/// How much of a backup travels at once.
const PIECE: usize = 1 << 20;

impl Connection {
    pub(super) async fn admin(&mut self, request: AdminCommand, arguments: &[Bytes]) -> Reply {
        match request {
            AdminCommand::Status => match info::status(&self.shared).await {
                Ok(status) => match serde_json::to_string(&status) {
                    Ok(text) => Reply::text(text),
                    Err(error) => Reply::error("ERR", error),
                },
                Err(error) => error,
            },
            AdminCommand::Snapshot => {
                self.shared.gateway.node().snapshot();
                Reply::Ok
            }
            AdminCommand::BackupOpen => self.open_backup().await,
            AdminCommand::BackupRead => self.read_backup(),
            AdminCommand::Forward { to, operation } => match self.is_for_another(to) {
                Some(reply) => reply,
                None => self.forwarded(&operation).await,
            },
            AdminCommand::Load(operation) => self.load(&operation).await,
            AdminCommand::Here { to, request } => match self.is_for_another(to) {
                Some(reply) => reply,
                None => self.here(&request).await.unwrap_or_else(Reply::from),
            },
            request @ (AdminCommand::Join { .. }
            | AdminCommand::Promote(_)
            | AdminCommand::Leave(_)
            | AdminCommand::Transfer(_)) => self.by_leader(&request, arguments).await,
        }
    }

    fn is_for_another(&self, to: Addressee) -> Option<Reply> {
        let me = &self.shared.identity;
        let is_me = (to.cluster, to.node) == (me.cluster, me.node);
        (!is_me).then(|| Miss::NotDone("another server has its address now".into()).into())
    }

    async fn forwarded(&mut self, operation: &[u8]) -> Reply {
        let Some(operation) = Operation::decode(operation) else {
            return Reply::error("NEVER", "the request is of another release");
        };
        let gateway = self.shared.gateway.clone();
        let writes = &mut self.seen.writes;
        let party = gateway.wait_for_others(&operation, writes).await;
        match gateway.forwarded(&operation, party).await {
            Ok(answer) => Reply::Bulk(answer.encode()),
            Err(error) => error,
        }
    }

    async fn load(&mut self, operation: &[u8]) -> Reply {
        let Some(operation @ Operation::Load(_)) = Operation::decode(operation) else {
            return Reply::error("ERR", "this is no piece of a backup");
        };
        match self.shared.gateway.propose(&operation).await {
            Ok(Answer::Done) => Reply::Ok,
            Ok(answer) => Reply::error("ERR", format!("the cluster answered {answer:?}")),
            Err(error) => error.into(),
        }
    }

    /// Holds the state as it is now, until it is read to its end.
    async fn open_backup(&mut self) -> Reply {
        // What was acknowledged before is in it.
        if let Err(error) = self.shared.gateway.read(Batch::default(), &mut 0).await {
            return error.into();
        }
        let view = self.shared.gateway.node().inspect(Machine::view).await;
        let view = match view {
            Ok(view) => view,
            Err(error) => return Reply::error("ERR", error),
        };
        self.backup = Some(BackupEncoder::new(view));
        Reply::Ok
    }

    fn read_backup(&mut self) -> Reply {
        let Some(backup) = &mut self.backup else {
            return Reply::error("ERR", "no backup is open: RAFT BACKUP OPEN comes first");
        };
        match backup.next_chunk(PIECE) {
            Some(piece) => Reply::Bulk(piece),
            None => {
                self.backup = None;
                Reply::Nil
            }
        }
    }
}
