//! Requests that other servers forward to this one, as the leader: RAFT FORWARD, with an entry, and
//! RAFT HERE, with an administrator's request; and RAFT STATUS. They come over the port for
//! servers, and over no other: their sender decides what enters the log.

use super::context::ServerContext;
use super::group_commit::LastActive;
use super::info;
use super::members;
use super::outcome::AttemptError;
use crate::resp::{self, Addressee, AdminCommand, Request, RequestDecoder, Version};
use crate::state::{Operation, Reply};
use bytes::{Bytes, BytesMut};
use raft_driver_thread::raft_proto::NodeId;
use raft_driver_thread::transport::tcp::{PeerStream, StreamService};
use std::io::{self, Read, Write};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// How long a stream without requests stays open.
const MAX_IDLE: Duration = Duration::from_secs(60);

/// How much one read takes at most.
const READ_BYTES: usize = 64 << 10;

/// Serves the other servers' streams, once the server has started.
#[derive(Default)]
pub(super) struct PeerRequests {
    started: OnceLock<Started>,
}

struct Started {
    context: Arc<ServerContext>,
    runtime: Handle,
}

impl PeerRequests {
    pub(super) fn start(&self, context: Arc<ServerContext>, runtime: Handle) {
        // It is started once.
        let _ = self.started.set(Started { context, runtime });
    }
}

impl StreamService for PeerRequests {
    fn serve(&self, from: NodeId, stream: PeerStream) {
        // Before the start there is nothing to serve: the other server tries again.
        if let Some(started) = self.started.get()
            && let Err(error) = started.serve(stream)
        {
            tracing::debug!(%from, %error, "a stream of forwarded requests ended");
        }
    }
}

impl Started {
    fn serve(&self, mut stream: PeerStream) -> io::Result<()> {
        stream.set_timeout(MAX_IDLE)?;
        let (mut decoder, mut mark) = (RequestDecoder::new(), LastActive::default());
        let (mut buffer, mut read) = (BytesMut::new(), vec![0; READ_BYTES]);
        loop {
            let count = stream.read(&mut read)?;
            if count == 0 {
                return Ok(());
            }
            buffer.extend_from_slice(read.get(..count).unwrap_or(&[]));
            let next = decoder.next(&mut buffer, &self.context.limits);
            let Some(arguments) = next.map_err(io::Error::other)? else {
                continue;
            };
            let (answer, answered) = oneshot::channel();
            let context = self.context.clone();
            self.runtime.spawn(async move {
                let reply = execute(&context, arguments, &mut mark).await;
                // If this fails, the stream has ended.
                let _ = answer.send((reply, mark));
            });
            let Ok((reply, later)) = answered.blocking_recv() else {
                return Ok(()); // The server stops.
            };
            mark = later;
            let mut out = BytesMut::new();
            resp::encode_reply(&reply, Version::Two, &mut out);
            stream.write_all(&out)?;
            stream.flush()?;
        }
    }
}

async fn execute(
    context: &Arc<ServerContext>,
    arguments: Vec<Bytes>,
    mark: &mut LastActive,
) -> Reply {
    let request = match resp::parse(arguments, &context.parse_limits) {
        Ok(request) => request,
        Err(error) => return error,
    };
    let done = match request {
        Request::Admin(AdminCommand::Forward { to, operation }) => {
            match check_addressee(context, to) {
                Ok(()) => return forwarded(context, &operation, mark).await,
                Err(error) => Err(error),
            }
        }
        Request::Admin(AdminCommand::Here { to, request }) => match check_addressee(context, to) {
            Ok(()) => members::execute_here(&context.router, &request).await,
            Err(error) => Err(error),
        },
        // What a server asks that has just started: its settings have to agree.
        Request::Admin(AdminCommand::Status) => return info::status_reply(context).await,
        Request::Command(_)
        | Request::Once { .. }
        | Request::OpenSession
        | Request::CloseSession(_)
        | Request::Local(_)
        | Request::Admin(_) => {
            let what = "this port is for what servers forward: clients have another one".into();
            Err(AttemptError::Never(what))
        }
    };
    done.unwrap_or_else(Reply::from)
}

/// Refuses a request that another server was meant to get.
fn check_addressee(context: &ServerContext, to: Addressee) -> Result<(), AttemptError> {
    let own = &context.identity;
    if (to.cluster, to.node) == (own.cluster, own.node) {
        return Ok(());
    }
    let what = "another server has this address now".into();
    Err(AttemptError::NotDone(what))
}

/// An entry that another server forwards to this one, the leader: one attempt.
async fn forwarded(context: &ServerContext, operation: &[u8], mark: &mut LastActive) -> Reply {
    let Some(operation) = Operation::decode(operation) else {
        return Reply::error("NEVER", "the request is from a server of another release");
    };
    let router = &context.router;
    let group = router.join_group(&operation, mark).await;
    match router
        .propose_here(&operation, group, router.deadline())
        .await
    {
        Ok(answer) => Reply::Bulk(answer.encode()),
        Err(error) => error.into(),
    }
}
