//! One client: its requests in order, those that are there already together.
//!
//! All commands of a pipeline that have arrived make one batch: one entry, or one read. The next batch
//! begins when the replies of the last one are written, so that a client that does not read is not
//! read from either.

use super::Shared;
use super::clients::Place;
use super::combine::Batch;
use super::company::Seen;
use super::outcome::GatewayError;
use crate::resp::{self, LocalCommand, Request, RequestDecoder, Version};
use crate::state::{BackupEncoder, Command, Origin, Reply};
use bytes::{Bytes, BytesMut};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// How many commands a batch holds.
const BATCH: usize = 1024;

/// About how many bytes of arguments a batch holds.
const BATCH_BYTES: usize = 1 << 20;

/// How many commands a transaction holds.
const QUEUED: usize = 65_536;

/// With more replies than this, they are written before more is done.
const UNWRITTEN: usize = 1 << 18;

/// A buffer larger than this is not kept for an idle client.
const KEPT: usize = 1 << 16;

/// A reply that is there, or the place of one of the batch's.
enum Item {
    Ready(Reply),
    Run,
}

/// The commands since MULTI.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) commands: Vec<Command>,
    /// About how long their arguments are.
    pub(super) bytes: usize,
    /// One of them could not be queued: EXEC runs none.
    pub(super) is_broken: bool,
}

/// When the client asked last.
#[derive(Default)]
pub(super) struct LastAsked {
    pub(super) reads: Seen,
    pub(super) writes: Seen,
}

