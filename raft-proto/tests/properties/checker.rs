//! The properties of Figure 3 and the promises of durability, as naive global checks. They see the
//! memory and the disk of every node.

use crate::server::{Server, State};
use crate::support::storage::{Record, records};
use raft_proto::*;
use std::collections::BTreeMap;

/// All that was ever seen, on any node.
#[derive(Default)]
pub struct Checker {
    /// The leader of each term.
    leaders: BTreeMap<u64, u64>,
    /// Every entry that was ever in any log.
    entries: BTreeMap<EntryId, SeenEntry>,
    /// The candidate that each vote was granted to.
    votes: BTreeMap<Ballot, u64>,
    /// The entries known to be committed, by index.
    committed: BTreeMap<u64, Committed>,
    /// What a service that has applied up to an index must be.
    states: BTreeMap<u64, State>,
    /// The log of each leader after its last step.
    leader_logs: BTreeMap<u64, LeaderLog>,
    /// The term and the commitIndex of each running node, which never fall.
    progress: BTreeMap<u64, Progress>,
}

struct SeenEntry {
    record: Record,
    /// The term of the entry before it.
    previous_term: u64,
}

/// A vote is determined by the node that grants it and the term.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Ballot {
    voter: u64,
    term: u64,
}

struct Committed {
    term: u64,
    /// The lowest term of a node that knew the entry to be committed.
    known_since: u64,
}

struct LeaderLog {
    term: u64,
    /// The terms of the entries, by index.
    entry_terms: BTreeMap<u64, u64>,
}

#[derive(Default)]
struct Progress {
    term: Term,
    commit_index: Index,
}

impl Checker {
    /// A node has lost its memory.
    pub fn restarted(&mut self, id: u64) {
        self.leader_logs.remove(&id);
        self.progress.remove(&id);
    }

    /// How many entries are known to be committed.
    pub fn committed(&self) -> usize {
        self.committed.len()
    }

    /// After every step of `server`, whose commitIndex was `before`.
    pub fn check(&mut self, server: &Server, before: Index, servers: &[Server]) {
        let Some(raft) = &server.raft else {
            return;
        };
        let log: BTreeMap<u64, Record> = records(&raft.entries(Index(1), Index::MAX)).collect();
        self.nothing_falls(server.id, raft);
        self.log_matching(raft, &log);
        self.commits(raft, &log, servers);
        if raft.role() == RoleKind::Leader {
            self.election_safety(server.id, raft);
            self.leader_append_only(server.id, raft, &log);
            self.leader_completeness(raft);
            commit_rule(raft, before);
        } else {
            self.leader_logs.remove(&server.id);
        }
    }

    fn nothing_falls(&mut self, id: u64, raft: &Raft) {
        let (term, commit_index) = (raft.term(), raft.commit_index());
        let now = Progress { term, commit_index };
        let before = self.progress.insert(id, now).unwrap_or_default();
        assert!(term >= before.term, "currentTerm of n{id} fell");
        assert!(
            commit_index >= before.commit_index,
            "commitIndex of n{id} fell"
        );
        assert!(
            raft.last_log().index >= commit_index,
            "the log holds all committed entries"
        );
        assert!(
            raft.log_base().index <= commit_index,
            "only committed entries are compacted"
        );
    }

    /// "At most one leader can be elected in a given term."
    fn election_safety(&mut self, id: u64, raft: &Raft) {
        let leader = *self.leaders.entry(raft.term().0).or_insert(id);
        assert_eq!(leader, id, "two leaders in term {}", raft.term());
    }

    /// "A leader never overwrites or deletes entries in its log; it only appends new entries."
    fn leader_append_only(&mut self, id: u64, raft: &Raft, log: &BTreeMap<u64, Record>) {
        let entry_terms = log.iter().map(|(index, record)| (*index, record.term));
        let now = LeaderLog {
            term: raft.term().0,
            entry_terms: entry_terms.collect(),
        };
        if let Some(before) = self.leader_logs.get(&id)
            && before.term == now.term
        {
            for (index, term) in before.entry_terms.range(raft.log_base().index.0 + 1..) {
                let kept = now.entry_terms.get(index);
                assert_eq!(kept, Some(term), "the leader n{id} lost {index}");
            }
        }
        self.leader_logs.insert(id, now);
    }

    /// "If two logs contain an entry with the same index and term, then the logs are identical
    /// in all entries up through the given index." Index and term determine an entry and the term
    /// of the one before, and so all entries that precede it.
    fn log_matching(&mut self, raft: &Raft, log: &BTreeMap<u64, Record>) {
        let mut previous = raft.log_base();
        for (index, record) in log {
            assert_eq!(*index, previous.index.0 + 1, "a log has no gaps");
            assert!(record.term >= previous.term.0, "terms never fall in a log");
            assert!(record.term <= raft.term().0, "no entry is of a later term");
            let id = EntryId::new(*index, record.term);
            let previous_term = previous.term.0;
            let seen = self.entries.entry(id).or_insert_with(|| SeenEntry {
                record: record.clone(),
                previous_term,
            });
            assert_eq!(seen.record, *record, "two different entries are {id}");
            assert_eq!(
                seen.previous_term, previous_term,
                "the entries before {id} differ"
            );
            previous = id;
        }
        assert_eq!(
            previous,
            raft.last_log(),
            "the log ends with its last entry"
        );
    }

