//! One client: its requests in order, those that have arrived together in one batch.
//!
//! All commands of a pipeline that have arrived make one batch: one entry, or one read. While
//! replies wait to be written, more requests are read and executed: many clients read no reply
//! before they have sent a whole pipeline. When more replies wait than is allowed, nothing is read
//! until the client has read some. If it reads none for a while, it waits itself, for the server to
//! read: nothing would ever come of it, and it is closed.

use super::clients::{ClientActivity, ClientSlot, User};
use super::context::ServerContext;
use super::group_commit::LastActive;
use super::multi::{self, Transaction};
use super::output::{Output, Written, write_some};
use super::stats::Asked;
use crate::resp::{self, LocalCommand, Refusal, Request, RequestDecoder, Understood, Version};
use crate::state::{BackupEncoder, Command, Reply};
use bytes::{Buf, Bytes, BytesMut};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::time::{Instant, sleep_until, timeout};

/// How many requests a batch holds at most.
const MAX_BATCH: usize = 1024;

/// About how many bytes of arguments a batch holds at most.
const MAX_BATCH_BYTES: usize = 1 << 20;

/// When this many bytes of replies wait, they are written before more requests are executed, as far
/// as the client takes them at once.
const WRITE_FROM: usize = 1 << 18;

/// How long a client that is over its limit may read nothing.
const READ_NOTHING: Duration = Duration::from_secs(10);

/// How long a client may take to give the password.
const AUTHENTICATION_TIMEOUT: Duration = Duration::from_secs(10);

/// A buffer larger than this is freed when the client is idle.
const MAX_IDLE_BUFFER: usize = 1 << 16;

/// The reply to one request, in the order of the requests.
pub(super) enum Item {
    Ready(Reply),
    /// The next reply of the batch.
    OfBatch,
}

/// When the client was last counted as active.
#[derive(Default)]
pub(super) struct Activity {
    pub(super) reads: LastActive,
    pub(super) writes: LastActive,
}

/// See the [module](self).
pub(super) struct Connection {
    pub(super) context: Arc<ServerContext>,
    pub(super) slot: ClientSlot,
    pub(super) version: Version,
    /// The client has given the password (AUTH), or none is set.
    pub(super) is_authenticated: bool,
    pub(super) user: User,
    /// READONLY was sent: reads may be stale.
    pub(super) reads_stale: bool,
    pub(super) transaction: Option<Transaction>,
    pub(super) backup: Option<BackupEncoder>,
    pub(super) is_over: bool,
    began: Instant,
    /// The database that SELECT named, and that does not exist.
    pub(super) missing_database: Option<i64>,
    /// The last command that was understood.
    command: Option<&'static str>,
    /// Bytes of requests that are not taken yet.
    unread: usize,
    /// How many wrong passwords the client has given.
    pub(super) failed_passwords: u32,
    pub(super) activity: Activity,
    decoder: RequestDecoder,
    pub(super) items: Vec<Item>,
    pub(super) commands: Vec<Command>,
    /// What is counted of each of `commands`.
    pub(super) asked: Vec<Asked>,
    /// About how long the arguments of `commands` are.
    pub(super) bytes: usize,
    pub(super) out: Output,
}

impl Connection {
    pub(super) fn new(context: Arc<ServerContext>, slot: ClientSlot) -> Connection {
        let is_authenticated = context.settings.password.is_none();
        let out = Output::new(context.output_limits.clone());
        Connection {
            context,
            slot,
            version: Version::Two,
            is_authenticated,
            user: User::Default,
            reads_stale: false,
            transaction: None,
            backup: None,
            is_over: false,
            began: Instant::now(),
            missing_database: None,
            command: None,
            unread: 0,
            failed_passwords: 0,
            activity: Activity::default(),
            decoder: RequestDecoder::new(),
            items: Vec::new(),
            commands: Vec::new(),
            asked: Vec::new(),
            bytes: 0,
            out,
        }
    }

