//! The properties of Figure 3, and the promises of durability, as naive global checks: they see
//! every node's memory and disk, which no node does.

use crate::member::{Member, State};
use crate::support::storage::{Record, records};
use raft_proto::*;
use std::collections::BTreeMap;

/// What was ever seen, anywhere.
#[derive(Default)]
pub struct Ledger {
    /// Who was leader of a term.
    leaders: BTreeMap<u64, u64>,
    /// Every entry that was ever in any log: its record, and the term of the one before it.
    entries: BTreeMap<(u64, u64), (Record, Option<u64>)>,
    /// Every vote that was ever told to a candidate.
    votes: BTreeMap<(u64, u64), u64>,
    /// Entries known to be committed: their terms, and the lowest term in which a node knew.
    committed: BTreeMap<u64, (u64, u64)>,
    /// What a service that has applied up to an index must be.
    states: BTreeMap<u64, State>,
    /// What each leader's log was after its last step: its term and its entries' terms.
    led: BTreeMap<u64, (u64, BTreeMap<u64, u64>)>,
    /// commitIndex and currentTerm never fall while a node runs.
    risen: BTreeMap<u64, (Term, Index)>,
}

impl Ledger {
    /// A node lost its memory.
    pub fn restarted(&mut self, id: u64) {
        self.led.remove(&id);
        self.risen.remove(&id);
    }

    /// How many entries are known to be committed.
    pub fn committed(&self) -> usize {
        self.committed.len()
    }

    /// After every step of `member`, whose commitIndex was `before`.
    pub fn check(&mut self, member: &Member, before: Index, all: &[Member]) {
        let Some(raft) = &member.raft else {
            return;
        };
        let log: BTreeMap<u64, Record> = records(&raft.entries(Index(1), Index::MAX)).collect();
        self.nothing_falls(member.id, raft);
        self.log_matching(raft, &log);
        self.commits(raft, &log, all);
        if raft.role() == RoleKind::Leader {
            self.election_safety(member.id, raft);
            self.leader_append_only(member.id, raft, &log);
            self.leader_completeness(raft);
            commit_rule(raft, before);
        } else {
            self.led.remove(&member.id);
        }
    }

    fn nothing_falls(&mut self, id: u64, raft: &Raft) {
        let now = (raft.term(), raft.commit_index());
        let (term, commit) = self.risen.insert(id, now).unwrap_or_default();
        assert!(now.0 >= term, "currentTerm of n{id} fell");
        assert!(now.1 >= commit, "commitIndex of n{id} fell");
        assert!(raft.last_log().index >= now.1, "committed entries are here");
        assert!(raft.log_base().index <= now.1, "only committed entries go");
    }

    /// "At most one leader can be elected in a given term."
    fn election_safety(&mut self, id: u64, raft: &Raft) {
        let leader = *self.leaders.entry(raft.term().0).or_insert(id);
        assert_eq!(leader, id, "two leaders in term {}", raft.term());
    }

    /// "A leader never overwrites or deletes entries in its log; it only appends new entries."
    fn leader_append_only(&mut self, id: u64, raft: &Raft, log: &BTreeMap<u64, Record>) {
        let terms = log.iter().map(|(index, record)| (*index, record.term));
        let now = (raft.term().0, terms.collect::<BTreeMap<_, _>>());
        if let Some((term, old)) = self.led.get(&id)
            && *term == now.0
        {
            for (index, term) in old.range(raft.log_base().index.0 + 1..) {
                assert_eq!(
                    now.1.get(index),
                    Some(term),
                    "the leader n{id} lost {index}"
                );
            }
        }
        self.led.insert(id, now);
    }

    /// "If two logs contain an entry with the same index and term, then the logs are identical
    /// in all entries up through the given index": index and term determine an entry and, by
    /// the term of the one before, all that precede it.
    fn log_matching(&mut self, raft: &Raft, log: &BTreeMap<u64, Record>) {
        let mut previous = raft.log_base();
        for (index, record) in log {
            assert_eq!(*index, previous.index.0 + 1, "a log has no gaps");
            assert!(record.term >= previous.term.0, "terms never fall in a log");
            assert!(record.term <= raft.term().0, "no entry is of a later term");
            let id = EntryId::new(*index, record.term);
            let own = (record.clone(), Some(previous.term.0));
            let known = self.entries.entry((*index, record.term)).or_insert(own);
            assert_eq!(known.0, *record, "two entries are {id}");
            assert_eq!(known.1, Some(previous.term.0), "what precedes {id} differs");
            previous = id;
        }
        assert_eq!(previous, raft.last_log(), "the log ends where it says");
    }

