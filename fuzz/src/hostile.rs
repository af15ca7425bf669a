//! Three correct nodes, and a fourth member that sends anything under its own name: well-formed
//! messages of any kind, with terms and indexes near those that matter.
//!
//! Raft does not bear such a member: it may lead with another log, or vote twice, and then two
//! nodes may apply different entries. What each node owes all the same is what it said itself. It
//! never panics; its term never falls, and it votes once in a term, also across restarts; its
//! committed entries never change; and whatever it says is on its disk: votes, and the entries that
//! it acknowledges.
//!
//! The bytes choose which message or timer comes next, which is lost, when a disk has synced, who
//! restarts, and what the fourth member sends.

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use raft_proto::*;
use std::collections::VecDeque;

/// The member that is not correct.
const HOSTILE: NodeId = NodeId(4);

/// A correct node, and its disk.
struct Node {
    raft: Raft,
    /// What is durable.
    stored: Recovered,
    /// What is written after that.
    pending: VecDeque<Write>,
    /// The term of each entry that it has committed, from index 1 on.
    committed: Vec<Term>,
    wake_at: Time,
}

/// The correct nodes, and the messages to them.
struct Cluster {
    now: Time,
    nodes: Vec<Node>,
    messages: VecDeque<(NodeId, NodeId, Message)>,
    requests: u64,
}

/// Runs what `data` describes.
pub fn run(data: &[u8]) {
    // The only error is the end of the data.
    let _ = run_events(&mut Unstructured::new(data));
}

fn run_events(u: &mut Unstructured<'_>) -> Result<()> {
    let mut cluster = Cluster {
        now: Time::ZERO,
        nodes: (1..=3).map(Node::new).collect(),
        messages: VecDeque::new(),
        requests: 0,
    };
    while !u.is_empty() {
        cluster.next_event(u)?;
    }
    Ok(())
}

impl Node {
    fn new(id: u64) -> Node {
        let stored = Recovered::default();
        Node {
            raft: start(id, 0, &stored),
            stored,
            pending: VecDeque::new(),
            committed: Vec::new(),
            wake_at: Time::ZERO,
        }
    }

    /// Writes up to `seq` are durable.
    fn sync(&mut self, seq: Seq) {
        while let Some(write) = self.pending.front().filter(|write| write.seq <= seq) {
            self.stored.apply(write);
            self.pending.pop_front();
        }
    }

    /// What this node owes itself, after a step.
    fn check(&mut self, before: HardState) {
        let raft = &self.raft;
        assert!(raft.term() >= before.term, "currentTerm fell");
        let voted = before.voted_for.filter(|_| raft.term() == before.term);
        let keeps_vote = voted.is_none() || voted == raft.voted_for();
        assert!(keeps_vote, "votedFor changed within a term");
        for (at, term) in self.committed.iter().enumerate() {
            let now = raft.term_at(Index(at as u64 + 1));
            assert_eq!(now, Some(*term), "a committed entry has changed");
        }
        assert!(raft.commit_index().0 >= self.committed.len() as u64);
        for index in self.committed.len() as u64 + 1..=raft.commit_index().0 {
            let term = raft.term_at(Index(index));
            self.committed.extend(term);
        }
    }

