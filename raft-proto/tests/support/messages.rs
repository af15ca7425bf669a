//! Short forms of messages, and what the tests look for among actions and packets.

use super::cluster::Packet;
use raft_proto::*;

/// Entries with the ids and payloads given.
pub fn entries(list: &[(u64, u64, &str)]) -> Entries {
    let mut builder = EntriesBuilder::new();
    for (index, term, payload) in list {
        let id = EntryId::new(*index, *term);
        let payload = bytes::Bytes::from((*payload).to_owned());
        builder.push(id, EntryKind::Command, payload).unwrap();
    }
    builder.finish()
}

/// The AppendEntries of a leader in `term` whose log holds `list` after `prev`.
pub fn append(term: u64, prev: EntryId, list: &[(u64, u64, &str)], commit: u64) -> Message {
    Message::AppendEntries(AppendEntries {
        term: Term(term),
        prev_log: prev,
        leader_commit: Index(commit),
        entries: entries(list),
        round: 0,
        revoked: 0,
        promise_millis: 0,
        lineage: Lineage::Unknown,
    })
}

/// The heartbeat of a leader in `term` that believes the follower to have the log up to `prev`.
pub fn heartbeat(term: u64, prev: EntryId, commit: u64) -> Message {
    append(term, prev, &[], commit)
}

pub fn request_vote(term: u64, last_log: EntryId) -> Message {
    Message::RequestVote(RequestVote {
        term: Term(term),
        last_log,
        campaign: Campaign::Election,
        lineage: Lineage::Unknown,
    })
}

pub fn vote(term: u64, vote: Vote) -> Message {
    Message::RequestVoteReply(RequestVoteReply {
        term: Term(term),
        vote,
    })
}

pub fn append_reply(term: u64, outcome: AppendOutcome) -> Message {
    Message::AppendEntriesReply(AppendEntriesReply {
        term: Term(term),
        outcome,
        round: 0,
        limits: Some(DEFAULT_LIMITS),
    })
}

/// What a node with the default config takes.
pub const DEFAULT_LIMITS: MessageLimits = MessageLimits {
    max_entry_bytes: 1 << 20,
    max_payload_bytes: (16 << 20) - (64 << 10),
    level: Level::ZERO,
};

/// The reply of a follower that has received all up to `index` and has it on disk.
pub fn accepted(term: u64, index: u64) -> Message {
    append_reply(
        term,
        AppendOutcome::Accepted {
            match_index: Index(index),
            received: Index(index),
        },
    )
}

/// The reply of a follower whose log does not hold the entry at `prev`.
pub fn refused(term: u64, prev: u64, hint: EntryId) -> Message {
    append_reply(
        term,
        AppendOutcome::Rejected {
            prev_log_index: Index(prev),
            hint,
        },
    )
}

/// The reply of a follower that has lost entries, and whose log does not hold the entry at `prev`.
pub fn lost(term: u64, prev: u64, hint: EntryId) -> Message {
    append_reply(
        term,
        AppendOutcome::Lost {
            prev_log_index: Index(prev),
            hint,
        },
    )
}

/// A snapshot of a cluster of three nodes, with these bytes.
pub fn snapshot_meta(last: EntryId, bytes: &[u8]) -> SnapshotMeta {
    SnapshotMeta {
        id: SnapshotId {
            last,
            size: bytes.len() as u64,
            checksum: Checksum::of(bytes),
        },
        membership: Membership::new([NodeId(1), NodeId(2), NodeId(3)]),
    }
}

pub fn chunk(term: u64, snapshot: &SnapshotMeta, offset: u64, data: &[u8]) -> Message {
    Message::InstallSnapshot(Box::new(InstallSnapshot {
        term: Term(term),
        snapshot: snapshot.clone(),
        offset,
        data: data.to_vec().into(),
    }))
}

pub fn snapshot_reply(term: u64, last: EntryId, outcome: SnapshotOutcome) -> Message {
    Message::InstallSnapshotReply(InstallSnapshotReply {
        term: Term(term),
        last,
        outcome,
    })
}

/// The reason of the first rejected message.
pub fn rejection(actions: &[Action]) -> Option<Rejection> {
    actions.iter().find_map(|action| match action {
        Action::Rejected { reason, .. } => Some(reason.clone()),
        _ => None,
    })
}

/// The reason of the first refused input.
pub fn refusal(actions: &[Action]) -> Option<Refusal> {
    actions.iter().find_map(|action| match action {
        Action::Refused { reason } => Some(*reason),
        _ => None,
    })
}

/// The messages that are sent.
pub fn sent(actions: &[Action]) -> Vec<(NodeId, Message)> {
    let message = |action: &Action| match action {
        Action::Send { to, message } => Some((*to, message.clone())),
        _ => None,
    };
    actions.iter().filter_map(message).collect()
}

/// The indexes of the entries handed out to apply.
pub fn handed_out(actions: &[Action]) -> Vec<u64> {
    let mut indexes = Vec::new();
    for action in actions {
        if let Action::Apply { entries } = action {
            indexes.extend(entries.iter().map(|entry| entry.index().0));
        }
    }
    indexes
}

/// The appends with entries among packets: receiver, first and last index.
pub fn entries_sent(packets: &[Packet]) -> Vec<(u64, u64, u64)> {
    let range = |packet: &Packet| match &packet.message {
        Message::AppendEntries(append) => {
            let (first, last) = (append.entries.first_index()?, append.entries.last_id()?);
            Some((packet.to.0, first.0, last.index.0))
        }
        _ => None,
    };
    packets.iter().filter_map(range).collect()
}

/// The last deadline that the actions name.
pub fn deadline(actions: &[Action]) -> Time {
    let wake_at = |action: &Action| match action {
        Action::WakeAt(at) => Some(*at),
        _ => None,
    };
    actions.iter().rev().find_map(wake_at).unwrap()
}