    /// Serves the client until it leaves, or breaks the protocol.
    pub(super) async fn serve<S>(mut self, stream: S) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (mut reader, mut writer) = split(stream);
        let mut buffer = BytesMut::new();
        let (mut taken, mut is_flushed) = (Taken::All, true);
        let mut last_progress = Instant::now();
        while !self.is_over || self.out.has_remaining() || !is_flushed {
            let is_over_limit = self.out.is_over_limit();
            let executes = taken == Taken::MayBeMore && !is_over_limit;
            if executes && self.out.waiting() < WRITE_FROM {
                taken = self.take_batch(&mut buffer).await;
                continue;
            }
            if is_flushed && !self.out.has_remaining() {
                self.out.shrink();
                shrink(&mut buffer);
            }
            let reads = taken == Taken::All && !is_over_limit && !self.is_over;
            if reads && buffer.capacity() - buffer.len() < 1024 {
                buffer.reserve(8192);
            }
            let waits_for_client = is_over_limit || self.is_over;
            let deadline = self.deadline(last_progress, waits_for_client);
            let progress = tokio::select! {
                biased;
                written = write_some(&mut writer, &mut self.out),
                    if self.out.has_remaining() || !is_flushed => {
                    is_flushed = written? == Written::Flushed;
                    Progress::Wrote
                }
                read = reader.read_buf(&mut buffer), if reads => match read? {
                    0 => return self.end(&mut writer).await,
                    _ => Progress::Read,
                },
                // The client takes no replies at the moment: it may be waiting to be read from.
                () = std::future::ready(()), if executes => Progress::Read,
                () = wait(deadline) => return Err(self.late(waits_for_client)),
            };
            last_progress = Instant::now();
            if let Progress::Read = progress {
                taken = self.take_batch(&mut buffer).await;
                is_flushed = false;
            }
        }
        writer.shutdown().await
    }

    /// The client sends nothing more. It gets what it has asked for.
    async fn end<W: AsyncWrite + Unpin>(&mut self, writer: &mut W) -> io::Result<()> {
        while self.out.has_remaining() {
            let written = timeout(READ_NOTHING, writer.write_buf(&mut self.out)).await;
            written.unwrap_or_else(|_| Err(self.late(true)))?;
        }
        writer.shutdown().await
    }

    /// When the connection is closed if nothing is read or written until then.
    fn deadline(&self, last_progress: Instant, waits_for_client: bool) -> Option<Instant> {
        if waits_for_client && self.out.has_remaining() {
            return Some(last_progress + READ_NOTHING);
        }
        if !self.is_authenticated {
            return Some(self.began + AUTHENTICATION_TIMEOUT);
        }
        let timeout = self.context.settings.client_timeout;
        timeout.and_then(|timeout| last_progress.checked_add(timeout))
    }

    /// The client is closed. Says why.
    fn late(&self, waits_for_client: bool) -> io::Error {
        let client = self.slot.get().socket.address.to_string();
        let waiting = self.out.waiting();
        let reason = if waits_for_client && self.out.has_remaining() {
            "it does not read its replies, of which more wait than client-output-buffer-limit or \
             maxmemory-clients allows, or than it may leave when it quits"
        } else if !self.is_authenticated {
            "it has not given the password in time"
        } else {
            "it was idle for longer than client-timeout"
        };
        tracing::warn!(client, waiting, reason, "a client was closed");
        io::Error::new(io::ErrorKind::TimedOut, reason)
    }

    /// Takes one batch of requests out of the buffer, and answers them.
    async fn take_batch(&mut self, buffer: &mut BytesMut) -> Taken {
        let mut requests = 0;
        // A reply may be long whose request is short: the limits are looked at before more.
        let enough = self.out.waiting() + WRITE_FROM;
        while !self.is_over
            && requests < MAX_BATCH
            && self.bytes < MAX_BATCH_BYTES
            && self.out.waiting() < enough
        {
            requests += 1;
            let limits = if self.is_authenticated {
                self.context.limits
            } else {
                self.context.limits.before_authentication()
            };
            match self.decoder.next(buffer, &limits) {
                Ok(Some(arguments)) => {
                    self.unread = buffer.len();
                    self.request(arguments).await;
                }
                Ok(None) => {
                    self.flush().await;
                    return Taken::All;
                }
                Err(error) => {
                    self.ready(Reply::error("ERR", error));
                    self.is_over = true;
                }
            }
        }
        self.flush().await;
        if self.is_over {
            Taken::All
        } else {
            Taken::MayBeMore
        }
    }

    fn ready(&mut self, reply: Reply) {
        self.items.push(Item::Ready(reply));
    }

    async fn request(&mut self, arguments: Vec<Bytes>) {
        self.context.clients.commands.add(1);
        let length: usize = arguments.iter().map(Bytes::len).sum();
        // An administrator's request may have to be forwarded to the leader, unchanged.
        let is_admin = |name: &Bytes| name.eq_ignore_ascii_case(b"RAFT");
        let unchanged = if arguments.first().is_some_and(is_admin) {
            arguments.clone()
        } else {
            Vec::new()
        };
        let is_exec = arguments
            .first()
            .is_some_and(|name| name.eq_ignore_ascii_case(b"EXEC"));
        let understood = resp::parse_for_queue(arguments, &self.context.parse_limits);
        let Understood { name, request } = match understood {
            Ok(understood) => understood,
            Err(refusal) => {
                let reply = self.refuse(refusal, is_exec, length);
                return self.ready(reply);
            }
        };
        self.command = Some(name);
        if !self.is_authenticated && !is_open_to_all(&request) {
            self.context.stats.rejected(name);
            return self.ready(Reply::error("NOAUTH", "Authentication required."));
        }
        if let Err(error) = self.check_allowed(&request, name) {
            let name = Some(name);
            let reply = self.refuse(Refusal::AtOnce { name, error }, is_exec, length);
            return self.ready(reply);
        }
        if let Some(transaction) = &mut self.transaction
            && !multi::runs_at_once(&request)
        {
            let max_bytes = self.context.max_transaction_bytes;
            let asked = Understood { name, request };
            let reply = transaction.enqueue(asked, length, max_bytes);
            return self.ready(reply);
        }
        let uses_keys = matches!(request, Request::Command(_) | Request::Once { .. });
        if let Some(database) = self.missing_database.filter(|_| uses_keys) {
            self.context.stats.rejected(name);
            return self.ready(no_database(database));
        }
        self.take(Understood { name, request }, &unchanged, length)
            .await;
    }

    /// Adds a command to the batch, and answers every other request.
    async fn take(&mut self, understood: Understood, unchanged: &[Bytes], length: usize) {
        let Understood { name, request } = understood;
        match request {
            Request::Command(command) => {
                // A walk goes alone: no entry of the log, and no other read, waits for it.
                let walks = command.looks_at_many_keys();
                if walks {
                    self.flush().await;
                }
                self.bytes += length;
                self.items.push(Item::OfBatch);
                self.asked.push(Asked::new(name, &command));
                self.commands.push(command);
                if walks {
                    self.flush().await;
                }
            }
            Request::Once { .. }
            | Request::OpenSession
            | Request::CloseSession(_)
            | Request::Local(_)
            | Request::Admin(_) => {
                self.flush().await;
                let begun = Instant::now();
                let reply = self.answer(request, unchanged).await;
                let stats = &self.context.stats;
                stats.answered(name, &reply, begun.elapsed());
                self.ready(reply);
                self.flush().await;
            }
        }
    }

    /// Whether this client, and the release level in force, allow the request.
    fn check_allowed(&self, request: &Request, name: &str) -> Result<(), Reply> {
        if let Request::Admin(admin) = request {
            self.check_role(admin, name)?;
        }
        // One of a later level is as a command that is not known.
        self.context.router.check_level(request.level())
    }

    /// The reply to a request that makes no sense. What becomes of a transaction depends on it.
    fn refuse(&mut self, refusal: Refusal, is_exec: bool, length: usize) -> Reply {
        let stats = &self.context.stats;
        match (&mut self.transaction, refusal) {
            (transaction, Refusal::AtOnce { name, error }) => {
                name.inspect(|name| stats.rejected(name));
                if is_exec {
                    *transaction = None;
                    return multi::refused_exec(error);
                }
                if let Some(transaction) = transaction {
                    transaction.break_off();
                }
                error
            }
            (Some(transaction), Refusal::WhenRun { name, error }) => {
                let max_bytes = self.context.max_transaction_bytes;
                transaction.enqueue_error(name, error, length, max_bytes)
            }
            (None, Refusal::WhenRun { name, error }) => {
                stats.answered(name, &error, Duration::ZERO);
                error
            }
        }
    }

    /// Lets CLIENT LIST show what this client does.
    pub(super) fn show(&self) {
        let activity = ClientActivity {
            last: std::time::Instant::now(),
            command: self.command,
            user: self.user,
            database: self.missing_database.unwrap_or(0),
            queued: self.transaction.as_ref().map(Transaction::size),
            reads_stale: self.reads_stale,
            unread: self.unread,
            unwritten: self.out.waiting(),
        };
        self.slot.change(|client| client.activity = activity);
    }
}

/// What happened last on a connection.
enum Progress {
    /// There may be requests to execute.
    Read,
    Wrote,
}

async fn wait(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Frees a large buffer of which nothing is needed.
fn shrink(buffer: &mut BytesMut) {
    if buffer.is_empty() && buffer.capacity() > MAX_IDLE_BUFFER {
        *buffer = BytesMut::new();
    }
}

/// How much of a buffer was taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    All,
    MayBeMore,
}

fn no_database(database: i64) -> Reply {
    let what = format_args!(
        "there is no database {database}, which this connection chose with SELECT: only database \
         0 exists"
    );
    Reply::error("ERR", what)
}

/// Whether a request is answered before the client has given the password.
fn is_open_to_all(request: &Request) -> bool {
    matches!(
        request,
        Request::Local(
            LocalCommand::Auth { .. }
                | LocalCommand::Hello { .. }
                | LocalCommand::Quit
                | LocalCommand::Reset
        )
    )
}
