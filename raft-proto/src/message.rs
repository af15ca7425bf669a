//! The RPCs of Figure 2 and Figure 13, and those of the thesis's chapters 3, 6 and 9, as one-way
//! messages. Fields have the paper's names.

use crate::checksum::Checksum;
use crate::entries::Entries;
use crate::level::Level;
use crate::membership::Membership;
use crate::types::{EntryId, HistoryId, Incarnation, Index, Term};
use alloc::boxed::Box;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A message from one node to another. Replies are messages of their own. Losing, delaying,
/// repeating or reordering any of them is always safe.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Message {
    /// A candidate asks for a vote.
    RequestVote(RequestVote),
    /// The answer to it.
    RequestVoteReply(RequestVoteReply),
    /// A leader replicates entries, or sends a heartbeat.
    AppendEntries(AppendEntries),
    /// The answer to it.
    AppendEntriesReply(AppendEntriesReply),
    /// A leader sends a chunk of its snapshot.
    InstallSnapshot(Box<InstallSnapshot>),
    /// The answer to it.
    InstallSnapshotReply(InstallSnapshotReply),
    /// A node asks whether it would get a vote.
    PreVote(PreVote),
    /// The answer to it.
    PreVoteReply(PreVoteReply),
    /// A leader asks a follower to campaign at once.
    TimeoutNow(TimeoutNow),
    /// A follower asks the leader which index it has to apply before it serves reads.
    ReadIndex(ReadIndex),
    /// The answer to it.
    ReadIndexReply(ReadIndexReply),
}

impl Message {
    /// The sender's currentTerm when it sent this; of a [`PreVote`], the term in which it would
    /// campaign.
    pub fn term(&self) -> Term {
        match self {
            Message::RequestVote(message) => message.term,
            Message::RequestVoteReply(message) => message.term,
            Message::AppendEntries(message) => message.term,
            Message::AppendEntriesReply(message) => message.term,
            Message::InstallSnapshot(message) => message.term,
            Message::InstallSnapshotReply(message) => message.term,
            Message::PreVote(message) => message.term,
            Message::PreVoteReply(message) => message.term,
            Message::TimeoutNow(message) => message.term,
            Message::ReadIndex(message) => message.term,
            Message::ReadIndexReply(message) => message.term,
        }
    }

    /// The RPC, or the reply to it.
    pub fn kind(&self) -> MessageKind {
        match self {
            Message::RequestVote(_) => MessageKind::RequestVote,
            Message::RequestVoteReply(_) => MessageKind::RequestVoteReply,
            Message::AppendEntries(_) => MessageKind::AppendEntries,
            Message::AppendEntriesReply(_) => MessageKind::AppendEntriesReply,
            Message::InstallSnapshot(_) => MessageKind::InstallSnapshot,
            Message::InstallSnapshotReply(_) => MessageKind::InstallSnapshotReply,
            Message::PreVote(_) => MessageKind::PreVote,
            Message::PreVoteReply(_) => MessageKind::PreVoteReply,
            Message::TimeoutNow(_) => MessageKind::TimeoutNow,
            Message::ReadIndex(_) => MessageKind::ReadIndex,
            Message::ReadIndexReply(_) => MessageKind::ReadIndexReply,
        }
    }
}

/// The kinds of messages, to count and print them by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MessageKind {
    /// See [`RequestVote`].
    RequestVote,
    /// See [`RequestVoteReply`].
    RequestVoteReply,
    /// See [`AppendEntries`].
    AppendEntries,
    /// See [`AppendEntriesReply`].
    AppendEntriesReply,
    /// See [`InstallSnapshot`].
    InstallSnapshot,
    /// See [`InstallSnapshotReply`].
    InstallSnapshotReply,
    /// See [`PreVote`].
    PreVote,
    /// See [`PreVoteReply`].
    PreVoteReply,
    /// See [`TimeoutNow`].
    TimeoutNow,
    /// See [`ReadIndex`].
    ReadIndex,
    /// See [`ReadIndexReply`].
    ReadIndexReply,
}

impl MessageKind {
    /// Every kind, requests before their replies.
    pub const ALL: [MessageKind; 11] = [
        MessageKind::RequestVote,
        MessageKind::RequestVoteReply,
        MessageKind::AppendEntries,
        MessageKind::AppendEntriesReply,
        MessageKind::InstallSnapshot,
        MessageKind::InstallSnapshotReply,
        MessageKind::PreVote,
        MessageKind::PreVoteReply,
        MessageKind::TimeoutNow,
        MessageKind::ReadIndex,
        MessageKind::ReadIndexReply,
    ];

