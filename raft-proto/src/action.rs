//! The output of the core, and the contract of durability.

use crate::entries::Entries;
use crate::error::{
    CampaignError, ChangeError, Fault, ProposeError, ReadError, ReconfigureError, Refusal,
    Rejection, StepDownError, TransferError,
};
use crate::membership::Membership;
use crate::message::{Message, SnapshotId, SnapshotMeta};
use crate::role::RoleKind;
use crate::types::{
    ClusterId, EntryId, ForeignIncarnation, GroupId, Incarnation, Index, NodeId, RequestId, Seq,
    Term, Time,
};
use crate::waiting::Waiting;
use alloc::boxed::Box;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Something that the driver is to do.
///
/// Order: [`Persist`](Action::Persist) in the order of seq; [`Apply`](Action::Apply) and
/// [`Restore`](Action::Restore) in the order in which they came out, and so
/// [`WriteSnapshot`](Action::WriteSnapshot); everything else as the driver likes, in parallel if it
/// likes. A driver cannot break safety by sending early: the core itself withholds every message
/// that must not leave before a write is durable. That message comes out of the step that is given
/// [`Persisted`](crate::Input::Persisted).
///
/// Exhaustive on purpose: a driver has to do something for each kind. One that a wildcard arm
/// swallows in silence (a write, an answer that is wanted) would stop the node, so that a new kind
/// has to break the build.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Action {
    /// Send `message` to the peer `to`, as soon as possible. It may be lost.
    Send {
        /// The addressee; never this node itself.
        to: NodeId,
        /// The message.
        message: Message,
    },

    /// Make this durable, then report [`Persisted`](crate::Input::Persisted). The step does not
    /// wait: other writes may follow before this one is done, and several of them can share one
    /// sync.
    Persist(Write),

    /// Apply these entries to the state machine (lastApplied, Figure 2), then report
    /// [`Applied`](crate::Input::Applied). They are committed, on this node's disk, and follow
    /// without a gap the entries that were handed out before. Entries whose kind is not
    /// [`Command`](crate::EntryKind::Command) are for the core alone: skip them.
    Apply {
        /// At least one.
        entries: Entries,
    },

    /// Replace the state machine's state by this snapshot, which has been installed: it is on
    /// disk, verified, and newer than everything that was applied. Report `Applied` at its last
    /// index when done, however long that takes: until then the snapshot is not released, and no
    /// other one is installed. The next entries handed out begin after it.
    Restore {
        /// Which snapshot, and the membership in it.
        snapshot: SnapshotMeta,
    },

    /// Read a chunk of one of this node's snapshots, to be sent to `peer`, and answer with
    /// [`SnapshotRead`](crate::Input::SnapshotRead).
    ReadSnapshot {
        /// The peer that gets it; comes back in the answer.
        peer: NodeId,
        /// The snapshot: one that was given by `Compact`, restored, or recovered, and not yet
        /// released.
        snapshot: SnapshotId,
        /// Where to begin, in bytes.
        offset: u64,
        /// How many bytes. The snapshot has that many from there on.
        length: u64,
    },

    /// Store a chunk of a snapshot that is being received in a partial file, and answer with
    /// [`SnapshotWritten`](crate::Input::SnapshotWritten). At offset 0 begin a new file and
    /// discard any other partial one; other offsets continue where the last chunk ended. Perform
    /// these in the order in which they came out. The next ones may come before this one is
    /// answered: if it fails, those that continue it fail too. A complete file is of no use if
    /// another one begins before an `Install` asked for it. No sync is needed before the
    /// [`Install`] that makes the file this node's snapshot.
    WriteSnapshot {
        /// Which snapshot.
        snapshot: SnapshotId,
        /// Where `data` belongs, in bytes.
        offset: u64,
        /// The chunk.
        data: Bytes,
    },

    /// Nothing needs this stored snapshot any more: delete it at any time. This comes out only
    /// when the write that replaced it is durable, and when no `Restore` of it waits for its
    /// `Applied`. A [`ReadSnapshot`](Action::ReadSnapshot) of it that is still unanswered may be
    /// answered as [`Gone`](crate::SnapshotReadFailed::Gone): its transfer has ended. After a
    /// restart, delete all snapshots but the recovered one.
    ReleaseSnapshot {
        /// Which snapshot.
        snapshot: SnapshotId,
    },

    /// The bytes of this stored snapshot, the newest, are not what its id says: this leader found
    /// that when it read them for a follower. It will not send the snapshot again. Have the service
    /// make a new one, and give [`Compact`](crate::Input::Compact). One at the same index is taken
    /// too. Until then, a follower that needs compacted entries stays behind, and this node could
    /// not restart from its storage.
    SnapshotDamaged {
        /// Which snapshot.
        snapshot: SnapshotId,
    },

    /// Give a [`Tick`](crate::Input::Tick) at or soon after this time. There is one deadline:
    /// the newest replaces the one before, and any tick ends it. The step of that tick names the
    /// next one. If it names none, there is nothing to wait for (a leader without followers, a node
    /// that has not received a configuration yet).
    WakeAt(Time),

    /// The outcome of a [`Propose`](crate::Input::Propose), in the very step that it was given to.
    Proposed {
        /// The request's id.
        id: RequestId,
        /// Where the commands are in the log, or why nothing was done.
        outcome: Result<Proposal, ProposeError>,
    },

    /// The outcome of a [`Read`](crate::Input::Read).
    Read {
        /// The request's id.
        id: RequestId,
        /// Once everything up to this index is applied, the state machine's answer is
        /// linearizable. Or why the read was refused.
        outcome: Result<Index, ReadError>,
    },

    /// The outcome of a [`TransferLeadership`](crate::Input::TransferLeadership).
    Transferred {
        /// The request's id.
        id: RequestId,
        /// The node that leads now, or why leadership was not transferred.
        outcome: Result<NodeId, TransferError>,
    },

    /// The outcome of a [`ChangeMembership`](crate::Input::ChangeMembership), in the very step
    /// that it was given to.
    ChangeProposed {
        /// The request's id.
        id: RequestId,
        /// The entry that holds the new configuration, or the joint one that leads to it; or why
        /// nothing was done. The change is complete when a membership entry is applied, at or after
        /// this one, whose configuration is not joint. It was lost if the entry at this index is
        /// applied with another term; [`Fate::of`](crate::Fate::of) is the whole rule.
        outcome: Result<EntryId, ChangeError>,
    },

    /// Another configuration is in force: an entry that holds one was appended or deleted, or a
    /// snapshot was installed (section 6: "a server always uses the latest configuration in its
    /// log"). The driver connects to the members, whose contexts say how.
    MembershipChanged {
        /// The entry that holds it, or the snapshot's last entry; 0 for that of the bootstrap.
        index: Index,
        /// All members.
        membership: Membership,
    },

    /// Read these entries from the log on disk, as many of them as `max_bytes` hold but at least
    /// one, and answer with [`EntriesRead`](crate::Input::EntriesRead). This comes out only if
    /// [`max_resident_bytes`](crate::Config::max_resident_bytes) is set.
    ReadEntries {
        /// The peer that gets them; comes back in the answer.
        peer: NodeId,
        /// The first; comes back in the answer.
        from: EntryId,
        /// The last that is wanted.
        to: EntryId,
        /// Payloads and [`ENTRY_OVERHEAD`](crate::ENTRY_OVERHEAD) for each.
        max_bytes: u64,
    },

    /// This node's role changed.
    RoleChanged {
        /// What it is now.
        role: RoleKind,
        /// In which term.
        term: Term,
    },

    /// This node learnt of a leader, or no longer knows one.
    LeaderChanged {
        /// The leader of `term`, if this node knows it.
        leader: Option<NodeId>,
        /// The term.
        term: Term,
    },

    /// A message that no correct peer sends was dropped. Nothing changed, except that a snapshot
    /// whose checksum is wrong is transferred from its beginning again. The peer is faulty,
    /// misconfigured or hostile: raise an alarm.
    Rejected {
        /// Its sender.
        from: NodeId,
        /// What was wrong.
        reason: Rejection,
    },

    /// An input of the driver's own that the contract does not allow. Nothing changed, except that
    /// a read of other bytes than those asked for counts as failed. The driver has a defect.
    Refused {
        /// What was wrong.
        reason: Refusal,
    },

    /// A follower no longer has entries that it had acknowledged as durable. It must not go on
    /// under its id: remove it, and let it join as a new node. Its matchIndex stays as it is.
    LostState {
        /// The follower.
        peer: NodeId,
        /// What it had acknowledged.
        match_index: Index,
        /// The last entry that it now claims to have.
        last: EntryId,
    },

    /// An entry in this leader's log fits no message that `peer` takes: it is longer than 16 MiB
    /// ([`LEAST_MAX_FRAME_BYTES`](crate::wire::Limits::LEAST_MAX_FRAME_BYTES)) and than that peer's
    /// [`max_append_bytes`](crate::Config::max_append_bytes), and was accepted before the leader
    /// knew that. Said once for each such entry. The leader goes on with the other members, and
    /// counts this one only up to there. Raise that node's limits and restart it; or let a snapshot
    /// replace the entry.
    EntryRefused {
        /// The member that does not take it.
        peer: NodeId,
        /// The entry.
        index: Index,
        /// Its length with overhead.
        size: u64,
        /// What the member takes in one message.
        limit: u64,
    },

    /// A voter told this node that it is no member any more, by a change that is committed. It
    /// campaigns no more, unless a leader sends it a later configuration of which it is a member.
    /// The operator may stop it. A removed node that hears of the change from the leader is told by
    /// [`MembershipChanged`](Action::MembershipChanged) instead.
    Removed {
        /// Up to here the cluster has committed, and this node is no member there.
        index: Index,
    },

    /// Another storage speaks under a member's number than the one that the configuration in force
    /// names ([`Member::incarnation`](crate::Member::incarnation)). What it says counts for nothing.
    /// Said once for each such storage, on every node that hears it. Somebody has emptied the
    /// member's storage and started it again, or has used its number twice. If the old storage is
    /// lost, name the new one by a change of the membership: first as a learner.
    ForeignIncarnation(ForeignIncarnation),

    /// Another storage has this node's number, by a configuration that this node has received or a
    /// voter has told it of. This node does not vote for itself, does not campaign and does not
    /// count, until a configuration names its own storage. The operator decides whether to make
    /// that change or to stop this node.
    Replaced {
        /// The entry that holds the configuration, or the voter's commitIndex.
        index: Index,
        /// The incarnation that the configuration names.
        named: Incarnation,
    },

    /// This node cannot go on safely, by evidence of its own. It sends and applies nothing more.
    /// Stop the driver, repair, and start a new instance.
    Faulted {
        /// What happened.
        reason: Fault,
    },

    /// The outcome of a [`Campaign`](crate::Input::Campaign), in the very step that it was given to.
    Campaigning {
        /// The request's id.
        id: RequestId,
        /// The term in which this node asks for votes, or for pre-votes first; or why it does not.
        /// [`RoleChanged`](Action::RoleChanged) tells what becomes of it.
        outcome: Result<Term, CampaignError>,
    },

    /// The outcome of a [`StepDown`](crate::Input::StepDown), in the very step that it was given to.
    SteppedDown {
        /// The request's id.
        id: RequestId,
        /// The term in which it led until now, or why it did not step down.
        outcome: Result<Term, StepDownError>,
    },

    /// The outcome of a [`Reconfigure`](crate::Input::Reconfigure), in the very step that it was
    /// given to.
    Reconfigured {
        /// The request's id.
        id: RequestId,
        /// The settings are in force, or why none of them is.
        outcome: Result<(), ReconfigureError>,
    },

    /// The driver has not reported this for ten election timeouts
    /// ([`election_timeout_max`](crate::Config::election_timeout_max)), nor any progress towards
    /// it, and not for one more after this node has noticed that: the machine may have slept. Said
    /// once for each such wait, in the step of any later event. The driver has forgotten it, or
    /// its disk or its service is stuck; the node waits. See
    /// [`Raft::waits_for`](crate::Raft::waits_for).
    Overdue(Waiting),
}