    /// An entry that any node holds to be committed is on the disks of a majority, and no other
    /// was ever committed in its place.
    fn commits(&mut self, raft: &Raft, log: &BTreeMap<u64, Record>, all: &[Member]) {
        let known_in = raft.term().0;
        for (index, record) in log.range(..=raft.commit_index().0) {
            let (term, since) = self
                .committed
                .entry(*index)
                .or_insert((record.term, u64::MAX));
            assert_eq!(*term, record.term, "two entries committed at {index}");
            if *since == u64::MAX {
                on_majority(*index, *term, all);
            }
            *since = known_in.min(*since);
        }
    }

    /// "If a log entry is committed in a given term, then that entry will be present in the logs
    /// of the leaders for all higher-numbered terms."
    fn leader_completeness(&self, raft: &Raft) {
        for (index, (term, since)) in &self.committed {
            if *since > raft.term().0 || *index < raft.log_base().index.0 {
                continue;
            }
            let own = raft.term_at(Index(*index));
            assert_eq!(own, Some(Term(*term)), "a leader lacks {index}@{term}");
        }
    }

    /// "If a server has applied a log entry at a given index to its state machine, no other
    /// server will ever apply a different log entry for the same index": nor any sequence of
    /// entries, since the state is a digest of all of them.
    pub fn check_state(&mut self, id: u64, state: State) {
        let known = self.states.entry(state.index).or_insert(state);
        assert_eq!(*known, state, "n{id} applied something else");
    }

    /// What a message says must be on the sender's disk when it leaves.
    pub fn check_promise(&mut self, sender: &Member, to: NodeId, message: &Message) {
        let (id, disk) = (sender.id, &sender.disk);
        let raft = sender.raft.as_ref().expect("it sent this");
        let voted = |term: Term, candidate: NodeId| {
            let known = disk.hard_state;
            known.term > term || (known.term == term && known.voted_for == Some(candidate))
        };
        let holds_through = |last: Index| {
            (1..=last.0).all(|index| {
                let own = raft.term_at(Index(index)).map(|term| term.0);
                // What is compacted is committed, though the write that says so may wait.
                let term = own.or_else(|| Some(self.committed.get(&index)?.0));
                term.is_some_and(|term| disk.holds(index, term))
            })
        };
        match message {
            Message::RequestVote(request) => {
                assert!(voted(request.term, NodeId(id)), "a candidate's vote first");
                assert!(holds_through(request.last_log.index), "its log first");
            }
            Message::RequestVoteReply(reply) if reply.vote == Vote::Granted => {
                assert!(voted(reply.term, to), "n{id} votes for {to}: not on disk");
                let vote = *self.votes.entry((id, reply.term.0)).or_insert(to.0);
                assert_eq!(vote, to.0, "n{id} votes twice in term {}", reply.term);
            }
            Message::AppendEntriesReply(reply) => {
                if let AppendOutcome::Accepted { match_index, .. } = reply.outcome {
                    assert!(holds_through(match_index), "n{id} has not {match_index}");
                }
            }
            Message::InstallSnapshotReply(reply) => {
                if reply.outcome == SnapshotOutcome::Installed {
                    let last = reply.last.index;
                    assert!(holds_through(last), "n{id} has not {last}");
                }
            }
            Message::RequestVoteReply(_)
            | Message::AppendEntries(_)
            | Message::InstallSnapshot(_)
            | Message::PreVote(_)
            | Message::PreVoteReply(_)
            | Message::TimeoutNow(_)
            | Message::ReadIndex(_)
            | Message::ReadIndexReply(_) => {}
        }
    }

    /// Nothing committed is ever lost: it is on the disks of a majority now, and would be after
    /// a loss of all that is not synced.
    pub fn durability(&self, all: &[Member]) {
        for (index, (term, _)) in &self.committed {
            on_majority(*index, *term, all);
        }
    }
}

fn on_majority(index: u64, term: u64, all: &[Member]) {
    let holders = all.iter().filter(|member| member.disk.holds(index, term));
    let count = holders.count();
    assert!(
        count > all.len() / 2,
        "{index}@{term} is committed and on {count} of {} disks",
        all.len()
    );
}

/// "If there exists an N such that N > commitIndex, a majority of matchIndex[i] >= N, and
/// log[N].term == currentTerm: set commitIndex = N", from what a leader tells of itself.
pub fn commit_rule(raft: &Raft, before: Index) {
    let status = raft.status();
    let mut reached: Vec<Index> = status.peers.iter().map(|peer| peer.match_index).collect();
    reached.push(status.durable_index);
    assert_eq!(reached.len(), status.membership.voters().count());
    let majority = |index: Index| {
        let have = reached.iter().filter(|reached| **reached >= index).count();
        have > reached.len() / 2
    };
    let own_term = |index: &u64| raft.term_at(Index(*index)) == Some(raft.term());
    let committed = (before.0 + 1..=status.last_log.index.0)
        .rev()
        .find(|index| majority(Index(*index)) && own_term(index));
    let expected = committed.map_or(before, Index);
    assert_eq!(status.commit_index, expected, "commitIndex of {status:#?}");
}
