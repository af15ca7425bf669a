//! Rejects messages that no correct peer sends, as far as the message alone shows it. Nothing in
//! such a message is used, not even its term.

use crate::configurations;
use crate::entries::Entries;
use crate::error::Rejection;
use crate::message::{
    AppendEntries, AppendEntriesReply, AppendOutcome, Campaign, Dismissal, InstallSnapshot,
    InstallSnapshotReply, Message, MessageLimits, PreVoteReply, ReadIndex, ReadIndexReply,
    ReadOutcome, SnapshotOutcome, Vote,
};
use crate::raft::Raft;
use crate::types::{EntryId, Index, NodeId, Term};

impl Raft {
    /// Checks what holds for every correct peer's message, whatever the state of this node; and that
    /// a message that names a history names this node's (`incarnation.rs`).
    pub(crate) fn admit(&self, from: NodeId, message: &Message) -> Result<(), Rejection> {
        if from == self.config.node_id {
            return Err(Rejection::FromSelf);
        }
        let (ours, theirs) = (self.hard_state.term(), message.term());
        // Term 0 is that of a node that has never heard of an election: such a node sends nothing
        // but answers to pre-votes.
        if theirs == Term(0) && !matches!(message, Message::PreVoteReply(_)) {
            return Err(Rejection::NoTerm);
        }
        if theirs.0 > ours.0.saturating_add(Term::MAX_AHEAD) || theirs > Term::MAX {
            return Err(Rejection::TermTooFarAhead { ours, theirs });
        }
        match message {
            Message::RequestVote(message) => {
                admit_campaign(message.campaign)?;
                admit_last_log(message.last_log, message.term)?;
                self.admit_lineage(message.lineage)
            }
            Message::RequestVoteReply(_) => Ok(()),
            Message::AppendEntries(message) => {
                admit_append(message)?;
                self.admit_leaders_lineage(message.lineage)
            }
            Message::AppendEntriesReply(message) => admit_append_reply(message),
            Message::InstallSnapshot(message) => {
                admit_snapshot(message)?;
                self.admit_leaders_lineage(message.snapshot.membership.lineage())
            }
            Message::InstallSnapshotReply(message) => admit_snapshot_reply(message),
            Message::PreVote(message) => {
                admit_campaign(message.campaign)?;
                admit_last_log(message.last_log, message.term)?;
                self.admit_lineage(message.lineage)
            }
            Message::PreVoteReply(message) => {
                admit_pre_vote_reply(message)?;
                self.admit_lineage(message.lineage)
            }
            Message::TimeoutNow(message) => admit_transfer(message.transfer),
            Message::ReadIndex(message) => admit_index(message.stored),
            Message::ReadIndexReply(message) => admit_read_reply(message),
        }
    }
}

fn admit_index(index: Index) -> Result<(), Rejection> {
    if index > Index::MAX {
        return Err(Rejection::IndexOutOfRange(index));
    }
    Ok(())
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

/// A candidate's term is above the term of every entry in its log.
fn admit_last_log(entry: EntryId, term: Term) -> Result<(), Rejection> {
    admit_entry(entry, term)?;
    if entry.term == term {
        return Err(Rejection::ImpossibleEntry { entry, term });
    }
    Ok(())
}

/// An entry over this node's `max_entry_bytes` is taken: the sender's limit may be greater
/// (`limits.rs`).
fn admit_append(message: &AppendEntries) -> Result<(), Rejection> {
    admit_entry(message.prev_log, message.term)?;
    admit_index(message.leader_commit)?;
    admit_entries(message.prev_log, message.term, &message.entries)
}

fn admit_campaign(campaign: Campaign) -> Result<(), Rejection> {
    match campaign {
        Campaign::Election => Ok(()),
        Campaign::Transfer { number } => admit_transfer(number),
    }
}

/// A leader counts its transfers from 1.
fn admit_transfer(number: u64) -> Result<(), Rejection> {
    if number == 0 {
        return Err(Rejection::NoTransfer);
    }
    Ok(())
}

/// The entries follow `prev`, and their terms neither fall nor exceed the message's.
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
    if configurations::any(entries) {
        let sound = configurations::for_each(entries, |_, _| ());
        sound.map_err(|_| Rejection::DamagedMembership)?;
    }
    admit_index(previous.index)
}

/// No config has a limit of 0 (`Config::validate`). A leader
/// would send such a peer chunks without bytes, and take no command from anybody.
fn admit_limits(limits: MessageLimits) -> Result<(), Rejection> {
    if limits.max_entry_bytes == 0 || limits.max_payload_bytes == 0 {
        return Err(Rejection::Inconsistent);
    }
    Ok(())
}

fn admit_append_reply(message: &AppendEntriesReply) -> Result<(), Rejection> {
    if let Some(limits) = message.limits {
        admit_limits(limits)?;
    }
    match message.outcome {
        AppendOutcome::Accepted {
            match_index,
            received,
        } => {
            admit_index(received)?;
            admit_index(match_index)?;
            if match_index > received {
                return Err(Rejection::Inconsistent);
            }
        }
        AppendOutcome::Rejected {
            prev_log_index,
            hint,
        }
        | AppendOutcome::Lost {
            prev_log_index,
            hint,
        } => {
            admit_index(prev_log_index)?;
            admit_entry(hint, message.term)?;
            // All logs agree before the first entry.
            if hint.index > prev_log_index || prev_log_index == Index::ZERO {
                return Err(Rejection::Inconsistent);
            }
        }
        AppendOutcome::Stale => {}
    }
    Ok(())
}

/// Elections begin with term 1, and no node would vote in a term that it has reached. The request
/// may be one that this node has forgotten: a pre-vote waits for no disk.
fn admit_pre_vote_reply(message: &PreVoteReply) -> Result<(), Rejection> {
    let granted = message.vote == Vote::Granted;
    if message.asked == Term(0) || granted && message.term >= message.asked {
        return Err(Rejection::Inconsistent);
    }
    match message.dismissal {
        Some(
            Dismissal::Removed { index: Index::ZERO }
            | Dismissal::OtherIncarnation {
                index: Index::ZERO, ..
            },
        ) => Err(Rejection::Inconsistent),
        Some(Dismissal::Removed { index } | Dismissal::OtherIncarnation { index, .. }) => {
            admit_index(index)
        }
        Some(Dismissal::OtherFounders) | None => Ok(()),
    }
}

fn admit_read_reply(message: &ReadIndexReply) -> Result<(), Rejection> {
    admit_index(message.stored)?;
    match message.outcome {
        ReadOutcome::Ready { .. } if message.number == ReadIndex::ASKS_FOR_AN_ENTRY => {
            Err(Rejection::Inconsistent)
        }
        ReadOutcome::Ready { index } => admit_index(index),
        ReadOutcome::Refused => Ok(()),
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
    // Only an empty snapshot has an empty chunk, and no snapshot has u64::MAX bytes.
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
        SnapshotOutcome::Wants { .. }
        | SnapshotOutcome::Installed
        | SnapshotOutcome::Stale
        | SnapshotOutcome::Damaged => Ok(()),
    }
}