    /// An entry that some node knows to be committed is on the disks of a majority, and no other
    /// entry was ever committed at its index.
    fn commits(&mut self, raft: &Raft, log: &BTreeMap<u64, Record>, servers: &[Server]) {
        let known_in = raft.term().0;
        for (index, record) in log.range(..=raft.commit_index().0) {
            let committed = self.committed.entry(*index).or_insert(Committed {
                term: record.term,
                known_since: u64::MAX,
            });
            assert_eq!(
                committed.term, record.term,
                "two entries are committed at {index}"
            );
            if committed.known_since == u64::MAX {
                on_majority(*index, committed.term, servers);
            }
            committed.known_since = known_in.min(committed.known_since);
        }
    }

    /// "If a log entry is committed in a given term, then that entry will be present in the logs
    /// of the leaders for all higher-numbered terms."
    fn leader_completeness(&self, raft: &Raft) {
        for (index, committed) in &self.committed {
            if committed.known_since > raft.term().0 || *index < raft.log_base().index.0 {
                continue;
            }
            let own = raft.term_at(Index(*index));
            let term = committed.term;
            assert_eq!(own, Some(Term(term)), "a leader lacks {index}@{term}");
        }
    }

    /// "If a server has applied a log entry at a given index to its state machine, no other
    /// server will ever apply a different log entry for the same index." The state is a digest of
    /// all applied entries, so it must be the same everywhere.
    pub fn check_state(&mut self, id: u64, state: State) {
        let known = self.states.entry(state.index).or_insert(state);
        assert_eq!(*known, state, "n{id} applied other entries");
    }

    /// What a message promises must be on the sender's disk when it is sent.
    pub fn check_promise(&mut self, sender: &Server, to: NodeId, message: &Message) {
        let (id, disk) = (sender.id, &sender.disk);
        let raft = sender.raft.as_ref().expect("it sent this");
        let voted = |term: Term, candidate: NodeId| {
            let known = disk.hard_state;
            known.term > term || (known.term == term && known.voted_for == Some(candidate))
        };
        let holds_through = |last: Index| {
            (1..=last.0).all(|index| {
                let own = raft.term_at(Index(index)).map(|term| term.0);
                // A compacted entry is committed, though the write of the compaction may wait.
                let term = own.or_else(|| Some(self.committed.get(&index)?.term));
                term.is_some_and(|term| disk.holds(index, term))
            })
        };
        match message {
            Message::RequestVote(request) => {
                assert!(
                    voted(request.term, NodeId(id)),
                    "a candidate's vote is on disk"
                );
                assert!(
                    holds_through(request.last_log.index),
                    "a candidate's log is on disk"
                );
            }
            Message::RequestVoteReply(reply) if reply.vote == Vote::Granted => {
                assert!(
                    voted(reply.term, to),
                    "n{id}'s vote for {to} is not on disk"
                );
                let ballot = Ballot {
                    voter: id,
                    term: reply.term.0,
                };
                let vote = *self.votes.entry(ballot).or_insert(to.0);
                assert_eq!(vote, to.0, "n{id} votes twice in term {}", reply.term);
            }
            Message::AppendEntriesReply(reply) => {
                if let AppendOutcome::Accepted { match_index, .. } = reply.outcome {
                    assert!(
                        holds_through(match_index),
                        "n{id} has no {match_index} on disk"
                    );
                }
            }
            Message::InstallSnapshotReply(reply) => {
                if reply.outcome == SnapshotOutcome::Installed {
                    let last = reply.last.index;
                    assert!(holds_through(last), "n{id} has no {last} on disk");
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

    /// No committed entry is ever lost: a majority has it on disk, and so would have it after a
    /// crash.
    pub fn durability(&self, servers: &[Server]) {
        for (index, committed) in &self.committed {
            on_majority(*index, committed.term, servers);
        }
    }
}

fn on_majority(index: u64, term: u64, servers: &[Server]) {
    let holders = servers
        .iter()
        .filter(|server| server.disk.holds(index, term));
    let count = holders.count();
    assert!(
        count > servers.len() / 2,
        "{index}@{term} is committed and on {count} of {} disks",
        servers.len()
    );
}

/// "If there exists an N such that N > commitIndex, a majority of matchIndex[i] >= N, and
/// log[N].term == currentTerm: set commitIndex = N", computed from a leader's status.
pub fn commit_rule(raft: &Raft, before: Index) {
    let status = raft.status();
    let mut reached: Vec<Index> = status.peers.iter().map(|peer| peer.match_index).collect();
    reached.push(status.durable_index);
    assert_eq!(reached.len(), status.membership.voters().count());
    let majority = |index: Index| {
        let count = reached.iter().filter(|reached| **reached >= index).count();
        count > reached.len() / 2
    };
    let own_term = |index: &u64| raft.term_at(Index(*index)) == Some(raft.term());
    let committed = (before.0 + 1..=status.last_log.index.0)
        .rev()
        .find(|index| majority(Index(*index)) && own_term(index));
    let expected = committed.map_or(before, Index);
    assert_eq!(status.commit_index, expected, "commitIndex in {status:#?}");
}