    /// What leaves is on the disk.
    fn check_said(&self, to: NodeId, message: &Message) {
        let stored = &self.stored;
        let last = stored.entries.last_id().unwrap_or_default();
        let votes = |candidate| {
            stored.hard_state.term == message.term()
                && stored.hard_state.voted_for == Some(candidate)
        };
        match message {
            Message::RequestVote(request) => {
                assert!(
                    votes(self.raft.id()),
                    "asks for votes before its own is stored"
                );
                assert_eq!(
                    last, request.last_log,
                    "asks for votes with a log not stored"
                );
            }
            Message::RequestVoteReply(reply) if reply.vote == Vote::Granted => {
                assert!(votes(to), "grants a vote that is not stored");
            }
            Message::AppendEntriesReply(reply) => {
                let AppendOutcome::Accepted { match_index, .. } = reply.outcome else {
                    return;
                };
                let held = stored.entries.iter().find(|it| it.index() == match_index);
                let held = held.map(|entry| entry.term());
                let own = self.raft.term_at(match_index);
                // A leader that contradicts itself has overwritten what it is told of.
                let is_void = to == HOSTILE || match_index == Index::ZERO;
                let is_stored = held == own || is_void;
                assert!(is_stored, "acknowledges an entry that is not stored");
                let in_term = stored.hard_state.term == reply.term || match_index == Index::ZERO;
                assert!(in_term, "acknowledges in a term that is not stored");
            }
            _ => {}
        }
    }
}

fn start(id: u64, seed: u64, stored: &Recovered) -> Raft {
    let voters = Start::voters((1..=4).map(NodeId));
    let config = Config::new(ClusterId(7), NodeId(id), voters, seed);
    Raft::new(config, stored.clone()).expect("a good config, and what its own writes left")
}

impl Cluster {
    fn next_event(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let at = u.int_in_range(0..=2usize)?;
        match u.int_in_range(0..=15u8)? {
            0..=4 => self.deliver(u)?,
            5 | 6 => self.tick(at),
            7..=9 => self.sync(at, u)?,
            10 => self.propose(at),
            11 => self.restart(at, u)?,
            _ => {
                let message = self.any_message(u)?;
                let to = self.nodes[at].raft.id();
                self.messages.push_front((HOSTILE, to, message));
                self.deliver_next();
            }
        }
        Ok(())
    }

    fn step(&mut self, at: usize, input: Input) {
        let node = &mut self.nodes[at];
        let before = HardState {
            term: node.raft.term(),
            voted_for: node.raft.voted_for(),
        };
        let event = Event {
            at: self.now,
            input,
        };
        let actions = node.raft.step(event);
        node.check(before);
        let mut applied = None;
        for action in actions {
            match action {
                Action::Persist(write) => node.pending.push_back(write),
                Action::Send { to, message } => {
                    node.check_said(to, &message);
                    if to != HOSTILE && self.messages.len() < 64 {
                        self.messages.push_back((node.raft.id(), to, message));
                    }
                }
                Action::Apply { entries } => applied = entries.last_id(),
                Action::WakeAt(time) => node.wake_at = time,
                _ => {}
            }
        }
        if let Some(last) = applied {
            self.step(at, Input::Applied { index: last.index });
        }
    }

    /// Some message arrives, or is lost.
    fn deliver(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        if u.ratio(1, 8)? {
            self.messages.pop_front();
        } else if u.ratio(1, 8)? {
            self.messages.rotate_left(1.min(self.messages.len()));
        }
        self.deliver_next();
        Ok(())
    }

    fn deliver_next(&mut self) {
        if let Some((from, to, message)) = self.messages.pop_front() {
            let input = Input::Receive {
                from,
                incarnation: None,
                message,
            };
            self.step(to.0 as usize - 1, input); // One of the three.
        }
    }

    fn tick(&mut self, at: usize) {
        let wake_at = self.nodes[at].wake_at;
        if wake_at < Time::NEVER {
            self.now = self.now.max(wake_at);
        }
        self.step(at, Input::Tick);
    }

    /// Some of the writes become durable.
    fn sync(&mut self, at: usize, u: &mut Unstructured<'_>) -> Result<()> {
        let count = self.nodes[at].pending.len();
        if count > 0 {
            let seq = self.nodes[at].pending[u.int_in_range(0..=count - 1)?].seq;
            self.nodes[at].sync(seq);
            self.step(at, Input::Persisted { seq });
        }
        Ok(())
    }

    fn propose(&mut self, at: usize) {
        self.requests += 1;
        let (id, commands) = (RequestId(self.requests), Commands::from(Bytes::from("x")));
        self.step(at, Input::Propose { id, commands });
    }

