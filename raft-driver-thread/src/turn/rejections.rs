//! Rejected messages are told sparingly: a peer decides how many there are.

use core::mem::{Discriminant, discriminant};
use raft_proto::{NodeId, Rejection};

/// How often the messages of each peer were rejected for each kind of reason.
#[derive(Default)]
pub(super) struct Rejections {
    counts: Vec<Count>,
}

struct Count {
    peer: NodeId,
    kind: Discriminant<Rejection>,
    rejected: u64,
}

impl Rejections {
    /// Of so many peers and kinds the counts are kept, the latest ones.
    const MOST: usize = 256;

    /// Notes a rejected message. Returns how many there were, if that is worth a line: the first,
    /// the tenth, the hundredth and so on.
    pub(super) fn note(&mut self, peer: NodeId, reason: &Rejection) -> Option<u64> {
        let kind = discriminant(reason);
        let is_it = |count: &&mut Count| count.peer == peer && count.kind == kind;
        let rejected = if let Some(count) = self.counts.iter_mut().find(is_it) {
            count.rejected = count.rejected.saturating_add(1);
            count.rejected
        } else {
            if self.counts.len() >= Self::MOST {
                self.counts.remove(0);
            }
            let rejected = 1;
            self.counts.push(Count {
                peer,
                kind,
                rejected,
            });
            rejected
        };
        let is_round = rejected.checked_ilog10().map(|log| 10_u64.pow(log)) == Some(rejected);
        is_round.then_some(rejected)
    }

    /// Another storage speaks under the number of `peer`: what it does wrong is news.
    pub(super) fn forget(&mut self, peer: NodeId) {
        self.counts.retain(|count| count.peer != peer);
    }
}
