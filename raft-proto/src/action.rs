//! What comes out of the core, and the contract of durability.

use crate::entries::Entries;
use crate::error::{
    ChangeError, Fault, ProposeError, ReadError, Refusal, Rejection, TransferError,
};
use crate::membership::Membership;
use crate::message::{Message, SnapshotId, SnapshotMeta};
use crate::role::RoleKind;
use crate::types::{ClusterId, EntryId, GroupId, Index, NodeId, RequestId, Seq, Term, Time};
use alloc::boxed::Box;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What the driver is to do.
///
/// Order: [`Persist`](Action::Persist) in the order of seq; [`Apply`](Action::Apply) and
/// [`Restore`](Action::Restore) in the order in which they came out; everything else as the
/// driver likes, in parallel if it likes. A driver cannot break safety by sending early: the
/// core itself withholds every message that must not leave before a write is durable, and lets
/// it out of the step that is told [`Persisted`](crate::Input::Persisted).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Action {
    /// Send `message` to the peer `to`, as soon as possible. It may be lost.
    Send {
        /// The addressee; never this node itself.
        to: NodeId,
        /// What to say.
        message: Message,
    },

    /// Make this durable, then report [`Persisted`](crate::Input::Persisted). The step does not
    /// wait: other writes may follow before this one is done, and all that wait can share one
    /// sync.
    Persist(Write),

    /// Apply these entries to the state machine (lastApplied, Figure 2), then report
    /// [`Applied`](crate::Input::Applied). They are committed, on this node's disk, and follow
    /// without a gap what was handed out before; entries whose kind is not
    /// [`Command`](crate::EntryKind::Command) are for the core alone and are skipped.
    Apply {
        /// At least one.
        entries: Entries,
    },

    /// Replace the state machine's state by this snapshot, which has been installed: it is on
    /// disk, verified, and newer than all that was applied. Report `Applied` at its last index
    /// when done; what is handed out next begins after it.
    Restore {
        /// Which snapshot, and the membership in it.
        snapshot: SnapshotMeta,
    },

    /// Read a chunk of one of this node's snapshots, to be sent to `peer`, and answer with
    /// [`SnapshotRead`](crate::Input::SnapshotRead).
    ReadSnapshot {
        /// Whom it is for; comes back in the answer.
        peer: NodeId,
        /// Which snapshot: one that was given by `Compact`, restored, or recovered, and not yet
        /// released.
        snapshot: SnapshotId,
        /// Where to begin, in bytes.
        offset: u64,
        /// How many bytes: all of them are there.
        length: u64,
    },

    /// Store a chunk of a snapshot that is being received in a file aside, and answer with
    /// [`SnapshotWritten`](crate::Input::SnapshotWritten). At offset 0 begin a new file and
    /// discard any other partial one; other offsets continue where the last chunk ended. Perform
    /// these in the order in which they came out. A complete file that no `Install` asked for by
    /// the time that another one begins is of no use. No
    /// sync is needed before the [`Install`] that makes the file this node's snapshot.
    WriteSnapshot {
        /// Which snapshot.
        snapshot: SnapshotId,
        /// Where `data` belongs, in bytes.
        offset: u64,
        /// The chunk.
        data: Bytes,
    },

    /// Nothing needs this stored snapshot any more: delete it at leisure. This comes out only
    /// when the write that replaced it is durable. After a restart, delete all snapshots but the
    /// recovered one.
    ReleaseSnapshot {
        /// Which snapshot.
        snapshot: SnapshotId,
    },

    /// Give a [`Tick`](crate::Input::Tick) at or soon after this time. There is one deadline:
    /// the newest replaces the one before, and a tick, whenever it is given, ends it. The step of
    /// that tick names the next; if it names none, there is nothing to wait for (a leader without
    /// followers, a node that has yet to hear of a configuration).
    WakeAt(Time),

    /// The outcome of a [`Propose`](crate::Input::Propose), in the very step that it came in.
    Proposed {
        /// As given.
        id: RequestId,
        /// Where the commands stand, or why nothing was done.
        outcome: Result<Proposal, ProposeError>,
    },

    /// The outcome of a [`Read`](crate::Input::Read).
    Read {
        /// As given.
        id: RequestId,
        /// Once everything up to this index is applied, the state machine's answer is
        /// linearizable; or why there is none.
        outcome: Result<Index, ReadError>,
    },

    /// The outcome of a [`TransferLeadership`](crate::Input::TransferLeadership).
    Transferred {
        /// As given.
        id: RequestId,
        /// Who leads now; or why not.
        outcome: Result<NodeId, TransferError>,
    },

    /// The outcome of a [`ChangeMembership`](crate::Input::ChangeMembership), in the very step
    /// that it came in.
    ChangeProposed {
        /// As given.
        id: RequestId,
        /// The entry that holds the new configuration, or the joint one that leads to it; or why
        /// nothing was done. The change is complete when a membership entry is applied whose
        /// configuration is not joint, at or after this one; it was lost if the entry at this
        /// index is applied with another term.
        outcome: Result<EntryId, ChangeError>,
    },

    /// Another configuration is in force: an entry with one was appended, or deleted, or a
    /// snapshot installed (section 6: "a server always uses the latest configuration in its
    /// log"). The driver connects to the members, whose contexts say how.
    MembershipChanged {
        /// The entry that holds it, or the snapshot's last; 0 for that of the bootstrap.
        index: Index,
        /// All members.
        membership: Membership,
    },

    /// Read these entries from the log on disk, as many of them as `max_bytes` hold but at least
    /// one, and answer with [`EntriesRead`](crate::Input::EntriesRead). Comes out only with
    /// [`max_resident_bytes`](crate::Config::max_resident_bytes).
    ReadEntries {
        /// Whom they are for; comes back in the answer.
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

    /// What this node knows of the leader changed.
    LeaderChanged {
        /// Who leads in `term`, as far as is known.
        leader: Option<NodeId>,
        /// The term.
        term: Term,
    },

    /// A message that no correct peer sends was dropped; nothing changed, but that a snapshot
    /// whose checksum is wrong is asked for anew. The peer is faulty,
    /// misconfigured or hostile: raise an alarm.
    Rejected {
        /// Who sent it.
        from: NodeId,
        /// What was wrong.
        reason: Rejection,
    },

    /// An input of the driver's own that the contract does not allow; nothing changed, but that a
    /// read of other bytes than those asked for counts as failed. The driver has a defect.
    Refused {
        /// What was wrong.
        reason: Refusal,
    },

    /// A follower no longer has entries that it had acknowledged as durable. It must not go on
    /// under its id: remove it, and let it join as a new node. Its matchIndex is not lowered.
    LostState {
        /// The follower.
        peer: NodeId,
        /// What it had acknowledged.
        match_index: Index,
        /// The last entry that it now claims to have.
        last: EntryId,
    },

    /// This node has come to the end of what it can do safely, by evidence of its own. It sends
    /// and applies nothing more. Stop the driver, repair, and start a new instance.
    Faulted {
        /// What happened.
        reason: Fault,
    },
}

