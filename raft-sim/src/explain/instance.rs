//! What the recordings say of one instance of a node: from a start of its process to its end.

use super::notes::Notes;
use super::spans::ByEntry;
use raft_proto::{EntryId, Index, MessageKind, NodeId, RequestId, RoleKind, Seq, Term, Time};
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One instance of a node. Its times are those of its own clock.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) node: NodeId,
    /// Which of the recorded starts of this node it is, from 1.
    pub(super) number: usize,
    pub(super) begin: Begin,
    pub(super) files: Vec<String>,
    /// Ends in the middle of a frame, as when a process is killed.
    pub(super) is_torn: bool,
    /// What made it stop by itself.
    pub(super) fault: Option<(Time, String)>,
    pub(super) steps: u64,
    /// The time of its first event and of its last.
    pub(super) first: Time,
    pub(super) last: Time,
    pub(super) sent: Vec<SeenMessage>,
    pub(super) received: Vec<SeenMessage>,
    /// Positions in `sent`, by addressee and digest.
    pub(super) sent_as: FxHashMap<(NodeId, u64), Vec<usize>>,
    pub(super) proposals: Vec<Proposed>,
    /// The least and the greatest index of all commands that were accepted, also of those that are
    /// not asked for.
    pub(super) proposed_range: Option<(Index, Index)>,
    /// How many proposals were refused for which reason.
    pub(super) refused: BTreeMap<String, u64>,
    pub(super) writes: Vec<Written>,
    /// Positions in `writes`.
    pub(super) stored: ByEntry<usize>,
    /// Rising.
    pub(super) persisted: Vec<(Seq, Time)>,
    /// Rising.
    pub(super) commits: Vec<Commit>,
    pub(super) committed: ByEntry<()>,
    pub(super) handed_out: ByEntry<HandedOut>,
    /// Rising.
    pub(super) applied: Vec<(Index, Time)>,
    /// Snapshots that replaced the state, and the one that it began with.
    pub(super) restored: Vec<(EntryId, Time)>,
    /// What peers acknowledged in which term, by peer. Rising.
    pub(super) answers: BTreeMap<NodeId, Vec<Answer>>,
    pub(super) turns: Vec<Turn>,
    /// Terms in which it asked for votes because a leader had asked it to.
    pub(super) transfer_terms: BTreeSet<Term>,
    /// Terms in which it campaigned by hand.
    pub(super) manual_terms: BTreeSet<Term>,
    /// When it was asked to hand over leadership.
    pub(super) transfers_asked: Vec<Time>,
    /// The least election timeout.
    pub(super) election_timeout_min: Duration,
    /// The voters of the last configuration.
    pub(super) voters: Vec<NodeId>,
    /// What the driver has measured besides.
    pub(super) notes: Notes,
}

/// What comes before the first event of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// The process started.
    Started,
    /// The recording begins while the process runs: an earlier file is missing.
    InTheMiddle {
        /// Its role then.
        role: RoleKind,
        term: Term,
    },
}

/// A message, as its sender or its receiver saw it.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeenMessage {
    pub(super) at: Time,
    /// The other node.
    pub(super) peer: NodeId,
    pub(super) kind: MessageKind,
    pub(super) digest: u64,
}

/// A proposal that was accepted.
#[derive(Clone, Debug)]
pub(super) struct Proposed {
    pub(super) at: Time,
    pub(super) id: RequestId,
    pub(super) first: EntryId,
    pub(super) count: u64,
    /// Which of its commands are asked for; all if nothing is asked for.
    pub(super) wanted: Option<Vec<u64>>,
}

impl Proposed {
    /// The entries that are asked for.
    pub(super) fn entries(&self) -> Vec<EntryId> {
        let id = |offset: u64| EntryId {
            index: self.first.index.plus(offset),
            term: self.first.term,
        };
        match &self.wanted {
            Some(wanted) => wanted.iter().copied().map(id).collect(),
            None => (0..self.count).map(id).collect(),
        }
    }
}

/// A write that the core asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) at: Time,
    pub(super) seq: Seq,
    /// The message that brought its entries: its sender and digest.
    pub(super) from: Option<(NodeId, u64)>,
}

/// commitIndex rose.
#[derive(Clone, Copy, Debug)]
pub(super) struct Commit {
    pub(super) at: Time,
    pub(super) index: Index,
    pub(super) by: Completed,
}

/// What completed a majority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Completed {
    /// A peer's answer.
    Peer { node: NodeId, digest: u64 },
    /// The node's own disk.
    OwnDisk,
    /// Something else, such as a change of the membership.
    Other,
}

