//! How many bytes of entries each node has handed out and not been told to be applied: at most
//! `max_unapplied_bytes`, or one entry that is longer than that.
//!
//! Sound: a node hands out more only while what is outstanding leaves room for it, under the
//! settings of that step.

use super::OutOfBounds;
use raft_proto::{Action, Index, NodeId, Raft};
use std::collections::VecDeque;

/// Entries that were handed out at once.
#[derive(Debug)]
struct Piece {
    last: Index,
    bytes: u64,
}

/// What each node has handed out. Nodes are few, so a linear search is fastest.
#[derive(Debug, Default)]
pub(super) struct HandedOut {
    pieces: Vec<(NodeId, VecDeque<Piece>)>,
}

impl HandedOut {
    fn of(&mut self, id: NodeId) -> &mut VecDeque<Piece> {
        let at = self.pieces.iter().position(|(node, _)| *node == id);
        let at = at.unwrap_or_else(|| {
            self.pieces.push((id, VecDeque::new()));
            self.pieces.len() - 1
        });
        &mut self.pieces[at].1 // found or pushed
    }

    /// The service of a node has applied everything up to `index`.
    pub(super) fn applied(&mut self, id: NodeId, index: Index) {
        let pieces = self.of(id);
        while pieces.front().is_some_and(|piece| piece.last <= index) {
            pieces.pop_front();
        }
    }

    /// `raft` has answered with `action`.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds::TooManyHandedOut`].
    pub(super) fn action(&mut self, raft: &Raft, action: &Action) -> Result<(), OutOfBounds> {
        if let Action::Restore { .. } = action {
            self.of(raft.id()).clear(); // The snapshot stands for all of it.
        }
        let Action::Apply { entries } = action else {
            return Ok(());
        };
        let (node, most) = (raft.id(), raft.config().max_unapplied_bytes);
        let Some(last) = entries.last_id() else {
            return Ok(());
        };
        let pieces = self.of(node);
        let is_alone = pieces.is_empty() && entries.len() == 1;
        let (last, bytes) = (last.index, entries.bytes());
        pieces.push_back(Piece { last, bytes });
        let bytes = pieces.iter().map(|piece| piece.bytes).sum();
        if is_alone || bytes <= most {
            return Ok(());
        }
        Err(OutOfBounds::TooManyHandedOut { node, bytes, most })
    }

    /// The node has stopped.
    pub(super) fn forget(&mut self, id: NodeId) {
        self.pieces.retain(|(node, _)| *node != id);
    }
}
