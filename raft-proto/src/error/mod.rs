//! Typed errors, rejections and refusals: each says what was wrong, and what to do next.
//!
//! A message that no correct peer sends is *rejected* ([`Rejection`]). A request, or an input that
//! the contract does not allow, is *refused* ([`Refusal`] and the errors of the requests). A node
//! that cannot go on has *faulted* ([`Fault`]).

mod refused;

pub use refused::{ChangeError, ReadError, TransferError};

use crate::membership::Membership;
use crate::types::{ClusterId, EntryId, GroupId, Index, NodeId, Seq, Term};
use alloc::string::String;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// Why [`Raft::new`](crate::Raft::new) refused to start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The config is not valid.
    #[error("config: {0}")]
    Config(#[from] ConfigError),
    /// What the storage held cannot come from a run of this node.
    #[error("recovered state: {0}")]
    Recovery(#[from] RecoveryError),
}

/// What is wrong with a [`Config`](crate::Config), and what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A forgotten field looks like cluster id 0.
    #[error("cluster_id is 0; draw a random one when the cluster is made")]
    NoClusterId,
    /// A bootstrapped cluster needs a voter.
    #[error("start: Bootstrap names no voters; name them all, the same on every node")]
    NoVoters,
    /// A member was named twice.
    #[error("start: Bootstrap names {0} twice; name each member once")]
    DuplicateMember(NodeId),
    /// A cluster does not begin in the middle of a membership change.
    #[error(
        "start: Bootstrap gives {0} a role of a change under way; make it a voter or a learner"
    )]
    JointMember(NodeId),
    /// Together, the members' contexts are too long.
    #[error(
        "start: Bootstrap takes more than {} bytes; shorten the contexts",
        Membership::MAX_BYTES
    )]
    MembershipTooLarge,
    /// Leases rest on voters that ignore candidates while they have contact with a leader.
    #[error("lease is on, but check_quorum is off; turn it on, on all nodes")]
    LeaseWithoutCheckQuorum,
    /// The interval is zero.
    #[error("heartbeat_interval is zero; a tenth of the least election timeout is usual")]
    NoHeartbeatInterval,
    /// The range of election timeouts is empty.
    #[error(
        "election_timeout_max ({max:?}) is not above election_timeout_min ({min:?}); \
         twice the least is usual"
    )]
    ElectionTimeoutRange {
        /// The least.
        min: Duration,
        /// The bound above.
        max: Duration,
    },
    /// Followers would campaign against a live leader after one or two lost heartbeats.
    #[error(
        "election_timeout_min ({election:?}) is below three times heartbeat_interval \
         ({heartbeat:?}); lengthen the one or shorten the other"
    )]
    HeartbeatTooSlow {
        /// heartbeat_interval.
        heartbeat: Duration,
        /// election_timeout_min.
        election: Duration,
    },
    /// A limit is zero: nothing could ever be sent, proposed or applied.
    #[error("{0} is zero; it must be at least 1")]
    ZeroLimit(&'static str),
    /// A limit or interval is too great.
    #[error("{name} is greater than {most}")]
    LimitTooGreat {
        /// The field.
        name: &'static str,
        /// The greatest value.
        most: u64,
    },
    /// One limit contradicts another.
    #[error("{name} is below {least_name} ({least} with an entry's overhead); raise it")]
    LimitTooSmall {
        /// The field that is too small.
        name: &'static str,
        /// The field that needs more.
        least_name: &'static str,
        /// How much.
        least: u64,
    },
}

/// Why recovered state cannot come from a prefix of this node's writes. A node that started from it
/// could lose committed entries or vote twice. Do not repair it by hand: remove the node, and let
/// it join under a new id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryError {
    /// There is state, but no record of its owner.
    #[error("the storage holds state but no identity: its first write is missing")]
    NoIdentity,
    /// The storage is another cluster's.
    #[error("the storage belongs to cluster {found}, the config says {configured}")]
    OtherCluster {
        /// In the storage.
        found: ClusterId,
        /// In the config.
        configured: ClusterId,
    },
    /// The storage is another group's.
    #[error("the storage belongs to group {found}, the config says {configured}")]
    OtherGroup {
        /// In the storage.
        found: GroupId,
        /// In the config.
        configured: GroupId,
    },
    /// The storage is another node's.
    #[error("the storage belongs to node {found}, the config says {configured}")]
    OtherNode {
        /// In the storage.
        found: NodeId,
        /// In the config.
        configured: NodeId,
    },
    /// Entries between the snapshot and the log are missing.
    #[error(
        "the log begins at {first}, but the snapshot ends at {snapshot}: entries are missing \
         between them"
    )]
    GapAfterSnapshot {
        /// The snapshot's last index, 0 without one.
        snapshot: Index,
        /// The first entry's index.
        first: Index,
    },
    /// currentTerm is below the term of a stored entry.
    #[error("currentTerm is {term}, below the term of {last}, the last entry")]
    TermBelowLog {
        /// currentTerm.
        term: Term,
        /// The last entry or the snapshot's.
        last: EntryId,
    },
    /// The first entry after the snapshot has a lower term.
    #[error("entry {entry} contradicts the snapshot's last entry {snapshot}")]
    TermsContradictSnapshot {
        /// The entry.
        entry: EntryId,
        /// The snapshot's last entry.
        snapshot: EntryId,
    },
    /// An index or term is 0 or beyond [`Index::MAX`].
    #[error("{0} is not a valid entry id")]
    InvalidEntryId(EntryId),
    /// A membership is not in order, or empty where it cannot be.
    #[error("the stored membership is damaged")]
    DamagedMembership,
    /// currentTerm is beyond [`Term::MAX`].
    #[error("currentTerm is {0}, beyond the greatest term")]
    TermOutOfRange(Term),
    /// The service claims to have applied entries that this node never stored.
    #[error("the service has applied up to {applied}, but the storage ends at {last}")]
    AppliedBeyondLog {
        /// The service's index.
        applied: Index,
        /// The last stored index.
        last: Index,
    },
}