/// See the [module](self).
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) place: Place,
    pub(super) version: Version,
    pub(super) is_trusted: bool,
    pub(super) reads_stale: bool,
    pub(super) queue: Option<Queue>,
    pub(super) backup: Option<BackupEncoder>,
    pub(super) is_over: bool,
    decoder: RequestDecoder,
    items: Vec<Item>,
    commands: Vec<Command>,
    bytes: usize,
    out: BytesMut,
    pub(super) seen: LastAsked,
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>, place: Place) -> Connection {
        let is_trusted = shared.settings.password.is_none();
        let decoder = RequestDecoder::new();
        Connection {
            shared,
            place,
            version: Version::Two,
            is_trusted,
            reads_stale: false,
            queue: None,
            backup: None,
            is_over: false,
            decoder,
            items: Vec::new(),
            commands: Vec::new(),
            bytes: 0,
            out: BytesMut::new(),
            seen: LastAsked::default(),
        }
    }

    /// Serves the client until it leaves, or breaks the protocol.
    pub(super) async fn serve<S>(mut self, mut stream: S) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut buffer = BytesMut::new();
        while !self.is_over {
            if buffer.capacity() - buffer.len() < 1024 {
                buffer.reserve(8192);
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            loop {
                let more = self.take(&mut buffer).await;
                if more && self.out.len() < UNWRITTEN {
                    continue;
                }
                stream.write_all(&self.out).await?;
                self.out.clear();
                if !more {
                    break;
                }
            }
            stream.flush().await?;
            if self.out.capacity() > KEPT {
                self.out = BytesMut::new();
            }
            if buffer.is_empty() && buffer.capacity() > KEPT {
                buffer = BytesMut::new();
            }
        }
        stream.shutdown().await
    }

    /// Takes one batch of requests out of the buffer, and answers them; whether there may be more.
    async fn take(&mut self, buffer: &mut BytesMut) -> bool {
        let mut taken = 0;
        while !self.is_over && taken < BATCH && self.bytes < BATCH_BYTES {
            taken += 1;
            let limits = match self.is_trusted {
                true => self.shared.limits,
                false => self.shared.limits.before_authentication(),
            };
            match self.decoder.next(buffer, &limits) {
                Ok(Some(arguments)) => self.request(arguments).await,
                Ok(None) => {
                    self.flush().await;
                    return false;
                }
                Err(error) => {
                    self.ready(Reply::error("ERR", error));
                    self.is_over = true;
                }
            }
        }
        self.flush().await;
        !self.is_over
    }

    fn ready(&mut self, reply: Reply) {
        self.items.push(Item::Ready(reply));
    }

    async fn request(&mut self, arguments: Vec<Bytes>) {
        let commands = &self.shared.clients.commands;
        commands.fetch_add(1, Ordering::Relaxed);
        let length: usize = arguments.iter().map(Bytes::len).sum();
        // An administrator's request may have to be handed to the leader as it is.
        let is_admin = |name: &Bytes| name.eq_ignore_ascii_case(b"RAFT");
        let as_it_is = match arguments.first().is_some_and(is_admin) {
            true => arguments.clone(),
            false => Vec::new(),
        };
        let request = match resp::parse(arguments, &self.shared.parse_limits) {
            Ok(request) => request,
            Err(error) => {
                if let Some(queue) = &mut self.queue {
                    queue.is_broken = true;
                }
                return self.ready(error);
            }
        };
        if !self.is_trusted && !is_open_to_all(&request) {
            return self.ready(Reply::error("NOAUTH", "Authentication required."));
        }
        if self.queue.is_some() && !ends_queue(&request) {
            return self.enqueue(request, length);
        }
        match request {
            Request::Command(command) => {
                self.bytes += length;
                self.items.push(Item::Run);
                self.commands.push(command);
            }
            Request::Once { .. }
            | Request::OpenSession
            | Request::CloseSession(_)
            | Request::Local(_)
            | Request::Admin(_) => {
                self.flush().await;
                let reply = self.answer(request, &as_it_is).await;
                self.ready(reply);
                self.flush().await;
            }
        }
    }

    fn enqueue(&mut self, request: Request, length: usize) {
        let Some(queue) = &mut self.queue else { return };
        let reply = match request {
            Request::Command(command) => {
                queue.bytes += length;
                if queue.commands.len() >= QUEUED || queue.bytes > self.shared.queue_bytes {
                    (queue.is_broken, queue.commands) = (true, Vec::new());
                    Reply::error("ERR", "the transaction is too long")
                } else {
                    queue.commands.push(command);
                    Reply::Simple("QUEUED".into())
                }
            }
            Request::Once { .. }
            | Request::OpenSession
            | Request::CloseSession(_)
            | Request::Local(_)
            | Request::Admin(_) => {
                queue.is_broken = true;
                Reply::error("ERR", "Command not allowed inside a transaction")
            }
        };
        self.ready(reply);
    }

    async fn answer(&mut self, request: Request, arguments: &[Bytes]) -> Reply {
        match request {
            // Those are run in batches.
            Request::Command(command) => {
                let commands = vec![command];
                first(self.run(Batch::new(commands, 0)).await)
            }
            Request::Once {
                session,
                sequence,
                command,
            } => {
                let origin = Origin {
                    session,
                    sequence,
                    floor: sequence,
                };
                let gateway = &self.shared.gateway;
                match gateway.write_once(origin, vec![command]).await {
                    Ok(replies) => first(replies),
                    Err(error) => error.into(),
                }
            }
            Request::OpenSession => self.open_session().await,
            Request::CloseSession(session) => self.close_session(session).await,
            Request::Local(request) => self.local(request).await,
            Request::Admin(admin) => self.admin(admin, arguments).await,
        }
    }

    /// Runs the commands that wait, and writes all replies to the buffer.
    async fn flush(&mut self) {
        if self.items.is_empty() {
            return;
        }
        let commands = std::mem::take(&mut self.commands);
        let bytes = std::mem::take(&mut self.bytes);
        let replies = match commands.is_empty() {
            true => Vec::new(),
            false => self.run(Batch::new(commands, bytes)).await,
        };
        let mut replies = replies.into_iter();
        for item in self.items.drain(..) {
            let reply = match item {
                Item::Ready(reply) => Some(reply),
                Item::Run => replies.next(),
            };
            // There is one for each command.
            let reply = reply.unwrap_or_else(|| Reply::error("ERR", "no reply"));
            resp::encode_reply(&reply, self.version, &mut self.out);
        }
    }

    /// Runs commands with nothing in between: one reply for each.
    async fn run(&mut self, batch: Batch) -> Vec<Reply> {
        let count = batch.commands.len();
        let ran = self.try_run(batch).await;
        ran.unwrap_or_else(|error| vec![Reply::from(error); count])
    }

    pub(super) async fn try_run(&mut self, batch: Batch) -> Result<Vec<Reply>, GatewayError> {
        let gateway = &self.shared.gateway;
        match batch.commands.iter().any(Command::writes) {
            true => gateway.write(batch, &mut self.seen.writes).await,
            false if self.reads_stale => gateway.read_stale(batch.commands).await,
            false => gateway.read(batch, &mut self.seen.reads).await,
        }
    }
}

fn first(replies: Vec<Reply>) -> Reply {
    let first = replies.into_iter().next();
    first.unwrap_or_else(|| Reply::error("ERR", "no reply"))
}

/// Whether it is answered before the password was said.
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

/// Whether it is not queued after MULTI.
fn ends_queue(request: &Request) -> bool {
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