/// Entries were given to the state machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct HandedOut {
    pub(super) at: Time,
    /// In the step of a write that became durable: they had waited for this node's own disk.
    pub(super) after_own_disk: bool,
}

/// A peer acknowledged entries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) term: Term,
    pub(super) match_index: Index,
    pub(super) at: Time,
}

/// The role or the term changed.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    pub(super) at: Time,
    pub(super) from: RoleKind,
    pub(super) to: RoleKind,
    pub(super) before: Term,
    pub(super) term: Term,
    pub(super) trigger: Trigger,
    /// When each peer was last heard.
    pub(super) heard: BTreeMap<NodeId, Time>,
    /// When a leader was last heard, and which.
    pub(super) heard_leader: Option<(NodeId, Time)>,
    /// When the transport last said that a peer cannot be reached, if that was not heard since.
    pub(super) unreachable: Option<(NodeId, Time)>,
}

/// In which step something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trigger {
    Tick,
    Message {
        from: NodeId,
        kind: MessageKind,
        term: Term,
    },
    /// The transport said that a peer cannot be reached.
    Unreachable {
        peer: NodeId,
    },
    /// A write became durable.
    Persisted,
    /// A write failed.
    PersistFailed,
    /// The operator asked for it: for what.
    ByHand(&'static str),
    /// Something else: what.
    Other(&'static str),
}

impl Instance {
    pub(super) fn new(node: NodeId, number: usize, begin: Begin) -> Instance {
        Instance {
            node,
            number,
            begin,
            files: Vec::new(),
            is_torn: false,
            fault: None,
            steps: 0,
            first: Time::ZERO,
            last: Time::ZERO,
            sent: Vec::new(),
            received: Vec::new(),
            sent_as: FxHashMap::default(),
            proposals: Vec::new(),
            proposed_range: None,
            refused: BTreeMap::new(),
            writes: Vec::new(),
            stored: ByEntry::default(),
            persisted: Vec::new(),
            commits: Vec::new(),
            committed: ByEntry::default(),
            handed_out: ByEntry::default(),
            applied: Vec::new(),
            restored: Vec::new(),
            answers: BTreeMap::new(),
            turns: Vec::new(),
            transfer_terms: BTreeSet::new(),
            manual_terms: BTreeSet::new(),
            transfers_asked: Vec::new(),
            election_timeout_min: Duration::ZERO,
            voters: Vec::new(),
            notes: Notes::default(),
        }
    }

    /// The write that holds an entry.
    pub(super) fn write_of(&self, id: EntryId) -> Option<Written> {
        self.writes.get(self.stored.get(id)?).copied()
    }

    /// When a write became durable, as far as the core was told.
    pub(super) fn durable_at(&self, seq: Seq) -> Option<Time> {
        let at = self.persisted.partition_point(|(done, _)| *done < seq);
        self.persisted.get(at).map(|(_, at)| *at)
    }

    pub(super) fn commit_of(&self, index: Index) -> Option<Commit> {
        let at = self.commits.partition_point(|commit| commit.index < index);
        self.commits.get(at).copied()
    }

    /// When the core was told that an entry is applied.
    pub(super) fn applied_at(&self, index: Index) -> Option<Time> {
        let at = self.applied.partition_point(|(done, _)| *done < index);
        self.applied.get(at).map(|(_, at)| *at)
    }

    /// When a peer's acknowledgement of an entry was received, in the term of the entry.
    pub(super) fn answered_at(&self, peer: NodeId, id: EntryId) -> Option<Time> {
        let answers = self.answers.get(&peer)?;
        let sought = (id.term, id.index);
        let at = answers.partition_point(|answer| (answer.term, answer.match_index) < sought);
        answers
            .get(at)
            .filter(|answer| answer.term == id.term)
            .map(|answer| answer.at)
    }

    /// When the message was sent: the last time that is not after `limit`, else the first.
    pub(super) fn sent_at(&self, to: NodeId, digest: u64, limit: Time) -> Option<Time> {
        let times = self.sent_as.get(&(to, digest))?;
        let times = times.iter().filter_map(|at| self.sent.get(*at));
        let times: Vec<Time> = times.map(|message| message.at).collect();
        let before = times.iter().rev().find(|at| **at <= limit);
        before.or_else(|| times.first()).copied()
    }

    /// What to call it: `n1`, or `n1 (start 2)`.
    pub(super) fn name(&self) -> String {
        match self.number {
            1 => self.node.to_string(),
            number => format!("{} (start {number})", self.node),
        }
    }
}