/// Where proposed commands are in the log. A command is committed when the entry at its index is
/// handed out with the term `first.term`; all of them are when that at
/// [`last_index`](Proposal::last_index) is. If an entry of another term is applied at its index,
/// the command was lost and can be proposed again. If the leader fails, the first of them may be
/// committed without the rest.
///
/// No other action tells: not [`LeaderChanged`](Action::LeaderChanged), not
/// [`Faulted`](Action::Faulted), since what was sent may be on other disks. And a
/// [`Restore`](Action::Restore) may jump over the index. [`Fate::of`](crate::Fate::of) is the whole
/// rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Proposal {
    /// The first command's entry.
    pub first: EntryId,
    /// How many commands there are, one after another.
    pub count: u64,
}

impl Proposal {
    /// The index of the last command.
    pub fn last_index(&self) -> Index {
        self.first.index.plus(self.count.saturating_sub(1))
    }
}

/// One atomic change of the stable storage.
///
/// Writes take effect in the order of `seq`, each one whole or not at all: after a crash the
/// storage holds the effects of writes `1..=k`, for some `k` not below the last
/// [`Persisted`](crate::Input::Persisted). Parts of one write take effect in the order of the
/// fields below.
///
/// How it becomes bytes is the storage's affair. With serde and `postcard` it is one call, as in
/// the crate's examples; that encoding follows the fields, and may change with a release: store a
/// version number before it. [`Recovered::apply`](crate::Recovered::apply) reads the writes back.
///
/// Exhaustive on purpose, as [`Recovered`](crate::Recovered) is: a storage that leaves out a part
/// that it does not know would lose it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Write {
    /// The write's number: the first of an instance is 1, each later one greater by 1.
    pub seq: Seq,
    /// The owner of this storage. In the first write to an empty storage, never again.
    pub identity: Option<Box<Identity>>,
    /// The new currentTerm and votedFor, if they changed.
    pub hard_state: Option<HardState>,
    /// A received snapshot becomes this node's snapshot.
    pub install: Option<Box<Install>>,
    /// A snapshot of this node's own replaces the beginning of the log.
    pub compact: Option<Box<Compaction>>,
    /// These entries replace everything in the log from their first index on. May be empty.
    pub entries: Entries,
}