/// Why commands were not accepted; nothing was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum ProposeError {
    /// Only the leader can append.
    #[error("not the leader{}", redirect(*leader))]
    NotLeader {
        /// The leader, if it is known: propose there. If not, wait for
        /// [`LeaderChanged`](crate::Action::LeaderChanged) and try again.
        leader: Option<NodeId>,
    },
    /// No commands were given.
    #[error("no commands were given")]
    Empty,
    /// One command is over [`max_entry_bytes`](crate::Config::max_entry_bytes).
    #[error("a command of {size} bytes is over the limit of {limit}; split it")]
    TooLarge {
        /// Its length.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The commands together are over
    /// [`max_uncommitted_bytes`](crate::Config::max_uncommitted_bytes).
    #[error("commands of {wanted} bytes together are over the limit of {limit}; propose fewer")]
    BatchTooLarge {
        /// Their bytes with overhead.
        wanted: u64,
        /// The limit.
        limit: u64,
    },
    /// Too much is waiting to be committed. Wait until some of it is applied, then try again.
    #[error(
        "{waiting} bytes wait to be committed; {wanted} more would exceed the limit of {limit}: \
         wait for commits and try again"
    )]
    TooManyUncommitted {
        /// Bytes in the log that are not yet both committed and on this leader's disk.
        waiting: u64,
        /// Bytes that were to be added.
        wanted: u64,
        /// [`max_uncommitted_bytes`](crate::Config::max_uncommitted_bytes).
        limit: u64,
    },
    /// Leadership is being transferred (thesis 3.10). Propose at the target soon, or here again if
    /// it does not take over in time.
    #[error("the lead is being handed over to {target}; propose there soon")]
    Transferring {
        /// The next leader.
        target: NodeId,
    },
    /// The log has reached [`Index::MAX`].
    #[error("the log is full: it has reached the greatest index")]
    LogFull,
    /// This instance has [`Faulted`](crate::Action::Faulted).
    #[error("this instance has faulted: {0}")]
    Faulted(Fault),
}

/// `; n3 leads` or `; no leader is known`.
fn redirect(leader: Option<NodeId>) -> String {
    match leader {
        Some(leader) => alloc::format!("; {leader} leads"),
        None => String::from("; no leader is known"),
    }
}

