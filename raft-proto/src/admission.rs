//! What no correct peer sends, told from the message alone. Nothing of such a message is used,
//! not even its term.

use crate::entries::Entries;
use crate::error::Rejection;
use crate::message::{
    AppendEntries, AppendEntriesReply, AppendOutcome, InstallSnapshot, InstallSnapshotReply,
    Message, RequestVote, SnapshotOutcome,
};
use crate::raft::Raft;
use crate::types::{EntryId, Index, NodeId, Term};

impl Raft {
    /// Checks what every correct peer's message fulfils, whatever the state of this node.
    pub(crate) fn admit(&self, from: NodeId, message: &Message) -> Result<(), Rejection> {
        if from == self.config.node_id {
            return Err(Rejection::FromSelf);
        }
        let (ours, theirs) = (self.hard_state.term, message.term());
        if theirs == Term(0) {
            return Err(Rejection::NoTerm);
        }
        if theirs.0 > ours.0.saturating_add(Term::MAX_AHEAD) || theirs > Term::MAX {
            return Err(Rejection::TermTooFarAhead { ours, theirs });
        }
        match message {
            Message::RequestVote(message) => admit_request_vote(message),
            Message::RequestVoteReply(_) => Ok(()),
            Message::AppendEntries(message) => admit_append(message, self.config.max_entry_bytes),
            Message::AppendEntriesReply(message) => admit_append_reply(message),
            Message::InstallSnapshot(message) => admit_snapshot(message),
            Message::InstallSnapshotReply(message) => admit_snapshot_reply(message),
        }
    }
}

fn admit_index(index: Index) -> Result<(), Rejection> {
    match index > Index::MAX {
        true => Err(Rejection::IndexOutOfRange(index)),
        false => Ok(()),
    }
}

/// An entry that exists in a log whose owner is in `term`; or [`EntryId::ZERO`].
fn admit_entry(entry: EntryId, term: Term) -> Result<(), Rejection> {
    admit_index(entry.index)?;
    let before_all = entry.index == Index::ZERO;
    if before_all != (entry.term == Term(0)) || entry.term > term {
        return Err(Rejection::ImpossibleEntry { entry, term });
    }
    Ok(())
}

/// A candidate has begun a term above all in its log.
fn admit_request_vote(message: &RequestVote) -> Result<(), Rejection> {
    let (entry, term) = (message.last_log, message.term);
    admit_entry(entry, term)?;
    match entry.term == term {
        true => Err(Rejection::ImpossibleEntry { entry, term }),
        false => Ok(()),
    }
}

fn admit_append(message: &AppendEntries, limit: u64) -> Result<(), Rejection> {
    admit_entry(message.prev_log, message.term)?;
    admit_index(message.leader_commit)?;
    admit_entries(message.prev_log, message.term, &message.entries)?;
    let size = message.entries.largest_payload();
    match size > limit {
        true => Err(Rejection::EntryTooLarge { size, limit }),
        false => Ok(()),
    }
}

/// The entries follow `prev`, and their terms never fall nor exceed the message's.
fn admit_entries(prev: EntryId, term: Term, entries: &Entries) -> Result<(), Rejection> {
    let mut previous = prev;
    for run in entries.segments() {
        let first = run.first();
        if first != previous.index.next() {
            let prev = previous.index;
            return Err(Rejection::EntriesMisplaced { first, prev });
        }
        let entry = EntryId {
            index: first,
            term: run.term(),
        };
        if entry.term < previous.term || entry.term > term || entry.term == Term(0) {
            return Err(Rejection::EntryTerms {
                entry,
                previous,
                term,
            });
        }
        previous = run.last_id();
    }
    admit_index(previous.index)
}

fn admit_append_reply(message: &AppendEntriesReply) -> Result<(), Rejection> {
    match message.outcome {
        AppendOutcome::Accepted {
            match_index,
            received,
        } => {
            admit_index(received)?;
            admit_index(match_index)?;
            match match_index > received {
                true => Err(Rejection::Inconsistent),
                false => Ok(()),
            }
        }
        AppendOutcome::Rejected {
            prev_log_index,
            hint,
        } => {
            admit_index(prev_log_index)?;
            admit_entry(hint, message.term)?;
            // Everybody agrees before the first entry.
            match hint.index > prev_log_index || prev_log_index == Index::ZERO {
                true => Err(Rejection::Inconsistent),
                false => Ok(()),
            }
        }
        AppendOutcome::Stale => Ok(()),
    }
}

fn admit_snapshot(message: &InstallSnapshot) -> Result<(), Rejection> {
    let id = message.snapshot.id;
    admit_entry(id.last, message.term)?;
    if id.last == EntryId::ZERO {
        let (entry, term) = (id.last, message.term);
        return Err(Rejection::ImpossibleEntry { entry, term });
    }
    let membership = &message.snapshot.membership;
    if membership.is_empty() || !membership.is_well_formed() {
        return Err(Rejection::DamagedMembership);
    }
    let (offset, length, size) = (message.offset, message.data.len() as u64, id.size);
    let fits = offset.checked_add(length).is_some_and(|end| end <= size);
    // Only an empty snapshot has an empty chunk; u64::MAX is no size of anything.
    if !fits || (length == 0) != (size == 0) || size == u64::MAX {
        return Err(Rejection::ChunkOutOfPlace {
            offset,
            length,
            size,
        });
    }
    Ok(())
}

fn admit_snapshot_reply(message: &InstallSnapshotReply) -> Result<(), Rejection> {
    admit_entry(message.last, message.term)?;
    match message.outcome {
        SnapshotOutcome::Wants { offset: u64::MAX } => Err(Rejection::Inconsistent),
        SnapshotOutcome::Wants { .. } | SnapshotOutcome::Installed | SnapshotOutcome::Stale => {
            Ok(())
        }
    }
}
