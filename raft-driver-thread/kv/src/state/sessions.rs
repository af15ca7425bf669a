//! Sessions, as the driver keeps them: here each keeps the replies to whole requests.

use super::digest;
use super::reply::Reply;
use raft_driver_thread::sessions::{KeptAnswer, SessionState, SessionTable};
use std::sync::Arc;

pub use raft_driver_thread::sessions::{
    MAX_ANSWERS, MAX_SESSION_BYTES, MAX_SESSIONS, MAX_SESSIONS_BYTES,
};

/// All sessions. They change only by the log, so every server forgets the same.
pub(super) type Sessions = SessionTable<KeptReplies>;

/// One session.
pub(super) type Session = SessionState<KeptReplies>;

/// The replies to a request that may be repeated.
#[derive(Clone, Debug)]
pub(super) struct KeptReplies(pub(super) Arc<Vec<Reply>>);

impl KeptAnswer for KeptReplies {
    fn bytes(&self) -> u64 {
        self.0.iter().map(Reply::bytes).sum()
    }

    fn digest(sequence: u64, replies: Option<&KeptReplies>) -> u128 {
        digest::answer(sequence, replies.map(|it| &it.0[..]))
    }
}
