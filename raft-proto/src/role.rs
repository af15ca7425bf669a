//! The roles of section 5.1, each with the data that only it has. The rules by which one becomes
//! another are in `transitions.rs`.

use crate::checksum::Checksum;
use crate::command_limit::CommandLimit;
use crate::membership::Membership;
use crate::message::{SnapshotId, SnapshotMeta};
use crate::progress::Peer;
use crate::quorum;
use crate::reads::{ForwardedReads, LeaderReads};
use crate::types::{Incarnation, Index, NodeId, RequestId, Time};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// The name of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RoleKind {
    /// Answers requests of leaders and candidates.
    Follower,
    /// Asks whether it would get votes (thesis 9.6).
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Handles client requests and replicates the log.
    Leader,
}

impl fmt::Display for RoleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RoleKind::Follower => "follower",
            RoleKind::PreCandidate => "pre-candidate",
            RoleKind::Candidate => "candidate",
            RoleKind::Leader => "leader",
        })
    }
}

/// What a node is in its current term.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Role {
    Follower(Follower),
    PreCandidate(PreCandidate),
    Candidate(Candidate),
    Leader(Leader),
}

impl Role {
    pub(crate) fn kind(&self) -> RoleKind {
        match self {
            Role::Follower(_) => RoleKind::Follower,
            Role::PreCandidate(_) => RoleKind::PreCandidate,
            Role::Candidate(_) => RoleKind::Candidate,
            Role::Leader(_) => RoleKind::Leader,
        }
    }
}

/// What only a follower has.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Follower {
    leader: Option<NodeId>,
    election_at: Time,
    election_timeout: Duration,
    /// When it last granted a vote in this role.
    voted_at: Option<Time>,
    /// The snapshot that the leader is sending, as far as it has come.
    pub(crate) incoming: Option<Box<IncomingSnapshot>>,
    /// What its clients want to read.
    pub(crate) reads: ForwardedReads,
    /// The pre-votes that it asks for because the leader wants it to take over.
    pub(crate) transfer: Option<TransferPreVotes>,
    /// The greatest commitIndex that its leader has stated. The log may not be known to equal the
    /// leader's that far.
    leader_commit: Index,
    /// What it has noticed of a leader that commits nothing.
    pub(crate) doubt: Option<Doubt>,
}

/// What a follower has noticed of a leader that commits nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Doubt {
    /// The greatest commitIndex that is known: the entries that wait come after it.
    pub(crate) after: Index,
    /// When the follower first looked with this one.
    pub(crate) since: Time,
    /// The greatest index that another node has shown meanwhile to have in its log.
    pub(crate) seen: Index,
    /// The pre-votes that it asks for.
    pub(crate) pre_votes: Option<DoubtPreVotes>,
}

/// The pre-votes of a follower whose leader may hear nobody.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct DoubtPreVotes {
    /// The voters that would vote for this node, each once.
    pub(crate) granted: Vec<NodeId>,
    /// How often it has asked.
    pub(crate) tries: u32,
    /// When they are counted.
    pub(crate) count_at: Time,
}

impl Doubt {
    pub(crate) fn new(after: Index, since: Time) -> Doubt {
        Doubt {
            after,
            since,
            seen: Index::ZERO,
            pre_votes: None,
        }
    }

    /// `voter` would vote for this node.
    pub(crate) fn granted_by(&mut self, voter: NodeId) {
        if let Some(pre_votes) = &mut self.pre_votes
            && !pre_votes.granted.contains(&voter)
        {
            pre_votes.granted.push(voter);
        }
    }
}

/// The pre-votes of a follower that is to take over from its leader. It goes on following unless a
/// majority would vote for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct TransferPreVotes {
    /// The number of the leader's transfer.
    pub(crate) number: u64,
    /// The voters that would vote for this node, each once.
    pub(crate) granted: Vec<NodeId>,
}