    /// Whether this is a request; otherwise it is a reply.
    pub fn is_request(self) -> bool {
        match self {
            MessageKind::RequestVote
            | MessageKind::AppendEntries
            | MessageKind::InstallSnapshot
            | MessageKind::PreVote
            | MessageKind::TimeoutNow
            | MessageKind::ReadIndex => true,
            MessageKind::RequestVoteReply
            | MessageKind::AppendEntriesReply
            | MessageKind::InstallSnapshotReply
            | MessageKind::PreVoteReply
            | MessageKind::ReadIndexReply => false,
        }
    }

    /// Its name in traces and summaries.
    pub fn name(self) -> &'static str {
        match self {
            MessageKind::RequestVote => "RequestVote",
            MessageKind::RequestVoteReply => "RequestVoteReply",
            MessageKind::AppendEntries => "AppendEntries",
            MessageKind::AppendEntriesReply => "AppendEntriesReply",
            MessageKind::InstallSnapshot => "InstallSnapshot",
            MessageKind::InstallSnapshotReply => "InstallSnapshotReply",
            MessageKind::PreVote => "PreVote",
            MessageKind::PreVoteReply => "PreVoteReply",
            MessageKind::TimeoutNow => "TimeoutNow",
            MessageKind::ReadIndex => "ReadIndex",
            MessageKind::ReadIndexReply => "ReadIndexReply",
        }
    }
}

/// RequestVote RPC (Figure 2, section 5.2). The candidate is the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RequestVote {
    /// The candidate's term.
    pub term: Term,
    /// The candidate's lastLogIndex and lastLogTerm. The term is below `term`.
    pub last_log: EntryId,
    /// Why it campaigns.
    pub campaign: Campaign,
    /// Where the candidate's log comes from.
    pub lineage: Lineage,
}

/// Where a node's log comes from. Nodes whose lineages contradict each other refuse each other's
/// requests: their entries may differ at equal indexes and terms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Lineage {
    /// It does not say: the node has no [`Incarnation`], or it joins and knows no configuration.
    #[default]
    Unknown,
    /// It waits for its cluster to be founded.
    Founding {
        /// The [`Checksum`](crate::Checksum) of the founders' list: all founders need the same.
        founders: u32,
    },
    /// Its configuration says.
    Of(HistoryId),
}

/// Why a candidate campaigns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Campaign {
    /// It had no contact with a leader for an election timeout. Voters that have contact with a
    /// leader ignore it (thesis 6.2).
    Election,
    /// The leader of the term before asked it to, by [`TimeoutNow`]. Voters answer although they
    /// have contact with that leader, unless they have heard that it has given this transfer up.
    Transfer {
        /// The number of the transfer among those of that leader.
        number: u64,
    },
}

/// Pre-Vote RPC (thesis 9.6): would the receiver vote for the sender in `term`? Changes nothing
/// at the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PreVote {
    /// The term in which the sender would campaign: one above its currentTerm.
    pub term: Term,
    /// The sender's lastLogIndex and lastLogTerm.
    pub last_log: EntryId,
    /// Why it would campaign.
    pub campaign: Campaign,
    /// Where the sender's log comes from.
    pub lineage: Lineage,
}

/// The answer to a [`PreVote`]. It promises nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PreVoteReply {
    /// The voter's currentTerm, which may be 0. The receiver learns it, whatever the answer: a node
    /// whose term is behind could never win otherwise.
    pub term: Term,
    /// The request's term.
    pub asked: Term,
    /// Whether the voter would vote for the sender in that term.
    pub vote: Vote,
    /// Why the sender of the request could never win, as far as the voter knows.
    pub dismissal: Option<Dismissal>,
    /// Where the voter's log comes from: what `dismissal` says is true in that history.
    pub lineage: Lineage,
}