    /// The power fails: a prefix of the writes that were not durable is left.
    fn restart(&mut self, at: usize, u: &mut Unstructured<'_>) -> Result<()> {
        let node = &mut self.nodes[at];
        let kept = u.int_in_range(0..=node.pending.len())?;
        if let Some(last) = kept.checked_sub(1) {
            let seq = node.pending[last].seq;
            node.sync(seq);
        }
        node.pending.clear();
        node.raft = start(at as u64 + 1, u.arbitrary::<u8>()?.into(), &node.stored);
        // commitIndex is not stored (Figure 2): what it commits again may be known later.
        node.committed.clear();
        self.step(at, Input::Tick);
        Ok(())
    }

    /// Anything that the fourth member may send.
    fn any_message(&self, u: &mut Unstructured<'_>) -> Result<Message> {
        let seen = &self.nodes[u.int_in_range(0..=2usize)?].raft;
        let term = Term(seen.term().0 + u.int_in_range(0..=2)?);
        let index = Index(match u.int_in_range(0..=3u8)? {
            0 => seen.commit_index().0,
            1 => u.int_in_range(0..=seen.last_log().index.0 + 2)?,
            _ => seen.last_log().index.0,
        });
        let entry = match seen.term_at(index) {
            Some(term) if u.ratio(3, 4)? => EntryId { index, term },
            Some(_) | None => EntryId {
                index,
                term: Term(u.int_in_range(0..=term.0)?),
            },
        };
        let (campaign, lineage) = (Campaign::Election, Lineage::Unknown);
        let vote = *u.choose(&[Vote::Granted, Vote::Refused])?;
        Ok(match u.int_in_range(0..=8u8)? {
            0 => Message::RequestVote(RequestVote {
                term,
                last_log: entry,
                campaign,
                lineage,
            }),
            1 => Message::RequestVoteReply(RequestVoteReply { term, vote }),
            2..=4 => Message::AppendEntries(AppendEntries {
                term,
                prev_log: entry,
                leader_commit: Index(u.int_in_range(0..=index.0 + 3)?),
                entries: any_entries(u, entry, term)?,
                round: u.int_in_range(0..=2)?,
                revoked: 0,
                promise_millis: 0,
                lineage,
            }),
            5 => Message::AppendEntriesReply(AppendEntriesReply {
                term,
                outcome: match u.int_in_range(0..=3u8)? {
                    0 => AppendOutcome::Rejected {
                        prev_log_index: index,
                        hint: entry,
                    },
                    1 => AppendOutcome::Lost {
                        prev_log_index: index,
                        hint: entry,
                    },
                    _ => AppendOutcome::Accepted {
                        match_index: index,
                        received: index,
                    },
                },
                round: u.int_in_range(0..=2)?,
                limits: None,
            }),
            6 => Message::PreVote(PreVote {
                term,
                last_log: entry,
                campaign,
                lineage,
            }),
            7 => Message::PreVoteReply(PreVoteReply {
                term: seen.term(),
                asked: term,
                vote,
                dismissal: None,
                lineage,
            }),
            _ => Message::TimeoutNow(TimeoutNow { term, transfer: 1 }),
        })
    }
}

/// Some entries after `previous`, of terms up to `term`.
fn any_entries(u: &mut Unstructured<'_>, previous: EntryId, term: Term) -> Result<Entries> {
    let mut entries = EntriesBuilder::new();
    let mut last = previous;
    for _ in 0..u.int_in_range(0..=3u8)? {
        let own = Term(u.int_in_range(last.term.0.min(term.0)..=term.0)?);
        let id = EntryId {
            index: last.index.next(),
            term: own,
        };
        let payload = Bytes::from(vec![u.arbitrary()?]);
        if entries.push(id, EntryKind::Command, payload).is_err() {
            break; // Terms that fall are no well-formed message.
        }
        last = id;
    }
    Ok(entries.finish())
}