impl Follower {
    pub(crate) fn new(leader: Option<NodeId>, election_at: Time, timeout: Duration) -> Follower {
        Follower {
            leader,
            election_at,
            election_timeout: timeout,
            voted_at: None,
            incoming: None,
            reads: ForwardedReads::default(),
            transfer: None,
            leader_commit: Index::ZERO,
            doubt: None,
        }
    }

    /// The leader of this term, if this follower knows it.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// Follows another leader, or none. What an earlier leader was sending is void, and so is what
    /// it asked for.
    pub(crate) fn follow(&mut self, leader: Option<NodeId>) {
        if self.leader != leader {
            self.leader = leader;
            self.incoming = None;
            self.transfer = None;
            self.leader_commit = Index::ZERO;
            self.doubt = None;
        }
    }

    /// Its leader states its commitIndex.
    pub(crate) fn hear_leader_commit(&mut self, leader_commit: Index) {
        self.leader_commit = self.leader_commit.max(leader_commit);
    }

    /// The greatest that it has stated.
    pub(crate) fn leader_commit(&self) -> Index {
        self.leader_commit
    }

    /// It grants its vote: "a voter gives the candidate time to win" (section 5.2).
    pub(crate) fn grant_vote(&mut self, now: Time) {
        self.voted_at = Some(now);
        self.reset_election_timer(now);
    }

    /// Whether it granted a vote within `period`.
    pub(crate) fn voted_within(&self, period: Duration, now: Time) -> bool {
        self.voted_at.is_some_and(|at| at.after(period) > now)
    }

    /// When the election timeout elapses.
    pub(crate) fn election_at(&self) -> Time {
        self.election_at
    }

    /// The election timeout elapses at `at` already, unless the timer is reset before.
    pub(crate) fn hasten_election(&mut self, at: Time) {
        self.election_at = self.election_at.min(at);
    }

    /// The election timeout elapses at `at`, unless the timer is reset before.
    pub(crate) fn wait_until(&mut self, at: Time) {
        self.election_at = at;
    }

    /// Sets the election timeout that the next reset of the timer uses.
    pub(crate) fn set_election_timeout(&mut self, timeout: Duration) {
        self.election_timeout = timeout;
    }

    /// "Receiving AppendEntries RPC from current leader or granting vote to candidate" resets the
    /// election timer (Figure 2, Followers).
    pub(crate) fn reset_election_timer(&mut self, now: Time) {
        self.election_at = now.after(self.election_timeout);
    }
}

/// A snapshot that a follower is receiving.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct IncomingSnapshot {
    pub(crate) snapshot: SnapshotMeta,
    /// How many bytes of it are in the partial file.
    pub(crate) received: u64,
    /// How many bytes of it there are, with the chunks that the driver is writing.
    pub(crate) accepted: u64,
    /// The checksum of all chunks, those being written included.
    pub(crate) checksum: Checksum,
}

/// What only a node has that asks for pre-votes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct PreCandidate {
    /// When it asks again.
    pub(crate) election_at: Time,
    /// The voters that would vote for this node, each once.
    pub(crate) granted: Vec<NodeId>,
    /// The votes that it has as a candidate of its term, if it was one until now. The term is still
    /// the same, so votes that come late make it the leader.
    pub(crate) candidacy: Option<Vec<Ballot>>,
}

/// A vote for a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Ballot {
    pub(crate) voter: NodeId,
    /// The storage that holds the vote.
    pub(crate) incarnation: Option<Incarnation>,
}

/// What only a candidate has.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Candidate {
    /// "If election timeout elapses: start new election."
    pub(crate) election_at: Time,
    /// When it began its term.
    pub(crate) began_at: Time,
    /// How long it waits for votes, once its requests have left.
    pub(crate) election_timeout: Duration,
    /// The votes for this node in this term, one a voter, however often it says so.
    pub(crate) granted: Vec<Ballot>,
}

impl Candidate {
    /// A better candidate gets an election timeout from now on. However often one asks, this node's
    /// next election comes after at most two of its election timeouts.
    pub(crate) fn give_way(&mut self, now: Time) {
        let latest = self.began_at.after(self.election_timeout * 2);
        let at = now.after(self.election_timeout).min(latest);
        self.election_at = self.election_at.max(at);
    }
}