/// The identity that a storage is bound to. A restart under another one is refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// The group within the process.
    pub group_id: GroupId,
    /// The node.
    pub node_id: NodeId,
    /// The members that the cluster was bootstrapped with, which are not in the log; empty for a
    /// node that joined. At a restart this wins over the config.
    pub bootstrap: Membership,
    /// Which storage this is, as the config said when it was made. At a restart this wins over the
    /// config.
    pub incarnation: Option<Incarnation>,
}

/// The part of a node's state that must survive (Figure 2, persistent state on all servers).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HardState {
    /// currentTerm: the latest term this node has seen.
    pub term: Term,
    /// votedFor: the candidate that received this node's vote in `term`.
    pub voted_for: Option<NodeId>,
}

/// The partial file of `snapshot` is complete and verified: sync it and make it the snapshot
/// that a restart recovers (Figure 13, steps 4 to 7).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Install {
    /// The snapshot; store its meta with it.
    pub snapshot: SnapshotMeta,
    /// What to do with the log.
    pub log: InstalledLog,
}

/// What an [`Install`] leaves of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum InstalledLog {
    /// The log holds the snapshot's last entry: drop it and everything before, keep what follows
    /// (Figure 13, step 6).
    KeepsTail,
    /// It does not: drop the whole log (Figure 13, step 7).
    IsDropped,
}

/// `snapshot` becomes the snapshot that a restart recovers, and the log is cut to what follows
/// `drop_through`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Compaction {
    /// The snapshot; store its meta. Its bytes are durable already.
    pub snapshot: SnapshotMeta,
    /// Entries up to here may be deleted, at any time. At most `snapshot.id.last.index`: a
    /// configurable tail stays for slow followers.
    pub drop_through: Index,
}

/// The size of an action, kept small because hot loops move many of them.
const _: () = assert!(core::mem::size_of::<Action>() <= 160);
