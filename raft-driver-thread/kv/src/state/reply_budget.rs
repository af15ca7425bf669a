//! How long replies may be together.

use super::reply::Reply;

/// How many bytes the replies of one entry, or of one batch of reads, may take before further
/// reads in it are refused: a small request could ask for any amount. A list that is longer by
/// itself is refused in an entry too: entries' replies are stored and sent. A rule of the
/// replicated state.
pub const MAX_ANSWER_BYTES: u64 = 64 << 20;

/// Adds up the bytes of replies.
#[derive(Default)]
pub(crate) struct ReplyBudget {
    spent: u64,
}

impl ReplyBudget {
    pub(crate) fn is_spent(&self) -> bool {
        self.spent > MAX_ANSWER_BYTES
    }

    pub(crate) fn spend(&mut self, reply: Reply) -> Reply {
        self.spent += reply.bytes();
        reply
    }
}

pub(crate) fn too_long() -> Reply {
    let what = "the replies before this one are too long: ask for less at once";
    Reply::error("ERR", what)
}