/// Why a message was rejected. No correct peer sends such a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum Rejection {
    /// It claims to come from this node.
    #[error("sent under this node's own id")]
    FromSelf,
    /// Terms begin with elections, and the first election is that of term 1.
    #[error("term 0")]
    NoTerm,
    /// More than [`Term::MAX_AHEAD`] above this node's, or above [`Term::MAX`].
    #[error("term {theirs} is too far above {ours}")]
    TermTooFarAhead {
        /// currentTerm.
        ours: Term,
        /// The message's.
        theirs: Term,
    },
    /// An index beyond [`Index::MAX`].
    #[error("index {0} is out of range")]
    IndexOutOfRange(Index),
    /// An index and a term that do not fit together: only index 0 has term 0, and no entry is of a
    /// later term than the message that names it.
    #[error("there can be no entry {entry} in a message of term {term}")]
    ImpossibleEntry {
        /// The entry.
        entry: EntryId,
        /// The message's term.
        term: Term,
    },
    /// The terms of the entries fall, or rise above the message's.
    #[error("entry {entry} follows {previous} in a message of term {term}")]
    EntryTerms {
        /// The offending entry.
        entry: EntryId,
        /// The one before it.
        previous: EntryId,
        /// The message's term.
        term: Term,
    },
    /// The entries do not begin at prevLogIndex + 1.
    #[error("entries begin at {first}, but follow {prev}")]
    EntriesMisplaced {
        /// Their first index.
        first: Index,
        /// prevLogIndex.
        prev: Index,
    },
    /// An entry over [`max_entry_bytes`](crate::Config::max_entry_bytes). That limit must be the
    /// same on all nodes. To raise it, raise it on all nodes before one uses it.
    #[error("an entry of {size} bytes is over the limit of {limit}")]
    EntryTooLarge {
        /// Its length.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// **Safety violation.** The sender's log contradicts an entry that this node knows to be
    /// committed (State Machine Safety, section 5.4.3).
    #[error("{entry} conflicts with the log at or below commitIndex {commit_index}")]
    ConflictBelowCommit {
        /// The sender's entry.
        entry: EntryId,
        /// commitIndex.
        commit_index: Index,
    },
    /// **Safety violation.** Two leaders in one term (Election Safety, section 5.2).
    #[error("leads in term {term}, but so does {leader}")]
    SecondLeader {
        /// The term.
        term: Term,
        /// The known leader of that term.
        leader: NodeId,
    },
    /// The sender contradicted a committed entry earlier in this term, and is not followed in it.
    #[error("committed a safety violation earlier in term {term}")]
    Distrusted {
        /// The term.
        term: Term,
    },
    /// A vote that this node did not request: it did not campaign in that term, or did not ask the
    /// sender.
    #[error("a vote in term {term} that was never asked for")]
    UnsolicitedVote {
        /// The vote's term.
        term: Term,
    },
    /// A reply from a node that was sent no request.
    #[error("a reply in term {term} to a request that was never sent")]
    UnsolicitedReply {
        /// The reply's term.
        term: Term,
    },
    /// An acknowledgement of entries that the leader does not have.
    #[error("acknowledges entries up to {acknowledged}, but the log ends at {last}")]
    MatchBeyondLog {
        /// The reply's index.
        acknowledged: Index,
        /// The leader's last index.
        last: Index,
    },
    /// A reply that contradicts itself.
    #[error("a reply that contradicts itself")]
    Inconsistent,
    /// A chunk that does not fit its snapshot.
    #[error("a chunk of {length} bytes at {offset} in a snapshot of {size}")]
    ChunkOutOfPlace {
        /// Where it begins.
        offset: u64,
        /// How long it is.
        length: u64,
        /// The snapshot's size.
        size: u64,
    },
    /// The bytes received are not those that the sender described.
    #[error("the snapshot's checksum is {found:#010x}, not {expected:#010x}")]
    WrongChecksum {
        /// As described.
        expected: u32,
        /// As received.
        found: u32,
    },
    /// The membership of a snapshot, or of a membership entry, is empty, out of order or without
    /// voters.
    #[error("a membership that is damaged")]
    DamagedMembership,
    /// An answer to a round (thesis 6.4) that the leader never began.
    #[error("answers round {round}, but the last one is {last}")]
    RoundNeverBegun {
        /// The reply's round.
        round: u64,
        /// The leader's last round.
        last: u64,
    },
}

impl Rejection {
    /// Whether it is evidence that a safety property of Figure 3 is broken.
    pub fn is_safety_violation(&self) -> bool {
        matches!(
            self,
            Rejection::ConflictBelowCommit { .. } | Rejection::SecondLeader { .. }
        )
    }
}

/// An input of the driver's own that the contract does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// A write was reported that was never issued.
    #[error("write {seq} was never issued; the last one is {last}")]
    UnknownWrite {
        /// As reported.
        seq: Seq,
        /// The last seq issued.
        last: Seq,
    },
    /// Entries were reported as applied, or compacted, that were never handed out.
    #[error("{index} was never handed out; the last entry handed out is {last}")]
    NotHandedOut {
        /// As reported.
        index: Index,
        /// The last index handed out.
        last: Index,
    },
    /// A snapshot names an entry that is not in the log under that term.
    #[error("the snapshot ends at {claimed}, but the entry there is {found}")]
    OtherEntry {
        /// The snapshot's last entry, as the driver gave it.
        claimed: EntryId,
        /// The entry that was handed out at that index.
        found: EntryId,
    },
    /// A node that is to join has received no configuration yet, so its snapshot could not hold
    /// one. Compact again when it has received one.
    #[error("no configuration is known yet; compact after one has been received")]
    NoConfiguration,
    /// The entries read are not those of the log, or do not follow each other from the first one
    /// asked for.
    #[error("the entries read are not those of the log from {from} on")]
    OtherEntries {
        /// The first entry asked for.
        from: EntryId,
    },
    /// A chunk that was read is shorter or longer than asked.
    #[error("{found} bytes of the snapshot were read where {wanted} were asked for")]
    WrongLength {
        /// The length asked for.
        wanted: u64,
        /// The length read.
        found: u64,
    },
}

/// Why a node faulted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum Fault {
    /// The driver reported [`PersistFailed`](crate::Input::PersistFailed).
    #[error("write {seq} failed; reopen the storage and start a new instance")]
    WriteFailed {
        /// Which write.
        seq: Seq,
    },
}