/// Why a node that asks for votes could never win.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Dismissal {
    /// It is no member in the configuration that is in force at `index`, which is committed. A node
    /// that knows no later configuration was removed.
    Removed {
        /// The voter's commitIndex.
        index: Index,
    },
    /// Another storage has its number.
    OtherIncarnation {
        /// The voter's commitIndex; for a node that waits for its cluster to be founded, the index
        /// of the voter's configuration, which may not be committed.
        index: Index,
        /// The member with its number.
        named: Incarnation,
    },
    /// It was given another list of founders than the voter.
    OtherFounders,
}

/// The leader asks a follower that has its whole log to campaign at once (thesis 3.10). With
/// [`PreVoting::On`](crate::PreVoting::On), the follower first asks the voters whether they would
/// vote for it, and goes on following unless a majority would.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TimeoutNow {
    /// The leader's term.
    pub term: Term,
    /// The number of this transfer: a leader counts its transfers from 1 in each term.
    pub transfer: u64,
}

/// A follower asks which index it must have applied to serve its clients' reads (thesis 6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ReadIndex {
    /// The follower's term, in which the receiver leads.
    pub term: Term,
    /// The number of this request, which the sender uses once between its start and its end; or
    /// [`ReadIndex::ASKS_FOR_AN_ENTRY`].
    pub number: u64,
    /// 0 in a term that the sender has entered since its start. In the term that it recovered, an
    /// index up to which its log is on disk, above everything that it recovered. With `number`, it
    /// tells this request from all others of the sender in this term, also of those before a
    /// restart.
    pub stored: Index,
}

impl ReadIndex {
    /// The sender has restarted in this term and stored no entry since, so it could not tell the
    /// answer from an old one. It asks the leader for an entry, and for no index.
    pub const ASKS_FOR_AN_ENTRY: u64 = 0;
}

/// The answer to a [`ReadIndex`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ReadIndexReply {
    /// The answering node's currentTerm.
    pub term: Term,
    /// The request's number.
    pub number: u64,
    /// The answer.
    pub outcome: ReadOutcome,
    /// The request's.
    pub stored: Index,
}

/// How a leader answers a [`ReadIndex`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ReadOutcome {
    /// The node led after the request was sent, and everything that was committed by then is at or
    /// below this index.
    Ready {
        /// Apply up to here, then read.
        index: Index,
    },
    /// The node cannot say. Ask again, the leader of that time.
    Refused,
}

/// The answer to a [`RequestVote`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RequestVoteReply {
    /// The voter's currentTerm, for the candidate to update itself.
    pub term: Term,
    /// Whether the candidate received the vote in `term`.
    pub vote: Vote,
}

/// A voter's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Vote {
    /// The voter votes for the candidate, and this is on its disk.
    Granted,
    /// The voter does not vote for it.
    Refused,
}

/// AppendEntries RPC (Figure 2, section 5.3). The leader is the sender.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AppendEntries {
    /// The leader's term.
    pub term: Term,
    /// prevLogIndex and prevLogTerm: the entry that immediately precedes `entries`.
    pub prev_log: EntryId,
    /// The leader's commitIndex. May be beyond the entries of this message.
    pub leader_commit: Index,
    /// The entries to store; none in a heartbeat. They begin at `prev_log.index + 1`, and their
    /// terms never fall, from `prev_log.term` up to at most `term`.
    pub entries: Entries,
    /// The latest round, when this was sent, by which the sender confirms that it still leads
    /// (thesis 6.4); 0 before the first.
    pub round: u64,
    /// The number of the latest transfer of leadership that the sender has given up in this term;
    /// 0 before the first. Receivers no longer answer a candidate that campaigns because of that
    /// transfer, or of an earlier one, while they have contact with the sender.
    pub revoked: u64,
    /// For how long, from the arrival of this message on, the receiver is to elect nobody else,
    /// whatever becomes of the leader: the leader's lease rests on it (thesis 6.4.1). In
    /// milliseconds; 0 without leases.
    pub promise_millis: u32,
    /// Where the leader's log comes from.
    pub lineage: Lineage,
}

/// The answer to an [`AppendEntries`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AppendEntriesReply {
    /// The follower's currentTerm, for the leader to update itself.
    pub term: Term,
    /// How its log compared.
    pub outcome: AppendOutcome,
    /// The request's round, in which the follower took the sender for the leader. 0 if stale.
    pub round: u64,
    /// What the follower takes, as its config says; `None` from a node that does not say it.
    pub limits: Option<MessageLimits>,
}

