//! MULTI, EXEC and DISCARD: the commands of a transaction are queued, and run as one batch.

use super::coalesce::Batch;
use crate::resp::Request;
use crate::state::{Command, Reply};

/// How many commands a transaction holds.
const MAX_COMMANDS: usize = 1 << 20;

/// What a command takes in an entry besides its arguments, at most.
const COMMAND_BYTES: usize = 24;

/// The commands since MULTI.
#[derive(Default)]
pub(super) struct Transaction {
    commands: Vec<Command>,
    /// About how long their arguments are.
    bytes: usize,
    /// A command could not be queued: EXEC runs none.
    is_broken: bool,
}

impl Transaction {
    /// A command could not even be parsed.
    pub(super) fn break_off(&mut self) {
        self.is_broken = true;
    }

    /// Queues a command whose arguments have about `length` bytes; all of them may have
    /// `max_bytes`.
    pub(super) fn enqueue(&mut self, request: Request, length: usize, max_bytes: usize) -> Reply {
        match request {
            Request::Command(command) => {
                self.bytes += length + COMMAND_BYTES;
                if self.commands.len() >= MAX_COMMANDS || self.bytes > max_bytes {
                    (self.is_broken, self.commands) = (true, Vec::new());
                    let what = format_args!(
                        "the transaction is too long: it may have {MAX_COMMANDS} commands, and \
                         {max_bytes} bytes of arguments with {COMMAND_BYTES} for each command \
                         (max-transaction-bytes)"
                    );
                    Reply::error("ERR", what)
                } else {
                    self.commands.push(command);
                    Reply::Simple("QUEUED".into())
                }
            }
            Request::Once { .. }
            | Request::OpenSession
            | Request::CloseSession(_)
            | Request::Local(_)
            | Request::Admin(_) => {
                self.is_broken = true;
                Reply::error("ERR", "Command not allowed inside a transaction")
            }
        }
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

/// EXEC: the batch to run, or the reply if there is none.
pub(super) fn take_batch(transaction: &mut Option<Transaction>) -> Result<Batch, Reply> {
    let Some(transaction) = transaction.take() else {
        return Err(Reply::error("ERR", "EXEC without MULTI"));
    };
    if transaction.is_broken {
        let what = "Transaction discarded because of previous errors.";
        return Err(Reply::error("EXECABORT", what));
    }
    if transaction.commands.is_empty() {
        return Err(Reply::Array(Vec::new()));
    }
    Ok(Batch::new(transaction.commands, transaction.bytes))
}