/// What only a leader has.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Leader {
    /// The index of its first entry: all from here on are of its own term.
    pub(crate) term_start: Index,
    /// The other members, in the order of their ids. Members that a change removes stay here until
    /// they know that (`change.rs`).
    pub(crate) peers: Vec<Peer>,
    /// Bytes in the log above `committed_and_durable`, which `max_uncommitted_bytes` limits.
    pub(crate) uncommitted: u64,
    /// How many bytes it has appended to its log in this term.
    pub(crate) appended_bytes: u64,
    /// The newest snapshot, if its stored bytes are not what its id says.
    pub(crate) damaged_snapshot: Option<Box<SnapshotId>>,
    /// Bytes in the log above what its own service has applied, which `max_backlog_bytes` limits.
    pub(crate) unapplied: u64,
    /// Up to here the log is both committed and on this leader's disk. A leader whose disk
    /// stalls must not take in more and more commands while its followers commit them.
    pub(crate) committed_and_durable: Index,
    /// The longest command that it takes.
    pub(crate) command_limit: CommandLimit,
    /// The entry of the latest configuration, until it is committed and the steps that follow are
    /// done.
    pub(crate) open_change: Option<Index>,
    /// When it next checks that a majority has contact with it.
    pub(crate) quorum_check_at: Time,
    /// The stall of its own disk, known by its beginning, for which it has tried to hand over.
    pub(crate) stall_handled: Option<Time>,
    pub(crate) handover: Option<Handover>,
    /// The number of the latest handover, counted from 1 in this term.
    pub(crate) transfers_begun: u64,
    /// The number of the latest handover whose target was asked to campaign and that was given up;
    /// 0 before the first.
    pub(crate) transfers_revoked: u64,
    pub(crate) reads: LeaderReads,
    /// When it has to look at something other than its peers (`timers.rs`). Set by each tick.
    pub(crate) attend_at: Time,
}

impl Leader {
    pub(crate) fn peer(&self, id: NodeId) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.id == id)
    }

    /// The peer, if it is a member. One that was removed, and is only to be told so, says nothing
    /// about a member that comes under its number later.
    pub(crate) fn member(&self, id: NodeId) -> Option<&Peer> {
        self.peer(id).filter(|peer| peer.departure.is_none())
    }

    pub(crate) fn peer_mut(&mut self, id: NodeId) -> Option<&mut Peer> {
        self.peers.iter_mut().find(|peer| peer.id == id)
    }

    /// The greatest value that a majority of the voters has reached: `own` is this node with its
    /// own value, and `value` gives a peer's. `None` if there are no voters.
    pub(crate) fn reached<T: Ord + Copy + Default>(
        &self,
        membership: &Membership,
        own: (NodeId, T),
        value: impl Fn(&Peer) -> T,
    ) -> Option<T> {
        quorum::reached(membership, |id| match self.peer(id) {
            Some(peer) => value(peer),
            None if id == own.0 => own.1,
            None => T::default(),
        })
    }

    /// The first time that a peer has to be sent something.
    pub(crate) fn deadline(&self) -> Time {
        let deadlines = self.peers.iter().map(|peer| peer.timer.deadline());
        deadlines.min().unwrap_or(Time::NEVER)
    }
}

/// Who chose the target of a handover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum TargetChoice {
    /// The driver, or the priorities: it stays the target.
    Given,
    /// The leader, by what it knew then.
    Best,
}

/// A handover of leadership, kept by the leader, or by a node that led until now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Handover {
    pub(crate) choice: TargetChoice,
    /// The driver's request; `None` if this node decided so itself.
    pub(crate) request: Option<RequestId>,
    pub(crate) target: NodeId,
    /// When it is given up.
    pub(crate) deadline: Time,
    /// Its number among those of the leader's term.
    pub(crate) number: u64,
    /// When the target was last sent TimeoutNow, if it was.
    pub(crate) timeout_now_at: Option<Time>,
}
