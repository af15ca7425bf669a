//! A cluster of plain facts: it does what it is told, right or wrong, and tells the refinement.

use bytes::Bytes;
use raft_proto::{
    Action, AppendEntriesReply, AppendOutcome, Campaign, Entries, EntriesBuilder, EntryId,
    EntryKind, HardState, Incarnation, Index, Lineage, Membership, Message, NodeId, RequestVote,
    RequestVoteReply, RoleKind, Seq, Term, Vote, Write,
};
use raft_sim::refinement::{Broken, DiskId, Refinement, StartFacts, StepFacts};

/// What an entry holds.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Command(&'static str),
    Members(Membership),
}

/// One node.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) disk: DiskId,
    pub(crate) bootstrap: Membership,
    pub(crate) membership: Membership,
    pub(crate) term: u64,
    pub(crate) vote: Option<u64>,
    pub(crate) role: RoleKind,
    pub(crate) log: Vec<(u64, Content)>,
    pub(crate) commit: u64,
    pub(crate) durable: u64,
    pub(crate) seq: u64,
}

impl Node {
    pub(crate) fn last(&self) -> EntryId {
        let term = self.log.last().map_or(0, |entry| entry.0);
        EntryId::new(self.log.len() as u64, term)
    }

    fn hard_state(&self) -> HardState {
        HardState {
            term: Term(self.term),
            voted_for: self.vote.map(NodeId),
        }
    }

    pub(crate) fn entries(&self, from: u64) -> Entries {
        let mut entries = EntriesBuilder::new();
        for (at, (term, content)) in self.log.iter().enumerate().skip(from as usize - 1) {
            let (kind, payload) = match content {
                Content::Command(text) => (EntryKind::Command, Bytes::from(*text)),
                Content::Members(membership) => (EntryKind::Membership, membership.encode()),
            };
            let id = EntryId::new(at as u64 + 1, *term);
            entries.push(id, kind, payload).unwrap();
        }
        entries.finish()
    }

    /// A write of the term and the vote, and of the log from `from` on.
    pub(crate) fn write(&mut self, from: Option<u64>) -> Action {
        self.seq += 1;
        Action::Persist(Write {
            seq: Seq(self.seq),
            hard_state: Some(self.hard_state()),
            entries: from.map_or(Entries::EMPTY, |from| self.entries(from)),
            ..Write::default()
        })
    }
}

/// The nodes, and what the refinement says.
pub(crate) struct Cluster {
    refinement: Refinement,
    nodes: Vec<Node>,
    pub(crate) broken: Option<Broken>,
    /// Something happened after the first rule was broken.
    pub(crate) went_on: bool,
}

pub(crate) fn members(ids: &[u64]) -> Membership {
    Membership::new(ids.iter().copied().map(NodeId))
}

impl Cluster {
    pub(crate) fn new(refinement: Refinement) -> Cluster {
        Cluster {
            refinement,
            nodes: Vec::new(),
            broken: None,
            went_on: false,
        }
    }

    fn note(&mut self, result: Result<(), Broken>) {
        self.went_on |= self.broken.is_some();
        if let (None, Err(broken)) = (&self.broken, result) {
            self.broken = Some(broken);
        }
    }

    /// Starts a node on an empty disk.
    pub(crate) fn start(&mut self, id: u64, bootstrap: &[u64]) {
        self.start_on(id, None, bootstrap);
    }

    pub(crate) fn start_on(&mut self, id: u64, incarnation: Option<u64>, bootstrap: &[u64]) {
        self.nodes.push(Node {
            disk: DiskId {
                node: NodeId(id),
                incarnation: incarnation.map(Incarnation),
            },
            bootstrap: members(bootstrap),
            membership: members(bootstrap),
            term: 0,
            vote: None,
            role: RoleKind::Follower,
            log: Vec::new(),
            commit: 0,
            durable: 0,
            seq: 0,
        });
        self.restart(id, None, |_| {});
    }

    pub(crate) fn node(&mut self, id: u64) -> &mut Node {
        let mut nodes = self.nodes.iter_mut();
        nodes.find(|node| node.disk.node == NodeId(id)).unwrap()
    }

    /// A node starts, after its disk has changed.
    pub(crate) fn restart(
        &mut self,
        id: u64,
        lost: Option<EntryId>,
        change: impl FnOnce(&mut Node),
    ) {
        let node = self.node(id);
        change(node);
        (node.role, node.seq, node.commit) = (RoleKind::Follower, 0, 0);
        let node = node.clone();
        let result = self.refinement.started(&StartFacts {
            disk: node.disk,
            bootstrap: Some(&node.bootstrap),
            membership: &node.membership,
            is_named: false,
            hard_state: node.hard_state(),
            log_base: EntryId::ZERO,
            entries: node.entries(1),
            commit_index: Index(0),
            lost,
        });
        self.note(result);
    }