/// Where proposed commands stand in the log. Each is committed when the entry at its index is
/// handed out with the term `first.term`, all of them when that at
/// [`last_index`](Proposal::last_index) is; should an entry of another term be applied at its index,
/// a command was lost and can be proposed again. If the leader fails, a beginning of them may
/// be committed without the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Proposal {
    /// The first command's entry.
    pub first: EntryId,
    /// How many commands follow each other from there.
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Write {
    /// The write's number: the first of an instance is 1, each later one greater by 1.
    pub seq: Seq,
    /// Who this storage belongs to. In the first write to an empty storage, never again.
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
    /// The voters that the cluster was bootstrapped with, which stand outside the log; empty
    /// for a node that joined. At a restart this wins over the config.
    pub bootstrap: Membership,
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
    /// What becomes of the log.
    pub log: InstalledLog,
}

/// What an [`Install`] leaves of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum InstalledLog {
    /// The log holds the snapshot's last entry: drop it and all before, keep what follows
    /// (Figure 13, step 6).
    KeepsTail,
    /// It does not: drop all of it (Figure 13, step 7).
    IsDropped,
}

/// `snapshot` is the snapshot that a restart recovers, and the log is cut to what follows
/// `drop_through`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Compaction {
    /// The snapshot; store its meta. Its bytes are durable already.
    pub snapshot: SnapshotMeta,
    /// Entries up to here may be deleted, at leisure. At most `snapshot.id.last.index`: a
    /// configurable tail stays for slow followers.
    pub drop_through: Index,
}

/// The size of an action, kept small because hot loops move many of them.
const _: () = assert!(core::mem::size_of::<Action>() <= 160);
