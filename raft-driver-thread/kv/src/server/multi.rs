//! MULTI and DISCARD: the commands of a transaction are queued. [EXEC](super::exec) runs them.

use crate::resp::{LocalCommand, Request, Understood};
use crate::state::{Command, Reply};

/// How many commands a transaction holds.
const MAX_COMMANDS: usize = 1 << 20;

/// What a command takes in an entry besides its arguments, at most.
const COMMAND_BYTES: usize = 24;

/// What was sent since MULTI.
#[derive(Default)]
pub(super) struct Transaction {
    pub(super) queue: Vec<Queued>,
    /// About how long the arguments are.
    pub(super) bytes: usize,
    /// A request could not be queued: EXEC runs none.
    is_broken: bool,
}

/// A request that EXEC answers.
pub(super) struct Queued {
    /// The command's name.
    pub(super) name: &'static str,
    pub(super) task: Task,
}

/// What EXEC has to do for it.
pub(super) enum Task {
    /// A command over the keys.
    Command(Command),
    /// A command about the connection, or about this server.
    Local(LocalCommand),
    /// The arguments make no sense, as Redis finds when it runs the command.
    Error(Reply),
}

impl Transaction {
    /// How many commands are queued, and about how long their arguments are.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.queue.len(), self.bytes)
    }

    /// A request could not be queued.
    pub(super) fn break_off(&mut self) {
        (self.is_broken, self.queue) = (true, Vec::new());
    }

    /// Queues a request whose arguments have about `length` bytes; all of them may have
    /// `max_bytes`.
    pub(super) fn enqueue(&mut self, asked: Understood, length: usize, max_bytes: usize) -> Reply {
        let task = match asked.request {
            Request::Command(command) => Task::Command(command),
            Request::Local(local) => Task::Local(local),
            Request::Once { .. }
            | Request::OpenSession
            | Request::CloseSession(_)
            | Request::Admin(_) => {
                self.break_off();
                return Reply::error("ERR", "Command not allowed inside a transaction");
            }
        };
        let name = asked.name;
        self.push(Queued { name, task }, length, max_bytes)
    }

    /// Queues the error of a request for this command.
    pub(super) fn enqueue_error(
        &mut self,
        name: &'static str,
        error: Reply,
        length: usize,
        max_bytes: usize,
    ) -> Reply {
        let task = Task::Error(error);
        self.push(Queued { name, task }, length, max_bytes)
    }

    fn push(&mut self, queued: Queued, length: usize, max_bytes: usize) -> Reply {
        if self.is_broken {
            return Reply::Simple("QUEUED".into()); // As Redis says; EXEC runs none.
        }
        self.bytes += length + COMMAND_BYTES;
        if self.queue.len() >= MAX_COMMANDS || self.bytes > max_bytes {
            self.break_off();
            let what = format_args!(
                "the transaction is too long: it may have {MAX_COMMANDS} commands, and {max_bytes} \
                 bytes of arguments with {COMMAND_BYTES} for each command (max-transaction-bytes)"
            );
            return Reply::error("ERR", what);
        }
        self.queue.push(queued);
        Reply::Simple("QUEUED".into())
    }
}

/// MULTI.
pub(super) fn begin(transaction: &mut Option<Transaction>) -> Reply {
    if transaction.is_some() {
        return Reply::error("ERR", "MULTI calls can not be nested");
    }
    *transaction = Some(Transaction::default());
    Reply::Ok
}

/// DISCARD.
pub(super) fn discard(transaction: &mut Option<Transaction>) -> Reply {
    match transaction.take() {
        Some(_) => Reply::Ok,
        None => Reply::error("ERR", "DISCARD without MULTI"),
    }
}

/// EXEC: what to run, or the reply if there is nothing.
pub(super) fn take(transaction: &mut Option<Transaction>) -> Result<Transaction, Reply> {
    let Some(transaction) = transaction.take() else {
        return Err(Reply::error("ERR", "EXEC without MULTI"));
    };
    if transaction.is_broken {
        let what = "Transaction discarded because of previous errors.";
        return Err(Reply::error("EXECABORT", what));
    }
    Ok(transaction)
}

/// The reply to an EXEC that is refused: it ends the transaction.
pub(super) fn refused_exec(error: Reply) -> Reply {
    let Reply::Error(error) = error else {
        return error;
    };
    let reason = error.strip_prefix("ERR ").unwrap_or(&error);
    Reply::error(
        "EXECABORT",
        format_args!("Transaction discarded because of: {reason}"),
    )
}

/// Whether a request is answered after MULTI, instead of being queued.
pub(super) fn runs_at_once(request: &Request) -> bool {
    matches!(
        request,
        Request::Local(
            LocalCommand::Exec
                | LocalCommand::Discard
                | LocalCommand::Multi
                | LocalCommand::Quit
                | LocalCommand::Reset
        )
    )
}