/// What a node takes: how long commands and messages, and up to which level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MessageLimits {
    /// The longest command: [`max_entry_bytes`](crate::Config::max_entry_bytes). A leader accepts
    /// no longer one; what is in its log already is sent all the same.
    pub max_entry_bytes: u64,
    /// The longest contents of a message: the entries of an AppendEntries with their overhead, or
    /// the data of a chunk. A leader sends no more.
    pub max_payload_bytes: u64,
    /// What it reads: [`level`](crate::Config::level).
    pub level: Level,
}

/// How the follower's log compared with the leader's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AppendOutcome {
    /// The follower's log contained `prev_log`.
    Accepted {
        /// Up to here the follower's log equals the leader's and is on the follower's disk:
        /// the leader's new matchIndex, if greater. At most `received`.
        match_index: Index,
        /// Up to here the follower's log equals the leader's, whether it is on disk or not. Tells a
        /// slow disk from a lost message.
        received: Index,
    },
    /// The follower's log did not contain `prev_log`.
    Rejected {
        /// prevLogIndex of the request, by which the leader recognises old rejections.
        prev_log_index: Index,
        /// The follower's last entry that is at or before prevLogIndex and whose term is not above
        /// prevLogTerm: the greatest index at which the logs may agree. It skips a whole term of
        /// conflicting entries at a time (end of section 5.3).
        hint: EntryId,
    },
    /// The request was of an earlier term; see the reply's term.
    Stale,
    /// As `Rejected`, by a follower whose storage has lost entries that it had acknowledged
    /// ([`Recovered::impaired`](crate::Recovered::impaired)): its matchIndex no longer holds.
    Lost {
        /// As in `Rejected`.
        prev_log_index: Index,
        /// As in `Rejected`.
        hint: EntryId,
    },
}

/// The identity of a snapshot, made of its contents: equal ids mean equal bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SnapshotId {
    /// lastIncludedIndex and lastIncludedTerm: the snapshot replaces all entries up to here.
    pub last: EntryId,
    /// Its length in bytes.
    pub size: u64,
    /// The [`Checksum`](crate::Checksum) of its bytes.
    pub checksum: u32,
}

impl SnapshotId {
    /// The id of the snapshot that consists of `bytes` and replaces all entries up to `last`.
    ///
    /// ```
    /// use raft_proto::{Checksum, EntryId, SnapshotId};
    ///
    /// let id = SnapshotId::of(EntryId::new(7, 3), b"x = 1");
    /// assert_eq!((id.size, id.checksum), (5, Checksum::of(b"x = 1")));
    /// ```
    #[must_use]
    pub fn of(last: EntryId, bytes: &[u8]) -> SnapshotId {
        SnapshotId {
            last,
            size: bytes.len() as u64,
            checksum: Checksum::of(bytes),
        }
    }
}

/// A snapshot without its bytes: its id, and the membership in force at its last entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SnapshotMeta {
    /// Which snapshot.
    pub id: SnapshotId,
    /// The latest configuration as of `id.last` (section 7).
    pub membership: Membership,
}

/// InstallSnapshot RPC (Figure 13, section 7): a chunk of the leader's snapshot. It is the last
/// one when it reaches `snapshot.id.size`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InstallSnapshot {
    /// The leader's term.
    pub term: Term,
    /// The snapshot.
    pub snapshot: SnapshotMeta,
    /// Where in the snapshot `data` belongs, in bytes.
    pub offset: u64,
    /// The bytes from `offset` on. Empty only if the snapshot is.
    pub data: Bytes,
}

/// The answer to an [`InstallSnapshot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InstallSnapshotReply {
    /// The follower's currentTerm, for the leader to update itself.
    pub term: Term,
    /// lastIncludedIndex and lastIncludedTerm of the request's snapshot.
    pub last: EntryId,
    /// What the follower needs next.
    pub outcome: SnapshotOutcome,
}

/// How much of a snapshot the follower has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SnapshotOutcome {
    /// It wants the chunk that begins at this offset.
    Wants {
        /// In bytes.
        offset: u64,
    },
    /// The snapshot, or everything that it covers, is on its disk: matchIndex is at least
    /// lastIncludedIndex.
    Installed,
    /// The request was of an earlier term; see the reply's term.
    Stale,
    /// The follower has received the whole snapshot, and its checksum is wrong: the bytes were
    /// damaged in the leader's storage, on the way, or by the follower.
    Damaged,
}