    /// A node takes a step.
    pub(crate) fn step(&mut self, id: u64, step: impl FnOnce(&mut Node) -> Vec<Action>) {
        let actions = step(self.node(id));
        let node = self.node(id).clone();
        let result = self.refinement.stepped(&StepFacts {
            disk: node.disk,
            hard_state: node.hard_state(),
            role: node.role,
            last_log: node.last(),
            commit_index: Index(node.commit),
            durable_index: Index(node.durable),
            membership: &node.membership,
            actions: &actions,
        });
        self.note(result);
    }

    /// Everything that a node has written is durable.
    pub(crate) fn sync(&mut self, id: u64) {
        let (disk, seq) = (self.node(id).disk, self.node(id).seq);
        self.refinement.persisted(disk, Seq(seq));
    }

    /// A node sends a message, all to node 9.
    pub(crate) fn send(&mut self, id: u64, to: u64, message: Message) {
        let to = NodeId(to);
        self.step(id, |_| vec![Action::Send { to, message }]);
    }

    /// A node votes for itself.
    pub(crate) fn stand(&mut self, id: u64, term: u64) {
        self.step(id, |node| {
            (node.term, node.vote, node.role) = (term, Some(id), RoleKind::Candidate);
            vec![node.write(None)]
        });
    }

    pub(crate) fn campaign(&mut self, id: u64, term: u64) {
        self.stand(id, term);
        self.sync(id);
        let request = RequestVote {
            term: Term(term),
            last_log: self.node(id).last(),
            campaign: Campaign::Election,
            lineage: Lineage::Unknown,
        };
        self.send(id, 9, Message::RequestVote(request));
    }

    /// A node votes, and its vote is not durable.
    pub(crate) fn decide(&mut self, id: u64, candidate: u64, term: u64) {
        self.step(id, |node| {
            (node.term, node.vote) = (term, Some(candidate));
            vec![node.write(None)]
        });
    }

    pub(crate) fn say_vote(&mut self, id: u64, candidate: u64, vote: Vote) {
        let term = Term(self.node(id).term);
        let reply = RequestVoteReply { term, vote };
        self.send(id, candidate, Message::RequestVoteReply(reply));
    }

    pub(crate) fn vote(&mut self, id: u64, candidate: u64, term: u64) {
        self.decide(id, candidate, term);
        self.sync(id);
        self.say_vote(id, candidate, Vote::Granted);
    }

    pub(crate) fn lead(&mut self, id: u64) {
        self.step(id, |node| {
            node.role = RoleKind::Leader;
            Vec::new()
        });
    }

    /// A node campaigns, and leads by the votes of these others.
    pub(crate) fn elect(&mut self, id: u64, term: u64, voters: &[u64]) {
        self.campaign(id, term);
        for voter in voters {
            self.vote(*voter, id, term);
        }
        self.lead(id);
    }

    /// A leader appends a command.
    pub(crate) fn append(&mut self, id: u64, text: &'static str) {
        self.step(id, |node| {
            node.log.push((node.term, Content::Command(text)));
            let last = node.log.len() as u64;
            vec![node.write(Some(last))]
        });
    }

    /// A leader appends a configuration, and uses `in_force`.
    pub(crate) fn change(&mut self, id: u64, to: &Membership, in_force: &Membership) {
        self.step(id, |node| {
            node.log.push((node.term, Content::Members(to.clone())));
            node.membership = in_force.clone();
            let last = node.log.len() as u64;
            vec![node.write(Some(last))]
        });
    }

    /// A follower takes the log of `from` up to `last`, in `term`; it writes it from `first` on.
    pub(crate) fn take(&mut self, id: u64, from: u64, first: u64, last: u64, term: u64) {
        let log = self.node(from).log[..last as usize].to_vec();
        self.step(id, |node| {
            if term > node.term {
                (node.term, node.vote) = (term, None);
            }
            node.log = log;
            vec![node.write(Some(first))]
        });
    }

    pub(crate) fn acknowledge(&mut self, id: u64, index: u64) {
        let index = Index(index);
        let outcome = AppendOutcome::Accepted {
            match_index: index,
            received: index,
        };
        let reply = AppendEntriesReply {
            term: Term(self.node(id).term),
            outcome,
            round: 0,
            limits: None,
        };
        self.send(id, 9, Message::AppendEntriesReply(reply));
    }

    pub(crate) fn commit(&mut self, id: u64, index: u64) {
        self.step(id, |node| {
            node.commit = index;
            Vec::new()
        });
    }
}
